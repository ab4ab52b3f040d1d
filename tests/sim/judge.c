/* SPDX-License-Identifier: Apache-2.0
 *
 * The auditor as a judge: what the regions state of their journals, laid side by side as `fanout audit` does. It knows nothing of the truth, so it is
 * judged as well: where the checkers are content, it must find zero drift. */
#include "sim.h"

#include <stdio.h>

#include "broker/audit.h"

static struct fo_audit_statement of_source, of_target;

static bool
ask(struct sim *s, unsigned node, const struct fo_audit_query *q, struct fo_audit_statement *ret_s)
{
    const struct fo_query_view v = { &s->node[node].broker->ctx, s->node[node].broker->ctx.wall, NULL };
    enum fo_err err = fo_audit_state(&v, q, ret_s);

    if (err != FO_OK && !s->plan.is_lossy)
        sim_fail(s, "%s cannot be audited: %s", region_name(node), fo_err_name(err));
    return err == FO_OK;
}

static void
compare(struct sim *s, unsigned source, unsigned target, unsigned lane)
{
    const struct fo_audit_flow *a = fo_audit_flow_of(&of_source, region_name(target), (enum fo_lane)lane), *b = fo_audit_flow_of(&of_target, region_name(source), (enum fo_lane)lane);

    if (a == NULL || b == NULL) {
        sim_fail(s, "%s or %s leaves out a flow between them", region_name(source), region_name(target));
        return;
    }
    if (a->count[FO_AUDIT_PENDING] > 0)
        sim_fail(s, "an audit at rest: %llu events of %s are pending at %s", (unsigned long long)a->count[FO_AUDIT_PENDING], region_name(source), region_name(target));
    if (fo_audit_settled(a) != fo_audit_settled(b) || b->misplaced > 0 || memcmp(a->digest, b->digest, FO_HASH_BYTES) != 0)
        sim_fail(s, "the audit sees drift: %llu events settled by %s, %llu held by %s, digests %s", (unsigned long long)fo_audit_settled(a), region_name(source),
            (unsigned long long)fo_audit_settled(b), region_name(target), memcmp(a->digest, b->digest, FO_HASH_BYTES) == 0 ? "equal" : "differ");
    for (int i = 0; i < FO_AUDIT_UNPROVEN; i++)
        if (a->count[i] != b->count[i])
            sim_fail(s, "the audit sees drift: %llu events are %s at %s by its acks, %llu by what it does", (unsigned long long)a->count[i],
                fo_audit_state_name((enum fo_audit_state)i), region_name(target), (unsigned long long)b->count[i]);
}

static void
audit_pair(struct sim *s, unsigned source, unsigned target)
{
    struct fo_audit_query of = { .to = { INT64_MAX }, .up_to = { FO_AUDIT_END, FO_AUDIT_END, FO_AUDIT_END } }, at = of;

    snprintf(of.target, sizeof of.target, "%s", region_name(target));
    snprintf(at.source, sizeof at.source, "%s", region_name(source));
    /* What either has trimmed is nobody's to compare; the target is asked twice, as it must first tell. */
    if (!ask(s, target, &at, &of_target))
        return;
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        of.after[lane] = fo_audit_flow_of(&of_target, region_name(source), (enum fo_lane)lane)->trimmed;
    if (!ask(s, source, &of, &of_source))
        return;
    for (unsigned lane = 0; lane < FO_LANES; lane++) {
        const struct fo_audit_flow *f = fo_audit_flow_of(&of_source, region_name(target), (enum fo_lane)lane);

        at.after[lane] = fo_mark_is_behind(f->trimmed, of.after[lane]) ? f->trimmed : of.after[lane];
        at.up_to[lane] = f->up_to;
    }
    if (!ask(s, target, &at, &of_target) || s->plan.is_lossy)
        return;
    for (unsigned lane = 0; lane < FO_LANES; lane++) {
        compare(s, source, target, lane);
        if (of_source.lane[lane].holes > 0)
            sim_fail(s, "the audit misses %llu sequences in %s's own journal", (unsigned long long)of_source.lane[lane].holes, region_name(source));
    }
}

void
judge_check_end(struct sim *s)
{
    for (unsigned i = 0; i < s->plan.nodes && s->failure[0] == '\0'; i++)
        for (unsigned k = 0; k < s->plan.nodes; k++)
            if (k != i && s->node[i].broker != NULL && s->node[k].broker != NULL)
                audit_pair(s, i, k);
}
