/* SPDX-License-Identifier: Apache-2.0
 *
 * fanout-3's load generator: one publisher at broker A, one subscriber at B and one at C; prints its measurements as JSON lines.
 *
 * One publisher (this process) and two forked subscribers share a page of counters, so that the publisher can keep a bounded number of
 * events in flight end to end whatever the broker does. Every payload has its number and the time when it was due, so a subscriber
 * sees what is lost, repeated or out of order, and how late it is. */
#include "load.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "account.h"

enum { BROKERS_MAX = 16, BURST_EVENTS = 256, PUT_BYTES_MAX = 2048, SETTLE_S = 10, CONNECT_S = 30, TICK_NS = 100000 };

struct tally {
    struct hist latency;
    uint64_t gaps, repeats, high_at_ns, high_behind;
    double cpu_s;
};

static struct shared {
    struct { _Atomic uint64_t received, last_ns; _Atomic bool is_ready; char apart[40]; } sub[2];
    _Atomic bool is_paused, is_done;
    struct tally tally[2];
} *shared;

static struct options {
    const char *mode, *peer, *tag;
    int port[3], pid[BROKERS_MAX], pids;
    uint64_t events, window, ack_window, gather;
    double rate, seconds, hold_s;
} opt = { .mode = "tput", .peer = "?", .events = 1000000, .window = 16384, .ack_window = 16384, .gather = 1, .seconds = 5, .hold_s = 3 };

static const struct driver *driver;
static const struct driver *const drivers[] = {
    &driver_fanout, &driver_raw, &driver_rawack, &driver_nats, &driver_js, &driver_redisps, &driver_redisst, &driver_mqtt0, &driver_mqtt1,
    &driver_amqp, &driver_nng,
#ifdef HAVE_ZMQ
    &driver_zmq,
#endif
};

static char payload[PAYLOAD_BYTES + 1];
static size_t number_at, time_at, flag_at;
static uint64_t put_ns[ACK_RING];   /* when each publish that awaits its ack was due; 0: acked, or not timed */
static struct hist ack_latency;
static char out[2 * WRITE_BYTES];
static size_t out_bytes;
static uint64_t sent;               /* measured events, warm-up excluded */

void
reply(struct client *c, const void *p, size_t n)
{
    if (c->reply_bytes + n > WRITE_BYTES) {
        put_all(c->fd, c->reply, c->reply_bytes);
        c->reply_bytes = 0;
    }
    memcpy(c->reply + c->reply_bytes, p, n);
    c->reply_bytes += n;
}

static unsigned
channels(void)
{
    return driver->channels ? driver->channels : 1;
}

void
event(struct client *c, const char *p)
{
    struct tally *t = &shared->tally[c->role];
    uint64_t number, due_ns;

    if (p[flag_at] == 'w') {
        atomic_store(&shared->sub[c->role].is_ready, true);
        return;
    }
    number = number_read(p + number_at);
    due_ns = number_read(p + time_at);
    if (p[flag_at] == '1') {        /* out of order, and meant to be */
        t->high_at_ns = c->now_ns;
        t->high_behind = c->got;
    } else
        order_note(&c->order, number);
    hist_add(&t->latency, c->now_ns > due_ns ? c->now_ns - due_ns : 0);
    c->got++;
}

void
acked_one(struct client *c, uint64_t id)
{
    uint64_t *at = &put_ns[id % ACK_RING];

    if (*at)
        hist_add(&ack_latency, c->now_ns > *at ? c->now_ns - *at : 0);
    *at = 0;
    c->acked++;
}

void
acked_up_to(struct client *c, uint64_t id)
{
    static uint64_t covered;        /* by an earlier cumulative ack */

    while (covered < id)
        if (put_ns[++covered % ACK_RING])
            acked_one(c, covered);
}

