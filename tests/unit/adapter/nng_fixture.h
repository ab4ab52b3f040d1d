/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the NNG adapter share: a transport on loopback, its inbox, and rude clients. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nng/nng.h>

#include "adapter/nng_transport.h"

enum { PATIENCE_MS = 10000 };           /* for what must happen, sooner or later */

struct rig {
    struct fo_inbox *inbox;
    struct fo_transport *transport;
    struct fo_nng_config config;
    unsigned inbox_cap;
};

/* A config with all ends on 127.0.0.1 with port 0, no peers. The caller may change it before rig_open. */
void rig_init(struct rig *rig);
void rig_open(struct rig *rig);
/* The end of a test. The transport stays open until the process ends, as a broker's does, and so do the clients that are not closed on
 * purpose: closing NNG 1.5.2 panics, hangs or leaks now and then. What is in the inbox is freed. */
void rig_leave(struct rig *rig);
void rig_close(struct rig *rig);        /* where closing is what the test is about */
const char *rig_url(const struct rig *rig, enum fo_nng_end end);
int rig_port(const struct rig *rig, enum fo_nng_end end);
struct fo_nng_stats rig_stats(const struct rig *rig);
/* The next input of that kind, dropping others; fails the test when there is none in time. */
struct fo_input rig_expect(struct rig *rig, enum fo_input_kind kind);
/* Waits until LINK_UP has come for each class of every peer. */
void rig_expect_links_up(struct rig *rig, unsigned peers);
void rig_reply(struct rig *rig, struct fo_input *request, const char *text);

double seconds(void);
void sleep_ms(int ms);
/* Connects to the port on 127.0.0.1, then FIN and RST while the greeting is under way: what kills NNG 1.5.2. */
void connect_fin_rst(int port);
void fin_rst(int fd);
/* A REQ socket that never repeats a request by itself, connected. */
nng_socket req_dial(const char *url);
/* Sends text, receives up to cap - 1 bytes; NNG's error. */
int ask(nng_socket req, const char *text, char *ret_answer, size_t cap);
nng_socket sub_dial(const char *url, const char *topic);
