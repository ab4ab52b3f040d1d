/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the journal holds nothing of one lane: stretches between two records of it, so that whoever wants its next record finds it
 * without walking over what other lanes have in between. A bounded memory: when it is full, the stretches go that would save least.
 * What is forgotten costs a longer walk and nothing else.
 *
 *   gap[i].from_lsn < gap[i].to_lsn <= gap[i + 1].from_lsn;  the last to_lsn <= last_lsn
 *
 * Pure: no I/O, no allocation, no clock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { FO_GAPS_MAX = 1024, FO_GAP_BYTES_MIN = 4096 };   /* less is walked over as quickly */

struct fo_gap { uint64_t from_lsn, to_lsn; };           /* no record of the lane begins from here on; the next one begins there */
struct fo_gaps { uint64_t last_lsn; struct fo_gap gap[FO_GAPS_MAX]; unsigned count; };  /* last_lsn: newest record of the lane; 0: none */

/* A record of the lane at lsn. Records come in the journal's order; one that was noted before changes nothing. */
void fo_gaps_note(struct fo_gaps *g, uint64_t lsn);
/* Where a search from lsn may as well begin: no record of the lane begins before. UINT64_MAX: there is none from lsn on. */
uint64_t fo_gaps_next(const struct fo_gaps *g, uint64_t lsn);
/* Adds one as it was read from a checkpoint. False: it cannot stand there. */
bool fo_gaps_restore(struct fo_gaps *g, struct fo_gap gap);
