/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits and enumerations that every layer shares. */
#pragma once
#include <stdint.h>

#include "base/bytes.h"

enum {
    FO_REGIONS_MAX = 64,                /* a target set is one 64-bit mask */
    FO_REGION_BYTES_MAX = 32,           /* see fo_region_name_is_valid */
    FO_LANES = 3,
    FO_BATCH_EVENTS_MAX = 1024,
    FO_NESTING_MAX = 16,
    FO_ID_BYTES_MAX = 128,
    FO_TENANT_BYTES_MAX = 64,
    FO_TYPE_BYTES_MAX = 64,
    FO_KEY_BYTES_MAX = 128,             /* partitionkey, the ordering key */
    FO_TEXT_BYTES_MAX = 256,            /* source, subject, traceparent, datacontenttype */
};

/* Priority class; drained in this order, each lower lane with a guaranteed share. */
enum fo_lane { FO_LANE_HIGH, FO_LANE_NORMAL, FO_LANE_LOW };

/* Two connections per link: high lane and control frames on one, the other lanes on the other, so that a standing bulk queue
 * delays nothing urgent. */
enum fo_link_class { FO_LINK_URGENT, FO_LINK_BULK, FO_LINK_CLASSES };

/* One bit per configured region, by its index in the region table. */
typedef uint64_t fo_region_set;

/* Where an event stands: unique for ever. `seq` counts the events that the region accepted in
 * this lane; it starts at 1 and never goes back inside an epoch. */
struct fo_position { uint64_t epoch, seq; enum fo_lane lane; };

/* Of (tenant, id), which make an event unique: a keyed hash (wire/fingerprint.h), so equal means the same event. */
struct fo_fingerprint { uint64_t hi, lo; };

/* The one rule for region names, and its words for people. */
bool fo_region_name_is_valid(struct fo_slice name);
#define FO_REGION_NAME_RULE "1 to 32 of a-z, 0-9 and inner '-', as in us-east-1"

/* "high", "normal", "low". */
const char *fo_lane_name(enum fo_lane lane);
