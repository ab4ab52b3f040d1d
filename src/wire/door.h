/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests at a broker's door (NNG REP) and the answers, in msgpack or JSON: the first byte decides
 * ('{' or '[' is JSON), and the answer comes in the encoding of the question. proto/WIRE.md has every field. */
#pragma once
#include "wire/audit.h"
#include "wire/event.h"

enum fo_encoding { FO_ENC_MSGPACK, FO_ENC_JSON };

enum fo_op { FO_OP_PUBLISH, FO_OP_FETCH, FO_OP_STATUS, FO_OP_REPORT, FO_OP_EXPLAIN, FO_OP_PING, FO_OP_AUDIT };

enum { FO_WAIT_ACCEPTED = 0, FO_WAIT_ALL = 0xff };      /* else: a number of regions, 1..64 */

enum { FO_REQUEST_EVENTS_MAX = 10000, FO_REQUEST_TIMEOUT_MS_MAX = 60000, FO_FILTER_TYPES_MAX = 8 };

/* No event's result takes more in msgpack, with every text at its longest and a delivery to each of FO_REGIONS_MAX regions. */
enum { FO_RESULT_BYTES_MAX = 7168 };

struct fo_filter {                          /* n 0: any */
    struct fo_slice type[FO_FILTER_TYPES_MAX]; uint8_t type_count;
    struct fo_slice tenant, key, region;    /* region: the event's source region */
};

enum fo_from { FO_FROM_NOW, FO_FROM_EARLIEST, FO_FROM_CURSOR, FO_FROM_TIME };

struct fo_request {
    enum fo_op op;
    enum fo_encoding encoding;
    /* publish */
    struct fo_reader events;                /* events_count msgpack maps one after the other */
    uint32_t events_count;
    bool is_many;                           /* asked as an array: answered as an array */
    bool is_brief;                          /* many: answer counts and errors only */
    uint8_t wait;
    uint32_t timeout_ms;                    /* publish: of wait; fetch: how long it may be parked */
    /* fetch */
    struct fo_filter filter;
    enum fo_from from;
    struct fo_slice cursor;                 /* opaque text */
    struct fo_wall since, until;            /* fetch: from; report: range. us 0: absent */
    uint32_t events_max, bytes_max;
    /* explain */
    struct fo_slice id, tenant;
    /* audit */
    struct fo_audit_query audit;
};

/* Decodes a request's outer map and checks it; events are decoded one by one with fo_event_decode_publish.
 * For JSON the msgpack form is built in `scratch` (kept by the caller as long as ret_req is used). On error ret_fault. */
FO_MUST_CHECK enum fo_err fo_request_decode(struct fo_slice body, struct fo_buf *scratch, struct fo_request *ret_req, struct fo_fault *ret_fault);

/* Takes the next event's bytes off req->events; false behind the last one. Paths in the faults of fo_event_decode_publish are
 * relative to the event: in an answer it is the place in `results`, or the `index`, that tells which. */
bool fo_request_next_event(struct fo_request *req, struct fo_slice *ret_event);

/* True when the filter names nothing. */
static inline bool fo_filter_is_any(const struct fo_filter *f) { return f->type_count == 0 && f->tenant.n == 0 && f->key.n == 0 && f->region.n == 0; }
/* True when all that the filter names is as it says. */
bool fo_filter_match(const struct fo_filter *filter, const struct fo_event *event);

enum fo_delivery_state { FO_DELIVERY_PENDING, FO_DELIVERY_DELIVERED, FO_DELIVERY_EXPIRED, FO_DELIVERY_INCOMPATIBLE, FO_DELIVERY_FAILED };
const char *fo_delivery_state_name(enum fo_delivery_state s);

struct fo_delivery {
    const char *region;
    enum fo_delivery_state state;           /* success is DELIVERED */
    int64_t latency_us;                     /* -1: none yet */
    uint32_t attempts;
};

struct fo_publish_result {                  /* one event's answer */
    const struct fo_fault *fault;           /* null: accepted */
    struct fo_slice event_id;
    bool is_duplicate;                      /* the id was accepted before; position is the first one's */
    const char *region;                     /* of the position; null: this region's. A duplicate may be another region's event */
    struct fo_position position;
    const struct fo_delivery *deliveries; unsigned delivery_count;
    int64_t total_latency_us;               /* acceptance to the last settled delivery, or to durability; -1: none */
    bool is_success;                        /* the wait was fulfilled */
};

/* What a brief answer says of many events. */
struct fo_publish_place { const char *region; struct fo_position position; };       /* region null: this region's */
struct fo_publish_error { uint32_t index; struct fo_fault *fault; };
struct fo_publish_tally {
    uint32_t count, accepted, duplicates, successes;        /* duplicates are among the accepted */
    struct fo_publish_place first, last;                    /* of the accepted, if there are any */
    struct fo_publish_error *error; uint32_t error_count;
};

/* Appends the answer. count 1 and !is_many: one map; else {"success","count","results":[...]}. */
FO_MUST_CHECK enum fo_err fo_publish_answer_encode(enum fo_encoding enc, bool is_many, const char *region, const struct fo_publish_result *results, unsigned count,
    struct fo_buf *out);
/* {"success","count","accepted","duplicates","errors":[{"index",...}],"positions":[first,last]}. */
FO_MUST_CHECK enum fo_err fo_publish_brief_encode(enum fo_encoding enc, const char *region, const struct fo_publish_tally *tally, struct fo_buf *out);
/* {"success": false, "error": {"code", "path", "message", "retryAfterMs"}}; retry_after_ms 0: none given. */
FO_MUST_CHECK enum fo_err fo_error_answer_encode(enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_after_ms, struct fo_buf *out);
/* For when there is no memory to make an answer: an error `timeout`, for it is not said what became of the request. Static. */
struct fo_slice fo_fallback_answer(enum fo_encoding enc);
/* The same with "cursor" beside "error": for FO_ERR_CURSOR_GONE, the earliest one. */
FO_MUST_CHECK enum fo_err fo_error_answer_encode_cursor(enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_after_ms,
    struct fo_slice cursor, struct fo_buf *out);
/* "us-east-1:18f3c2a1b00:high:42", the form used everywhere a person sees it. Region: any; FO_POSITION_SIZE suffices. */
#define FO_POSITION_SIZE 96
void fo_position_format(const char *region, struct fo_position pos, char ret_text[FO_POSITION_SIZE]);
/* A json_t as the answer in either encoding (status, report, explain). */
FO_MUST_CHECK enum fo_err fo_json_answer_encode(enum fo_encoding enc, const struct json_t *json, struct fo_buf *out);
