/* SPDX-License-Identifier: Apache-2.0
 *
 * The config loader: the examples load, defaults hold, and each kind of mistake is refused at its line, column and key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/rng.h"
#include "broker/config.h"

static char dir[] = "/tmp/fanout-config-XXXXXX";
static char file[sizeof dir + 16];

#define BASE                                    \
    "region: us-east-1\n"                       \
    "data_dir: data\n"                          \
    "keys:\n"                                   \
    "  secret_key: k/us.key\n"                  \
    "  public_keys: /etc/keys\n"
#define LISTEN                                  \
    "listen:\n"                                 \
    "  door: tcp://127.0.0.1:7001\n"            \
    "  link: ipc://link.sock\n"
#define GOOD BASE LISTEN                        /* eight lines */

static void
write_to(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static void
write_file(const char *text)
{
    write_to(file, text);
}

static struct fo_config *
load(const char *text)
{
    struct fo_config *c = NULL;
    struct fo_fault fault = { 0 };

    write_file(text);
    if (fo_config_load(file, &c, &fault) != FO_OK)
        fail_msg("refused: %s: %s", fault.path, fault.text);
    return c;
}

/* place: "LINE:COLUMN: key"; hint: stands in the text. */
static void
refused(const char *text, const char *place, const char *hint)
{
    struct fo_config *c = NULL;
    struct fo_fault fault = { 0 };
    char expected[256];

    write_file(text);
    snprintf(expected, sizeof expected, "%s:%s", file, place);
    assert_int_equal(fo_config_load(file, &c, &fault), FO_ERR_CONFIG);
    assert_null(c);
    assert_int_equal(fault.err, FO_ERR_CONFIG);
    assert_string_equal(fault.path, expected);
    if (strstr(fault.text, hint) == NULL)
        fail_msg("'%s' does not say '%s'", fault.text, hint);
}

static void
test_examples_load(void **state)
{
    static const char *const names[] = { "us-east-1", "us-west-2", "eu-west-1" };
    const char *deploy = getenv("FANOUT_DEPLOY_DIR");
    char path[512];
    struct fo_config *c;
    struct fo_fault fault;

    (void)state;
    assert_non_null(deploy);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s.yaml", deploy, names[i]);
        if (fo_config_load(path, &c, &fault) != FO_OK)
            fail_msg("%s: %s", fault.path, fault.text);
        assert_string_equal(c->region, names[i]);
        assert_int_equal(c->is_primary, i == 0);
        assert_int_equal(c->peers_count, 2);
        assert_int_equal(c->types_count, 1);
        assert_string_equal(c->types[0].lane, "low");
        assert_true(c->ledger.is_enabled);
        fo_config_destroy(c);
    }
}

static void
test_defaults_and_paths(void **state)
{
    struct fo_config *c = load(GOOD);
    char expected[128];

    (void)state;
    assert_false(c->is_primary);
    assert_int_equal(c->limits.event_bytes_max, 262144);
    assert_int_equal(c->limits.request_bytes_max, 4194304);
    assert_int_equal(c->limits.batch_events_max, 1024);
    assert_int_equal(c->limits.requests_max, 1024);
    assert_int_equal(c->limits.fetches_max, 768);
    assert_int_equal(c->limits.pending_events_max, 65536);
    assert_int_equal(c->limits.waiting_events_max, 262144);
    assert_int_equal(c->link.window_batches, 64);
    assert_int_equal(c->link.low_share_percent, 10);
    assert_true(c->journal.bytes_max == 10737418240);
    assert_int_equal(c->journal.retention_hours, 24);
    assert_string_equal(c->journal.durability, "power");
    assert_string_equal(c->log.level, "info");
    assert_false(c->ledger.is_enabled);
    assert_int_equal(c->ledger.rows_max, 10000);
    assert_null(c->listen.feed);
    assert_int_equal(c->peers_count, 0);

    snprintf(expected, sizeof expected, "%s/data", dir);
    assert_string_equal(c->data_dir, expected);
    snprintf(expected, sizeof expected, "%s/k/us.key", dir);
    assert_string_equal(c->keys.secret_key, expected);
    assert_string_equal(c->keys.public_keys, "/etc/keys");
    snprintf(expected, sizeof expected, "ipc://%s/link.sock", dir);
    assert_string_equal(c->listen.link, expected);
    fo_config_destroy(c);
}

