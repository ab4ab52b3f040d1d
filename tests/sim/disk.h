/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal on a simulated disk. The disk outlives the process: it holds exactly what was synced. A group that was on its
 * way when the process died is there wholly, as a prefix of its records, or not at all. */
#pragma once
#include "ports/journal.h"

struct sim;

struct disk_record {
    uint64_t lsn, next_lsn;
    enum fo_record_type type;
    enum fo_lane lane;
    uint32_t count;
    struct fo_wall at;
    uint8_t *body;
    size_t n;
    bool is_damaged;                    /* its body does not fit its checksum any more */
};

struct disk {
    struct disk_record *rec;
    unsigned first, count, cap;         /* rec[first..count) are retained */
    uint64_t first_lsn, end_lsn, segment_base, epoch, checkpoint_lsn;
    uint32_t segment_bytes, record_bytes_max;
    uint64_t bytes_max;
    bool is_full;                       /* writes fail with FO_ERR_NO_SPACE */
    bool is_failing;                    /* the next write fails for good */
    int64_t latency_ns;                 /* of a write and its sync, at most */
};

struct disk_pending { struct disk_record rec; struct fo_slice part[4]; unsigned parts; uint64_t state_before; };
struct disk_group { struct disk_pending *at; unsigned count, cap; };

struct sim_journal {                    /* of one process */
    struct fo_journal base;
    struct sim *sim;
    unsigned node;
    struct disk *disk;
    struct disk_group gather, flight;
    bool is_flying, must_retry, has_failed;
    uint64_t append_lsn, segment_base;
    unsigned reader_count;
};

void disk_init(struct disk *d, uint32_t segment_bytes, uint32_t record_bytes_max, uint64_t epoch);
void disk_fini(struct disk *d);
/* Damages one retained record of events or acks. If a restart would read over it, its state is not to be relied on: a new epoch. */
void disk_damage(struct disk *d, unsigned at);
/* Takes back the newest records, all but `kept`; the next start is of a new epoch. */
void disk_lose(struct disk *d, unsigned kept);
void sim_journal_open(struct sim_journal *j, struct sim *s, unsigned node, struct disk *d);
/* The process is dying and its memory still there, `live_state` its last state. Part of what was on its way may have reached the disk; ret_state: hash of the
 * state that the disk's records add up to. */
void sim_journal_crash(struct sim_journal *j, uint64_t live_state, uint64_t *ret_state);
/* Behind the broker's end. */
void sim_journal_close(struct sim_journal *j);
