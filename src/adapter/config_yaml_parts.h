/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the config loader: where each key stands (libyaml), what the file says (libcyaml, config_yaml.c),
 * whether it makes sense (config_yaml_check.c), and the schema files that it names (config_schemas.c). Only these files include it. */
#pragma once
#include <stdarg.h>
#include "base/bytes.h"
#include "broker/config.h"

/* Where a key or a list's entry stands, counted from 1. Path: "listen.door", "peers[1].link". Value: as written, of a plain value. */
struct fo_yaml_mark { char *path, *value; unsigned line, column; };
struct fo_yaml_marks { const char *file; struct fo_yaml_mark *mark; size_t count, cap; };

/* Reads the positions of all keys. Refuses what no config needs and people get wrong: bad YAML, a key twice, anchors and
 * aliases, several documents, keys that are not text. FO_ERR_CONFIG with ret_fault; fini either way. */
FO_MUST_CHECK enum fo_err fo_yaml_marks_init(struct fo_yaml_marks *marks, const char *file, struct fo_slice text, struct fo_fault *ret_fault);
void fo_yaml_marks_fini(struct fo_yaml_marks *marks);
/* Null when the key is absent. */
const struct fo_yaml_mark *fo_yaml_marks_find(const struct fo_yaml_marks *marks, const char *path);

/* Fills ret_fault for the key at `path`, or for what encloses it when it is absent; returns FO_ERR_CONFIG. */
__attribute__((format(printf, 4, 5)))
enum fo_err fo_config_fault(const struct fo_yaml_marks *marks, struct fo_fault *ret_fault, const char *path, const char *fmt, ...);
/* Likewise for a position that no key has (syntax). key may be "". */
__attribute__((format(printf, 6, 7)))
enum fo_err fo_config_fault_at(struct fo_fault *ret_fault, const char *file, unsigned line, unsigned column, const char *key, const char *fmt, ...);

/* A regular file of at most bytes_max bytes. FO_ERR_CONFIG with ret_why; FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_config_file_read(const char *path, size_t bytes_max, struct fo_buf *out, char *ret_why, size_t why_size);
/* Fills in defaults, resolves relative paths against the file's directory and checks every value, and the schema files named. */
FO_MUST_CHECK enum fo_err fo_config_complete(struct fo_config *c, const struct fo_yaml_marks *marks, struct fo_fault *ret_fault);

/* Whole numbers: default and range by path. A path that speaks of bytes may have KiB, MiB or GiB behind its number. */
struct fo_config_number { const char *path; size_t offset; unsigned size; uint64_t fallback, min, max; };
const struct fo_config_number *fo_config_number_find(const char *path);     /* null: not a number's path */
