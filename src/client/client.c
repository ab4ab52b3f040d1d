/* SPDX-License-Identifier: Apache-2.0
 *
 * The client itself: opening, closing, errors, small requests. */
#include "client/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client/answer.h"
#include "client/call.h"
#include "client/encode.h"

static _Thread_local char last_error[FO_CONN_WHY_BYTES];

int
fo_fail(int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(last_error, sizeof(last_error), fmt, ap);
    va_end(ap);
    return err;
}

int
fo_public_err(enum fo_err err)
{
    switch (err) {
    case FO_OK:
        return FANOUT_OK;
    case FO_ERR_UNAVAILABLE:
        return FANOUT_ERR_UNREACHABLE;
    case FO_ERR_TIMEOUT:
        return FANOUT_ERR_TIMEOUT;
    case FO_ERR_NO_MEMORY:
        return FANOUT_ERR_NO_MEMORY;
    case FO_ERR_PROTO:
        return FANOUT_ERR_PROTOCOL;
    case FO_ERR_CLOSED:
        return FANOUT_ERR_CLOSED;
    case FO_ERR_FULL:
        return FANOUT_ERR_FULL;
    case FO_ERR_INTERNAL:
        return FANOUT_ERR_INTERNAL;
    default:
        return FANOUT_ERR_INVALID;
    }
}

int
fo_fail_conn(struct fanout_client *c, enum fo_err err)
{
    int public_err = fo_public_err(err);
    char why[FO_CONN_WHY_BYTES], tried[384] = "";
    size_t n = 0;

    if (err == FO_ERR_UNAVAILABLE) {
        fo_conn_say_why(c->conn, why);
        return fo_fail(public_err, "%s", why);
    }
    for (unsigned i = 0; i < c->conn->count && n < sizeof(tried); i++)
        n += (size_t)snprintf(tried + n, sizeof(tried) - n, "%s%s", i > 0 ? ", " : "", c->conn->server[i].address);
    if (err == FO_ERR_TIMEOUT)
        return fo_fail(public_err, "no answer in time from %s", tried);
    return fo_fail(public_err, "%s (%s)", fanout_strerror(public_err), tried);
}

int
fo_fail_fault(const struct fo_fault *fault)
{
    int err = fault->err == FO_ERR_NO_MEMORY ? FANOUT_ERR_NO_MEMORY : FANOUT_ERR_INVALID;

    return fo_fail(err, "%s%s%s", fault->path, fault->path[0] != '\0' ? ": " : "", fault->text);
}

int
fo_fail_too_large(const struct fanout_client *c, size_t count, size_t bytes)
{
    return fo_fail(FANOUT_ERR_INVALID, "%zu event%s take%s %zu bytes in a request, and request_bytes_max is %u%s", count, count > 1 ? "s" : "",
        count > 1 ? "" : "s", bytes, c->conn->request_bytes_max, count > 1 ? ": publish fewer at a time" : "");
}

FANOUT_API const char *
fanout_last_error(void)
{
    return last_error;
}

FANOUT_API const char *
fanout_version(void)
{
    return FANOUT_VERSION;
}

FANOUT_API const char *
fanout_strerror(int err)
{
    static const char *const text[] = {
        [FANOUT_OK] = "success",
        [FANOUT_ERR_INVALID] = "argument not valid",
        [FANOUT_ERR_UNREACHABLE] = "no broker can be reached",
        [FANOUT_ERR_TIMEOUT] = "no answer in time",
        [FANOUT_ERR_FULL] = "the queue is full",
        [FANOUT_ERR_REFUSED] = "refused by the broker",
        [FANOUT_ERR_BUSY] = "the broker cannot take more now",
        [FANOUT_ERR_PARTIAL] = "only some events were accepted",
        [FANOUT_ERR_WAIT] = "accepted, but not delivered to as many regions as asked for in time",
        [FANOUT_ERR_CURSOR_GONE] = "the position is no longer retained",
        [FANOUT_ERR_PROTOCOL] = "the answer could not be understood",
        [FANOUT_ERR_CLOSED] = "closed",
        [FANOUT_ERR_NO_MEMORY] = "out of memory",
        [FANOUT_ERR_INTERNAL] = "a defect in this library",
    };

    return err >= 0 && (size_t)err < sizeof(text) / sizeof(text[0]) ? text[err] : "unknown error";
}

