/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes many events without waiting for each one, and counts the answers.
 *
 *   cc publish_async.c $(pkg-config --cflags --libs fanout) -o publish_async && ./publish_async 1000 tcp://127.0.0.1:7101 */
#include <fanout/fanout.h>

#include <stdio.h>
#include <stdlib.h>

struct tally { long accepted, refused; };

/* On the publisher's thread, one call at a time. */
static void
answered(void *user, const struct fanout_result *result)
{
    struct tally *tally = user;

    if (result->err == FANOUT_OK) {
        tally->accepted++;
    } else {
        tally->refused++;
        fprintf(stderr, "%s: %s %s\n", result->event_id, result->code, result->message);
    }
}

int
main(int argc, char **argv)
{
    struct fanout_publisher_options how;
    struct fanout_options options;
    struct fanout_event event;
    struct tally tally = { 0, 0 };
    fanout_publisher *publisher;
    fanout_client *client;
    char key[32], data[64];
    long i, count;

    if (argc < 3) {
        fprintf(stderr, "usage: %s COUNT ADDRESS...\n", argv[0]);
        return 2;
    }
    count = atol(argv[1]);
    fanout_options_init(&options);
    options.addresses = (const char *const *)&argv[2];
    options.address_count = (size_t)(argc - 2);
    fanout_publisher_options_init(&how);
    how.is_blocking = 1;                /* when the queue is full, wait */
    if (fanout_open(&options, &client) != FANOUT_OK || fanout_publisher_open(client, &how, &publisher) != FANOUT_OK) {
        fprintf(stderr, "%s\n", fanout_last_error());
        return 1;
    }

    fanout_event_init(&event);
    event.type = "custom";
    event.key = key;
    event.data_json = data;
    for (i = 0; i < count; i++) {
        sprintf(key, "key-%ld", i % 10);
        sprintf(data, "{\"number\": %ld}", i);
        if (fanout_publisher_send(publisher, &event, answered, &tally) != FANOUT_OK)
            fprintf(stderr, "%s\n", fanout_last_error());
    }
    if (fanout_publisher_flush(publisher, 60000) != FANOUT_OK)
        fprintf(stderr, "%s\n", fanout_last_error());
    fanout_publisher_close(publisher);
    fanout_close(client);
    printf("%ld accepted, %ld refused\n", tally.accepted, tally.refused);
    return tally.accepted == count ? 0 : 1;
}
