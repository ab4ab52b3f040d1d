/* SPDX-License-Identifier: Apache-2.0
 *
 * A subscription: fetches, one parked ahead while the application works through the answer before.
 *
 * What was reached is kept per region, because a cursor means something only to the broker that gave it. Going to another
 * region's broker starts at the place reached there earlier, or some time before the moment up to which the broker before had handed
 * out all that it had, in every lane; the marks then drop what was seen (cursor.h). */
#include "client/answer.h"
#include "client/call.h"
#include "client/client.h"
#include "client/cursor.h"
#include "client/delivery.h"
#include "client/encode.h"

#include <stdlib.h>
#include <string.h>

enum {
    FETCH_WAIT_MS = 10000,              /* how long the broker may park a fetch */
    FETCH_BYTES_MAX = 1 << 20,
    FETCH_EVENTS_MAX = 10000,
    TYPES_MAX = 8,
    RETRY_MS_MIN = 20, RETRY_MS_MAX = 1000,
};
#define FOR_EVER_MS (INT64_MAX / 4)

struct place { char region[FO_REGION_BYTES_MAX + 1]; struct fo_buf cursor; /* NUL-terminated; n 0: not reached */ };

struct fanout_subscription {
    struct fanout_client *client;
    struct fanout_filter filter;        /* its texts are owned */
    char *types[TYPES_MAX];
    unsigned turn;                      /* of fo_conn_pick */
    int64_t begin_us;                   /* nothing before this is wanted; 0: no such limit */
    int64_t through_us;                 /* what a broker had stored by then was in the answers up to the last; 0: begin at begin_us */
    int64_t before_us;                  /* through_us in front of the answer that is handed out */
    struct place place[FO_ADDRESSES_MAX];
    unsigned places;
    struct place *asked;                /* of the broker that `call` is about; its cursor is what was asked from */
    struct fo_call call;
    bool is_asking;                     /* call is under way */
    bool is_gone;                       /* the cursor given at first was gone; not told yet */
    bool has_begun;                     /* some broker has answered */
    nng_msg *answer;                    /* what is being handed out; null: nothing */
    struct fo_fetched fetched;          /* its views; events not handed out yet */
    uint32_t left;
    char region[FO_REGION_BYTES_MAX + 1];   /* of the answer handed out last */
    struct fo_buf before, after;        /* the broker's cursor in front of that answer and behind it; before may be empty */
    struct fo_marks marks;
    struct fanout_delivery delivery;
    struct fo_buf cursor, request;      /* scratch */
};

FANOUT_API void
fanout_filter_init(struct fanout_filter *filter)
{
    *filter = (struct fanout_filter){ .fetch_max = 1000, .overlap_ms = 60000 };
}

/* The place of a region; makes one when it is new. When there are more regions than addresses the last one is reused. */
static struct place *
place_of(struct fanout_subscription *s, const char *region)
{
    struct place *p;

    for (unsigned i = 0; i < s->places; i++) {
        if (strcmp(s->place[i].region, region) == 0)
            return &s->place[i];
    }
    p = &s->place[s->places < FO_ADDRESSES_MAX ? s->places++ : FO_ADDRESSES_MAX - 1];
    strcpy(p->region, region);
    p->cursor.n = 0;
    return p;
}

static enum fo_err
place_set(struct fo_buf *place, struct fo_slice cursor)
{
    enum fo_err err;

    place->n = 0;
    if ((err = fo_buf_add(place, cursor.p, cursor.n)) == FO_OK)
        err = fo_buf_add(place, "", 1);
    if (err != FO_OK)
        place->n = 0;
    return err;
}

/* Asks a server for its region, once per connection. */
static enum fo_err
learn_region(struct fanout_subscription *s, struct fo_server *server, char ret_region[FO_REGION_BYTES_MAX + 1])
{
    struct fo_conn *c = s->client->conn;
    struct fo_slice region;
    nng_msg *answer;
    enum fo_err err;

    pthread_mutex_lock(&c->lock);
    strcpy(ret_region, server->region);
    pthread_mutex_unlock(&c->lock);
    if (ret_region[0] != '\0')
        return FO_OK;
    s->request.n = 0;
    if ((err = fo_encode_ping(&s->request)) != FO_OK
        || (err = fo_call_start(&s->call, server, fo_buf_slice(&s->request), fo_conn_attempt_ms(c, c->timeout_ms))) != FO_OK)
        return err;
    (void)fo_call_wait(&s->call, FOR_EVER_MS);
    if ((err = fo_call_take(&s->call, &answer)) != FO_OK)
        return err;
    err = fo_answer_ping(fo_slice_of(nng_msg_body(answer), nng_msg_len(answer)), &region);
    if (err == FO_OK) {
        memcpy(ret_region, region.p, region.n);
        ret_region[region.n] = '\0';
        pthread_mutex_lock(&c->lock);
        strcpy(server->region, ret_region);
        pthread_mutex_unlock(&c->lock);
    }
    nng_msg_free(answer);
    return err;
}

