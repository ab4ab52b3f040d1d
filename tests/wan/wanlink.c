/* SPDX-License-Identifier: Apache-2.0
 *
 * Emulates the lines between network namespaces: holds the TUN device of each, and what one sends to another's address comes
 * out there as the rules for this direction say (wanqueue.h), which can be changed while it runs (wancommand.h).
 *
 *   wanlink SEED CONTROL_SOCKET DEVICE NAME=NETNS=ADDRESS...
 *
 * The devices exist already, as persistent ones (`ip -n NETNS tuntap add DEVICE mode tun`). Says "ready" on standard output
 * when it forwards. One thread; ends with its parent. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "wancommand.h"

enum { NODES_MAX = 16, PACKET_BYTES_MAX = 65536, READ_AT_ONCE = 64, LINE_BYTES_MAX = 512, IPV4_HEADER_BYTES = 20, IPV4_DESTINATION_AT = 16 };

struct node { const char *name; struct in_addr address; int tun; };
struct wan {
    struct node node[NODES_MAX]; unsigned count;
    struct wan_queue line[NODES_MAX][NODES_MAX];        /* from, to */
    int listener, client;                               /* client -1: none */
    char text[LINE_BYTES_MAX]; size_t text_n;           /* of the client, not yet a whole line */
};

static struct fo_instant
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct fo_instant){ t.tv_sec * INT64_C(1000000000) + t.tv_nsec };
}

_Noreturn static void
give_up(const char *what, const char *which)
{
    fprintf(stderr, "wanlink: %s %s: %s\n", what, which, strerror(errno));
    exit(1);
}

/* A TUN device belongs to the namespace in which it is attached, whoever holds its descriptor later. */
static int
attach(const char *netns, const char *device)
{
    struct ifreq want = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    char path[256];
    int ns, tun;

    snprintf(path, sizeof(path), "/run/netns/%s", netns);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0)
        give_up("cannot enter", path);
    close(ns);
    tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun < 0)
        give_up("cannot open", "/dev/net/tun");
    snprintf(want.ifr_name, sizeof(want.ifr_name), "%s", device);
    if (ioctl(tun, TUNSETIFF, &want) != 0)
        give_up("cannot attach to", netns);
    return tun;
}

static void
add_node(struct wan *w, char *text, const char *device)
{
    struct node *n = &w->node[w->count++];
    char *rest = NULL, *netns, *address;

    n->name = strtok_r(text, "=", &rest);
    netns = strtok_r(NULL, "=", &rest);
    address = strtok_r(NULL, "=", &rest);
    errno = EINVAL;
    if (address == NULL || inet_pton(AF_INET, address, &n->address) != 1)
        give_up("not NAME=NETNS=ADDRESS:", text);
    n->tun = attach(netns, device);
}

static void
listen_for_commands(struct wan *w, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    w->client = -1;
    w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->listener < 0 || bind(w->listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(w->listener, 1) != 0)
        give_up("cannot listen on", path);
}

/* What leaves a node's device, into the line towards its destination. Anything but IPv4 for a known node is nobody's. */
static void
take_packets(struct wan *w, unsigned from, struct fo_instant t)
{
    static uint8_t packet[PACKET_BYTES_MAX];

    for (int i = 0; i < READ_AT_ONCE; i++) {
        ssize_t n = read(w->node[from].tun, packet, sizeof(packet));

        if (n <= 0)
            return;
        if (n < IPV4_HEADER_BYTES || packet[0] >> 4 != 4)
            continue;
        for (unsigned to = 0; to < w->count; to++) {
            if (to != from && memcmp(packet + IPV4_DESTINATION_AT, &w->node[to].address, sizeof(struct in_addr)) == 0)
                wan_queue_push(&w->line[from][to], packet, (uint32_t)n, t);
        }
    }
}

/* Brings out what has arrived; returns when the next packet will. */
static struct fo_instant
deliver(struct wan *w, struct fo_instant t)
{
    struct fo_instant next = { INT64_MAX };

    for (unsigned from = 0; from < w->count; from++) {
        for (unsigned to = 0; to < w->count; to++) {
            struct wan_queue *q = &w->line[from][to];
            struct wan_packet *p;

            while ((p = wan_queue_pop(q, t)) != NULL) {
                /* A device that takes no packet now (it is down) loses it, as a router's would. */
                if (write(w->node[to].tun, p->bytes, p->n) < 0)
                    q->counters.lost++;
                free(p);
            }
            if (fo_instant_is_before(wan_queue_next(q), next))
                next = wan_queue_next(q);
        }
    }
    return next;
}

static bool
is_meant(const char *name, const struct node *n)
{
    return strcmp(name, "*") == 0 || strcmp(name, n->name) == 0;
}

