/* The life of a key: base, prepare, park, forget. */
#include "keystore/key_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

#include "keystore/derive.h"
#include "keystore/probe.h"
#include "keystore/vault.h"
#include "pkcs11/trace.h"

static err_t key_new(struct tok *t, int32_t etype, enum ks_exposure exposure,
		     struct ks_key **out)
{
	const struct ks_etype *e = ks_etype_find(etype);
	unsigned caps;
	struct ks_key *k;
	err_t err;

	*out = NULL;
	if (!e)
		return err_set(KRB5_BAD_ENCTYPE, "encryption type %d is not supported", etype);
	err = ks_exposure_check(t, etype, false);
	if (!err)
		err = ks_caps_get(t, &caps);
	if (err)
		return err;
	k = calloc(1, sizeof(*k));
	if (!k)
		return ENOMEM;
	atomic_init(&k->refs, 1);
	k->tok = tok_ref(t);
	k->e = e;
	k->caps = caps;
	k->exposure = exposure;
	*out = k;
	return 0;
}

err_t ks_key_generate(struct tok *t, int32_t etype, struct ks_key **out)
{
	struct ks_key *k = NULL;
	err_t err;

	*out = NULL;
	err = key_new(t, etype, KS_TRANSIENT, &k);
	if (!err)
		err = secret_new(k->e->key_len, &k->base);
	if (!err)
		err = tok_random(t, k->base->data, k->base->len);
	if (err) {
		ks_key_unref(&k);
		return err;
	}
	*out = k;
	return 0;
}

err_t ks_key_from_bytes(struct tok *t, int32_t etype, const uint8_t *bytes, size_t len,
			struct ks_key **out)
{
	struct ks_key *k = NULL;
	err_t err;

	*out = NULL;
	err = key_new(t, etype, KS_TRANSIENT, &k);
	if (!err && len != k->e->key_len)
		err = err_set(KRB5_BAD_KEYSIZE, "a key of %zu octets is no %s key",
			      len, k->e->name);
	if (!err)
		err = secret_new(len, &k->base);
	if (err) {
		ks_key_unref(&k);
		return err;
	}
	memcpy(k->base->data, bytes, len);
	*out = k;
	return 0;
}

err_t ks_key_from_token_object(struct tok *t, int32_t etype, struct tok_key *base,
			       struct ks_key **out)
{
	err_t err = key_new(t, etype, KS_ON_TOKEN, out);

	if (!err)
		(*out)->base_object = tok_key_ref(base);
	return err;
}

err_t ks_key_from_slots(struct tok *t, int32_t etype, const struct ks_slot_init *slots,
			size_t n, enum ks_exposure exposure, struct ks_key **out)
{
	struct shelf *s = NULL;
	err_t err = key_new(t, etype, exposure, out);

	if (!err)
		err = ks_shelf_new(n, &s);
	if (err) {
		ks_key_unref(out);
		return err;
	}
	for (; s->n < n; s->n++) {
		s->slots[s->n].usage = slots[s->n].usage;
		s->slots[s->n].role = slots[s->n].role;
		s->slots[s->n].kind = slots[s->n].kind;
		atomic_init(&s->slots[s->n].key, tok_key_ref(slots[s->n].key));
	}
	ks_shelf_publish(*out, &s);
	return 0;
}

void ks_key_set_loader(struct ks_key *k, const struct ks_loader *loader)
{
	k->loader = *loader;
}

/* ---- prepare and park ---- */

enum { ROLES = 4 };              /* derived keys of one use at most */

/* What one call of either works with. */
struct work {
	struct ks_key *k;
	struct shelf *shelf;
	struct ks_deriver deriver;              /* of the base's octets, if it has them */
	struct secret *values;                  /* PARKED octets a slot of shelf */
	bool park;
};

static void work_fini(struct work *w)
{
	ks_shelf_free(&w->shelf);
	ks_deriver_fini(&w->deriver);
	secret_free(&w->values);
}