/* When to begin at a broker where nothing was reached yet; 0: at the earliest. */
static int64_t
start_us(const struct fanout_subscription *s, int64_t through_us)
{
    int64_t us = through_us - (int64_t)s->filter.overlap_ms * 1000;

    return us > s->begin_us ? us : s->begin_us;
}

static void
choose_start(const struct fanout_subscription *s, struct fo_fetch_ask *ask, char time_text[FO_RFC3339_SIZE])
{
    int64_t from_us = start_us(s, s->through_us);

    if (!s->has_begun && s->filter.from == FANOUT_FROM_NOW) {
        ask->from = FANOUT_FROM_NOW;
    } else if (from_us <= 0) {
        ask->from = FANOUT_FROM_EARLIEST;
    } else {
        ask->from = FANOUT_FROM_TIME;
        fo_wall_format((struct fo_wall){ from_us }, time_text);
        ask->time = time_text;
    }
}

/* Sends a fetch that goes on where s->asked stands. */
static enum fo_err
ask(struct fanout_subscription *s, struct fo_server *server, int wait_ms)
{
    struct fo_conn *c = s->client->conn;
    struct fo_fetch_ask what = { .filter = &s->filter, .events_max = s->filter.fetch_max, .bytes_max = FETCH_BYTES_MAX,
        .wait_ms = wait_ms };
    char time_text[FO_RFC3339_SIZE];
    enum fo_err err;

    if (s->asked->cursor.n > 0) {
        what.from = FANOUT_FROM_CURSOR;
        what.cursor = (const char *)s->asked->cursor.p;
    } else {
        choose_start(s, &what, time_text);
    }
    s->request.n = 0;
    if ((err = fo_encode_fetch(&what, &s->request)) != FO_OK)
        return err;
    err = fo_call_start(&s->call, server, fo_buf_slice(&s->request), wait_ms + fo_conn_attempt_ms(c, c->timeout_ms));
    s->is_asking = err == FO_OK;
    return err;
}

static enum fo_err
ask_best(struct fanout_subscription *s, int wait_ms, int64_t until_ms)
{
    char region[FO_REGION_BYTES_MAX + 1];
    struct fo_server *server;
    enum fo_err err = fo_conn_pick(s->client->conn, until_ms, s->turn, &server);

    if (err != FO_OK || (err = learn_region(s, server, region)) != FO_OK)
        return err;
    s->asked = place_of(s, region);
    return ask(s, server, wait_ms);
}

/* Asks for what follows while the application works, unless another server would be better now. */
static void
ask_ahead(struct fanout_subscription *s)
{
    struct fo_conn *c = s->client->conn;
    struct fo_server *best;

    pthread_mutex_lock(&c->lock);
    best = fo_conn_best(c, fo_conn_now_ms(), s->turn);
    pthread_mutex_unlock(&c->lock);
    if (best != NULL && best == s->call.server && ask(s, best, FETCH_WAIT_MS) != FO_OK)
        s->is_asking = false;           /* fetch() tries again when it is needed */
}

static int
refuse(struct fanout_subscription *s)
{
    const struct fo_fetched *f = &s->fetched;
    int err = fo_answer_err_of(fo_slice_str(fo_err_name(f->fault.err)), f->retry_after_ms);

    if (err == FANOUT_ERR_CURSOR_GONE) {
        if (f->cursor.n == 0 || place_set(&s->asked->cursor, f->cursor) != FO_OK) {
            s->asked->cursor.n = 0;
            s->begin_us = s->through_us = 0;
            s->has_begun = true;        /* not from now, then, but from the earliest */
        }
        return fo_fail(err, "events between the cursor and the earliest retained are gone");
    }
    return fo_fail(err, "%s%s%s: %s", fo_err_name(f->fault.err), f->fault.path[0] != '\0' ? " at " : "", f->fault.path, f->fault.text);
}

