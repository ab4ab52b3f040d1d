/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal and a transport in memory for one broker, with the least that its contracts demand: what was synced can be read, what is
 * sent is looked at by whoever asked to. One thread. */
#pragma once
#include "fuzz.h"

#include "broker/broker.h"

enum { PORTS_RECORDS_MAX = 4096, PORTS_SEGMENT_BYTES = 32768 };

struct ports_record { struct fo_record rec; uint8_t *body; };

struct ports {
    struct fo_journal journal;
    struct fo_transport transport;
    struct ports_record record[PORTS_RECORDS_MAX];
    unsigned count, flying, durable;        /* record[0..durable) is durable, [durable..flying) on its way, [flying..count) gathers */
    uint64_t end_lsn, first_lsn, segment_lsn;
    bool is_flying, has_checkpoint;         /* of the present segment */
    uint64_t unreadable_lsn;                /* the record there ends reading with an I/O error; 0: none */
    unsigned readers, messages;             /* not yet given back */
    void (*on_send)(void *user, unsigned peer, struct fo_slice frame);
    void (*on_reply)(void *user, uint64_t request, struct fo_slice body);
    void *user;
};

void ports_init(struct ports *p);
void ports_fini(struct ports *p);
/* The process is gone: what was not durable is lost, readers and messages with it. */
void ports_crash(struct ports *p);
/* A commit on its way ends, well or with the error; the input for the broker. False: none is on its way. */
bool ports_stored(struct ports *p, enum fo_err err, struct fo_input *ret_in);
/* An input that owns a copy of the bytes; handle null without memory. */
struct fo_input ports_input(struct ports *p, enum fo_input_kind kind, uint64_t request, struct fo_slice bytes);
uint64_t ports_checkpoint_lsn(const struct ports *p);
/* A configuration for region us-east-1 of the world, with small limits. */
const struct fo_config *ports_config(void);