struct fo_wall
fo_client_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (struct fo_wall){ (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 };
}

void
fo_client_make_id(struct fanout_client *c, char ret_id[FO_UUID_SIZE])
{
    struct fo_wall now = fo_client_wall();

    pthread_mutex_lock(&c->rng_lock);
    fo_uuid7_format(now, &c->rng, ret_id);
    pthread_mutex_unlock(&c->rng_lock);
}

FANOUT_API void
fanout_options_init(struct fanout_options *options)
{
    *options = (struct fanout_options){ .timeout_ms = 5000, .connect_timeout_ms = 2000, .failback_ms = 300000,
        .request_bytes_max = 4194304 };
}

FANOUT_API int
fanout_open(const struct fanout_options *options, fanout_client **ret_client)
{
    struct fanout_client *c = calloc(1, sizeof(*c));
    char why[256] = "";
    uint64_t seed;
    enum fo_err err;

    if (c == NULL)
        return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        free(c);
        return fo_fail(FANOUT_ERR_INTERNAL, "no random numbers from the system");
    }
    fo_rng_init(&c->rng, seed);
    pthread_mutex_init(&c->rng_lock, NULL);
    err = fo_conn_create(options, &c->conn, why);
    if (err != FO_OK) {
        pthread_mutex_destroy(&c->rng_lock);
        free(c);
        return fo_fail(fo_public_err(err), "%s", why[0] != '\0' ? why : fanout_strerror(fo_public_err(err)));
    }
    *ret_client = c;
    return FANOUT_OK;
}

FANOUT_API void
fanout_close(fanout_client *client)
{
    if (client == NULL)
        return;
    fo_conn_destroy(client->conn);
    pthread_mutex_destroy(&client->rng_lock);
    free(client);
}

FANOUT_API int
fanout_ping(fanout_client *client, char *ret_region)
{
    struct fo_buf request;
    struct fo_slice region;
    nng_msg *answer = NULL;
    enum fo_err err;

    fo_buf_init(&request);
    err = fo_encode_ping(&request);
    if (err == FO_OK)
        err = fo_conn_exchange(client->conn, fo_buf_slice(&request), client->conn->timeout_ms, &answer, NULL);
    if (err == FO_OK)
        err = fo_answer_ping(fo_slice_of(nng_msg_body(answer), nng_msg_len(answer)), &region);
    if (err == FO_OK && ret_region != NULL)
        snprintf(ret_region, FO_REGION_BYTES_MAX + 1, "%.*s", (int)region.n, (const char *)region.p);
    if (answer != NULL)
        nng_msg_free(answer);
    fo_buf_fini(&request);
    return err == FO_OK ? FANOUT_OK : fo_fail_conn(client, err);
}

int
fo_client_call_json(struct fanout_client *c, const char *request, int timeout_ms, char **ret_answer)
{
    nng_msg *answer = NULL;
    enum fo_err err = fo_conn_exchange(c->conn, fo_slice_str(request), timeout_ms, &answer, NULL);
    size_t n;
    char *text;

    if (err != FO_OK)
        return fo_fail_conn(c, err);
    n = nng_msg_len(answer);
    text = malloc(n + 1);
    if (text != NULL) {
        memcpy(text, nng_msg_body(answer), n);
        text[n] = '\0';
    }
    nng_msg_free(answer);
    if (text == NULL)
        return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
    *ret_answer = text;
    return FANOUT_OK;
}
