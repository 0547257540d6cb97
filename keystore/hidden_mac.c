/*
 * HMAC-SHA1 over octets of which some are hidden on the token (RFC 3962 signs
 * the plaintext): digests that begin with Ki xor ipad and Ki xor opad, which
 * are objects of their own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/derive.h"
#include "keystore/key_priv.h"
#include "pkcs11/hole.h"

enum { SHA1_LEN = 20, SHA1_BLOCK = 64, KI_LEN = 32 };

static err_t pad(struct tok_key *block, enum ks_role role, const struct tok_key_spec *spec,
		 struct tok_key **out)
{
	uint8_t octets[SHA1_BLOCK];

	memset(octets, role == KS_IPAD ? 0x36 : 0x5c, sizeof(octets));
	return tok_hidden_xor(block, octets, sizeof(octets), spec, out);
}

/* etype_sha1.c derives Ki of either enctype as 32 octets, zeros included: the rest are zeros too. */
static err_t ki_block(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
		      struct tok_key **out)
{
	static const uint8_t zeros[SHA1_BLOCK - KI_LEN];
	const struct tok_key_spec passing = { .type = TOK_GENERIC, .use = TOK_DERIVE };
	struct tok_key *ki = NULL;
	err_t err;

	*out = NULL;
	if (e->family != KS_RFC3962)
		return err_set(ERR_INTERNAL, "%s does not sign hidden octets", e->name);
	err = ks_sha1_derive_on_token(e, base, usage, KS_KI, &passing, &ki);
	if (!err)
		err = tok_hidden_append(ki, zeros, sizeof(zeros), &passing, out);
	tok_key_unref(&ki);
	return err;
}

err_t ks_pad_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
		      enum ks_role role, const struct tok_key_spec *spec, struct tok_key **out)
{
	struct tok_key *block = NULL;
	err_t err;

	*out = NULL;
	err = ki_block(e, base, usage, &block);
	if (!err)
		err = pad(block, role, spec, out);
	tok_key_unref(&block);
	return err;
}

err_t ks_pads_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
		       struct tok_key *pads[2])
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC };
	struct tok_key *block = NULL;
	err_t err;

	pads[0] = pads[1] = NULL;
	err = ki_block(e, base, usage, &block);
	if (!err)
		err = pad(block, KS_IPAD, &spec, &pads[0]);
	if (!err)
		err = pad(block, KS_OPAD, &spec, &pads[1]);
	if (err)
		tok_key_unref(&pads[0]);
	tok_key_unref(&block);
	return err;
}

/* The padded key in front of the pieces. */
static err_t digest(struct tok_key *front, const struct tok_piece *pieces, size_t n,
		    struct ks_key *k, uint8_t md[TOK_MAC_MAX])
{
	struct tok_piece *all = calloc(n + 1, sizeof(*all));
	err_t err;

	if (!all)
		return ENOMEM;
	all[0].key = front;
	memcpy(all + 1, pieces, n * sizeof(*pieces));
	err = tok_digest(k->tok, TOK_SHA1, all, n + 1, md);
	free(all);
	return err;
}

err_t ks_hidden_mac(struct ks_key *k, uint32_t usage, const struct tok_piece *pieces, size_t n,
		    uint8_t mac[TOK_MAC_MAX])
{
	uint8_t inner[TOK_MAC_MAX];
	const struct tok_piece hash = { .data = inner, .len = SHA1_LEN };
	struct tok_key *ipad, *opad;
	err_t err;

	memset(mac, 0, TOK_MAC_MAX);
	err = ks_slot_key(k, usage, KS_IPAD, KS_OPEN, &ipad);
	if (!err)
		err = ks_slot_key(k, usage, KS_OPAD, KS_OPEN, &opad);
	if (!err)
		err = digest(ipad, pieces, n, k, inner);
	if (!err)
		err = digest(opad, &hash, 1, k, mac);
	secret_wipe(inner, sizeof(inner));
	return err;
}
