/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout doctor`: what its parts share. doctor.c has arguments and printing, doctor_files.c looks at keys and directories,
 * doctor_net.c at addresses, peers and the database. Checks only look: nothing is created, changed or disturbed. */
#pragma once
#include "broker/config.h"
#include "cmd/fanout/common.h"

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct doctor {
    struct cmd_common common;
    const char *config_path;
    struct fo_config *config;
    json_t *findings;               /* [{check, state, text, advice?}] */
    json_t *status;                 /* of this configuration's broker, when it is running; else null */
    enum fo_err lock;               /* of data_dir: FO_OK: held, by holder; FO_ERR_NOT_FOUND: free; FO_ERR_PERMISSION: this user may not look */
    long holder;                    /* its pid; 0: not known */
    bool has_failed;
};

/* Notes one line. advice: what to do about it; null when there is nothing to do. */
__attribute__((format(printf, 5, 6)))
void doctor_say(struct doctor *d, enum finding finding, const char *check, const char *advice, const char *fmt, ...);

void doctor_check_keys(struct doctor *d);
void doctor_check_data(struct doctor *d);
void doctor_check_tls(struct doctor *d);
/* Sets d->status and d->lock. */
void doctor_check_addresses(struct doctor *d);
void doctor_check_publishing(struct doctor *d);
void doctor_check_peers(struct doctor *d);
void doctor_check_database(struct doctor *d);
