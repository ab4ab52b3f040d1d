/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/paths.h"

#include "ports/log.h"

enum { TELL_HEALTH_MS = 10000, CARRY_WINDOWS_PER_S = 8, ACKS_AT_ONCE = 16 };

static unsigned
fill_reaches(const struct fo_forward *f, unsigned peer, struct fo_slice *ret_names)
{
    unsigned n = 0;

    for (unsigned p = 1; p < f->ctx->regions.count && n < FO_REACHES_MAX; p++)
        if (p != peer && fo_health_is_trusted(&f->peer[p].health))
            ret_names[n++] = fo_slice_str(fo_context_name(f->ctx, p));
    return n;
}

/* Those that could not wait may be many; the next one waits no longer for it. */
static void
note_ack(const struct fo_forward *f, struct fo_peer *p)
{
    struct fo_instant latest = fo_instant_add(f->ctx->now, (struct fo_duration){ ACKS_AT_ONCE * f->ack_delay.ns });

    p->acks_paid_to = fo_instant_earlier(latest, fo_instant_add(fo_instant_later(f->ctx->now, p->acks_paid_to), f->ack_delay));
}

void
fo_paths_control(struct fo_forward *f, unsigned peer, enum fo_frame_kind kind, fo_forward_acks_fn acks, void *user)
{
    static struct fo_control c;         /* loop thread only */
    struct fo_context *ctx = f->ctx;
    struct fo_peer *p = &f->peer[peer];

    c = (struct fo_control){ .region = fo_slice_str(fo_context_name(ctx, 0)), .key_id = ctx->key->public_half.id,
        .target = fo_slice_str(fo_context_name(ctx, peer)), .session = ctx->session, .sent_at = fo_context_clock(ctx) };
    acks(user, peer, &c);
    c.reach_count = fill_reaches(f, peer, c.reach);
    if (p->heard_sent_at.us != 0) {
        c.echo_at = p->heard_sent_at;
        c.echo_delay_us = fo_instant_since(ctx->now, p->heard_at).ns / 1000;
    }
    p->is_greeted = true;
    note_ack(f, p);
    if (kind != FO_FRAME_ACK)
        p->probed_at = ctx->now;
    p->wants_ack = false;
    p->unacked = (struct fo_unacked){ 0 };
    f->frame.n = 0;
    if (fo_control_seal(kind, &c, ctx->key, &f->frame) != FO_OK) {
        fo_log(FO_LOG_ERROR, "control_seal_failed", FO_S("peer", fo_context_name(ctx, peer)));
        return;
    }
    ctx->counters.acks_sent += kind == FO_FRAME_ACK;
    if (p->link.is_up[FO_LINK_URGENT])
        (void)ctx->transport->ops->link_send(ctx->transport, peer, FO_LINK_URGENT, fo_buf_slice(&f->frame));
    if (p->via != 0)
        fo_forward_send(f, peer, FO_LINK_URGENT, fo_buf_slice(&f->frame));
}

static bool
can_carry(const struct fo_forward *f, unsigned carrier, unsigned target)
{
    const struct fo_peer *c = &f->peer[carrier];

    return carrier != target && fo_health_is_trusted(&c->health) && c->link.is_up[FO_LINK_URGENT] && (c->reaches >> target & 1);
}

/* The first one behind `from` in the table, and round again, that could carry; 0: none. */
static unsigned
next_carrier(const struct fo_forward *f, unsigned peer, unsigned from)
{
    unsigned peers = f->ctx->regions.count - 1;

    for (unsigned i = 0; i < peers; i++)
        if (can_carry(f, (from + i) % peers + 1, peer))
            return (from + i) % peers + 1;
    return 0;
}

/* The way to the peer from now on: 0 the direct link, else who carries. A working relay is kept until the direct link is trusted. */
static unsigned
choose_via(const struct fo_forward *f, unsigned peer)
{
    const struct fo_peer *p = &f->peer[peer];

    if (fo_health_is_trusted(&p->health))
        return 0;
    if (p->via != 0 && can_carry(f, p->via, peer))
        return p->via;
    if (p->health.state != FO_HEALTH_DOWN)
        return 0;
    return next_carrier(f, peer, 0);
}