/* Makes the answer what is handed out, and its cursor the place to ask from. */
static enum fo_err
enter_answer(struct fanout_subscription *s)
{
    struct fo_buf *cursor = &s->asked->cursor;
    enum fo_err err;

    s->before.n = 0;
    if ((err = fo_buf_add(&s->before, cursor->p, cursor->n)) != FO_OK || (err = place_set(&s->after, s->fetched.cursor)) != FO_OK
        || (err = place_set(cursor, s->fetched.cursor)) != FO_OK)
        return err;
    strcpy(s->region, s->asked->region);
    s->before_us = s->through_us;
    if (s->fetched.through_us > 0)
        s->through_us = s->fetched.through_us;
    s->left = s->fetched.events_count;
    s->has_begun = true;
    return FO_OK;
}

/* The answer to the fetch under way. FANOUT_ERR_TIMEOUT: none by then, the fetch goes on. */
static int
take_answer(struct fanout_subscription *s, int64_t until_ms)
{
    enum fo_err err;
    int rc;

    if (!fo_call_wait(&s->call, until_ms))
        return fo_fail(FANOUT_ERR_TIMEOUT, "no event came in time");
    s->is_asking = false;
    if ((err = fo_call_take(&s->call, &s->answer)) != FO_OK)
        return fo_fail_conn(s->client, err == FO_ERR_TIMEOUT ? FO_ERR_UNAVAILABLE : err);
    err = fo_answer_fetch(fo_slice_of(nng_msg_body(s->answer), nng_msg_len(s->answer)), &s->fetched);
    if (err == FO_OK && s->fetched.is_error) {
        rc = refuse(s);
    } else {
        if (err == FO_OK)
            err = enter_answer(s);
        if (err == FO_OK)
            return FANOUT_OK;
        rc = fo_fail_conn(s->client, err);
    }
    nng_msg_free(s->answer);
    s->answer = NULL;
    return rc;
}

/* The answer cannot be read on: what is left of it is asked for again. */
static void
leave_answer(struct fanout_subscription *s)
{
    struct place *p = place_of(s, s->region);
    nng_msg *ahead;

    if (s->is_asking) {
        fo_call_cancel(&s->call);
        (void)fo_call_wait(&s->call, FOR_EVER_MS);
        if (fo_call_take(&s->call, &ahead) == FO_OK)
            nng_msg_free(ahead);
    }
    s->is_asking = false;
    p->cursor.n = s->after.n = 0;       /* in front of a first answer, or without memory: by the time */
    if (s->before.n > 0 && place_set(&s->after, fo_slice_of(s->before.p, s->before.n - 1)) == FO_OK)
        (void)place_set(&p->cursor, fo_slice_of(s->before.p, s->before.n - 1));
    s->through_us = s->before_us;
    s->left = 0;
}

/* Steps to the next event not seen before. FO_ERR_NOT_FOUND: the answer has no more. FO_ERR_NO_MEMORY: nothing was stepped over. */
static enum fo_err
next_of_answer(struct fanout_subscription *s)
{
    struct fo_fetched_event e;
    struct fo_slice region;
    struct fo_position pos;

    while (s->left > 0) {
        struct fo_reader before = s->fetched.events;
        enum fo_err err = fo_answer_event(&s->fetched.events, &e);

        if (err == FO_OK)
            err = fo_position_parse(e.position, &region, &pos);
        if (err != FO_OK) {
            leave_answer(s);
            return FO_ERR_PROTO;
        }
        s->left--;
        if (fo_marks_has(&s->marks, region, pos, e.targets))
            continue;
        err = fo_delivery_set(&s->delivery, e.position, e.record);
        if (err == FO_ERR_NO_MEMORY) {
            s->fetched.events = before;
            s->left++;
            return err;
        }
        fo_marks_note(&s->marks, region, pos, e.targets);
        return err;
    }
    return FO_ERR_NOT_FOUND;
}

