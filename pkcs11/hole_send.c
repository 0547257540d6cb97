/*
 * Keys on their way into a message: neighbours are put around a key until the
 * whole is blocks, and these are wrapped.  Part of hole.h's interface.
 */
#include "pkcs11/hole.h"

#include <string.h>

#include "pkcs11/make.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

static err_t concatenate(struct tok_key *hidden, CK_MECHANISM_TYPE type, const uint8_t *data,
			 size_t len, const struct tok_key_spec *spec, struct tok_key **out)
{
	CK_KEY_DERIVATION_STRING_DATA p = { ck_unconst(data), len };
	const CK_MECHANISM mech = { type, &p, sizeof(p) };

	*out = NULL;
	if (len == 0)
		return err_set(ERR_INTERNAL, "nothing to put beside a hidden value");
	return make_derived(hidden, &mech, spec, 0, out);
}

err_t tok_hidden_append(struct tok_key *hidden, const uint8_t *data, size_t len,
			const struct tok_key_spec *spec, struct tok_key **out)
{
	return concatenate(hidden, CKM_CONCATENATE_BASE_AND_DATA, data, len, spec, out);
}

err_t tok_hidden_prepend(struct tok_key *hidden, const uint8_t *data, size_t len,
			 const struct tok_key_spec *spec, struct tok_key **out)
{
	return concatenate(hidden, CKM_CONCATENATE_DATA_AND_BASE, data, len, spec, out);
}

/* ---- wrapping ---- */

struct wrapping {
	struct tok_key *aes, *hidden;
	const uint8_t *iv;
	uint8_t *out;
	size_t room;
	CK_ULONG len;           /* what came */
	const char *call;
};

static bool both_of(const struct wrapping *x, unsigned generation)
{
	return generation == atomic_load(&x->aes->generation) &&
	       generation == atomic_load(&x->hidden->generation);
}

static CK_RV wrap_once(struct wrapping *x)
{
	struct tok *t = x->aes->tok;
	CK_BYTE iv[16];
	CK_MECHANISM mech = { CKM_AES_CBC, iv, sizeof(iv) };
	struct worker w;
	CK_RV rv;

	memcpy(iv, x->iv, sizeof(iv));
	x->len = x->room;
	x->call = "C_OpenSession";
	rv = worker_get(t, &w);
	if (rv != CKR_OK)
		return rv;
	/* Connected again meanwhile: the same number could now be another key. */
	if (!both_of(x, w.generation)) {
		rv = CKR_SESSION_HANDLE_INVALID;
	} else {
		x->call = "C_WrapKey";
		rv = t->f->C_WrapKey(w.session, &mech, x->aes->handle, x->hidden->handle, x->out,
				     &x->len);
		rv = traced_mech(t, x->call, CKM_AES_CBC, rv);
	}
	if (rv == CKR_OK)
		worker_put(t, &w);
	else
		worker_drop(t, &w);
	return rv;
}

/* Where the holder was lost the hidden value went with it: that is what key_recover says then. */
err_t tok_hidden_wrap(struct tok_key *aes, const uint8_t iv[16], struct tok_key *hidden,
		      uint8_t *out, size_t len)
{
	struct wrapping x = { .aes = aes, .hidden = hidden, .iv = iv, .out = out, .room = len };
	unsigned generation;
	err_t err;
	CK_RV rv;

	if (len == 0 || len % 16 || aes->tok != hidden->tok)
		return err_set(ERR_INTERNAL, "a hidden value to be wrapped is no whole blocks");
	err = key_refresh(aes);
	if (!err)
		err = key_refresh(hidden);
	if (err)
		return err;
	generation = atomic_load(&hidden->generation);
	rv = wrap_once(&x);
	if (tok_rv_lost(rv)) {
		err = key_recover(hidden, generation, rv);
		if (!err)
			rv = wrap_once(&x);
	}
	if (err)
		return err;
	if (rv != CKR_OK)
		return tok_error(aes->tok, x.call, rv);
	if (x.len != len)
		return err_set(ERR_TOKEN_FAILED, "C_WrapKey on token \"%s\" gave %lu octets for a "
			       "value of %zu: use another token", aes->tok->info.label, x.len, len);
	return 0;
}
