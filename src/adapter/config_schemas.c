/* SPDX-License-Identifier: Apache-2.0
 *
 * The event types of a configuration with the schema files that it names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/config_yaml_parts.h"

enum { SCHEMA_BYTES_MAX = 1 << 20, PATH_SHOWN_MAX = 80, WHY_SIZE = 96 };

enum fo_err
fo_config_file_read(const char *path, size_t bytes_max, struct fo_buf *out, char *ret_why, size_t why_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);    /* a pipe is not waited for */
    ssize_t n = 1;
    enum fo_err err = FO_OK;

    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(ret_why, why_size, "cannot be read: %s", strerror(errno));
        err = FO_ERR_CONFIG;
    } else if (!S_ISREG(st.st_mode) || st.st_size > (off_t)bytes_max) {
        snprintf(ret_why, why_size, "a regular file of at most %zu bytes is expected", bytes_max);
        err = FO_ERR_CONFIG;
    } else {
        err = fo_buf_reserve(out, (size_t)st.st_size + 1);
    }
    while (err == FO_OK && n > 0 && out->n < out->cap) {
        n = read(fd, out->p + out->n, out->cap - out->n);
        if (n < 0) {
            snprintf(ret_why, why_size, "cannot be read: %s", strerror(errno));
            err = FO_ERR_CONFIG;
        } else {
            out->n += (size_t)n;
        }
    }
    if (fd >= 0)
        close(fd);
    return err;
}

/* Names the entry, the type and the file; a long path loses its front. */
static enum fo_err
schema_fault(struct fo_fault *ret_fault, unsigned i, const struct fo_config_type *t, const char *pointer, const char *why)
{
    const char *path = t->schema != NULL ? t->schema : "";
    size_t n = strlen(path);
    char key[48];

    snprintf(key, sizeof key, t->schema != NULL ? "types[%u].schema" : "types[%u].type", i);
    return fo_fault_set(ret_fault, FO_ERR_CONFIG, key, "type %s, %s%s: %s%s%s%s", t->type, n > PATH_SHOWN_MAX ? "..." : "", path + (n > PATH_SHOWN_MAX ? n - PATH_SHOWN_MAX : 0),
        *pointer ? "at " : "", pointer, *pointer ? ": " : "", why);
}

static enum fo_err
add_type(struct fo_schema_set *set, unsigned i, const struct fo_config_type *t, struct fo_fault *ret_fault)
{
    enum fo_lane lane = t->lane == NULL || strcmp(t->lane, "normal") == 0 ? FO_LANE_NORMAL : strcmp(t->lane, "high") == 0 ? FO_LANE_HIGH : FO_LANE_LOW;
    struct fo_fault fault = { 0 };
    struct fo_buf text;
    char why[WHY_SIZE] = "";
    enum fo_err err = FO_OK;

    fo_buf_init(&text);
    if (t->schema != NULL && (err = fo_config_file_read(t->schema, SCHEMA_BYTES_MAX, &text, why, sizeof why)) == FO_ERR_CONFIG)
        err = schema_fault(ret_fault, i, t, "", why);
    else if (err == FO_OK && t->schema != NULL && text.n == 0)
        err = schema_fault(ret_fault, i, t, "", "the file is empty; {} allows any payload");
    else if (err == FO_OK && (err = fo_schema_set_add(set, t->type, lane, fo_buf_slice(&text), &fault)) != FO_OK && err != FO_ERR_NO_MEMORY)
        err = schema_fault(ret_fault, i, t, fault.path, fault.text);
    fo_buf_fini(&text);
    return err;
}

enum fo_err
fo_config_load_schemas(const struct fo_config *config, struct fo_schema_set **ret_set, struct fo_fault *ret_fault)
{
    struct fo_schema_set *set = NULL;
    enum fo_err err = fo_schema_set_create(&set);

    if (err == FO_OK)
        err = fo_schema_set_add_builtin(set, ret_fault);
    for (unsigned i = 0; err == FO_OK && i < config->types_count; i++)
        err = add_type(set, i, &config->types[i], ret_fault);
    if (err != FO_OK) {
        fo_schema_set_destroy(set);
        return err == FO_ERR_NO_MEMORY ? fo_fault_set(ret_fault, err, "types", "memory") : err;
    }
    *ret_set = set;
    return FO_OK;
}
