/*
 * Armor for FAST (RFC 6113 5.4.1.1): the cache that it comes from, and the key
 * that is made of its ticket's session key and the subkey in an AP-REQ.  Where
 * the cache has surrogates the AP-REQ is sealed again, and there are two armor
 * keys: the KDC's, made with the PRF key in the vault, and libkrb5's, which
 * seals nothing that leaves this process.
 */
#include <string.h>

#include "keystore/ccache.h"
#include "keystore/conf.h"
#include "keystore/cf2.h"
#include "mech/exchange_fast_int.h"
#include "mech/mech.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* ---- the cache that armor comes from ---- */

err_t mech_exchange_armor(struct mech_exchange *x, const char *ccache)
{
	krb5_principal client = NULL;
	struct ks_token_id id;
	err_t err;

	if (x->on_token)
		return err_set(ERR_POLICY, "exposure = on-token: FAST (armor_ccache) makes its keys in "
			       "memory; use exposure = transient, or no armor_ccache");
	err = mech_krb5_err(x->k5, krb5_cc_resolve(x->k5, ccache, &x->armor));
	if (!err)
		err = mech_krb5_err(x->k5, krb5_cc_get_principal(x->k5, x->armor, &client));
	krb5_free_principal(x->k5, client);
	if (err)
		return err_prefix(err, "armor_ccache, which must name a cache with tickets to armor "
				  "requests with (kinit -n)");
	x->armor_ours = ks_ccache_marked(x->k5, x->armor, &id);
	if (!x->armor_ours)
		return 0;
	err = mech_exchange_ccache(x, x->armor);
	return err ? err_prefix(err, "armor_ccache") : 0;
}

err_t ex_armor_others(const struct mech_exchange *x)
{
	return err_set(ERR_UNSUPPORTED, "armor_ccache %s:%s holds no keys, they are on token \"%s\": "
		       "with a card initial tickets take an ordinary cache's armor, for example of "
		       "\"kinit -n\", since libkrb5 does not let anybody else change the request that "
		       "the KDC signs with the card's reply key", krb5_cc_get_type(x->k5, x->armor),
		       krb5_cc_get_name(x->k5, x->armor), ks_token_label(x->tok));
}

err_t mech_exchange_armor_card(const struct mech_exchange *x)
{
	return x->armor_ours ? ex_armor_others(x) : 0;
}

err_t mech_exchange_armor_opt(krb5_context k5, const char *ccache, krb5_get_init_creds_opt *opt)
{
	krb5_error_code code;

	code = krb5_get_init_creds_opt_set_fast_ccache_name(k5, opt, ccache);
	if (!code)
		code = krb5_get_init_creds_opt_set_fast_flags(k5, opt, KRB5_FAST_REQUIRED);
	return mech_krb5_err(k5, code);
}

/* ---- its ticket's session key ---- */

static const struct ks_use real_uses[] = { { 11, KS_SEAL }, { 0, KS_PRF } };
static const struct ks_use read_uses[] = { { 11, KS_OPEN }, { 0, KS_PRF } };

static const char armor_key[] = "the session key of the ticket in armor_ccache";

/* libkrb5 asks for a ticket of an enctype that it may have, with one that it has of any. */
err_t ex_armor_fetch(const struct mech_exchange *x, int32_t etype)
{
	return x->armor ? ks_fips_check(x->fips, etype, armor_key) : 0;
}

static err_t no_ticket(void)
{
	return err_set(KRB5_CC_NOTFOUND, "a request's armor is not of armor_ccache");
}

/* The ordinary cache's ticket with this cipher. */
static err_t find_ticket(struct mech_exchange *x, struct der_str cipher, krb5_creds *out)
{
	krb5_cc_cursor cursor;
	krb5_error_code code;
	bool found = false;

	code = krb5_cc_start_seq_get(x->k5, x->armor, &cursor);
	if (code)
		return mech_krb5_err(x->k5, code);
	while (!found && (code = krb5_cc_next_cred(x->k5, x->armor, &cursor, out)) == 0) {
		found = memmem(out->ticket.data, out->ticket.length, cipher.p, cipher.len) != NULL;
		if (!found)
			krb5_free_cred_contents(x->k5, out);
	}
	krb5_cc_end_seq_get(x->k5, x->armor, &cursor);
	return found ? 0 : no_ticket();
}

static err_t ordinary_key(struct mech_exchange *x, struct der_str cipher, struct ks_key **out)
{
	krb5_creds creds = { 0 };
	err_t err;

	err = find_ticket(x, cipher, &creds);
	if (!err)
		err = ks_fips_check(x->fips, creds.keyblock.enctype, armor_key);
	if (!err)
		err = ks_key_from_bytes(x->tok, creds.keyblock.enctype, creds.keyblock.contents,
					creds.keyblock.length, out);
	if (!err)
		err = ks_key_prepare(*out, read_uses, 2);
	krb5_free_cred_contents(x->k5, &creds);
	return err;
}

