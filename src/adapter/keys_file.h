/* SPDX-License-Identifier: Apache-2.0
 *
 * Region keys on disk: REGION.key (secret, mode 0600) and REGION.pub (public) in a directory.
 * In every call ret_fault.path is the file (its tail when it is long) and ret_fault.text what is wrong and what to do. */
#pragma once
#include "wire/keys.h"

/* FO_ERR_PERMISSION: unreadable, or the mode lets group or others in; FO_ERR_NOT_FOUND; FO_ERR_IO; what fo_key_pair_parse
 * returns. The text is read into locked memory and wiped. */
FO_MUST_CHECK enum fo_err fo_keys_file_load_secret(const char *path, struct fo_key_pair *ret_pair, struct fo_fault *ret_fault);
FO_MUST_CHECK enum fo_err fo_keys_file_load_public(const char *path, struct fo_public_key *ret_key, struct fo_fault *ret_fault);
/* Adds every *.pub of the directory to the ring, in the order of their names. Stops at the first that is not a key.
 * FO_ERR_NOT_FOUND: no such directory, or none in it. FO_ERR_EXISTS: the same key twice. */
FO_MUST_CHECK enum fo_err fo_keys_file_load_ring(const char *dir, struct fo_key_ring *ring, struct fo_fault *ret_fault);
/* Creates the file with mode 0600 (public: 0644), durable on return. FO_ERR_EXISTS: nothing is ever overwritten. */
FO_MUST_CHECK enum fo_err fo_keys_file_write_secret(const char *path, const struct fo_key_pair *pair, struct fo_fault *ret_fault);
FO_MUST_CHECK enum fo_err fo_keys_file_write_public(const char *path, const struct fo_public_key *key, struct fo_fault *ret_fault);
