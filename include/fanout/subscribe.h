/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribing. Include <fanout/fanout.h>. */
#ifndef FANOUT_SUBSCRIBE_H
#define FANOUT_SUBSCRIBE_H

#include <fanout/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fanout_subscription fanout_subscription;
typedef struct fanout_delivery fanout_delivery;

enum fanout_from { FANOUT_FROM_NOW = 0, FANOUT_FROM_EARLIEST = 1, FANOUT_FROM_TIME = 2, FANOUT_FROM_CURSOR = 3 };

/* Which events, and from where on. Fill with fanout_filter_init. Null: any. */
struct fanout_filter {
    const char *const *types;       /* at most 8 */
    size_t type_count;
    const char *tenant, *key, *region;  /* region: where the event was published */
    int from;                       /* enum fanout_from; FANOUT_FROM_NOW */
    const char *time;               /* FROM_TIME: RFC 3339 */
    const char *cursor;             /* FROM_CURSOR: text from fanout_subscription_cursor, or a broker's own */
    unsigned fetch_max;             /* events asked for at a time; 1000 */
    int overlap_ms;                 /* after a failover to another region: how far to go back, see fanout_subscription_cursor; 60000 */
};

FANOUT_API void fanout_filter_init(struct fanout_filter *filter);
/* Begins a subscription; waits for the first answer of a broker, so that events published after this call are seen. */
FANOUT_API int fanout_subscribe(fanout_client *client, const struct fanout_filter *filter, fanout_subscription **ret_subscription);
/* The next event, waiting up to timeout_ms (-1: for ever). ret_delivery is valid until the next call on this subscription.
 * FANOUT_ERR_TIMEOUT: none came. FANOUT_ERR_CURSOR_GONE: events were trimmed away before they were read; the next call goes on
 * with the earliest retained. FANOUT_ERR_PROTOCOL: an event or an answer cannot be understood; the event is stepped over, an answer is
 * asked for again. Other errors: call again to try again. */
FANOUT_API int fanout_subscription_next(fanout_subscription *subscription, int timeout_ms, const fanout_delivery **ret_delivery);
/* Where to go on after the event handed out last, to be kept and given as FANOUT_FROM_CURSOR later, by any client. It names the
 * broker's place and, per source region and lane, the last position handed out, so that nothing is seen twice, even when the
 * broker that answers then is another region's: there the subscription begins overlap_ms before the moment up to which the broker
 * before had handed out all that it had stored, in every lane, and steps over what was seen. overlap_ms has to cover how far the
 * brokers' clocks differ, and how much later than the other an event may have come to the one that was read from; a broker that
 * misses a source, or has its events late, counts that in. Valid until the next call on this subscription; "" before the first answer. */
FANOUT_API const char *fanout_subscription_cursor(fanout_subscription *subscription);
FANOUT_API void fanout_subscription_close(fanout_subscription *subscription);

/* An event as delivered. Never null; "" when absent. */
FANOUT_API const char *fanout_delivery_id(const fanout_delivery *delivery);
FANOUT_API const char *fanout_delivery_type(const fanout_delivery *delivery);
FANOUT_API const char *fanout_delivery_tenant(const fanout_delivery *delivery);
FANOUT_API const char *fanout_delivery_key(const fanout_delivery *delivery);
FANOUT_API const char *fanout_delivery_region(const fanout_delivery *delivery);
FANOUT_API const char *fanout_delivery_position(const fanout_delivery *delivery);
/* The payload as JSON text ("" when there is none), and the whole event in CloudEvents' JSON format. Null: out of memory, or the event
 * is not well-formed. */
FANOUT_API const char *fanout_delivery_data_json(const fanout_delivery *delivery);
FANOUT_API const char *fanout_delivery_event_json(const fanout_delivery *delivery);
/* The payload as msgpack; ret_size gets its length. Null when there is none. */
FANOUT_API const void *fanout_delivery_data_msgpack(const fanout_delivery *delivery, size_t *ret_size);

#ifdef __cplusplus
}
#endif

#endif