static void
reroute(struct fo_forward *f, unsigned peer, unsigned via)
{
    struct fo_peer *p = &f->peer[peer];

    if (via != p->via) {
        fo_log(FO_LOG_WARN, "path_changed", FO_S("peer", fo_context_name(f->ctx, peer)), FO_S("via", via ? fo_context_name(f->ctx, via) : "direct"));
        p->via = via;
        fo_link_peer_restarted(&p->link);   /* what was on the old way counts as lost */
        p->wants_ack = true;
    }
    fo_link_reroute(&p->link, via == 0 && !fo_health_is_open(&p->health), via != 0);
}

static void
tell_health(struct fo_forward *f, unsigned peer)
{
    f->peer[peer].health_told_at = f->ctx->now;
    if (f->on_health != NULL)
        f->on_health(f->on_health_user, peer, &f->peer[peer]);
}

static void
check_health(struct fo_forward *f, unsigned peer)
{
    struct fo_peer *p = &f->peer[peer];
    enum fo_health_state before = p->health.state;

    if (!fo_health_check(&p->health, f->ctx->now, p->link.rtt)) {
        if (p->health_told_at.ns == 0 || !fo_instant_is_before(f->ctx->now, fo_instant_add(p->health_told_at, fo_duration_ms(TELL_HEALTH_MS))))
            tell_health(f, peer);
        return;
    }
    fo_log(p->health.state == FO_HEALTH_DOWN ? FO_LOG_WARN : FO_LOG_INFO, "link_health", FO_S("peer", fo_context_name(f->ctx, peer)),
        FO_S("from", fo_health_name(before)), FO_S("to", fo_health_name(p->health.state)), FO_I("missed", p->health.failures), FO_I("flaps", p->health.flaps),
        FO_S("hears", fo_health_is_deaf(&p->health, f->ctx->now) ? "no" : "yes"));
    tell_health(f, peer);
}

/* Acks are cumulative: in a stream each waits for more to say, but not while somebody waits for it, nor so long that the peer's window
 * would stand still. After silence that window may be small, and grows by acks only: ACKS_AT_ONCE of them do not wait. */
static struct fo_instant
ack_due(const struct fo_forward *f, const struct fo_peer *p)
{
    bool is_urgent = p->unacked.is_awaited || p->unacked.batches >= f->ctx->config->link.window_batches / 4 || p->unacked.bytes >= f->ctx->config->link.window_bytes / 4;

    return is_urgent ? f->ctx->now : fo_instant_add(p->acks_paid_to, (struct fo_duration){ -(ACKS_AT_ONCE - 1) * f->ack_delay.ns });
}

static struct fo_instant
send_due(struct fo_forward *f, unsigned peer, fo_forward_acks_fn acks, void *user)
{
    struct fo_duration beat = f->health_limits.probe_every;
    struct fo_peer *p = &f->peer[peer];
    struct fo_instant due;

    if (!p->link.is_up[FO_LINK_URGENT] && p->via == 0)
        return (struct fo_instant){ INT64_MAX };
    /* An ack is no probe, since nobody answers it at once: a side that answers every probe in time still sends its own. */
    if (!p->is_greeted)
        fo_paths_control(f, peer, FO_FRAME_HELLO, acks, user);
    else if (!fo_instant_is_before(f->ctx->now, fo_instant_add(p->probed_at, beat)))
        fo_paths_control(f, peer, FO_FRAME_HEARTBEAT, acks, user);
    else if (p->wants_ack && !fo_instant_is_before(f->ctx->now, ack_due(f, p)))
        fo_paths_control(f, peer, FO_FRAME_ACK, acks, user);
    due = fo_instant_add(p->probed_at, beat);
    return p->wants_ack ? fo_instant_earlier(ack_due(f, p), due) : due;
}

struct fo_instant
fo_paths_tick(struct fo_forward *f, fo_forward_acks_fn acks, void *user)
{
    struct fo_instant next = fo_instant_add(f->ctx->now, f->health_limits.probe_every);

    for (unsigned i = 1; i < f->ctx->regions.count; i++) {
        struct fo_peer *p = &f->peer[i];
        uint64_t retransmits = p->link.retransmits;
        struct fo_instant due;

        check_health(f, i);
        reroute(f, i, choose_via(f, i));
        due = fo_link_check_timeouts(&p->link, f->ctx->now);
        if (p->link.retransmits != retransmits) {
            fo_log(FO_LOG_INFO, "retransmit", FO_S("peer", fo_context_name(f->ctx, i)), FO_I("backlog", p->link.lane[FO_LANE_NORMAL].backlog_events));
            if (p->via != 0)                /* it says that it reaches the peer, and no answer comes: perhaps another one does */
                reroute(f, i, next_carrier(f, i, p->via));
        }
        if (fo_instant_is_before(due, next))
            next = due;
        due = send_due(f, i, acks, user);
        if (fo_instant_is_before(due, next))
            next = due;
    }
    return next;
}

