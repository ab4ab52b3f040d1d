/* SPDX-License-Identifier: Apache-2.0
 *
 * Text tables: cells are added one after the other, printed in columns as wide as their widest cell. */
#pragma once
#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16 };

struct table { const char *const *header; unsigned columns; char **cell; size_t count, cap; };

/* header: one text per column, borrowed; a '>' in front of it (not printed) aligns the column to the right. */
void table_init(struct table *t, const char *const *header, unsigned columns);
void table_fini(struct table *t);
/* The next cell, row by row. Memory running out ends the program. */
__attribute__((format(printf, 2, 3)))
void table_add(struct table *t, const char *fmt, ...);
/* Prints header and rows, each line behind `indent` spaces. */
void table_print(const struct table *t, FILE *out, unsigned indent);

/* "0.84 ms", "12.3 s", "-" for negative: what a table shows for a duration. */
const char *table_ms(double ms, char ret_text[24]);
/* "1.2 MiB" */
const char *table_bytes(double bytes, char ret_text[24]);
