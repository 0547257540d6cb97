/*
 * Enctype profiles: everything in which RFC 3962 and RFC 8009 enctypes
 * differ, as rows of one table.
 */
#ifndef GSSP11_ETYPE_H
#define GSSP11_ETYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

#define KS_CONFOUNDER 16     /* octets; the AES block, for all four enctypes */
#define KS_MAC_MAX 24        /* longest truncated MAC, octets */
#define KS_KEY_MAX 32        /* longest protocol key, octets */

enum ks_family { KS_RFC3962, KS_RFC8009 };

struct ks_etype {
	int32_t id;              /* 17, 18, 19, 20 */
	const char *name;        /* as klist prints it: aes256-cts-hmac-sha1-96 */
	enum ks_family family;   /* RFC3962 signs the plaintext, RFC8009 IV and ciphertext */
	size_t key_len;          /* protocol key and Ke, octets */
	size_t mac_key_len;      /* Ki and Kc, octets */
	size_t mac_len;          /* truncated MAC (trailer, checksum), octets */
	size_t hash_len;         /* HMAC's whole output, octets */
	int hash;                /* enum tok_hash */
	int32_t cksumtype;       /* mandatory checksum: 15, 16, 19, 20 */
	size_t prf_len;          /* octets that the PRF gives */
	unsigned ssf;            /* bits of strength, as SASL counts */
};

/* The row of an enctype, or NULL if this module does not do it. */
const struct ks_etype *ks_etype_find(int32_t id);

/* The i-th row (0..), or NULL past the end. */
const struct ks_etype *ks_etype_at(size_t i);

#endif
