/* Derived keys: which kind needs which, and the way to the family's derivation. */
#include "keystore/derive.h"

#include <string.h>

#include <openssl/evp.h>

#include "keystore/for_user.h"
#include "keystore/probe.h"

size_t ks_kind_roles(enum ks_kind kind, enum ks_role roles[2])
{
	switch (kind) {
	case KS_CHECKSUM:
		roles[0] = KS_KC;
		return 1;
	case KS_PRF:
		roles[0] = KS_KP;
		return 1;
	case KS_FOR_USER:
		roles[0] = KS_KS;
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
	if (role == KS_KS)
		return KS_FOR_USER_LEN;
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

/* The usages of RFC 4120 7.5.1 whose plaintext has a key in it. */
static bool usage_has_hole(uint32_t usage)
{
	static const uint8_t usages[] = { 2, 3, 7, 8, 9, 11, 12, 14 };

	return usage && usage < 16 && memchr(usages, (int)usage, sizeof(usages));
}

unsigned ks_hole_use(unsigned caps, uint32_t usage, enum ks_role role, enum ks_kind kind)
{
	if (role != KS_KE || !usage_has_hole(usage))
		return 0;
	return (kind != KS_SEAL && (caps & KS_CAP_LIFT) ? TOK_UNWRAP : 0) |
	       (kind != KS_OPEN && (caps & KS_CAP_SEND) ? TOK_WRAP : 0);
}

err_t ks_deriver_init(const struct ks_etype *e, const uint8_t *base, struct ks_deriver *d)
{
	*d = (struct ks_deriver){ .e = e, .base = base };
	return e->family == KS_RFC3962 ? ks_sha1_deriver_init(d) : ks_sha2_deriver_init(d);
}

void ks_deriver_fini(struct ks_deriver *d)
{
	EVP_CIPHER_CTX_free(d->cipher);
	EVP_MAC_CTX_free(d->mac);
	secret_free(&d->whole);
	memset(d, 0, sizeof(*d));
}

err_t ks_derive(const struct ks_deriver *d, uint32_t usage, enum ks_role role, uint8_t *out)
{
	err_t err;

	if (role == KS_KS)
		err = ks_for_user_derive(d->e, d->base, out);
	else
		err = d->e->family == KS_RFC3962 ? ks_sha1_derive(d, usage, role, out)
						 : ks_sha2_derive(d, usage, role, out);
	if (err)
		secret_wipe(out, ks_derived_len(d->e, role));
	return err;
}

err_t ks_derive_bytes(const struct ks_etype *e, const uint8_t *base, uint32_t usage,
		      enum ks_role role, struct secret **out)
{
	struct ks_deriver d = { 0 };
	err_t err;

	*out = NULL;
	err = ks_deriver_init(e, base, &d);
	if (!err)
		err = secret_new(ks_derived_len(e, role), out);
	if (!err)
		err = ks_derive(&d, usage, role, (*out)->data);
	if (err)
		secret_free(out);
	ks_deriver_fini(&d);
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

	ks_role_spec(e, role, kind, &spec);
	return ks_derive_spec_on_token(e, base, usage, role, &spec, out);
}

err_t ks_derive_spec_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			      enum ks_role role, const struct tok_key_spec *spec,
			      struct tok_key **out)
{
	*out = NULL;
	if (role == KS_KS)
		return ks_for_user_on_token(e, base, spec, out);
	return e->family == KS_RFC3962
		? ks_sha1_derive_on_token(e, base, usage, role, spec, out)
		: ks_sha2_derive_on_token(e, base, usage, role, spec, out);
}
