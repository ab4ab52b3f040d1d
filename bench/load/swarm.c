/* SPDX-License-Identifier: Apache-2.0
 *
 * Many publishers and subscribers at our brokers, in one process; prints one JSON object. What load.c is for fanout-3, this is for tables by size.
 *
 *   swarm -p PORT -s PORT,... [-c PUBLISHERS] [-r SUBSCRIBERS] [-x BYSTANDERS] [-n EVENTS] [-b BATCH] [-z PAYLOAD] [-k BROKER_PIDS]
 *
 * PORT is a door on 127.0.0.1, in a network namespace when written NAME/PORT. Each publisher has one request of BATCH events under way. At
 * each -s there are SUBSCRIBERS, and at the first of them BYSTANDERS besides, whose filter matches nothing. Each payload begins with its
 * publisher, its number and the time it was sent: a subscriber that sees a gap, a repetition or another order ends the run. */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "account.h"
#include "door.h"
#include "load.h"

enum { DOORS_MAX = 32, PIDS_MAX = 32, READY_MAX = 256, BYTES_MIN = 1 << 16, SILENCE_S = 20, STAMP_BYTES = 16, EVENT_HEAD_BYTES = 15, FEW = 64 };

struct stamp { uint32_t publisher, number; uint64_t sent_ns; };     /* number 0: warm-up */
static_assert(sizeof(struct stamp) == STAMP_BYTES, "the payload's first bytes");

enum role { PUBLISHER, SUBSCRIBER, BYSTANDER };

struct connection {
    enum role role;
    int fd;
    char *in;
    size_t in_bytes, in_room;
    uint32_t index, sent;           /* publisher: which one, and the number of its last event */
    uint64_t left;                  /* publisher: requests to come */
    uint32_t *seen;                 /* subscriber: the last number of each publisher */
    uint64_t got;                   /* events, warm-up apart */
    bool is_warm;
};

static struct {
    char *publish_at, *subscribe_at[DOORS_MAX];
    int pid[PIDS_MAX];
    unsigned doors, pids, publishers, subscribers, bystanders, batch, payload;
    uint64_t events;
} opt = { .publishers = 1, .subscribers = 1, .batch = 1000, .payload = 256, .events = 100000 };

static struct connection *all, *readers, *writers;
static unsigned reader_count;
static uint64_t total, delivered, acked;
static uint32_t fetch_bytes;
static struct hist latency;
static int epoll, home;

static void
enter(int netns)
{
    if (setns(netns, CLONE_NEWNET) != 0)
        die("network namespace: %s", strerror(errno));
}

static void
open_connection(struct connection *c, enum role role, char *at)
{
    struct epoll_event want = { .events = EPOLLIN, .data.ptr = c };
    char *slash = strchr(at, '/'), path[128];
    int netns = -1;

    if (slash != NULL) {
        snprintf(path, sizeof path, "/run/netns/%.*s", (int)(slash - at), at);
        netns = open(path, O_RDONLY | O_CLOEXEC);
        enter(netns);
    }
    c->role = role;
    c->fd = dial(atoi(slash != NULL ? slash + 1 : at));
    if (netns >= 0) {
        enter(home);
        close(netns);
    }
    door_greet(c->fd);
    c->in = malloc(c->in_room = BYTES_MIN);
    if (role == SUBSCRIBER)
        c->seen = calloc(opt.publishers, sizeof *c->seen);
    if (c->in == NULL || (role == SUBSCRIBER && c->seen == NULL) || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &want) != 0)
        die("a connection: %s", strerror(errno));
    if (role != PUBLISHER)
        door_fetch(c->fd, NULL, fetch_bytes, role == BYSTANDER ? "order_created" : NULL);
}