static void
test_values_are_taken(void **state)
{
    struct fo_config *c = load(GOOD
        "primary: true\n"
        "peers:\n  - {region: us-west-2, link: 'tcp://[::1]:7203'}\n  - region: eu-west-1\n    link: tcp://localhost:7303\n"
        "types: [{type: courier}]\n"
        "limits: {event_bytes_max: 1024, schema_version_min: 0}\n"
        "journal: {durability: process, bytes_max: 1024GiB, segment_bytes: 16MiB}\n"
        "ledger: {conninfo: 'host=/x', settle_wait_ms: 0}\n"
        "log: {level: debug}\n");

    (void)state;
    assert_true(c->is_primary);
    assert_int_equal(c->peers_count, 2);
    assert_string_equal(c->peers[0].region, "us-west-2");
    assert_string_equal(c->peers[1].link, "tcp://localhost:7303");
    assert_string_equal(c->types[0].lane, "normal");
    assert_int_equal(c->limits.event_bytes_max, 1024);
    assert_int_equal(c->limits.schema_version_min, 0);
    assert_true(c->journal.bytes_max == 1099511627776);
    assert_int_equal(c->journal.segment_bytes, 16777216);
    assert_string_equal(c->journal.durability, "process");
    assert_true(c->ledger.is_enabled);
    assert_int_equal(c->ledger.settle_wait_ms, 0);
    fo_config_destroy(c);
}

static void
test_form_is_checked(void **state)
{
    (void)state;
    refused("", "1:1", "empty");
    refused("region\n", "1:1", "keys and values");
    refused("region: [a\n", "2:1", "not well-formed YAML");
    refused("region: us-east-1\n\tx: 1\n", "2:1", "not well-formed YAML");
    refused("region: a\nregion: b\n", "2:1: region", "first is in line 1");
    refused(GOOD "limits:\n  batch_events_max: 1\n  batch_events_max: 2\n", "11:3: limits.batch_events_max", "second time");
    refused(GOOD "a: &x 1\nb: *x\n", "9:4: a", "anchors");
    refused(GOOD "---\nregion: b\n", "9:1", "second document");
    refused(GOOD "? [a]\n: b\n", "9:3", "plain word");
    refused(GOOD "limits: {a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}}\n", "9:37: limits.a.b.c.d.e.f.g", "deep");
}

static void
test_unknown_keys(void **state)
{
    (void)state;
    refused(GOOD "primry: true\n", "9:1: primry", "known here: region, primary, data_dir, keys, listen");
    refused(GOOD "limits:\n  batch_events_max: 1\n  events_max: 3\n", "11:3: limits.events_max", "known here: event_bytes_max");
    refused(GOOD "peers:\n  - region: us-west-2\n    link: tcp://127.0.0.1:1\n  - regoin: eu-west-1\n", "12:5: peers[1].regoin", "known here: region, link");
}

static void
test_types_of_values(void **state)
{
    (void)state;
    refused(GOOD "primary: flase\n", "9:1: primary", "true or false, not 'flase'");
    refused(GOOD "limits:\n  batch_events_max: many\n", "10:3: limits.batch_events_max", "whole number from 1 to 1024, not 'many'");
    refused(GOOD "limits:\n  batch_events_max: 64MiB\n", "10:3: limits.batch_events_max", "whole number");
    refused(GOOD "limits:\n  batch_events_max:\n", "10:3: limits.batch_events_max", "whole number");
    refused(GOOD "journal:\n  bytes_max: 99999999999999999999999\n", "10:3: journal.bytes_max", "whole number");
    refused(GOOD "journal:\n  retention_hours: 10s\n", "10:3: journal.retention_hours", "not '10s'");
    refused(GOOD "journal:\n  bytes_max: 99999999GiB\n", "10:3: journal.bytes_max", "KiB, MiB and GiB are understood");
    refused(GOOD "journal:\n  segment_bytes: 3MiB\n", "10:3: journal.segment_bytes", "3 times limits.batch_bytes_max");
    refused(GOOD "journal:\n  segment_bytes: 8GiB\n", "10:3: journal.segment_bytes", "whole number");
    refused(GOOD "journal:\n  bytes_max: -1\n", "10:3: journal.bytes_max", "whole number");
    refused(GOOD "limits: 5\n", "9:1: limits", "keys and values");
    refused(GOOD "peers: us-west-2\n", "9:1: peers", "a list");
    refused(GOOD "peers: [us-west-2]\n", "9:9: peers[0]", "keys and values");
    refused("region: {a: b}\n", "1:1: region", "one plain value");
}

