/* SPDX-License-Identifier: Apache-2.0
 *
 * What a config must keep to beyond its form: required keys, ranges, names, URLs, and what fits together. Every refusal
 * names the key's line and says what to write there. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "adapter/config_yaml_parts.h"
#include "core/dedupe.h"

enum { PATH_SIZE = 64, SOCKET_PATH_MAX = 107 };
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

struct check {
    struct fo_config *c;
    const struct fo_yaml_marks *marks;
    struct fo_fault *fault;
    char dir[4096];         /* of the file, with the slash; empty: the working directory */
    bool uses_tls;
};
#define REFUSE(k, path, ...) fo_config_fault((k)->marks, (k)->fault, (path), __VA_ARGS__)

#define N(path, member, fallback, min, max) \
    { path, offsetof(struct fo_config, member), sizeof(((struct fo_config *)0)->member), fallback, min, max }
static const struct fo_config_number numbers[] = {
    N("limits.event_bytes_max", limits.event_bytes_max, KIB(256), KIB(1), MIB(16)),
    N("limits.request_bytes_max", limits.request_bytes_max, MIB(4), KIB(4), MIB(64)),
    N("limits.batch_events_max", limits.batch_events_max, FO_BATCH_EVENTS_MAX, 1, FO_BATCH_EVENTS_MAX),
    N("limits.batch_bytes_max", limits.batch_bytes_max, MIB(1), KIB(4), MIB(16)),
    N("limits.gather_us_max", limits.gather_us_max, 1000, 0, 100000),
    N("limits.requests_max", limits.requests_max, 1024, 2, 65536),
    N("limits.pending_events_max", limits.pending_events_max, 65536, 256, 1u << 24),
    N("limits.pending_bytes_max", limits.pending_bytes_max, MIB(64), MIB(1), GIB(64)),
    N("limits.waiting_events_max", limits.waiting_events_max, 262144, 256, 1u << 24),
    N("limits.tail_bytes_max", limits.tail_bytes_max, MIB(1), 0, GIB(64)),
    N("limits.fetches_max", limits.fetches_max, 768, 1, 65535),
    N("limits.dedupe_events_max", limits.dedupe_events_max, 262144, 1, FO_DEDUPE_MAX),
    N("limits.schema_version_min", limits.schema_version_min, 1, 0, UINT32_MAX),
    N("link.window_bytes", link.window_bytes, MIB(4), KIB(4), GIB(1)),
    N("link.window_bytes_min", link.window_bytes_min, KIB(16), KIB(4), GIB(1)),
    N("link.queue_delay_ms_max", link.queue_delay_ms_max, 50, 1, 10000),
    N("link.ack_delay_ms_max", link.ack_delay_ms_max, 5, 0, 1000),
    N("link.window_batches", link.window_batches, 64, 1, 256),
    N("link.heartbeat_ms", link.heartbeat_ms, 750, 10, 60000),
    N("link.probes_missed_max", link.probes_missed_max, 3, 1, 100),
    N("link.stable_ms_min", link.stable_ms_min, 1000, 1, 3600000),
    N("link.stable_ms_max", link.stable_ms_max, 30000, 1, 3600000),
    N("link.retransmit_ms_min", link.retransmit_ms_min, 200, 10, 60000),
    N("link.low_share_percent", link.low_share_percent, 10, 0, 33),
    N("journal.segment_bytes", journal.segment_bytes, MIB(64), MIB(1), GIB(1)),
    N("journal.bytes_max", journal.bytes_max, GIB(10), MIB(4), UINT64_C(1) << 50),
    N("journal.retention_hours", journal.retention_hours, 24, 0, 24 * 366),
    N("journal.retention_bytes", journal.retention_bytes, GIB(1), 0, UINT64_C(1) << 50),
    N("ledger.rows_max", ledger.rows_max, 10000, 256, 1000000),
    N("ledger.settle_wait_ms", ledger.settle_wait_ms, 10000, 0, 3600000),
    N("ledger.answer_timeout_ms", ledger.answer_timeout_ms, 60000, 100, 3600000),
};
#undef N

const struct fo_config_number *
fo_config_number_find(const char *path)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].path, path) == 0)
            return &numbers[i];
    return NULL;
}

