/*
 * Digests that are no security service (names, look-ups, MD5 over channel
 * bindings): they work under any policy of libcrypto's.  See pkcs11/digest.h.
 */
#ifndef GSSP11_KS_DIGEST_H
#define GSSP11_KS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "pkcs11/err.h"

/* MD5 for RFC 4121's channel bindings; NULL where there is none at all. */
const EVP_MD *ks_plain_md5(void);

/* SHA-256; false, and zeros, where there is none at all. */
MUST bool ks_plain_sha256(const void *p, size_t n, uint8_t out[32]);

#endif
