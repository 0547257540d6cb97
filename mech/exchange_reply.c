/* AS and TGS replies: opened, checked, and sealed for libkrb5 with a surrogate inside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/exchange_s4u.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* One reply on its way through. */
struct step {
	struct mech_exchange *x;
	const struct ex_reply *r;
	struct ks_opened part;
	struct kdc_enc_rep enc;
	struct ks_surrogate surrogate;
	bool stored, held;
};

static err_t open_part(struct step *s)
{
	const struct ap_encrypted *e = &s->r->rep->enc;
	const struct ks_cipher in = { .usage = s->r->usage, .p = e->cipher.p,
				      .len = e->cipher.len, .on_token = s->x->on_token };
	err_t err;

	err = ks_part_open(s->r->from, KS_ENC_KDC_REP_PART, &in, s->x->tok, &s->part);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(err, "the KDC's reply cannot be decrypted: it was altered, or the "
			       "KDC has another key than the token");
	if (err)
		return err;
	err = mech_kdc_enc_rep_read(s->part.bytes, s->part.len, &s->enc);
	return err ? err_set(err, "the KDC's reply is not the DER that RFC 4120 asks for") : 0;
}

static err_t check(const struct step *s)
{
	/* Not refused here: libkrb5 asks again for what it wants, and each use is looked at. */
	if (!ks_fips_allows(s->x->fips, s->part.key_etype))
		trace("fips: the KDC gave a session key of enctype %d, which is not used",
		      (int)s->part.key_etype);
	if (s->enc.nonce != s->x->pending.nonce)
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's reply answers another request");
	if (!s->part.key)
		return err_set(KRB5_BAD_ENCTYPE, "the KDC gave a session key of enctype %d, which no "
			       "token holds here: allow AES only (permitted_enctypes)",
			       (int)s->part.key_etype);
	return 0;
}

/*
 * PA-REQ-ENC-PA-REP (RFC 6806 11): the KDC's checksum over the request that it
 * got; made again over the request that libkrb5 knows.
 */
static err_t check_request(struct step *s)
{
	const struct ex_pending *p = &s->x->pending;
	const struct ks_etype *e = ks_key_etype(s->r->from);
	struct der_str sum;
	struct kdc_pa pa;
	uint8_t mac[64];
	int32_t type;
	err_t err;

	if (p->type != KDC_AS_REQ || !mech_kdc_pa_find(s->enc.padata, KDC_PA_REQ_ENC_PA_REP, &pa))
		return 0;
	err = mech_kdc_cksum_read(pa.value, &type, &sum);
	if (err || type != e->cksumtype)
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's checksum over the request is of "
			       "another kind than %s has", e->name);
	err = ks_checksum_verify(s->r->from, 56, p->sent, p->sent_len, sum.p, sum.len);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(KRB5_KDCREP_MODIFIED, "the request was altered on its way to the KDC");
	if (!err)
		err = ks_checksum(s->r->to, 56, p->asked, p->asked_len, mac);
	if (!err)
		ex_overwrite(s->part.bytes, s->part.bytes, sum, mac);
	return err;
}

/* krbtgt/REALM */
static bool is_tgs(const struct ap_princ *p)
{
	static const char tgs[] = "krbtgt";
	struct der_str first;
	struct der d;
	err_t err;

	der_init(&d, p->parts.p, p->parts.len, &err);
	first = der_content(&d, DER_GENERALSTRING);
	return !err && p->n == 2 && first.len == strlen(tgs) && !memcmp(first.p, tgs, first.len);
}

/* What libkrb5 is to forward gets a stand-in, too, that mech_exchange_seal_forwarded finds again. */
static err_t hold(struct step *s)
{
	const struct ap_encrypted *e = &s->r->rep->enc;
	const struct ks_cipher in = { .usage = s->r->usage, .p = e->cipher.p,
				      .len = e->cipher.len, .on_token = true };
	struct mech_exchange *x = s->x;
	err_t err;

	err = ks_fips_check(x->fips, s->part.key_etype, "the session key of a ticket to forward");
	if (!err)
		err = ks_part_pass_on(s->r->from, &in, &s->part);
	if (!err)
		err = ks_surrogate_random(x->tok, s->part.key_etype, &s->surrogate);
	if (err)
		return err;
	ks_key_unref(&x->forwarded);
	x->forwarded = ks_key_ref(s->part.key);
	x->forwarded_as = s->surrogate;
	trace("kdc: a ticket to be forwarded, its session key is on the token, exposure on-token");
	return 0;
}

static err_t store(struct step *s)
{
	enum ks_vault_kind kind = KS_VAULT_SERVICE;
	const bool tgs = is_tgs(&s->enc.server);
	err_t err;

	s->held = tgs && s->x->hold != EX_STORE;
	if (s->held)
		return ex_held_take(s->x, s->part.key, &s->surrogate);
	if (tgs)
		kind = KS_VAULT_TGT;
	else if (s->enc.flags & KDC_FLAG_FORWARDABLE)
		kind = KS_VAULT_FORWARDING;
	err = ks_vault_store(s->part.key, kind, (int64_t)(uint32_t)s->enc.endtime, s->x->on_token,
			     &s->surrogate);
	s->stored = !err;
	return err;
}

static err_t seal(struct step *s)
{
	const struct der_str at = s->r->rep->enc.cipher;
	const struct ks_plain plain = { .usage = s->r->to_usage, .p = s->part.bytes,
					.len = s->part.len };
	uint8_t *cipher = NULL;
	size_t len;
	err_t err;

	if (s->surrogate.len != s->part.key_len)
		return err_set(ERR_INTERNAL, "a surrogate has another length than its key");
	memcpy(s->part.bytes + s->part.key_at, s->surrogate.octets, s->surrogate.len);
	err = ks_part_seal(s->r->to, &plain, &cipher, &len);
	if (!err && len != at.len)
		err = err_set(KRB5_KDCREP_MODIFIED, "the KDC's reply has octets behind its end");
	if (!err)
		ex_overwrite(s->r->message, s->r->original, at, cipher);
	free(cipher);
	return err;
}

err_t ex_reply_translate(struct mech_exchange *x, const struct ex_reply *r)
{
	struct step s = { .x = x, .r = r };
	err_t err;

	err = open_part(&s);
	if (!err)
		err = check(&s);
	if (!err)
		err = check_request(&s);
	if (!err)
		err = r->forward ? hold(&s) : store(&s);
	if (!err)
		err = seal(&s);
	if (!err && s.held)
		err = ex_ticket_hold(x, r->rep->ticket.enc.cipher, &s.surrogate, s.part.key);
	else if (!err && !r->forward)
		err = ex_ticket_add(x, r->rep->ticket.enc.cipher, &s.surrogate);
	if (err && s.stored && ks_vault_destroy(x->tok, &s.surrogate))
		trace("kdc: a session key of a failed exchange stays until it expires");
	ks_opened_fini(&s.part);
	secret_wipe(&s.surrogate, sizeof(s.surrogate));
	return err;
}