static err_t vault_key(struct mech_exchange *x, const struct ks_surrogate *s, struct ks_key **out)
{
	const struct ks_etype *e;
	err_t err;

	err = ks_fips_check(x->fips, s->etype, armor_key);
	if (!err)
		err = ks_vault_key(x->tok, s, out);
	if (err)
		return err_prefix(err, "armor_ccache");
	e = ks_key_etype(*out);
	if (e->family != KS_RFC3962)
		return err_set(ERR_UNSUPPORTED, "armor_ccache: the ticket's session key is of enctype "
			       "%s, which makes pseudo-random output of the key itself, and that is "
			       "not on token \"%s\": get its tickets with aes128-cts or aes256-cts "
			       "session keys (default_tkt_enctypes), or take an ordinary cache",
			       e->name, ks_token_label(x->tok));
	err = ks_key_prepare(*out, real_uses, 2);
	return err ? err_prefix(err, "armor_ccache") : 0;
}

/* The key on the token, and what libkrb5 has for it. */
static err_t token_keys(struct mech_exchange *x, struct der_str cipher, struct ks_key **real,
			struct ks_key **surrogate)
{
	struct ex_ticket *t;
	err_t err;

	err = ex_ticket_find(x, cipher, &t);
	if (err)
		return err;
	if (!t)
		return no_ticket();
	err = vault_key(x, &t->surrogate, real);
	if (!err)
		err = ks_key_from_bytes(x->tok, t->surrogate.etype, t->surrogate.octets,
					t->surrogate.len, surrogate);
	if (err)
		return err;
	ks_key_stands_in(*surrogate);
	return ks_key_prepare(*surrogate, read_uses, 2);
}

/* ---- the armor key ---- */

static err_t combine(struct ks_key *ticket, struct ks_key *subkey, struct ks_key **out)
{
	static const struct ks_use uses[] = {
		{ 51, KS_SEAL_OPEN }, { 52, KS_SEAL_OPEN }, { 0, KS_PRF },
		{ 50, KS_CHECKSUM }, { 53, KS_CHECKSUM }
	};
	static const struct ks_use prf = { 0, KS_PRF };
	const struct ks_cf2_part a = { subkey, "subkeyarmor" }, b = { ticket, "ticketarmor" };
	err_t err;

	if (!subkey)
		return err_set(ERR_UNSUPPORTED, "FAST armor without a subkey of an enctype that this "
			       "module does");
	err = ks_key_prepare(subkey, &prf, 1);
	if (!err)
		err = ks_cf2(&a, &b, out);
	return err ? err : ks_key_prepare(*out, uses, 5);
}

/* The AP-REQ as the KDC is to have it: its authenticator, over the place of libkrb5's. */
static err_t seal_again(struct ks_key *real, const struct ks_opened *auth, struct der_str at,
			const struct ex_copy *c)
{
	const struct ks_plain plain = { .usage = 11, .p = auth->bytes, .len = auth->len,
					.hole = auth->key, .at = auth->key_at };
	const struct ap_encrypted enc = { .cipher = at };

	return ex_fast_seal(real, &plain, &enc, c);
}

static err_t make_armor(struct mech_exchange *x, const struct ap_req *ap, const struct ex_copy *c)
{
	const struct ks_cipher in = { .usage = 11, .p = ap->auth.cipher.p,
				      .len = ap->auth.cipher.len };
	struct ks_key *real = NULL, *known = NULL;
	struct ex_pending *p = &x->pending;
	struct ks_opened auth = { 0 };
	err_t err;

	err = x->armor_ours ? token_keys(x, ap->ticket.enc.cipher, &real, &known)
			    : ordinary_key(x, ap->ticket.enc.cipher, &known);
	if (!err)
		err = ks_part_open(known, KS_AUTHENTICATOR, &in, x->tok, &auth);
	if (!err)
		err = combine(known, auth.key, &p->armor_as);
	if (!err && !real)
		p->armor = ks_key_ref(p->armor_as);
	else if (!err)
		err = combine(real, auth.key, &p->armor);
	if (!err && real) {
		ks_key_stands_in(p->armor_as);
		err = seal_again(real, &auth, ap->auth.cipher, c);
	}
	ks_opened_fini(&auth);
	ks_key_unref(&real);
	ks_key_unref(&known);
	return err;
}

err_t ex_armor_open(struct mech_exchange *x, struct der_str ap_req, const struct ex_copy *c)
{
	struct ap_req ap;
	err_t err;

	err = mech_ap_req_read(ap_req.p, ap_req.len, &ap);
	if (err)
		return err_set(err, "FAST armor is no AP-REQ");
	err = make_armor(x, &ap, c);
	if (!err)
		trace("kdc: FAST armor of %s; its keys are in memory, exposure transient",
		      x->armor_ours ? "a ticket whose session key is on the token"
				    : "an ordinary cache");
	return err;
}
