/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/through.h"

enum {
    LATE_MS = 5000,                     /* on the way for longer is late: the source had a backlog for us, or has it still */
    BACKLOG_MS = 10000,                 /* while it has one, batches come more often than that */
};
#define MS INT64_C(1000000)

void
fo_through_note(struct fo_through *t, const struct fo_batch *b)
{
    bool is_late = !b->is_own && b->at.us - b->header.sealed_at.us > LATE_MS * INT64_C(1000);

    t->late[b->source][b->header.lane] = is_late ? (struct fo_late){ b->header.sealed_at, t->ctx->now } : (struct fo_late){ 0 };
}

struct fo_wall
fo_through_now(const struct fo_through *t)
{
    const struct fo_health_limits *health = &t->forward->health_limits;
    struct fo_instant now = t->ctx->now;
    struct fo_wall to = fo_wall_earlier(t->ctx->wall, fo_store_oldest_at(t->store));

    for (unsigned r = 1; r < t->ctx->regions.count; r++) {
        struct fo_instant heard = t->forward->peer[r].newest_at;
        int64_t silent_ns = fo_instant_since(now, heard.ns > 0 ? heard : t->ctx->started_at).ns;

        if (silent_ns > health->missed_max * health->probe_every.ns)
            to = fo_wall_earlier(to, (struct fo_wall){ t->ctx->wall.us - silent_ns / 1000 });
        for (int i = 0; i < FO_LANES; i++)
            if (t->late[r][i].sealed_at.us > 0 && fo_instant_since(now, t->late[r][i].came_at).ns < BACKLOG_MS * MS)
                to = fo_wall_earlier(to, t->late[r][i].sealed_at);
    }
    return to.us > 0 ? to : (struct fo_wall){ 0 };
}
