/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/fanout/common.h"

#include <stdio.h>

#include "broker/config.h"

int
cmd_load_configs(const char *const *path, unsigned count, struct cmd_common *common, struct fo_config *ret_config[], const char **keys_dir)
{
    struct fo_fault fault;

    if (count > 0 && common->is_default_broker)
        common->brokers = 0;
    for (unsigned i = 0; i < count; i++) {
        if (fo_config_load(path[i], &ret_config[i], &fault) != FO_OK) {
            fprintf(stderr, "fanout: %s %s\n", fault.path, fault.text);
            return CMD_USAGE;
        }
        if (common->brokers == CMD_BROKERS_MAX) {
            fprintf(stderr, "fanout: at most %d brokers\n", CMD_BROKERS_MAX);
            return CMD_USAGE;
        }
        common->broker[common->brokers++] = ret_config[i]->listen.door;
        if (*keys_dir == NULL)
            *keys_dir = ret_config[i]->keys.public_keys;
        if (common->tls_ca == NULL && ret_config[i]->tls.ca != NULL) {
            common->tls_ca = ret_config[i]->tls.ca;
            common->tls_cert = ret_config[i]->tls.cert;
            common->tls_key = ret_config[i]->tls.key;
        }
    }
    return CMD_OK;
}
