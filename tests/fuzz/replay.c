/* SPDX-License-Identifier: Apache-2.0
 *
 * replay PATH...: runs the target over files, and over every file in directories; no fuzzer is needed. Each input is also run cut in
 * half and with one byte changed, so that a few seeds are a small test already. */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static unsigned runs;

static void
run_bytes(uint8_t *p, size_t n)
{
    LLVMFuzzerTestOneInput(p, n);
    LLVMFuzzerTestOneInput(p, n / 2);
    for (size_t i = 0; i < 8 && i < n; i++) {
        p[n * i / 8] ^= 0x41;
        LLVMFuzzerTestOneInput(p, n);
        p[n * i / 8] ^= 0x41;
    }
    runs++;
}

static void
run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *p;

    if (f == NULL)
        return;                         /* no findings yet; that nothing at all was run is said at the end */
    DEMAND(fstat(fileno(f), &st) == 0);
    p = malloc((size_t)st.st_size + 1);
    DEMAND(p != NULL && fread(p, 1, (size_t)st.st_size, f) == (size_t)st.st_size);
    fclose(f);
    run_bytes(p, (size_t)st.st_size);
    free(p);
}

static void
run_path(const char *path)
{
    DIR *d = opendir(path);
    char name[4096];

    if (d == NULL) {
        run_file(path);
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        run_file(name);
    }
    closedir(d);
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs, each cut and changed too\n", runs);
    return runs > 0 ? 0 : 1;
}
