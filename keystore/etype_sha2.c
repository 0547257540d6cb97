/* Derivation for aes*-cts-hmac-sha2: KDF-HMAC-SHA2 of RFC 8009 3. */
#include "keystore/derive.h"

#include <stdatomic.h>
#include <string.h>

#include <krb5.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "pkcs11/hole.h"

/* HMAC without a key, made once for the process: copies of it take one. */
static _Atomic(EVP_MAC_CTX *) hmac_sha256, hmac_sha384;

static EVP_MAC_CTX *hmac_make(bool sha384)
{
	char sha256_name[] = "SHA256", sha384_name[] = "SHA384";        /* parameters are not const */
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 sha384 ? sha384_name : sha256_name, 0),
		OSSL_PARAM_construct_end()
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);      /* c has a reference of its own */
	if (c && EVP_MAC_CTX_set_params(c, params) == 1)
		return c;
	EVP_MAC_CTX_free(c);
	return NULL;
}

static EVP_MAC_CTX *hmac(const struct ks_etype *e)
{
	const bool sha384 = e->hash == TOK_SHA384;
	_Atomic(EVP_MAC_CTX *) *place = sha384 ? &hmac_sha384 : &hmac_sha256;
	EVP_MAC_CTX *c = atomic_load(place), *seen = NULL;

	if (c)
		return c;
	c = hmac_make(sha384);
	if (!c || atomic_compare_exchange_strong(place, &seen, c))
		return c;
	EVP_MAC_CTX_free(c);    /* another thread was first */
	return seen;
}

static err_t failed(const struct ks_etype *e)
{
	return err_set(KRB5_CRYPTO_INTERNAL, "libcrypto does not do HMAC for %s", e->name);
}

err_t ks_sha2_deriver_init(struct ks_deriver *d)
{
	const EVP_MAC_CTX *keyless = hmac(d->e);

	d->mac = keyless ? EVP_MAC_CTX_dup(keyless) : NULL;
	return d->mac ? secret_new(d->e->hash_len, &d->whole) : failed(d->e);
}

/* usage, tag, 0x00, length in bits: what follows the counter in SP 800-108's PRF input. */
static void label(const struct ks_etype *e, uint32_t usage, enum ks_role role, uint8_t l[10])
{
	const uint32_t bits = (uint32_t)ks_derived_len(e, role) * 8;
	const uint8_t octets[10] = {
		(uint8_t)(usage >> 24), (uint8_t)(usage >> 16), (uint8_t)(usage >> 8),
		(uint8_t)usage, ks_role_tag(role), 0,
		(uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits
	};

	memcpy(l, octets, sizeof(octets));
}

/* One round of the KDF is enough: no derived key is longer than the hash. */
err_t ks_sha2_derive(const struct ks_deriver *d, uint32_t usage, enum ks_role role, uint8_t *out)
{
	uint8_t in[14] = { 0, 0, 0, 1 };
	size_t n = 0;

	if (role == KS_KP) {
		memcpy(out, d->base, d->e->key_len);
		return 0;
	}
	label(d->e, usage, role, in + 4);
	/* The key is set each time: early 3.0 releases do not start again without one. */
	if (EVP_MAC_init(d->mac, d->base, d->e->key_len, NULL) != 1 ||
	    EVP_MAC_update(d->mac, in, sizeof(in)) != 1 ||
	    EVP_MAC_final(d->mac, d->whole->data, &n, d->whole->len) != 1 || n != d->whole->len)
		return failed(d->e);
	memcpy(out, d->whole->data, ks_derived_len(d->e, role));
	return 0;
}

/* The base itself, as an object that signs and no longer derives where the token makes one. */
static err_t prf_key(const struct ks_etype *e, struct tok_key *base,
		     const struct tok_key_spec *spec, struct tok_key **out)
{
	err_t err = tok_hidden_extract(base, 0, e->key_len, spec, out);

	if (err != ERR_UNSUPPORTED)
		return err;
	*out = tok_key_ref(base);
	return 0;
}

err_t ks_sha2_derive_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			      enum ks_role role, const struct tok_key_spec *spec,
			      struct tok_key **out)
{
	uint8_t l[10];
	struct tok_kdf108 kdf = { (enum tok_hash)e->hash, l, sizeof(l) };

	if (role == KS_KP)
		return prf_key(e, base, spec, out);
	label(e, usage, role, l);
	return tok_derive_kdf108(base, &kdf, spec, ks_derived_len(e, role), out);
}