static void
test_ranges_and_sums(void **state)
{
    (void)state;
    refused(GOOD "limits:\n  batch_events_max: 0\n", "10:3: limits.batch_events_max", "from 1 to 1024, not '0'");
    refused(GOOD "limits:\n  batch_events_max: 1025\n", "10:3: limits.batch_events_max", "not '1025'");
    refused(GOOD "link:\n  window_batches: 5000000000\n", "10:3: link.window_batches", "whole number from 1 to 256");
    refused(GOOD "link:\n  low_share_percent: 34\n", "10:3: link.low_share_percent", "0 to 33");
    refused(GOOD "limits:\n  batch_bytes_max: 65536\n", "10:3: limits.batch_bytes_max", "at least limits.event_bytes_max");
    refused(GOOD "limits:\n  pending_bytes_max: 1MiB\n", "10:3: limits.pending_bytes_max", "must be at least 1376256:");
    refused(GOOD "link:\n  window_bytes: 65536\n", "10:3: link.window_bytes", "no batch could be sent");
    refused(GOOD "limits:\n  requests_max: 100\n  fetches_max: 2000\n", "11:3: limits.fetches_max", "below limits.requests_max (100)");
    refused(GOOD "limits:\n  fetches_max: 1024\n", "10:3: limits.fetches_max", "below limits.requests_max (1024)");
    refused(GOOD "journal:\n  bytes_max: 67108864\n", "10:3: journal.bytes_max", "4 times");
    /* The key at fault may be one that the file leaves out: its section, or the first line, is pointed at. */
    refused(GOOD "limits:\n  event_bytes_max: 8388608\n", "9:1: limits.request_bytes_max", "at least limits.event_bytes_max");
}

/* What is left out follows what is said. */
static void
test_fetches_leave_room(void **state)
{
    struct fo_config *c = load(GOOD "limits: {requests_max: 2}\n");

    (void)state;
    assert_int_equal(c->limits.fetches_max, 1);
    fo_config_destroy(c);
    c = load(GOOD "limits: {requests_max: 4096}\n");
    assert_int_equal(c->limits.fetches_max, 3072);
    fo_config_destroy(c);
    c = load(GOOD "limits: {requests_max: 2, fetches_max: 1}\n");
    fo_config_destroy(c);
}

static void
test_required(void **state)
{
    (void)state;
    refused("data_dir: x\n", "1:1: region", "required");
    refused("region: us-east-1\n", "1:1: data_dir", "required");
    refused("region: us-east-1\ndata_dir: x\nkeys:\n  public_keys: y\n", "3:1: keys.secret_key", "fanout keys");
    refused(BASE "listen:\n  door: tcp://127.0.0.1:1\n", "6:1: listen.link", "required");
    refused(GOOD "peers:\n  - region: us-west-2\n", "10:5: peers[0].link", "required");
    refused(GOOD "types:\n  - lane: low\n", "10:5: types[0].type", "required");
    refused(GOOD "ledger:\n  enabled: true\n", "9:1: ledger.conninfo", "required");
    refused(BASE "listen: {door: 'tls+tcp://:7001', link: 'ipc:///x'}\n", "1:1: tls.cert", "tls+tcp:// address is used");
}

