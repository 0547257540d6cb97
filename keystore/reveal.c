/* Raw keys, kept and given out under policy `export = allow`. */
#include "keystore/reveal.h"

#include "keystore/key_priv.h"
#include "pkcs11/trace.h"

static err_t import(struct ks_key *k)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_READABLE };

	return tok_key_import(k->tok, &spec, k->base->data, k->base->len, 0, &k->readable);
}

err_t ks_reveal_keep(struct ks_key *k)
{
	const char *label = tok_info(k->tok)->label;
	err_t err;

	if (k->readable || k->unreadable)
		return 0;
	if (!k->base && !k->base_object)
		return err_set(ERR_INTERNAL, "a key to be readable comes too late: its base is "
			       "forgotten");
	err = k->base ? import(k) : ERR_TOKEN_FAILED;
	if (err == ERR_TOKEN_FAILED) {
		trace("key: no readable %s key on token %s: %s", k->e->name, label,
		      k->base ? err_text(err) : "its base is on the token");
		k->unreadable = true;
		return 0;
	}
	if (!err)
		trace("key: base of %s kept on token %s, exposure: extractable", k->e->name, label);
	return err;
}

err_t ks_reveal(struct ks_key *k, struct secret **out)
{
	err_t err;

	*out = NULL;
	if (k->unreadable)
		return err_set(ERR_UNSUPPORTED, "token \"%s\" makes no keys that can be read: use "
			       "another session token", tok_info(k->tok)->label);
	if (!k->readable)
		return err_set(ERR_POLICY, "the key's octets are on token \"%s\" and are not given "
			       "out: policy export = allow was not in force when it was made",
			       tok_info(k->tok)->label);
	err = tok_key_read(k->readable, out);
	if (!err && (*out)->len != k->e->key_len) {
		secret_free(out);
		err = err_set(ERR_INTERNAL, "the token gave octets of another length back");
	}
	if (!err)
		trace("key: octets of an %s key given out, exposure: extractable", k->e->name);
	return err;
}