/* {"brief": true, "events": [{2 type: "custom", 17 data: bin}, ...]} */
static void
publish(struct connection *c, unsigned count, bool is_warm_up)
{
    static const char head[] = "\x82\xa5" "brief\xc3\xa6" "events\xdd", event_head[] = "\x82\x02\xa6" "custom\x11\xc6";
    static char *message;
    uint32_t count_be = htobe32(count), payload_be = htobe32(opt.payload);
    char *p;

    if (message == NULL && (message = malloc(DOOR_HEAD_BYTES + sizeof head + 4 + (size_t)opt.batch * (EVENT_HEAD_BYTES + opt.payload))) == NULL)
        die("no memory");
    p = message + DOOR_HEAD_BYTES;
    memcpy(p, head, sizeof head - 1), p += sizeof head - 1;
    memcpy(p, &count_be, 4), p += 4;
    for (unsigned i = 0; i < count; i++) {
        struct stamp s = { c->index, is_warm_up ? 0 : ++c->sent, now_ns() };

        memcpy(p, event_head, sizeof event_head - 1), p += sizeof event_head - 1;
        memcpy(p, &payload_be, 4), p += 4;
        memcpy(p, &s, sizeof s);
        memset(p + sizeof s, 'x', opt.payload - sizeof s);
        p += opt.payload;
    }
    door_ask(c->fd, message, (size_t)(p - message) - DOOR_HEAD_BYTES);
}

static void
publish_more(struct connection *c)
{
    if (c->left > 0) {
        c->left--;
        publish(c, opt.batch, false);
    }
}

static void
take_event(struct connection *c, struct item payload, uint64_t at_ns)
{
    struct stamp s;

    if (c->role != SUBSCRIBER || payload.n != opt.payload)
        die("a subscriber got what it should not");
    memcpy(&s, payload.text, sizeof s);
    if (s.number == 0) {
        c->is_warm = true;
        return;
    }
    if (s.publisher >= opt.publishers || s.number != c->seen[s.publisher] + 1)
        die("event %u of publisher %u came behind %u", s.number, s.publisher, s.publisher < opt.publishers ? c->seen[s.publisher] : 0);
    c->seen[s.publisher]++;
    c->got++;
    delivered++;
    hist_add(&latency, at_ns - s.sent_ns);
}

static void
take_answer(struct connection *c, struct walk answer)
{
    static struct item payload[FETCH_MAX];
    struct item cursor;
    uint64_t at_ns = now_ns();
    unsigned count;

    if (c->role == PUBLISHER) {
        door_published(answer);
        acked++;
        publish_more(c);
        return;
    }
    count = door_fetched(answer, &cursor, payload);
    door_fetch(c->fd, &cursor, fetch_bytes, c->role == BYSTANDER ? "order_created" : NULL);
    for (unsigned i = 0; i < count; i++)
        take_event(c, payload[i], at_ns);
}

static void
on_readable(struct connection *c)
{
    ssize_t k = recv(c->fd, c->in + c->in_bytes, c->in_room - c->in_bytes, MSG_DONTWAIT);
    struct walk answer;
    size_t used;

    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (k <= 0)
        die("a broker closed a connection");
    c->in_bytes += (size_t)k;
    if ((used = door_answer(c->in, c->in_bytes, &answer)) > 0) {
        take_answer(c, answer);
        c->in_bytes -= used;
        memmove(c->in, c->in + used, c->in_bytes);
    } else if (c->in_bytes == c->in_room) {
        c->in = realloc(c->in, c->in_room *= 2);
        if (c->in == NULL)
            die("no memory");
    }
}

static bool
is_everybody_warm(void)
{
    for (unsigned i = 0; i < reader_count; i++)
        if (readers[i].role == SUBSCRIBER && !readers[i].is_warm)
            return false;
    return true;
}

/* Serves connections for a while; false: nothing came. */
static bool
serve(int timeout_ms)
{
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(epoll, ready, READY_MAX, timeout_ms);

    for (int i = 0; i < n; i++)
        on_readable(ready[i].data.ptr);
    return n > 0;
}

/* Until each subscriber is seen to get what is published from now on. */
static void
warm_up(void)
{
    uint64_t end_ns = now_ns() + SILENCE_S * UINT64_C(1000000000);

    for (uint64_t asked = 0; !is_everybody_warm();) {
        if (acked == asked) {
            publish(&writers[0], 1, true);
            asked++;
        }
        serve(20);
        if (now_ns() > end_ns)
            die("no path to every subscriber after %d s", SILENCE_S);
    }
    while (serve(300))          /* what is left of it */
        ;
}

/* Answers when the last event had arrived everywhere. */
static uint64_t
run(void)
{
    uint64_t wanted = total * opt.doors * opt.subscribers, seen = 0, mark_ns = now_ns(), end_ns;

    for (unsigned i = 0; i < opt.publishers; i++)
        publish_more(&writers[i]);
    while (delivered < wanted) {
        serve(1000);
        if (delivered != seen) {
            seen = delivered;
            mark_ns = now_ns();
        } else if (now_ns() - mark_ns > SILENCE_S * UINT64_C(1000000000))
            die("%llu of %llu events arrived", (unsigned long long)delivered, (unsigned long long)wanted);
    }
    end_ns = now_ns();
    while (serve(10))           /* acks; and what should not come */
        ;
    return end_ns;
}

