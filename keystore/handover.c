/* Giving the keys of a context to another process, and taking them. */
#include "keystore/handover_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#include "keystore/key_priv.h"
#include "pkcs11/copy.h"
#include "pkcs11/object.h"
#include "pkcs11/trace.h"

void ks_handover_free(struct ks_handover **h)
{
	if (!h || !*h)
		return;
	tok_unref(&(*h)->tok);
	free(*h);
	*h = NULL;
}

static const char *label_of(const struct tok *t)
{
	return tok_info(t)->label;
}

/* ---- giving ---- */

/* Destroys the objects 0..id.index-1, the last one first; true when none is left. */
static bool destroy_given(struct ks_handover *h)
{
	uint8_t id[KS_HAND_ID];
	bool all = true;
	err_t err;

	while (h->id.index) {
		h->id.index--;
		ks_hand_id_encode(&h->id, id);
		err = tok_object_destroy(h->tok, KS_HAND_LABEL, id, sizeof(id));
		all = all && (!err || err == ERR_KEY_ABSENT);
	}
	return all;
}

err_t ks_handover_undo(struct ks_handover **h, err_t why)
{
	char text[512] = "";
	bool clean = true;

	/* what is reported is the first error, and destroying may have others of the same number */
	if (err_text(why))
		strncat(text, err_text(why), sizeof(text) - 1);
	if (*h && !destroy_given(*h))
		clean = false;
	if (!clean)
		why = err_set(why, "%s (and some copies of keys are left on token \"%s\": \"gssp11 "
			      "sweep\" removes them)", text, label_of((*h)->tok));
	else if (text[0])
		why = err_set(why, "%s", text);
	ks_handover_free(h);
	return why;
}

static err_t persist(struct ks_handover *h, struct tok_key *key)
{
	uint8_t id[KS_HAND_ID];
	err_t err;

	ks_hand_id_encode(&h->id, id);
	err = tok_key_persist(key, KS_HAND_LABEL, id, sizeof(id));
	if (!err)
		h->id.index++;
	return err;
}

/* A slot of k, unless one that does the same was met before. */
static err_t give_slot(struct ks_handover *h, struct ks_key *k, const struct slot *s,
		       struct ks_hand_key *out)
{
	struct tok_key *key = NULL;
	err_t err;

	if (ks_slot_find(k, s->usage, s->role, s->kind) != s)
		return 0;
	/* only for messages of the establishment, which is over */
	if (s->role == KS_IPAD || s->role == KS_OPAD)
		return 0;
	if (out->n == KS_HANDOVER_SLOTS)
		return err_set(ERR_UNSUPPORTED, "this %s key has more than %d derived keys",
			       k->e->name, KS_HANDOVER_SLOTS);
	err = ks_slot_key(k, s->usage, s->role, s->kind, &key);
	if (!err)
		err = persist(h, key);
	if (!err)
		out->slots[out->n++] = (struct ks_hand_slot){ s->usage, s->role, s->kind };
	return err;
}

static err_t give_key(struct ks_handover *h, struct ks_key *k, struct ks_hand_key *out)
{
	struct shelf *s = atomic_load_explicit(&k->shelves, memory_order_acquire);
	err_t err = 0;
	size_t i;

	if (k->base || k->base_object || k->loader.load)
		return err_set(ERR_INTERNAL, "a key that is not settled cannot be handed over");
	out->etype = k->e->id;
	out->exposure = k->exposure;
	for (; s && !err; s = s->next) {
		for (i = 0; i < s->n && !err; i++)
			err = give_slot(h, k, &s->slots[i], out);
	}
	if (!err && !out->n)
		err = err_set(ERR_INTERNAL, "a key without derived keys cannot be handed over");
	return err;
}

static err_t start(struct ks_key *const *keys, size_t n, struct ks_handover **out)
{
	struct ks_handover *h = calloc(1, sizeof(*h));
	size_t i;

	*out = h;
	if (!h)
		return ENOMEM;
	for (i = 0; i < n; i++) {
		if (keys[i] && !h->tok)
			h->tok = tok_ref(keys[i]->tok);
		else if (keys[i] && keys[i]->tok != h->tok)
			return err_set(ERR_INTERNAL, "keys of two tokens in one handover");
	}
	if (!h->tok)
		return err_set(ERR_INTERNAL, "a handover without keys");
	h->n = n;
	h->id.time = (int64_t)time(NULL);
	if (!secret_random(h->id.nonce, KS_HAND_NONCE))
		return err_set(ERR_INTERNAL, "libcrypto gives no random octets");
	return ks_state_id(h->tok, h->state);
}

err_t ks_handover_give(struct ks_key *const *keys, size_t n, struct ks_handover **out)
{
	struct ks_handover *h = NULL;
	err_t err;
	size_t i;

	*out = NULL;
	if (n > KS_HANDOVER_KEYS)
		return err_set(ERR_INTERNAL, "a handover of %zu keys", n);
	err = start(keys, n, &h);
	for (i = 0; i < n && !err; i++) {
		if (keys[i])
			err = give_key(h, keys[i], &h->keys[i]);
	}
	if (err)
		return ks_handover_undo(&h, err);
	trace("handover: %u keys are objects on token \"%s\"", h->id.index, label_of(h->tok));
	*out = h;
	return 0;
}

