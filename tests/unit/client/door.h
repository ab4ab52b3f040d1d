/* SPDX-License-Identifier: Apache-2.0
 *
 * A door to test clients against: NNG REP on loopback, the real wire code, events kept in memory. It answers one request
 * after the other, so its requests are in order. */
#pragma once
#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "wire/door.h"
#include "wire/schema.h"

enum { DOOR_EVENTS_MAX = 20000 };

struct door_event { struct fo_slice record; char position[FO_POSITION_SIZE]; char region[FO_REGION_BYTES_MAX + 1]; struct fo_position pos; int64_t at_us;
    const char *only_for;           /* a region; null: for all */
    struct fo_slice damaged;        /* handed out in its stead, if any */
};

struct door {
    char region[FO_REGION_BYTES_MAX + 1];
    char url[64];
    int port;
    nng_socket socket;
    pthread_t thread;
    atomic_bool is_leaving;
    pthread_mutex_t lock;
    struct fo_schema_set *schemas;
    struct door_event *events;
    unsigned count;
    uint64_t seq[FO_LANES];
    /* What a test may set, under lock or before requests come. */
    bool is_silent;                 /* receives, never answers */
    unsigned busy_left;             /* so many publishes are refused as a whole, with `busy` or the error named next */
    enum fo_err refusal;            /* FO_OK: FO_ERR_BUSY */
    bool is_dying;                  /* takes one publish more, and is gone before the answer */
    bool is_never_fulfilled;        /* waits end without all deliveries */
    unsigned gone_below;            /* cursors to events before this one are gone */
    unsigned answer_events_max;     /* of a fetch; 0: what was asked for */
    /* What a test may look at, under lock. */
    unsigned requests, publishes, fetches, duplicates;
};

/* Listens on 127.0.0.1; port 0: any. Any failure aborts: this is a test. */
void door_open(struct door *d, const char *region, int port);
void door_close(struct door *d);
/* As if a publisher had sent it to the region named, or it had come from there. */
void door_add(struct door *d, const char *region, const char *id, enum fo_lane lane, uint64_t seq, const char *key);
/* Likewise; at_us: when it was stored, 0: now. only_for: a region's name, static, or null for all. */
void door_add_at(struct door *d, const char *region, const char *id, enum fo_lane lane, uint64_t seq, int64_t at_us, const char *only_for);
unsigned door_requests(struct door *d);
unsigned door_publishes(struct door *d);
/* The id of a stored event. Null: there is no such. */
const char *door_id(struct door *d, unsigned index, char ret_id[FO_ID_BYTES_MAX + 1]);
/* A TCP port on 127.0.0.1 where nobody listens. */
int door_free_port(void);
