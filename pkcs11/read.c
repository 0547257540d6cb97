/* Reads a key back: only one that was made to be readable (policy export). */
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

enum { VALUE_MAX = 64 };

static CK_RV read_once(struct tok_key *k, struct secret *value)
{
	CK_ATTRIBUTE a = { CKA_VALUE, value->data, VALUE_MAX };
	struct tok *t = k->tok;
	struct worker w;
	CK_RV rv;

	rv = worker_get(t, &w);
	if (rv != CKR_OK)
		return traced(t, "C_OpenSession", rv);
	if (w.generation != atomic_load(&k->generation))
		rv = CKR_SESSION_HANDLE_INVALID;
	else
		rv = traced(t, "C_GetAttributeValue",
			    t->f->C_GetAttributeValue(w.session, atomic_load(&k->handle), &a, 1));
	if (rv == CKR_OK)
		worker_put(t, &w);
	else
		worker_drop(t, &w);
	/* What a token that refuses leaves there is no length. */
	if (rv == CKR_OK && a.ulValueLen <= VALUE_MAX)
		value->len = a.ulValueLen;
	else
		value->len = 0;
	return rv;
}

static err_t failed(struct tok_key *k, unsigned generation, CK_RV rv)
{
	struct tok *t = k->tok;

	if (tok_rv_lost(rv)) {
		err_t err = key_recover(k, generation, rv);

		return err ? err : tok_error(t, "C_GetAttributeValue", rv);
	}
	if (rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID)
		return err_set(ERR_UNSUPPORTED, "token \"%s\" gives out no key's octets, not even of "
			       "one that was made to be read: use another session token",
			       t->info.label);
	return tok_error(t, "C_GetAttributeValue", rv);
}

err_t tok_key_read(struct tok_key *k, struct secret **out)
{
	struct secret *value = NULL;
	unsigned generation;
	err_t err;
	CK_RV rv;

	*out = NULL;
	err = key_refresh(k);
	if (!err)
		err = secret_new(VALUE_MAX, &value);
	if (err)
		return err;
	generation = atomic_load(&k->generation);
	rv = read_once(k, value);
	if (rv == CKR_OK && value->len) {
		*out = value;
		return 0;
	}
	secret_free(&value);
	return failed(k, generation, rv);
}
