/* The life of a KDC translation, and the two hooks. */
#include "mech/exchange.h"

#include <com_err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "keystore/probe.h"
#include "mech/exchange_int.h"
#include "mech/fips.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

err_t mech_exchange_open(krb5_context k5, struct tok *tok, bool on_token_required,
			 struct mech_exchange **out)
{
	struct mech_exchange *x;
	err_t err;

	*out = NULL;
	err = ks_exposure_check_initiator(tok, on_token_required, false);
	if (err)
		return err;
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(ENOMEM, "out of memory for a KDC exchange");
	x->k5 = k5;
	x->tok = ks_token_ref(tok);
	x->on_token = on_token_required;
	krb5_set_kdc_send_hook(k5, mech_exchange_send, x);
	krb5_set_kdc_recv_hook(k5, mech_exchange_recv, x);
	*out = x;
	return 0;
}

err_t mech_exchange_fips(struct mech_exchange *x, enum ks_conf_fips fips)
{
	x->fips = fips;
	return mech_fips_limit(x->k5, fips);
}

void mech_exchange_close(struct mech_exchange **xp)
{
	struct mech_exchange *x = xp ? *xp : NULL;
	size_t i;

	if (!x)
		return;
	*xp = NULL;
	krb5_set_kdc_send_hook(x->k5, NULL, NULL);
	krb5_set_kdc_recv_hook(x->k5, NULL, NULL);
	ex_pending_clear(&x->pending);
	ks_key_unref(&x->forwarded);
	ex_tickets_free(x);
	for (i = 0; i < x->n_keys; i++) {
		ks_key_unref(&x->keys[i].real);
		ks_key_unref(&x->keys[i].surrogate);
	}
	if (x->keytab)
		krb5_kt_close(x->k5, x->keytab);
	if (x->armor)
		krb5_cc_close(x->k5, x->armor);
	krb5_free_principal(x->k5, x->client);
	secret_free(&x->password);
	free(x->salts);
	ks_token_unref(&x->tok);
	free(x);
}

void ex_pending_clear(struct ex_pending *p)
{
	ks_key_unref(&p->subkey);
	ks_key_unref(&p->armor);
	ks_key_unref(&p->armor_as);
	ks_key_unref(&p->real);
	free(p->asked);
	free(p->sent);
	memset(p, 0, sizeof(*p));
}

struct ex_client_key *ex_client_key(struct mech_exchange *x, int32_t etype)
{
	size_t i;

	for (i = 0; i < x->n_keys; i++) {
		if (ks_key_etype(x->keys[i].real)->id == etype)
			return &x->keys[i];
	}
	return NULL;
}

/* ---- octets ---- */

err_t ex_data_take(uint8_t **p, size_t len, krb5_data **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out) {
		free(*p);
		*p = NULL;
		return err_set(ENOMEM, "out of memory for a KDC message");
	}
	(*out)->magic = KV5M_DATA;
	(*out)->data = (char *)*p;
	(*out)->length = (unsigned)len;
	*p = NULL;
	return 0;
}

err_t ex_data_copy(const krb5_data *in, krb5_data **out)
{
	uint8_t *p = malloc((size_t)in->length + 1);

	*out = NULL;
	if (!p)
		return err_set(ENOMEM, "out of memory for a KDC message");
	if (in->length)
		memcpy(p, in->data, in->length);
	return ex_data_take(&p, in->length, out);
}

void ex_overwrite(void *message, const void *original, struct der_str at, const void *with)
{
	memcpy((uint8_t *)message + (at.p - (const uint8_t *)original), with, at.len);
}

/* ---- hooks ---- */

/* libkrb5's callers see our text. */
static krb5_error_code tell(krb5_context k5, err_t err)
{
	const char *text = err_text(err);

	if (err && text)
		krb5_set_error_message(k5, err, "%s", text);
	return err;
}

static err_t translate_request(struct mech_exchange *x, krb5_context k5, const krb5_data *message,
			       krb5_data **out)
{
	struct kdc_req req;
	err_t err;

	/* What is no request at all is libkrb5's business. */
	if (mech_kdc_req_read(message->data, message->length, &req))
		return 0;
	x->pending.k5 = k5;
	x->pending.nonce = req.nonce;
	x->pending.options = req.options;
	err = req.msg_type == KDC_AS_REQ ? ex_as_send(x, &req, message, out)
					 : ex_tgs_send(x, &req, message, out);
	trace("kdc: %s request, %s", req.msg_type == KDC_AS_REQ ? "AS" : "TGS",
	      err ? "refused here" : *out ? "sealed again with keys of the token" :
	      x->pending.type ? "from a client of the token" : "passed on unchanged");
	return err;
}

krb5_error_code mech_exchange_send(krb5_context k5, void *data, const krb5_data *realm,
				   const krb5_data *message, krb5_data **new_message,
				   krb5_data **reply)
{
	struct mech_exchange *x = data;
	err_t err;

	(void)realm;
	*new_message = NULL;
	*reply = NULL;
	ex_pending_clear(&x->pending);
	err = translate_request(x, k5, message, new_message);
	if (err)
		ex_pending_clear(&x->pending);
	return tell(k5, err);
}

static err_t translate_reply(struct mech_exchange *x, const krb5_data *reply, krb5_data **out)
{
	const int32_t type = mech_kdc_type(reply->data, reply->length);

	if (type == KDC_AS_REP && x->pending.type == KDC_AS_REQ)
		return ex_as_recv(x, reply, out);
	if (type == KDC_TGS_REP && x->pending.type == KDC_TGS_REQ)
		return ex_tgs_recv(x, reply, out);
	if (type == KDC_ERROR && x->pending.type == KDC_AS_REQ)
		return ex_as_error(x, reply, out);
	return 0;
}

krb5_error_code mech_exchange_recv(krb5_context k5, void *data, krb5_error_code code,
				   const krb5_data *realm, const krb5_data *message,
				   const krb5_data *reply, krb5_data **new_reply)
{
	struct mech_exchange *x = data;
	err_t err = code;

	(void)realm;
	(void)message;
	*new_reply = NULL;
	/* A copy of the context that somebody made may have asked. */
	if (!err && reply && x->pending.type && x->pending.k5 == k5) {
		err = translate_reply(x, reply, new_reply);
		trace("kdc: reply %s", err ? "refused" : *new_reply ? "translated"
							: "passed on unchanged");
		err = tell(k5, err);
	}
	ex_pending_clear(&x->pending);
	return err;
}
