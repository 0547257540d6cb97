/*
 * The probes of lifting: octets that nobody needs to hide are unwrapped, cut,
 * read and digested on the token, and compared with what is known of them.
 */
#include "keystore/probe_int.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "pkcs11/hole.h"
#include "pkcs11/token.h"

enum { ALL = TOK_HIDDEN_MAX, AT = 45, KEY = 32, HMAC_BLOCK = 64, PAD = HMAC_BLOCK - KEY };

static const uint8_t iv[16] = { 2, 7, 1, 8 };
static const uint8_t wrapping[KEY] = {
	0x11, 0x9c, 0x53, 0xe0, 0x8a, 0x3f, 0xd6, 0x72, 0xb4, 0x25, 0x6b, 0x04, 0xcd, 0x98, 0xf1,
	0x47, 0x3a, 0x81, 0xde, 0x60, 0x19, 0xb7, 0x5c, 0x2e, 0xa3, 0x74, 0xe8, 0x0d, 0x96, 0x4f,
	0xc2, 0x35
};

static void known_text(uint8_t text[ALL])
{
	size_t i;

	for (i = 0; i < ALL; i++)
		text[i] = (uint8_t)(i * 13 + (i >> 4) * 5 + 3);
}

static err_t no(const char *what)
{
	return err_set(ERR_UNSUPPORTED, "%s gave a wrong result", what);
}

static err_t encrypt(const uint8_t text[ALL], uint8_t out[ALL + 16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	err_t err = 0;

	if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, wrapping, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, out, &n, text, ALL) != 1 || n != ALL)
		err = ENOMEM;
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

/* The known text as a hidden value. */
static err_t hide(struct tok *t, uint8_t text[ALL], struct tok_key **out)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_DECRYPT | TOK_UNWRAP };
	uint8_t cipher[ALL + 16];
	struct tok_key *aes = NULL;
	err_t err;

	*out = NULL;
	known_text(text);
	err = encrypt(text, cipher);
	if (!err)
		err = tok_key_import(t, &spec, wrapping, KEY, 0, &aes);
	if (!err)
		err = tok_hidden_unwrap(aes, iv, cipher, ALL, out);
	tok_key_unref(&aes);
	return err;
}

static err_t check_closed(struct tok_key *k, const char *made_by)
{
	bool closed = false;
	err_t err = tok_hidden_closed(k, &closed);

	return !err && !closed ? err_set(ERR_UNSUPPORTED, "%s made a key that can leave the token",
					 made_by) : err;
}

/* A key cut out is the right one: its digest says so. */
static err_t check_cut(struct tok *t, struct tok_key *hidden, const uint8_t *text,
		       enum tok_type type, size_t len)
{
	const struct tok_key_spec spec = { .type = type, .use = TOK_DERIVE };
	struct tok_piece piece = { NULL, NULL, 0 };
	uint8_t want[SHA_DIGEST_LENGTH], got[TOK_MAC_MAX];
	err_t err;

	SHA1(text + AT, len, want);
	err = tok_hidden_extract(hidden, AT, len, &spec, &piece.key);
	if (!err)
		err = check_closed(piece.key, "CKM_EXTRACT_KEY_FROM_KEY");
	if (!err)
		err = tok_digest(t, TOK_SHA1, &piece, 1, got);
	if (!err && memcmp(want, got, sizeof(want)))
		err = no("CKM_EXTRACT_KEY_FROM_KEY");
	tok_key_unref(&piece.key);
	return err;
}

static err_t check_read(struct tok_key *hidden, const uint8_t *text)
{
	static const size_t from[] = { 0, AT - 3, AT + KEY, ALL - 3 };
	uint8_t got[3];
	bool is = false, is_not = true;
	size_t i;
	err_t err = 0;

	for (i = 0; i < sizeof(from) / sizeof(from[0]) && !err; i++) {
		err = tok_hidden_read(hidden, from[i], sizeof(got), got);
		if (!err && memcmp(got, text + from[i], sizeof(got)))
			err = no("reading beside a key");
	}
	if (!err)
		err = tok_hidden_is(hidden, 5, text + 5, 13, &is);
	if (!err)
		err = tok_hidden_is(hidden, 5, text + 6, 13, &is_not);
	return !err && (!is || is_not) ? no("C_DigestKey") : err;
}

err_t ks_probe_lift(struct tok *t, int32_t etype)
{
	uint8_t text[ALL];
	struct tok_key *hidden = NULL;
	err_t err;

	(void)etype;
	err = hide(t, text, &hidden);
	if (!err)
		err = check_closed(hidden, "C_UnwrapKey");
	if (!err)
		err = check_cut(t, hidden, text, TOK_AES, 32);
	if (!err)
		err = check_cut(t, hidden, text, TOK_AES, 16);
	if (!err)
		err = check_cut(t, hidden, text, TOK_GENERIC, 32);
	if (!err)
		err = check_cut(t, hidden, text, TOK_GENERIC, 16);
	if (!err)
		err = check_read(hidden, text);
	tok_key_unref(&hidden);
	return err;
}

/* The HMAC key filled up, xor ipad or opad. */
static err_t pad(struct tok *t, uint8_t octet, struct tok_key **out)
{
	static const uint8_t zeros[PAD];
	const struct tok_key_spec passing = { .type = TOK_GENERIC, .use = TOK_DERIVE };
	const struct tok_key_spec spec = { .type = TOK_GENERIC };
	struct tok_key *key = NULL, *block = NULL;
	uint8_t octets[HMAC_BLOCK];
	err_t err;

	memset(octets, octet, sizeof(octets));
	err = tok_key_import(t, &passing, wrapping, KEY, 0, &key);
	if (!err)
		err = tok_hidden_append(key, zeros, sizeof(zeros), &passing, &block);
	if (!err)
		err = tok_hidden_xor(block, octets, sizeof(octets), &spec, out);
	tok_key_unref(&key);
	tok_key_unref(&block);
	return err;
}

static err_t check_mac(struct tok *t, struct tok_key *hidden, const uint8_t text[ALL],
		       struct tok_key *ipad, struct tok_key *opad)
{
	uint8_t inner[TOK_MAC_MAX], got[TOK_MAC_MAX], want[EVP_MAX_MD_SIZE], whole[ALL + 5];
	const struct tok_piece in[] = { { .key = ipad }, { .key = hidden },
					{ .data = text, .len = 5 } };
	const struct tok_piece out[] = { { .key = opad },
					 { .data = inner, .len = SHA_DIGEST_LENGTH } };
	unsigned n = 0;
	err_t err;

	memcpy(whole, text, ALL);
	memcpy(whole + ALL, text, 5);
	if (!HMAC(EVP_sha1(), wrapping, KEY, whole, sizeof(whole), want, &n))
		return ENOMEM;
	err = tok_digest(t, TOK_SHA1, in, 3, inner);
	if (!err)
		err = tok_digest(t, TOK_SHA1, out, 2, got);
	return !err && memcmp(got, want, n) ? no("an HMAC made of digests") : err;
}

err_t ks_probe_lift_sha1(struct tok *t, int32_t etype)
{
	uint8_t text[ALL];
	struct tok_key *hidden = NULL, *ipad = NULL, *opad = NULL;
	err_t err;

	(void)etype;
	err = hide(t, text, &hidden);
	if (!err)
		err = pad(t, 0x36, &ipad);
	if (!err)
		err = pad(t, 0x5c, &opad);
	if (!err)
		err = check_mac(t, hidden, text, ipad, opad);
	tok_key_unref(&hidden);
	tok_key_unref(&ipad);
	tok_key_unref(&opad);
	return err;
}
