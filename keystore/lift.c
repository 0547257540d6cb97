/* Messages that stay on the token: ciphertext in order, hidden values, MAC. */
#include "keystore/lift.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

#include "keystore/cts.h"
#include "keystore/key_priv.h"
#include "pkcs11/hole.h"

enum { STRETCH = TOK_HIDDEN_MAX / KS_BLOCK };   /* blocks of one hidden value */

/* Octets of which the MAC takes an object for every TOK_HIDDEN_MAX: strangers do not ask for more. */
enum { HIDDEN_ALL_MAX = 256 * 1024 };

/* Where a block's ciphertext lies; in front of it lies its IV. */
static uint8_t *block(const struct ks_lift *l, size_t i)
{
	return l->cipher + (i + 1) * KS_BLOCK;
}

static size_t in_last(const struct ks_lift *l)
{
	return l->len - (l->blocks - 1) * KS_BLOCK;
}

static err_t bundle_error(const struct ks_lift *l, err_t err)
{
	if (err != ERR_UNSUPPORTED && err != ERR_TOKEN_FAILED)
		return err;
	return err_prefix(err, "opening a message inside token \"%s\" (C_UnwrapKey with the key for "
			  "usage %u%s)", tok_info(l->k->tok)->label, (unsigned)l->usage,
			  l->k->loader.load ? "; an entry that was imported by an earlier version "
			  "cannot do that: import the keytab file again" : "");
}

/* ---- hidden values ---- */

static struct ks_stretch *find(const struct ks_lift *l, size_t from, size_t to)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->stretch[i].from <= from && l->stretch[i].to >= to)
			return &l->stretch[i];
	}
	return NULL;
}

static err_t grow(struct ks_lift *l)
{
	const size_t room = l->room + STRETCH + l->blocks / STRETCH;
	struct ks_stretch *p;

	if (l->n < l->room)
		return 0;
	p = reallocarray(l->stretch, room, sizeof(*p));
	if (!p)
		return ENOMEM;
	l->stretch = p;
	l->room = room;
	return 0;
}

static err_t unwrap(struct ks_lift *l, size_t from, size_t to)
{
	struct tok_key *hidden = NULL;
	err_t err;

	err = grow(l);
	if (!err)
		err = tok_hidden_unwrap(l->ke, block(l, from) - KS_BLOCK, block(l, from),
					(to - from) * KS_BLOCK, &hidden);
	if (err)
		return bundle_error(l, err);
	l->stretch[l->n++] = (struct ks_stretch){ from, to, hidden };
	return 0;
}

/*
 * What ciphertext stealing took from the last block but one is the end of the
 * last one, decrypted: these octets are ciphertext and may be known.  The same
 * decryption has the last octets of the plaintext, which may not.
 */
static err_t complete(struct ks_lift *l)
{
	const size_t last = l->blocks - 1, n = in_last(l);
	err_t err;

	if (l->whole)
		return 0;
	err = unwrap(l, last, last + 1);
	if (!err)
		err = tok_hidden_read(l->stretch[l->n - 1].hidden, n, KS_BLOCK - n,
				      block(l, last - 1) + n);
	l->whole = !err;
	return err;
}

/* Blocks whose decryption takes the last block but one, as ciphertext or IV. */
static bool takes_stolen(const struct ks_lift *l, size_t to)
{
	return to + 1 >= l->blocks;
}

err_t ks_lift_hide(struct ks_lift *l, size_t from, size_t to)
{
	err_t err = 0;

	if (from >= to || to > l->blocks || to - from > STRETCH)
		return err_set(ERR_INTERNAL, "blocks %zu to %zu of %zu are to be hidden", from, to,
			       l->blocks);
	if (find(l, from, to))
		return 0;
	if (takes_stolen(l, to))
		err = complete(l);
	return err ? err : unwrap(l, from, to);
}

static size_t whole_blocks(size_t octets)
{
	return (octets + KS_BLOCK - 1) / KS_BLOCK;
}

