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

	for (i = 0; err == KRB5KRB_AP_ERR_BAD_INTEGRITY; i++) {
		err = i < s->x->n_keys ? 0 : ex_password_next(s->x);
		if (err)
			break;
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

/* The armor key's checksum over the ticket: libkrb5 looks at its own. */
static err_t turn_finished(const struct step *s)
{
	const struct kdc_fast_response *r = &s->response;
	const struct der_str ticket = s->rep->ticket.whole;
	const struct ex_pending *p = &s->x->pending;
	uint8_t mac[64];
	err_t err;

	if (!r->has_finished || !s->x->armor_ours)
		return 0;
	if (r->cksumtype != ks_key_etype(p->armor)->cksumtype)
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's checksum over the ticket is of another "
			       "kind than the armor's");
	err = ks_checksum_verify(p->armor, 53, ticket.p, ticket.len, r->cksum.p, r->cksum.len);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(KRB5_KDCREP_MODIFIED, "the ticket in the KDC's reply was altered");
	if (!err)
		err = ks_checksum(p->armor_as, 53, ticket.p, ticket.len, mac);
	if (!err)
		ex_overwrite(s->text, s->text, r->cksum, mac);
	return err;
}

/* The KDC's own challenge. */
static err_t turn_challenge(const struct step *s)
{
	struct ex_fast_turn t = { .from_armor = s->x->pending.armor,
				  .to_armor = s->x->pending.armor_as,
				  .pepper = "kdcchallengearmor", .usage = 55 };
	struct kdc_pa pa;

	if (!mech_kdc_pa_find(s->response.padata, KDC_PA_ENCRYPTED_CHALLENGE, &pa))
		return 0;
	t.from = s->client->real;
	t.to = s->client->surrogate;
	return ex_fast_challenge(&t, pa.value, s->text);
}

/* All of the response, for libkrb5. */
static err_t turn_response(struct step *s, const struct ex_copy *c)
{
	const struct ks_plain plain = { .usage = 52, .p = s->text, .len = s->len };
	err_t err;

	err = turn_challenge(s);
	if (!err)
		err = turn_finished(s);
	return err ? err : ex_fast_seal(s->x->pending.armor_as, &plain, &s->enc, c);
}

err_t ex_fast_recv(struct mech_exchange *x, const struct kdc_rep *rep, const krb5_data *reply,
		   krb5_data *copy, struct ks_key **from, struct ks_key **to)
{
	const struct ex_copy c = { reply->data, copy->data };
	struct step s = { .x = x, .rep = rep };
	err_t err;

	*from = *to = NULL;
	err = open_response(&s);
	if (!err)
		err = ex_password_learn(x, s.response.padata);
	if (!err)
		err = take_strengthen(&s);
	if (!err)
		err = find_client(&s);
	if (!err)
		err = turn_response(&s, &c);
	if (!err)
		err = reply_key(&s, s.client->surrogate, KS_SEAL, to);
	if (!err)
		*from = ks_key_ref(s.from);
	else
		ks_key_unref(to);
	step_fini(&s);
	return err;
}

/* What is in it for libkrb5; *turned: there is something to seal again. */
static err_t read_error(struct mech_exchange *x, uint8_t *text, size_t len, bool *turned)
{
	struct kdc_fast_response response;

	*turned = x->armor_ours;
	/* what is not understood is libkrb5's to refuse */
	if (mech_kdc_fast_response_read(text, len, &response))
		return 0;
	if (ex_pa_hide(response.padata, text, text))
		*turned = true;
	return ex_password_learn(x, response.padata);
}

/* What cannot be opened is libkrb5's to refuse, which checks it again. */
err_t ex_fast_error(struct mech_exchange *x, struct der_str padata, const krb5_data *reply,
		    krb5_data **out)
{
	struct ks_plain plain = { .usage = 52 };
	struct ap_encrypted enc;
	uint8_t *text = NULL;
	struct kdc_pa pa;
	bool turned;
	err_t err;

	if (!x->pending.armor || !mech_kdc_pa_find(padata, KDC_PA_FX_FAST, &pa) ||
	    mech_kdc_fast_rep_read(pa.value, &enc))
		return 0;
	if (ex_fast_open(x->pending.armor, 52, &enc, &text, &plain.len))
		return 0;
	plain.p = text;
	err = read_error(x, text, plain.len, &turned);
	if (!err && turned && !*out)
		err = ex_data_copy(reply, out);
	if (!err && turned)
		err = ex_fast_seal(x->pending.armor_as, &plain, &enc,
				   &(struct ex_copy){ reply->data, (*out)->data });
	secret_wipe(text, plain.len);
	free(text);
	return err;
}
