/*
 * A password's keys, in FAST with armor whose key libkrb5 does not have: its
 * encrypted challenge is made again, and so is what it checks in the reply.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/s2k.h"
#include "mech/exchange_fast_int.h"
#include "mech/mech.h"
#include "pkcs11/secret.h"

static const struct ks_use uses[] = {
	{ 0, KS_PRF }, { 3, KS_SEAL_OPEN }, { 56, KS_CHECKSUM }
};

err_t mech_exchange_password(struct mech_exchange *x, krb5_const_principal client,
			     const char *password)
{
	const size_t n = strlen(password);
	err_t err;

	if (x->client || x->password)
		return err_set(ERR_INTERNAL, "an exchange has one client");
	err = secret_new(n + 1, &x->password);
	if (err)
		return err;
	memcpy(x->password->data, password, n + 1);
	x->password->len = n;
	return mech_krb5_err(x->k5, krb5_copy_principal(x->k5, client, &x->client));
}

err_t ex_password_learn(struct mech_exchange *x, struct der_str padata)
{
	struct kdc_pa pa;

	if (!x->password || !mech_kdc_pa_find(padata, KDC_PA_ETYPE_INFO2, &pa))
		return 0;
	if (x->salts && x->salts_len == pa.value.len && !memcmp(x->salts, pa.value.p, x->salts_len))
		return 0;
	free(x->salts);
	x->salts_len = x->salts_tried = 0;
	x->salts = malloc(pa.value.len + 1);
	if (!x->salts)
		return err_set(ENOMEM, "out of memory for a KDC message");
	memcpy(x->salts, pa.value.p, pa.value.len);
	x->salts_len = pa.value.len;
	return 0;
}

static err_t salt_of(struct mech_exchange *x, const struct kdc_salt *s, krb5_data *out)
{
	if (!s->has_salt)
		return mech_krb5_err(x->k5, krb5_principal2salt(x->k5, x->client, out));
	out->data = malloc(s->salt.len + 1);
	if (!out->data)
		return err_set(ENOMEM, "out of memory for a password's key");
	memcpy(out->data, s->salt.p, s->salt.len);
	out->length = (unsigned)s->salt.len;
	return 0;
}

static err_t make_key(struct mech_exchange *x, const struct kdc_salt *s, struct ks_key **out)
{
	struct ks_password in = { .text = x->password };
	err_t err;

	in.params.data = (char *)(uintptr_t)s->params.p;
	in.params.length = (unsigned)s->params.len;
	err = salt_of(x, s, &in.salt);
	if (!err)
		err = ks_key_from_password(x->tok, x->k5, s->etype, &in, out);
	if (!err)
		err = ks_key_prepare(*out, uses, 3);
	krb5_free_data_contents(x->k5, &in.salt);
	return err;
}

static err_t add_key(struct mech_exchange *x, const struct kdc_salt *s)
{
	struct ex_client_key *k = &x->keys[x->n_keys];
	err_t err = make_key(x, s, &k->real);

	if (err) {
		ks_key_unref(&k->real);
		return err_prefix(err, "the password's key");
	}
	k->surrogate = ks_key_ref(k->real);
	x->n_keys++;
	return 0;
}

/* Salts that were tried already are passed over, until the KDC says others. */
err_t ex_password_next(struct mech_exchange *x)
{
	struct der_str list = { NULL, 0 };
	struct kdc_salt s;
	size_t at;

	if (!x->password || !x->salts || x->n_keys == EX_CLIENT_KEYS ||
	    mech_kdc_salts_enter(x->salts, x->salts_len, &list))
		return KRB5KRB_AP_ERR_BAD_INTEGRITY;
	for (at = 0; mech_kdc_salts_next(&list, &s); at++) {
		if (at < x->salts_tried || !ks_etype_find(s.etype))
			continue;
		x->salts_tried = at + 1;
		return add_key(x, &s);
	}
	return KRB5KRB_AP_ERR_BAD_INTEGRITY;
}
