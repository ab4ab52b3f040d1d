/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishing and waiting for the answer. Ids are made before the first attempt, so that every attempt is the same request. */
#include "client/answer.h"
#include "client/call.h"
#include "client/client.h"
#include "client/encode.h"
#include "wire/door.h"

#include <stdio.h>

FANOUT_API void
fanout_event_init(struct fanout_event *event)
{
    *event = (struct fanout_event){ 0 };
}

static int
encode_events(struct fanout_client *c, const struct fanout_event *events, size_t count, struct fo_buf *out)
{
    struct fo_fault fault;
    char id[FO_UUID_SIZE];

    for (size_t i = 0; i < count; i++) {
        fo_client_make_id(c, id);
        if (fo_encode_event(&events[i], id, out, &fault) == FO_OK)
            continue;
        int err = fo_fail_fault(&fault);
        if (count > 1)
            (void)fo_fail(err, "events[%zu].%s: %s", i, fault.path, fault.text);
        return err;
    }
    return FANOUT_OK;
}

/* The call's own result, from the events' results. */
static int
judge(const struct fanout_results *r)
{
    size_t refused = 0, unfinished = 0;
    const struct fanout_result *first = NULL;

    for (size_t i = 0; i < r->count; i++) {
        const struct fanout_result *one = &r->at[i];
        refused += one->err != FANOUT_OK;
        unfinished += one->err == FANOUT_OK && !one->is_success;
        if (one->err != FANOUT_OK && first == NULL)
            first = one;
    }
    if (refused == 0 && unfinished > 0)
        return fo_fail(FANOUT_ERR_WAIT, "%s", fanout_strerror(FANOUT_ERR_WAIT));
    if (refused == 0)
        return FANOUT_OK;
    if (refused < r->count)
        return fo_fail(FANOUT_ERR_PARTIAL, "%zu of %zu events were refused", refused, r->count);
    return fo_fail(first->err, "%s%s%s%s%s", first->code, first->path[0] != '\0' ? " at " : "", first->path,
        first->code[0] != '\0' ? ": " : "", first->message);
}

/* No broker has judged the events: all share one fate. Their ids are told, so that publishing them again need not publish them twice. */
static int
fail_all(struct fanout_client *c, enum fo_err err, uint32_t count, struct fanout_results **ret_results)
{
    int rc = fo_fail_conn(c, err);
    char why[512];

    snprintf(why, sizeof(why), "%s%s", fanout_last_error(), rc == FANOUT_ERR_TIMEOUT ? "; " FO_IN_DOUBT : "");
    *ret_results = fo_results_failed(count, rc, why);
    return fo_fail(rc, "%s", why);
}

FANOUT_API int
fanout_publish_many(fanout_client *client, const struct fanout_event *events, size_t count, int wait, fanout_results **ret_results)
{
    struct fo_conn *conn = client->conn;
    struct fanout_results *results = NULL;
    struct fo_buf body, request;
    bool is_in_doubt = false;
    nng_msg *answer = NULL;
    enum fo_err err;
    int rc;

    if (ret_results != NULL)
        *ret_results = NULL;
    if (count == 0 || count > FO_REQUEST_EVENTS_MAX)
        return fo_fail(FANOUT_ERR_INVALID, "%zu events in one request; it takes 1 to %d", count, FO_REQUEST_EVENTS_MAX);
    if (wait < FANOUT_WAIT_ALL || wait > FO_REGIONS_MAX)
        return fo_fail(FANOUT_ERR_INVALID, "wait is %d; it must be all (-1), or 0 to %d regions", wait, FO_REGIONS_MAX);
    fo_buf_init(&body);
    fo_buf_init(&request);
    rc = encode_events(client, events, count, &body);
    if (rc != FANOUT_OK)
        goto cleanup;
    if (body.n + FO_PUBLISH_HEAD_BYTES_MAX > conn->request_bytes_max) {
        rc = fo_fail_too_large(client, count, body.n + FO_PUBLISH_HEAD_BYTES_MAX);
        goto cleanup;
    }
    /* the broker answers a while before this side gives up, so that a wait not fulfilled is told as such */
    err = fo_encode_publish(fo_buf_slice(&body), (uint32_t)count, wait, fo_conn_attempt_ms(conn, conn->timeout_ms) / 10 * 9,
        false, &request);
    if (err == FO_OK)
        err = fo_conn_exchange(conn, fo_buf_slice(&request), conn->timeout_ms, &answer, &is_in_doubt);
    if (err == FO_OK)
        err = fo_answer_publish(fo_slice_of(nng_msg_body(answer), nng_msg_len(answer)), (uint32_t)count, false, &results);
    for (size_t i = 0; is_in_doubt && results != NULL && i < count; i++)
        fo_result_doubt(&results->at[i]);
    rc = err == FO_OK ? judge(results) : fail_all(client, err, (uint32_t)count, &results);
    if (rc != FANOUT_OK && results != NULL)
        fo_results_add_ids(results, fo_buf_slice(&body));
    if (ret_results != NULL) {
        *ret_results = results;
        results = NULL;
    }
cleanup:
    fo_results_destroy(results);
    if (answer != NULL)
        nng_msg_free(answer);
    fo_buf_fini(&request);
    fo_buf_fini(&body);
    return rc;
}

FANOUT_API int
fanout_publish(fanout_client *client, const struct fanout_event *event, int wait, fanout_results **ret_results)
{
    return fanout_publish_many(client, event, 1, wait, ret_results);
}

FANOUT_API size_t
fanout_results_count(const fanout_results *results)
{
    return results->count;
}

FANOUT_API const struct fanout_result *
fanout_results_at(const fanout_results *results, size_t index)
{
    return index < results->count ? &results->at[index] : NULL;
}

FANOUT_API void
fanout_results_free(fanout_results *results)
{
    fo_results_destroy(results);
}
