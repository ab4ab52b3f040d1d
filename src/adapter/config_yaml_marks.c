/* SPDX-License-Identifier: Apache-2.0
 *
 * Positions of a config's keys. libcyaml fills the struct but tells no positions afterwards, so one pass over libyaml's
 * events notes them; the checks that follow can then point at the very line. */
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "adapter/config_yaml_parts.h"

enum { PATH_SIZE = 256, KEY_SHOWN_MAX = 72, DEPTH_MAX = 8 };

struct walk {
    yaml_parser_t *parser;
    struct fo_yaml_marks *marks;
    struct fo_fault *fault;
    unsigned depth;
};

static enum fo_err walk_node(struct walk *w, const yaml_event_t *event, const char *path);

/* What stands in a damaged file must not reach a terminal or a log as it is. */
static void
make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

enum fo_err
fo_config_fault_at(struct fo_fault *ret_fault, const char *file, unsigned line, unsigned column, const char *key, const char *fmt, ...)
{
    char place[32 + KEY_SHOWN_MAX];
    size_t room;
    va_list args;

    ret_fault->err = FO_ERR_CONFIG;
    snprintf(place, sizeof place, ":%u:%u%s%.*s", line, column, *key ? ": " : "", KEY_SHOWN_MAX, key);
    make_printable(place);
    /* A long file name loses its front, never the position. */
    room = sizeof ret_fault->path - 1 - strlen(place);
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s%s%s", strlen(file) > room ? "..." : "",
        strlen(file) > room ? file + strlen(file) - (room - 3) : file, place);

    va_start(args, fmt);
    vsnprintf(ret_fault->text, sizeof ret_fault->text, fmt, args);
    va_end(args);
    make_printable(ret_fault->text);
    return FO_ERR_CONFIG;
}

static const struct fo_yaml_mark *
mark_find(const struct fo_yaml_marks *marks, const char *path, size_t n)
{
    for (size_t i = 0; i < marks->count; i++)
        if (strlen(marks->mark[i].path) == n && memcmp(marks->mark[i].path, path, n) == 0)
            return &marks->mark[i];
    return NULL;
}

const struct fo_yaml_mark *
fo_yaml_marks_find(const struct fo_yaml_marks *marks, const char *path)
{
    return mark_find(marks, path, strlen(path));
}

enum fo_err
fo_config_fault(const struct fo_yaml_marks *marks, struct fo_fault *ret_fault, const char *path, const char *fmt, ...)
{
    const struct fo_yaml_mark *mark = NULL;
    char text[sizeof ret_fault->text];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t n = strlen(path); n > 0 && mark == NULL; n--)
        if (path[n] == '\0' || path[n] == '.' || path[n] == '[')
            mark = mark_find(marks, path, n);
    return fo_config_fault_at(ret_fault, marks->file, mark ? mark->line : 1, mark ? mark->column : 1, path, "%s", text);
}

static enum fo_err
mark_add(struct walk *w, const char *path, const yaml_mark_t *at)
{
    struct fo_yaml_marks *marks = w->marks;
    const struct fo_yaml_mark *first = mark_find(marks, path, strlen(path));
    unsigned line = (unsigned)at->line + 1, column = (unsigned)at->column + 1;
    struct fo_yaml_mark *grown;

    if (first != NULL)
        return fo_config_fault_at(w->fault, marks->file, line, column, path, "stands here a second time; the first is in line %u", first->line);
    if (marks->count == marks->cap) {
        grown = realloc(marks->mark, (marks->cap * 2 + 64) * sizeof *grown);
        if (grown == NULL)
            return FO_ERR_NO_MEMORY;
        marks->mark = grown;
        marks->cap = marks->cap * 2 + 64;
    }
    marks->mark[marks->count] = (struct fo_yaml_mark){ strdup(path), NULL, line, column };
    if (marks->mark[marks->count].path == NULL)
        return FO_ERR_NO_MEMORY;
    marks->count++;
    return FO_OK;
}

static enum fo_err
refuse(struct walk *w, const yaml_event_t *event, const char *path, const char *text)
{
    return fo_config_fault_at(w->fault, w->marks->file, (unsigned)event->start_mark.line + 1,
        (unsigned)event->start_mark.column + 1, path, "%s", text);
}

static enum fo_err
next_event(struct walk *w, yaml_event_t *ret_event)
{
    const yaml_parser_t *p = w->parser;

    if (yaml_parser_parse(w->parser, ret_event))
        return FO_OK;
    if (p->error == YAML_MEMORY_ERROR)
        return FO_ERR_NO_MEMORY;
    if (p->error == YAML_READER_ERROR)
        return fo_config_fault_at(w->fault, w->marks->file, 1, (unsigned)p->problem_offset + 1, "", "not text: %s", p->problem);
    return fo_config_fault_at(w->fault, w->marks->file, (unsigned)p->problem_mark.line + 1, (unsigned)p->problem_mark.column + 1, "",
        "not well-formed YAML: %s%s%s", p->context ? p->context : "", p->context ? ", " : "", p->problem);
}

