/* Derivation for aes*-cts-hmac-sha2: KDF-HMAC-SHA2 of RFC 8009 3. */
#include "keystore/derive.h"

#include <string.h>

#include <openssl/sha.h>

/* As in etype_sha1.c: the hash's plain functions keep their state where we put it. */
union hash {
	SHA256_CTX sha256;
	SHA512_CTX sha384;
};

struct state {
	union hash inner, outer;        /* after the padded key (RFC 2104 4) */
	union hash work;
	uint8_t base[KS_KEY_MAX];
	uint8_t pad[SHA512_CBLOCK];
	uint8_t digest[SHA512_DIGEST_LENGTH];
};

static void hash_start(const struct ks_etype *e, union hash *h, const uint8_t *block)
{
	if (e->hash == TOK_SHA256) {
		SHA256_Init(&h->sha256);
		SHA256_Update(&h->sha256, block, SHA256_CBLOCK);
	} else {
		SHA384_Init(&h->sha384);
		SHA384_Update(&h->sha384, block, SHA512_CBLOCK);
	}
}

/* Goes on from a state with n octets and ends. */
static void hash_end(const struct ks_etype *e, struct state *s, const union hash *from,
		     const uint8_t *in, size_t n)
{
	s->work = *from;
	if (e->hash == TOK_SHA256) {
		SHA256_Update(&s->work.sha256, in, n);
		SHA256_Final(s->digest, &s->work.sha256);
	} else {
		SHA384_Update(&s->work.sha384, in, n);
		SHA384_Final(s->digest, &s->work.sha384);
	}
}

err_t ks_sha2_deriver_new(const struct ks_etype *e, const uint8_t *base, struct secret **out)
{
	struct state *s;
	size_t i;
	err_t err = secret_new(sizeof(struct state), out);

	if (err)
		return err;
	s = (struct state *)(void *)(*out)->data;
	memcpy(s->base, base, e->key_len);
	memcpy(s->pad, base, e->key_len);
	for (i = 0; i < sizeof(s->pad); i++)
		s->pad[i] ^= 0x36;
	hash_start(e, &s->inner, s->pad);
	for (i = 0; i < sizeof(s->pad); i++)
		s->pad[i] ^= 0x36 ^ 0x5c;
	hash_start(e, &s->outer, s->pad);
	return 0;
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
void ks_sha2_derive(const struct ks_etype *e, struct secret *deriver, uint32_t usage,
		    enum ks_role role, uint8_t *out)
{
	struct state *s = (struct state *)(void *)deriver->data;
	uint8_t in[14] = { 0, 0, 0, 1 };

	if (role == KS_KP) {
		memcpy(out, s->base, e->key_len);
		return;
	}
	label(e, usage, role, in + 4);
	hash_end(e, s, &s->inner, in, sizeof(in));
	hash_end(e, s, &s->outer, s->digest, e->hash_len);
	memcpy(out, s->digest, ks_derived_len(e, role));
}

err_t ks_sha2_derive_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			      enum ks_role role, const struct tok_key_spec *spec,
			      struct tok_key **out)
{
	uint8_t l[10];

	if (role == KS_KP) {
		*out = tok_key_ref(base);
		return 0;
	}
	label(e, usage, role, l);
	return tok_derive_kdf108(base, (enum tok_hash)e->hash, spec, l, sizeof(l),
				 ks_derived_len(e, role), out);
}
