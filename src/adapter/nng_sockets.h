/* SPDX-License-Identifier: Apache-2.0
 *
 * NNG does not show its descriptors. They are found among all of this process's by their addresses. */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

#include <nng/nng.h>

/* Calls is_it for each open descriptor, socket or not, until it says so; returns that one, or -1. */
int fo_nng_sockets_find(bool (*is_it)(const void *ctx, int fd), const void *ctx);
bool fo_nng_socket_is_listening(int fd);
/* Where a socket bound there is reached from this machine: a wildcard address over loopback. */
struct sockaddr_storage fo_nng_reachable(const struct sockaddr_storage *bound);
/* Whether both name the same tcp address and port. */
bool fo_nng_is_same_address(const struct sockaddr_storage *sa, const nng_sockaddr *at);
