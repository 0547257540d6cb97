/*
 * Does a bundle do what its long-term key would?  Every derived key is used
 * once on the token and its work is judged by libkrb5 with the key's octets.
 */
#include "keystore/bundle.h"

#include <krb5.h>
#include <string.h>

#include "keystore/keytab.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

#define TEXT 61                  /* octets of known text: a partial last block */
#define ROOM (KS_HEAD + KS_CONFOUNDER + TEXT + KS_TAIL + KS_CONFOUNDER)

struct proof {
	krb5_context ctx;
	krb5_keyblock base;      /* its octets are in a secret */
	const struct ks_etype *e;
	struct ks_key *key;
	uint8_t text[TEXT];
};

static err_t differs(void)
{
	return err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "the token's keys are not those of this key");
}

/* libkrb5 seals, the token opens. */
static err_t prove_open(struct proof *p, uint32_t usage)
{
	krb5_data plain = { .data = (char *)p->text, .length = TEXT };
	krb5_enc_data sealed = { 0 };
	size_t len = ks_sealed_len(p->e, TEXT);
	uint8_t buf[ROOM];
	err_t err;

	sealed.ciphertext.data = (char *)buf + KS_HEAD;
	sealed.ciphertext.length = (unsigned)len;
	err = krb5_c_encrypt(p->ctx, &p->base, (krb5_keyusage)usage, NULL, &plain, &sealed);
	if (!err)
		err = ks_open(p->key, usage, buf, len);
	if (!err && !secret_equal(buf + KS_HEAD + KS_CONFOUNDER, p->text, TEXT))
		err = differs();
	return err;
}

/* The token seals, libkrb5 opens. */
static err_t prove_seal(struct proof *p, uint32_t usage)
{
	uint8_t buf[ROOM] = { 0 }, text[ROOM];
	krb5_data plain = { .data = (char *)text, .length = sizeof(text) };
	krb5_enc_data sealed = { .enctype = p->e->id };
	err_t err;

	memcpy(buf + KS_HEAD + KS_CONFOUNDER, p->text, TEXT);
	err = ks_seal(p->key, usage, buf, TEXT);
	if (err)
		return err;
	sealed.ciphertext.data = (char *)buf + KS_HEAD;
	sealed.ciphertext.length = (unsigned)ks_sealed_len(p->e, TEXT);
	err = krb5_c_decrypt(p->ctx, &p->base, (krb5_keyusage)usage, NULL, &sealed, &plain);
	if (!err && (plain.length < TEXT || !secret_equal(text, p->text, TEXT)))
		err = differs();
	return err;
}

static err_t prove_checksum(struct proof *p, uint32_t usage)
{
	krb5_data text = { .data = (char *)p->text, .length = TEXT };
	krb5_checksum sum = { 0 };
	err_t err;

	err = krb5_c_make_checksum(p->ctx, p->e->cksumtype, &p->base, (krb5_keyusage)usage,
				   &text, &sum);
	if (!err)
		err = ks_checksum_verify(p->key, usage, p->text, TEXT, sum.contents, sum.length);
	krb5_free_checksum_contents(p->ctx, &sum);
	return err;
}

static err_t prove_prf(struct proof *p)
{
	uint8_t ours[64] = { 0 }, theirs[64] = { 0 };
	krb5_data in = { .data = (char *)p->text, .length = TEXT };
	krb5_data out = { .data = (char *)theirs, .length = (unsigned)p->e->prf_len };
	err_t err;

	err = krb5_c_prf(p->ctx, &p->base, &in, &out);
	if (!err)
		err = ks_prf(p->key, p->text, TEXT, ours);
	if (!err && !secret_equal(ours, theirs, p->e->prf_len))
		err = differs();
	secret_wipe(ours, sizeof(ours));
	secret_wipe(theirs, sizeof(theirs));
	return err;
}

static err_t prove(struct proof *p, const struct ks_use *u)
{
	switch (u->kind) {
	case KS_OPEN:
		return prove_open(p, u->usage);
	case KS_SEAL:
		return prove_seal(p, u->usage);
	case KS_CHECKSUM:
		return prove_checksum(p, u->usage);
	case KS_PRF:
		return prove_prf(p);
	default:
		return err_set(ERR_INTERNAL, "a bundle has no use of kind %d", (int)u->kind);
	}
}

static err_t prove_all(struct proof *p, unsigned use)
{
	struct ks_use uses[KS_BUNDLE_USES];
	size_t i, n = ks_bundle_uses(p->e, use, uses);
	err_t err = 0;

	if (!secret_random(p->text, TEXT))
		return err_set(ERR_INTERNAL, "libcrypto gives no random octets");
	for (i = 0; !err && i < n; i++) {
		err = prove(p, &uses[i]);
		trace("keytab: usage %u %s", (unsigned)uses[i].usage,
		      err ? "is not what the key gives" : "verified");
	}
	return err;
}

err_t ks_bundle_verify(struct tok *t, const char *label, const struct ks_id *id,
		       unsigned use, const uint8_t *base)
{
	struct proof p = { .e = ks_etype_find(id->etype) };
	struct tok_key *probe = NULL;
	struct secret *copy = NULL;
	err_t err;

	if (!p.e)
		return err_set(KRB5_BAD_ENCTYPE, "enctype %d has no bundle", (int)id->etype);
	err = krb5_init_context(&p.ctx);
	if (err)
		return err_set(err, "libkrb5 does not start: is krb5.conf readable and correct?");
	err = secret_new(p.e->key_len, &copy);
	if (err)
		goto out;
	memcpy(copy->data, base, copy->len);
	p.base.enctype = p.e->id;
	p.base.length = (unsigned)copy->len;
	p.base.contents = copy->data;
	err = ks_bundle_open(t, label, id, use, &p.key, &probe);
	if (!err)
		err = prove_all(&p, use);
out:
	secret_free(&copy);
	tok_key_unref(&probe);
	ks_key_unref(&p.key);
	krb5_free_context(p.ctx);
	return err;
}
