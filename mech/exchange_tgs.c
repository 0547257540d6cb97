/*
 * TGS exchanges (RFC 4120 5.4, 7.2.1): the authenticator is sealed again with
 * the ticket's real session key.  The subkey in it is libkrb5's own and stays,
 * and with it all that it seals and signs: the reply, authorization data,
 * PA-S4U-X509-USER.  Where policy is that no key may be in memory, the subkey
 * is taken out on the way, so that the reply comes under the session key and
 * can be opened on the token (exchange_hidden.c), and the session key does what
 * else the subkey would (exchange_s4u.c).  FAST (RFC 6113) is taken
 * off, for its armor is made of the surrogate; the outer request says the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/exchange_fast.h"
#include "mech/exchange_s4u.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* The AP-REQ of one request. */
struct step {
	struct mech_exchange *x;
	const struct kdc_req *req;
	struct kdc_pa pa;
	struct ap_req ap;
	struct ex_ticket *ticket;
	struct ks_key *real, *surrogate;
	struct ks_opened auth;
	uint8_t *cipher;                 /* the authenticator under the real key */
	size_t cipher_len;
	krb5_data *copy;                 /* where req is no longer the one that libkrb5 made */
	struct kdc_req changed;
};

static void step_fini(struct step *s)
{
	ks_key_unref(&s->real);
	ks_key_unref(&s->surrogate);
	ks_opened_fini(&s->auth);
	free(s->cipher);
	krb5_free_data(s->x->k5, s->copy);
}

/* Finds the ticket; where it is not ours, that is no error and *ours stays false. */
static err_t find_ticket(struct step *s, bool *ours)
{
	err_t err;

	if (!mech_kdc_pa_find(s->req->padata, KDC_PA_TGS_REQ, &s->pa) ||
	    mech_ap_req_read(s->pa.value.p, s->pa.value.len, &s->ap))
		return 0;
	err = ex_ticket_find(s->x, s->ap.ticket.enc.cipher, &s->ticket);
	*ours = !err && s->ticket;
	return err;
}

static err_t real_key(struct step *s)
{
	if (!s->ticket->key)
		return ks_vault_key(s->x->tok, &s->ticket->surrogate, &s->real);
	s->real = ks_key_ref(s->ticket->key);
	return 0;
}

static err_t open_authenticator(struct step *s)
{
	static const struct ks_use use = { 7, KS_OPEN };
	const struct ks_surrogate *sur = &s->ticket->surrogate;
	const struct ks_cipher in = { .usage = 7, .p = s->ap.auth.cipher.p,
				      .len = s->ap.auth.cipher.len };
	err_t err;

	if (s->ap.auth.etype != sur->etype)
		return err_set(KRB5_BAD_ENCTYPE, "a TGS request is sealed with another enctype than "
			       "its ticket's session key has");
	err = ks_fips_check(s->x->fips, sur->etype, "the session key of a ticket for the KDC");
	if (!err)
		err = real_key(s);
	if (!err && s->x->on_token)
		err = ex_hidden_check(s->req, s->real, s->ticket->key);
	if (!err)
		err = ks_key_from_bytes(s->x->tok, sur->etype, sur->octets, sur->len,
					&s->surrogate);
	if (!err) {
		ks_key_stands_in(s->surrogate);
		err = ks_key_prepare(s->surrogate, &use, 1);
	}
	if (!err)
		err = ks_part_open(s->surrogate, KS_AUTHENTICATOR, &in, s->x->tok, &s->auth);
	if (!err && !s->auth.key)
		err = err_set(ERR_UNSUPPORTED, "a TGS request without a subkey of an enctype that "
			      "this module does");
	return err;
}

/* What else the real key has to sign and seal: in a copy, which is the request from here on. */
static err_t change_request(struct step *s, const krb5_data *message)
{
	struct ex_request q = { .req = s->req, .real = s->real, .subkey = s->auth.key,
				.original = message->data };
	err_t err;

	if (s->x->on_token)
		ks_key_stands_in(s->auth.key);
	if (!ex_s4u_concerns(s->x, s->req))
		return 0;
	err = ex_data_copy(message, &s->copy);
	if (err)
		return err;
	q.copy = s->copy->data;
	err = ex_s4u_send(s->x, &q);
	if (!err)
		err = mech_kdc_req_read(s->copy->data, s->copy->length, &s->changed);
	s->req = &s->changed;
	return err;
}

/* The same authenticator, with the checksum over the request and the seal of the real key. */
static err_t seal_authenticator(struct step *s)
{
	const struct ks_etype *e = ks_key_etype(s->real);
	struct ks_plain plain = { .usage = 7, .p = s->auth.bytes, .len = s->auth.len,
				  .hole = s->auth.key, .at = s->auth.key_at };
	struct ap_authenticator a;
	uint8_t mac[64];
	err_t err;

	err = mech_ap_authenticator_read(s->auth.bytes, s->auth.len, &a);
	if (err)
		return err;
	if (!a.has_cksum || a.cksumtype != e->cksumtype || a.cksum.len != e->mac_len)
		return err_set(KRB5KRB_AP_ERR_INAPP_CKSUM, "a TGS request's checksum is of type %d: "
			       "for %s keys on a token it must be %d (kdc_req_checksum_type)",
			       (int)a.cksumtype, e->name, (int)e->cksumtype);
	err = ks_checksum(s->real, 6, s->req->body.p, s->req->body.len, mac);
	if (err)
		return err;
	ex_overwrite(s->auth.bytes, s->auth.bytes, a.cksum, mac);
	/* the subkey stays here: no KDC will ever see it */
	if (s->x->on_token)
		return ex_hidden_seal(s->real, &a, &s->cipher, &s->cipher_len);
	err = ks_part_seal(s->real, &plain, &s->cipher, &s->cipher_len);
	if (!err && s->cipher_len != s->ap.auth.cipher.len)
		err = err_set(ERR_INTERNAL, "an authenticator changed its length");
	return err;
}