/* Digits, then a unit where bytes are meant. */
static bool
number_parse(const char *text, bool is_bytes, uint64_t *ret_v)
{
    static const struct { const char *name; unsigned shift; } units[] = { { "", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
    size_t digits = strspn(text, "0123456789");
    uint64_t v;

    if (digits == 0 || digits > 18)
        return false;
    v = strtoull(text, NULL, 10);
    for (size_t i = 0; i < (is_bytes ? 4 : 1); i++)
        if (strcmp(text + digits, units[i].name) == 0 && v <= UINT64_MAX >> units[i].shift) {
            *ret_v = v << units[i].shift;
            return true;
        }
    return false;
}

/* Reads the numbers again from the text: libcyaml takes "10s" for 10 and "010" for 8. */
static enum fo_err
check_numbers(struct check *k)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct fo_config_number *n = &numbers[i];
        const struct fo_yaml_mark *mark = fo_yaml_marks_find(k->marks, n->path);
        bool is_bytes = strstr(n->path, "bytes") != NULL;
        uint8_t *at = (uint8_t *)k->c + n->offset;
        uint64_t wide = n->fallback;
        uint32_t narrow;

        if (mark != NULL && (mark->value == NULL || !number_parse(mark->value, is_bytes, &wide) || wide < n->min || wide > n->max))
            return REFUSE(k, n->path, "expected a whole number from %llu to %llu%s, not '%.40s'", (unsigned long long)n->min,
                (unsigned long long)n->max, is_bytes ? " (KiB, MiB and GiB are understood)" : "", mark->value ? mark->value : "");
        narrow = (uint32_t)wide;
        memcpy(at, n->size == sizeof narrow ? (void *)&narrow : (void *)&wide, n->size);
    }
    return FO_OK;
}

/* Publishers must find room beside parked fetches; what the file does not say leaves them a quarter. */
static enum fo_err
check_fetches(struct check *k)
{
    struct fo_config *c = k->c;

    if (fo_yaml_marks_find(k->marks, "limits.fetches_max") == NULL) {
        c->limits.fetches_max = c->limits.requests_max - (c->limits.requests_max + 3) / 4;
        return FO_OK;
    }
    if (c->limits.fetches_max >= c->limits.requests_max)
        return REFUSE(k, "limits.fetches_max", "must be below limits.requests_max (%u), so that publishers find room beside parked fetches: lower it, or raise that",
            c->limits.requests_max);
    return FO_OK;
}

/* Values that are fine alone and cannot work together. */
static enum fo_err
check_sums(struct check *k)
{
    const struct fo_config *c = k->c;

    if (c->limits.request_bytes_max < c->limits.event_bytes_max)
        return REFUSE(k, "limits.request_bytes_max", "must be at least limits.event_bytes_max (%u)", c->limits.event_bytes_max);
    if (c->limits.batch_bytes_max < c->limits.event_bytes_max)
        return REFUSE(k, "limits.batch_bytes_max", "must be at least limits.event_bytes_max (%u)", c->limits.event_bytes_max);
    if (c->limits.pending_bytes_max < fo_config_frame_bytes_max(c))
        return REFUSE(k, "limits.pending_bytes_max", "must be at least %u: limits.batch_bytes_max (%u), limits.event_bytes_max (%u) and 64 KiB together, a peer's longest batch",
            fo_config_frame_bytes_max(c), c->limits.batch_bytes_max, c->limits.event_bytes_max);
    if (c->link.window_bytes_min > c->link.window_bytes)
        return REFUSE(k, "link.window_bytes_min", "must be at most link.window_bytes (%u)", c->link.window_bytes);
    if (c->link.stable_ms_min > c->link.stable_ms_max)
        return REFUSE(k, "link.stable_ms_min", "must be at most link.stable_ms_max (%u)", c->link.stable_ms_max);
    if (c->link.window_bytes < c->limits.batch_bytes_max)
        return REFUSE(k, "link.window_bytes", "must be at least limits.batch_bytes_max (%u): no batch could be sent", c->limits.batch_bytes_max);
    /* What the journal keeps free for a checkpoint and the longest records of one commit. */
    if (c->journal.segment_bytes < 3 * ((uint64_t)c->limits.batch_bytes_max + c->limits.event_bytes_max) + KIB(256))
        return REFUSE(k, "journal.segment_bytes", "must be at least 256 KiB and 3 times limits.batch_bytes_max (%u) and limits.event_bytes_max (%u) together",
            c->limits.batch_bytes_max, c->limits.event_bytes_max);
    if (c->journal.bytes_max < 4 * (uint64_t)c->journal.segment_bytes)
        return REFUSE(k, "journal.bytes_max", "must be at least 4 times journal.segment_bytes (%u)", c->journal.segment_bytes);
    return FO_OK;
}

