/* SPDX-License-Identifier: Apache-2.0
 *
 * A socket that listens on one URL, whatever becomes of the NNG listener in it.
 *
 *   current  -- found dead by the watchdog -->  retired  -- its last connection gone -->  closed  -- 5 s -->  swept
 *
 * Closing an NNG listener closes every connection that it ever accepted. So a dead tcp listener is not closed but loses its
 * address to a new one (nng_rescue.c) and is kept as long as connections hang on it. What it accepted and never served NNG
 * 1.5.2 forgets without closing it; sweeping closes those descriptors. (Some 5 kB of memory per death stay lost in NNG.) */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "adapter/nng_parts.h"
#include "ports/log.h"

enum { LINGER_MS = 5000 };              /* for NNG to close what it still means to close */

static enum fo_err
listen_fault(const struct fo_nng_listener *l, const char *url, int rv, struct fo_fault *ret_fault)
{
    if (rv == NNG_EADDRINUSE)
        return fo_fault_set(ret_fault, FO_ERR_LOCKED, l->key,
            "%s is in use by another program; stop it (`ss -ltnp` shows which) or choose another address", url);
    if (rv == NNG_EPERM)
        return fo_fault_set(ret_fault, FO_ERR_PERMISSION, l->key, "not allowed to listen on %s; ports below 1024 need privileges", url);
    if (rv == NNG_EADDRINVAL || rv == NNG_EINVAL || rv == NNG_ENOTSUP)
        return fo_fault_set(ret_fault, FO_ERR_CONFIG, l->key,
            "cannot listen on %s: not an address of this machine, or not a valid URL", url);
    return fo_fault_set(ret_fault, fo_nng_err(rv), l->key, "cannot listen on %s: %s", url, nng_strerror(rv));
}

static int
start(struct fo_nng_listener *l, const char *url, nng_listener *ret_listener)
{
    nng_listener listener;
    int rv;

    rv = nng_listener_create(&listener, l->socket, url);
    if (rv != 0)
        return rv;
    if ((l->tls != NULL && (rv = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, l->tls)) != 0) ||
        ((l->tls != NULL || l->is_tcp) && (rv = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true)) != 0) ||
        (rv = nng_listener_start(listener, 0)) != 0) {
        nng_listener_close(listener);
        return rv;
    }
    fo_nng_patience_listening(listener);
    *ret_listener = listener;
    return 0;
}

static void
on_pipe(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
    struct fo_nng_listener *l = arg;

    (void)fo_nng_pipes_note(&l->pipes, pipe, ev);
}

/* Where the watchdog knocks. A wildcard address is reached over loopback. */
static void
note_address(struct fo_nng_listener *l)
{
    nng_sockaddr sa;
    struct sockaddr_in *in = (struct sockaddr_in *)&l->address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&l->address;
    struct sockaddr_un *un = (struct sockaddr_un *)&l->address;

    memset(&l->address, 0, sizeof(l->address));
    if (nng_listener_get_addr(l->current, NNG_OPT_LOCADDR, &sa) != 0)
        return;
    if (sa.s_family == NNG_AF_INET) {
        *in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = sa.s_in.sa_port };
        in->sin_addr.s_addr = sa.s_in.sa_addr;
        l->address_bytes = sizeof(*in);
    } else if (sa.s_family == NNG_AF_INET6) {
        *in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = sa.s_in6.sa_port };
        memcpy(&in6->sin6_addr, sa.s_in6.sa_addr, 16);
        l->address_bytes = sizeof(*in6);
    } else if (sa.s_family == NNG_AF_IPC) {
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, sa.s_ipc.sa_path, strnlen(sa.s_ipc.sa_path, sizeof(un->sun_path) - 1));
        l->address_bytes = sizeof(*un);
    }
    l->is_probed = l->address_bytes > 0 && l->tls == NULL;
}