static enum fo_err
apply_to(struct wan_queue *q, const struct wan_command *c, struct fo_instant t, struct wan_counters *sum)
{
    struct wan_rules rules = q->rules;
    char changes[LINE_BYTES_MAX];
    enum fo_err err;

    snprintf(changes, sizeof(changes), "%s", c->changes);
    err = wan_command_apply(c->verb, changes, &rules);
    if (err == FO_OK && c->verb != WAN_STATS)
        wan_queue_set(q, &rules, t);
    sum->in += q->counters.in;
    sum->out += q->counters.out;
    sum->out_bytes += q->counters.out_bytes;
    sum->lost += q->counters.lost;
    sum->overflowed += q->counters.overflowed;
    sum->cut += q->counters.cut;
    sum->duplicated += q->counters.duplicated;
    sum->reordered += q->counters.reordered;
    return err;
}

static void
say_stats(int client, const struct wan_counters *c)
{
    dprintf(client, "ok in=%" PRIu64 " out=%" PRIu64 " out_bytes=%" PRIu64 " lost=%" PRIu64 " overflowed=%" PRIu64 " cut=%" PRIu64
        " duplicated=%" PRIu64 " reordered=%" PRIu64 "\n", c->in, c->out, c->out_bytes, c->lost, c->overflowed, c->cut,
        c->duplicated, c->reordered);
}

static void
obey(struct wan *w, char *line, struct fo_instant t)
{
    struct wan_counters sum = { 0 };
    struct wan_command c;
    enum fo_err err = wan_command_parse(line, &c);
    unsigned lines = 0;

    for (unsigned from = 0; err == FO_OK && from < w->count; from++) {
        for (unsigned to = 0; err == FO_OK && to < w->count; to++) {
            if (from != to && is_meant(c.from, &w->node[from]) && is_meant(c.to, &w->node[to])) {
                err = apply_to(&w->line[from][to], &c, t, &sum);
                lines++;
            }
        }
    }
    if (err == FO_OK && lines == 0)
        err = FO_ERR_UNKNOWN_REGION;
    if (err != FO_OK)
        dprintf(w->client, "error %s\n", fo_err_name(err));
    else if (c.verb == WAN_STATS)
        say_stats(w->client, &sum);
    else
        dprintf(w->client, "ok\n");
}

static void
hear_client(struct wan *w, struct fo_instant t)
{
    ssize_t n = read(w->client, w->text + w->text_n, sizeof(w->text) - w->text_n);
    char *end;

    if (n <= 0) {
        close(w->client);
        w->client = -1;
        return;
    }
    w->text_n += (size_t)n;
    while ((end = memchr(w->text, '\n', w->text_n)) != NULL) {
        size_t used = (size_t)(end - w->text) + 1;

        *end = '\0';
        obey(w, w->text, t);
        memmove(w->text, w->text + used, w->text_n - used);
        w->text_n -= used;
    }
    if (w->text_n == sizeof(w->text))
        w->text_n = 0;                  /* longer than any command */
}

static void
wait_for_work(struct wan *w, struct fo_instant next)
{
    struct pollfd fds[NODES_MAX + 2];
    struct fo_instant t = now();
    struct fo_duration left = { fo_instant_is_before(t, next) ? fo_instant_since(next, t).ns : 0 };
    struct timespec timeout = { left.ns / 1000000000, left.ns % 1000000000 };

    for (unsigned i = 0; i < w->count; i++)
        fds[i] = (struct pollfd){ .fd = w->node[i].tun, .events = POLLIN };
    fds[w->count] = (struct pollfd){ .fd = w->client, .events = POLLIN };
    fds[w->count + 1] = (struct pollfd){ .fd = w->client < 0 ? w->listener : -1, .events = POLLIN };
    if (ppoll(fds, w->count + 2, next.ns == INT64_MAX ? NULL : &timeout, NULL) < 0 && errno != EINTR)
        give_up("cannot", "poll");
    t = now();
    for (unsigned i = 0; i < w->count; i++) {
        if (fds[i].revents & POLLIN)
            take_packets(w, i, t);
    }
    if (fds[w->count].revents != 0)
        hear_client(w, t);
    if (fds[w->count + 1].revents != 0) {
        w->client = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
        w->text_n = 0;
    }
}

int
main(int argc, char **argv)
{
    static struct wan w;
    uint64_t seed;

    if (argc < 6 || argc - 4 > NODES_MAX) {
        fprintf(stderr, "usage: wanlink SEED CONTROL_SOCKET DEVICE NAME=NETNS=ADDRESS NAME=NETNS=ADDRESS...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    seed = strtoull(argv[1], NULL, 0);
    listen_for_commands(&w, argv[2]);
    for (int i = 4; i < argc; i++)
        add_node(&w, argv[i], argv[3]);
    for (unsigned from = 0; from < w.count; from++)
        for (unsigned to = 0; to < w.count; to++)
            wan_queue_init(&w.line[from][to], seed * NODES_MAX * NODES_MAX + from * NODES_MAX + to);
    printf("ready\n");
    fflush(stdout);
    for (;;)
        wait_for_work(&w, deliver(&w, now()));
}
