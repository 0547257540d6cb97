/*
 * A message part around a hidden key (keys-on-token: seal).  The blocks that
 * the key touches are put together on the token and wrapped; those before and
 * behind are encrypted as they are; CBC's chaining runs through all of them,
 * and ciphertext stealing changes octets that are ciphertext already.
 */
#include "keystore/sealed_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/confounder.h"
#include "keystore/cts.h"
#include "keystore/key_priv.h"
#include "pkcs11/hole.h"

struct seal {
	struct ks_key *k;
	uint32_t usage;
	struct tok_key *twin;
	uint8_t *text;           /* confounder, plaintext with zeros in the hole, zeros to a block */
	uint8_t *out;            /* a zero block (the IV), ciphertext, MAC */
	size_t len, whole;       /* octets of text; rounded up to blocks */
	size_t at, end;          /* of the hole */
	size_t from, to;         /* of the blocks that it touches */
};

/* The whole blocks around the key: hidden, extractable for the one wrapping. */
static err_t build_hidden(const struct seal *s, struct tok_key **out)
{
	const struct tok_key_spec spec = {
		.type = TOK_GENERIC, .use = TOK_DERIVE | TOK_EXTRACTABLE
	};
	struct tok_key *front = NULL;
	err_t err = 0;

	*out = NULL;
	if (s->at > s->from)
		err = tok_hidden_prepend(s->twin, s->text + s->from, s->at - s->from, &spec, &front);
	else
		front = tok_key_ref(s->twin);
	if (err)
		return err;
	if (s->to > s->end)
		err = tok_hidden_append(front, s->text + s->end, s->to - s->end, &spec, out);
	else
		*out = tok_key_ref(front);
	tok_key_unref(&front);
	return err;
}

static err_t encrypt(struct seal *s, struct tok_key *ke)
{
	struct tok_key *hidden = NULL;
	uint8_t *c = s->out + KS_BLOCK;
	err_t err = 0;

	/* The IV of each piece is the ciphertext before it; of the first, the zero block. */
	if (s->from)
		err = tok_cbc_encrypt(ke, c - KS_BLOCK, s->text, s->from, c);
	if (!err)
		err = build_hidden(s, &hidden);
	if (!err)
		err = tok_hidden_wrap(ke, c + s->from - KS_BLOCK, hidden, c + s->from,
				      s->to - s->from);
	tok_key_unref(&hidden);
	if (!err && s->to < s->whole)
		err = tok_cbc_encrypt(ke, c + s->to - KS_BLOCK, s->text + s->to, s->whole - s->to,
				      c + s->to);
	if (!err)
		ks_cts_swap(c, s->whole);
	return err;
}

static err_t sign(const struct seal *s, uint8_t mac[TOK_MAC_MAX])
{
	const enum tok_hash hash = (enum tok_hash)s->k->e->hash;
	const struct tok_piece pieces[] = {
		{ .data = s->text, .len = s->at },
		{ .key = s->twin },
		{ .data = s->text + s->end, .len = s->len - s->end },
	};
	struct tok_key *ki;
	err_t err;

	if (s->k->e->family == KS_RFC3962)
		return ks_hidden_mac(s->k, s->usage, pieces, s->len > s->end ? 3 : 2, mac);
	err = ks_slot_key(s->k, s->usage, KS_KI, KS_SEAL, &ki);
	return err ? err : tok_hmac(ki, hash, s->out, KS_BLOCK + s->len, mac);
}

static err_t run(struct seal *s)
{
	uint8_t mac[TOK_MAC_MAX];
	struct tok_key *ke;
	err_t err;

	err = ks_slot_key(s->k, s->usage, KS_KE, KS_SEAL, &ke);
	if (!err)
		err = ks_confounder(s->text);
	if (!err)
		err = encrypt(s, ke);
	if (!err)
		err = sign(s, mac);
	if (!err)
		memcpy(s->out + KS_BLOCK + s->len, mac, s->k->e->mac_len);
	return err;
}

bool ks_sealed_sends(const struct ks_key *hole)
{
	return hole->send_object;
}