static void
test_names(void **state)
{
    (void)state;
    refused("region: US-EAST\n", "1:1: region", "'US-EAST' is no region name");
    refused("region: a-\n", "1:1: region", "no region name");
    refused("region: ''\n", "1:1: region", "no region name");
    refused("region: abcdefghijklmnopqrstuvwxyz0123456\n", "1:1: region", "1 to 32");
    refused(GOOD "peers:\n  - region: us-east-1\n    link: tcp://127.0.0.1:1\n", "10:5: peers[0].region", "own region");
    refused(GOOD "peers:\n  - {region: b, link: 'ipc:///b'}\n  - {region: b, link: 'ipc:///c'}\n", "11:6: peers[1].region", "listed twice");
    refused(GOOD "types:\n  - {type: a b}\n", "10:6: types[0].type", "no type name");
    refused(GOOD "types:\n  - {type: custom}\n", "10:6: types[0].type", "built in");
    refused(GOOD "types:\n  - {type: a}\n  - {type: a}\n", "11:6: types[1].type", "listed twice");
    refused(GOOD "types:\n  - {type: a, lane: urgent}\n", "10:15: types[0].lane", "high, normal or low");
    refused(GOOD "journal: {durability: fast}\n", "9:11: journal.durability", "power or process");
    refused(GOOD "log: {level: trace}\n", "9:7: log.level", "debug, info, warn or error");
}

/* What the broker would refuse when it starts, with the line that names the file. */
static void
test_schemas(void **state)
{
    static const char names_it[] = GOOD "types:\n  - {type: a}\n  - type: courier\n    schema: s.json\n";
    struct fo_schema_set *set;
    struct fo_fault fault;
    struct fo_config *c;
    char path[sizeof dir + 8];
    enum fo_lane lane;
    unsigned index;

    (void)state;
    snprintf(path, sizeof path, "%s/s.json", dir);
    refused(names_it, "12:5: types[1].schema", "type courier, ");
    refused(names_it, "12:5: types[1].schema", "/s.json: cannot be read: No such file");
    write_to(path, "{\"type\": \"object\", \"properties\": {\"at\": {\"pattern\": \"x\"}}}");
    refused(names_it, "12:5: types[1].schema", "/s.json: at /properties/at/pattern: ");
    write_to(path, "{");
    refused(names_it, "12:5: types[1].schema", "type courier, ");
    write_to(path, "");
    refused(names_it, "12:5: types[1].schema", "empty");
    refused(GOOD "types:\n  - {type: a, schema: /}\n", "10:15: types[0].schema", "regular file");
    write_to(path, "{\"type\": \"object\"}");
    c = load(names_it);
    assert_int_equal(fo_config_load_schemas(c, &set, &fault), FO_OK);
    assert_int_equal(fo_schema_set_find(set, fo_slice_str("courier"), &index, &lane), FO_OK);
    fo_schema_set_destroy(set);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fo_config_load_schemas(c, &set, &fault), FO_ERR_CONFIG);
    assert_string_equal(fault.path, "types[1].schema");
    fo_config_destroy(c);
}

static void
url_refused(const char *url, const char *hint)
{
    char text[512];

    snprintf(text, sizeof text, BASE "listen:\n  door: '%s'\n  link: ipc:///x\n", url);
    refused(text, "7:3: listen.door", hint);
}

