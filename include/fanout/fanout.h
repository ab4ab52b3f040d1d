/* SPDX-License-Identifier: Apache-2.0
 *
 * libfanout: publish events to a region's broker and read them back from any region's broker.
 *
 * Handles are opaque. Strings are NUL-terminated UTF-8. What a function hands out stays the library's unless the
 * function says otherwise; what a caller hands in is copied before the call returns. Functions that can fail return
 * FANOUT_OK (0) or one of enum fanout_err, and write their last argument only as documented.
 *
 * Threads: a fanout_client may be used by any number of threads at once. A fanout_publisher may be, too. A
 * fanout_subscription, a delivery and results belong to one thread at a time. The library raises no signals and
 * installs no handlers. Fork before the first fanout_open, never after.
 *
 * Failover: the client is given several addresses, nearest first. It uses the nearest that is connected and
 * answers, goes to the next when that one is lost or does not answer in time, and comes back, by and by, when
 * it has been there again for failback_ms. A request
 * is repeated with the same event ids, so that a broker that has seen it answers as it did at first. When the next address is
 * another region's broker and the first one had accepted the event without being able to say so, both regions have
 * published it: a subscriber then sees one id at two positions, and one for whom that matters compares (tenant, id). */
#ifndef FANOUT_FANOUT_H
#define FANOUT_FANOUT_H

#include <fanout/client.h>
#include <fanout/publish.h>
#include <fanout/subscribe.h>

#endif
