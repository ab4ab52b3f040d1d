/* SPDX-License-Identifier: Apache-2.0
 *
 * Which way frames take to each peer, and the control frames that find it out: heartbeats are the probes, their echoes the
 * answers. While the direct link is down and another peer says that it reaches the target, frames go through that one,
 * signatures unchanged; the direct link is probed all the while. */
#pragma once
#include "broker/forward.h"

/* A control frame of the given kind to one peer, directly and, if there is one, by the relay too; a lost one is repeated by the next. */
void fo_paths_control(struct fo_forward *f, unsigned peer, enum fo_frame_kind kind, fo_forward_acks_fn acks, void *user);
/* Owed acks, due heartbeats, retransmissions, and who is reached how; returns when to call again at the latest. */
struct fo_instant fo_paths_tick(struct fo_forward *f, fo_forward_acks_fn acks, void *user);
/* Notes a verified control frame's sender: process, clock, round trip, whom it reaches. is_direct: it came on the peer's own link. */
bool fo_paths_heard(struct fo_forward *f, unsigned peer, const struct fo_control *c, bool is_direct);
/* A verified relay frame for another region: handed on as it is, directly or not at all. */
void fo_paths_carry(struct fo_forward *f, unsigned target, enum fo_link_class cls, struct fo_slice frame);
