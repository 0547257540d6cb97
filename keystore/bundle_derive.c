/* A bundle out of a key that is on the token: every part is derived there, as a token object. */
#include "keystore/bundle.h"

#include <krb5.h>

#include "keystore/derive.h"
#include "keystore/probe.h"

/* Where the parts go, and what decides what they may do. */
struct derivation {
	const struct ks_etype *e;
	struct tok_key *base;
	struct tok_key_spec place;
	unsigned caps;
};

static err_t part_derive(const struct derivation *d, const struct ks_bundle_part *p)
{
	struct tok_key_spec spec = d->place;
	struct tok_key *made = NULL;
	err_t err;

	if (p->code == KS_PART_IPAD || p->code == KS_PART_OPAD) {
		spec.type = TOK_GENERIC;
		err = ks_pad_on_token(d->e, d->base, p->usage,
				      p->code == KS_PART_IPAD ? KS_IPAD : KS_OPAD, &spec, &made);
	} else {
		ks_role_spec(d->e, p->role, p->kind, &spec);
		spec.use |= ks_hole_use(d->caps, p->usage, p->role, p->kind);
		err = ks_derive_spec_on_token(d->e, d->base, p->usage, p->role, &spec, &made);
	}
	tok_key_unref(&made);
	return err;
}

err_t ks_bundle_derive(struct tok *t, const char *label, const struct ks_id *id,
		       unsigned use, struct tok_key *base)
{
	struct derivation d = {
		.e = ks_etype_find(id->etype), .base = base,
		.place = { .on_token = true, .label = label },
	};
	const struct ks_bundle_part *p;
	uint8_t buf[KS_ID_MAX];
	size_t i;
	err_t err;

	if (!d.e)
		return err_set(KRB5_BAD_ENCTYPE, "enctype %d has no bundle", (int)id->etype);
	d.place.id = buf;
	err = ks_caps_get(t, &d.caps);
	for (i = 0; !err && (p = ks_bundle_part_at(d.e, use, i)); i++) {
		d.place.id_len = ks_bundle_part_id(id, p, buf);
		err = part_derive(&d, p);
	}
	return err;
}