/* Gets the next answer, trying again where that makes sense, until then. */
static int
fetch(struct fanout_subscription *s, int wait_ms, int64_t until_ms)
{
    struct fo_conn *c = s->client->conn;
    int64_t pause = RETRY_MS_MIN;

    for (;;) {
        int rc = FANOUT_OK;
        int64_t now = fo_conn_now_ms(), connect_until = now + c->connect_timeout_ms;
        if (!s->is_asking) {
            enum fo_err err = ask_best(s, wait_ms, connect_until < until_ms ? connect_until : until_ms);
            rc = err == FO_OK ? FANOUT_OK : fo_fail_conn(s->client, err == FO_ERR_TIMEOUT ? FO_ERR_UNAVAILABLE : err);
        }
        if (rc == FANOUT_OK)
            rc = take_answer(s, until_ms);
        if (rc != FANOUT_ERR_UNREACHABLE && rc != FANOUT_ERR_BUSY)
            return rc;
        now = fo_conn_now_ms();
        if (now >= until_ms)
            return rc;
        pthread_mutex_lock(&c->lock);
        (void)fo_conn_wait(c, now + pause < until_ms ? now + pause : until_ms);
        pthread_mutex_unlock(&c->lock);
        pause = pause * 2 < RETRY_MS_MAX ? pause * 2 : RETRY_MS_MAX;
    }
}

FANOUT_API int
fanout_subscription_next(fanout_subscription *subscription, int timeout_ms, const fanout_delivery **ret_delivery)
{
    struct fanout_subscription *s = subscription;
    int64_t until = timeout_ms < 0 ? FOR_EVER_MS : fo_conn_now_ms() + timeout_ms;

    if (s->is_gone) {
        s->is_gone = false;
        return fo_fail(FANOUT_ERR_CURSOR_GONE, "%s", fanout_strerror(FANOUT_ERR_CURSOR_GONE));
    }
    for (;;) {
        enum fo_err err = s->answer != NULL ? next_of_answer(s) : FO_ERR_NOT_FOUND;
        if (err == FO_OK) {
            *ret_delivery = &s->delivery;
            return FANOUT_OK;
        }
        if (s->answer != NULL && s->left == 0) {
            nng_msg_free(s->answer);
            s->answer = NULL;
        }
        if (err != FO_ERR_NOT_FOUND)
            return fo_fail_conn(s->client, err);
        int rc = fetch(s, FETCH_WAIT_MS, until);
        if (rc != FANOUT_OK)
            return rc;
        ask_ahead(s);
    }
}

FANOUT_API const char *
fanout_subscription_cursor(fanout_subscription *subscription)
{
    struct fanout_subscription *s = subscription;
    const struct fo_buf *place = s->left > 0 ? &s->before : &s->after;
    struct fo_cursor c = { .begin_us = start_us(s, s->left > 0 ? s->before_us : s->through_us) };

    if (s->region[0] == '\0')
        return "";
    strcpy(c.region, s->region);
    if (place->n > 0)                   /* in front of a first answer there is no place: the time and the marks must do */
        c.place = fo_slice_of(place->p, place->n - 1);
    s->cursor.n = 0;
    return fo_cursor_format(&c, &s->marks, &s->cursor) == FO_OK ? (const char *)s->cursor.p : "";
}

static const char *
copy_of(const char *text, enum fo_err *err)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    if (text != NULL && copy == NULL)
        *err = FO_ERR_NO_MEMORY;
    return copy;
}

static enum fo_err
copy_filter(struct fanout_subscription *s, const struct fanout_filter *filter)
{
    enum fo_err err = FO_OK;

    s->filter = *filter;
    s->filter.types = (const char *const *)s->types;
    s->filter.tenant = copy_of(filter->tenant, &err);
    s->filter.key = copy_of(filter->key, &err);
    s->filter.region = copy_of(filter->region, &err);
    s->filter.time = s->filter.cursor = NULL;
    for (size_t i = 0; i < filter->type_count; i++)
        s->types[i] = (char *)(uintptr_t)copy_of(filter->types[i], &err);
    return err;
}

static int
check_filter(const struct fanout_filter *f)
{
    if (f->type_count > TYPES_MAX)
        return fo_fail(FANOUT_ERR_INVALID, "a filter names at most %d types", TYPES_MAX);
    if (f->fetch_max == 0 || f->fetch_max > FETCH_EVENTS_MAX || f->overlap_ms < 0)
        return fo_fail(FANOUT_ERR_INVALID, "fetch_max must be 1 to %d, overlap_ms not negative", FETCH_EVENTS_MAX);
    if (f->from < FANOUT_FROM_NOW || f->from > FANOUT_FROM_CURSOR)
        return fo_fail(FANOUT_ERR_INVALID, "from is not one of enum fanout_from");
    if (f->from == FANOUT_FROM_TIME && f->time == NULL)
        return fo_fail(FANOUT_ERR_INVALID, "FANOUT_FROM_TIME needs a time");
    if (f->from == FANOUT_FROM_CURSOR && f->cursor == NULL)
        return fo_fail(FANOUT_ERR_INVALID, "FANOUT_FROM_CURSOR needs a cursor");
    return FANOUT_OK;
}

