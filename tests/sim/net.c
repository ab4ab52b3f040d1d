/* SPDX-License-Identifier: Apache-2.0
 *
 * The network between the brokers: each direction and class of each link loses, delays, doubles, reorders and corrupts
 * frames, and may be cut, with or without the sender's being told. Old frames come again, also at the wrong door. */
#include "sim.h"

#include <stdlib.h>

static const int64_t ms = 1000000;

static unsigned
node_of(const struct fo_transport *t)
{
    return ((const struct sim_transport *)t)->node;
}

static struct sim *
sim_of(const struct fo_transport *t)
{
    return ((const struct sim_transport *)t)->sim;
}

static void
arrive(struct sim *s, const struct task *t)
{
    struct fo_input in = { .kind = FO_INPUT_FRAME };
    struct node *n = &s->node[t->node];

    if (!n->is_up)
        return;
    in.msg.handle = malloc(t->b);
    memcpy(in.msg.handle, t->take, t->b);
    in.msg.body = fo_slice_of(in.msg.handle, t->b);
    n->msgs_out++;
    trace_note(s, (int)t->node, "arrives", t->a, fo_crc32c(0, t->take, t->b), NULL);
    node_post(s, t->node, &in);
}

static void
carry(struct sim *s, unsigned from, unsigned to, struct fo_slice frame)
{
    uint8_t *copy = malloc(frame.n);

    memcpy(copy, frame.p, frame.n);
    if (sim_chance(s, s->net.corruption))
        copy[sim_below(s, frame.n)] ^= (uint8_t)(1u << sim_below(s, 8));
    sim_after(s, 1 + s->net.delay_ns + (int64_t)sim_below(s, (uint64_t)s->net.jitter_ns), arrive, to, from, frame.n, copy);
}

static void
keep(struct sim *s, unsigned to, struct fo_slice frame)
{
    unsigned i = (unsigned)sim_below(s, KEPT_FRAMES_MAX);

    free(s->net.kept[i].p);
    s->net.kept[i].p = malloc(frame.n);
    memcpy(s->net.kept[i].p, frame.p, frame.n);
    s->net.kept[i].n = frame.n;
    s->net.kept[i].to = to;
}

/* Whoever speaks in the frame, its sender or, in a relayed one, its origin: only of what is durable. */
static void
check_frame(struct sim *s, unsigned from, struct fo_slice bytes)
{
    static struct fo_control c;
    struct fo_frame frame;
    enum fo_err err = fo_frame_split(bytes, &frame);
    bool is_relay = err == FO_OK && frame.kind == FO_FRAME_RELAY;
    int speaker, listener;

    if (is_relay)
        err = fo_frame_split(frame.body, &frame);
    if (err == FO_OK && frame.kind == FO_FRAME_BATCH)
        return;
    if (err == FO_OK)
        err = fo_control_decode(&frame, &c);
    if (err == FO_OK)
        err = fo_control_verify(&frame, &c, keys_ring());
    if (err != FO_OK) {
        if (!is_relay)                  /* may be damaged on its way to the carrier, which does not look inside */
            sim_fail(s, "%s sends a frame that cannot be read: %s", region_name(from), fo_err_name(err));
        return;
    }
    speaker = region_index((const char *)c.region.p, c.region.n);
    listener = region_index((const char *)c.target.p, c.target.n);
    if (speaker < 0 || listener < 0)
        sim_fail(s, "%s sends a control frame of nobody", region_name(from));
    else
        truth_control(s, (unsigned)speaker, (unsigned)listener, &c);
}

static enum fo_err
link_send(struct fo_transport *t, unsigned peer, enum fo_link_class cls, struct fo_slice frame)
{
    struct sim *s = sim_of(t);
    unsigned from = node_of(t), to = s->node[from].to_global[peer];
    const struct net_link *l = &s->net.link[from][to][cls];

    trace_note(s, (int)from, "sends", to, fo_crc32c(0, frame.p, frame.n), cls == FO_LINK_URGENT ? "urgent" : "bulk");
    check_frame(s, from, frame);
    if (!l->is_up)
        return FO_ERR_CLOSED;
    if (sim_chance(s, 60))
        keep(s, to, frame);
    if (l->is_cut || sim_chance(s, s->net.loss))
        return FO_OK;
    carry(s, from, to, frame);
    if (sim_chance(s, s->net.duplication))
        carry(s, from, to, frame);
    return FO_OK;
}

