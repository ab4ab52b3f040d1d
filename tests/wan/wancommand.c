/* SPDX-License-Identifier: Apache-2.0 */
#include "wancommand.h"

#include <stdlib.h>
#include <string.h>

struct unit { const char *name; double factor; };

static const struct unit time_units[] = { { "ms", 1e6 }, { "us", 1e3 }, { "s", 1e9 }, { 0 } };
static const struct unit rate_units[] = { { "kbit", 1e3 }, { "mbit", 1e6 }, { "gbit", 1e9 }, { "bit", 1 }, { 0 } };
static const struct unit size_units[] = { { "KiB", 1024 }, { "MiB", 1048576 }, { "B", 1 }, { 0 } };
static const struct unit share_units[] = { { "%", WAN_PPM / 100 }, { 0 } };

/* A number with one of the units, at most max. */
static enum fo_err
parse(const char *text, const struct unit *units, double max, double *ret_value)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || !(v >= 0))
        return FO_ERR_PARSE;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (strcmp(end, u->name) == 0) {
            if (v * u->factor > max)
                return FO_ERR_INVALID;
            *ret_value = v * u->factor;
            return FO_OK;
        }
    }
    return FO_ERR_PARSE;
}

static enum fo_err
apply_one(const char *key, const char *text, struct wan_rules *r)
{
    enum { TIME, RATE, SIZE, SHARE };
    const struct { const char *key; int kind; void *to; } *k, keys[] = {
        { "delay", TIME, &r->delay.ns }, { "jitter", TIME, &r->jitter.ns }, { "rate", RATE, &r->rate_bps },
        { "queue", SIZE, &r->queue_bytes }, { "burst", SIZE, &r->burst_bytes }, { "loss", SHARE, &r->loss_ppm },
        { "duplicate", SHARE, &r->duplicate_ppm }, { "reorder", SHARE, &r->reorder_ppm }, { 0 },
    };
    const struct { const struct unit *units; double max; } kinds[] = {
        [TIME] = { time_units, 600e9 }, [RATE] = { rate_units, 100e9 }, [SIZE] = { size_units, 1 << 30 }, [SHARE] = { share_units, WAN_PPM },
    };
    enum fo_err err;
    double v;

    for (k = keys; k->key != NULL && strcmp(k->key, key) != 0; k++)
        continue;
    if (k->key == NULL)
        return FO_ERR_NOT_FOUND;
    err = parse(text, kinds[k->kind].units, kinds[k->kind].max, &v);
    if (err != FO_OK)
        return err;
    if (k->kind == TIME)
        *(int64_t *)k->to = (int64_t)v;
    else if (k->kind == RATE)
        *(uint64_t *)k->to = (uint64_t)v;
    else
        *(uint32_t *)k->to = (uint32_t)v;
    return FO_OK;
}

static enum fo_err
apply_changes(char *changes, struct wan_rules *rules)
{
    struct wan_rules r = *rules;
    char *rest = changes, *word;
    enum fo_err err;

    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        char *value = strchr(word, '=');

        if (value == NULL)
            return FO_ERR_PARSE;
        *value++ = '\0';
        err = apply_one(word, value, &r);
        if (err != FO_OK)
            return err;
    }
    *rules = r;
    return FO_OK;
}

enum fo_err
wan_command_parse(char *line, struct wan_command *ret_command)
{
    static const char *const verbs[] = { "set", "cut", "heal", "clear", "stats" };
    struct wan_command c = { 0 };
    char *rest = NULL, *verb = strtok_r(line, " ", &rest);
    unsigned i = 0;

    c.from = strtok_r(NULL, " ", &rest);
    c.to = strtok_r(NULL, " ", &rest);
    c.changes = rest;
    if (verb == NULL || c.from == NULL || c.to == NULL)
        return FO_ERR_MISSING;
    while (i < sizeof(verbs) / sizeof(verbs[0]) && strcmp(verbs[i], verb) != 0)
        i++;
    if (i == sizeof(verbs) / sizeof(verbs[0]))
        return FO_ERR_NOT_FOUND;
    c.verb = i;
    *ret_command = c;
    return FO_OK;
}

enum fo_err
wan_command_apply(enum wan_verb verb, char *changes, struct wan_rules *rules)
{
    if (verb == WAN_SET)
        return apply_changes(changes, rules);
    if (verb == WAN_CLEAR)
        *rules = wan_rules_none();
    if (verb != WAN_STATS)
        rules->is_cut = verb == WAN_CUT;
    return FO_OK;
}
