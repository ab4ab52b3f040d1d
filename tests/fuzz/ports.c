/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include <string.h>

enum { HEADER = 48, GROUP_MAX = 64 };

struct fo_journal_reader { struct ports *p; uint64_t lsn; };

static struct ports *
of_journal(struct fo_journal *j)
{
    return (struct ports *)((char *)j - offsetof(struct ports, journal));
}

static bool
wants_checkpoint(struct fo_journal *j)
{
    struct ports *p = of_journal(j);

    return !p->has_checkpoint || p->end_lsn - p->segment_lsn > PORTS_SEGMENT_BYTES;
}

static enum fo_err
append(struct fo_journal *j, enum fo_record_type type, enum fo_lane lane, uint32_t count, struct fo_wall at, const struct fo_slice *body, unsigned parts, uint64_t *ret_lsn)
{
    struct ports *p = of_journal(j);
    struct ports_record *r = &p->record[p->count];
    size_t n = 0, used = 0;

    if (p->count == PORTS_RECORDS_MAX)
        return FO_ERR_NO_SPACE;
    if (p->count - p->flying >= GROUP_MAX)
        return FO_ERR_FULL;
    if (type != FO_RECORD_CHECKPOINT && wants_checkpoint(j))
        return FO_ERR_INVALID;
    for (unsigned i = 0; i < parts; i++)
        n += body[i].n;
    r->body = malloc(n ? n : 1);
    if (r->body == NULL)
        return FO_ERR_NO_SPACE;
    for (unsigned i = 0; i < parts; used += body[i++].n)
        memcpy(r->body + used, body[i].p, body[i].n);
    if (type == FO_RECORD_CHECKPOINT) {
        p->segment_lsn = p->end_lsn;
        p->has_checkpoint = true;
    }
    r->rec = (struct fo_record){ p->end_lsn, p->end_lsn + HEADER + ((n + 7) & ~(size_t)7), type, (uint8_t)lane, count, at, { r->body, n } };
    *ret_lsn = p->end_lsn;
    p->end_lsn = r->rec.next_lsn;
    p->count++;
    return FO_OK;
}

static bool
commit(struct fo_journal *j)
{
    struct ports *p = of_journal(j);

    if (p->is_flying || p->durable == p->count)
        return false;
    p->flying = p->count;
    return p->is_flying = true;
}

static uint64_t
durable_lsn(const struct ports *p)
{
    return p->durable == 0 ? p->first_lsn : p->record[p->durable - 1].rec.next_lsn;
}

static void
trim(struct fo_journal *j, uint64_t below_lsn)
{
    DEMAND(below_lsn <= durable_lsn(of_journal(j)));
}

static void
stats(struct fo_journal *j, struct fo_journal_stats *ret_stats)
{
    struct ports *p = of_journal(j);

    *ret_stats = (struct fo_journal_stats){ .first_lsn = p->first_lsn, .end_lsn = p->end_lsn, .durable_lsn = durable_lsn(p), .segments = 1 };
}

static enum fo_err
reader_seek(struct fo_journal_reader *r, uint64_t lsn)
{
    r->lsn = lsn ? lsn : r->p->first_lsn;
    return r->lsn < r->p->first_lsn ? FO_ERR_CURSOR_GONE : r->lsn > durable_lsn(r->p) ? FO_ERR_INVALID : FO_OK;
}

static enum fo_err
reader_open(struct fo_journal *j, uint64_t lsn, struct fo_journal_reader **ret_reader)
{
    struct fo_journal_reader *r = malloc(sizeof *r);
    enum fo_err err;

    if (r == NULL)
        return FO_ERR_NO_MEMORY;
    r->p = of_journal(j);
    err = reader_seek(r, lsn);
    if (err != FO_OK) {
        free(r);
        return err;
    }
    r->p->readers++;
    *ret_reader = r;
    return FO_OK;
}

static enum fo_err
read_next(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    unsigned low = 0, high = r->p->durable;

    while (low < high) {                    /* the first record at or behind the position */
        unsigned mid = (low + high) / 2;

        if (r->p->record[mid].rec.lsn < r->lsn)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < r->p->durable; low++) {
        const struct fo_record *rec = &r->p->record[low].rec;

        if (rec->lsn == r->p->unreadable_lsn)
            return FO_ERR_IO;
        r->lsn = rec->next_lsn;
        if (!(type_mask >> rec->type & 1) || ((rec->type == FO_RECORD_OWN || rec->type == FO_RECORD_RECEIVED) && !(lane_mask >> rec->lane & 1)))
            continue;
        *ret_rec = *rec;
        return FO_OK;
    }
    return FO_ERR_NOT_FOUND;
}

static uint64_t
reader_lsn(const struct fo_journal_reader *r)
{
    return r->lsn;
}

static void
reader_close(struct fo_journal_reader *r)
{
    r->p->readers--;
    free(r);
}

static struct ports *
of_transport(struct fo_transport *t)
{
    return (struct ports *)((char *)t - offsetof(struct ports, transport));
}