static err_t check(const struct ks_key *k, const struct ks_plain *plain)
{
	static const uint8_t zeros[KS_KEY_MAX];
	const size_t n = plain->hole->e->key_len, at = plain->at;

	if (k->tok != plain->hole->tok)
		return err_set(ERR_POLICY, "exposure = on-token: a key that was made on token \"%s\" "
			       "cannot be sealed with one on token \"%s\"",
			       tok_info(plain->hole->tok)->label, tok_info(k->tok)->label);
	if (at > plain->len || plain->len - at < n || memcmp(plain->p + at, zeros, n))
		return err_set(ERR_INTERNAL, "no room was left for a key of %zu octets at %zu", n, at);
	return 0;
}

static err_t room(struct seal *s, const struct ks_plain *plain)
{
	s->len = KS_CONFOUNDER + plain->len;
	s->whole = (s->len + KS_BLOCK - 1) / KS_BLOCK * KS_BLOCK;
	s->at = KS_CONFOUNDER + plain->at;
	s->end = s->at + plain->hole->e->key_len;
	s->from = s->at / KS_BLOCK * KS_BLOCK;
	s->to = (s->end + KS_BLOCK - 1) / KS_BLOCK * KS_BLOCK;
	s->text = calloc(1, s->whole);
	s->out = calloc(1, KS_BLOCK + s->whole + KS_MAC_MAX);
	if (!s->text || !s->out)
		return ENOMEM;
	memcpy(s->text + KS_CONFOUNDER, plain->p, plain->len);
	return 0;
}

err_t ks_sealed_send(struct ks_key *k, const struct ks_plain *plain, uint8_t **cipher,
		     size_t *len)
{
	struct seal s = { .k = k, .usage = plain->usage, .twin = plain->hole->send_object };
	err_t err;

	*cipher = NULL;
	*len = 0;
	if (plain->len > SIZE_MAX / 4)
		return ENOMEM;
	err = check(k, plain);
	if (!err)
		err = room(&s, plain);
	if (!err)
		err = run(&s);
	if (!err) {
		tok_key_unref(&plain->hole->send_object);
		*len = s.len + k->e->mac_len;
		memmove(s.out, s.out + KS_BLOCK, *len);
		*cipher = s.out;
		s.out = NULL;
	}
	if (s.text)
		secret_wipe(s.text, s.whole);
	free(s.text);
	free(s.out);
	return err;
}

/* ---- a key that came in a message and goes on in another ---- */

static err_t lift_twin(struct tok_key *ke, const struct ks_cipher *in, const struct ks_opened *o,
		       struct tok_key **out)
{
	const size_t at = KS_CONFOUNDER + o->key_at, from = at / KS_BLOCK * KS_BLOCK;
	const size_t to = (at + o->key_len + KS_BLOCK - 1) / KS_BLOCK * KS_BLOCK;
	const struct tok_key_spec spec = {
		.type = o->key->e->family == KS_RFC3962 ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | TOK_EXTRACTABLE
	};
	struct tok_key *hidden = NULL;
	err_t err;

	/* the last two blocks have changed places */
	if (in->len < KS_MAC_MAX || to + 2 * KS_BLOCK > in->len - KS_MAC_MAX)
		return err_set(ERR_UNSUPPORTED, "a key at the end of its message is not passed on");
	err = tok_hidden_unwrap_to_send(ke, in->p + from - KS_BLOCK, in->p + from, to - from,
					&hidden);
	if (!err)
		err = tok_hidden_extract(hidden, at - from, o->key_len, &spec, out);
	tok_key_unref(&hidden);
	return err;
}

err_t ks_part_pass_on(struct ks_key *k, const struct ks_cipher *in, struct ks_opened *o)
{
	struct tok_key *ke;
	err_t err;

	if (!o->key || !o->key->base_object || o->key->tok != k->tok)
		return err_set(ERR_INTERNAL, "a key that is not hidden on this token is passed on");
	err = ks_slot_key(k, in->usage, KS_KE, KS_OPEN, &ke);
	if (!err)
		err = lift_twin(ke, in, o, &o->key->send_object);
	return err;
}