static enum fo_err
check_region(struct check *k, const char *path, const char *region)
{
    if (region == NULL)
        return REFUSE(k, path, "required: the region's name, as in us-east-1");
    if (!fo_region_name_is_valid(fo_slice_str(region)))
        return REFUSE(k, path, "'%.40s' is no region name: " FO_REGION_NAME_RULE, region);
    return FO_OK;
}

static enum fo_err
check_text(struct check *k, const char *path, const char *value, const char *what)
{
    if (value == NULL)
        return REFUSE(k, path, "required: %s", what);
    if (*value == '\0')
        return REFUSE(k, path, "is empty; expected %s", what);
    return FO_OK;
}

/* Makes a relative path relative to the file that names it, not to where the program happens to be started. */
static enum fo_err
resolve(struct check *k, const char *prefix, char **value)
{
    const char *rest = *value + strlen(prefix);
    char *joined;

    if (*rest == '/' || *k->dir == '\0')
        return FO_OK;
    if (asprintf(&joined, "%s%s%s", prefix, k->dir, rest) < 0)
        return FO_ERR_NO_MEMORY;
    free(*value);
    *value = joined;
    return FO_OK;
}

static enum fo_err
check_path(struct check *k, const char *path, char **value, const char *what)
{
    enum fo_err err = check_text(k, path, *value, what);

    return err != FO_OK ? err : resolve(k, "", value);
}

static bool
is_loopback(const char *host, size_t n)
{
    if (n >= 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n)
        return true;
    return (n == 5 && memcmp(host, "[::1]", 5) == 0) || (n == 9 && strncasecmp(host, "localhost", 9) == 0);
}