static enum fo_err
link_send(struct fo_transport *t, unsigned peer, enum fo_link_class cls, struct fo_slice frame)
{
    struct ports *p = of_transport(t);

    (void)cls;
    DEMAND(peer > 0 && peer < WORLD_REGIONS);
    if (p->on_send != NULL)
        p->on_send(p->user, peer, frame);
    return FO_OK;
}

static void
door_reply(struct fo_transport *t, uint64_t request, struct fo_slice body)
{
    struct ports *p = of_transport(t);

    if (p->on_reply != NULL)
        p->on_reply(p->user, request, body);
}

static bool
feed_has_subscribers(struct fo_transport *t)
{
    (void)t;
    return true;
}

static void
feed_publish(struct fo_transport *t, struct fo_slice topic, struct fo_slice body)
{
    (void)t;
    DEMAND(memchr(topic.p, ' ', topic.n) == topic.p + topic.n - 1 && body.p[0] == '{');
}

static void
msg_free(struct fo_transport *t, struct fo_msg *take_msg)
{
    of_transport(t)->messages--;
    free(take_msg->handle);
    *take_msg = (struct fo_msg){ 0 };
}

void
ports_init(struct ports *p)
{
    static const struct fo_journal_ops journal_ops = { append, commit, wants_checkpoint, trim, stats, reader_open, read_next, reader_lsn, reader_seek, reader_close };
    static const struct fo_transport_ops transport_ops = { link_send, door_reply, feed_has_subscribers, feed_publish, msg_free };

    memset(p, 0, sizeof *p);
    p->journal.ops = &journal_ops;
    p->transport.ops = &transport_ops;
    p->first_lsn = p->end_lsn = p->segment_lsn = 4096;
}

void
ports_crash(struct ports *p)
{
    DEMAND(p->readers == 0 && p->messages == 0);
    while (p->count > p->durable)
        free(p->record[--p->count].body);
    p->flying = p->count;
    p->is_flying = false;
    p->end_lsn = durable_lsn(p);
    p->has_checkpoint = false;              /* a new one is due, as after a real start */
}

void
ports_fini(struct ports *p)
{
    ports_crash(p);
    while (p->count > 0)
        free(p->record[--p->count].body);
}

bool
ports_stored(struct ports *p, enum fo_err err, struct fo_input *ret_in)
{
    if (!p->is_flying)
        return false;
    p->is_flying = false;
    if (err == FO_OK)
        p->durable = p->flying;
    *ret_in = (struct fo_input){ .kind = FO_INPUT_STORED, .err = err, .lsn = durable_lsn(p) };
    return true;
}

struct fo_input
ports_input(struct ports *p, enum fo_input_kind kind, uint64_t request, struct fo_slice bytes)
{
    struct fo_input in = { .kind = kind, .request = request };

    in.msg.handle = malloc(bytes.n ? bytes.n : 1);
    if (in.msg.handle == NULL)
        return in;
    if (bytes.n > 0)
        memcpy(in.msg.handle, bytes.p, bytes.n);
    in.msg.body = fo_slice_of(in.msg.handle, bytes.n);
    p->messages++;
    return in;
}

uint64_t
ports_checkpoint_lsn(const struct ports *p)
{
    for (unsigned i = p->durable; i > 0; i--)
        if (p->record[i - 1].rec.type == FO_RECORD_CHECKPOINT)
            return p->record[i - 1].rec.lsn;
    return p->first_lsn;
}

const struct fo_config *
ports_config(void)
{
    static struct fo_config_peer peers[WORLD_REGIONS - 1];
    static struct fo_config c;

    for (unsigned i = 0; i + 1 < WORLD_REGIONS; i++)
        peers[i].region = (char *)(uintptr_t)world_regions.name[i + 1];
    c = (struct fo_config){ .region = (char *)(uintptr_t)world_regions.name[0], .peers = peers, .peers_count = WORLD_REGIONS - 1 };
    c.limits = (__typeof__(c.limits)){ .event_bytes_max = 4096, .request_bytes_max = 65536, .batch_events_max = 4, .batch_bytes_max = 8192, .requests_max = 64,
        .pending_events_max = 1000, .pending_bytes_max = 1 << 20, .waiting_events_max = 1000, .fetches_max = 8, .dedupe_events_max = 64, .schema_version_min = 1 };
    c.link = (__typeof__(c.link)){ .window_bytes = 4096, .window_bytes_min = 1024, .queue_delay_ms_max = 50, .ack_delay_ms_max = 2, .window_batches = 4, .heartbeat_ms = 750,
        .probes_missed_max = 3, .stable_ms_min = 1000, .stable_ms_max = 30000, .retransmit_ms_min = 200, .low_share_percent = 10 };
    c.journal = (__typeof__(c.journal)){ .durability = (char *)(uintptr_t)"power", .segment_bytes = PORTS_SEGMENT_BYTES, .bytes_max = 1 << 30, .retention_hours = 24,
        .retention_bytes = 1 << 29 };
    return &c;
}