static void
door_reply(struct fo_transport *t, uint64_t request, struct fo_slice body)
{
    struct sim *s = sim_of(t);
    struct node *n = &s->node[node_of(t)];
    unsigned i = 0;

    trace_note(s, (int)n->index, "answers", request, fo_crc32c(0, body.p, body.n), NULL);
    while (i < n->open_count && n->open_request[i] != request)
        i++;
    if (i == n->open_count) {
        sim_fail(s, "%s answers request %llu twice or unasked", region_name(n->index), (unsigned long long)request);
        return;
    }
    n->open_request[i] = n->open_request[--n->open_count];
    for (i = 0; i < s->plan.publishers; i++)
        if (s->publisher[i].request == request)
            publisher_answer(s, i, body);
    for (i = 0; i < s->plan.readers; i++)
        if (s->reader[i].request == request)
            reader_answer(s, i, body);
}

static bool
feed_has_subscribers(struct fo_transport *t)
{
    return sim_of(t)->seed % 2 == 0;
}

static void
feed_publish(struct fo_transport *t, struct fo_slice topic, struct fo_slice body)
{
    trace_note(sim_of(t), (int)node_of(t), "feeds", fo_crc32c(0, topic.p, topic.n), fo_crc32c(0, body.p, body.n), NULL);
}

static void
msg_free(struct fo_transport *t, struct fo_msg *take_msg)
{
    if (take_msg->handle == NULL)
        return;
    free(take_msg->handle);
    *take_msg = (struct fo_msg){ 0 };
    sim_of(t)->node[node_of(t)].msgs_out--;
}

const struct fo_transport_ops sim_transport_ops = { link_send, door_reply, feed_has_subscribers, feed_publish, msg_free };

/* Tells the sender of its connection; a: receiver, b: class and whether up. */
static void
tell(struct sim *s, const struct task *t)
{
    struct node *n = &s->node[t->node];
    unsigned to = (unsigned)t->a;
    enum fo_link_class cls = t->b >> 1 ? FO_LINK_BULK : FO_LINK_URGENT;
    struct net_link *l = &s->net.link[t->node][to][cls];
    bool is_up = t->b & 1;

    if (!n->is_up || n->life != t->life || l->is_up == is_up || (is_up && (l->is_cut || !s->node[to].is_up)))
        return;
    l->is_up = is_up;
    trace_note(s, (int)t->node, is_up ? "link up" : "link down", to, cls, NULL);
    node_post(s, t->node, &(struct fo_input){ .kind = is_up ? FO_INPUT_LINK_UP : FO_INPUT_LINK_DOWN, .peer = n->to_local[to], .cls = cls });
    if (!is_up && !l->is_cut && s->node[to].is_up)      /* it broke, and it is there again already */
        sim_after(s, (1 + (int64_t)sim_below(s, 100)) * ms, tell, t->node, to, t->b | 1, NULL);
}

static void
tell_both(struct sim *s, unsigned from, unsigned to, bool is_up)
{
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        sim_after(s, (1 + (int64_t)sim_below(s, 100)) * ms, tell, from, to, cls << 1 | is_up, NULL);
}

void
net_node_up(struct sim *s, unsigned i)
{
    for (unsigned k = 0; k < s->plan.nodes; k++) {
        if (k == i)
            continue;
        for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
            s->net.link[i][k][cls].is_up = false;
        tell_both(s, i, k, true);
        tell_both(s, k, i, true);
    }
}

void
net_node_down(struct sim *s, unsigned i)
{
    for (unsigned k = 0; k < s->plan.nodes; k++)
        if (k != i)
            tell_both(s, k, i, false);
}

void
net_cut(struct sim *s, unsigned from, unsigned to, bool tells)
{
    trace_note(s, (int)from, "cut", to, tells, NULL);
    s->covered.cuts++;
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        s->net.link[from][to][cls].is_cut = true;
    if (tells)
        tell_both(s, from, to, false);
}

void
net_heal(struct sim *s, unsigned from, unsigned to)
{
    trace_note(s, (int)from, "healed", to, 0, NULL);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        s->net.link[from][to][cls].is_cut = false;
    tell_both(s, from, to, true);
}

/* A frame of long ago comes once more, now and then at a broker that it was not meant for. */
void
net_replay(struct sim *s)
{
    unsigned i = (unsigned)sim_below(s, KEPT_FRAMES_MAX);

    if (s->net.kept[i].p == NULL)
        return;
    carry(s, NODES_MAX, sim_chance(s, 100) ? (unsigned)sim_below(s, s->plan.nodes) : s->net.kept[i].to, fo_slice_of(s->net.kept[i].p, s->net.kept[i].n));
}

void
net_fini(struct sim *s)
{
    for (unsigned i = 0; i < KEPT_FRAMES_MAX; i++)
        free(s->net.kept[i].p);
}
