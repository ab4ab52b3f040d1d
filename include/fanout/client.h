/* SPDX-License-Identifier: Apache-2.0
 *
 * The client: connections to brokers, and errors. Include <fanout/fanout.h>. */
#ifndef FANOUT_CLIENT_H
#define FANOUT_CLIENT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FANOUT_API __attribute__((visibility("default")))
#else
#define FANOUT_API
#endif

enum fanout_err {
    FANOUT_OK = 0,
    FANOUT_ERR_INVALID = 1,         /* an argument or option is not valid */
    FANOUT_ERR_UNREACHABLE = 2,     /* no broker could be connected to; nothing was sent. The last error says why, for each address */
    FANOUT_ERR_TIMEOUT = 3,         /* no answer in time; the event may or may not have been accepted: publish it again with the same
                                     * id to learn that */
    FANOUT_ERR_FULL = 4,            /* the publisher's queue has no room */
    FANOUT_ERR_REFUSED = 5,         /* the broker refused; the result or last error says why */
    FANOUT_ERR_BUSY = 6,            /* the broker cannot take more now, and took nothing; try again after retry_after_ms */
    FANOUT_ERR_PARTIAL = 7,         /* of several events some were accepted, some not: see each result */
    FANOUT_ERR_WAIT = 8,            /* accepted, but not delivered to as many regions as asked for in time */
    FANOUT_ERR_CURSOR_GONE = 9,     /* the position is no longer retained */
    FANOUT_ERR_PROTOCOL = 10,       /* the answer could not be understood */
    FANOUT_ERR_CLOSED = 11,         /* closed meanwhile */
    FANOUT_ERR_NO_MEMORY = 12,
    FANOUT_ERR_INTERNAL = 13
};

typedef struct fanout_client fanout_client;

/* English text for an error; static. Any thread. */
FANOUT_API const char *fanout_strerror(int err);
/* The library's version, "0.1.0"; static. Any thread. */
FANOUT_API const char *fanout_version(void);

/* Fill with fanout_options_init, then change what matters. */
struct fanout_options {
    const char *const *addresses;   /* tcp://host:port, tls+tcp://host:port, ipc:///path; nearest first */
    size_t address_count;
    int timeout_ms;                 /* of one request, failover included; 5000. A publish waits for regions 60000 at most */
    int connect_timeout_ms;         /* how long to look for a broker before UNREACHABLE; 2000, at most timeout_ms */
    const char *tls_ca;             /* PEM file that the broker's certificate must lead to; for tls+tcp */
    const char *tls_cert;           /* PEM file: this client's certificate; null: none is shown */
    const char *tls_key;            /* PEM file: its key; null: in tls_cert's file */
    const char *tls_server_name;    /* that the broker's certificate must have, at every tls+tcp address; null: each address's
                                     * host. Among its DNS names, also when it is an IP address (mbedTLS 2.28) */
    int failback_ms;                /* a nearer broker that was lost must be back for so long before it is preferred again;
                                     * then, over as long again, a growing share of requests goes there; 300000, 0: at once */
    unsigned request_bytes_max;     /* what is larger is refused here, with INVALID, as a broker would close the connection: its
                                     * limits.request_bytes_max; 4194304, from 4096 to 67108864 */
};

FANOUT_API void fanout_options_init(struct fanout_options *options);
/* Begins to connect and returns at once; the first request waits for a connection. */
FANOUT_API int fanout_open(const struct fanout_options *options, fanout_client **ret_client);
/* Publishers and subscriptions are closed before their client, by the caller. Null is allowed. */
FANOUT_API void fanout_close(fanout_client *client);
/* What went wrong in this thread's last failed call, in one sentence; "" if nothing yet. Valid until this thread's next call
 * into the library. */
FANOUT_API const char *fanout_last_error(void);
/* Asks the broker for a sign of life. ret_region (room for 33 bytes, or null) gets its region's name. */
FANOUT_API int fanout_ping(fanout_client *client, char *ret_region);

#ifdef __cplusplus
}
#endif

#endif