/* Reads once and parses; false: nothing was there. */
static bool
take(struct client *c, int flags)
{
    ssize_t k = recv(c->fd, c->in + c->in_bytes, READ_BYTES - c->in_bytes, flags);
    size_t used;

    if (k == 0)
        die("%s: the broker closed the connection", c->role < 0 ? "publisher" : "subscriber");
    if (k < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return false;
        die("recv: %s", strerror(errno));
    }
    c->now_ns = now_ns();
    c->in_bytes += (size_t)k;
    used = driver->take(c, c->in, c->in_bytes);
    if (used) {
        c->in_bytes -= used;
        memmove(c->in, c->in + used, c->in_bytes);
    } else if (c->in_bytes == READ_BYTES)
        die("a message is larger than the buffer");
    if (c->reply_bytes && !c->is_mid_frame) {
        put_all(c->fd, c->reply, c->reply_bytes);
        c->reply_bytes = 0;
    }
    return true;
}

static void
client_init(struct client *c, int role, int port)
{
    *c = (struct client){ .role = role, .port = port, .fd = -1, .reply = malloc(2 * WRITE_BYTES), .in = malloc(READ_BYTES) };
    if (!c->reply || !c->in)
        die("no memory");
    order_init(&c->order, channels());
    driver->open(c);
    if (c->fd >= 0 && role >= 0) {
        struct timeval patience = { 0, 100000 };

        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
}

static void
subscriber(int i, int port)
{
    struct client c;
    double cpu_s;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    client_init(&c, i, port);
    cpu_s = own_cpu_s();
    while (!atomic_load(&shared->is_done)) {
        if (atomic_load(&shared->is_paused)) {
            usleep(100);
            continue;
        }
        if (driver->receive ? !driver->receive(&c, 100) : !take(&c, 0))
            continue;
        atomic_store(&shared->sub[i].last_ns, c.now_ns);
        atomic_store(&shared->sub[i].received, c.got);
    }
    shared->tally[i].gaps = c.order.gaps;
    shared->tally[i].repeats = c.order.repeats;
    shared->tally[i].cpu_s = own_cpu_s() - cpu_s;
    _exit(0);
}

/* What was put leaves. A reply now would land inside a half-sent frame, so it waits. */
static void
flush(struct client *c)
{
    size_t done = 0;

    if (driver->burst)
        driver->burst(c);
    c->is_mid_frame = true;
    while (done < out_bytes) {
        ssize_t k = send(c->fd, out + done, out_bytes - done, MSG_DONTWAIT);
        struct pollfd f = { c->fd, POLLOUT | POLLIN, 0 };

        if (k > 0) {
            done += (size_t)k;
            continue;
        }
        if (k < 0 && errno != EAGAIN)
            die("send: %s", strerror(errno));
        poll(&f, 1, 100);
        if (f.revents & POLLIN)
            take(c, MSG_DONTWAIT);                      /* never deadlock on unread acks */
    }
    out_bytes = 0;
    c->is_mid_frame = false;
    if (c->reply_bytes) {
        put_all(c->fd, c->reply, c->reply_bytes);
        c->reply_bytes = 0;
    }
}

/* flag: '0' an event that is measured, '1' a high one, 'w' warm-up. */
static void
put(struct client *c, uint64_t due_ns, char flag)
{
    number_write(payload + number_at, flag == 'w' ? 0 : ++sent);
    number_write(payload + time_at, due_ns);
    payload[flag_at] = flag;
    c->channel = sent > 0 ? (unsigned)((sent - 1) % channels()) : 0;
    c->put++;
    if (driver->has_acks)
        put_ns[c->put % ACK_RING] = due_ns;
    if (driver->send) {
        driver->send(c, payload);
        return;
    }
    if (out_bytes > WRITE_BYTES - PUT_BYTES_MAX)
        flush(c);
    out_bytes += driver->put(c, out + out_bytes, payload, flag == '1');
}

static uint64_t
received_by_both(void)
{
    uint64_t b = atomic_load(&shared->sub[0].received), c = atomic_load(&shared->sub[1].received);

    return b < c ? b : c;
}

static void
wait_in(struct client *c, uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    struct pollfd f = { c->fd, POLLIN, 0 };

    if (ppoll(&f, c->fd >= 0, &t, NULL) > 0)
        take(c, MSG_DONTWAIT);
}

static uint64_t
less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many events are due after so many ns; only whole gatherings of them but at the end. */
static uint64_t
due_after(uint64_t ns, double rate, uint64_t events)
{
    uint64_t due = less((uint64_t)((double)ns * 1e-9 * rate) + 1, events);

    return due == events ? due : due - due % opt.gather;
}

/* Rate 0: as fast as the windows allow. Window 0: no bound on what is in flight end to end. A publisher that woke for each event
 * would take most of a core at half a million a second from the brokers; where more than one is due in TICK_NS they leave together. */
static void
publish(struct client *c, uint64_t events, double rate, uint64_t window, uint64_t ack_window)
{
    uint64_t began = now_ns(), first = sent, rest_min = rate * TICK_NS > 1e9 ? TICK_NS : 1;

    while (sent - first < events) {
        uint64_t now = now_ns(), goal = events, todo, due_ns, rest = 200000;

        if (rate > 0)
            goal = due_after(now - began, rate, events);
        todo = goal > sent - first ? goal - (sent - first) : 0;
        if (window)
            todo = less(todo, window - (sent - received_by_both()));
        if (driver->has_acks)
            todo = less(todo, ack_window - (c->put - c->acked));
        if (rate <= 0)
            todo = less(todo, BURST_EVENTS);
        for (uint64_t k = 0; k < todo; k++)
            put(c, rate > 0 ? began + (uint64_t)((double)(sent - first) * 1e9 / rate) : now, '0');
        flush(c);
        if (c->fd >= 0 && driver->has_acks)
            take(c, MSG_DONTWAIT);
        if (todo)
            continue;
        due_ns = began + (uint64_t)((double)(sent - first + opt.gather - 1) * 1e9 / (rate > 0 ? rate : 1));
        now = now_ns();
        if (rate > 0 && goal == sent - first)
            rest = due_ns > now + rest_min ? due_ns - now : rest_min;
        wait_in(c, rest);
    }
}

/* True when everything is acked and delivered; false when nothing more comes. */
static bool
settle(struct client *c)
{
    uint64_t mark = now_ns(), seen = received_by_both() + c->acked, now_seen;

    while ((driver->has_acks && c->acked < c->put) || received_by_both() < sent) {
        wait_in(c, 1000000);
        now_seen = received_by_both() + c->acked;
        if (now_seen != seen) {
            seen = now_seen;
            mark = now_ns();
        } else if (now_ns() - mark > SETTLE_S * 1000000000ull)
            return false;
    }
    return true;
}

static void
wait_acks(struct client *c)
{
    while (driver->has_acks && c->acked < c->put)
        wait_in(c, 1000000);
}

/* Warm-up events go out until the path to both subscribers stands. */
static void
wait_path(struct client *c)
{
    for (int i = 0; !(atomic_load(&shared->sub[0].is_ready) && atomic_load(&shared->sub[1].is_ready)); i++) {
        if (i == CONNECT_S * 100)
            die("%s: no path to both subscribers after %d s", opt.peer, CONNECT_S);
        put(c, now_ns(), 'w');
        flush(c);
        wait_in(c, 1);
        usleep(10000);
    }
    usleep(300000);
    wait_acks(c);
    memset(&ack_latency, 0, sizeof ack_latency);
}

struct usage { double broker[BROKERS_MAX], brokers, system, busy, stolen, own; };

static void
usage_of(struct usage *u)
{
    double system;

    *u = (struct usage){ .own = own_cpu_s() };
    for (int i = 0; i < opt.pids; i++) {
        u->broker[i] = process_cpu_s(opt.pid[i], &system);
        u->brokers += u->broker[i];
        u->system += system;
    }
    machine_cpu_s(&u->busy, &u->stolen);
}

static void
emit(const char *metric, double value, const char *unit)
{
    printf("{\"peer\":\"%s\",\"metric\":\"%s_%s\",\"value\":%.6g,\"unit\":\"%s\"}\n", opt.peer, opt.tag, metric, value, unit);
}

static void
emit_latency(const char *what, const struct hist *a, const struct hist *b)
{
    static const struct { const char *name; double q; } quantiles[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 } };
    char metric[64];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(metric, sizeof metric, "%s_%s", what, quantiles[i].name);
        emit(metric, hist_quantile(a, b, quantiles[i].q) / 1e3, "us");
    }
    snprintf(metric, sizeof metric, "%s_max", what);
    emit(metric, (double)(b && b->max > a->max ? b->max : a->max) / 1e3, "us");
}