/* The hidden value that has these octets, and where it begins. */
static err_t holder(const struct ks_lift *l, size_t from, size_t to, struct tok_key **hidden,
		    size_t *at)
{
	const struct ks_stretch *s = find(l, from / KS_BLOCK, whole_blocks(to));

	if (!s || from >= to || to > l->len)
		return err_set(ERR_INTERNAL, "octets %zu to %zu of %zu are not hidden", from, to,
			       l->len);
	*hidden = s->hidden;
	*at = from - s->from * KS_BLOCK;
	return 0;
}

err_t ks_lift_read(struct ks_lift *l, size_t from, size_t to)
{
	struct tok_key *hidden;
	size_t at;
	err_t err;

	if (from == to)
		return 0;
	err = holder(l, from, to, &hidden, &at);
	return err ? err : tok_hidden_read(hidden, at, to - from, l->text + from);
}

err_t ks_lift_guess(struct ks_lift *l, size_t from, const uint8_t *octets, size_t n, bool *is)
{
	struct tok_key *hidden;
	size_t at;
	err_t err = holder(l, from, from + n, &hidden, &at);

	*is = false;
	if (!err)
		err = tok_hidden_is(hidden, at, octets, n, is);
	if (!err && *is)
		memcpy(l->text + from, octets, n);
	return err;
}

err_t ks_lift_key(struct ks_lift *l, size_t from, size_t n, const struct tok_key_spec *spec,
		  struct tok_key **out)
{
	struct tok_key *hidden;
	size_t at;
	err_t err = holder(l, from, from + n, &hidden, &at);

	*out = NULL;
	return err ? err : tok_hidden_extract(hidden, at, n, spec, out);
}

/* ---- what may come out ---- */

/*
 * The last block alone, when it may be known: its IV lacks the stolen octets,
 * which then stand in their places in the result.
 */
static err_t open_last(struct ks_lift *l)
{
	const size_t last = l->blocks - 1, n = in_last(l);
	uint8_t *text = l->text + last * KS_BLOCK;
	err_t err;

	err = tok_cbc_decrypt(l->ke, block(l, last - 1), block(l, last), KS_BLOCK, text);
	if (err)
		return err;
	memcpy(block(l, last - 1) + n, text + n, KS_BLOCK - n);
	memset(text + n, 0, KS_BLOCK - n);
	l->whole = true;
	return 0;
}

err_t ks_lift_blocks(struct ks_lift *l, size_t from, size_t to)
{
	const bool last = to == l->blocks;
	err_t err = 0;

	if (from >= to)
		return 0;
	if (takes_stolen(l, to) && !l->whole)
		err = last ? open_last(l) : complete(l);
	if (!err)
		err = tok_cbc_decrypt(l->ke, block(l, from) - KS_BLOCK, block(l, from),
				      (to - from) * KS_BLOCK, l->text + from * KS_BLOCK);
	return err;
}

/* ---- the MAC ---- */

static err_t broken(const struct ks_lift *l)
{
	return err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "decryption failed (%s, key usage %u): the "
		       "message was altered, or made with another key", l->k->e->name, l->usage);
}

static err_t compare(const struct ks_lift *l, uint8_t want[TOK_MAC_MAX], const uint8_t *mac)
{
	const bool same = secret_equal(want, mac, l->k->e->mac_len);

	secret_wipe(want, TOK_MAC_MAX);
	return same ? 0 : broken(l);
}

/* RFC 8009 5: IV and ciphertext, as it came. */
static err_t check_cipher(struct ks_lift *l, const uint8_t *mac)
{
	uint8_t want[TOK_MAC_MAX];
	struct tok_key *ki;
	err_t err;

	err = ks_slot_key(l->k, l->usage, KS_KI, KS_OPEN, &ki);
	if (!err)
		err = tok_hmac(ki, (enum tok_hash)l->k->e->hash, l->cipher, KS_BLOCK + l->len, want);
	return err ? err : compare(l, want, mac);
}

/* The octets of the last block without what fills it up. */
static err_t cut_tail(struct ks_lift *l, struct tok_piece *piece)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC };

	return ks_lift_key(l, (l->blocks - 1) * KS_BLOCK, in_last(l), &spec, &piece->key);
}