/* host:port behind the scheme; an empty host or * means every interface, which only a listener may say. */
static enum fo_err
check_host_port(struct check *k, const char *path, const char *url, const char *rest, bool is_listener)
{
    const char *colon = strrchr(rest, ':'), *end;
    size_t host_n = colon ? (size_t)(colon - rest) : strlen(rest);
    bool is_bracketed = host_n >= 2 && rest[0] == '[' && rest[host_n - 1] == ']';
    bool is_any = host_n == 0 || (host_n == 1 && rest[0] == '*');
    long port = 0;

    if (colon != NULL && isdigit((unsigned char)colon[1]))
        port = strtol(colon + 1, (char **)&end, 10);
    if (port < 1 || port > 65535 || *end != '\0')
        return REFUSE(k, path, "'%.80s' has no port: expected HOST:PORT with a port from 1 to 65535", url);
    if (is_any && !is_listener)
        return REFUSE(k, path, "'%.80s' has no host to connect to", url);
    if (!is_any && (is_bracketed ? strspn(rest + 1, "0123456789abcdefABCDEF:.%") != host_n - 2
        : strspn(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != host_n))
        return REFUSE(k, path, "'%.80s' has no valid host: a name, an IPv4 address or an IPv6 address in []", url);
    if (strncmp(url, "tcp:", 4) == 0 && !is_loopback(rest, host_n) && !k->c->tls.allow_plain)
        return REFUSE(k, path, "'%.60s' would be unencrypted beyond this machine: use tls+tcp://, or set tls.allow_plain on a trusted network", url);
    return FO_OK;
}

static enum fo_err
check_url(struct check *k, const char *path, char **url, bool is_listener)
{
    enum fo_err err = check_text(k, path, *url, "a URL, as in tcp://127.0.0.1:7001, tls+tcp://HOST:PORT or ipc:///PATH");

    if (err != FO_OK)
        return err;
    if (strncmp(*url, "tcp://", 6) == 0)
        return check_host_port(k, path, *url, *url + 6, is_listener);
    if (strncmp(*url, "tls+tcp://", 10) == 0) {
        k->uses_tls = true;
        return check_host_port(k, path, *url, *url + 10, is_listener);
    }
    if (strncmp(*url, "ipc://", 6) != 0)
        return REFUSE(k, path, "'%.60s' is no URL known here: tcp://HOST:PORT, tls+tcp://HOST:PORT or ipc:///PATH", *url);
    if ((*url)[6] == '\0')
        return REFUSE(k, path, "ipc:// needs a path behind it");
    if ((err = resolve(k, "ipc://", url)) != FO_OK)
        return err;
    if (strlen(*url + 6) > SOCKET_PATH_MAX)
        return REFUSE(k, path, "the socket's path is %zu bytes long; the system allows %d", strlen(*url + 6), SOCKET_PATH_MAX);
    return FO_OK;
}

static enum fo_err
check_listen(struct check *k)
{
    struct fo_config *c = k->c;
    const char *door = c->listen.door, *feed = c->listen.feed, *link = c->listen.link;
    enum fo_err err;

    if ((err = check_url(k, "listen.door", &c->listen.door, true)) != FO_OK || (err = check_url(k, "listen.link", &c->listen.link, true)) != FO_OK)
        return err;
    if (feed != NULL && (err = check_url(k, "listen.feed", &c->listen.feed, true)) != FO_OK)
        return err;
    door = c->listen.door, feed = c->listen.feed, link = c->listen.link;
    if (strcmp(door, link) == 0)
        return REFUSE(k, "listen.link", "is the same address as listen.door; each needs its own");
    if (feed != NULL && (strcmp(feed, door) == 0 || strcmp(feed, link) == 0))
        return REFUSE(k, "listen.feed", "is the same address as listen.%s; each needs its own", strcmp(feed, door) == 0 ? "door" : "link");
    return FO_OK;
}

static enum fo_err
check_peers(struct check *k)
{
    struct fo_config *c = k->c;
    char path[PATH_SIZE];
    enum fo_err err;

    for (unsigned i = 0; i < c->peers_count; i++) {
        snprintf(path, sizeof path, "peers[%u].region", i);
        if ((err = check_region(k, path, c->peers[i].region)) != FO_OK)
            return err;
        if (strcmp(c->peers[i].region, c->region) == 0)
            return REFUSE(k, path, "'%s' is this broker's own region; list the others here", c->region);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(c->peers[i].region, c->peers[j].region) == 0)
                return REFUSE(k, path, "'%s' is listed twice", c->peers[i].region);
        snprintf(path, sizeof path, "peers[%u].link", i);
        if ((err = check_url(k, path, &c->peers[i].link, false)) != FO_OK)
            return err;
    }
    return FO_OK;
}

