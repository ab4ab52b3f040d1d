/* SPDX-License-Identifier: Apache-2.0
 *
 * A trial connection to one address, to learn why none comes about: NNG's dialers try again and keep the reason to themselves. It goes
 * as far as NNG's own greeting, which tells a broker's socket from anything else, and is closed again. No request is sent.
 *
 *   at rest --begin--> DIALING --connected--> GREETING --greeting sent, after TLS's handshake--> LISTENING --greeting, error--> at rest
 *
 * When TLS's handshake fails, NNG tells little more than that. Then a second connection makes no demands on the other's certificate: if
 * that succeeds, the certificate is the reason. If it fails too, a third, plain one tells whether TLS is spoken there at all.
 *
 * One thread at a time. Each step ends at once; between two of them `aio` is busy, and its callback tells when the next is due. */
#pragma once
#include <nng/nng.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { FO_WHY_BYTES = 160 };

enum fo_reach_stage { FO_REACH_DIALING, FO_REACH_GREETING, FO_REACH_LISTENING };
enum fo_reach_trial { FO_REACH_PROPER, FO_REACH_LENIENT, FO_REACH_PLAIN };

struct fo_reach_to {                    /* borrowed for as long as the trial exists */
    const char *address;
    const char *what;                   /* listens there, as in "door" */
    uint16_t self, peer;                /* NNG's protocol numbers, as NNG_REQ0_SELF */
    struct nng_tls_config *tls, *tls_lenient;   /* fo_tls_client's, with and without a name; null: not tls+tcp */
    const char *tls_name;
    bool has_cert;
};

struct fo_reach {
    struct fo_reach_to to;
    nng_aio *aio;
    nng_stream_dialer *dialer;
    nng_stream *stream;
    enum fo_reach_stage stage;
    enum fo_reach_trial trial;
    int64_t until_ms;
    uint8_t greeting[8];
    unsigned got;                       /* bytes of it */
    int tls_error;                      /* of the lenient handshake */
    char why[FO_WHY_BYTES];             /* as far as is known; at rest: for good */
};

/* notify(user) is called on an NNG thread when a step is due; null: the caller waits for the aio. */
FO_MUST_CHECK enum fo_err fo_reach_init(struct fo_reach *r, const struct fo_reach_to *to, void (*notify)(void *user), void *user);
/* Ends what is under way and waits for the callback; nothing happens when init failed or never was. */
void fo_reach_fini(struct fo_reach *r);
/* At rest before. All of it ends within timeout_ms. True: under way; false: why says already what is wrong. */
bool fo_reach_begin(struct fo_reach *r, int timeout_ms);
/* Due. True: under way; false: at rest. */
bool fo_reach_step(struct fo_reach *r);
/* Begins and goes to the end. True: what is looked for answers there. */
bool fo_reach_try(struct fo_reach *r, int timeout_ms);
