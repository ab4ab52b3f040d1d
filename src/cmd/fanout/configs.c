/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/fanout/common.h"

#include <stdio.h>
#include <string.h>

#include "broker/config.h"

void
cmd_reachable_url(const char *url, char ret_url[CMD_DOOR_BYTES])
{
    static const struct { const char *any, *loopback; } host[] = {
        { "0.0.0.0:", "127.0.0.1:" }, { "*:", "127.0.0.1:" }, { ":", "127.0.0.1:" }, { "[::]:", "[::1]:" },
    };
    const char *at = strstr(url, "tcp://");

    snprintf(ret_url, CMD_DOOR_BYTES, "%s", url);
    if (at == NULL)
        return;
    at += strlen("tcp://");
    for (unsigned i = 0; i < sizeof(host) / sizeof(host[0]); i++) {
        size_t n = strlen(host[i].any);
        if (strncmp(at, host[i].any, n) == 0)
            snprintf(ret_url, CMD_DOOR_BYTES, "%.*s%s%s", (int)(at - url), url, host[i].loopback, at + n);
    }
}

void
cmd_default_tls(struct cmd_common *common, const struct fo_config *config)
{
    if (common->tls_ca == NULL)
        common->tls_ca = config->tls.ca;
    if (common->tls_cert == NULL && common->tls_key == NULL) {
        common->tls_cert = config->tls.cert;
        common->tls_key = config->tls.key;
    }
}

int
cmd_load_configs(const char *const *path, unsigned count, struct cmd_common *common, struct cmd_config *ret_config, const char **keys_dir)
{
    struct fo_fault fault;

    if (count > 0 && common->is_default_broker)
        common->brokers = 0;
    for (unsigned i = 0; i < count; i++) {
        struct fo_config **config = &ret_config[i].config;
        if (fo_config_load(path[i], config, &fault) != FO_OK) {
            fprintf(stderr, "fanout: %s %s\n", fault.path, fault.text);
            return CMD_USAGE;
        }
        if (common->brokers == CMD_BROKERS_MAX) {
            fprintf(stderr, "fanout: at most %d brokers\n", CMD_BROKERS_MAX);
            return CMD_USAGE;
        }
        cmd_reachable_url((*config)->listen.door, ret_config[i].door);
        common->region[common->brokers] = (*config)->region;
        common->broker[common->brokers++] = ret_config[i].door;
        if (*keys_dir == NULL)
            *keys_dir = (*config)->keys.public_keys;
        cmd_default_tls(common, *config);
    }
    return CMD_OK;
}

void
cmd_config_fini(struct cmd_config *config)
{
    fo_config_destroy(config->config);
}

int
cmd_expect_region(const char *address, const char *expected, const char *region)
{
    if (expected == NULL || strcmp(expected, region) == 0)
        return CMD_OK;
    fprintf(stderr, "fanout: %s, where %s listens by its configuration, is the broker of %s from here: leave out the --config of %s, and name "
        "its broker by an address that this machine reaches it by (-b)\n", address, expected, region, expected);
    return CMD_USAGE;
}
