/* Removing what was given and never taken. */
#include "keystore/handover_int.h"

#include <string.h>
#include <time.h>

#include "pkcs11/object.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

struct sweep {
	struct tok *tok;
	int64_t age, now;
	bool dry_run;
	struct tok_object *objs;
	size_t n;
	struct ks_swept *out;
};

/* The object's name, if it is one of a handover. */
static bool is_ours(const struct tok_object *o, struct ks_hand_id *id)
{
	return o->label && strcmp(o->label, KS_HAND_LABEL) == 0 &&
	       ks_hand_id_decode(o->id, o->id_len, id);
}

/* Old enough; and nobody is in the midst of taking it. */
static bool is_orphan(const struct sweep *s, const struct ks_hand_id *id)
{
	int64_t claimed;

	if (id->time > s->now || s->now - id->time < s->age)
		return false;
	claimed = ks_claim_age(s->tok, id->nonce);
	return claimed < 0 || claimed >= s->age;
}

/* Was another object of this context met before the i-th? */
static bool seen_before(const struct sweep *s, size_t i, const struct ks_hand_id *id)
{
	struct ks_hand_id other;

	while (i-- > 0) {
		if (is_ours(&s->objs[i], &other) &&
		    memcmp(other.nonce, id->nonce, KS_HAND_NONCE) == 0)
			return true;
	}
	return false;
}

static err_t sweep_object(struct sweep *s, size_t i)
{
	const struct tok_object *o = &s->objs[i];
	struct ks_hand_id id;
	err_t err = 0;

	if (!is_ours(o, &id) || !is_orphan(s, &id))
		return 0;
	if (!s->dry_run)
		err = tok_object_destroy(s->tok, o->label, o->id, o->id_len);
	if (err)
		return err == ERR_KEY_ABSENT ? 0 : err;   /* somebody else was first */
	s->out->objects++;
	s->out->contexts += !seen_before(s, i, &id);
	return 0;
}

/* A claim outlives the objects that it guards. */
static void sweep_claim(void *arg, const uint8_t *nonce)
{
	struct sweep *s = arg;
	struct ks_hand_id id;
	size_t i;

	if (ks_claim_age(s->tok, nonce) < s->age)
		return;
	for (i = 0; i < s->n; i++) {
		if (is_ours(&s->objs[i], &id) && memcmp(id.nonce, nonce, KS_HAND_NONCE) == 0 &&
		    !(s->dry_run && is_orphan(s, &id)))
			return;
	}
	s->out->claims++;
	if (!s->dry_run)
		ks_claim_release(s->tok, nonce);
}

/* The objects that are there now. */
static err_t look(struct sweep *s)
{
	tok_objects_free(&s->objs, s->n);
	s->n = 0;
	return tok_objects_list(s->tok, KS_HAND_LABEL, &s->objs, &s->n);
}

err_t ks_handover_sweep(struct tok *t, int64_t age, bool dry_run, struct ks_swept *out)
{
	struct sweep s = { .tok = t, .age = age, .now = (int64_t)time(NULL), .dry_run = dry_run,
			   .out = out };
	err_t err, first = 0;
	size_t i;

	*out = (struct ks_swept){ 0 };
	err = look(&s);
	if (err)
		return err;
	for (i = 0; i < s.n; i++) {
		err = sweep_object(&s, i);
		if (err && !first)
			first = err;
	}
	err = look(&s);
	if (!err && tok_state_dir(t)[0])
		err = ks_claims_each(t, sweep_claim, &s);
	tok_objects_free(&s.objs, s.n);
	trace("handover: %zu objects of %zu contexts and %zu claims swept%s", out->objects,
	      out->contexts, out->claims, dry_run ? " (dry run)" : "");
	return first ? first : err;
}
