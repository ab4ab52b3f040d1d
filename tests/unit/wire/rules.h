/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker that the event and door tests play: us-east-1 with two peers and the built-in types. */
#pragma once
#include "wire/door.h"
#include "wire/schema.h"

#define RULES_ACCEPTED_US INT64_C(1767225600123456)
#define RULES_MADE_ID "00000000-0000-7000-8000-000000000000"

/* group_setup and group_teardown for cmocka; between them rules() is valid. */
int rules_setup(void **state);
int rules_teardown(void **state);
const struct fo_event_rules *rules(void);

/* Encodes e as accepted by this broker, into memory that the next call reuses. */
struct fo_slice rules_record(struct fo_event *e);
/* One event decoded from JSON text; the text must be accepted. Slices are valid until the next call. */
struct fo_event rules_event(const char *json);
