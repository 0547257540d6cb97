/*
 * Keys that are made on the token to be sent.  Such a key exists twice: the
 * base, which derives and cannot leave, and an extractable twin for the one
 * message, which is destroyed with it or with ks_key_forget, whatever is first.
 */
#include <krb5.h>

#include "keystore/key_priv.h"
#include "keystore/probe.h"
#include "pkcs11/hole.h"
#include "pkcs11/trace.h"

static err_t check_token(struct tok *t, const struct ks_etype *e)
{
	unsigned caps, lack;
	err_t err = ks_caps_get(t, &caps);

	if (err)
		return err;
	lack = (ks_cap_derive(e->id) | KS_CAP_SEND) & ~caps;
	if (!lack)
		return 0;
	return err_set(ERR_POLICY, "exposure = on-token: token \"%s\" cannot make a %s key and send "
		       "it: it lacks %s; use another session token or exposure = transient",
		       tok_info(t)->label, e->name, ks_cap_mechanism(lack & -lack));
}

/* A key for that, of the type that the enctype's derivation asks for. */
static struct tok_key_spec spec_of(const struct ks_etype *e)
{
	return (struct tok_key_spec){
		.type = e->family == KS_RFC3962 ? TOK_AES : TOK_GENERIC, .use = TOK_DERIVE
	};
}

err_t ks_key_generate_hidden(struct tok *t, int32_t etype, struct ks_key **out)
{
	const struct ks_etype *e = ks_etype_find(etype);
	struct tok_key *twin = NULL, *base = NULL;
	struct tok_key_spec spec;
	err_t err;

	*out = NULL;
	if (!e)
		return err_set(KRB5_BAD_ENCTYPE, "encryption type %d is not supported", (int)etype);
	err = check_token(t, e);
	if (err)
		return err;
	spec = spec_of(e);
	spec.use |= TOK_EXTRACTABLE;
	err = tok_key_generate(t, &spec, e->key_len, &twin);
	spec = spec_of(e);
	/* etype_sha1.c: AES-128's HMAC keys are filled up with what the key makes of zeros */
	spec.use |= etype == 17 ? TOK_DECRYPT : 0;
	if (!err)
		err = tok_hidden_extract(twin, 0, e->key_len, &spec, &base);
	if (!err)
		err = ks_key_from_token_object(t, etype, base, out);
	if (!err) {
		(*out)->send_object = twin;
		twin = NULL;
		trace("key: a %s key was made on token \"%s\", exposure on-token", e->name,
		      tok_info(t)->label);
	}
	tok_key_unref(&base);
	tok_key_unref(&twin);
	return err;
}
