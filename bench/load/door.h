/* SPDX-License-Identifier: Apache-2.0
 *
 * Fanout's door as a load generator needs it: NNG's SP protocol (REQ) over bare TCP, any number of requests under way, and as much
 * msgpack as its answers have. Whatever is not as expected ends the process. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DOOR_HEAD_BYTES = 12, DOOR_ANSWER_MAX = (8 << 20) - 8, FETCH_MAX = 10000 };

/* A walk over one msgpack answer. The broker is trusted here as far as lengths go: an answer that runs out ends the run. */
struct walk { const unsigned char *p, *end; };

/* One value's head. A string or bin gives its bytes, an array or a map its number of elements. */
struct item { enum { ITEM_OTHER, ITEM_INT, ITEM_TEXT, ITEM_ARRAY, ITEM_MAP } kind; uint64_t n; const char *text; };

void door_greet(int fd);                                    /* the handshake */
uint32_t door_ask(int fd, char *message, size_t body_bytes);    /* message: room for DOOR_HEAD_BYTES, then the body. Gives the request's id */

/* The bytes of the first answer among those received, once it is whole; else 0. */
size_t door_answer(const char *p, size_t n, struct walk *ret_answer);
uint32_t door_request(const char *p);                       /* which request it answers */

/* Asks for events behind the cursor, or from now on when it is null; type may be null. */
void door_fetch(int fd, const struct item *cursor, uint32_t bytes_max, const char *type);

/* Of the answer to a fetch; all of it lies in the answer. Gives the number of payloads. */
unsigned door_fetched(struct walk answer, struct item *ret_cursor, struct item ret_payload[FETCH_MAX]);

void door_published(struct walk answer);                    /* ends the process unless everything was accepted */