static double
peak_mib(void)
{
    double sum = 0;

    for (int i = 0; i < opt.pids; i++)
        sum += process_peak_mib(opt.pid[i]);
    return sum;
}

struct times { uint64_t began, high, published, settled, last; };

static void
report_high(const struct times *t)
{
    static const char *const name[2][2] = { { "jump_B", "behind_B" }, { "jump_C", "behind_C" } };

    for (int i = 0; i < 2; i++) {
        const struct tally *at = &shared->tally[i];

        emit(name[i][0], at->high_at_ns ? (double)(at->high_at_ns - t->high) / 1e6 : -1, "ms");
        emit(name[i][1], (double)at->high_behind, "events");
    }
    emit("drain", (double)(t->last - t->high) / 1e6, "ms");
    emit("rss_sum", peak_mib(), "MiB");
}

static void
report(const struct times *t, const struct usage *a, const struct usage *b, bool is_complete)
{
    double wall_s = (double)(t->settled - t->began) * 1e-9, brokers = b->brokers - a->brokers, subs = shared->tally[0].cpu_s + shared->tally[1].cpu_s;
    double events = (double)sent;
    uint64_t repeats = shared->tally[0].repeats + shared->tally[1].repeats;

    emit("lost", 2 * events + (double)repeats - (double)(shared->sub[0].received + shared->sub[1].received), "events");
    emit("repeated", (double)repeats, "events");
    if (!is_complete)
        emit("incomplete", 1, "flag");
    if (strcmp(opt.mode, "tput") == 0) {
        emit("rate", events / ((double)(t->last - t->began) * 1e-9), "events/s");
        emit("broker_system", brokers > 0 ? 100 * (b->system - a->system) / brokers : 0, "%");
        emit("rss_sum", peak_mib(), "MiB");
    } else
        emit("achieved", events / ((double)(t->published - t->began) * 1e-9), "events/s");
    emit("broker_cpu", brokers / events * 1e6, "s/Mev");
    emit("client_cpu", (b->own - a->own + subs) / events * 1e6, "s/Mev");
    if (t->high)
        report_high(t);
    else
        emit_latency("lat", &shared->tally[0].latency, &shared->tally[1].latency);
    if (driver->has_acks && ack_latency.n)
        emit_latency("ack", &ack_latency, NULL);
    emit("other_cpu", (b->busy - a->busy - brokers - (b->own - a->own) - subs) / wall_s, "cores");
    emit("stolen", (b->stolen - a->stolen) / wall_s, "cores");
}

