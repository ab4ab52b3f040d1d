/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout doctor`: addresses, peers and the database.
 *
 * Peers are not probed with bare connections, because those can end an NNG 1.5.2 listener: a running broker is asked for its
 * links, and without one each is dialed as the broker would, NNG's greeting included. */
#include <netdb.h>
#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "adapter/migrate_pg.h"
#include "client/client.h"
#include "client/reach.h"
#include "client/tls.h"
#include "cmd/fanout/doctor.h"
#include "cmd/fanout/ledger.h"
#include "cmd/fanout/links.h"
#include "cmd/fanout/table.h"

enum { PROBE_MS = 1500, NNG_PUB = 0x20, NNG_SUB = 0x21 };     /* the two ends of a link, by NNG's numbers */

/* Host and port of tcp://HOST:PORT and tls+tcp://HOST:PORT. */
static bool
split_tcp(const char *url, char host[256], char port[16])
{
    const char *at = strstr(url, "://"), *colon;

    if (at == NULL || strstr(url, "tcp://") == NULL)
        return false;
    at += 3;
    colon = strrchr(at, ':');
    if (colon == NULL || (size_t)(colon - at) >= 256 || strlen(colon + 1) >= 16)
        return false;
    snprintf(host, 256, "%.*s", (int)(colon - at), at);
    if (host[0] == '[')
        snprintf(host, 256, "%.*s", (int)strcspn(at + 1, "]"), at + 1);
    strcpy(port, colon + 1);
    return true;
}

/* True when this process could listen there now; why gets the reason otherwise. */
static bool
can_bind(const char *url, char why[128])
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *list;
    char host[256], port[16];
    int one = 1, fd, rv;
    bool is_free;

    if (!split_tcp(url, host, port))
        return true;
    rv = getaddrinfo(host[0] == '\0' || strcmp(host, "*") == 0 ? NULL : host, port, &hints, &list);
    if (rv != 0) {
        snprintf(why, 128, "%s", gai_strerror(rv));
        return false;
    }
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    is_free = fd >= 0 && bind(fd, list->ai_addr, list->ai_addrlen) == 0;
    if (!is_free)
        snprintf(why, 128, "%m");
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
    return is_free;
}

/* The status of whatever broker answers there; null when none does. */
static json_t *
ask_door(struct doctor *d, const char *url)
{
    struct cmd_common common = d->common;
    fanout_client *client;
    char *text;
    json_t *status = NULL;

    cmd_default_tls(&common, d->config);
    if (cmd_connect_to(&common, url, &client) != CMD_OK)
        return NULL;
    if (fo_client_call_json(client, "{\"op\":\"status\"}", common.timeout_ms, &text) == FANOUT_OK) {
        status = json_loads(text, 0, NULL);
        free(text);
    }
    return status;                      /* the client is left: closing NNG can hang, and the program ends soon */
}

/* The letter of proc(5): T for a process that is stopped; 0: not known. */
static char
process_state(long pid)
{
    char path[64], text[512] = "", *at;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    f = pid > 0 ? fopen(path, "re") : NULL;
    if (f == NULL)
        return 0;
    (void)!fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    at = strrchr(text, ')');                /* behind the program's name, which may hold anything */
    return at != NULL && at[1] == ' ' ? at[2] : 0;
}

/* It holds the lock of its data directory: it runs, whatever its door says, and the ports are its own. */
static void
say_silent(struct doctor *d, const char *url)
{
    char advice[256], pid[24] = "unknown", ms[24];
    bool is_stopped = process_state(d->holder) == 'T';

    if (is_stopped)
        snprintf(advice, sizeof(advice), "it is stopped, by SIGSTOP or a debugger: `kill -CONT %ld` lets it go on", d->holder);
    else
        snprintf(advice, sizeof(advice), "see its log; perhaps it is still starting, waits for its disk, or was started with another configuration. Restart it if that lasts; never start a second one");
    if (d->holder > 0)
        snprintf(pid, sizeof(pid), "%ld", d->holder);
    doctor_say(d, FINDING_FAIL, "broker", advice, "runs%s (pid %s, which holds %s/lock), but does not answer at %s within %s: %s", is_stopped ? ", stopped" : "", pid,
        d->config->data_dir, url, table_ms(d->common.timeout_ms, ms), fanout_last_error());
}

static void
check_ports(struct doctor *d)
{
    const struct fo_config *c = d->config;
    const struct { const char *name, *url; } end[] = { { "door", c->listen.door }, { "feed", c->listen.feed }, { "link", c->listen.link } };
    const char *advice = d->lock == FO_ERR_PERMISSION ? "run this as the broker's user: it may be this very broker, which does not answer; `ss -ltnp` names the program"
        : "end the other program (`ss -ltnp` names it), or choose another address";
    char why[128];

    for (unsigned i = 0; i < 3; i++) {
        if (end[i].url == NULL)
            continue;
        if (can_bind(end[i].url, why))
            doctor_say(d, FINDING_OK, "ports", NULL, "%s: %s is free", end[i].name, end[i].url);
        else
            doctor_say(d, FINDING_FAIL, "ports", advice, "%s: %s cannot be used: %s", end[i].name, end[i].url, why);
    }
}

void
doctor_check_addresses(struct doctor *d)
{
    const struct fo_config *c = d->config;
    char url[CMD_DOOR_BYTES], up[24];
    const char *region;
    json_t *status;

    if (d->common.is_default_broker)
        cmd_reachable_url(c->listen.door, url);
    else
        snprintf(url, sizeof(url), "%s", d->common.broker[0]);
    status = ask_door(d, url);
    region = cmd_text(status, "region", "");
    d->lock = fo_dir_lock_holder(c->data_dir, &d->holder);
    if (status != NULL && strcmp(region, c->region) == 0) {
        d->status = status;
        doctor_say(d, FINDING_OK, "broker", NULL, "answers at %s: version %s, up %s", url, cmd_text(status, "version", "?"),
            table_ms(cmd_number(status, "uptimeMs", 0), up));
        return;
    }
    if (status != NULL) {
        doctor_say(d, FINDING_FAIL, "broker", "give each broker a port of its own", "at %s the broker of %s answers, not of %s",
            url, region, c->region);
        json_decref(status);
        return;
    }
    if (d->lock == FO_OK) {
        say_silent(d, url);
        return;
    }
    if (d->lock == FO_ERR_NOT_FOUND)
        doctor_say(d, FINDING_OK, "broker", NULL, "is not running");
    else
        doctor_say(d, FINDING_WARN, "broker", "run this as the broker's user", "does not answer at %s; whether it runs cannot be seen", url);
    check_ports(d);
}

/* Whether the running broker takes publishes. */
void
doctor_check_publishing(struct doctor *d)
{
    const json_t *publishing = json_object_get(d->status, "publishing");
    const char *cause = cmd_text(publishing, "cause", ""), *advice = "make room there; publishing goes on by itself";
    char held[24], limit[24];

    if (publishing == NULL)
        return;                         /* it is not running */
    table_bytes(cmd_number(publishing, "heldBytes", 0), held);
    table_bytes(cmd_number(publishing, "limitBytes", 0), limit);
    if (strcmp(cmd_text(publishing, "state", ""), "refused") != 0) {
        doctor_say(d, FINDING_OK, "publish", NULL, "publishes are taken; %s of at most %s wait for peers", held, limit);
        return;
    }
    if (strcmp(cause, "disk_full") != 0 && strcmp(cmd_text(publishing, "heldFor", ""), "ledger") == 0)
        advice = "bring the database back (see database below), or raise journal.bytes_max and restart; publishing goes on by itself";
    else if (strcmp(cause, "disk_full") != 0)
        advice = "bring that region or the line to it back (see peers below), or raise journal.bytes_max and restart; publishing goes on by itself; "
            "a region that is gone for good is to be taken out of peers";
    doctor_say(d, FINDING_FAIL, "publish", advice, "the broker refuses every publish: %s", cmd_text(publishing, "reason", "?"));
}

/* Dials as the broker would. False: why gets the reason. */
static bool
dial_link(const struct fo_config *c, const char *url, char why[FO_TLS_WHY_BYTES])
{
    const struct fo_tls_files files = { c->tls.ca, c->tls.cert, c->tls.key };
    struct fo_reach_to to = { .address = url, .what = "link", .self = NNG_PUB, .peer = NNG_SUB, .has_cert = true };
    char name[FO_TLS_NAME_BYTES_MAX + 1];
    struct fo_reach reach = { 0 };
    bool is_there = false;

    snprintf(why, FO_TLS_WHY_BYTES, "no address that can be dialed");
    if (fo_tls_is_address(url) && (fo_tls_name(url, NULL, name) != FO_OK || fo_tls_client(&files, name, &to.tls, why) != FO_OK
        || fo_tls_client(&files, NULL, &to.tls_lenient, why) != FO_OK))
        goto cleanup;
    to.tls_name = name;
    if (fo_reach_init(&reach, &to, NULL, NULL) != FO_OK)
        goto cleanup;
    is_there = fo_reach_try(&reach, PROBE_MS);
    strcpy(why, reach.why);
cleanup:
    fo_reach_fini(&reach);
    if (to.tls != NULL)
        nng_tls_config_free(to.tls);
    if (to.tls_lenient != NULL)
        nng_tls_config_free(to.tls_lenient);
    return is_there;
}

static void
check_refusals(struct doctor *d, const json_t *refused, const char *whose)
{
    struct link_trouble t = link_refusals(refused, whose);

    if (t.is_found)
        doctor_say(d, whose != NULL ? FINDING_FAIL : FINDING_WARN, "peers", t.advice, "%s", t.text);
}

static void
check_link(struct doctor *d, const json_t *link)
{
    const char *region = cmd_text(link, "region", "?");
    struct link_trouble down = link_down(link);
    char rtt[24];

    if (down.is_found)
        doctor_say(d, down.is_lasting ? FINDING_FAIL : FINDING_WARN, "peers", down.advice, "%s: link down: %s", region, down.text);
    else
        doctor_say(d, FINDING_OK, "peers", NULL, "%s: link up, round trip %s", region, table_ms(cmd_number(link, "rttMs", -1), rtt));
    check_refusals(d, json_object_get(link, "refused"), region);
}

void
doctor_check_peers(struct doctor *d)
{
    const struct fo_config *c = d->config;
    const json_t *link;
    size_t n;

    if (d->status != NULL) {
        json_array_foreach(json_object_get(d->status, "links"), n, link)
            check_link(d, link);
        check_refusals(d, json_object_get(d->status, "strangers"), NULL);
        return;
    }
    for (unsigned i = 0; i < c->peers_count; i++) {
        char why[FO_TLS_WHY_BYTES];
        if (dial_link(c, c->peers[i].link, why))
            doctor_say(d, FINDING_OK, "peers", NULL, "%s answers at %s", c->peers[i].region, c->peers[i].link);
        else
            doctor_say(d, FINDING_WARN, "peers", "start that broker, or check its listen.link and peers here; events wait for it meanwhile",
                "%s: %s: %s", c->peers[i].region, c->peers[i].link, why);
    }
}

static void
check_schema(struct doctor *d, struct ledger *ledger)
{
    static const char sql[] =
        "SELECT to_regclass('realtime_fanout_log') IS NOT NULL AS has_log, to_regclass('region_health') IS NOT NULL AS has_cursor,"
        " pg_is_in_recovery() AS is_replica, current_user::text AS role, rolsuper AS is_super,"
        " CASE WHEN to_regclass('realtime_fanout_log') IS NULL THEN false"
        " ELSE has_table_privilege('realtime_fanout_log', 'INSERT') END AS may_insert,"
        " CASE WHEN to_regclass('fanout_migrations') IS NULL THEN false"
        " ELSE has_table_privilege('fanout_migrations', 'SELECT') END AS may_see_migrations FROM pg_roles WHERE rolname = current_user";
    const char *role;
    const json_t *row;
    json_t *rows, *versions;

    if (ledger_query(ledger, sql, NULL, 0, &rows) != CMD_OK) {
        doctor_say(d, FINDING_FAIL, "database", NULL, "%s", ledger_last_error(ledger));
        return;
    }
    row = json_array_get(rows, 0);
    role = cmd_text(row, "role", "?");
    if (!json_is_true(json_object_get(row, "has_log")) || !json_is_true(json_object_get(row, "has_cursor")))
        doctor_say(d, FINDING_FAIL, "database", "run `fanout migrate --conninfo ...` as the database's owner", "the schema is missing or too old");
    else if (!json_is_true(json_object_get(row, "may_insert")))
        doctor_say(d, FINDING_FAIL, "database", "connect as fanout_broker, or grant that role to this one", "role %s may not write to realtime_fanout_log", role);
    else
        doctor_say(d, FINDING_OK, "database", NULL, "schema present, role %s may write", role);
    if (json_is_true(json_object_get(row, "is_replica")))
        doctor_say(d, FINDING_WARN, "database", "name the primary, or several hosts with target_session_attrs=read-write", "this server is a read replica");
    if (json_is_true(json_object_get(row, "is_super")))
        doctor_say(d, FINDING_WARN, "database", "let the broker connect as fanout_broker", "role %s is a superuser; the broker needs far less", role);
    if (json_is_true(json_object_get(row, "may_see_migrations"))
        && ledger_query(ledger, "SELECT coalesce(max(version), 0) AS version FROM fanout_migrations", NULL, 0, &versions) == CMD_OK) {
        double version = cmd_number(json_array_get(versions, 0), "version", 0);
        if (version < fo_migrations_count)
            doctor_say(d, FINDING_FAIL, "database", "run `fanout migrate`", "the schema is at version %.0f of %u", version, fo_migrations_count);
        json_decref(versions);
    }
    json_decref(rows);
}

void
doctor_check_database(struct doctor *d)
{
    const struct fo_config *c = d->config;
    const json_t *status = json_object_get(d->status, "ledger");
    struct ledger *ledger;
    char why[256], bytes[24];

    if (!c->ledger.is_enabled) {
        doctor_say(d, FINDING_OK, "database", NULL, "the ledger is off; reports come from the brokers");
        return;
    }
    if (ledger_try(c->ledger.conninfo, &ledger, why, sizeof(why)) != CMD_OK) {
        doctor_say(d, FINDING_FAIL, "database", "start it or correct ledger.conninfo; rows are kept in the journal until then", "%s", why);
        return;
    }
    check_schema(d, ledger);
    ledger_close(ledger);
    if (status != NULL)
        doctor_say(d, cmd_text(status, "lastError", "")[0] != '\0' ? FINDING_WARN : FINDING_OK, "database", "see the broker's log",
            "the broker's ledger is %s behind%s%s", table_bytes(cmd_number(status, "lagBytes", 0), bytes),
            cmd_text(status, "lastError", "")[0] != '\0' ? ": " : "", cmd_text(status, "lastError", ""));
}
