/* FAST in AS exchanges: the armor, and the client's challenge. */
#include "mech/exchange_fast.h"

#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "keystore/cf2.h"
#include "mech/exchange_fast_int.h"
#include "mech/mech.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

static const struct ks_use prf = { 0, KS_PRF };

/* ---- the cache that armor comes from ---- */

err_t mech_exchange_armor(struct mech_exchange *x, const char *ccache)
{
	struct ks_token_id id;
	err_t err;

	if (x->on_token)
		return err_set(ERR_POLICY, "exposure = on-token: FAST (armor_ccache) makes its keys in "
			       "memory; use exposure = transient, or no armor_ccache");
	err = mech_krb5_err(x->k5, krb5_cc_resolve(x->k5, ccache, &x->armor));
	if (err)
		return err_prefix(err, "armor_ccache");
	if (!ks_ccache_marked(x->k5, x->armor, &id))
		return 0;
	return err_set(ERR_UNSUPPORTED, "armor_ccache %s holds no keys, they are on token \"%s\": armor "
		       "for FAST takes an ordinary cache, for example of \"kinit -n\"", ccache,
		       id.label);
}

/* The cache's ticket with this cipher. */
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
	return found ? 0 : err_set(KRB5_CC_NOTFOUND, "a request's armor is not of armor_ccache");
}

/* ---- the armor key: of the ticket's session key and the subkey in its AP-REQ ---- */

static err_t combine(struct ks_key *ticket, struct ks_key *subkey, struct ks_key **out)
{
	static const struct ks_use uses[] = {
		{ 51, KS_SEAL_OPEN }, { 52, KS_SEAL_OPEN }, { 0, KS_PRF }
	};
	const struct ks_cf2_part a = { subkey, "subkeyarmor" }, b = { ticket, "ticketarmor" };
	err_t err;

	if (!subkey)
		return err_set(ERR_UNSUPPORTED, "FAST armor without a subkey of an enctype that this "
			       "module does");
	err = ks_key_prepare(subkey, &prf, 1);
	if (!err)
		err = ks_cf2(&a, &b, out);
	if (!err)
		err = ks_key_prepare(*out, uses, 3);
	return err;
}

static err_t open_armor(struct mech_exchange *x, struct der_str ap_req, struct ks_key **out)
{
	static const struct ks_use uses[] = { { 11, KS_OPEN }, { 0, KS_PRF } };
	struct ks_cipher in = { .usage = 11 };
	struct ks_opened auth = { 0 };
	struct ks_key *ticket = NULL;
	krb5_creds creds = { 0 };
	struct ap_req ap;
	err_t err;

	err = mech_ap_req_read(ap_req.p, ap_req.len, &ap);
	if (err)
		return err_set(err, "FAST armor is no AP-REQ");
	err = find_ticket(x, ap.ticket.enc.cipher, &creds);
	if (!err)
		err = ks_key_from_bytes(x->tok, creds.keyblock.enctype, creds.keyblock.contents,
					creds.keyblock.length, &ticket);
	if (!err)
		err = ks_key_prepare(ticket, uses, 2);
	in.p = ap.auth.cipher.p;
	in.len = ap.auth.cipher.len;
	if (!err)
		err = ks_part_open(ticket, KS_AUTHENTICATOR, &in, x->tok, &auth);
	if (!err)
		err = combine(ticket, auth.key, out);
	ks_opened_fini(&auth);
	ks_key_unref(&ticket);
	krb5_free_cred_contents(x->k5, &creds);
	return err;
}

/* ---- challenges ---- */

bool ex_fast_able(struct ks_key *client)
{
	if (ks_key_prepare(client, &prf, 1) == 0)
		return true;
	trace("kdc: a client's %s key gives no pseudo-random output, which FAST needs",
	      ks_key_etype(client)->name);
	return false;
}

static err_t challenge_key(struct ks_key *armor, struct ks_key *client, const char *pepper,
			   struct ks_use use, struct ks_key **out)
{
	const struct ks_cf2_part a = { armor, pepper }, b = { client, "challengelongterm" };
	err_t err = ks_cf2(&a, &b, out);

	return err ? err : ks_key_prepare(*out, &use, 1);
}

