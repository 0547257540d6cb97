/*
 * Keys on their way from one process to another: session objects become token
 * objects, and these session objects again, by C_CopyObject alone, so that no
 * octet of a key comes to the host.  Part of token.h's interface.
 */
#ifndef GSSP11_COPY_H
#define GSSP11_COPY_H

#include <stddef.h>

#include "pkcs11/err.h"

struct tok;
struct tok_key;

/*
 * Copies a session key to a token object with this label and ID: private,
 * sensitive, not extractable, and not modifiable unless that kept it from
 * being copied back (SoftHSM2).  That it is all this is checked.  The ID has to
 * be one that nobody could foresee: no other object is looked for
 * (tok_key_spec).  Needs a read-write session.  ERR_UNSUPPORTED where the token
 * does not copy; ERR_KEY_LOST; ERR_TOKEN_FAILED.  After a failure there is no
 * object.
 */
MUST err_t tok_key_persist(struct tok_key *k, const char *label, const void *id, size_t id_len);

/*
 * A session key of this process's own from such an object, which stays: see
 * tok_object_destroy.  Once its session is lost, the key is lost.
 * ERR_KEY_ABSENT, ERR_UNSUPPORTED.
 */
MUST err_t tok_key_take(struct tok *t, const char *label, const void *id, size_t id_len,
			struct tok_key **out);

#endif
