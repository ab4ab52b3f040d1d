/* SPDX-License-Identifier: Apache-2.0
 *
 * The asynchronous publisher's parts: loads (events of one request) and channels (loads in order, one in flight).
 * publisher.c is what callers see, publisher_run.c the thread that sends and settles. */
#pragma once
#include "base/bytes.h"
#include "client/answer.h"
#include "client/call.h"
#include "client/client.h"

enum { FO_CHANNELS_MAX = 64 };

struct fo_ticket {
    fanout_publish_fn callback;
    void *user;
    size_t at;                          /* of the event in the load's bytes */
    uint64_t seq;                       /* events sent to the publisher before this one */
    int64_t give_up_at_ms;              /* ascending within a load */
};

struct fo_load {
    struct fo_load *next;
    struct fo_buf events;               /* maps, one after the other */
    struct fo_ticket *tickets;          /* count of them; room for request_events_max */
    uint32_t count;
    bool is_in_doubt;                   /* was sent, and not answered: may have been accepted, whatever the next broker says */
};

/*   IDLE --load there--> FLYING --answered--> IDLE
 *                          |  ^
 *      not reachable, busy |  | retry_at
 *                          v  |
 *                         WAITING --gave up--> IDLE            */
enum fo_channel_state { FO_CHANNEL_IDLE, FO_CHANNEL_FLYING, FO_CHANNEL_WAITING };

struct fo_channel {
    struct fanout_publisher *publisher;
    struct fo_load *head, *tail;        /* head is in flight unless IDLE; tail gathers unless it is in flight */
    enum fo_channel_state state;
    unsigned turn;                      /* kept, so that what has the same key moves to another region at most once at a time */
    struct fo_call call;
    bool is_done;                       /* the call has ended; not settled yet */
    int64_t retry_at_ms, pause_ms;
};

struct fanout_publisher {
    struct fanout_client *client;
    struct fanout_publisher_options options;
    size_t load_bytes_max;              /* of a load's events, unless there is only one */
    bool is_brief;                      /* answers name the refused events only; not with a wait: it is fulfilled event by event */
    pthread_mutex_t lock;               /* everything below; taken before the client's locks */
    pthread_cond_t work, room;          /* for the thread; for blocked senders and flushes */
    pthread_t thread;
    struct fo_channel channel[FO_CHANNELS_MAX];
    struct fo_load *spare;
    unsigned next_channel;              /* for events without a key */
    uint32_t queued;                    /* events in all loads */
    uint64_t sent;                      /* events ever taken */
    bool is_stopping;
};

/* The thread; arg is the publisher. */
void *fo_publisher_run(void *arg);
