/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes one order_status event and prints where it arrived.
 *
 *   cc publish.c $(pkg-config --cflags --libs fanout) -o publish && ./publish tcp://127.0.0.1:7101 */
#include <fanout/fanout.h>

#include <stdio.h>

int
main(int argc, char **argv)
{
    struct fanout_options options;
    struct fanout_event event;
    const struct fanout_result *result;
    fanout_results *results;
    fanout_client *client;
    size_t i;
    int err;

    if (argc < 2) {
        fprintf(stderr, "usage: %s ADDRESS...\n", argv[0]);
        return 2;
    }
    fanout_options_init(&options);
    options.addresses = (const char *const *)&argv[1];
    options.address_count = (size_t)(argc - 1);
    if (fanout_open(&options, &client) != FANOUT_OK) {
        fprintf(stderr, "%s\n", fanout_last_error());
        return 1;
    }

    fanout_event_init(&event);
    event.type = "order_status";
    event.key = "order-123";
    event.data_json = "{\"order_id\": 123, \"status\": \"preparing\", \"previous_status\": \"pending\"}";
    err = fanout_publish(client, &event, FANOUT_WAIT_ALL, &results);
    if (err != FANOUT_OK)
        fprintf(stderr, "%s\n", fanout_last_error());
    if (results != NULL) {
        result = fanout_results_at(results, 0);
        printf("%s %s\n", result->event_id, result->position);
        for (i = 0; i < result->region_count; i++)
            printf("%s %s\n", result->regions[i].region, result->regions[i].state);
    }
    fanout_results_free(results);
    fanout_close(client);
    return err == FANOUT_OK ? 0 : 1;
}