enum fo_err
fo_nng_listener_open(struct fo_nng_listener *l, nng_socket socket, const char *key, const char *url, const struct fo_nng_tls *tls,
    struct fo_fault *ret_fault)
{
    enum fo_err err;
    char *bound = NULL;
    int rv;

    *l = (struct fo_nng_listener){ .socket = socket, .key = key, .is_tcp = strncmp(url, "tcp://", 6) == 0 };
    fo_nng_pipes_init(&l->pipes);
    if (!l->is_tcp && !fo_nng_url_is_tls(url) && strncmp(url, "ipc://", 6) != 0)
        return fo_fault_set(ret_fault, FO_ERR_CONFIG, key, "%s: begin it with tcp://, tls+tcp:// or ipc://", url);
    if (fo_nng_url_is_tls(url) && ((err = fo_nng_tls_server(tls, &l->tls, ret_fault)) != FO_OK || (err = fo_nng_tls_client(tls, NULL, &l->probe_tls, ret_fault)) != FO_OK))
        return err;
    rv = fo_nng_pipes_watch(socket, on_pipe, l);
    if (rv == 0)
        rv = start(l, url, &l->current);
    if (rv != 0)
        return listen_fault(l, url, rv, ret_fault);
    if (nng_listener_get_string(l->current, NNG_OPT_URL, &bound) == 0) {
        l->url = strdup(bound);
        nng_strfree(bound);
    }
    if (l->url == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, key, "out of memory");
    note_address(l);
    return FO_OK;
}

static void
close_retired(struct fo_nng_retired *retired, struct fo_instant now)
{
    nng_listener_close(retired->listener);
    retired->is_closed = true;
    retired->closed_at = now;
}

/* Of the connections on a unix socket, or over TLS, nobody can tell which are served, so a dead listener of these takes all of them along. */
static void
retire_current(struct fo_nng_listener *l, struct fo_instant now)
{
    struct fo_nng_retired *retired;

    if (l->retired_count == FO_NNG_RETIRED_MAX) {
        nng_listener_close(l->current);
        return;
    }
    retired = &l->retired[l->retired_count++];
    *retired = (struct fo_nng_retired){ .listener = l->current };
    if (l->is_tcp && fo_nng_rescue_address(l, retired))
        return;
    fo_nng_rescue_note(l, retired);
    close_retired(retired, now);
}

bool
fo_nng_listener_replace(struct fo_nng_listener *l, struct fo_instant now)
{
    int rv;

    if (!l->is_closed) {
        retire_current(l, now);
        l->is_closed = true;
    }
    rv = start(l, l->url, &l->current);
    if (rv != 0) {
        fo_log(FO_LOG_WARN, "listener_not_back", FO_S("listener", l->key), FO_S("url", l->url), FO_S("reason", nng_strerror(rv)));
        return false;
    }
    l->is_closed = false;
    return true;
}

void
fo_nng_listener_reap(struct fo_nng_listener *l, struct fo_instant now)
{
    for (unsigned i = 0; i < l->retired_count; ) {
        struct fo_nng_retired *retired = &l->retired[i];

        if (!retired->is_closed && fo_nng_pipes_count_of(&l->pipes, (uint32_t)nng_listener_id(retired->listener)) == 0)
            close_retired(retired, now);
        if (retired->is_closed && fo_instant_since(now, retired->closed_at).ns > fo_duration_ms(LINGER_MS).ns) {
            fo_nng_rescue_sweep(retired);
            *retired = l->retired[--l->retired_count];
        } else {
            i++;
        }
    }
}

void
fo_nng_listener_fini(struct fo_nng_listener *l)
{
    if (l->tls != NULL)
        nng_tls_config_free(l->tls);
    if (l->probe_tls != NULL)
        nng_tls_config_free(l->probe_tls);
    free(l->url);
    fo_nng_pipes_fini(&l->pipes);
    *l = (struct fo_nng_listener){ 0 };
}
