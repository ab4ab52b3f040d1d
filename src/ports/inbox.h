/* SPDX-License-Identifier: Apache-2.0
 *
 * What other threads tell the loop. Bounded; two priorities, so that an urgent frame or an ack does not stand behind bulk. */
#pragma once
#include "base/err.h"
#include "ports/transport.h"

enum fo_input_kind {
    FO_INPUT_FRAME,             /* msg: a frame from some peer, not yet believed */
    FO_INPUT_REQUEST,           /* msg, request: at the door; answer exactly once with door_reply(request) */
    FO_INPUT_LINK_UP,           /* peer, cls: our sending connection stands */
    FO_INPUT_LINK_DOWN,         /* peer, cls */
    FO_INPUT_STORED,            /* err, lsn: see fo_journal_stored_fn */
    FO_INPUT_LEDGER,            /* lsn: everything of ours below it is in the ledger; trimming may pass it */
    FO_INPUT_ANSWER,            /* request, msg: a worker's finished answer, to be sent by the loop, which then frees the handle */
    FO_INPUT_STOP,              /* drain and leave */
};
struct fo_input { enum fo_input_kind kind; enum fo_err err; unsigned peer; enum fo_link_class cls; uint64_t request, lsn; struct fo_msg msg; };

struct fo_inbox;
FO_MUST_CHECK enum fo_err fo_inbox_create(unsigned cap, struct fo_inbox **ret_inbox);
void fo_inbox_destroy(struct fo_inbox *box);
/* Any thread. FO_ERR_FULL only for FRAME and REQUEST, which use at most half of cap and 128 MiB; the poster keeps the message then and
 * tries again (a frame is simply dropped: its sender repeats it). The other kinds wait for room, which only the loop makes. */
FO_MUST_CHECK enum fo_err fo_inbox_post(struct fo_inbox *box, const struct fo_input *in, bool is_urgent);
/* Loop thread: takes up to max inputs, urgent first, waiting up to timeout_us (-1: for ever) when there are none. */
unsigned fo_inbox_take(struct fo_inbox *box, struct fo_input *ret_inputs, unsigned max, int timeout_us);
