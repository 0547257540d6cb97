/* Derived keys: which kind needs which, and the way to the family's derivation. */
#include "keystore/derive.h"

#include <string.h>

size_t ks_kind_roles(enum ks_kind kind, enum ks_role roles[2])
{
	switch (kind) {
	case KS_CHECKSUM:
		roles[0] = KS_KC;
		return 1;
	case KS_PRF:
		roles[0] = KS_KP;
		return 1;
	default:
		roles[0] = KS_KE;
		roles[1] = KS_KI;
		return 2;
	}
}

uint8_t ks_role_tag(enum ks_role role)
{
	static const uint8_t tags[] = { [KS_KE] = 0xAA, [KS_KI] = 0x55, [KS_KC] = 0x99, [KS_KP] = 0 };

	return tags[role];
}

size_t ks_derived_len(const struct ks_etype *e, enum ks_role role)
{
	return role == KS_KI || role == KS_KC ? e->mac_key_len : e->key_len;
}

void ks_role_spec(const struct ks_etype *e, enum ks_role role, enum ks_kind kind,
		  struct tok_key_spec *spec)
{
	spec->type = TOK_GENERIC;
	spec->use = TOK_SIGN;
	if (role == KS_KE || (role == KS_KP && e->family == KS_RFC3962))
		spec->type = TOK_AES;
	if (role == KS_KP && e->family == KS_RFC3962)
		spec->use = TOK_ENCRYPT;
	if (role == KS_KE)
		spec->use = (kind != KS_OPEN ? TOK_ENCRYPT : 0) |
			    (kind != KS_SEAL ? TOK_DECRYPT : 0);
}

err_t ks_deriver_new(const struct ks_etype *e, const uint8_t *base, struct secret **out)
{
	return e->family == KS_RFC3962 ? ks_sha1_deriver_new(e, base, out)
				       : ks_sha2_deriver_new(e, base, out);
}

void ks_derive(const struct ks_etype *e, struct secret *deriver, uint32_t usage,
	       enum ks_role role, uint8_t *out)
{
	if (e->family == KS_RFC3962)
		ks_sha1_derive(e, deriver, usage, role, out);
	else
		ks_sha2_derive(e, deriver, usage, role, out);
}

err_t ks_derive_bytes(const struct ks_etype *e, const uint8_t *base, uint32_t usage,
		      enum ks_role role, struct secret **out)
{
	struct secret *deriver = NULL;
	err_t err;

	*out = NULL;
	err = ks_deriver_new(e, base, &deriver);
	if (!err)
		err = secret_new(ks_derived_len(e, role), out);
	if (!err)
		ks_derive(e, deriver, usage, role, (*out)->data);
	secret_free(&deriver);
	return err;
}

err_t ks_role_import(struct tok *t, const struct ks_etype *e, const struct tok_key_spec *spec,
		     const struct secret *value, struct tok_key **out)
{
	return tok_key_import(t, spec, value->data, value->len,
			      spec->type == TOK_GENERIC ? e->hash_len : 0, out);
}

err_t ks_derive_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			 enum ks_role role, enum ks_kind kind, struct tok_key **out)
{
	struct tok_key_spec spec = { 0 };

	*out = NULL;
	ks_role_spec(e, role, kind, &spec);
	return e->family == KS_RFC3962
		? ks_sha1_derive_on_token(e, base, usage, role, &spec, out)
		: ks_sha2_derive_on_token(e, base, usage, role, &spec, out);
}
