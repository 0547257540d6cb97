/*
 * Ticket-granting tickets that are held: what S4U2Self and authorization data
 * need of a session key beyond what every ticket-granting ticket in the vault
 * has would cost all of them token objects.  So these requests get themselves
 * a ticket, whose key is session objects of this process.
 */
#include "mech/exchange_s4u.h"

#include <errno.h>
#include <string.h>

#include "keystore/conf.h"
#include "keystore/for_user.h"
#include "mech/mech.h"
#include "pkcs11/trace.h"

enum { USES = 8 };

/*
 * 2037-09-13, which Windows' clients ask for: no ticket in a cache lasts as long,
 * so that libkrb5 asks the KDC, which gives what it gives.
 */
#define LATER ((krb5_timestamp)2136422885)

static size_t uses_of(const struct mech_exchange *x, struct ks_use uses[USES])
{
	static const struct ks_use always[] = { { 6, KS_CHECKSUM }, { 7, KS_SEAL } };
	/* the reply, authorization data, PA-S4U-X509-USER: else a subkey's */
	static const struct ks_use hidden[] = {
		{ 8, KS_OPEN }, { 4, KS_SEAL }, { 26, KS_CHECKSUM }, { 27, KS_CHECKSUM }
	};
	size_t n = sizeof(always) / sizeof(always[0]);

	memcpy(uses, always, sizeof(always));
	if (x->on_token) {
		memcpy(uses + n, hidden, sizeof(hidden));
		n += sizeof(hidden) / sizeof(hidden[0]);
	}
	if (x->hold == EX_HOLD_FOR_USER)
		uses[n++] = (struct ks_use){ KS_FOR_USER_USAGE, KS_FOR_USER };
	return n;
}

err_t ex_held_take(struct mech_exchange *x, struct ks_key *key, struct ks_surrogate *out)
{
	struct ks_use uses[USES];
	err_t err;

	err = ks_key_prepare(key, uses, uses_of(x, uses));
	if (err == ERR_UNSUPPORTED && x->on_token && x->hold == EX_HOLD_FOR_USER)
		err = err_prefix(ERR_POLICY, "exposure = on-token: PA-FOR-USER's key cannot be made on "
				 "token \"%s\"", ks_token_label(x->tok));
	if (!err)
		err = ks_surrogate_random(x->tok, ks_key_etype(key)->id, out);
	if (err)
		return err;
	ks_key_forget(key);
	trace("kdc: a ticket-granting ticket's key is held for this one exchange");
	return 0;
}

static err_t new_cache(struct mech_exchange *x, krb5_creds *tgt, krb5_ccache *out)
{
	krb5_ccache cc = NULL;
	err_t err;

	err = mech_krb5_err(x->k5, krb5_cc_new_unique(x->k5, "MEMORY", NULL, &cc));
	if (err)
		return err;
	err = mech_krb5_err(x->k5, krb5_cc_initialize(x->k5, cc, tgt->client));
	if (!err)
		err = mech_krb5_err(x->k5, krb5_cc_store_cred(x->k5, cc, tgt));
	if (err)
		krb5_cc_destroy(x->k5, cc);
	else
		*out = cc;
	return err;
}

static err_t get_tgt(struct mech_exchange *x, krb5_ccache cc, krb5_creds **out)
{
	krb5_creds in = { .times.endtime = LATER };
	const krb5_data *r;
	err_t err;

	err = mech_krb5_err(x->k5, krb5_cc_get_principal(x->k5, cc, &in.client));
	if (err)
		return err;
	r = &in.client->realm;
	err = mech_krb5_err(x->k5, krb5_build_principal_ext(x->k5, &in.server, r->length, r->data,
							    KRB5_TGS_NAME_SIZE, KRB5_TGS_NAME,
							    r->length, r->data, 0));
	if (!err)
		err = mech_krb5_err(x->k5, krb5_get_credentials(x->k5, KRB5_GC_NO_STORE, cc, &in, out));
	krb5_free_principal(x->k5, in.client);
	krb5_free_principal(x->k5, in.server);
	return err;
}

err_t mech_exchange_held_tgt(struct mech_exchange *x, krb5_ccache cc, bool for_user,
			     krb5_ccache *out)
{
	krb5_creds *tgt = NULL;
	err_t err;

	*out = NULL;
	if (for_user && x->fips != KS_FIPS_OFF)
		return err_set(ERR_POLICY, "fips = %s refuses MD5: this KDC takes requests for another "
			       "user with PA-FOR-USER alone, which is signed with HMAC-MD5",
			       ks_fips_word(x->fips));
	x->hold = for_user ? EX_HOLD_FOR_USER : EX_HOLD;
	err = get_tgt(x, cc, &tgt);
	if (!err)
		err = new_cache(x, tgt, out);
	krb5_free_creds(x->k5, tgt);
	return err;
}
