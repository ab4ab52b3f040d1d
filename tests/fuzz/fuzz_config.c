/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration file. A refusal names a place and what is wanted there. */
#include "fuzz.h"

#include <string.h>

#include "broker/config.h"

void
fuzz_one(struct fo_slice input)
{
    struct fo_config *config;
    struct fo_fault fault;

    fault.path[0] = fault.text[0] = '\0';
    if (fo_config_load(world_file(input), &config, &fault) != FO_OK) {
        DEMAND(fault.path[0] != '\0' && fault.text[0] != '\0');
        return;
    }
    DEMAND(config->region != NULL && config->data_dir != NULL && config->limits.batch_events_max >= 1 && config->limits.batch_events_max <= FO_BATCH_EVENTS_MAX);
    fo_config_destroy(config);
}
