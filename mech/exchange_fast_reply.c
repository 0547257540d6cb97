/* FAST in AS exchanges: replies and errors. */
#include <stdlib.h>

#include "keystore/cf2.h"
#include "mech/exchange_fast_int.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* One reply's KrbFastResponse. */
struct step {
	struct mech_exchange *x;
	const struct kdc_rep *rep;
	struct ap_encrypted enc;         /* as it lies in the reply */
	uint8_t *text;
	size_t len;
	struct kdc_fast_response response;
	struct ks_key *strengthen;
	struct ex_client_key *client;    /* whose key the reply's is made of */
	struct ks_key *from;
};

static void step_fini(struct step *s)
{
	secret_wipe(s->text, s->len);
	free(s->text);
	ks_key_unref(&s->strengthen);
	ks_key_unref(&s->from);
}

static err_t open_response(struct step *s)
{
	struct kdc_pa pa;
	err_t err;

	if (!mech_kdc_pa_find(s->rep->padata, KDC_PA_FX_FAST, &pa))
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's answer to a request in FAST is not in "
			       "FAST");
	err = mech_kdc_fast_rep_read(pa.value, &s->enc);
	if (!err)
		err = ex_fast_open(s->x->pending.armor, 52, &s->enc, &s->text, &s->len);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(err, "the KDC's reply in FAST cannot be decrypted: it was altered");
	if (!err)
		err = mech_kdc_fast_response_read(s->text, s->len, &s->response);
	return err ? err_set(err, "the KDC's reply in FAST is not the DER that RFC 6113 asks for") : 0;
}

static err_t take_strengthen(struct step *s)
{
	static const struct ks_use prf = { 0, KS_PRF };
	const struct kdc_fast_response *r = &s->response;
	err_t err;

	if (!r->has_strengthen)
		return 0;
	err = ks_key_from_bytes(s->x->tok, r->etype, r->key.p, r->key.len, &s->strengthen);
	return err ? err : ks_key_prepare(s->strengthen, &prf, 1);
}

/* The reply's key, of the strengthen key if there is one and a client's. */
static err_t reply_key(const struct step *s, struct ks_key *client, enum ks_kind kind,
		       struct ks_key **out)
{
	const struct ks_use uses[] = { { 3, kind }, { 56, KS_CHECKSUM } };
	const struct ks_cf2_part a = { s->strengthen, "strengthenkey" }, b = { client, "replykey" };
	err_t err;

	if (!s->strengthen) {
		*out = ks_key_ref(client);
		return 0;
	}
	err = ks_cf2(&a, &b, out);
	return err ? err : ks_key_prepare(*out, uses, 2);
}

/* That which opens the reply: which of the client's keys the KDC chose, only trying tells. */
static err_t find_client(struct step *s)
{
	err_t err = KRB5KRB_AP_ERR_BAD_INTEGRITY;
	uint8_t *text = NULL;
	size_t i, len = 0;

	for (i = 0; i < s->x->n_keys && err == KRB5KRB_AP_ERR_BAD_INTEGRITY; i++) {
		ks_key_unref(&s->from);
		s->client = &s->x->keys[i];
		err = reply_key(s, s->client->real, KS_OPEN, &s->from);
		if (!err && ks_key_etype(s->from)->id != s->rep->enc.etype)
			err = KRB5KRB_AP_ERR_BAD_INTEGRITY;
		if (!err)
			err = ex_fast_open(s->from, 3, &s->rep->enc, &text, &len);
		secret_wipe(text, len);
		free(text);
		text = NULL;
		len = 0;
	}
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(err, "the KDC's reply cannot be decrypted: it was altered, or the KDC "
			       "has another key than the token");
	return err;
}

/* The KDC's own challenge, and all of the response. */
static err_t turn_response(struct step *s, const krb5_data *reply, krb5_data *copy)
{
	const struct ex_fast_turn t = { .from = s->client->real, .to = s->client->surrogate,
					.pepper = "kdcchallengearmor", .usage = 55 };
	const struct ks_plain plain = { .usage = 52, .p = s->text, .len = s->len };
	struct ks_key *armor = s->x->pending.armor;
	struct kdc_pa pa;
	err_t err = 0;

	if (!mech_kdc_pa_find(s->response.padata, KDC_PA_ENCRYPTED_CHALLENGE, &pa))
		return 0;
	err = ex_fast_challenge(armor, &t, pa.value, s->text);
	return err ? err : ex_fast_seal(armor, &plain, &s->enc, reply->data, copy->data);
}

err_t ex_fast_recv(struct mech_exchange *x, const struct kdc_rep *rep, const krb5_data *reply,
		   krb5_data *copy, struct ks_key **from, struct ks_key **to)
{
	struct step s = { .x = x, .rep = rep };
	err_t err;

	*from = *to = NULL;
	err = open_response(&s);
	if (!err)
		err = take_strengthen(&s);
	if (!err)
		err = find_client(&s);
	if (!err)
		err = turn_response(&s, reply, copy);
	if (!err)
		err = reply_key(&s, s.client->surrogate, KS_SEAL, to);
	if (!err)
		*from = ks_key_ref(s.from);
	else
		ks_key_unref(to);
	step_fini(&s);
	return err;
}

/* What cannot be opened is libkrb5's to refuse, which checks it again. */
err_t ex_fast_error(struct mech_exchange *x, struct der_str padata, const krb5_data *reply,
		    krb5_data **out)
{
	struct ks_plain plain = { .usage = 52 };
	struct kdc_fast_response response;
	struct ap_encrypted enc;
	uint8_t *text = NULL;
	struct kdc_pa pa;
	err_t err = 0;

	if (!x->pending.armor || !mech_kdc_pa_find(padata, KDC_PA_FX_FAST, &pa) ||
	    mech_kdc_fast_rep_read(pa.value, &enc))
		return 0;
	if (ex_fast_open(x->pending.armor, 52, &enc, &text, &plain.len))
		return 0;
	plain.p = text;
	if (!mech_kdc_fast_response_read(text, plain.len, &response) &&
	    ex_pa_hide(response.padata, text, text)) {
		if (!*out)
			err = ex_data_copy(reply, out);
		if (!err)
			err = ex_fast_seal(x->pending.armor, &plain, &enc, reply->data,
					   (*out)->data);
	}
	secret_wipe(text, plain.len);
	free(text);
	return err;
}
