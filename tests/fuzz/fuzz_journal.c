/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment file whose records are the input: the scan that recovery does, then every record that it says is there. Checksums count as right (the
 * linker leads them to zero, and a checksum of zero is easily found), so that absurd headers get as far as they can. */
#include "fuzz.h"

#include "adapter/journal_scan.h"

uint32_t __wrap_fo_crc32c(uint32_t crc, const void *p, size_t n);

uint32_t
__wrap_fo_crc32c(uint32_t crc, const void *p, size_t n)
{
    (void)crc;
    (void)p;
    (void)n;
    return 0;
}

enum { BASE_LSN = 0x100000 };

static void
read_records(int fd, const struct fo_extent extent, uint64_t from, uint64_t end)
{
    struct fo_record_header h;
    struct fo_slice body;
    struct fo_span w;
    uint64_t at = from, sum = 0;

    fo_span_init(&w);
    fo_span_reset(&w, fd);
    while (fo_span_search(&w, extent, at, end, &at) == FO_OK) {
        DEMAND(fo_span_header(&w, extent, at, FO_WINDOW_AHEAD_BYTES, end, &h) == FO_OK);
        DEMAND(at + fo_record_size(h.length) <= end && h.lsn == extent.base_lsn + at);
        if (fo_span_body(&w, extent, at, end, &h, &body) == FO_OK)
            for (size_t i = 0; i < body.n; i++)
                sum += body.p[i];
        at += fo_record_size(h.length);
    }
    fo_span_fini(&w);
    DEMAND(sum != UINT64_MAX);
}

void
fuzz_one(struct fo_slice input)
{
    const struct fo_extent extent = { BASE_LSN, 0 };
    size_t n = FO_SEGMENT_HEADER_BYTES + input.n;
    uint8_t *file = calloc(1, n);
    struct fo_segment_header header;
    struct fo_scan scan;
    int fd;

    DEMAND(file != NULL);
    memcpy(file, input.p, input.n < FO_SEGMENT_HEADER_BYTES ? input.n : FO_SEGMENT_HEADER_BYTES);
    demand_some(fo_segment_header_decode(file, &header));
    memcpy(file + FO_SEGMENT_HEADER_BYTES, input.p, input.n);
    fd = world_fd(fo_slice_of(file, n));
    free(file);
    DEMAND(fo_segment_scan(fd, extent, n, &scan) == FO_OK);
    DEMAND(scan.end >= FO_SEGMENT_HEADER_BYTES && scan.end <= n && scan.checkpoint < scan.end);
    for (unsigned i = 0; i < scan.damage_count && i < FO_SCAN_DAMAGE_MAX; i++)
        DEMAND(scan.damage[i].at + scan.damage[i].bytes <= n);
    read_records(fd, extent, FO_SEGMENT_HEADER_BYTES, scan.end);
}