static fo_region_set
named(const struct fo_context *ctx, const struct fo_control *c)
{
    fo_region_set set = 0;

    for (unsigned i = 0; i < c->reach_count; i++) {
        int r = fo_context_region(ctx, c->reach[i]);

        if (r > 0)
            set |= 1ull << r;
    }
    return set;
}

/* Repeated and overtaken frames say nothing new. A new process whose clock is behind that of the one before is believed when
 * that one has been silent for so long that it must be gone. */
static bool
is_news(const struct fo_forward *f, const struct fo_peer *p, const struct fo_control *c, bool is_direct)
{
    int64_t silent_ns = fo_instant_since(f->ctx->now, p->newest_at).ns;

    if (c->session != p->session && silent_ns >= (int64_t)f->health_limits.missed_max * f->health_limits.probe_every.ns)
        return true;
    return c->sent_at.us > p->newest_sent_at.us || (c->sent_at.us == p->newest_sent_at.us && is_direct);
}

/* The peer says to be a new process. One that says so all the time does not have everything sent to it again each time. */
static void
begin_session(struct fo_forward *f, struct fo_peer *p, uint64_t session)
{
    bool is_known = p->session != 0;

    p->session = session;
    p->heard_sent_at = (struct fo_wall){ 0 };
    if (!is_known || fo_instant_is_before(f->ctx->now, fo_instant_add(p->restarted_at, f->limits.retransmit_min)))
        return;
    p->restarted_at = f->ctx->now;
    fo_link_peer_restarted(&p->link);
}

bool
fo_paths_heard(struct fo_forward *f, unsigned peer, const struct fo_control *c, bool is_direct)
{
    struct fo_context *ctx = f->ctx;
    struct fo_peer *p = &f->peer[peer];
    int64_t echo_age_us = fo_context_clock(ctx).us - c->echo_at.us, uptime_us = fo_instant_since(ctx->now, ctx->started_at).ns / 1000;
    bool is_echo = c->echo_at.us != 0 && echo_age_us >= 0 && echo_age_us <= uptime_us;  /* of what this process can have sent */

    if (!is_news(f, p, c, is_direct))
        return false;                   /* its acks count, its clock does not */
    if (p->session != c->session)
        begin_session(f, p, c->session);
    p->newest_sent_at = c->sent_at;
    p->newest_at = ctx->now;
    p->reaches = named(ctx, c);
    if (is_echo)
        fo_health_reached(&p->health, (struct fo_instant){ ctx->now.ns - echo_age_us * 1000 });
    if (!is_direct || c->sent_at.us <= p->heard_sent_at.us)
        return true;
    p->heard_sent_at = c->sent_at;
    p->heard_at = ctx->now;
    fo_health_heard(&p->health, ctx->now);
    if (is_echo && c->echo_delay_us <= echo_age_us)
        fo_link_measure_rtt(&p->link, (struct fo_duration){ (echo_age_us - c->echo_delay_us) * 1000 });
    return true;
}

void
fo_paths_carry(struct fo_forward *f, unsigned target, enum fo_link_class cls, struct fo_slice frame)
{
    struct fo_peer *p = &f->peer[target];

    if (!fo_health_is_trusted(&p->health))
        return;                         /* its sender repeats it, and has heard by then that we reach the target no more */
    if (fo_instant_since(f->ctx->now, p->carried.from).ns >= 1000000000) {
        p->carried.from = f->ctx->now;
        p->carried.bytes = 0;
    }
    if (p->carried.bytes > (uint64_t)CARRY_WINDOWS_PER_S * f->ctx->config->link.window_bytes)
        return;                         /* others' frames do not crowd out our own; these are repeated */
    p->carried.bytes += frame.n;
    f->ctx->counters.relayed_frames++;
    (void)f->ctx->transport->ops->link_send(f->ctx->transport, target, cls, frame);
}
