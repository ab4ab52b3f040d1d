/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishing, one by one or many at a time. Include <fanout/fanout.h>. */
#ifndef FANOUT_PUBLISH_H
#define FANOUT_PUBLISH_H

#include <fanout/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fanout_results fanout_results;
typedef struct fanout_publisher fanout_publisher;

/* An event to publish; null or 0 where nothing is given. Fill with fanout_event_init. */
struct fanout_event {
    const char *type;               /* required: "order_status" */
    const char *id;                 /* unique within the tenant; null: a UUIDv7 is made before sending */
    const char *tenant;             /* null: "default" */
    const char *key;                /* ordering key: events with the same one keep their order */
    const char *priority;           /* "high", "normal", "low"; null: the type's own */
    const char *source, *subject;
    const char *time, *expirytime;  /* RFC 3339 */
    const char *const *targets;     /* regions; target_count 0: all */
    size_t target_count;
    const char *data_json;          /* payload as JSON text, */
    size_t data_json_size;          /* its length; 0: up to the NUL */
    const void *data_msgpack;       /* or as one msgpack value (used when data_json is null) */
    size_t data_msgpack_size;
    const char *extra_json;         /* more attributes, the members of one JSON object; carried on as they are */
};

FANOUT_API void fanout_event_init(struct fanout_event *event);

/* What a publish waits for, besides being durable at the broker: delivery to so many regions. */
enum { FANOUT_WAIT_ACCEPTED = 0, FANOUT_WAIT_ALL = -1 };

struct fanout_region_result {
    const char *region;
    const char *state;              /* "delivered", "pending", "expired", "incompatible", "failed" */
    int is_success;
    double latency_ms;              /* acceptance to acknowledgement; negative: none yet */
    unsigned attempts;
};

struct fanout_result {              /* one event's answer; pointers are never null */
    int err;                        /* FANOUT_OK: accepted and durable */
    int is_success;                 /* accepted, and delivered as far as was waited for */
    int is_duplicate;               /* the id was accepted before; this is the first one's position */
    const char *code, *path, *message;  /* of a failed event, code and path when a broker said so: "schema", "data.status",
                                         * "must be ..."; else "" */
    unsigned retry_after_ms;        /* refused for now: come back after this; 0: do not */
    const char *event_id;           /* as given or made; to publish a failed one again without publishing it twice */
    const char *position;           /* "us-east-1:18f3c2a1b00:high:42"; "" when not told */
    double total_latency_ms;        /* negative: not told */
    const struct fanout_region_result *regions;
    size_t region_count;
};

/* Publishes one event and waits for the answer. wait: FANOUT_WAIT_ACCEPTED, a number of regions, or FANOUT_WAIT_ALL.
 * ret_results (may be null) is set whatever came of it, so that the id is known; nulled with _INVALID (too large: see request_bytes_max), or without memory for
 * it. Free it with fanout_results_free. FANOUT_ERR_REFUSED, _BUSY, _WAIT, _UNREACHABLE, _TIMEOUT, _INVALID. */
FANOUT_API int fanout_publish(fanout_client *client, const struct fanout_event *event, int wait, fanout_results **ret_results);
/* Likewise for 1 to 10000 in one request, in order; each has its own result. FANOUT_ERR_PARTIAL when only some were accepted. */
FANOUT_API int fanout_publish_many(fanout_client *client, const struct fanout_event *events, size_t count, int wait,
    fanout_results **ret_results);
FANOUT_API size_t fanout_results_count(const fanout_results *results);
/* Valid until fanout_results_free. Null when index is out of range. */
FANOUT_API const struct fanout_result *fanout_results_at(const fanout_results *results, size_t index);
FANOUT_API void fanout_results_free(fanout_results *results);

/* Asynchronously.
 *
 * A publisher gathers events and sends many in one request over several channels at once. Events with the same (tenant, key) go
 * through the same channel, one request at a time, so their order is kept, retries included. */

struct fanout_publisher_options {
    unsigned channels;              /* requests in flight at most; 4. At most 64 */
    unsigned events_max;            /* gathered and in flight together; 16384. Then: full */
    unsigned request_events_max;    /* events in one request; 512. At most 10000 */
    unsigned request_bytes_max;     /* bytes in one request, unless one event alone takes more; 1048576. At least 1024, and no more
                                     * than the client's */
    int is_blocking;                /* full: wait for room instead of FANOUT_ERR_FULL; 0 */
    int wait;                       /* as in fanout_publish; FANOUT_WAIT_ACCEPTED */
    int is_detailed;                /* results carry position and regions; costs throughput; 0. With a wait they always do */
    int timeout_ms;                 /* one event's patience, failover and retries included; 30000 */
};

/* Called on the publisher's own thread, once per event; the result is valid during the call only. It may call
 * fanout_publisher_send, which then never blocks, but not flush or close. */
typedef void (*fanout_publish_fn)(void *user, const struct fanout_result *result);

FANOUT_API void fanout_publisher_options_init(struct fanout_publisher_options *options);
FANOUT_API int fanout_publisher_open(fanout_client *client, const struct fanout_publisher_options *options,
    fanout_publisher **ret_publisher);
/* Takes the event into the queue. callback may be null. Any thread. FANOUT_ERR_FULL, _INVALID, _CLOSED; the callback is not
 * called then. */
FANOUT_API int fanout_publisher_send(fanout_publisher *publisher, const struct fanout_event *event, fanout_publish_fn callback,
    void *user);
/* Waits until everything sent before has been answered. FANOUT_ERR_TIMEOUT. timeout_ms -1: for ever. Any thread. */
FANOUT_API int fanout_publisher_flush(fanout_publisher *publisher, int timeout_ms);
/* Events that were not sent yet get FANOUT_ERR_CLOSED, those sent and not answered FANOUT_ERR_TIMEOUT. Null is allowed. */
FANOUT_API void fanout_publisher_close(fanout_publisher *publisher);

#ifdef __cplusplus
}
#endif

#endif
