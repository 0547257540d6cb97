/*
 * AS exchanges (RFC 4120 5.4, 5.2.7.2; RFC 6806 11): the encrypted timestamp,
 * the reply, and its checksum over the request.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/exchange_fast.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* The padata type that preauthentication is hidden under: one that nobody assigned, as long. */
static const uint8_t nobody[2] = { 0x7f, 0x7a };

/*
 * The request is of our client: with keys on the token, or with a password in
 * armor that libkrb5 has not (in an ordinary cache's it needs nobody).
 */
static bool is_ours(struct mech_exchange *x, const struct kdc_req *req)
{
	krb5_principal p = NULL;
	bool same = false;

	if (!x->client || !req->has_client || (x->password && !x->armor_ours))
		return false;
	if (mech_ap_princ_get(x->k5, &req->client, &p) == 0)
		same = krb5_principal_compare(x->k5, p, x->client);
	krb5_free_principal(x->k5, p);
	return same;
}

static err_t keep_copy(const void *p, size_t len, uint8_t **out, size_t *out_len)
{
	*out = malloc(len + 1);
	if (!*out)
		return err_set(ENOMEM, "out of memory for a KDC request");
	memcpy(*out, p, len);
	*out_len = len;
	return 0;
}

/* PA-ENC-TS-ENC under the surrogate becomes the same under the client's key. */
static err_t seal_timestamp(struct mech_exchange *x, const struct ap_encrypted *enc,
			    uint8_t **cipher, size_t *len)
{
	struct ex_client_key *k = ex_client_key(x, enc->etype);
	const struct ks_cipher in = { .usage = 1, .p = enc->cipher.p, .len = enc->cipher.len };
	struct ks_plain plain = { .usage = 1 };
	uint8_t *text = NULL;
	err_t err;

	if (!k)
		return err_set(KRB5_PROG_ETYPE_NOSUPP, "the token has no key of enctype %d for this "
			       "client", (int)enc->etype);
	err = ks_plain_open(k->surrogate, &in, &text, &plain.len);
	plain.p = text;
	if (!err)
		err = ks_part_seal(k->real, &plain, cipher, len);
	secret_wipe(text, plain.len);
	free(text);
	return err;
}

/* Replaces the timestamp in copy, which is original's octets. */
static err_t translate_timestamp(struct mech_exchange *x, const struct kdc_pa *pa,
				 const void *original, void *copy)
{
	struct ap_encrypted enc;
	uint8_t *cipher = NULL;
	size_t len = 0;
	err_t err;

	err = mech_kdc_encrypted_read(pa->value, &enc);
	if (!err)
		err = seal_timestamp(x, &enc, &cipher, &len);
	if (!err && len != enc.cipher.len)
		err = err_set(ERR_INTERNAL, "an encrypted timestamp changed its length");
	if (!err)
		ex_overwrite(copy, original, enc.cipher, cipher);
	free(cipher);
	return err;
}

err_t ex_as_send(struct mech_exchange *x, const struct kdc_req *req, const krb5_data *message,
		 krb5_data **out)
{
	struct ex_pending *p = &x->pending;
	krb5_data *copy = NULL;
	struct kdc_pa pa;
	bool fast;
	err_t err;

	fast = mech_kdc_pa_find(req->padata, KDC_PA_FX_FAST, &pa);
	if (x->armor && !fast)
		return err_set(KRB5KDC_ERR_PREAUTH_FAILED, "armor_ccache: libkrb5 made a request without "
			       "FAST, which is not sent");
	/* others' keys are libkrb5's, and so must be their armor */
	if (!is_ours(x, req))
		return x->armor_ours ? ex_armor_others(x) : 0;
	p->type = KDC_AS_REQ;
	err = keep_copy(message->data, message->length, &p->asked, &p->asked_len);
	if (!err)
		err = ex_data_copy(message, &copy);
	if (!err && fast)
		err = ex_fast_send(x, &pa, req->body, message, copy);
	if (!err && mech_kdc_pa_find(req->padata, KDC_PA_ENC_TIMESTAMP, &pa))
		err = translate_timestamp(x, &pa, message->data, copy->data);
	if (!err)
		err = keep_copy(copy->data, copy->length, &p->sent, &p->sent_len);
	if (!err) {
		*out = copy;
		copy = NULL;
	}
	krb5_free_data(x->k5, copy);
	return err;
}

err_t ex_as_recv(struct mech_exchange *x, const krb5_data *reply, krb5_data **out)
{
	struct ks_key *from = NULL, *to = NULL;
	struct ex_client_key *k;
	struct ex_reply r = { .usage = 3, .to_usage = 3 };
	struct kdc_rep rep;
	struct kdc_pa pa;
	err_t err;

	err = mech_kdc_rep_read(reply->data, reply->length, &rep);
	if (err)
		return err_set(err, "the KDC's AS reply is not the DER that RFC 4120 asks for");
	k = ex_client_key(x, rep.enc.etype);
	/* Not under the client's long-term key: libkrb5 can read it, or nobody can. */
	if ((!k && !x->pending.armor) || mech_kdc_pa_find(rep.padata, KDC_PA_PK_AS_REP, &pa))
		return 0;
	err = ex_data_copy(reply, out);
	if (err)
		return err;
	if (x->pending.armor)
		err = ex_fast_recv(x, &rep, reply, *out, &from, &to);
	r.rep = &rep;
	r.from = from ? from : k ? k->real : NULL;
	r.to = to ? to : k ? k->surrogate : NULL;
	r.original = reply->data;
	r.message = (*out)->data;
	if (!err)
		err = ex_reply_translate(x, &r);
	ks_key_unref(&from);
	ks_key_unref(&to);
	if (err) {
		krb5_free_data(x->k5, *out);
		*out = NULL;
	}
	return err;
}

/*
 * Mechanisms that mix the client's key into keys of their own would do so with
 * the surrogate: they are not offered.
 */
static bool mixes(int32_t type)
{
	return type == KDC_PA_SPAKE || type == KDC_PA_SAM_CHALLENGE_2;
}

bool ex_pa_hide(struct der_str list, const void *original, void *p)
{
	bool any = false;
	struct kdc_pa pa;

	while (mech_kdc_pa_next(&list, &pa)) {
		if (!mixes(pa.type) || pa.number.len > sizeof(nobody))
			continue;
		/* of a number of one octet, the second */
		ex_overwrite(p, original, pa.number, nobody + sizeof(nobody) - pa.number.len);
		trace("kdc: preauthentication type %d is hidden", (int)pa.type);
		any = true;
	}
	return any;
}

err_t ex_as_error(struct mech_exchange *x, const krb5_data *reply, krb5_data **out)
{
	krb5_data *copy = NULL;
	struct der_str list;
	err_t err;

	if (mech_kdc_error_read(reply->data, reply->length, &list))
		return 0;
	err = ex_data_copy(reply, &copy);
	if (!err && ex_pa_hide(list, reply->data, copy->data)) {
		*out = copy;
		copy = NULL;
	}
	krb5_free_data(x->k5, copy);
	if (!err)
		err = ex_fast_error(x, list, reply, out);
	if (err) {
		krb5_free_data(x->k5, *out);
		*out = NULL;
	}
	return err;
}
