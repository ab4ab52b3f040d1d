/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout pub`: what its two halves share. pub.c has the arguments and one event, pub_stream.c many. */
#pragma once
#include <fanout/fanout.h>

#include "cmd/fanout/common.h"

enum { PUB_TARGETS_MAX = 64 };

struct pub_args {
    struct cmd_common common;
    struct fanout_event event;      /* what the options say about each event */
    const char *target[PUB_TARGETS_MAX];
    json_t *fields;                 /* --field: an object; null: none */
    char *fields_text;
    bool is_stdin;                  /* events, or payloads when a type is given, come line by line */
    bool has_wait;
    int wait;
    uint64_t count;                 /* events to make; 1 unless --count */
    double rate;                    /* events per second; 0: as fast as they are taken */
};

/* An answer as the door writes it in JSON. New reference. */
json_t *pub_result_json(const struct fanout_result *result);
/* Publishes what comes from standard input, or `count` events alike. Returns an exit code. */
int pub_stream(const struct pub_args *args, fanout_client *client);
