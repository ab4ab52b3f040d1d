/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout keys`: makes, lists, exports and checks region keys. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/keys_file.h"
#include "cmd/fanout/commands.h"

enum { OPT_REGION = 'r', OPT_DIR = 'd', OPT_FORCE = 'f', OPT_JSON = 'j' };

struct keys_args {
    const char *action, *file, *region, *dir;
    bool is_forced, is_json;
};

static const struct argp_option options[] = {
    {"region", OPT_REGION, "REGION", 0, "Region, as in eu-west-1", 0},
    {"dir", OPT_DIR, "DIR", 0, "Directory of the key files", 0},
    {"force", OPT_FORCE, NULL, 0, "new: replace the region's keys; the old ones are kept as *.old", 0},
    {"json", OPT_JSON, NULL, 0, "Print JSON", 0},
    {0},
};

static const char usage[] = "new --region REGION --dir DIR [--force] [--json]\n"
                            "list --dir DIR [--json]\n"
                            "export --region REGION --dir DIR [--json]\n"
                            "check FILE [--json]";

static const char doc[] =
    "Make and look after the keys by which regions sign and know each other.\n"
    "\v"
    "new     makes DIR/REGION.key (secret, mode 0600) and DIR/REGION.pub\n"
    "list    shows every key in DIR\n"
    "export  prints REGION's public key, for the other regions' key directories\n"
    "check   tells whether FILE is a sound key file, secret or public\n"
    "\n"
    "Examples:\n"
    "  fanout keys new --region eu-west-1 --dir /etc/fanout/keys\n"
    "  fanout keys export --region eu-west-1 --dir /etc/fanout/keys > eu-west-1.pub\n"
    "  fanout keys check /etc/fanout/keys/eu-west-1.key\n"
    "  fanout keys list --dir /etc/fanout/keys --json\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 usage error.";

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct keys_args *args = state->input;

    switch (key) {
    case OPT_REGION:
        args->region = arg;
        return 0;
    case OPT_DIR:
        args->dir = arg;
        return 0;
    case OPT_FORCE:
        args->is_forced = true;
        return 0;
    case OPT_JSON:
        args->is_json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (args->action == NULL)
            args->action = arg;
        else if (args->file == NULL)
            args->file = arg;
        else
            argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "say what to do: new, list, export or check");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int
complain(const struct fo_fault *fault)
{
    fprintf(stderr, "fanout keys: %s%s%s\n", fault->path, fault->path[0] != '\0' ? ": " : "", fault->text);
    return CMD_FAILED;
}

static int
complain_usage(const char *text)
{
    fprintf(stderr, "fanout keys: %s; `fanout keys --help` shows how\n", text);
    return CMD_USAGE;
}

static int
complain_errno(const char *what, const char *path)
{
    fprintf(stderr, "fanout keys: cannot %s %s: %s\n", what, path, strerror(errno));
    return CMD_FAILED;
}

/* FO_REGION_BYTES_MAX and the caller's directory always fit; a longer path is an error of open(). */
static void
key_path(const struct keys_args *args, const char *suffix, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%s%s", args->dir, args->region, suffix);
}

/* True if something was moved; ret_err is errno, 0 also when there was nothing to move. */
static bool
move_aside(const char *path, const char *old_path, int *ret_err)
{
    if (rename(path, old_path) == 0)
        return true;
    if (errno != ENOENT)
        *ret_err = errno;
    return false;
}

struct key_paths { char secret[PATH_MAX], secret_old[PATH_MAX], public[PATH_MAX], public_old[PATH_MAX]; };

static int
check_absent(const struct key_paths *paths)
{
    const char *there = access(paths->secret, F_OK) == 0 ? paths->secret : access(paths->public, F_OK) == 0 ? paths->public : NULL;

    if (there == NULL)
        return CMD_OK;
    fprintf(stderr,
            "fanout keys: %s exists already and is left as it is; --force replaces the keys and keeps the old ones as *.old\n"
            "  (peers refuse what the new key signs until they have its public half)\n", there);
    return CMD_FAILED;
}

/* The old pair comes back if the new one cannot be written: a region without a key cannot start. */
static int
write_pair(const struct key_paths *paths, const struct fo_key_pair *pair, bool is_forced)
{
    bool secret_moved = false, public_moved = false;
    struct fo_fault fault;
    int err = 0, rc = CMD_OK;

    if (is_forced) {
        secret_moved = move_aside(paths->secret, paths->secret_old, &err);
        if (err == 0)
            public_moved = move_aside(paths->public, paths->public_old, &err);
    }
    if (err != 0) {
        errno = err;
        rc = complain_errno("move aside", secret_moved ? paths->public : paths->secret);
    } else if (fo_keys_file_write_secret(paths->secret, pair, &fault) != FO_OK) {
        rc = complain(&fault);
    } else if (fo_keys_file_write_public(paths->public, &pair->public_half, &fault) != FO_OK) {
        rc = complain(&fault);
        unlink(paths->secret);
    }
    if (rc != CMD_OK && secret_moved && rename(paths->secret_old, paths->secret) != 0)
        complain_errno("move back", paths->secret_old);
    if (rc != CMD_OK && public_moved && rename(paths->public_old, paths->public) != 0)
        complain_errno("move back", paths->public_old);
    return rc;
}

static json_t *
key_json(const struct fo_public_key *key, const char *secret)
{
    char id[17], line[FO_KEY_TEXT_MAX];

    snprintf(id, sizeof id, "%016" PRIx64, key->id);
    if (fo_public_key_format(key, line) != FO_OK)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return json_pack("{s:s, s:s, s:s, s:s}", "region", key->region, "keyId", id, "secret", secret, "publicKey", line);
}

static int
print_json(json_t *json)
{
    int rc = json != NULL && json_dumpf(json, stdout, JSON_INDENT(2)) == 0 ? CMD_OK : CMD_FAILED;

    putchar('\n');
    json_decref(json);
    return rc;
}

static int
print_new_json(const struct fo_public_key *key, const struct key_paths *paths)
{
    json_t *json = key_json(key, "yes");

    json_object_set_new(json, "secretFile", json_string(paths->secret));
    json_object_set_new(json, "publicFile", json_string(paths->public));
    return print_json(json);
}

static int
keys_new(const struct keys_args *args)
{
    struct key_paths paths;
    struct fo_key_pair pair;
    enum fo_err err;
    int rc;

    key_path(args, ".key", paths.secret);
    key_path(args, ".key.old", paths.secret_old);
    key_path(args, ".pub", paths.public);
    key_path(args, ".pub.old", paths.public_old);
    if (mkdir(args->dir, 0755) != 0 && errno != EEXIST)
        return complain_errno("make the directory", args->dir);
    rc = args->is_forced ? CMD_OK : check_absent(&paths);
    if (rc != CMD_OK)
        return rc;
    err = fo_key_pair_generate(args->region, &pair);
    if (err != FO_OK) {
        fprintf(stderr, "fanout keys: cannot make a key pair: %s\n", fo_err_text(err));
        return CMD_FAILED;
    }
    rc = write_pair(&paths, &pair, args->is_forced);
    if (rc == CMD_OK && args->is_json)
        rc = print_new_json(&pair.public_half, &paths);
    else if (rc == CMD_OK)
        printf("region   %s\nkey id   %016" PRIx64 "\nsecret   %s\npublic   %s\n"
               "Copy the public file into the key directory of every other region.\n",
               pair.public_half.region, pair.public_half.id, paths.secret, paths.public);
    fo_key_pair_fini(&pair);
    return rc;
}

static const char *
secret_state(const struct keys_args *args, const struct fo_public_key *key)
{
    struct keys_args one = *args;
    struct fo_key_pair pair;
    struct fo_fault fault;
    char path[PATH_MAX];
    const char *state;

    one.region = key->region;
    key_path(&one, ".key", path);
    if (access(path, F_OK) != 0)
        return "no";
    switch (fo_keys_file_load_secret(path, &pair, &fault)) {
    case FO_OK:
        state = pair.public_half.id == key->id ? "yes" : "of another key";
        fo_key_pair_fini(&pair);
        return state;
    case FO_ERR_PERMISSION:
        return "wrong mode";
    default:
        return "damaged";
    }
}

static int
keys_list(const struct keys_args *args)
{
    struct fo_key_ring *ring = calloc(1, sizeof *ring);
    json_t *list = args->is_json ? json_array() : NULL;
    struct fo_fault fault;
    int rc = CMD_OK;

    if (ring == NULL || (args->is_json && list == NULL))
        rc = complain_errno("list", args->dir);
    else if (fo_keys_file_load_ring(args->dir, ring, &fault) != FO_OK)
        rc = complain(&fault);
    else if (!args->is_json)
        printf("%-32s  %-16s  %s\n", "REGION", "KEY ID", "SECRET KEY HERE");
    for (unsigned i = 0; rc == CMD_OK && i < ring->count; i++) {
        const struct fo_public_key *key = &ring->key[i];

        if (!args->is_json)
            printf("%-32s  %016" PRIx64 "  %s\n", key->region, key->id, secret_state(args, key));
        else if (json_array_append_new(list, key_json(key, secret_state(args, key))) != 0)
            rc = complain_errno("list", args->dir);
    }
    if (rc == CMD_OK && args->is_json)
        rc = print_json(json_incref(list));
    json_decref(list);
    free(ring);
    return rc;
}

static int
keys_export(const struct keys_args *args)
{
    char path[PATH_MAX], line[FO_KEY_TEXT_MAX];
    struct fo_public_key key;
    struct fo_fault fault;

    key_path(args, ".pub", path);
    if (fo_keys_file_load_public(path, &key, &fault) != FO_OK)
        return complain(&fault);
    if (strcmp(key.region, args->region) != 0) {
        fprintf(stderr, "fanout keys: %s holds the key of %s\n", path, key.region);
        return CMD_FAILED;
    }
    if (args->is_json)
        return print_json(key_json(&key, secret_state(args, &key)));
    if (fo_public_key_format(&key, line) != FO_OK)
        return CMD_FAILED;
    fputs(line, stdout);
    return CMD_OK;
}

/* What a file is shows in its first word; its name may be anything. Only that word is read: the key itself is for locked memory. */
static bool
looks_secret(const char *path)
{
    static const char secret_word[] = "fanout-secret-key";
    char word[sizeof secret_word - 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_secret;

    if (fd < 0)
        return false;
    is_secret = read(fd, word, sizeof word) == (ssize_t)sizeof word && memcmp(word, secret_word, sizeof word) == 0;
    close(fd);
    return is_secret;
}

static int
keys_check(const struct keys_args *args)
{
    bool is_secret = looks_secret(args->file);
    struct fo_public_key key;
    struct fo_key_pair pair;
    struct fo_fault fault;
    enum fo_err err;

    if (is_secret)
        err = fo_keys_file_load_secret(args->file, &pair, &fault);
    else
        err = fo_keys_file_load_public(args->file, &key, &fault);
    if (err != FO_OK)
        return complain(&fault);
    if (is_secret) {
        key = pair.public_half;
        fo_key_pair_fini(&pair);
    }
    if (args->is_json)
        return print_json(key_json(&key, is_secret ? "yes" : "no"));
    printf("%s: sound %s key of %s, key id %016" PRIx64 "\n", args->file, is_secret ? "secret" : "public", key.region, key.id);
    return CMD_OK;
}

static const struct { const char *name; int (*run)(const struct keys_args *args); bool wants_region, wants_dir, wants_file; } actions[] = {
    {"new", keys_new, true, true, false},
    {"list", keys_list, false, true, false},
    {"export", keys_export, true, true, false},
    {"check", keys_check, false, false, true},
};

int
cmd_keys(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, usage, doc, NULL, NULL, NULL};
    struct keys_args args = {0};

    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0)
        return CMD_USAGE;
    for (unsigned i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, args.action) != 0)
            continue;
        if (actions[i].wants_region && (args.region == NULL || !fo_region_name_is_valid(fo_slice_str(args.region))))
            return complain_usage("--region must be given: " FO_REGION_NAME_RULE);
        if (actions[i].wants_dir && args.dir == NULL)
            return complain_usage("--dir must be given");
        if (actions[i].wants_file != (args.file != NULL))
            return complain_usage(actions[i].wants_file ? "check wants a FILE" : "unexpected argument after the action");
        if (fo_keys_library_init() != FO_OK) {
            fputs("fanout keys: the system gives no random numbers\n", stderr);
            return CMD_FAILED;
        }
        return actions[i].run(&args);
    }
    return complain_usage("no such action; there are new, list, export and check");
}
