/* SPDX-License-Identifier: Apache-2.0
 *
 * See cursor.h. */
#include "client/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to the separator, or to the end; moves past the separator. */
static struct fo_slice
take_part(struct fo_slice *text, char separator)
{
    const uint8_t *end = memchr(text->p, separator, text->n);
    size_t n = end != NULL ? (size_t)(end - text->p) : text->n;
    struct fo_slice part = { text->p, n };

    text->p += end != NULL ? n + 1 : n;
    text->n -= end != NULL ? n + 1 : n;
    return part;
}

static enum fo_err
parse_number(struct fo_slice text, int base, uint64_t *ret_v)
{
    char copy[24], *end;

    if (text.n == 0 || text.n >= sizeof(copy) || text.p[0] == '-' || text.p[0] == '+' || text.p[0] == ' ')
        return FO_ERR_PARSE;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *ret_v = strtoull(copy, &end, base);
    return *end == '\0' ? FO_OK : FO_ERR_PARSE;
}

enum fo_err
fo_position_parse(struct fo_slice text, struct fo_slice *ret_region, struct fo_position *ret_pos)
{
    struct fo_slice region = take_part(&text, ':'), epoch = take_part(&text, ':'), lane = take_part(&text, ':');
    struct fo_position pos = { 0 };
    unsigned l = 0;

    if (region.n == 0 || region.n > FO_REGION_BYTES_MAX)
        return FO_ERR_PARSE;
    while (l < FO_LANES && !fo_slice_is_equal(lane, fo_slice_str(fo_lane_name((enum fo_lane)l))))
        l++;
    if (l == FO_LANES || parse_number(epoch, 16, &pos.epoch) != FO_OK || parse_number(text, 10, &pos.seq) != FO_OK)
        return FO_ERR_PARSE;
    pos.lane = (enum fo_lane)l;
    *ret_region = region;
    *ret_pos = pos;
    return FO_OK;
}

static bool
is_mark_of(const struct fo_mark *mark, struct fo_slice region, enum fo_lane lane, uint64_t targets)
{
    return mark->pos.lane == lane && mark->targets == targets && fo_slice_is_equal(region, fo_slice_str(mark->region));
}

static struct fo_mark *
find_mark(struct fo_marks *m, struct fo_slice region, enum fo_lane lane, uint64_t targets)
{
    if (m->last < m->count && is_mark_of(&m->at[m->last], region, lane, targets))
        return &m->at[m->last];
    for (unsigned i = 0; i < m->count; i++) {
        if (!is_mark_of(&m->at[i], region, lane, targets))
            continue;
        m->last = i;
        return &m->at[i];
    }
    return NULL;
}

bool
fo_marks_has(struct fo_marks *m, struct fo_slice region, struct fo_position pos, uint64_t targets)
{
    const struct fo_mark *mark = find_mark(m, region, pos.lane, targets);

    return mark != NULL && (pos.epoch < mark->pos.epoch || (pos.epoch == mark->pos.epoch && pos.seq <= mark->pos.seq));
}

void
fo_marks_note(struct fo_marks *m, struct fo_slice region, struct fo_position pos, uint64_t targets)
{
    struct fo_mark *mark = find_mark(m, region, pos.lane, targets);

    if (mark == NULL) {
        if (m->count == FO_MARKS_MAX)
            return;
        mark = &m->at[m->count++];
        memcpy(mark->region, region.p, region.n);
        mark->region[region.n] = '\0';
        mark->targets = targets;
    }
    mark->pos = pos;
}

enum fo_err
fo_cursor_format(const struct fo_cursor *c, const struct fo_marks *m, struct fo_buf *out)
{
    enum { MARK_BYTES_MAX = FO_REGION_BYTES_MAX + 80 };
    size_t room = 64 + FO_REGION_BYTES_MAX + c->place.n + m->count * (size_t)MARK_BYTES_MAX;
    enum fo_err err = fo_buf_reserve(out, room);
    char *text;
    size_t n;

    if (err != FO_OK)
        return err;
    text = (char *)out->p + out->n;
    n = (size_t)snprintf(text, room, "f2~%s~%.*s~%" PRId64 "~", c->region, (int)c->place.n, (const char *)c->place.p, c->begin_us);
    for (unsigned i = 0; i < m->count; i++) {
        const struct fo_mark *mark = &m->at[i];
        n += (size_t)snprintf(text + n, room - n, "%s%s:%" PRIx64 ":%s:%" PRIu64, i > 0 ? "," : "", mark->region, mark->pos.epoch,
            fo_lane_name(mark->pos.lane), mark->pos.seq);
        if (mark->targets != 0)
            n += (size_t)snprintf(text + n, room - n, ":%" PRIx64, mark->targets);
    }
    out->n += n + 1;
    return FO_OK;
}

enum { POSITION_PARTS = 4 };

static enum fo_err
parse_marks(struct fo_slice text, struct fo_marks *m)
{
    while (text.n > 0) {
        struct fo_slice mark = take_part(&text, ','), targets = mark, region;
        struct fo_position pos;
        uint64_t hash = 0;
        enum fo_err err;

        for (unsigned i = 0; i < POSITION_PARTS; i++)
            (void)take_part(&targets, ':');
        if (targets.n > 0) {
            mark.n -= targets.n + 1;
            if ((err = parse_number(targets, 16, &hash)) != FO_OK)
                return err;
        }
        if ((err = fo_position_parse(mark, &region, &pos)) != FO_OK)
            return err;
        fo_marks_note(m, region, pos, hash);
    }
    return FO_OK;
}

enum fo_err
fo_cursor_parse(const char *text, struct fo_cursor *ret_c, struct fo_marks *ret_m)
{
    struct fo_slice rest = fo_slice_str(text), part;
    uint64_t begin_us;

    memset(ret_c, 0, sizeof(*ret_c));
    memset(ret_m, 0, sizeof(*ret_m));
    if (strncmp(text, "f2~", 3) != 0) {
        ret_c->place = rest;
        return rest.n > 0 && memchr(rest.p, '~', rest.n) == NULL ? FO_OK : FO_ERR_PARSE;
    }
    (void)take_part(&rest, '~');
    part = take_part(&rest, '~');
    if (part.n > FO_REGION_BYTES_MAX)
        return FO_ERR_PARSE;
    memcpy(ret_c->region, part.p, part.n);
    ret_c->place = take_part(&rest, '~');
    if (parse_number(take_part(&rest, '~'), 10, &begin_us) != FO_OK || begin_us > INT64_MAX)
        return FO_ERR_PARSE;
    ret_c->begin_us = (int64_t)begin_us;
    return parse_marks(rest, ret_m);
}