/* ---- taking ---- */

/* All objects, in the order of their indices. */
struct taken {
	struct tok_key *keys[KS_HANDOVER_KEYS * KS_HANDOVER_SLOTS];
	size_t n;
};

static void drop(struct taken *all)
{
	while (all->n)
		tok_key_unref(&all->keys[--all->n]);
}

static err_t take_one(const struct ks_handover *h, struct tok *t, struct taken *all)
{
	struct ks_hand_id name = h->id;
	uint8_t id[KS_HAND_ID];
	err_t err;

	name.index = (uint16_t)all->n;
	ks_hand_id_encode(&name, id);
	err = tok_key_take(t, KS_HAND_LABEL, id, sizeof(id), &all->keys[all->n]);
	if (!err)
		all->n++;
	if (err != ERR_KEY_ABSENT)
		return err;
	return err_set(err, "this security context was imported already, or its keys were swept "
		       "from token \"%s\" because nobody did in time", label_of(t));
}

void ks_handover_refuse_prf(struct ks_handover *h)
{
	h->refuse_prf = true;
}

/* By the role: what the blob calls its kind says nothing of what can be done with the key. */
static bool is_wanted(const struct ks_handover *h, const struct ks_hand_key *k,
		      const struct ks_hand_slot *s)
{
	const struct ks_etype *e = ks_etype_find(k->etype);

	return !h->refuse_prf || s->role != KS_KP || (e && e->family == KS_RFC3962);
}

static err_t build(const struct ks_handover *h, struct tok *t, const struct taken *all,
		   struct ks_key **keys)
{
	struct ks_slot_init init[KS_HANDOVER_SLOTS];
	const struct ks_hand_key *k;
	size_t i, j, n, at = 0;
	err_t err = 0;

	for (i = 0; i < h->n && !err; i++) {
		k = &h->keys[i];
		for (j = n = 0; j < k->n; j++, at++) {
			if (!is_wanted(h, k, &k->slots[j]))
				continue;
			init[n++] = (struct ks_slot_init){ k->slots[j].usage, k->slots[j].role,
							   k->slots[j].kind, all->keys[at] };
		}
		if (k->n)
			err = ks_key_from_slots(t, k->etype, init, n, k->exposure, &keys[i]);
	}
	return err;
}

static err_t destroy(const struct ks_handover *h, struct tok *t, size_t index)
{
	struct ks_hand_id name = h->id;
	uint8_t id[KS_HAND_ID];

	name.index = (uint16_t)index;
	ks_hand_id_encode(&name, id);
	return tok_object_destroy(t, KS_HAND_LABEL, id, sizeof(id));
}

/*
 * With the first object gone nobody else can take the context: from there on
 * it is ours, even should another object resist; then the claim stays, for the
 * sweep to remove after it.
 */
static err_t clear_token(const struct ks_handover *h, struct tok *t)
{
	err_t err, first = 0;
	size_t i;

	err = destroy(h, t, 0);
	if (err)
		return err_prefix(err, "the context's keys cannot be removed from the token, so that "
				  "others could import it, too");
	for (i = 1; i < h->id.index; i++) {
		err = destroy(h, t, i);
		if (err && err != ERR_KEY_ABSENT)
			first = err;
	}
	if (first)
		trace("handover: some objects are left on token \"%s\": %s", label_of(t),
		      err_text(first) ? err_text(first) : "");
	else
		ks_claim_release(t, h->id.nonce);
	return 0;
}

static err_t take_claimed(const struct ks_handover *h, struct tok *t, struct ks_key **keys)
{
	struct taken all = { .n = 0 };
	err_t err = 0;

	while (all.n < h->id.index && !err)
		err = take_one(h, t, &all);
	if (!err)
		err = build(h, t, &all, keys);
	drop(&all);
	if (!err)
		err = clear_token(h, t);
	return err;
}

static err_t check_state(const struct ks_handover *h, struct tok *t)
{
	uint8_t id[KS_STATE_ID];
	err_t err = ks_state_id(t, id);

	if (err || memcmp(id, h->state, sizeof(id)) == 0)
		return err;
	return err_set(ERR_CONFIG, "this security context was exported with another state directory "
		       "than %s, where processes agree on who imports it: exporter and importer "
		       "need the same state_dir, on the same host, as the same user",
		       tok_state_dir(t));
}

err_t ks_handover_take(struct ks_handover *h, struct tok *t, struct ks_key **keys)
{
	err_t err;
	size_t i;

	for (i = 0; i < h->n; i++)
		keys[i] = NULL;
	err = check_state(h, t);
	if (!err)
		err = ks_claim_take(t, h->id.nonce);
	if (err)
		return err;
	err = take_claimed(h, t, keys);
	if (err) {
		for (i = 0; i < h->n; i++)
			ks_key_unref(&keys[i]);
		ks_claim_release(t, h->id.nonce);
		return err;
	}
	trace("handover: %u keys taken from token \"%s\"", h->id.index, label_of(t));
	return 0;
}