static double
brokers_cpu_s(void)
{
    double sum = 0;

    for (unsigned i = 0; i < opt.pids; i++)
        sum += process_run_s(opt.pid[i]);
    return sum;
}

static void
read_options(int argc, char **argv)
{
    int o;

    while ((o = getopt(argc, argv, "p:s:c:r:x:n:b:z:k:")) > 0)
        switch (o) {
        case 'p': opt.publish_at = optarg; break;
        case 's':
            for (char *p = strtok(optarg, ","); p && opt.doors < DOORS_MAX; p = strtok(NULL, ","))
                opt.subscribe_at[opt.doors++] = p;
            break;
        case 'k':
            for (char *p = strtok(optarg, ","); p && opt.pids < PIDS_MAX; p = strtok(NULL, ","))
                opt.pid[opt.pids++] = atoi(p);
            break;
        case 'c': opt.publishers = (unsigned)atoi(optarg); break;
        case 'r': opt.subscribers = (unsigned)atoi(optarg); break;
        case 'x': opt.bystanders = (unsigned)atoi(optarg); break;
        case 'n': opt.events = strtoull(optarg, NULL, 10); break;
        case 'b': opt.batch = (unsigned)atoi(optarg); break;
        case 'z': opt.payload = (unsigned)atoi(optarg); break;
        default: opt.publish_at = NULL; optind = argc; break;
        }
    if (opt.publish_at == NULL || opt.doors == 0 || opt.publishers == 0 || opt.batch == 0 || opt.payload < STAMP_BYTES)
        die("usage: swarm -p PORT -s PORT,... [-c PUBLISHERS] [-r SUBSCRIBERS] [-x BYSTANDERS] [-n EVENTS] [-b BATCH] [-z PAYLOAD] [-k BROKER_PIDS]");
}

static void
open_all(void)
{
    struct rlimit files;
    struct connection *c;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    reader_count = opt.doors * opt.subscribers + opt.bystanders;
    fetch_bytes = reader_count > FEW ? 1 << 18 : 2 << 20;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    all = calloc(opt.publishers + reader_count, sizeof *all);
    if (all == NULL || epoll < 0)
        die("no memory");
    writers = all;
    readers = c = all + opt.publishers;
    for (unsigned i = 0; i < opt.publishers; i++) {
        writers[i].index = i;
        open_connection(&writers[i], PUBLISHER, opt.publish_at);
    }
    for (unsigned d = 0; d < opt.doors; d++)
        for (unsigned i = 0; i < opt.subscribers; i++)
            open_connection(c++, SUBSCRIBER, opt.subscribe_at[d]);
    for (unsigned i = 0; i < opt.bystanders; i++)
        open_connection(c++, BYSTANDER, opt.subscribe_at[0]);
}

int
main(int argc, char **argv)
{
    uint64_t began_ns, requests;
    double cpu_s, own_s, took_s, peak_mib = 0;

    read_options(argc, argv);
    requests = opt.events / ((uint64_t)opt.publishers * opt.batch);
    requests = requests > 0 ? requests : 1;
    total = requests * opt.publishers * opt.batch;
    open_all();
    warm_up();
    for (unsigned i = 0; i < opt.publishers; i++)
        writers[i].left = requests;
    cpu_s = brokers_cpu_s();
    own_s = own_cpu_s();
    began_ns = now_ns();
    took_s = (double)(run() - began_ns) * 1e-9;
    for (unsigned i = 0; i < opt.pids; i++)
        peak_mib += process_peak_mib(opt.pid[i]);
    printf("{\"events\": %llu, \"rate\": %.1f, \"cpu_us\": %.3f, \"own_us\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"rss_mib\": %.0f}\n", (unsigned long long)total,
           (double)total / took_s, (brokers_cpu_s() - cpu_s) * 1e6 / (double)total, (own_cpu_s() - own_s) * 1e6 / (double)total,
           hist_quantile(&latency, NULL, 0.5) / 1e3, hist_quantile(&latency, NULL, 0.99) / 1e3, peak_mib);
    return 0;
}
