/* SPDX-License-Identifier: Apache-2.0
 *
 * Brings a PostgreSQL database to the schema in deploy/sql. The migrations are part of the program; what has been applied
 * stands in the table fanout_migrations, with a checksum, so that an edited migration is noticed. */
#pragma once
#include <stdbool.h>
#include "base/names.h"
#include "wire/error.h"

struct fo_migration { unsigned version; const char *name, *sql; };      /* versions 1, 2, 3, ... */
extern const struct fo_migration fo_migrations[];                       /* those of deploy/sql */
extern const unsigned fo_migrations_count;

enum fo_migrate_step {
    FO_MIGRATE_WAITING,         /* another migration run holds the lock; m is null */
    FO_MIGRATE_PRESENT,         /* m was applied before */
    FO_MIGRATE_APPLIED,         /* m has been applied just now */
    FO_MIGRATE_MISSING,         /* m is not applied, and was not to be */
};
typedef void (*fo_migrate_fn)(void *ctx, enum fo_migrate_step step, const struct fo_migration *m);

/* Applies what is missing, each migration in a transaction of its own, under a lock that makes a second run wait; with
 * is_dry_run only tells. step is called once per migration, in order.
 * FO_ERR_UNAVAILABLE: no connection. FO_ERR_CORRUPT: a migration was edited after it had been applied. FO_ERR_VERSION: the
 * database has migrations that this program does not know. FO_ERR_REJECTED: PostgreSQL refused. ret_fault says which and why. */
FO_MUST_CHECK enum fo_err fo_migrate(const char *conninfo, const struct fo_migration *list, unsigned count, bool is_dry_run,
    fo_migrate_fn step, void *ctx, struct fo_fault *ret_fault);

struct fo_migrate_region { const char *id, *name; bool is_primary; };
/* Lists the regions in the table `regions`: adds those that are missing, sets name and role of the others. When one of them is
 * the primary, no other region in the table is any more. */
FO_MUST_CHECK enum fo_err fo_migrate_regions(const char *conninfo, const struct fo_migrate_region *regions, unsigned count,
    struct fo_fault *ret_fault);
