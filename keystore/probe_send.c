/*
 * The probe of sending: a key made on the token, with octets on both sides of
 * it, wrapped.  The keys here serve nothing else, so they may come out.
 */
#include "keystore/probe_int.h"

#include <string.h>

#include <openssl/sha.h>

#include "pkcs11/hole.h"
#include "pkcs11/token.h"

enum { FRONT = 7, KEY = 32, BACK = 9, ALL = FRONT + KEY + BACK };

static const uint8_t iv[16] = { 3, 1, 4 }, beside[ALL] = "what stands beside a key on both of its sides";

static err_t wrap(struct tok_key *aes, struct tok_key *twin, uint8_t out[ALL])
{
	const struct tok_key_spec spec = {
		.type = TOK_GENERIC, .use = TOK_DERIVE | TOK_EXTRACTABLE
	};
	struct tok_key *front = NULL, *all = NULL;
	err_t err;

	err = tok_hidden_prepend(twin, beside, FRONT, &spec, &front);
	if (!err)
		err = tok_hidden_append(front, beside + FRONT + KEY, BACK, &spec, &all);
	if (!err)
		err = tok_hidden_wrap(aes, iv, all, out, ALL);
	tok_key_unref(&front);
	tok_key_unref(&all);
	return err;
}

/* The octets are that key's: a digest of each says so. */
static err_t compare(struct tok *t, struct tok_key *k, const uint8_t octets[KEY])
{
	const struct tok_piece piece = { .key = k };
	uint8_t want[SHA_DIGEST_LENGTH], got[TOK_MAC_MAX];
	err_t err = tok_digest(t, TOK_SHA1, &piece, 1, got);

	SHA1(octets, KEY, want);
	if (!err && memcmp(got, want, sizeof(want)))
		err = err_set(ERR_UNSUPPORTED, "a key to be sent came out as another");
	return err;
}

static err_t check(struct tok *t, struct tok_key *aes, struct tok_key *twin)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_DERIVE };
	uint8_t wrapped[ALL], plain[ALL];
	struct tok_key *base = NULL;
	err_t err;

	err = wrap(aes, twin, wrapped);
	if (!err)
		err = tok_cbc_decrypt(aes, iv, wrapped, ALL, plain);
	if (!err && (memcmp(plain, beside, FRONT) ||
		     memcmp(plain + FRONT + KEY, beside + FRONT + KEY, BACK)))
		err = err_set(ERR_UNSUPPORTED, "what stands beside a key came out wrong");
	if (!err)
		err = compare(t, twin, plain + FRONT);
	if (!err)
		err = tok_hidden_extract(twin, 0, KEY, &spec, &base);
	if (!err)
		err = compare(t, base, plain + FRONT);
	tok_key_unref(&base);
	secret_wipe(plain, sizeof(plain));
	return err;
}

err_t ks_probe_send(struct tok *t, int32_t etype)
{
	const struct tok_key_spec sealing = {
		.type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT | TOK_WRAP
	};
	const struct tok_key_spec sent = { .type = TOK_AES, .use = TOK_DERIVE | TOK_EXTRACTABLE };
	struct tok_key *aes = NULL, *twin = NULL;
	err_t err;

	(void)etype;
	err = tok_key_generate(t, &sealing, KEY, &aes);
	if (!err)
		err = tok_key_generate(t, &sent, KEY, &twin);
	if (!err)
		err = check(t, aes, twin);
	tok_key_unref(&aes);
	tok_key_unref(&twin);
	return err;
}
