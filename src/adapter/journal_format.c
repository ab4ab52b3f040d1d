/* SPDX-License-Identifier: Apache-2.0
 *
 * See JOURNAL.md for the layout; every offset below stands there. */
#include "adapter/journal_format.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/crc32c.h"

enum {
    SEGMENT_MAGIC_BYTES = 8,
    SEGMENT_CRC_AT = 60,            /* covers what stands before it */
    SEGMENT_FIELDS_BYTES = 64,
    RECORD_MAGIC = 0x464f5231,      /* "FOR1" */
    RECORD_CRC_FROM = 8,            /* the header's checksum covers what follows it */
    NAME_HEX_DIGITS = 16,
};

static const uint8_t segment_magic[SEGMENT_MAGIC_BYTES] = {'F', 'O', 'J', 'O', 'U', 'R', 'N', '\n'};

uint32_t
fo_segment_salt(uint64_t secret, uint64_t base_lsn)
{
    uint8_t bytes[16];
    struct fo_writer w = fo_writer_of(bytes, sizeof bytes);

    fo_write_u64(&w, secret);
    fo_write_u64(&w, base_lsn);
    return fo_crc32c((uint32_t)(secret >> 32), bytes, sizeof bytes);
}

void
fo_segment_name(uint64_t base_lsn, char ret_name[FO_SEGMENT_NAME_SIZE])
{
    snprintf(ret_name, FO_SEGMENT_NAME_SIZE, "%016llx.seg", (unsigned long long)base_lsn);
}

bool
fo_segment_name_parse(const char *name, uint64_t *ret_base_lsn)
{
    static const char digits[16] = "0123456789abcdef";
    uint64_t v = 0;

    if (strlen(name) != FO_SEGMENT_NAME_SIZE - 1 || strcmp(name + NAME_HEX_DIGITS, ".seg") != 0)
        return false;
    for (int i = 0; i < NAME_HEX_DIGITS; i++) {
        const char *digit = memchr(digits, name[i], sizeof digits);
        if (!digit)
            return false;
        v = v << 4 | (uint64_t)(digit - digits);
    }
    *ret_base_lsn = v;
    return true;
}

void
fo_segment_header_encode(const struct fo_segment_header *h, uint8_t ret_bytes[FO_SEGMENT_HEADER_BYTES])
{
    uint8_t region[FO_REGION_BYTES_MAX] = {0};
    struct fo_writer w = fo_writer_of(ret_bytes, FO_SEGMENT_HEADER_BYTES);

    memset(ret_bytes, 0, FO_SEGMENT_HEADER_BYTES);
    memcpy(region, h->region, strnlen(h->region, sizeof region));
    fo_write_bytes(&w, segment_magic, sizeof segment_magic);
    fo_write_u32(&w, FO_JOURNAL_VERSION);
    fo_write_bytes(&w, region, sizeof region);
    fo_write_u64(&w, h->base_lsn);
    fo_write_u64(&w, h->capacity);
    fo_assert(w.n == SEGMENT_CRC_AT);
    fo_write_u32(&w, fo_crc32c(0, ret_bytes, SEGMENT_CRC_AT));
    fo_assert(!w.overflow && w.n == SEGMENT_FIELDS_BYTES);
}

enum fo_err
fo_segment_header_decode(const uint8_t bytes[FO_SEGMENT_HEADER_BYTES], struct fo_segment_header *ret_h)
{
    struct fo_reader r = fo_reader_of(fo_slice_of(bytes, SEGMENT_FIELDS_BYTES));
    struct fo_slice magic, region;
    uint32_t version, crc;
    struct fo_segment_header h = {0};

    if (fo_read_slice(&r, SEGMENT_MAGIC_BYTES, &magic) != FO_OK || fo_read_u32(&r, &version) != FO_OK ||
        fo_read_slice(&r, FO_REGION_BYTES_MAX, &region) != FO_OK || fo_read_u64(&r, &h.base_lsn) != FO_OK ||
        fo_read_u64(&r, &h.capacity) != FO_OK || fo_read_u32(&r, &crc) != FO_OK)
        return FO_ERR_CORRUPT;
    if (memcmp(magic.p, segment_magic, sizeof segment_magic) != 0 || crc != fo_crc32c(0, bytes, SEGMENT_CRC_AT))
        return FO_ERR_CORRUPT;
    if (version != FO_JOURNAL_VERSION)
        return FO_ERR_VERSION;
    memcpy(h.region, region.p, region.n);
    *ret_h = h;
    return FO_OK;
}

void
fo_record_header_encode(const struct fo_record_header *h, uint32_t salt, uint8_t ret_bytes[FO_RECORD_HEADER_BYTES])
{
    struct fo_writer w = fo_writer_of(ret_bytes, FO_RECORD_HEADER_BYTES);

    fo_write_u32(&w, RECORD_MAGIC);
    fo_write_u32(&w, 0);            /* its checksum, last of all */
    fo_write_u64(&w, h->lsn);
    fo_write_u64(&w, h->group_lsn);
    fo_write_u64(&w, (uint64_t)h->at_us);
    fo_write_u32(&w, h->length);
    fo_write_u32(&w, h->count);
    fo_write_u32(&w, h->body_crc);
    fo_write_u8(&w, h->type);
    fo_write_u8(&w, h->lane);
    fo_write_u16(&w, 0);
    fo_assert(!w.overflow && w.n == FO_RECORD_HEADER_BYTES);
    w = fo_writer_of(ret_bytes + RECORD_CRC_FROM - sizeof(uint32_t), sizeof(uint32_t));
    fo_write_u32(&w, fo_crc32c(salt, ret_bytes + RECORD_CRC_FROM, FO_RECORD_HEADER_BYTES - RECORD_CRC_FROM));
}

static bool
is_known_type(uint8_t type)
{
    return (type >= 1 && type <= 4) || type == FO_RECORD_END;
}

enum fo_err
fo_record_header_decode(const uint8_t bytes[FO_RECORD_HEADER_BYTES], uint32_t salt, uint64_t lsn,
    struct fo_record_header *ret_h)
{
    struct fo_reader r = fo_reader_of(fo_slice_of(bytes, FO_RECORD_HEADER_BYTES));
    struct fo_record_header h;
    uint32_t magic, crc;
    uint64_t at;
    uint16_t reserved;

    if (!fo_record_may_begin(bytes) || fo_read_u32(&r, &magic) != FO_OK || fo_read_u32(&r, &crc) != FO_OK ||
        fo_read_u64(&r, &h.lsn) != FO_OK || fo_read_u64(&r, &h.group_lsn) != FO_OK ||
        fo_read_u64(&r, &at) != FO_OK || fo_read_u32(&r, &h.length) != FO_OK || fo_read_u32(&r, &h.count) != FO_OK ||
        fo_read_u32(&r, &h.body_crc) != FO_OK || fo_read_u8(&r, &h.type) != FO_OK || fo_read_u8(&r, &h.lane) != FO_OK ||
        fo_read_u16(&r, &reserved) != FO_OK)
        return FO_ERR_CORRUPT;
    if (h.lsn != lsn || crc != fo_crc32c(salt, bytes + RECORD_CRC_FROM, FO_RECORD_HEADER_BYTES - RECORD_CRC_FROM))
        return FO_ERR_CORRUPT;
    if (!is_known_type(h.type) || h.lane >= FO_LANES || h.group_lsn > lsn)
        return FO_ERR_CORRUPT;
    h.at_us = (int64_t)at;
    *ret_h = h;
    return FO_OK;
}
