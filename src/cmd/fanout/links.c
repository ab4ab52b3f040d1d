/* SPDX-License-Identifier: Apache-2.0
 *
 * See links.h. */
#include "cmd/fanout/links.h"

#include <stdio.h>
#include <string.h>

#include "cmd/fanout/common.h"
#include "cmd/fanout/table.h"

enum { LATELY_MS = 60000 };             /* a frame refused before that tells of what is over */

struct link_trouble
link_down(const json_t *link)
{
    static const struct { const char *because, *text, *advice; bool is_lasting; } known[] = {
        { "not_connected", "not connected", "start that broker, or check its listen.link and peers here; events wait for it meanwhile", false },
        { "not_heard", "connected, but nothing is heard of it", "look whether that broker runs and is connected to this one (its peers, the line from there); events wait for it meanwhile", false },
        { "not_accepted", "connected and heard, but it does not accept our frames, or the line that way is cut",
          "compare key ids: `fanout keys list` must show the same one for this region here and there; `fanout region ls` there says what it refuses", true },
        { "probing", "connected, and being tried", "wait a moment", false },
    };
    const char *because = cmd_text(link, "downBecause", "");
    struct link_trouble t = { .is_found = strcmp(cmd_text(link, "state", "?"), "up") != 0, .advice = known[0].advice };

    if (!t.is_found)
        return t;
    snprintf(t.text, sizeof(t.text), "urgent %s, bulk %s", cmd_text(link, "urgent", "?"), cmd_text(link, "bulk", "?"));
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(because, known[i].because) == 0) {
            t.is_lasting = known[i].is_lasting;
            t.advice = known[i].advice;
            snprintf(t.text, sizeof(t.text), "%s", known[i].text);
        }
    }
    return t;
}

static const char *
refusal_advice(const char *error)
{
    static const char *const of_keys[] = { "unknown_key", "wrong_key", "bad_signature" };

    for (unsigned i = 0; i < sizeof(of_keys) / sizeof(of_keys[0]); i++)
        if (strcmp(error, of_keys[i]) == 0)
            return "compare key ids: `fanout keys list` must show the same one for that region here and there; bring its .pub file here and restart";
    if (strcmp(error, "unknown_region") == 0)
        return "add that region to peers, or keep it away from listen.link; frame_refused in the broker's log names it";
    if (strcmp(error, "version") == 0)
        return "run programs of one frame version in all regions";
    return "see frame_refused in the broker's log";
}

struct link_trouble
link_refusals(const json_t *refused, const char *whose)
{
    double last_ms = cmd_number(refused, "lastMs", -1);
    const char *error = cmd_text(refused, "lastError", "?");
    struct link_trouble t = { .is_found = last_ms >= 0 && last_ms < LATELY_MS, .is_lasting = true };
    char ms[24];

    if (!t.is_found)
        return t;
    snprintf(t.text, sizeof(t.text), "%.0f frames refused that %s %s, the last one %s ago: %s", cmd_number(refused, "frames", 0),
        whose != NULL ? "say they are of" : "are of", whose != NULL ? whose : "no known peer", table_ms(last_ms, ms), error);
    t.advice = refusal_advice(error);
    return t;
}