static void
signal_targets(int number)
{
    for (int i = 1; i < opt.pids; i++)
        kill(opt.pid[i], number);
}

/* The publisher's part of each mode. The backlog waits for subscribers that do not read (prio), or for brokers that stand still (link). */
static void
work(struct client *c, struct times *t)
{
    t->began = now_ns();
    if (strcmp(opt.mode, "tput") == 0)
        publish(c, opt.events, 0, opt.window, opt.ack_window);
    else if (strcmp(opt.mode, "rate") == 0)
        publish(c, (uint64_t)(opt.rate * opt.seconds), opt.rate, 0, ACK_RING / 2);
    else if (strcmp(opt.mode, "sync") == 0 && driver->has_acks)
        while ((double)(now_ns() - t->began) < opt.seconds * 1e9) {
            put(c, now_ns(), '0');
            flush(c);
            while (c->acked < c->put)
                wait_in(c, 100000000);
        }
    else if (strcmp(opt.mode, "prio") == 0) {
        uint64_t until;

        atomic_store(&shared->is_paused, true);
        usleep(250000);
        publish(c, opt.events, 0, 0, opt.ack_window);
        for (until = now_ns() + (uint64_t)(opt.hold_s * 1e9); now_ns() < until;)
            wait_in(c, 1000000);
        t->high = now_ns();
        put(c, t->high, '1');
        flush(c);
        atomic_store(&shared->is_paused, false);
    } else if (strcmp(opt.mode, "link") == 0) {
        signal_targets(SIGSTOP);
        publish(c, opt.events, 0, 0, opt.ack_window);
        wait_acks(c);
        put(c, now_ns(), '1');
        flush(c);
        wait_acks(c);
        t->high = now_ns();
        signal_targets(SIGCONT);
    } else
        die("%s cannot do %s", driver->name, opt.mode);
    t->published = now_ns();
}

