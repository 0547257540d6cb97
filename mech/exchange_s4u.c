/*
 * S4U2Self ([MS-SFU] 2.2.1, 2.2.2, 3.1.5.1.1) and authorization data in TGS
 * requests.  PA-S4U-X509-USER and authorization data are signed and sealed with
 * the subkey; where there is none (exposure = on-token) the session key does
 * it, with the same key usages, and with 4 in the place of 5.  PA-FOR-USER is
 * left out, but for KDCs that have shown that they do not know the other.
 */
#include "mech/exchange_s4u.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/for_user.h"
#include "mech/kdcmsg_s4u.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

bool mech_exchange_wants_for_user(const struct mech_exchange *x)
{
	return x->x509_ignored;
}

bool ex_s4u_concerns(const struct mech_exchange *x, const struct kdc_req *req)
{
	struct kdc_pa pa;

	return x->hold == EX_HOLD_FOR_USER ||
	       (x->on_token && (req->authdata.len ||
				mech_kdc_pa_find(req->padata, KDC_PA_X509_USER, &pa)));
}

err_t ex_s4u_check(const struct mech_exchange *x, const struct kdc_req *req)
{
	struct kdc_pa pa;
	const bool by_name = mech_kdc_pa_find(req->padata, KDC_PA_FOR_USER, &pa);
	const bool x509 = mech_kdc_pa_find(req->padata, KDC_PA_X509_USER, &pa);

	if (by_name && !x509 && x->hold != EX_HOLD_FOR_USER)
		return err_set(ERR_UNSUPPORTED, "a request for another user with PA-FOR-USER alone "
			       "needs the session key itself, which is on the token");
	if (x509 && !by_name && x->hold == EX_HOLD_FOR_USER)
		return err_set(ERR_UNSUPPORTED, "this KDC takes requests for another user with "
			       "PA-FOR-USER alone: libkrb5 made none, for the user is named by a "
			       "certificate, or its MD5 is forbidden");
	return 0;
}

/* ---- requests ---- */

static bool fits(const struct ks_etype *e, const struct kdc_x509_user *u)
{
	return u->cksumtype == e->cksumtype && u->cksum.len == e->mac_len;
}

static err_t sign_x509(const struct ex_request *q, const struct kdc_pa *pa)
{
	struct kdc_x509_user u;
	uint8_t mac[64];
	err_t err;

	err = mech_kdc_x509_user_read(pa->value, &u);
	if (err || !fits(ks_key_etype(q->real), &u))
		return err_set(KRB5KRB_AP_ERR_INAPP_CKSUM, "a request for another user is not signed "
			       "as %s keys sign", ks_key_etype(q->real)->name);
	err = ks_checksum(q->real, 26, u.id.p, u.id.len, mac);
	if (!err)
		ex_overwrite(q->copy, q->original, u.cksum, mac);
	return err;
}

static err_t sign_for_user(const struct ex_request *q, const struct kdc_pa *pa)
{
	uint8_t mac[KS_FOR_USER_LEN];
	struct kdc_for_user u;
	struct wr w;
	err_t err;

	err = mech_kdc_for_user_read(pa->value, &u);
	if (err || u.cksumtype != KS_FOR_USER_CKSUM || u.cksum.len != sizeof(mac))
		return err_set(KRB5KRB_AP_ERR_INAPP_CKSUM, "PA-FOR-USER is not signed as [MS-SFU] "
			       "prescribes");
	wr_init_grow(&w, SIZE_MAX / 2);
	mech_kdc_for_user_put(&w, &u);
	err = w.bad ? err_set(ENOMEM, "out of memory for a TGS request")
		    : ks_for_user_mac(q->real, w.base, w.len, mac);
	wr_free(&w);
	if (err == ERR_UNSUPPORTED)
		return err_prefix(err, "PA-FOR-USER, which this KDC wants");
	if (err)
		return err;
	ex_overwrite(q->copy, q->original, u.cksum, mac);
	trace("kdc: PA-FOR-USER is signed with HMAC-MD5, which this KDC wants");
	return 0;
}