static enum fo_err
check_type(struct check *k, unsigned i)
{
    static const char *const builtin[] = { "order_status", "order_created", "menu_updated", "store_status", "custom" };
    struct fo_config_type *t = &k->c->types[i];
    char path[PATH_SIZE];
    enum fo_err err;

    snprintf(path, sizeof path, "types[%u].type", i);
    if ((err = check_text(k, path, t->type, "the event type's name")) != FO_OK)
        return err;
    if (strlen(t->type) > FO_TYPE_BYTES_MAX || strspn(t->type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != strlen(t->type))
        return REFUSE(k, path, "'%.70s' is no type name: 1 to %d of letters, digits, '_', '.' and '-'", t->type, FO_TYPE_BYTES_MAX);
    for (size_t b = 0; b < sizeof builtin / sizeof *builtin; b++)
        if (strcmp(t->type, builtin[b]) == 0)
            return REFUSE(k, path, "'%s' is built in and cannot be registered again", t->type);
    for (unsigned j = 0; j < i; j++)
        if (strcmp(t->type, k->c->types[j].type) == 0)
            return REFUSE(k, path, "'%s' is listed twice", t->type);
    snprintf(path, sizeof path, "types[%u].lane", i);
    if (t->lane == NULL && (t->lane = strdup("normal")) == NULL)
        return FO_ERR_NO_MEMORY;
    if (strcmp(t->lane, "high") != 0 && strcmp(t->lane, "normal") != 0 && strcmp(t->lane, "low") != 0)
        return REFUSE(k, path, "expected high, normal or low, not '%.40s'", t->lane);
    snprintf(path, sizeof path, "types[%u].schema", i);
    return t->schema != NULL ? check_path(k, path, &t->schema, "a JSON Schema file") : FO_OK;
}

/* Loads them once for nothing: what the broker would refuse when it starts is refused here, where the line is known. */
static enum fo_err
check_schemas(struct check *k)
{
    struct fo_schema_set *set;
    struct fo_fault fault;
    enum fo_err err = fo_config_load_schemas(k->c, &set, &fault);

    if (err == FO_OK)
        fo_schema_set_destroy(set);
    return err == FO_OK || err == FO_ERR_NO_MEMORY ? err : REFUSE(k, fault.path, "%s", fault.text);
}

/* One of `words` (the first is the default), each ended by NUL, the last by two. */
static enum fo_err
check_word(struct check *k, const char *path, char **value, const char *words, const char *list)
{
    if (*value == NULL && (*value = strdup(words)) == NULL)
        return FO_ERR_NO_MEMORY;
    for (const char *w = words; *w != '\0'; w += strlen(w) + 1)
        if (strcmp(*value, w) == 0)
            return FO_OK;
    return REFUSE(k, path, "expected %s, not '%.40s'", list, *value);
}

static enum fo_err
check_tls(struct check *k)
{
    struct fo_config *c = k->c;
    struct { const char *path; char **value; const char *what; } part[] = {
        { "tls.cert", &c->tls.cert, "this broker's certificate (PEM), because a tls+tcp:// address is used" },
        { "tls.key", &c->tls.key, "the certificate's secret key (PEM), because a tls+tcp:// address is used" },
        { "tls.ca", &c->tls.ca, "the authority that peers' certificates are checked against (PEM), because a tls+tcp:// address is used" },
    };
    enum fo_err err = FO_OK;

    for (size_t i = 0; err == FO_OK && i < sizeof part / sizeof *part; i++)
        if (k->uses_tls || *part[i].value != NULL)
            err = check_path(k, part[i].path, part[i].value, part[i].what);
    return err;
}

static enum fo_err
check_ledger(struct check *k)
{
    struct fo_config *c = k->c;

    if (fo_yaml_marks_find(k->marks, "ledger.enabled") == NULL)
        c->ledger.is_enabled = c->ledger.conninfo != NULL;
    if (!c->ledger.is_enabled)
        return FO_OK;
    return check_text(k, "ledger.conninfo", c->ledger.conninfo, "how to reach the primary PostgreSQL, as in 'host=/run/postgresql dbname=fanout user=fanout_broker'");
}

enum fo_err
fo_config_complete(struct fo_config *c, const struct fo_yaml_marks *marks, struct fo_fault *ret_fault)
{
    struct check k = { .c = c, .marks = marks, .fault = ret_fault };
    const char *slash = strrchr(marks->file, '/');
    enum fo_err err;

    if (slash != NULL && (size_t)(slash - marks->file) + 2 <= sizeof k.dir)
        memcpy(k.dir, marks->file, (size_t)(slash - marks->file) + 1);
    if ((err = check_region(&k, "region", c->region)) != FO_OK
        || (err = check_path(&k, "data_dir", &c->data_dir, "the directory of this broker's journal")) != FO_OK
        || (err = check_path(&k, "keys.secret_key", &c->keys.secret_key, "this region's secret key file (fanout keys makes one)")) != FO_OK
        || (err = check_path(&k, "keys.public_keys", &c->keys.public_keys, "the directory of all regions' public keys (*.pub)")) != FO_OK
        || (err = check_listen(&k)) != FO_OK
        || (err = check_peers(&k)) != FO_OK
        || (err = check_tls(&k)) != FO_OK
        || (err = check_numbers(&k)) != FO_OK
        || (err = check_fetches(&k)) != FO_OK
        || (err = check_sums(&k)) != FO_OK
        || (err = check_word(&k, "journal.durability", &c->journal.durability, "power\0process\0", "power or process")) != FO_OK
        || (err = check_word(&k, "log.level", &c->log.level, "info\0debug\0warn\0error\0", "debug, info, warn or error")) != FO_OK
        || (err = check_ledger(&k)) != FO_OK)
        return err;
    for (unsigned i = 0; err == FO_OK && i < c->types_count; i++)
        err = check_type(&k, i);
    return err == FO_OK ? check_schemas(&k) : err;
}
