/*
 * Message parts with a key inside, opened so that the key stays on the token
 * (class "on-token").  MAC first; then the way to the key is followed through
 * its DER headers; no block that the key touches is ever decrypted: the key is
 * cut out of it on the token, and its neighbours are read through digests.
 */
#include "keystore/sealed_token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>
#include <com_err.h>
#include <profile.h>

#include "keystore/cts.h"
#include "keystore/key_priv.h"
#include "keystore/lift.h"
#include "keystore/part.h"
#include "keystore/probe.h"
#include "pkcs11/hole.h"
#include "pkcs11/trace.h"

/* Blocks hidden at once where the key is expected: header and key seldom need more. */
enum { AHEAD = 4 };

struct walk {
	struct ks_lift l;
	enum ks_part part;
	struct ks_trail trail;
	size_t known;            /* leading octets of l.text that are; the confounder's count */
};

static size_t up(size_t octets)
{
	return (octets + KS_BLOCK - 1) / KS_BLOCK;
}

/* ---- on the way to the key ---- */

/* If the octets from known on begin with the header of a key of this enctype: steps over it. */
static err_t guess_one(struct walk *w, int32_t etype, bool *is)
{
	const size_t field = KS_CONFOUNDER + w->trail.field;
	uint8_t header[KS_KEY_HEADER];
	size_t n = ks_part_key_header(w->part, etype, header), skip;
	err_t err;

	*is = false;
	skip = w->known > field ? w->known - field : 0;
	if (skip >= n || field + n > w->l.len || memcmp(w->l.text + field, header, skip))
		return 0;
	err = ks_lift_guess(&w->l, field + skip, header + skip, n - skip, is);
	if (*is)
		w->known = field + n;
	return err;
}

/*
 * The header that this key's field most likely has costs one digest, where
 * reading costs one for each octet.
 */
static err_t guess(struct walk *w)
{
	const size_t field = KS_CONFOUNDER + w->trail.field;
	const bool sure = w->known > field || !ks_part_key_optional(w->part);
	const struct ks_etype *e;
	bool is = false;
	size_t i;
	err_t err = 0;

	if (w->known < field) {
		err = ks_lift_read(&w->l, w->known, field);
		w->known = field;
	}
	if (!err)
		err = guess_one(w, w->l.k->e->id, &is);
	for (i = 0; sure && !err && !is && (e = ks_etype_at(i)); i++)
		err = guess_one(w, e->id, &is);
	return err;
}

/* The next octets share a block with the key, perhaps: they are read where they are. */
static err_t creep(struct walk *w, size_t safe)
{
	const size_t from = w->known / KS_BLOCK;
	const size_t to = w->l.blocks - from < AHEAD ? w->l.blocks : from + AHEAD;
	const size_t known = w->known;
	err_t err = ks_lift_hide(&w->l, from, to);

	if (!err)
		err = guess(w);
	if (err || w->known > known)
		return err;
	err = ks_lift_read(&w->l, w->known, safe);
	w->known = safe;
	return err;
}

static err_t advance(struct walk *w)
{
	size_t safe = KS_CONFOUNDER + w->trail.safe;
	const size_t from = w->known / KS_BLOCK;
	const size_t to = safe >= w->l.len ? w->l.blocks : safe / KS_BLOCK;
	err_t err;

	if (safe > w->l.len)
		safe = w->l.len;
	if (to <= from)
		return creep(w, safe);
	err = ks_lift_blocks(&w->l, from, to);
	w->known = to == w->l.blocks ? w->l.len : to * KS_BLOCK;
	return err;
}

static err_t follow(struct walk *w)
{
	const uint8_t *plain = w->l.text + KS_CONFOUNDER;
	err_t err;

	w->known = KS_CONFOUNDER;
	do {
		err = ks_part_follow(w->part, plain, w->known - KS_CONFOUNDER,
				     w->l.len - KS_CONFOUNDER, &w->trail);
		if (err || w->trail.end != KS_TRAIL_MORE)
			break;
		err = advance(w);
	} while (!err);
	return err;
}

/* ---- around the key ---- */

/* What is behind the key in its blocks; all in front of it was read on the way there. */
static err_t uncover(struct walk *w)
{
	const struct ks_hole *hole = &w->trail.hole;
	const size_t at = KS_CONFOUNDER + hole->at, end = at + hole->len;
	const size_t from = at / KS_BLOCK, to = up(end);
	err_t err;

	if (w->trail.end == KS_TRAIL_NONE || !hole->len)
		return ks_lift_blocks(&w->l, w->known / KS_BLOCK, w->l.blocks);
	if (w->known != at)
		return err_set(ERR_INTERNAL, "octets in front of a key were left out");
	if ((to - from) * KS_BLOCK > TOK_HIDDEN_MAX)
		return err_set(KRB5_BAD_KEYSIZE, "a key of %zu octets in a message", hole->len);
	err = ks_lift_hide(&w->l, from, to);
	if (!err)
		err = ks_lift_read(&w->l, end, to == w->l.blocks ? w->l.len : to * KS_BLOCK);
	return err ? err : ks_lift_blocks(&w->l, to, w->l.blocks);
}