/* Goes where the cursor says. A cursor without a region is taken as the best broker's own. */
static int
begin_at_cursor(struct fanout_subscription *s, const char *text)
{
    struct fo_conn *conn = s->client->conn;
    struct fo_server *server;
    struct fo_cursor c;
    enum fo_err err = FO_OK;

    if (fo_cursor_parse(text, &c, &s->marks) != FO_OK)
        return fo_fail(FANOUT_ERR_INVALID, "not a cursor: %.100s", text);
    if (c.region[0] == '\0') {
        err = fo_conn_pick(conn, fo_conn_now_ms() + conn->connect_timeout_ms, s->turn, &server);
        if (err == FO_OK)
            err = learn_region(s, server, c.region);
    }
    if (err == FO_OK && c.place.n > 0)
        err = place_set(&place_of(s, c.region)->cursor, c.place);
    s->begin_us = c.begin_us;
    s->has_begun = true;
    return err == FO_OK ? FANOUT_OK : fo_fail_conn(s->client, err);
}

static int
begin(struct fanout_subscription *s, const struct fanout_filter *filter)
{
    struct fo_wall from = { 0 };
    int rc;

    if (filter->from == FANOUT_FROM_TIME && fo_wall_parse(filter->time, strlen(filter->time), &from) != FO_OK)
        return fo_fail(FANOUT_ERR_INVALID, "not an RFC 3339 time: %.60s", filter->time);
    if (filter->from == FANOUT_FROM_NOW)        /* clocks may differ */
        from.us = fo_client_wall().us - (int64_t)filter->overlap_ms * 1000;
    s->begin_us = from.us;
    if (filter->from == FANOUT_FROM_CURSOR && (rc = begin_at_cursor(s, filter->cursor)) != FANOUT_OK)
        return rc;
    rc = fetch(s, 0, fo_conn_now_ms() + s->client->conn->timeout_ms);
    if (rc == FANOUT_OK)
        ask_ahead(s);
    s->is_gone = rc == FANOUT_ERR_CURSOR_GONE;      /* the first next() says so */
    return s->is_gone ? FANOUT_OK : rc;
}

FANOUT_API int
fanout_subscribe(fanout_client *client, const struct fanout_filter *filter, fanout_subscription **ret_subscription)
{
    struct fanout_filter any;
    struct fanout_subscription *s;
    int rc;

    fanout_filter_init(&any);
    if (filter == NULL)
        filter = &any;
    if ((rc = check_filter(filter)) != FANOUT_OK)
        return rc;
    if ((s = calloc(1, sizeof(*s))) == NULL)
        return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
    s->client = client;
    s->turn = fo_conn_turn(client->conn);
    fo_delivery_init(&s->delivery);
    rc = fo_call_init(&s->call, client->conn, NULL, NULL) == FO_OK && copy_filter(s, filter) == FO_OK
        ? begin(s, filter) : fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
    if (rc != FANOUT_OK) {
        fanout_subscription_close(s);
        return rc;
    }
    *ret_subscription = s;
    return FANOUT_OK;
}

FANOUT_API void
fanout_subscription_close(fanout_subscription *subscription)
{
    struct fanout_subscription *s = subscription;

    if (s == NULL)
        return;
    fo_call_fini(&s->call);
    if (s->answer != NULL)
        nng_msg_free(s->answer);
    for (unsigned i = 0; i < FO_ADDRESSES_MAX; i++)
        fo_buf_fini(&s->place[i].cursor);
    for (unsigned i = 0; i < TYPES_MAX; i++)
        free(s->types[i]);
    free((char *)(uintptr_t)s->filter.tenant);
    free((char *)(uintptr_t)s->filter.key);
    free((char *)(uintptr_t)s->filter.region);
    fo_delivery_fini(&s->delivery);
    fo_buf_fini(&s->before);
    fo_buf_fini(&s->after);
    fo_buf_fini(&s->cursor);
    fo_buf_fini(&s->request);
    free(s);
}