/* From the subkey's seal to the session key's, at the same place. */
static err_t seal_authdata(const struct ex_request *q)
{
	static const struct ks_use open = { 5, KS_OPEN };
	struct ks_cipher in = { .usage = 5 };
	struct ks_plain plain = { .usage = 4 };
	uint8_t *text = NULL, *cipher = NULL;
	struct ap_encrypted enc;
	size_t len = 0;
	err_t err;

	err = mech_kdc_encrypted_read(q->req->authdata, &enc);
	if (!err && enc.etype != ks_key_etype(q->real)->id)
		err = err_set(KRB5_BAD_ENCTYPE, "authorization data in a TGS request is sealed with "
			      "another enctype than its ticket's session key has");
	in.p = enc.cipher.p;
	in.len = enc.cipher.len;
	if (!err)
		err = ks_key_prepare(q->subkey, &open, 1);
	if (!err)
		err = ks_plain_open(q->subkey, &in, &text, &plain.len);
	plain.p = text;
	if (!err)
		err = ks_part_seal(q->real, &plain, &cipher, &len);
	if (!err && len != enc.cipher.len)
		err = err_set(ERR_INTERNAL, "authorization data changed its length");
	if (!err)
		ex_overwrite(q->copy, q->original, enc.cipher, cipher);
	secret_wipe(text, plain.len);
	free(text);
	free(cipher);
	return err;
}

err_t ex_s4u_send(struct mech_exchange *x, const struct ex_request *q)
{
	const struct der_str list = q->req->padata;
	struct kdc_pa pa;
	err_t err = 0;

	if (x->on_token && mech_kdc_pa_find(list, KDC_PA_X509_USER, &pa))
		err = sign_x509(q, &pa);
	if (!err && x->on_token && q->req->authdata.len)
		err = seal_authdata(q);
	if (!err && x->hold == EX_HOLD_FOR_USER && mech_kdc_pa_find(list, KDC_PA_FOR_USER, &pa))
		err = sign_for_user(q, &pa);
	return err;
}

/* ---- replies ---- */

/* Whose ticket it is: the KDC's word, signed like the request. */
static err_t sign_reply(const struct mech_exchange *x, const struct ex_reply *r,
			const struct kdc_pa *pa)
{
	struct kdc_x509_user u;
	uint8_t mac[64];
	uint32_t usage;
	err_t err;

	err = mech_kdc_x509_user_read(pa->value, &u);
	if (err || u.nonce != x->pending.nonce || !fits(ks_key_etype(r->from), &u))
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's reply to a request for another user "
			       "was altered, or is not signed as %s keys sign",
			       ks_key_etype(r->from)->name);
	usage = u.options & KDC_S4U_REPLY_USAGE ? 27 : 26;
	err = ks_checksum_verify(r->from, usage, u.id.p, u.id.len, u.cksum.p, u.cksum.len);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(KRB5_KDCREP_MODIFIED, "the KDC's reply to a request for another user "
			       "was altered");
	if (!err)
		err = ks_checksum(r->to, usage, u.id.p, u.id.len, mac);
	if (!err)
		ex_overwrite(r->message, r->original, u.cksum, mac);
	return err;
}

err_t ex_s4u_recv(struct mech_exchange *x, const struct ex_reply *r)
{
	struct kdc_pa pa;

	if (!x->pending.for_other)
		return 0;
	if (mech_kdc_pa_find(r->rep->padata, KDC_PA_X509_USER, &pa))
		return x->on_token ? sign_reply(x, r, &pa) : 0;
	if (x->hold == EX_HOLD_FOR_USER)
		return 0;
	/* It is a ticket for the service itself, whoever is named in the message. */
	x->x509_ignored = true;
	return err_set(KRB5_KDCREP_MODIFIED, "the KDC does not know requests for another user with "
		       "PA-S4U-X509-USER");
}