/* The whole is judged as strictly as if it had come in one piece; the key must be where it was. */
static err_t judge(const struct walk *w, struct ks_hole *hole)
{
	const struct ks_hole *found = &w->trail.hole;
	err_t err;

	err = ks_part_find(w->part, w->l.text + KS_CONFOUNDER, w->l.len - KS_CONFOUNDER, hole);
	if (!err && (hole->present != found->present || hole->etype != found->etype ||
		     hole->at != found->at || hole->len != found->len))
		err = err_set(ASN1_BAD_FORMAT, "a message part has its key in two places");
	return err;
}

/* ---- the key ---- */

static err_t lift_key(struct walk *w, const struct ks_hole *hole, struct ks_opened *o)
{
	const struct ks_etype *e = ks_etype_find(hole->etype);
	struct tok *t = w->l.k->tok;
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_DERIVE };
	struct tok_key *base = NULL;
	err_t err;

	if (!hole->present)
		return 0;
	o->key_etype = hole->etype;
	o->key_at = hole->at;
	o->key_len = hole->len;
	if (!e)
		return 0;
	if (hole->len != e->key_len)
		return err_set(KRB5_BAD_KEYSIZE, "a key of %zu octets is no %s key", hole->len,
			       e->name);
	if (e->family == KS_RFC3962)
		spec = (struct tok_key_spec){ .type = TOK_AES,
					      .use = TOK_DERIVE | (e->id == 17 ? TOK_DECRYPT : 0) };
	err = ks_exposure_check(t, e->id, true);
	if (!err)
		err = ks_lift_key(&w->l, KS_CONFOUNDER + hole->at, hole->len, &spec, &base);
	if (!err)
		err = ks_key_from_token_object(t, e->id, base, &o->key);
	tok_key_unref(&base);
	return err;
}

static err_t take(struct walk *w, struct ks_opened *o)
{
	struct ks_hole hole;
	err_t err = judge(w, &hole);

	if (!err)
		err = lift_key(w, &hole, o);
	if (!err && !(o->bytes = malloc(hole.total)))
		err = ENOMEM;
	if (err)
		return err;
	memcpy(o->bytes, w->l.text + KS_CONFOUNDER, hole.total);
	o->len = hole.total;
	trace("part: a message with %s inside was opened, exposure on-token",
	      o->key ? o->key->e->name : o->key_etype ? "a key of another kind" : "no key");
	return 0;
}

/* ---- all of it ---- */

static err_t may_lift(const struct ks_key *k, const struct tok *key_token)
{
	const unsigned need = KS_CAP_LIFT | (k->e->family == KS_RFC3962 ? KS_CAP_LIFT_SHA1 : 0);

	if (key_token && key_token != k->tok)
		return err_set(ERR_POLICY, "exposure = on-token: a key in a message for token \"%s\" "
			       "cannot get to token \"%s\" without passing through host memory; "
			       "use one token, or exposure = transient",
			       tok_info(k->tok)->label, tok_info(key_token)->label);
	return (k->caps & need) == need ? 0 : ks_exposure_check(k->tok, k->e->id, true);
}

static bool malformed(err_t err)
{
	return err >= ASN1_BAD_TIMEFORMAT && err <= ASN1_OMITTED;
}

static err_t open_once(struct ks_key *k, enum ks_part part, const struct ks_cipher *in,
		       struct ks_opened *out)
{
	struct walk w = { .part = part };
	struct ks_opened o = { 0 };
	err_t err;

	err = ks_lift_init(&w.l, k, in->usage, in->p, in->len);
	if (!err)
		err = follow(&w);
	if (!err)
		err = uncover(&w);
	if (!err)
		err = take(&w, &o);
	if (err)
		ks_opened_fini(&o);
	else
		*out = o;
	ks_lift_fini(&w.l);
	return err;
}

err_t ks_part_lift(struct ks_key *k, enum ks_part part, const struct ks_cipher *in,
		   struct tok *key_token, struct ks_opened *out)
{
	err_t err = may_lift(k, key_token);

	if (err)
		return err;
	err = open_once(k, part, in, out);
	/* A long-term key outlives a lost session: what was hidden meanwhile did not. */
	if (err == ERR_KEY_LOST && k->loader.load)
		err = open_once(k, part, in, out);
	if (malformed(err))
		err = err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "a message's MAC is right, its inside is "
			      "not the DER that RFC 4120 asks for (key usage %u)", in->usage);
	return err;
}
