/*
 * Raw keys for callers that insist (lucid contexts, session keys), by policy
 * `export = allow` alone: beside the derived keys the base itself is kept on
 * the token, as an object that can be read.  A weaker path: the trace says
 * "exposure: extractable".
 */
#ifndef GSSP11_REVEAL_H
#define GSSP11_REVEAL_H

#include "keystore/key.h"

/*
 * Keeps the base as a readable session object, before ks_key_forget; again is
 * harmless.  A token that makes no such object is traced and remembered, and
 * is no failure.  ERR_INTERNAL once the base is forgotten, token errors.
 */
MUST err_t ks_reveal_keep(struct ks_key *k);

/*
 * The base's octets (e->key_len) in locked memory; caller frees.  ERR_POLICY:
 * nothing was kept; ERR_UNSUPPORTED: the token makes or gives out no such
 * object; ERR_KEY_LOST after token loss.
 */
MUST err_t ks_reveal(struct ks_key *k, struct secret **out);

#endif
