/* SPDX-License-Identifier: Apache-2.0
 *
 * ports/transport.h over NNG 1.5.2 to 1.10: the door (REP), the link listener (SUB), two PUB connections to each peer,
 * and the plain feed (PUB). What arrives is posted to the inbox by NNG's threads. */
#pragma once
#include "ports/inbox.h"
#include "ports/transport.h"
#include "wire/error.h"

struct fo_nng_peer { unsigned index; const char *url; };        /* in the region table; the peer's link listener */

struct fo_nng_config {                      /* everything is copied or read by open, but for the inbox */
    const char *door, *feed, *link;         /* URLs: tcp://, tls+tcp:// or ipc://, port 0 allowed; feed may be null */
    const struct fo_nng_peer *peers; unsigned peers_count;
    struct { const char *cert, *key, *ca; } tls;    /* PEM files, one set for all tls+tcp:// URLs; null without TLS */
    uint32_t requests_max;                  /* requests held at the same time; further ones wait in their connections */
    uint32_t request_bytes_max, frame_bytes_max;    /* a longer message costs its sender the connection */
    struct fo_inbox *inbox;
    bool (*is_urgent)(struct fo_slice frame);       /* which ring of the inbox; any thread; null: none is urgent */
};

enum fo_nng_end { FO_NNG_DOOR, FO_NNG_FEED, FO_NNG_LINK, FO_NNG_ENDS };

struct fo_nng_stats {
    uint64_t frames_dropped;                /* inbox full; their senders repeat them */
    uint64_t requests_refused;              /* inbox full; answered `busy` */
    uint64_t listeners_revived;             /* by the watchdog */
    uint64_t dialers_redialed;              /* likewise: had no connection for a while, whatever the reason */
};

/* Opens, listens and starts to dial; peers need not be there. On error ret_fault.path is the config key: FO_ERR_LOCKED (address
 * in use), FO_ERR_CONFIG, FO_ERR_PERMISSION, FO_ERR_IO, FO_ERR_NO_MEMORY. Call after the last fork: NNG starts threads. */
FO_MUST_CHECK enum fo_err fo_nng_transport_open(const struct fo_nng_config *config, struct fo_transport **ret_transport,
    struct fo_fault *ret_fault);
/* Reads and tries the TLS files as open does, and keeps nothing: for a check without a broker. The URLs do not matter. Errors as above. */
FO_MUST_CHECK enum fo_err fo_nng_tls_check(const struct fo_nng_config *config, struct fo_fault *ret_fault);
/* Loop thread, after the last door_reply: waits until the replies have left, at most timeout_ms. False: some have not. A broker then
 * ends by _exit, because closing NNG 1.5.2 under traffic can hang for ever; the kernel closes the connections. */
bool fo_nng_transport_flush(struct fo_transport *t, int timeout_ms);
/* Orderly end, for tests: no message of this transport may be held any more but those in the inbox, which are freed. */
void fo_nng_transport_close(struct fo_transport *t);
/* The URL listened on, with the port that the kernel chose for port 0; null: not listening there. Valid until close. */
const char *fo_nng_transport_url(const struct fo_transport *t, enum fo_nng_end end);
void fo_nng_transport_stats(const struct fo_transport *t, struct fo_nng_stats *ret_stats);     /* any thread */
