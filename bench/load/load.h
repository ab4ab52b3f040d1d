/* SPDX-License-Identifier: Apache-2.0
 *
 * The load generator of fanout-3 and its drivers, one per protocol. One thread per process; nothing here is shared but the page of
 * counters in load.c. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "numbers.h"

enum {
    PAYLOAD_BYTES = 256,
    READ_BYTES = 8 << 20,           /* largest answer that is parsed in one piece */
    WRITE_BYTES = 1 << 16,
    ACK_RING = 1 << 20,             /* most publishes that may await an ack */
};

/* One client connection: the publisher or one subscriber. */
struct client {
    int role;                       /* -1 publisher, 0 subscriber in B, 1 subscriber in C */
    int port, fd;
    uint64_t now_ns;                /* taken once per read */
    uint64_t put, acked;            /* publishes encoded, and those acknowledged */
    unsigned channel;               /* of the event that is put: they take turns */
    uint64_t got;
    struct order order;             /* of what was got */
    bool is_mid_frame;              /* the publisher has a partly sent frame */
    char *reply;                    /* what the driver wants written back: acks, pongs, polls */
    size_t reply_bytes;
    char *in;                       /* received, not yet parsed */
    size_t in_bytes;
    void *state;                    /* the driver's */
};

struct driver {
    const char *name;
    bool has_acks;                  /* the broker acknowledges publishes */
    unsigned channels;              /* each with an order of its own; 0: one */
    void (*open)(struct client *c);
    size_t (*put)(struct client *c, char *dst, const char *payload, bool is_high);      /* encodes one publish */
    size_t (*take)(struct client *c, const char *p, size_t n);                          /* parses; returns the bytes used */
    void (*burst)(struct client *c);                    /* or null: what was put since the last burst may leave now */
    /* Libraries that own their connections have these two instead of put and take. */
    void (*send)(struct client *c, const char *payload);
    bool (*receive)(struct client *c, int timeout_ms);
};

extern const struct driver driver_fanout, driver_raw, driver_rawack, driver_nats, driver_js, driver_redisps, driver_redisst, driver_mqtt0, driver_mqtt1, driver_amqp,
    driver_nng, driver_zmq;

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
int dial(int port);                                     /* connected, without Nagle's delay */
int dial_soon(int port);                                /* waits until somebody listens there */
int listen_at(int port);
int accept_one(int listener);                           /* the next connection */
void put_all(int fd, const void *p, size_t n);          /* blocks until everything is written */
void reply(struct client *c, const void *p, size_t n);  /* written after this parse */
void event(struct client *c, const char *payload);      /* a subscriber has one payload */
void acked_up_to(struct client *c, uint64_t id);        /* ids are 1, 2, 3, ... in the order of put */
void acked_one(struct client *c, uint64_t id);
uint64_t now_ns(void);
