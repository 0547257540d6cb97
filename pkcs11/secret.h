/*
 * Secrets: PINs, and key bytes on their way into a token.
 *
 * The memory is locked where RLIMIT_MEMLOCK allows, left out of core dumps and
 * of forked children's dumps (MADV_DONTDUMP), and wiped before it is given
 * back.  There is no way to print, trace or write one: trace() and the writers
 * of bytes.h refuse the type when they are compiled.
 */
#ifndef GSSP11_SECRET_H
#define GSSP11_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct secret {
	uint8_t *data;
	size_t len;   /* octets in use: may be lowered, never raised, by the owner */
	size_t cap;   /* private */
};

/* A zeroed secret of len octets; ENOMEM.  Caller frees. */
MUST err_t secret_new(size_t len, struct secret **out);

/* Wipes and frees *s and sets it to NULL; accepts NULL and pointer to NULL. */
void secret_free(struct secret **s);

/* Overwrites n octets in a way the compiler keeps (OPENSSL_cleanse). */
void secret_wipe(void *p, size_t n);

/*
 * n random octets (INT_MAX at most) of libcrypto's generator; false without.
 * fork() waits for it, as for calls of a module: the locks of that generator
 * are not made anew in a child, which would wait for them for ever (measured
 * on OpenSSL 3.0).  Not within a call of a module.
 */
MUST bool secret_random(void *out, size_t n);

/* Constant-time comparison of n octets (CRYPTO_memcmp). */
MUST bool secret_equal(const void *a, const void *b, size_t n);

#endif
