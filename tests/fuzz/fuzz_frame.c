/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames between brokers: split, decode, verify; for batches, control frames and relays. The signature counts as good (the linker
 * leads the check to a function that nods), so that what stands behind it is reached; what was taken is sealed again and must read
 * the same. */
#include "fuzz.h"

#include <sodium.h>
#include <string.h>

#include "wire/audit.h"
#include "wire/relay.h"

int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key);

int
__wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key)
{
    (void)sig;
    (void)m;
    (void)n;
    (void)key;
    return 0;
}

static const struct fo_key_pair *
pair_of(struct fo_slice region)
{
    for (unsigned i = 0; i < WORLD_REGIONS; i++)
        if (fo_slice_is_equal(region, fo_slice_str(world_regions.name[i])))
            return &world_pair[i];
    return NULL;
}

static void
take_batch(const struct fo_frame *frame)
{
    struct fo_slice records[FO_BATCH_EVENTS_MAX], again[FO_BATCH_EVENTS_MAX];
    struct fo_batch_header h, h2;
    struct fo_frame frame2;
    struct fo_buf out;

    if (fo_batch_header_decode(frame, &h) != FO_OK)
        return;
    demand_some(fo_batch_verify(frame, &h, &world_keys, NULL));
    if (fo_batch_records(frame->body, h.count, records) != FO_OK || pair_of(h.region) == NULL)
        return;
    fo_buf_init(&out);
    DEMAND(fo_batch_seal(&h, records, pair_of(h.region), &out) == FO_OK);
    DEMAND(fo_frame_split(fo_buf_slice(&out), &frame2) == FO_OK && fo_batch_header_decode(&frame2, &h2) == FO_OK);
    DEMAND(fo_batch_verify(&frame2, &h2, &world_keys, again) == FO_OK);
    DEMAND(h2.epoch == h.epoch && h2.first_seq == h.first_seq && h2.count == h.count && h2.lane == h.lane && h2.target_count == h.target_count);
    for (uint32_t i = 0; i < h.count; i++)
        DEMAND(fo_slice_is_equal(records[i], again[i]));
    fo_buf_fini(&out);
}

static void
take_control(const struct fo_frame *frame)
{
    struct fo_control c, c2;
    struct fo_frame frame2;
    struct fo_buf out;

    if (fo_control_decode(frame, &c) != FO_OK)
        return;
    demand_some(fo_control_verify(frame, &c, &world_keys));
    if (pair_of(c.region) == NULL)
        return;
    fo_buf_init(&out);
    DEMAND(fo_control_seal(frame->kind, &c, pair_of(c.region), &out) == FO_OK);
    DEMAND(fo_frame_split(fo_buf_slice(&out), &frame2) == FO_OK && fo_control_decode(&frame2, &c2) == FO_OK);
    DEMAND(c2.session == c.session && c2.exception_count == c.exception_count && c2.reach_count == c.reach_count && c2.echo_delay_us == c.echo_delay_us);
    fo_buf_fini(&out);
}

static void
take_relay(const struct fo_frame *frame)
{
    struct fo_relay relay;

    if (fo_relay_decode(frame, &relay) == FO_OK)
        demand_some(fo_relay_verify(frame, &relay, &world_keys));
}

static void
take_frame(struct fo_slice bytes)
{
    struct fo_frame frame;

    if (fo_frame_split(bytes, &frame) != FO_OK)
        return;
    DEMAND(FO_FRAME_PREFIX + frame.header.n + frame.signature.n + frame.body.n == bytes.n);
    take_batch(&frame);
    take_control(&frame);
    take_relay(&frame);
    if (frame.kind == FO_FRAME_RELAY)
        take_frame(frame.body);
}

void
fuzz_one(struct fo_slice input)
{
    static struct fo_audit_statement statement;

    take_frame(input);
    if (input.n >= FO_SIGNATURE_BYTES && fo_audit_decode(input, &statement) == FO_OK)
        demand_some(fo_audit_verify(input, fo_slice_of(input.p, FO_SIGNATURE_BYTES), &statement, &world_keys));
}
