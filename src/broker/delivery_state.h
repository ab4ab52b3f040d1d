/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "wire/door.h"
#include "wire/frame.h"

/* How a delivery ended, by the peer's verdict in its ack: 0, or enum fo_verdict. */
static inline enum fo_delivery_state
fo_delivery_state_of(uint8_t verdict)
{
    if (verdict == 0)
        return FO_DELIVERY_DELIVERED;
    if (verdict == FO_VERDICT_EXPIRED)
        return FO_DELIVERY_EXPIRED;
    return verdict == FO_VERDICT_INCOMPATIBLE ? FO_DELIVERY_INCOMPATIBLE : FO_DELIVERY_FAILED;
}
