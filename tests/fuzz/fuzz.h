/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets share. Each target file defines fuzz_one, which must come back whatever the bytes are, and demands what it can
 * prove of the result. With libFuzzer's main it is a fuzzer, with replay.c a regression test over files. */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "wire/door.h"
#include "wire/frame.h"
#include "wire/schema.h"

void fuzz_one(struct fo_slice input);

/* Stays on in every build. */
#define DEMAND(cond)                                                            \
    do {                                                                        \
        if (!(cond)) {                                                          \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond);  \
            abort();                                                            \
        }                                                                       \
    } while (0)

/* Either way is right, as long as it is one of the errors that there are. */
static inline void demand_some(enum fo_err err) { DEMAND((unsigned)err < FO_ERR_COUNT_); }

/* Region us-east-1 with its peers us-west-2 and eu-west-1, as the golden vectors have it. */
enum { WORLD_REGIONS = 3 };
extern const struct fo_region_names world_regions;
extern const struct fo_schema_set *world_schemas;
extern struct fo_event_rules world_rules;
extern struct fo_key_ring world_keys;
extern struct fo_key_pair world_pair[WORLD_REGIONS];
/* Made at the first call. */
void world_init(void);
/* Set by who takes memory away: then even the lines that must never be logged may be. */
extern bool world_is_short_of_memory;

/* A file that holds the input, as a path that can be opened; the next call overwrites it. */
const char *world_file(struct fo_slice input);
/* The same as a descriptor at its beginning. */
int world_fd(struct fo_slice input);
