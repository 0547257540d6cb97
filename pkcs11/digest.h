/*
 * Digests that are no security service here: names, look-ups, checksums that a
 * protocol prescribes (MD5 over channel bindings).  A libcrypto under FIPS
 * policy must not be in their way, so they are asked for without it, and from
 * libcrypto's own provider where the configuration loads none that has them.
 */
#ifndef GSSP11_DIGEST_H
#define GSSP11_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "pkcs11/err.h"

enum tok_plain { TOK_PLAIN_MD5, TOK_PLAIN_SHA256 };

/* The digest, kept for the process; NULL only where memory is out or libcrypto is not whole. */
const EVP_MD *tok_plain_md(enum tok_plain which);

/* SHA-256 in one call; false, and zeros, where there is none. */
MUST bool tok_plain_sha256(const void *p, size_t n, uint8_t out[32]);

#endif
