/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets as the broker sees them. Calls come from the loop thread and never block; what arrives is posted to the
 * inbox by the transport's own threads. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"

struct fo_msg { void *handle; struct fo_slice body; };  /* owned by its holder until fo_transport msg_free */

struct fo_transport;
struct fo_transport_ops {
    /* Sends one frame on the link to peer (index in the region table). Copied. FO_ERR_CLOSED: not connected; FO_ERR_FULL. */
    enum fo_err (*link_send)(struct fo_transport *t, unsigned peer, enum fo_link_class cls, struct fo_slice frame);
    /* Answers a request. Copied. */
    void (*door_reply)(struct fo_transport *t, uint64_t request, struct fo_slice body);
    bool (*feed_has_subscribers)(struct fo_transport *t);
    /* One message to the plain SUB feed, topic then body; at most once. */
    void (*feed_publish)(struct fo_transport *t, struct fo_slice topic, struct fo_slice body);
    void (*msg_free)(struct fo_transport *t, struct fo_msg *take_msg);
};
struct fo_transport { const struct fo_transport_ops *ops; };