err_t ex_fast_challenge(struct ks_key *armor, const struct ex_fast_turn *t, struct der_str value,
			void *p)
{
	struct ks_key *open = NULL, *seal = NULL;
	struct ks_plain plain = { .usage = t->usage };
	struct ks_cipher in = { .usage = t->usage };
	struct ap_encrypted enc;
	uint8_t *text = NULL, *cipher = NULL;
	size_t len = 0;
	err_t err;

	err = mech_kdc_encrypted_read(value, &enc);
	if (!err)
		err = challenge_key(armor, t->from, t->pepper,
				    (struct ks_use){ t->usage, KS_OPEN }, &open);
	in.p = enc.cipher.p;
	in.len = enc.cipher.len;
	if (!err)
		err = ks_plain_open(open, &in, &text, &plain.len);
	plain.p = text;
	if (!err)
		err = challenge_key(armor, t->to, t->pepper,
				    (struct ks_use){ t->usage, KS_SEAL }, &seal);
	if (!err)
		err = ks_part_seal(seal, &plain, &cipher, &len);
	if (!err && len != enc.cipher.len)
		err = err_set(ERR_INTERNAL, "an encrypted challenge changed its length");
	if (!err)
		ex_overwrite(p, p, enc.cipher, cipher);
	secret_wipe(text, plain.len);
	free(text);
	free(cipher);
	ks_key_unref(&open);
	ks_key_unref(&seal);
	return err;
}

/* Made with one of the surrogates: which, only trying tells. */
static err_t client_challenge(struct mech_exchange *x, struct der_str value, void *p)
{
	struct ex_fast_turn t = { .pepper = "clientchallengearmor", .usage = 54 };
	err_t err = KRB5KRB_AP_ERR_BAD_INTEGRITY;
	size_t i;

	for (i = 0; i < x->n_keys && err == KRB5KRB_AP_ERR_BAD_INTEGRITY; i++) {
		t.from = x->keys[i].surrogate;
		t.to = x->keys[i].real;
		err = ex_fast_challenge(x->pending.armor, &t, value, p);
	}
	return err;
}

/* ---- what armor seals ---- */

err_t ex_fast_open(struct ks_key *armor, uint32_t usage, const struct ap_encrypted *enc,
		   uint8_t **text, size_t *len)
{
	const struct ks_cipher in = { .usage = usage, .p = enc->cipher.p, .len = enc->cipher.len };

	return ks_plain_open(armor, &in, text, len);
}

err_t ex_fast_seal(struct ks_key *armor, const struct ks_plain *plain,
		   const struct ap_encrypted *enc, const void *original, void *copy)
{
	uint8_t *cipher = NULL;
	size_t len = 0;
	err_t err;

	err = ks_part_seal(armor, plain, &cipher, &len);
	if (!err && len != enc->cipher.len)
		err = err_set(ERR_INTERNAL, "a FAST message changed its length");
	if (!err)
		ex_overwrite(copy, original, enc->cipher, cipher);
	free(cipher);
	return err;
}

err_t ex_fast_send(struct mech_exchange *x, const struct kdc_pa *fast, const krb5_data *message,
		   krb5_data *copy)
{
	struct ks_plain plain = { .usage = 51 };
	struct kdc_fast_req req;
	struct kdc_req inner = { 0 };
	struct kdc_pa pa;
	uint8_t *text = NULL;
	err_t err;

	if (!x->armor)
		return err_set(ERR_UNSUPPORTED, "FAST with a client key on a token takes its armor from "
			       "the cache that armor_ccache names (krb5.conf, [appdefaults] gssp11)");
	err = mech_kdc_fast_req_read(fast->value, &req);
	if (!err)
		err = open_armor(x, req.armor, &x->pending.armor);
	if (!err)
		err = ex_fast_open(x->pending.armor, 51, &req.enc, &text, &plain.len);
	if (!err)
		err = mech_kdc_fast_inner_read(text, plain.len, &inner);
	plain.p = text;
	x->pending.nonce = inner.nonce;
	if (!err && mech_kdc_pa_find(inner.padata, KDC_PA_ENCRYPTED_CHALLENGE, &pa))
		err = client_challenge(x, pa.value, text);
	if (!err)
		err = ex_fast_seal(x->pending.armor, &plain, &req.enc, message->data, copy->data);
	secret_wipe(text, plain.len);
	free(text);
	if (!err)
		trace("kdc: FAST armor of an ordinary cache; its keys are in memory, exposure "
		      "transient");
	return err;
}