static err_t work_init(struct work *w, struct ks_key *k, size_t uses, bool park)
{
	err_t err;

	memset(w, 0, sizeof(*w));
	w->k = k;
	/* What was derived on the token never comes out: it stays there. */
	w->park = park && k->base && (k->caps & KS_CAP_GENERATE);
	err = ks_shelf_new(ROLES * uses, &w->shelf);
	if (!err)
		err = secret_new((w->park ? ROLES * uses : 1) * PARKED, &w->values);
	if (!err && k->base)
		err = ks_deriver_init(k->e, k->base->data, &w->deriver);
	return err;
}

/* Derives on the host; imports the result, or leaves it in values to be parked. */
static err_t derive_host(struct work *w, struct slot *slot)
{
	const size_t at = w->park ? (size_t)(slot - w->shelf->slots) * PARKED : 0;
	struct secret value = { w->values->data + at, ks_derived_len(w->k->e, slot->role), PARKED };
	struct tok_key_spec spec = { 0 };
	struct tok_key *key = NULL;
	err_t err;

	err = ks_derive(&w->deriver, slot->usage, slot->role, value.data);
	if (err || w->park)
		return err;
	ks_role_spec(w->k->e, slot->role, slot->kind, &spec);
	spec.use |= ks_hole_use(w->k->caps, slot->usage, slot->role, slot->kind);
	err = ks_role_import(w->k->tok, w->k->e, &spec, &value, &key);
	atomic_init(&slot->key, key);
	return err;
}

static err_t derive_token(struct work *w, struct slot *slot)
{
	struct ks_key *k = w->k;
	struct tok_key_spec spec = { 0 };
	struct tok_key *key = NULL;
	err_t err;

	ks_role_spec(k->e, slot->role, slot->kind, &spec);
	spec.use |= ks_hole_use(k->caps, slot->usage, slot->role, slot->kind);
	err = ks_derive_spec_on_token(k->e, k->base_object, slot->usage, slot->role, &spec, &key);
	atomic_init(&slot->key, key);
	if (err == ERR_UNSUPPORTED && slot->role != KS_KS)
		err_prefix(err, "deriving %s keys on the token needs %s", k->e->name,
			   ks_cap_mechanism(ks_cap_derive(k->e->id)));
	return err;
}

static err_t add(struct work *w, uint32_t usage, enum ks_role role, enum ks_kind kind)
{
	struct slot *slot = &w->shelf->slots[w->shelf->n];
	err_t err;

	if (!w->k->base && !w->k->base_object)
		return err_set(ERR_INTERNAL, "key usage %u comes too late: this %s key's base "
			       "is forgotten", usage, w->k->e->name);
	slot->usage = usage;
	slot->role = role;
	slot->kind = kind;
	err = w->k->base ? derive_host(w, slot) : derive_token(w, slot);
	if (!err)
		w->shelf->n++;
	return err;
}

/* RFC 3962's messages with hidden octets need two more, where keys never leave the token. */
static err_t derive_pads(struct work *w, const struct ks_use *use)
{
	static const enum ks_role roles[] = { KS_IPAD, KS_OPAD };
	struct ks_key *k = w->k;
	struct tok_key *pads[2] = { NULL, NULL };
	size_t i;
	err_t err;

	err = ks_pads_on_token(k->e, k->base_object, use->usage, pads);
	for (i = 0; i < 2 && !err; i++) {
		w->shelf->slots[w->shelf->n].usage = use->usage;
		w->shelf->slots[w->shelf->n].role = roles[i];
		w->shelf->slots[w->shelf->n].kind = use->kind;
		atomic_init(&w->shelf->slots[w->shelf->n++].key, pads[i]);
	}
	return err;
}

/* A bundle may have them, or may be one of those that do without. */
static err_t load_pads(struct ks_key *k, const struct ks_use *use)
{
	struct tok_key *key;
	err_t err;

	err = ks_slot_key(k, use->usage, KS_IPAD, use->kind, &key);
	if (!err)
		err = ks_slot_key(k, use->usage, KS_OPAD, use->kind, &key);
	return err == ERR_KEY_ABSENT ? 0 : err;
}

