/*
 * Blobs that leave the process: exported credentials and contexts.
 *
 *   "GP1" kind u8 | version u8 | octets in all be32
 *   | token label, token serial (u8 length, octets)
 *   | body | MAC of all before it (KS_REF_MAC octets)
 *
 * The reader checks in this order: magic and kind, version, length, that the
 * token is one that this process has open or may open by its own settings
 * (label and serial), the MAC; only then is the body read.  Each failure has a text that
 * says which.  A blob names no module, no PIN source, no file to open before
 * its MAC is checked.
 */
#ifndef GSSP11_BLOB_H
#define GSSP11_BLOB_H

#include "keystore/ref.h"
#include "mech/mech.h"
#include "pkcs11/bytes.h"

struct tok;

enum mech_blob_kind { MECH_BLOB_CRED = 'A', MECH_BLOB_CTX = 'X' };
enum { MECH_BLOB_MAX = 1 << 20 };    /* octets of a whole blob */

/* True for octets that begin as a blob of this kind, whatever its version. */
bool mech_blob_is(const gss_buffer_desc *b, enum mech_blob_kind kind);

/*
 * Starts a blob of this token in w, which is initialised here and safe for
 * wr_free even on failure; the body is written behind.  ERR_UNSUPPORTED: the
 * token's label or serial cannot be written.
 */
MUST err_t mech_blob_begin(struct wr *w, enum mech_blob_kind kind, struct tok *t);
/* Adds the MAC and gives the octets (malloc'ed) away.  w is freed either way. */
MUST err_t mech_blob_finish(struct wr *w, struct tok *t, gss_buffer_t out);

/*
 * Checks a blob and gives its token (one more reference, ks_token_unref) and
 * body.  ERR_FORMAT: not a blob, wrong version, cut off, malformed
 * head; ERR_TOKEN_ABSENT: of a token that this process does not have (label and
 * serial in the text); KRB5KRB_AP_ERR_BAD_INTEGRITY: changed, or written by
 * somebody else; ERR_KEY_ABSENT.
 */
MUST err_t mech_blob_open(const gss_buffer_desc *b, enum mech_blob_kind kind, struct tok **t,
			  struct rd *body);

/* The major status that fits such an error: DEFECTIVE_TOKEN, NO_CRED, FAILURE. */
OM_uint32 mech_blob_major(err_t err);

/* Strings inside bodies: be32 length, octets. */
void mech_blob_put(struct wr *w, const void *p, size_t len);
gss_buffer_desc mech_blob_get(struct rd *r);

#endif
