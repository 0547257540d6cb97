/*
 * Hiding: octets that hold keys of the stock mechanism, on their way through
 * an export and an import in one process (gss_add_cred copies that way).  They
 * travel as ciphertext under an AES key that was made on the token, cannot
 * leave it and is gone with the process: to everybody else they are noise.
 */
#ifndef GSSP11_HIDE_H
#define GSSP11_HIDE_H

#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"
#include "pkcs11/secret.h"

struct tok;
struct wr;

/* Writes p, hidden with a key on this token, to w.  Errors of the token. */
MUST err_t ks_hide(struct tok *t, const uint8_t *p, size_t len, struct wr *w);

/*
 * What ks_hide wrote; caller frees.  ERR_KEY_ABSENT: another process did;
 * ERR_KEY_LOST: the token was lost meanwhile; ERR_FORMAT.
 */
MUST err_t ks_unhide(const uint8_t *p, size_t len, struct secret **out);

#endif