static err_t add_pads(struct work *w, const struct ks_use *use)
{
	struct ks_key *k = w->k;

	if (k->exposure != KS_ON_TOKEN || k->e->family != KS_RFC3962 ||
	    !ks_hole_use(k->caps, use->usage, KS_KE, use->kind) ||
	    ks_shelf_find(w->shelf, use->usage, KS_IPAD, use->kind) ||
	    ks_slot_find(k, use->usage, KS_IPAD, use->kind))
		return 0;
	return k->loader.load ? load_pads(k, use) : derive_pads(w, use);
}

static err_t add_use(struct work *w, const struct ks_use *use)
{
	const uint32_t usage = use->kind == KS_PRF ? 0 : use->usage;
	enum ks_role roles[2];
	size_t i, n = ks_kind_roles(use->kind, roles);
	struct tok_key *key;
	err_t err = 0;

	for (i = 0; i < n && !err; i++) {
		if (ks_shelf_find(w->shelf, usage, roles[i], use->kind))
			continue;
		if (!ks_slot_find(w->k, usage, roles[i], use->kind) && !w->k->loader.load)
			err = add(w, usage, roles[i], use->kind);
		else if (!w->park)      /* it may be parked, or in a bundle: bring it in */
			err = ks_slot_key(w->k, usage, roles[i], use->kind, &key);
	}
	return err || roles[0] != KS_KE ? err : add_pads(w, use);
}

static err_t work_run(struct ks_key *k, const struct ks_use *uses, size_t n, bool park)
{
	struct work w;
	size_t i;
	err_t err = work_init(&w, k, n, park);

	for (i = 0; i < n && !err; i++)
		err = add_use(&w, &uses[i]);
	if (!err && w.park && w.shelf->n)
		err = ks_shelf_park(k, w.shelf, w.values);
	if (!err) {
		trace("key: %zu derived keys of %s %s, exposure %s", w.shelf->n, k->e->name,
		      w.park ? "parked" : "on the token",
		      k->stands_in ? "none (a surrogate)" :
		      k->exposure == KS_ON_TOKEN ? "on-token" : "transient");
		ks_shelf_publish(k, &w.shelf);
	}
	work_fini(&w);
	return err;
}

err_t ks_key_prepare(struct ks_key *k, const struct ks_use *uses, size_t n)
{
	return work_run(k, uses, n, false);
}

err_t ks_key_park(struct ks_key *k, const struct ks_use *uses, size_t n)
{
	return work_run(k, uses, n, true);
}

/* ---- the rest of its life ---- */

void ks_key_forget(struct ks_key *k)
{
	secret_free(&k->base);
	tok_key_unref(&k->base_object);
	tok_key_unref(&k->send_object);
}

struct ks_key *ks_key_ref(struct ks_key *k)
{
	if (k)
		atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void ks_key_unref(struct ks_key **kp)
{
	struct ks_key *k = kp ? *kp : NULL;
	struct shelf *s, *next;

	if (!k)
		return;
	*kp = NULL;
	if (atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
		return;
	ks_key_forget(k);
	tok_key_unref(&k->readable);
	for (s = atomic_load(&k->shelves); s; s = next) {
		next = s->next;
		ks_shelf_free(&s);
	}
	if (k->loader.free_arg)
		k->loader.free_arg(k->loader.arg);
	tok_unref(&k->tok);
	free(k);
}

void ks_key_stands_in(struct ks_key *k)
{
	k->stands_in = true;
}

const struct ks_etype *ks_key_etype(const struct ks_key *k)
{
	return k->e;
}

enum ks_exposure ks_key_exposure(const struct ks_key *k)
{
	return k->exposure;
}

struct tok *ks_key_token(const struct ks_key *k)
{
	return k->tok;
}

const struct secret *ks_key_base(const struct ks_key *k)
{
	return k->base;
}

struct tok_key *ks_key_base_object(const struct ks_key *k)
{
	return k->base_object;
}
