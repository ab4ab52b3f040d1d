/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout doctor`: keys, certificates and the data directory. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "adapter/keys_file.h"
#include "adapter/nng_transport.h"
#include "adapter/x509_dates.h"
#include "cmd/fanout/doctor.h"
#include "cmd/fanout/table.h"

enum { EXPIRY_WARN_DAYS = 30 };          /* when make-certs renews */
#define DAY_US (24 * 3600 * INT64_C(1000000))

static void
check_peer_keys(struct doctor *d, const struct fo_key_ring *ring)
{
    const struct fo_config *c = d->config;

    for (unsigned p = 0; p < c->peers_count; p++) {
        unsigned found = 0;
        for (unsigned i = 0; i < ring->count; i++)
            found += strcmp(ring->key[i].region, c->peers[p].region) == 0;
        if (found == 0)
            doctor_say(d, FINDING_FAIL, "keys", "copy it there: `fanout keys export` in that region prints it",
                "no public key of %s in %s", c->peers[p].region, c->keys.public_keys);
        else
            doctor_say(d, FINDING_OK, "keys", NULL, "public key of %s", c->peers[p].region);
    }
}

static void
check_own_public_key(struct doctor *d, const struct fo_key_ring *ring, const struct fo_public_key *own)
{
    const struct fo_public_key *listed = fo_key_ring_find(ring, own->id);

    if (listed == NULL)
        doctor_say(d, FINDING_FAIL, "keys", "`fanout keys export` prints it; the broker verifies its own journal with it",
            "own public key %016" PRIx64 " is not in %s", own->id, d->config->keys.public_keys);
    else if (strcmp(listed->region, d->config->region) != 0 || memcmp(listed->key, own->key, FO_PUBLIC_KEY_BYTES) != 0)
        doctor_say(d, FINDING_FAIL, "keys", "remove the wrong *.pub file", "own public key in %s is another one",
            d->config->keys.public_keys);
}

void
doctor_check_keys(struct doctor *d)
{
    const struct fo_config *c = d->config;
    struct fo_key_ring *ring = calloc(1, sizeof(*ring));
    struct fo_key_pair pair;
    struct fo_fault fault;
    bool has_pair;

    if (ring == NULL || fo_keys_library_init() != FO_OK) {
        doctor_say(d, FINDING_FAIL, "keys", NULL, "out of memory");
        free(ring);
        return;
    }
    has_pair = fo_keys_file_load_secret(c->keys.secret_key, &pair, &fault) == FO_OK;
    if (!has_pair)
        doctor_say(d, FINDING_FAIL, "keys", "`fanout keys new` makes a key pair; a secret key has mode 0600", "%s: %s", fault.path, fault.text);
    else if (strcmp(pair.public_half.region, c->region) != 0)
        doctor_say(d, FINDING_FAIL, "keys", "name this region's own secret key in keys.secret_key", "%s is the key of %s", c->keys.secret_key,
            pair.public_half.region);
    else
        doctor_say(d, FINDING_OK, "keys", NULL, "own key %016" PRIx64 ", mode 0600", pair.public_half.id);
    if (fo_keys_file_load_ring(c->keys.public_keys, ring, &fault) != FO_OK) {
        doctor_say(d, FINDING_FAIL, "keys", "put every region's *.pub file there", "%s: %s", fault.path, fault.text);
    } else {
        if (has_pair && strcmp(pair.public_half.region, c->region) == 0)
            check_own_public_key(d, ring, &pair.public_half);
        check_peer_keys(d, ring);
    }
    if (has_pair)
        fo_key_pair_fini(&pair);
    free(ring);
}

static bool
is_tls(const char *url)
{
    return url != NULL && strncmp(url, "tls+tcp://", 10) == 0;
}

/* Whether the certificate is good now, and for how long yet. */
static bool
check_dates(struct doctor *d, const char *key, const char *path, enum fo_x509_pick pick)
{
    static const char renew[] = "`deploy/make-certs`, run again where the authority's key is, renews what ends; copy it here and restart";
    struct fo_x509_dates dates;
    int64_t now_us = cmd_now().us, days;
    char text[FO_RFC3339_SIZE];

    if (fo_x509_dates(path, pick, &dates) != FO_OK)
        return true;                    /* what is wrong with it is said when it is tried */
    days = (dates.not_after.us - now_us) / DAY_US;
    fo_wall_format(now_us < dates.not_before.us ? dates.not_before : dates.not_after, text);
    if (now_us < dates.not_before.us)
        doctor_say(d, FINDING_FAIL, "tls", "set this machine's clock, or wait", "%s: %s is not valid before %s", key, path, text);
    else if (now_us > dates.not_after.us)
        doctor_say(d, FINDING_FAIL, "tls", renew, "%s: %s has expired, at %s", key, path, text);
    else if (days < EXPIRY_WARN_DAYS)
        doctor_say(d, FINDING_WARN, "tls", renew, "%s: %s expires in %d days, at %s", key, path, (int)days, text);
    else
        doctor_say(d, FINDING_OK, "tls", NULL, "%s: %s is valid for %d more days", key, path, (int)days);
    return now_us >= dates.not_before.us && now_us <= dates.not_after.us;
}

void
doctor_check_tls(struct doctor *d)
{
    const struct fo_config *c = d->config;
    const struct fo_nng_config tls = { .tls = { c->tls.cert, c->tls.key, c->tls.ca } };
    bool is_needed = is_tls(c->listen.door) || is_tls(c->listen.feed) || is_tls(c->listen.link), is_current;
    struct fo_fault fault;
    struct stat st;

    for (unsigned i = 0; i < c->peers_count; i++)
        is_needed |= is_tls(c->peers[i].link);
    if (!is_needed)
        return;
    is_current = check_dates(d, "tls.cert", c->tls.cert, FO_X509_FIRST);
    is_current &= check_dates(d, "tls.ca", c->tls.ca, FO_X509_LONGEST);
    if (!is_current)
        return;                         /* no trial would say more */
    if (fo_nng_tls_check(&tls, &fault) != FO_OK)
        doctor_say(d, FINDING_FAIL, "tls", "name PEM files that this user can read and that fit each other; `deploy/make-certs` makes them", "%s: %s", fault.path, fault.text);
    else if (stat(c->tls.key, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        doctor_say(d, FINDING_WARN, "tls", "chmod 600 it", "%s can be read by others (mode %04o)", c->tls.key, (unsigned)(st.st_mode & 07777));
    else
        doctor_say(d, FINDING_OK, "tls", NULL, "certificate, key and authority fit each other");
}

static void
check_space(struct doctor *d, const char *dir)
{
    struct statvfs fs;
    char free_text[24], max_text[24];
    double free_bytes, max = (double)d->config->journal.bytes_max;

    if (statvfs(dir, &fs) != 0) {
        doctor_say(d, FINDING_FAIL, "data", NULL, "%s: %s", dir, strerror(errno));
        return;
    }
    free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    table_bytes(free_bytes, free_text);
    table_bytes(max, max_text);
    if (free_bytes < 2.0 * d->config->journal.segment_bytes)
        doctor_say(d, FINDING_FAIL, "data", "make room, or publishes will be refused", "%s has %s free, less than two segments", dir, free_text);
    else if (free_bytes < max)
        doctor_say(d, FINDING_WARN, "data", "a long outage of a peer may fill the disk: make room, or lower journal.bytes_max",
            "%s has %s free, less than journal.bytes_max (%s)", dir, free_text, max_text);
    else
        doctor_say(d, FINDING_OK, "data", NULL, "%s has %s free", dir, free_text);
}

/* One who holds it and does not answer was told of with the broker. */
static void
check_lock(struct doctor *d, const char *dir)
{
    if (d->status != NULL && d->lock == FO_OK)
        doctor_say(d, FINDING_OK, "data", NULL, "in use by the running broker");
    else if (d->status != NULL && d->lock == FO_ERR_NOT_FOUND)
        doctor_say(d, FINDING_WARN, "data", "check data_dir: the running broker was started with another configuration",
            "a broker of %s answers, but does not use %s", d->config->region, dir);
}

void
doctor_check_data(struct doctor *d)
{
    const char *dir = d->config->data_dir;
    struct fo_identity id;
    struct fo_fault fault;
    struct stat st;
    enum fo_err err;

    if (stat(dir, &st) != 0) {
        if (errno == ENOENT)
            doctor_say(d, FINDING_OK, "data", NULL, "%s does not exist yet; the broker makes it", dir);
        else
            doctor_say(d, FINDING_FAIL, "data", "let this user in", "%s: %s", dir, strerror(errno));
        return;
    }
    if (!S_ISDIR(st.st_mode) || access(dir, R_OK | W_OK | X_OK) != 0) {
        doctor_say(d, FINDING_FAIL, "data", "run as the broker's user, or let it in with chown", "%s is not a directory that this user can write to", dir);
        return;
    }
    err = fo_identity_load(dir, d->config->region, &id, &fault);
    if (err == FO_OK)
        doctor_say(d, FINDING_OK, "data", NULL, "%s belongs to %s", dir, d->config->region);
    else if (err != FO_ERR_NOT_FOUND)
        doctor_say(d, FINDING_FAIL, "data", "give every region a data_dir of its own", "%s: %s", fault.path, fault.text);
    check_lock(d, dir);
    check_space(d, dir);
}
