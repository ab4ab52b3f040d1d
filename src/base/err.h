/* SPDX-License-Identifier: Apache-2.0
 *
 * Every fallible call returns one of these; zero is success. The name is stable: it is what
 * answers, logs and the CLI print, and proto/WIRE.md lists the ones that cross the wire. */
#pragma once

#define FO_MUST_CHECK __attribute__((warn_unused_result))

/* X(symbol, stable name, text) */
#define FO_ERR_LIST(X)                                                                  \
    X(OK, "ok", "success")                                                              \
    X(INVALID, "invalid", "value not valid here")                                       \
    X(MISSING, "missing", "required field is missing")                                  \
    X(TYPE, "wrong_type", "value has the wrong type")                                   \
    X(UNKNOWN_TYPE, "unknown_type", "event type is not known")                          \
    X(UNKNOWN_REGION, "unknown_region", "region is not known")                          \
    X(PRIORITY, "unknown_priority", "priority is not one of high, normal, low")         \
    X(ID, "invalid_id", "event id is empty or too long")                                \
    X(SCHEMA, "schema", "payload does not fit its schema")                              \
    X(TOO_LARGE, "too_large", "over the size limit")                                    \
    X(TRUNCATED, "truncated", "ends before it is complete")                             \
    X(TRAILING, "trailing_bytes", "bytes follow the end")                               \
    X(DEPTH, "too_deep", "nested too deeply")                                           \
    X(DUPLICATE_KEY, "duplicate_key", "a key stands twice in one map")                  \
    X(UTF8, "bad_utf8", "text is not valid UTF-8")                                      \
    X(PARSE, "parse", "not well-formed")                                                \
    X(PROTO, "protocol", "the other side broke the protocol")                           \
    X(VERSION, "version", "version not supported")                                      \
    X(STALE, "stale", "already settled")                                                \
    X(GAP, "gap", "an earlier part has not arrived")                                    \
    X(SIGNATURE, "bad_signature", "signature does not verify")                          \
    X(UNKNOWN_KEY, "unknown_key", "key id is not known")                                \
    X(WRONG_KEY, "wrong_key", "key belongs to another region")                          \
    X(FULL, "full", "no room")                                                          \
    X(BUSY, "busy", "too much at once; retry later")                                    \
    X(NO_SPACE, "no_space", "no room on disk; retry later")                             \
    X(IO, "io", "input or output failed")                                               \
    X(CORRUPT, "corrupt", "checksum does not match")                                    \
    X(NOT_FOUND, "not_found", "not found")                                              \
    X(EXISTS, "exists", "exists already")                                               \
    X(CURSOR_GONE, "cursor_gone", "position is no longer retained")                     \
    X(TIMEOUT, "timeout", "not done in time")                                           \
    X(CLOSED, "closed", "closed")                                                       \
    X(UNAVAILABLE, "unavailable", "not reachable")                                      \
    X(PERMISSION, "permission", "not permitted")                                        \
    X(LOCKED, "locked", "in use by another process")                                    \
    X(OTHER_REGION, "other_region", "belongs to another region")                        \
    X(CONFIG, "config", "configuration is not valid")                                   \
    X(NO_MEMORY, "no_memory", "out of memory")                                          \
    X(EXPIRED, "expired", "expired before delivery")                                    \
    X(INCOMPATIBLE, "drop_incompatible", "schema version below the accepted minimum")   \
    X(REJECTED, "rejected", "refused by the receiving region")                          \
    X(INTERNAL, "internal", "a defect in this program")

enum fo_err {
#define FO_ERR_ENUM(sym, name, text) FO_ERR_##sym,
    FO_ERR_LIST(FO_ERR_ENUM)
#undef FO_ERR_ENUM
    FO_ERR_COUNT_
};
#define FO_OK FO_ERR_OK

/* Stable name ("too_large") and English text; both static, never null. */
const char *fo_err_name(enum fo_err err);
const char *fo_err_text(enum fo_err err);