static void
test_urls(void **state)
{
    char longer[256] = "ipc:///";
    struct fo_config *c;

    (void)state;
    url_refused("http://127.0.0.1:80", "no URL known here");
    url_refused("127.0.0.1:80", "no URL known here");
    url_refused("", "is empty");
    url_refused("ipc://", "path");
    url_refused("tcp://127.0.0.1", "no port");
    url_refused("tcp://127.0.0.1:", "no port");
    url_refused("tcp://127.0.0.1:0", "no port");
    url_refused("tcp://127.0.0.1:65536", "no port");
    url_refused("tcp://127.0.0.1:70x", "no port");
    url_refused("tcp://a b:70", "no valid host");
    url_refused("tcp://[zz]:70", "no valid host");
    url_refused("tcp://10.0.0.1:7001", "unencrypted beyond this machine");
    url_refused("tcp://*:7001", "unencrypted");
    url_refused("tcp://:7001", "unencrypted");
    url_refused("tcp://127.0.0.1.example.org:7001", "unencrypted");
    memset(longer + 7, 'a', 120);
    url_refused(longer, "the system allows 107");
    refused(GOOD "peers:\n  - {region: b, link: 'tcp://10.0.0.2:7'}\n", "10:17: peers[0].link", "tls.allow_plain");
    refused(GOOD "peers:\n  - {region: b, link: 'tcp://:7'}\n", "10:17: peers[0].link", "no host to connect to");
    refused(GOOD "  feed: tcp://127.0.0.1:7001\n", "9:3: listen.feed", "same address as listen.door");
    c = load(BASE "listen: {door: 'tcp://*:7001', link: 'tcp://10.0.0.1:7003'}\ntls: {allow_plain: true}\n");
    fo_config_destroy(c);
    c = load(BASE "listen: {door: 'tls+tcp://*:7001', link: 'tls+tcp://x.example:7003'}\ntls: {cert: c, key: k, ca: a}\n");
    fo_config_destroy(c);
}

static void
test_missing_file_and_long_name(void **state)
{
    struct fo_config *c = NULL;
    struct fo_fault fault;
    char name[300];

    (void)state;
    memset(name, 'x', sizeof name);
    memcpy(name, "/nonexistent/", 13);
    name[250] = '\0';
    assert_int_equal(fo_config_load(name, &c, &fault), FO_ERR_CONFIG);
    assert_non_null(strstr(fault.path, "xx:1:1"));
    assert_non_null(strstr(fault.text, "cannot be read"));
    assert_int_equal(fo_config_load("/tmp", &c, &fault), FO_ERR_CONFIG);
    assert_string_equal(fault.path, "/tmp:1:1");
    fo_config_destroy(NULL);
}

/* Damaged in any way, a config is refused with its place, or still good; never anything else. */
static void
test_damaged_files(void **state)
{
    const char *deploy = getenv("FANOUT_DEPLOY_DIR");
    static const char marks[] = "\0\t\n :-{}[]&*!|>'\"%@`#,?~0\xff\xc3\xef";
    char path[512], text[16384], damaged[sizeof text];
    struct fo_config *c;
    struct fo_fault fault;
    struct fo_rng rng;
    FILE *f;
    size_t n, refusals = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/us-east-1.yaml", deploy);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    fo_rng_init(&rng, 7);
    for (int round = 0; round < 1500; round++) {
        size_t kept = fo_rng_below(&rng, 8) == 0 ? fo_rng_below(&rng, n) : n;

        memcpy(damaged, text, n);
        for (uint64_t hits = fo_rng_below(&rng, 4); hits > 0; hits--)
            damaged[fo_rng_below(&rng, n)] = fo_rng_below(&rng, 2) ? (char)fo_rng_next(&rng) : marks[fo_rng_below(&rng, sizeof marks)];
        f = fopen(file, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(damaged, 1, kept, f), kept);
        fclose(f);
        fault = (struct fo_fault){ 0 };
        if (fo_config_load(file, &c, &fault) == FO_OK) {
            fo_config_destroy(c);
            continue;
        }
        refusals++;
        assert_int_equal(fault.err, FO_ERR_CONFIG);
        assert_memory_equal(fault.path, file, strlen(file));
        assert_true(strlen(fault.text) > 0);
    }
    assert_true(refusals > 100);
}

static int
make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(file, sizeof file, "%s/f.yaml", dir);
    return 0;
}

static int
remove_dir(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_load),
        cmocka_unit_test(test_defaults_and_paths),
        cmocka_unit_test(test_values_are_taken),
        cmocka_unit_test(test_form_is_checked),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_types_of_values),
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_fetches_leave_room),
        cmocka_unit_test(test_ranges_and_sums),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_missing_file_and_long_name),
        cmocka_unit_test(test_damaged_files),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