static bool keep_pa(int32_t type)
{
	return type != KDC_PA_FX_FAST && type != KDC_PA_FOR_USER;
}

/* Signed with the real key: for KDCs that need it. */
static bool keep_for_user(int32_t type)
{
	return type != KDC_PA_FX_FAST;
}

/* The AP-REQ as it was but for the authenticator. */
static err_t write_ap_req(const struct step *s, struct wr *w)
{
	const struct der_str ap = s->pa.value;

	if (s->x->on_token)
		return ex_hidden_write(&s->ap, s->cipher, s->cipher_len, w);
	wr_init_grow(w, ap.len);
	wr_bytes(w, ap.p, ap.len);
	if (w->bad)
		return err_set(ENOMEM, "out of memory for a TGS request");
	ex_overwrite(w->base, ap.p, s->ap.auth.cipher, s->cipher);
	return 0;
}

static err_t write_request(const struct step *s, krb5_data **out)
{
	struct wr w, ap = { 0 };
	uint8_t *p;
	size_t len;
	err_t err;

	err = write_ap_req(s, &ap);
	if (!err) {
		wr_init_grow(&w, s->req->padata.len + s->req->body.len + 128);
		mech_kdc_req_write(&w, s->req, (struct der_str){ ap.base, ap.len },
				   s->x->hold == EX_HOLD_FOR_USER ? keep_for_user : keep_pa);
		err = wr_take(&w, &p, &len);
	}
	wr_free(&ap);
	return err ? err : ex_data_take(&p, len, out);
}

/* What the reply is opened with, or what it is sealed and signed with for libkrb5. */
static err_t prepare_subkey(struct step *s)
{
	static const struct ks_use uses[] = {
		{ 9, KS_SEAL_OPEN }, { 26, KS_CHECKSUM }, { 27, KS_CHECKSUM }
	};
	err_t err;

	err = ks_key_prepare(s->auth.key, uses, s->x->on_token && s->x->pending.for_other ? 3 : 1);
	if (!err)
		ks_key_forget(s->auth.key);
	return err;
}

err_t ex_tgs_send(struct mech_exchange *x, const struct kdc_req *req, const krb5_data *message,
		  krb5_data **out)
{
	struct step s = { .x = x, .req = req };
	struct kdc_pa pa;
	bool ours = false;
	err_t err;

	err = find_ticket(&s, &ours);
	if (err || !ours)
		return err ? err : ex_armor_fetch(x, s.ap.auth.etype);
	x->pending.for_other = mech_kdc_pa_find(req->padata, KDC_PA_X509_USER, &pa);
	err = ex_s4u_check(x, req);
	if (!err)
		err = open_authenticator(&s);
	if (!err)
		err = change_request(&s, message);
	if (!err)
		err = seal_authenticator(&s);
	if (!err)
		err = prepare_subkey(&s);
	if (!err)
		err = write_request(&s, out);
	if (!err) {
		x->pending.type = KDC_TGS_REQ;
		x->pending.subkey = ks_key_ref(s.auth.key);
		x->pending.real = x->on_token ? ks_key_ref(s.real) : NULL;
	}
	step_fini(&s);
	return err;
}

err_t ex_tgs_recv(struct mech_exchange *x, const krb5_data *reply, krb5_data **out)
{
	struct ex_pending *p = &x->pending;
	struct ex_reply r = { .from = p->real ? p->real : p->subkey, .to = p->subkey,
			      .usage = p->real ? 8 : 9, .to_usage = 9, .original = reply->data };
	struct kdc_rep rep;
	err_t err;

	/* Its key goes into a KRB-CRED next, by libkrb5's hands. */
	if ((p->options & KDC_OPT_FORWARDED_BIT) && !x->on_token) {
		trace("kdc: a forwarded ticket's session key is in memory, exposure transient");
		return 0;
	}
	err = mech_kdc_rep_read(reply->data, reply->length, &rep);
	if (err)
		return err_set(err, "the KDC's TGS reply is not the DER that RFC 4120 asks for");
	if (rep.enc.etype != ks_key_etype(r.from)->id)
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's reply is not sealed with the %s "
			       "of the request", p->real ? "session key" : "subkey");
	err = ex_data_copy(reply, out);
	if (err)
		return err;
	r.rep = &rep;
	r.message = (*out)->data;
	r.forward = p->options & KDC_OPT_FORWARDED_BIT;
	err = ex_s4u_recv(x, &r);
	if (!err)
		err = ex_reply_translate(x, &r);
	if (err) {
		krb5_free_data(x->k5, *out);
		*out = NULL;
	}
	return err;
}
