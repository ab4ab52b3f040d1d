/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/libpq_calls.h"

#include <dlfcn.h>
#include <string.h>

struct fo_pq_calls fo_pq;

enum fo_err
fo_pq_load(struct fo_fault *ret_fault)
{
    static const char soname[] = "libpq.so.5";      /* the ABI that libpq-fe.h describes, since PostgreSQL 8.2 */
    static const struct { const char *name; void *at; } calls[] = {
#define FO_PQ_CALL(name) { "PQ" #name, &fo_pq.name },
        FO_PQ_LIST(FO_PQ_CALL)
#undef FO_PQ_CALL
    };
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NOT_FOUND, "ledger", "%s, Debian package libpq5: %s", soname, dlerror());
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(library, calls[i].name);

        if (call == NULL)
            return fo_fault_set(ret_fault, FO_ERR_NOT_FOUND, "ledger", "%s in %s", calls[i].name, soname);
        memcpy(calls[i].at, &call, sizeof call);    /* as POSIX has it: a function's address is an object's */
    }
    return FO_OK;
}