static enum fo_err
walk_mapping(struct walk *w, const char *path)
{
    yaml_event_t key, value;
    char inner[PATH_SIZE];
    enum fo_err err;

    for (;;) {
        if ((err = next_event(w, &key)) != FO_OK)
            return err;
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return FO_OK;
        }
        if (key.type != YAML_SCALAR_EVENT) {
            err = refuse(w, &key, path, "a key must be a plain word");
        } else if (snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", (const char *)key.data.scalar.value) >= (int)sizeof inner) {
            err = refuse(w, &key, path, "unknown key: no key is this long");
        } else {
            err = mark_add(w, inner, &key.start_mark);
        }
        yaml_event_delete(&key);
        if (err != FO_OK || (err = next_event(w, &value)) != FO_OK)
            return err;
        err = walk_node(w, &value, inner);
        yaml_event_delete(&value);
        if (err != FO_OK)
            return err;
    }
}

static enum fo_err
walk_sequence(struct walk *w, const char *path)
{
    yaml_event_t entry;
    char inner[PATH_SIZE];
    enum fo_err err;

    for (unsigned i = 0;; i++) {
        if ((err = next_event(w, &entry)) != FO_OK)
            return err;
        if (entry.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&entry);
            return FO_OK;
        }
        if (snprintf(inner, sizeof inner, "%s[%u]", path, i) >= (int)sizeof inner)
            err = refuse(w, &entry, path, "nested too deeply");
        else if ((err = mark_add(w, inner, &entry.start_mark)) == FO_OK)
            err = walk_node(w, &entry, inner);
        yaml_event_delete(&entry);
        if (err != FO_OK)
            return err;
    }
}

static enum fo_err
walk_node(struct walk *w, const yaml_event_t *event, const char *path)
{
    const yaml_char_t *anchor = NULL;
    enum fo_err err = FO_OK;

    switch (event->type) {
    case YAML_SCALAR_EVENT: anchor = event->data.scalar.anchor; break;
    case YAML_MAPPING_START_EVENT: anchor = event->data.mapping_start.anchor; break;
    case YAML_SEQUENCE_START_EVENT: anchor = event->data.sequence_start.anchor; break;
    default: return refuse(w, event, path, "aliases are not supported: write the value out");
    }
    if (anchor != NULL)
        return refuse(w, event, path, "anchors are not supported: write the value out");
    if (++w->depth > DEPTH_MAX)
        return refuse(w, event, path, "nested too deeply");
    if (event->type == YAML_SCALAR_EVENT) {
        /* The newest mark is this value's. */
        w->marks->mark[w->marks->count - 1].value = strdup((const char *)event->data.scalar.value);
        err = w->marks->mark[w->marks->count - 1].value != NULL ? FO_OK : FO_ERR_NO_MEMORY;
    } else if (event->type == YAML_MAPPING_START_EVENT)
        err = walk_mapping(w, path);
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        err = walk_sequence(w, path);
    w->depth--;
    return err;
}

/* stream-start, one document whose root is a mapping, stream-end. */
static enum fo_err
walk_stream(struct walk *w)
{
    yaml_event_t event;
    unsigned documents = 0;
    enum fo_err err = FO_OK;
    bool is_end = false;

    while (err == FO_OK && !is_end) {
        if ((err = next_event(w, &event)) != FO_OK)
            break;
        if (event.type == YAML_STREAM_END_EVENT)
            is_end = true;
        else if (event.type == YAML_DOCUMENT_START_EVENT && documents++ > 0)
            err = refuse(w, &event, "", "a second document begins here; a config is one document");
        else if (event.type == YAML_MAPPING_START_EVENT)
            err = walk_node(w, &event, "");
        else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_ALIAS_EVENT)
            err = refuse(w, &event, "", "expected keys and values, as in 'region: us-east-1'");
        yaml_event_delete(&event);
    }
    if (err == FO_OK && documents == 0)
        err = fo_config_fault_at(w->fault, w->marks->file, 1, 1, "", "the file is empty; deploy/us-east-1.yaml is an example");
    return err;
}

enum fo_err
fo_yaml_marks_init(struct fo_yaml_marks *marks, const char *file, struct fo_slice text, struct fo_fault *ret_fault)
{
    yaml_parser_t parser;
    struct walk w = { &parser, marks, ret_fault, 0 };
    enum fo_err err;

    *marks = (struct fo_yaml_marks){ .file = file };
    if (!yaml_parser_initialize(&parser))
        return FO_ERR_NO_MEMORY;
    yaml_parser_set_input_string(&parser, text.p, text.n);
    err = walk_stream(&w);
    yaml_parser_delete(&parser);
    return err;
}

void
fo_yaml_marks_fini(struct fo_yaml_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++)
        free(marks->mark[i].path), free(marks->mark[i].value);
    free(marks->mark);
    *marks = (struct fo_yaml_marks){ 0 };
}
