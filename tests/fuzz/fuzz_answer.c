/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers as libfanout reads them: a broker may be broken too. */
#include "fuzz.h"

#include "client/answer.h"

void
fuzz_one(struct fo_slice input)
{
    struct fanout_results *results;
    struct fo_fetched fetched;
    struct fo_fetched_event event;
    struct fo_slice region;

    for (uint32_t count = 1; count <= 3; count++)
        for (int is_brief = 0; is_brief < 2; is_brief++)
            if (fo_answer_publish(input, count, is_brief, &results) == FO_OK)
                fo_results_destroy(results);
    if (fo_answer_fetch(input, &fetched) == FO_OK)
        for (uint32_t i = 0; i < fetched.events_count; i++)
            if (fo_answer_event(&fetched.events, &event) != FO_OK)
                break;
    demand_some(fo_answer_ping(input, &region));
}
