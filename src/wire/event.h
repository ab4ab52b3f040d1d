/* SPDX-License-Identifier: Apache-2.0
 *
 * The event: CloudEvents 1.0 attributes plus our own, as publishers give it and as it is stored.
 *
 * A publisher's event is a map with names as keys. The broker encodes it once into the event record:
 * a msgpack map whose known keys are the numbers below (one byte instead of a name), with the
 * fields that the broker adds; keys it does not know are carried on with their values, byte for byte.
 * That record is what is hashed, signed, stored, forwarded and handed to subscribers. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"
#include "base/time.h"
#include "wire/error.h"

/* X(number, symbol, name) : numbers are for ever. In a record the first four come first, in this order. */
#define FO_FIELD_LIST(X)                        \
    X(1, ID, "id")                              \
    X(2, TYPE, "type")                          \
    X(3, ACCEPTEDTIME, "acceptedtime")          \
    X(4, SOURCEREGION, "sourceregion")          \
    X(5, TENANT, "tenant")                      \
    X(6, PARTITIONKEY, "partitionkey")          \
    X(7, PRIORITY, "priority")                  \
    X(8, SOURCE, "source")                      \
    X(9, SUBJECT, "subject")                    \
    X(10, TIME, "time")                         \
    X(11, EXPIRYTIME, "expirytime")             \
    X(12, SCHEMAVERSION, "schemaversion")       \
    X(13, MINCOMPATIBLE, "mincompatible")       \
    X(14, TRACEPARENT, "traceparent")           \
    X(15, DATACONTENTTYPE, "datacontenttype")   \
    X(16, DATASCHEMA, "dataschema")             \
    X(17, DATA, "data")                         \
    X(18, TARGETS, "targets")

enum fo_field {
#define FO_FIELD_ENUM(num, sym, name) FO_FIELD_##sym = num,
    FO_FIELD_LIST(FO_FIELD_ENUM)
#undef FO_FIELD_ENUM
};

enum { FO_UNKNOWN_FIELDS_MAX = 16 };

struct fo_event {                           /* a view: every slice borrows the bytes decoded from */
    struct fo_slice id, type, tenant, partitionkey, source, subject, traceparent, datacontenttype, dataschema;
    struct fo_slice sourceregion;           /* set by the broker that accepted it */
    struct fo_wall acceptedtime;            /* likewise */
    struct fo_wall time, expirytime;        /* us 0: absent */
    uint32_t schemaversion, mincompatible;  /* default 1 and 1 */
    enum fo_lane lane;                      /* from priority, else the type's default */
    bool has_priority;
    fo_region_set targets;                  /* publish only; 0: absent, which means all */
    struct fo_slice data;                   /* one msgpack value; n 0: absent */
    struct fo_slice unknown[FO_UNKNOWN_FIELDS_MAX];    /* each: key and value, as they stood */
    uint8_t unknown_count;
};

/* What the broker knows and a decoder must ask for. */
struct fo_region_names { const char *name[FO_REGIONS_MAX]; unsigned count; };
/* Sets FO_ERR_UNKNOWN_REGION, with the names that there are. */
enum fo_err fo_region_names_fault(const struct fo_region_names *regions, const char *path, struct fo_fault *ret_fault);
struct fo_schema_set;

struct fo_event_rules {
    const struct fo_region_names *regions;
    const struct fo_schema_set *schemas;    /* known types, default lanes, payload schemas */
    uint32_t event_bytes_max;               /* of the record */
};

/* Decodes and validates one publisher's event (msgpack map with names, or numbers, as keys). Tenant defaults to "default".
 * On error ret_fault says what, where and what is expected. Allocates nothing. */
FO_MUST_CHECK enum fo_err fo_event_decode_publish(struct fo_slice msgpack, const struct fo_event_rules *rules,
    struct fo_event *ret_event, struct fo_fault *ret_fault);
/* Appends the record to w, which overflows unless it has room for fo_event_encoded_max; e->acceptedtime and e->sourceregion are set by the caller.
 * Fields with their default value are left out, targets too (the batch header names them). */
void fo_event_encode(const struct fo_event *e, struct fo_writer *w);
/* The same into memory that has that room; returns the place behind the record. */
uint8_t *fo_event_put(const struct fo_event *e, uint8_t *p);
/* At most this many bytes will fo_event_encode write. */
size_t fo_event_encoded_max(const struct fo_event *e);
/* Reads a record back. Checks what a peer could get wrong; never trusts it. */
FO_MUST_CHECK enum fo_err fo_event_decode(struct fo_slice record, struct fo_event *ret_event);
/* The same for a record that passed fo_event_decode before, or that this broker encoded: without looking inside the values. */
FO_MUST_CHECK enum fo_err fo_event_view(struct fo_slice record, struct fo_event *ret_event);
/* The record as one JSON object with names as keys, times as RFC 3339 (CloudEvents JSON format, `specversion` "1.0"). New reference. */
struct json_t;
FO_MUST_CHECK enum fo_err fo_event_to_json(struct fo_slice record, struct json_t **ret_json);
/* The same as compact text, appended to out straight from the bytes. The record passed fo_event_decode before. */
FO_MUST_CHECK enum fo_err fo_event_write_json(struct fo_slice record, struct fo_buf *out);
/* Its topic on the SUB feed, TYPE/TENANT/KEY; in the key, space and '%' stand as %20 and %25, so that a space ends the topic.
 * At most FO_TOPIC_BYTES_MAX bytes. */
enum { FO_TOPIC_BYTES_MAX = FO_TYPE_BYTES_MAX + FO_TENANT_BYTES_MAX + 3 * FO_KEY_BYTES_MAX + 2 };
void fo_event_write_topic(const struct fo_event *event, struct fo_writer *w);