static void
read_options(int argc, char **argv)
{
    const char *name = "";
    int o;

    while ((o = getopt(argc, argv, "d:p:m:n:w:a:r:g:s:k:l:t:b:")) > 0)
        switch (o) {
        case 'd': name = optarg; break;
        case 'p':
            if (sscanf(optarg, "%d,%d,%d", &opt.port[0], &opt.port[1], &opt.port[2]) != 3)
                die("-p takes three ports");
            break;
        case 'm': opt.mode = optarg; break;
        case 'n': opt.events = strtoull(optarg, NULL, 10); break;
        case 'w': opt.window = strtoull(optarg, NULL, 10); break;
        case 'a': opt.ack_window = strtoull(optarg, NULL, 10); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'g': opt.gather = strtoull(optarg, NULL, 10); break;
        case 's': opt.seconds = atof(optarg); break;
        case 'k':
            for (char *p = strtok(optarg, ","); p && opt.pids < BROKERS_MAX; p = strtok(NULL, ","))
                opt.pid[opt.pids++] = atoi(p);
            break;
        case 'l': opt.peer = optarg; break;
        case 't': opt.tag = optarg; break;
        case 'b': opt.hold_s = atof(optarg); break;
        default:
            die("usage: load -d DRIVER -p PUB,SUB_B,SUB_C -m tput|rate|sync|prio|link [-n EVENTS] [-w WINDOW] [-a ACK_WINDOW] [-r RATE]"
                " [-g EVENTS_TOGETHER] [-s SECONDS] [-b SECONDS_OF_BACKLOG] [-k BROKER_PIDS] [-l PEER] [-t TAG]");
        }
    opt.tag = opt.tag ? opt.tag : opt.mode;
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            driver = drivers[i];
    if (!driver)
        die("no driver '%s' was built", name);
    if (opt.gather == 0)
        die("-g 0: at least one event at a time");
}

static void
make_payload(void)
{
    int n = snprintf(payload, sizeof payload, "{\"type\":\"order_status\",\"prio\":\"0\",\"seq\":\"%016d\",\"ts\":\"%016d\",\"order\":\"A-100042-7\","
                     "\"status\":\"shipped\",\"carrier\":\"DHL\",\"note\":\"", 0, 0);

    memset(payload + n, 'x', PAYLOAD_BYTES - (size_t)n - 2);
    memcpy(payload + PAYLOAD_BYTES - 2, "\"}", 2);
    flag_at = (size_t)(strstr(payload, "prio\":\"") - payload) + 7;
    number_at = (size_t)(strstr(payload, "seq\":\"") - payload) + 6;
    time_at = (size_t)(strstr(payload, "ts\":\"") - payload) + 5;
}

int
main(int argc, char **argv)
{
    struct usage before, after;
    struct times t = { 0 };
    struct client c;
    bool is_complete;
    int child[2];

    read_options(argc, argv);
    make_payload();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("no memory");
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < 2; i++)
        if ((child[i] = fork()) == 0)
            subscriber(i, opt.port[i + 1]);
    client_init(&c, -1, opt.port[0]);
    wait_path(&c);
    usage_of(&before);
    work(&c, &t);
    is_complete = settle(&c);
    t.settled = now_ns();
    for (int i = 0; i < 2; i++)
        t.last = t.last < shared->sub[i].last_ns ? shared->sub[i].last_ns : t.last;
    usage_of(&after);
    atomic_store(&shared->is_done, true);
    for (int i = 0; i < 2; i++)
        waitpid(child[i], NULL, 0);
    report(&t, &before, &after, is_complete);
    return is_complete ? 0 : 3;
}
