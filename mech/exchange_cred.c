/* Credentials whole: adopted from libkrb5, and sealed for a service. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "mech/apmsg_parts.h"
#include "mech/exchange_int.h"
#include "mech/mech.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

static err_t ticket_known(struct mech_exchange *x, const krb5_creds *c,
			  const struct ks_surrogate *s)
{
	struct ap_ticket t = { 0 };
	struct der d;
	err_t err;

	der_init(&d, c->ticket.data, c->ticket.length, &err);
	mech_ap_ticket(&d, &t);
	der_end(&d);
	return err ? err_set(err, "a ticket is not the DER that RFC 4120 asks for")
		   : ex_ticket_add(x, t.enc.cipher, s);
}

err_t mech_exchange_move(struct mech_exchange *x, krb5_creds *creds)
{
	krb5_keyblock *kb = &creds->keyblock;
	struct ks_surrogate s = { 0 };
	struct ks_key *key = NULL;
	bool has;
	err_t err;

	err = mech_exchange_has(x->tok, kb, &has);
	if (err || has)
		return err;
	err = ks_key_from_bytes(x->tok, kb->enctype, kb->contents, kb->length, &key);
	if (!err)
		err = ks_vault_store(key, ks_ccache_kind(x->k5, creds),
				     (int64_t)(uint32_t)creds->times.endtime, x->on_token, &s);
	ks_key_unref(&key);
	if (err)
		return err;
	err = ticket_known(x, creds, &s);
	if (!err) {
		memcpy(kb->contents, s.octets, s.len);
		trace("kdc: the session key of one ticket was moved to the token");
	} else if (ks_vault_destroy(x->tok, &s)) {
		trace("kdc: a session key that was not adopted stays until it expires");
	}
	secret_wipe(&s, sizeof(s));
	return err;
}

static err_t read_plain(const krb5_data *plain, struct ap_cred *msg)
{
	err_t err = mech_ap_cred_read(plain->data, plain->length, msg);

	if (!err && msg->enc.etype)
		err = EINVAL;
	return err ? err_set(err, "credentials to be sent are not in the form that is sealed here")
		   : 0;
}

static err_t seal_cred(struct ks_key *key, const struct ap_cred *msg, const struct ks_plain *part,
		       krb5_data *out)
{
	uint8_t *cipher = NULL, *p = NULL;
	size_t len, n;
	struct wr w;
	err_t err;

	err = ks_part_seal(key, part, &cipher, &len);
	if (err)
		return err;
	wr_init_grow(&w, msg->tickets.len + len + 128);
	mech_kdc_cred_write(&w, msg->tickets, ks_key_etype(key)->id, cipher, len);
	free(cipher);
	err = wr_take(&w, &p, &n);
	if (err)
		return err;
	out->magic = KV5M_DATA;
	out->data = (char *)p;
	out->length = (unsigned)n;
	return 0;
}

err_t mech_exchange_seal_cred(struct ks_key *key, const krb5_data *plain, krb5_data *out)
{
	struct ks_plain part = { .usage = 14 };
	struct ap_cred msg;
	err_t err;

	memset(out, 0, sizeof(*out));
	err = read_plain(plain, &msg);
	if (err)
		return err;
	part.p = msg.enc.cipher.p;
	part.len = msg.enc.cipher.len;
	return seal_cred(key, &msg, &part, out);
}

/* The stand-in, which is as random as a key: it stands there once, or something is wrong. */
static uint8_t *find_stand_in(const struct mech_exchange *x, krb5_data *plain)
{
	const struct ks_surrogate *s = &x->forwarded_as;
	uint8_t *at = memmem(plain->data, plain->length, s->octets, s->len), *end;

	end = (uint8_t *)plain->data + plain->length;
	if (!at || memmem(at + 1, (size_t)(end - at) - 1, s->octets, s->len))
		return NULL;
	return at;
}

err_t mech_exchange_seal_forwarded(struct mech_exchange *x, struct ks_key *key, krb5_data *plain,
				   krb5_data *out)
{
	struct ks_plain part = { .usage = 14, .hole = x->forwarded };
	struct ap_cred msg;
	uint8_t *at;
	err_t err;

	memset(out, 0, sizeof(*out));
	err = read_plain(plain, &msg);
	if (err)
		return err;
	at = x->forwarded ? find_stand_in(x, plain) : NULL;
	if (!at || at < msg.enc.cipher.p)
		return err_set(ERR_INTERNAL, "a forwarded ticket's session key is not the one that the "
			       "KDC sent");
	memset(at, 0, x->forwarded_as.len);
	part.p = msg.enc.cipher.p;
	part.len = msg.enc.cipher.len;
	part.at = (size_t)(at - msg.enc.cipher.p);
	err = seal_cred(key, &msg, &part, out);
	ks_key_unref(&x->forwarded);
	return err;
}
