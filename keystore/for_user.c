/* PA-FOR-USER's checksum: HMAC-MD5 with a key that HMAC-MD5 makes of the session key. */
#include "keystore/for_user.h"

#include <string.h>

#include <krb5.h>

#include "keystore/digest.h"
#include "keystore/key_priv.h"
#include "pkcs11/hole.h"

enum { BLOCK = 64, MD5_LEN = KS_FOR_USER_LEN };

static const uint8_t signature[] = "signaturekey";      /* with its NUL */

static err_t md5(const void *p, size_t n, uint8_t out[MD5_LEN])
{
	if (ks_plain_md5() && EVP_Digest(p, n, out, NULL, ks_plain_md5(), NULL) == 1)
		return 0;
	return err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gives no MD5 digest, which PA-FOR-USER "
		       "prescribes");
}

/* ---- the key, on the host ---- */

/* The key xor pad, a block long, in front of what follows. */
static err_t keyed(const struct ks_etype *e, const uint8_t *base, uint8_t pad,
		   const struct tok_piece *text, uint8_t out[MD5_LEN])
{
	struct secret *room;
	size_t i;
	err_t err = secret_new(BLOCK + text->len, &room);

	if (err)
		return err;
	memcpy(room->data, base, e->key_len);
	for (i = 0; i < BLOCK; i++)
		room->data[i] ^= pad;
	memcpy(room->data + BLOCK, text->data, text->len);
	err = md5(room->data, room->len, out);
	secret_free(&room);
	return err;
}

err_t ks_for_user_derive(const struct ks_etype *e, const uint8_t *base,
			 uint8_t out[KS_FOR_USER_LEN])
{
	const struct tok_piece text = { .data = signature, .len = sizeof(signature) };
	uint8_t inner[MD5_LEN];
	const struct tok_piece hash = { .data = inner, .len = sizeof(inner) };
	err_t err;

	err = keyed(e, base, 0x36, &text, inner);
	if (!err)
		err = keyed(e, base, 0x5c, &hash, out);
	secret_wipe(inner, sizeof(inner));
	return err;
}

/* ---- and on the token ---- */

/* The base filled up with zeros to a block. */
static err_t base_block(const struct ks_etype *e, struct tok_key *base, struct tok_key **out)
{
	static const uint8_t zeros[BLOCK];
	const struct tok_key_spec passing = { .type = TOK_GENERIC, .use = TOK_DERIVE };

	return tok_hidden_append(base, zeros, BLOCK - e->key_len, &passing, out);
}

static err_t padded(struct tok_key *block, uint8_t pad, struct tok_key **out)
{
	const struct tok_key_spec passing = { .type = TOK_GENERIC, .use = TOK_DERIVE };
	uint8_t octets[BLOCK];

	memset(octets, pad, sizeof(octets));
	return tok_hidden_xor(block, octets, sizeof(octets), &passing, out);
}

/* The inner digest says nothing of the key; the outer one is made into an object. */
static err_t outer_digest(struct tok_key *opad, const uint8_t inner[MD5_LEN],
			  const struct tok_key_spec *spec, struct tok_key **out)
{
	const struct tok_key_spec passing = { .type = TOK_GENERIC, .use = TOK_DERIVE };
	struct tok_key *whole = NULL;
	err_t err;

	err = tok_hidden_append(opad, inner, MD5_LEN, &passing, &whole);
	if (!err)
		err = tok_hidden_md5(whole, spec, out);
	tok_key_unref(&whole);
	return err;
}

err_t ks_for_user_on_token(const struct ks_etype *e, struct tok_key *base,
			   const struct tok_key_spec *spec, struct tok_key **out)
{
	struct tok_key *block = NULL, *ipad = NULL, *opad = NULL;
	uint8_t inner[TOK_MAC_MAX];
	struct tok_piece pieces[2] = { { 0 }, { .data = signature, .len = sizeof(signature) } };
	err_t err;

	*out = NULL;
	err = base_block(e, base, &block);
	if (!err)
		err = padded(block, 0x36, &ipad);
	if (!err)
		err = padded(block, 0x5c, &opad);
	pieces[0].key = ipad;
	if (!err)
		err = tok_digest(tok_key_token(base), TOK_MD5, pieces, 2, inner);
	if (!err)
		err = outer_digest(opad, inner, spec, out);
	secret_wipe(inner, sizeof(inner));
	tok_key_unref(&block);
	tok_key_unref(&ipad);
	tok_key_unref(&opad);
	return err;
}

/* ---- the checksum ---- */

/* MD5 of the usage, little-endian, and the data: nothing of it is secret. */
static err_t message_digest(const uint8_t *data, size_t len, uint8_t out[MD5_LEN])
{
	static const uint8_t usage[4] = { KS_FOR_USER_USAGE };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	good = ctx && ks_plain_md5() && EVP_DigestInit_ex(ctx, ks_plain_md5(), NULL) == 1 &&
	       EVP_DigestUpdate(ctx, usage, sizeof(usage)) == 1 &&
	       EVP_DigestUpdate(ctx, data, len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return good ? 0 : err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gives no MD5 digest, which "
				  "PA-FOR-USER prescribes");
}

err_t ks_for_user_mac(struct ks_key *k, const uint8_t *data, size_t len,
		      uint8_t mac[KS_FOR_USER_LEN])
{
	uint8_t digest[MD5_LEN], whole[TOK_MAC_MAX];
	struct tok_key *ks;
	err_t err;

	err = message_digest(data, len, digest);
	if (!err)
		err = ks_slot_key(k, KS_FOR_USER_USAGE, KS_KS, KS_FOR_USER, &ks);
	if (!err)
		err = tok_hmac(ks, TOK_MD5, digest, sizeof(digest), whole);
	if (!err)
		memcpy(mac, whole, KS_FOR_USER_LEN);
	return err;
}
