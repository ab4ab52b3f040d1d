/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's bytes on disk, as JOURNAL.md describes them: segment headers and record headers. Pure.
 *
 * Every checksum starts from the segment's salt, which follows from a secret of the data directory. So bytes from
 * elsewhere, an event's payload that imitates a record or an older file, are never taken for a record. */
#pragma once
#include <stdbool.h>

#include "base/bytes.h"
#include "base/names.h"

enum {
    FO_JOURNAL_VERSION = 3,             /* goes up with the version of the frames in its records, too */
    FO_SEGMENT_HEADER_BYTES = 4096,     /* a page of its own, never written again */
    FO_SEGMENT_NAME_SIZE = 21,          /* "%016lx.seg" and the NUL */
    FO_RECORD_HEADER_BYTES = 48,
    FO_RECORD_ALIGN = 8,
    FO_RECORD_END = 0xff,               /* type of the marker that closes a segment; header only */
};

struct fo_segment_header { char region[FO_REGION_BYTES_MAX + 1]; uint64_t base_lsn, capacity; };

struct fo_record_header {
    uint64_t lsn;           /* own position, so that a misplaced record is noticed */
    uint64_t group_lsn;     /* of the first record of the group it was committed with: all below was durable by then */
    int64_t at_us;
    uint32_t length, count; /* of the body, in bytes; of the events in it */
    uint32_t body_crc;
    uint8_t type, lane;
};

/* Room that a record takes, header and padding included. */
static inline uint64_t
fo_record_size(uint64_t length)
{
    return FO_RECORD_HEADER_BYTES + (length + (FO_RECORD_ALIGN - 1)) / FO_RECORD_ALIGN * FO_RECORD_ALIGN;
}

uint32_t fo_segment_salt(uint64_t secret, uint64_t base_lsn);
void fo_segment_name(uint64_t base_lsn, char ret_name[FO_SEGMENT_NAME_SIZE]);
/* False: not a segment's name. */
bool fo_segment_name_parse(const char *name, uint64_t *ret_base_lsn);

void fo_segment_header_encode(const struct fo_segment_header *h, uint8_t ret_bytes[FO_SEGMENT_HEADER_BYTES]);
/* FO_ERR_CORRUPT, FO_ERR_VERSION. */
FO_MUST_CHECK enum fo_err fo_segment_header_decode(const uint8_t bytes[FO_SEGMENT_HEADER_BYTES], struct fo_segment_header *ret_h);

void fo_record_header_encode(const struct fo_record_header *h, uint32_t salt, uint8_t ret_bytes[FO_RECORD_HEADER_BYTES]);
/* The cheap question first: a search asks at every eighth byte. */
static inline bool
fo_record_may_begin(const uint8_t *p)
{
    return p[0] == 'F' && p[1] == 'O' && p[2] == 'R' && p[3] == '1';
}
/* FO_ERR_CORRUPT unless the bytes are a record's header that belongs at lsn. */
FO_MUST_CHECK enum fo_err fo_record_header_decode(const uint8_t bytes[FO_RECORD_HEADER_BYTES], uint32_t salt, uint64_t lsn,
    struct fo_record_header *ret_h);
