/* SPDX-License-Identifier: Apache-2.0
 *
 * The plain SUB feed: one message per event, "TYPE/TENANT/KEY " and the event as CloudEvents JSON. At most once. */
#pragma once
#include "broker/batch.h"

void fo_feed_batch(struct fo_context *ctx, const struct fo_batch *b);
