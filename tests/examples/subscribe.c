/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints events from the earliest retained on, and at the end the cursor to go on from.
 *
 *   cc subscribe.c $(pkg-config --cflags --libs fanout) -o subscribe && ./subscribe 10 tcp://127.0.0.1:7201 */
#include <fanout/fanout.h>

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    struct fanout_options options;
    struct fanout_filter filter;
    fanout_subscription *subscription;
    const fanout_delivery *delivery;
    fanout_client *client;
    long seen = 0, count;
    int err;

    if (argc < 3) {
        fprintf(stderr, "usage: %s COUNT ADDRESS...\n", argv[0]);
        return 2;
    }
    count = atol(argv[1]);
    fanout_options_init(&options);
    options.addresses = (const char *const *)&argv[2];
    options.address_count = (size_t)(argc - 2);
    fanout_filter_init(&filter);
    filter.from = FANOUT_FROM_EARLIEST;
    if (fanout_open(&options, &client) != FANOUT_OK || fanout_subscribe(client, &filter, &subscription) != FANOUT_OK) {
        fprintf(stderr, "%s\n", fanout_last_error());
        return 1;
    }

    while (seen < count) {
        err = fanout_subscription_next(subscription, 5000, &delivery);
        if (err != FANOUT_OK) {
            fprintf(stderr, "%s\n", fanout_last_error());
            break;
        }
        printf("%s %s %s\n", fanout_delivery_position(delivery), fanout_delivery_type(delivery), fanout_delivery_data_json(delivery));
        seen++;
    }
    printf("cursor %s\n", fanout_subscription_cursor(subscription));
    fanout_subscription_close(subscription);
    fanout_close(client);
    return seen == count ? 0 : 1;
}
