/* SPDX-License-Identifier: Apache-2.0
 *
 * What the library's parts share: the client, and the last error of each thread. */
#pragma once
#include <fanout/fanout.h>

#include "base/rng.h"
#include "base/uuid.h"
#include "client/conn.h"
#include "wire/error.h"

struct fanout_client {
    struct fo_conn *conn;
    pthread_mutex_t rng_lock;
    struct fo_rng rng;          /* for event ids */
};

/* A new event id. Any thread. */
void fo_client_make_id(struct fanout_client *c, char ret_id[FO_UUID_SIZE]);
/* Microseconds since 1970. */
struct fo_wall fo_client_wall(void);

/* Sets this thread's last error and returns err. */
__attribute__((format(printf, 2, 3)))
int fo_fail(int err, const char *fmt, ...);
/* The same for an error from the connection, and for what encoding an event found. */
int fo_fail_conn(struct fanout_client *c, enum fo_err err);
int fo_fail_fault(const struct fo_fault *fault);
/* The same for events that take so many bytes together, more than a request may have. */
int fo_fail_too_large(const struct fanout_client *c, size_t count, size_t bytes);
/* Public error of a connection's error. */
int fo_public_err(enum fo_err err);

/* A request in JSON, its answer in JSON (malloc'd, NUL-terminated): for requests of operators' tools that have no function of
 * their own. Whatever the answer says is FANOUT_OK here. */
int fo_client_call_json(struct fanout_client *c, const char *request, int timeout_ms, char **ret_answer);
