/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as the broker uses it: filled in by adapter/config_yaml.c, checked, immutable. deploy/ documents each
 * key; a key's name here is its name in YAML, nested by the struct. Strings are owned by the config. */
#pragma once
#include <stdbool.h>
#include "base/names.h"
#include "wire/error.h"
#include "wire/schema.h"

struct fo_config_peer { char *region; char *link; /* URL of the peer's link listener */ };
struct fo_config_type { char *type; char *lane; char *schema; /* path, or null */ };

struct fo_config {
    char *region;
    bool is_primary;                    /* `primary` */
    char *data_dir;
    struct { char *secret_key; char *public_keys; /* directory of *.pub */ } keys;
    struct { char *door; char *feed; char *link; } listen;  /* URLs: tcp://, tls+tcp://, ipc://; feed may be null */
    struct { bool allow_plain; char *cert; char *key; char *ca; } tls;  /* tcp:// beyond loopback is refused unless allow_plain */
    struct fo_config_peer *peers; unsigned peers_count;
    struct fo_config_type *types; unsigned types_count;     /* custom types */
    struct {
        uint32_t event_bytes_max;       /* 262144 */
        uint32_t request_bytes_max;     /* 4194304 */
        uint32_t batch_events_max;      /* 1024 */
        uint32_t batch_bytes_max;       /* 1048576 */
        uint32_t gather_us_max;         /* 1000: that a busy broker gathers events before it seals them; 0: never */
        uint32_t requests_max;          /* 1024: door contexts, parked fetches included */
        uint32_t pending_events_max;    /* 65536: accepted, not yet durable */
        uint64_t pending_bytes_max;     /* 67108864: memory of publishes that wait for the disk, and again of peers' frames that do */
        uint32_t waiting_events_max;    /* 262144: of publishes that wait for peers */
        uint64_t tail_bytes_max;        /* 1048576: of the newest batches, kept in memory for subscribers that all but keep up */
        uint32_t fetches_max;           /* three quarters of requests_max, and always below it, so that publishers find room: fetches parked at the same time */
        uint32_t dedupe_events_max;     /* 262144 */
        uint32_t schema_version_min;    /* 1: a lower schemaversion is dropped as incompatible on arrival */
    } limits;
    struct {
        uint32_t window_bytes;          /* 4194304: most in flight on one connection of a link */
        uint32_t window_bytes_min;      /* 16384: where the window begins, and what it never shrinks below */
        uint32_t queue_delay_ms_max;    /* 50: standing queue on the way that the window may build up */
        uint32_t window_batches;        /* 64 */
        uint32_t ack_delay_ms_max;      /* 5: between two acks to one peer, while little is unacked */
        uint32_t heartbeat_ms;          /* 750: between probes */
        uint32_t probes_missed_max;     /* 3: in a row, then the link is down */
        uint32_t stable_ms_min;         /* 1000: recovering before a link is trusted again; doubles with each flap */
        uint32_t stable_ms_max;         /* 30000 */
        uint32_t retransmit_ms_min;     /* 200 */
        uint32_t low_share_percent;     /* 10: guaranteed to each lower lane while higher ones are busy */
    } link;
    struct {
        char *durability;               /* power | process */
        uint32_t segment_bytes;         /* 67108864 */
        uint64_t bytes_max;             /* 10737418240 */
        uint32_t retention_hours;       /* 24 */
        uint64_t retention_bytes;       /* 1073741824: replay is kept at most this far beyond what is needed */
    } journal;
    struct {
        bool is_enabled;                /* `enabled` */
        char *conninfo;
        uint32_t rows_max;              /* 10000 per transaction */
        uint32_t settle_wait_ms;        /* 10000 */
        uint32_t answer_timeout_ms;     /* 60000: a server that says nothing for this long is left, and the next host tried */
    } ledger;
    struct { char *level; } log;
};

enum { FO_FRAME_OVERHEAD_MAX = 65536 };     /* of a batch's header and lengths over its records */

/* The longest frame that a link takes and the journal stores. */
static inline uint32_t
fo_config_frame_bytes_max(const struct fo_config *c)
{
    return c->limits.batch_bytes_max + c->limits.event_bytes_max + FO_FRAME_OVERHEAD_MAX;
}

/* Reads and checks the file, and the schemas that it names. On error ret_fault.text says what and what to do, ret_fault.path is "FILE:LINE:COLUMN: key". */
FO_MUST_CHECK enum fo_err fo_config_load(const char *path, struct fo_config **ret_config, struct fo_fault *ret_fault);
/* The built-in types and those of a config, with their schemas. On error ret_fault.path is the key, as in "types[0].schema", and
 * ret_fault.text names type and file. */
FO_MUST_CHECK enum fo_err fo_config_load_schemas(const struct fo_config *config, struct fo_schema_set **ret_set, struct fo_fault *ret_fault);
void fo_config_destroy(struct fo_config *config);
