/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files on a real file system: modes, refusals, and what the user is told to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/keys_file.h"

static char dir[64], path[128], path2[128];
static struct fo_key_pair pair;
static struct fo_fault fault;

static int
setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/fo-keys-XXXXXX");
    if (fo_keys_library_init() != FO_OK || mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/eu-west-1.key", dir);
    snprintf(path2, sizeof path2, "%s/eu-west-1.pub", dir);
    memset(&fault, 0, sizeof fault);
    return fo_key_pair_generate("eu-west-1", &pair) == FO_OK ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"eu-west-1.key", "eu-west-1.pub", "a.pub", "b.pub", "notes.txt", ".hidden.pub", "link.key"};
    char full[128];

    (void)state;
    fo_key_pair_fini(&pair);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(full, sizeof full, "%s/%s", dir, names[i]);
        unlink(full);
    }
    return rmdir(dir);
}

static void
write_file(const char *name, const char *text)
{
    char full[128];
    FILE *f;

    snprintf(full, sizeof full, "%s/%s", dir, name);
    f = fopen(full, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static unsigned
mode_of(const char *file)
{
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    return st.st_mode & 07777;
}

static void
test_pair_survives_its_files(void **state)
{
    struct fo_public_key key;
    struct fo_key_pair again;
    mode_t mask = umask(0);

    (void)state;
    assert_int_equal(fo_keys_file_write_secret(path, &pair, &fault), FO_OK);
    umask(077);
    assert_int_equal(fo_keys_file_write_public(path2, &pair.public_half, &fault), FO_OK);
    umask(mask);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(path2), 0644);
    assert_int_equal(fo_keys_file_load_secret(path, &again, &fault), FO_OK);
    assert_memory_equal(again.secret, pair.secret, FO_SECRET_KEY_BYTES);
    fo_key_pair_fini(&again);
    assert_int_equal(fo_keys_file_load_public(path2, &key, &fault), FO_OK);
    assert_memory_equal(&key, &pair.public_half, sizeof key);
}

static void
test_secret_open_to_others_is_refused(void **state)
{
    static const mode_t bad[] = {0640, 0604, 0610, 0601, 0620, 0602, 0666, 0644};
    struct fo_key_pair again;
    char command[160];

    (void)state;
    assert_int_equal(fo_keys_file_write_secret(path, &pair, &fault), FO_OK);
    snprintf(command, sizeof command, "chmod 600 %s", path);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        assert_int_equal(fo_keys_file_load_secret(path, &again, &fault), FO_ERR_PERMISSION);
        assert_non_null(strstr(fault.text, command));
        assert_string_equal(fault.path, path);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(fo_keys_file_load_secret(path, &again, &fault), FO_OK);
    fo_key_pair_fini(&again);
}

/* The mode that counts is the file's, not the link's (which is always 0777). */
static void
test_symbolic_link_is_followed(void **state)
{
    struct fo_key_pair again;
    char link[128];

    (void)state;
    snprintf(link, sizeof link, "%s/link.key", dir);
    assert_int_equal(fo_keys_file_write_secret(path, &pair, &fault), FO_OK);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(fo_keys_file_load_secret(link, &again, &fault), FO_OK);
    fo_key_pair_fini(&again);
    assert_int_equal(fo_keys_file_write_secret(link, &pair, &fault), FO_ERR_EXISTS);
}

static void
test_missing_file_says_how_to_make_it(void **state)
{
    struct fo_public_key key;
    struct fo_key_pair again;
    char command[160];

    (void)state;
    snprintf(command, sizeof command, "fanout keys new --region eu-west-1 --dir %s", dir);
    assert_int_equal(fo_keys_file_load_secret(path, &again, &fault), FO_ERR_NOT_FOUND);
    assert_string_equal(fault.path, path);
    assert_non_null(strstr(fault.text, command));
    assert_int_equal(fo_keys_file_load_public(path2, &key, &fault), FO_ERR_NOT_FOUND);
    assert_non_null(strstr(fault.text, command));
    assert_int_equal(fo_keys_file_load_public("Not A Region", &key, &fault), FO_ERR_NOT_FOUND);
    assert_non_null(strstr(fault.text, "fanout keys new --region REGION --dir DIR"));
}

static void
test_nothing_is_overwritten(void **state)
{
    struct fo_key_pair other, again;

    (void)state;
    assert_int_equal(fo_key_pair_generate("eu-west-1", &other), FO_OK);
    assert_int_equal(fo_keys_file_write_secret(path, &pair, &fault), FO_OK);
    assert_int_equal(fo_keys_file_write_secret(path, &other, &fault), FO_ERR_EXISTS);
    assert_int_equal(fo_keys_file_write_public(path, &other.public_half, &fault), FO_ERR_EXISTS);
    assert_int_equal(fo_keys_file_load_secret(path, &again, &fault), FO_OK);
    assert_int_equal(again.public_half.id, pair.public_half.id);
    fo_key_pair_fini(&again);
    fo_key_pair_fini(&other);
}

static void
test_damaged_or_wrong_file_is_named(void **state)
{
    struct fo_public_key key;
    struct fo_key_pair again;
    char full[128];

    (void)state;
    write_file("a.pub", "");
    snprintf(full, sizeof full, "%s/a.pub", dir);
    assert_int_equal(fo_keys_file_load_public(full, &key, &fault), FO_ERR_PARSE);
    assert_string_equal(fault.path, full);
    assert_int_equal(chmod(full, 0600), 0);
    assert_int_equal(fo_keys_file_load_secret(full, &again, &fault), FO_ERR_PARSE);
    assert_string_equal(fault.path, full);
    assert_int_equal(fo_keys_file_write_secret(path, &pair, &fault), FO_OK);
    assert_int_equal(fo_keys_file_load_public(path, &key, &fault), FO_ERR_PARSE);
    assert_non_null(strstr(fault.text, "secret"));
    assert_int_equal(fo_keys_file_load_public(dir, &key, &fault), FO_ERR_INVALID);
    assert_int_equal(fo_keys_file_load_secret("/dev/null", &again, &fault), FO_ERR_INVALID);
}

static void
test_oversize_file_is_refused(void **state)
{
    struct fo_public_key key;
    char text[2 * FO_KEY_TEXT_MAX], full[128];

    (void)state;
    assert_int_equal(fo_public_key_format(&pair.public_half, text), FO_OK);
    memset(text + strlen(text), '\n', sizeof text - 1 - strlen(text));
    text[sizeof text - 1] = '\0';
    write_file("a.pub", text);
    snprintf(full, sizeof full, "%s/a.pub", dir);
    assert_int_equal(fo_keys_file_load_public(full, &key, &fault), FO_ERR_PARSE);
}

static void
test_ring_takes_every_public_key(void **state)
{
    struct fo_key_ring *ring = calloc(1, sizeof *ring);
    struct fo_key_pair other;
    char text[FO_KEY_TEXT_MAX];

    (void)state;
    assert_non_null(ring);
    assert_int_equal(fo_key_pair_generate("us-west-2", &other), FO_OK);
    assert_int_equal(fo_keys_file_write_secret(path, &pair, &fault), FO_OK);
    assert_int_equal(fo_keys_file_write_public(path2, &pair.public_half, &fault), FO_OK);
    assert_int_equal(fo_public_key_format(&other.public_half, text), FO_OK);
    write_file("a.pub", text);
    write_file("notes.txt", "not a key");
    write_file(".hidden.pub", "not a key");
    assert_int_equal(fo_keys_file_load_ring(dir, ring, &fault), FO_OK);
    assert_int_equal(ring->count, 2);
    assert_string_equal(fo_key_ring_find(ring, other.public_half.id)->region, "us-west-2");
    assert_string_equal(fo_key_ring_find(ring, pair.public_half.id)->region, "eu-west-1");
    fo_key_pair_fini(&other);
    free(ring);
}

static void
test_ring_names_the_file_at_fault(void **state)
{
    struct fo_key_ring *ring = calloc(1, sizeof *ring);
    char text[FO_KEY_TEXT_MAX], *digit;

    (void)state;
    assert_non_null(ring);
    assert_int_equal(fo_keys_file_load_ring(dir, ring, &fault), FO_ERR_NOT_FOUND);
    assert_string_equal(fault.path, dir);
    assert_int_equal(fo_keys_file_load_ring("/nonexistent/keys", ring, &fault), FO_ERR_NOT_FOUND);
    assert_string_equal(fault.path, "/nonexistent/keys");

    assert_int_equal(fo_public_key_format(&pair.public_half, text), FO_OK);
    write_file("a.pub", text);
    write_file("b.pub", text);
    assert_int_equal(fo_keys_file_load_ring(dir, ring, &fault), FO_ERR_EXISTS);
    assert_non_null(strstr(fault.path, "/b.pub"));
    memset(ring, 0, sizeof *ring);
    digit = strstr(text, "eu-west-1 ") + strlen("eu-west-1 ");
    *digit = *digit == '0' ? '1' : '0';
    write_file("b.pub", text);
    assert_int_equal(fo_keys_file_load_ring(dir, ring, &fault), FO_ERR_CORRUPT);
    assert_non_null(strstr(fault.path, "/b.pub"));
    free(ring);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pair_survives_its_files),
        TEST(test_secret_open_to_others_is_refused),
        TEST(test_symbolic_link_is_followed),
        TEST(test_missing_file_says_how_to_make_it),
        TEST(test_nothing_is_overwritten),
        TEST(test_damaged_or_wrong_file_is_named),
        TEST(test_oversize_file_is_refused),
        TEST(test_ring_takes_every_public_key),
        TEST(test_ring_names_the_file_at_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