/* All blocks but a cut last one become hidden values, and these the MAC's input. */
static err_t hide_all(struct ks_lift *l, struct tok_piece *pieces, size_t *n)
{
	const size_t to = in_last(l) == KS_BLOCK ? l->blocks : l->blocks - 1;
	size_t at, next;
	err_t err = complete(l);

	for (at = 0; at < to && !err; at = next) {
		next = to - at < STRETCH ? to : at + STRETCH;
		err = unwrap(l, at, next);
		if (!err)
			pieces[(*n)++].key = l->stretch[l->n - 1].hidden;
	}
	return err;
}

/* RFC 3962 6: the plaintext, none of which has been seen. */
static err_t check_hidden(struct ks_lift *l, const uint8_t *mac)
{
	struct tok_piece *pieces = calloc(l->blocks / STRETCH + 2, sizeof(*pieces));
	struct tok_piece tail = { NULL, NULL, 0 };
	uint8_t want[TOK_MAC_MAX];
	size_t n = 0;
	err_t err;

	if (!pieces)
		return ENOMEM;
	err = hide_all(l, pieces, &n);
	if (!err && in_last(l) != KS_BLOCK) {
		err = cut_tail(l, &tail);
		pieces[n++] = tail;
	}
	if (!err)
		err = ks_hidden_mac(l->k, l->usage, pieces, n, want);
	tok_key_unref(&tail.key);
	free(pieces);
	return err ? err : compare(l, want, mac);
}

/* ---- beginning and end ---- */

/* Ciphertext stealing exchanged the last two blocks and cut what is now the last but one. */
static void restore_order(struct ks_lift *l)
{
	const size_t n = in_last(l);
	uint8_t cut[KS_BLOCK] = { 0 }, *last = block(l, l->blocks - 1);

	l->whole = n == KS_BLOCK;
	if (l->blocks < 2)
		return;
	memcpy(cut, last, n);
	memcpy(last, last - KS_BLOCK, KS_BLOCK);
	memcpy(last - KS_BLOCK, cut, KS_BLOCK);
}

static err_t take(struct ks_lift *l, const uint8_t *p, size_t len)
{
	const struct ks_etype *e = l->k->e;

	if (len < KS_CONFOUNDER + e->mac_len)
		return err_set(KRB5_BAD_MSIZE, "%zu octets are too short to be encrypted with %s",
			       len, e->name);
	if (e->family == KS_RFC3962 && len > HIDDEN_ALL_MAX)
		return err_set(KRB5_BAD_MSIZE, "a message of %zu octets is not opened inside the "
			       "token, where %s messages have at most %d", len, e->name,
			       (int)HIDDEN_ALL_MAX);
	if (len > SIZE_MAX / 4)
		return ENOMEM;
	l->len = len - e->mac_len;
	l->blocks = whole_blocks(l->len);
	l->cipher = calloc(l->blocks + 1, KS_BLOCK);
	l->text = calloc(l->blocks, KS_BLOCK);
	if (!l->cipher || !l->text)
		return ENOMEM;
	memcpy(block(l, 0), p, l->len);
	return ks_slot_key(l->k, l->usage, KS_KE, KS_OPEN, &l->ke);
}

err_t ks_lift_init(struct ks_lift *l, struct ks_key *k, uint32_t usage, const uint8_t *p,
		   size_t len)
{
	const bool sign_cipher = k->e->family == KS_RFC8009;
	err_t err;

	*l = (struct ks_lift){ .k = k, .usage = usage };
	err = take(l, p, len);
	if (!err && sign_cipher)
		err = check_cipher(l, p + l->len);
	if (err)
		return err;
	restore_order(l);
	return sign_cipher ? 0 : check_hidden(l, p + l->len);
}

void ks_lift_fini(struct ks_lift *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		tok_key_unref(&l->stretch[i].hidden);
	free(l->stretch);
	/* Whoever moved blocks had some decrypted where stolen octets are expected. */
	if (l->cipher)
		secret_wipe(l->cipher, (l->blocks + 1) * KS_BLOCK);
	if (l->text)
		secret_wipe(l->text, l->blocks * KS_BLOCK);
	free(l->cipher);
	free(l->text);
	memset(l, 0, sizeof(*l));
}
