/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a broker's config with libcyaml. Every key is optional to libcyaml: what is required, and why, is said by the
 * checks, which can word it better. libcyaml reports a mistake as text with a backtrace, innermost first; the path in it
 * is put together again here and its position looked up among the marks. */
#include <cyaml/cyaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter/config_yaml_parts.h"

enum { FILE_BYTES_MAX = 1 << 20 };

#define OPT CYAML_FLAG_OPTIONAL
#define IN(section) __typeof__(((struct fo_config *)0)->section)
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, OPT | CYAML_FLAG_POINTER, type, member, 0, 4096)
#define NUMBER(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)
/* As an enum: libcyaml's own booleans take every misspelt word for true. */
#define SWITCH(key, type, member) CYAML_FIELD_ENUM(key, OPT | CYAML_FLAG_STRICT, type, member, switch_words, 2)
#define SECTION(key, member, fields) CYAML_FIELD_MAPPING(key, OPT, struct fo_config, member, fields)

static const cyaml_strval_t switch_words[] = { { "false", 0 }, { "true", 1 } };

static const cyaml_schema_field_t keys_fields[] = {
    TEXT("secret_key", IN(keys), secret_key),
    TEXT("public_keys", IN(keys), public_keys),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t listen_fields[] = {
    TEXT("door", IN(listen), door),
    TEXT("feed", IN(listen), feed),
    TEXT("link", IN(listen), link),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t tls_fields[] = {
    SWITCH("allow_plain", IN(tls), allow_plain),
    TEXT("cert", IN(tls), cert),
    TEXT("key", IN(tls), key),
    TEXT("ca", IN(tls), ca),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t peer_fields[] = {
    TEXT("region", struct fo_config_peer, region),
    TEXT("link", struct fo_config_peer, link),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t type_fields[] = {
    TEXT("type", struct fo_config_type, type),
    TEXT("lane", struct fo_config_type, lane),
    TEXT("schema", struct fo_config_type, schema),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t limits_fields[] = {
    NUMBER("event_bytes_max", IN(limits), event_bytes_max),
    NUMBER("request_bytes_max", IN(limits), request_bytes_max),
    NUMBER("batch_events_max", IN(limits), batch_events_max),
    NUMBER("batch_bytes_max", IN(limits), batch_bytes_max),
    NUMBER("gather_us_max", IN(limits), gather_us_max),
    NUMBER("requests_max", IN(limits), requests_max),
    NUMBER("pending_events_max", IN(limits), pending_events_max),
    NUMBER("pending_bytes_max", IN(limits), pending_bytes_max),
    NUMBER("waiting_events_max", IN(limits), waiting_events_max),
    NUMBER("tail_bytes_max", IN(limits), tail_bytes_max),
    NUMBER("fetches_max", IN(limits), fetches_max),
    NUMBER("dedupe_events_max", IN(limits), dedupe_events_max),
    NUMBER("schema_version_min", IN(limits), schema_version_min),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t link_fields[] = {
    NUMBER("window_bytes", IN(link), window_bytes),
    NUMBER("window_bytes_min", IN(link), window_bytes_min),
    NUMBER("queue_delay_ms_max", IN(link), queue_delay_ms_max),
    NUMBER("ack_delay_ms_max", IN(link), ack_delay_ms_max),
    NUMBER("window_batches", IN(link), window_batches),
    NUMBER("heartbeat_ms", IN(link), heartbeat_ms),
    NUMBER("probes_missed_max", IN(link), probes_missed_max),
    NUMBER("stable_ms_min", IN(link), stable_ms_min),
    NUMBER("stable_ms_max", IN(link), stable_ms_max),
    NUMBER("retransmit_ms_min", IN(link), retransmit_ms_min),
    NUMBER("low_share_percent", IN(link), low_share_percent),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t journal_fields[] = {
    TEXT("durability", IN(journal), durability),
    NUMBER("segment_bytes", IN(journal), segment_bytes),
    NUMBER("bytes_max", IN(journal), bytes_max),
    NUMBER("retention_hours", IN(journal), retention_hours),
    NUMBER("retention_bytes", IN(journal), retention_bytes),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t ledger_fields[] = {
    SWITCH("enabled", IN(ledger), is_enabled),
    TEXT("conninfo", IN(ledger), conninfo),
    NUMBER("rows_max", IN(ledger), rows_max),
    NUMBER("settle_wait_ms", IN(ledger), settle_wait_ms),
    NUMBER("answer_timeout_ms", IN(ledger), answer_timeout_ms),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t log_fields[] = {
    TEXT("level", IN(log), level),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t peer_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct fo_config_peer, peer_fields) };
static const cyaml_schema_value_t type_entry = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct fo_config_type, type_fields) };
static const cyaml_schema_field_t top_fields[] = {
    TEXT("region", struct fo_config, region),
    SWITCH("primary", struct fo_config, is_primary),
    TEXT("data_dir", struct fo_config, data_dir),
    SECTION("keys", keys, keys_fields),
    SECTION("listen", listen, listen_fields),
    SECTION("tls", tls, tls_fields),
    CYAML_FIELD_SEQUENCE("peers", OPT | CYAML_FLAG_POINTER, struct fo_config, peers, &peer_entry, 0, FO_REGIONS_MAX - 1),
    CYAML_FIELD_SEQUENCE("types", OPT | CYAML_FLAG_POINTER, struct fo_config, types, &type_entry, 0, 256),
    SECTION("limits", limits, limits_fields),
    SECTION("link", link, link_fields),
    SECTION("journal", journal, journal_fields),
    SECTION("ledger", ledger, ledger_fields),
    SECTION("log", log, log_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t top = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct fo_config, top_fields) };

/* What libcyaml said: the first line is the mistake, the others its backtrace. */
struct report { char mistake[256]; char path[256]; };

static void
path_prepend(struct report *r, const char *name)
{
    char joined[sizeof r->path];

    /* "peers" + "[0].link": an index binds to what stands before it without a dot. */
    snprintf(joined, sizeof joined, "%.100s%s%.150s", name, *r->path && *r->path != '[' ? "." : "", r->path);
    snprintf(r->path, sizeof r->path, "%s", joined);
}

static void
on_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
    struct report *r = ctx;
    char line[256], name[100], index[32];
    unsigned n;

    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "  in mapping field '%99[^']'", name) == 1) {
        path_prepend(r, name);
    } else if (sscanf(line, "  in sequence entry '%u'", &n) == 1) {
        /* It has counted the entry already. */
        snprintf(index, sizeof index, "[%u]", n > 0 ? n - 1 : 0);
        path_prepend(r, index);
    } else if (*r->mistake == '\0' && strncmp(line, "Load: ", 6) == 0) {
        snprintf(r->mistake, sizeof r->mistake, "%s", line + 6);
    }
}

static const cyaml_schema_field_t *
field_find(const cyaml_schema_field_t *fields, const char *name, size_t n)
{
    for (; fields->key != NULL; fields++)
        if (strlen(fields->key) == n && memcmp(fields->key, name, n) == 0)
            return fields;
    return NULL;
}

/* The keys that may stand in the mapping at path, as text. */
static void
known_keys(const char *path, char *ret_text, size_t size)
{
    const cyaml_schema_field_t *fields = top_fields, *f;
    size_t used = 0;

    for (const char *p = path; *p != '\0' && fields != NULL;) {
        f = field_find(fields, p, strcspn(p, ".["));
        p += strcspn(p, ".");
        p += *p == '.';
        if (f == NULL)
            fields = NULL;
        else
            fields = f->value.type == CYAML_SEQUENCE ? f->value.sequence.entry->mapping.fields : f->value.mapping.fields;
    }
    *ret_text = '\0';
    for (; fields != NULL && fields->key != NULL && used < size; fields++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s%s", used > 0 ? ", " : "", fields->key);
}

/* Says libcyaml's mistake in the reader's words. */
static enum fo_err
explain(const struct fo_yaml_marks *marks, const struct report *r, cyaml_err_t failed, struct fo_fault *ret_fault)
{
    const struct fo_config_number *number = fo_config_number_find(r->path);
    char word[100] = "", path[sizeof r->path + sizeof word], known[150];

    if (sscanf(r->mistake, "Unexpected key: %99[^\n]", word) == 1) {
        snprintf(path, sizeof path, "%s%s%s", r->path, *r->path ? "." : "", word);
        known_keys(r->path, known, sizeof known);
        return fo_config_fault(marks, ret_fault, path, "unknown key; known here: %s", known);
    }
    if (strncmp(r->mistake, "Invalid UINT", 12) == 0 || strncmp(r->mistake, "Invalid uint64_t", 16) == 0) {
        sscanf(r->mistake, "Invalid %*s value: '%99[^']'", word);
        return fo_config_fault(marks, ret_fault, r->path, "expected a whole number from %llu to %llu%s%s%s",
            number ? (unsigned long long)number->min : 0ull, number ? (unsigned long long)number->max : 0ull,
            *word ? ", not '" : "", word, *word ? "'" : "");
    }
    if (strncmp(r->mistake, "Invalid ENUM value", 18) == 0) {
        sscanf(r->mistake, "Invalid ENUM value: %99[^\n]", word);
        return fo_config_fault(marks, ret_fault, r->path, "expected true or false, not '%s'", word);
    }
    if (strncmp(r->mistake, "Excessive entries", 17) == 0)
        return fo_config_fault(marks, ret_fault, r->path, "too many entries");
    if (sscanf(r->mistake, "Expecting %99[^,]", word) == 1)
        return fo_config_fault(marks, ret_fault, r->path, "expected %s here",
            strcmp(word, "MAPPING") == 0 ? "keys and values, indented below it"
            : strcmp(word, "SEQUENCE") == 0 ? "a list, each entry behind '- '" : "one plain value");
    return fo_config_fault(marks, ret_fault, r->path, "%s", *r->mistake ? r->mistake : cyaml_strerror(failed));
}

static enum fo_err
file_read(const char *path, struct fo_buf *out, struct fo_fault *ret_fault)
{
    char why[128];
    enum fo_err err = fo_config_file_read(path, FILE_BYTES_MAX, out, why, sizeof why);

    return err == FO_ERR_CONFIG ? fo_config_fault_at(ret_fault, path, 1, 1, "", "%s", why) : err;
}

static cyaml_config_t
cyaml_setup(struct report *r)
{
    return (cyaml_config_t){ .log_fn = on_log, .log_ctx = r, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR, .flags = CYAML_CFG_NO_ALIAS };
}

enum fo_err
fo_config_load(const char *path, struct fo_config **ret_config, struct fo_fault *ret_fault)
{
    struct fo_buf text;
    struct fo_yaml_marks marks = { 0 };
    struct report report = { 0 };
    cyaml_config_t setup = cyaml_setup(&report);
    struct fo_config *config = NULL;
    cyaml_err_t failed;
    enum fo_err err;

    *ret_fault = (struct fo_fault){ 0 };
    fo_buf_init(&text);
    if ((err = file_read(path, &text, ret_fault)) != FO_OK || (err = fo_yaml_marks_init(&marks, path, fo_buf_slice(&text), ret_fault)) != FO_OK)
        goto cleanup;
    failed = cyaml_load_data(text.p, text.n, &setup, &top, (cyaml_data_t **)&config, NULL);
    if (failed == CYAML_ERR_OOM)
        err = FO_ERR_NO_MEMORY;
    else if (failed != CYAML_OK)
        err = explain(&marks, &report, failed, ret_fault);
    else
        err = fo_config_complete(config, &marks, ret_fault);
    if (err == FO_OK) {
        *ret_config = config;
        config = NULL;
    }
cleanup:
    if (err == FO_ERR_NO_MEMORY)
        *ret_fault = (struct fo_fault){ .err = err, .text = "out of memory" };
    fo_config_destroy(config);
    fo_yaml_marks_fini(&marks);
    fo_buf_fini(&text);
    return err;
}

void
fo_config_destroy(struct fo_config *config)
{
    cyaml_config_t setup = cyaml_setup(&(struct report){ 0 });

    if (config != NULL)
        cyaml_free(&setup, &top, config, 0);
}
