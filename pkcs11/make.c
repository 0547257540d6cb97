/*
 * Makes key objects: from bytes (C_CreateObject, C_UnwrapKey), at random
 * (C_GenerateKey) or from another key (C_DeriveKey).  Session objects are made
 * in the holder, so that they live as long as the login; token objects in a
 * read-write session of their own.
 */
#include "pkcs11/gate.h"
#include "pkcs11/import.h"
#include "pkcs11/make.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <string.h>

/* One key to be made; value (import) or mechanism, and base (derivation). */
struct maker {
	const char *call;
	struct tok *tok;
	const struct tok_key_spec *spec;
	struct import *value;
	struct wrapped *packed;         /* value, where C_UnwrapKey takes it in */
	size_t len;             /* of the new key; 0: CKA_VALUE_LEN is left out */
	CK_MECHANISM mech;
	struct tok_key *base;           /* derives, or unwraps: */
	const uint8_t *wrapped;
	size_t wrapped_len;
	bool fixed;             /* CKA_MODIFIABLE false: nobody grants it another use later */
};

/* What C_UnwrapKey makes of the template is looked at: it must be what was asked for. */
static CK_RV unwrap_in(struct maker *m, CK_SESSION_HANDLE session, struct tmpl *tmpl,
		       CK_OBJECT_HANDLE *out)
{
	CK_FUNCTION_LIST *f = m->tok->f;
	struct wrapped *w = m->packed;
	CK_RV rv;

	m->call = "C_UnwrapKey";
	rv = f->C_UnwrapKey(session, &w->mech, w->by->handle, w->data, w->len, tmpl->attr, tmpl->n,
			    out);
	rv = traced_mech(m->tok, m->call, w->mech.mechanism, rv);
	if (rv != CKR_OK)
		return rv;
	rv = import_check(m->tok, session, *out, tmpl->attr, tmpl->n);
	if (rv == CKR_OK)
		return rv;
	m->call = "checking what C_UnwrapKey made";
	traced(m->tok, "C_DestroyObject", f->C_DestroyObject(session, *out));
	*out = 0;
	return rv;
}

static CK_RV make_in(struct maker *m, CK_SESSION_HANDLE session, bool private,
		     CK_OBJECT_HANDLE *out)
{
	CK_FUNCTION_LIST *f = m->tok->f;
	struct tmpl tmpl;
	CK_RV rv;

	/* SoftHSM2 refuses CKA_VALUE_LEN with a value and needs it without. */
	tmpl_new_key(&tmpl, m->spec, private, m->len);
	if (m->fixed)
		tmpl_add_bool(&tmpl, CKA_MODIFIABLE, false);
	if (m->packed)
		return unwrap_in(m, session, &tmpl, out);
	if (m->value) {
		m->call = "C_CreateObject";
		tmpl_add(&tmpl, CKA_VALUE, m->value->value, m->value->len);
		rv = f->C_CreateObject(session, tmpl.attr, tmpl.n, out);
		return traced(m->tok, m->call, rv);
	}
	if (m->wrapped) {
		m->call = "C_UnwrapKey";
		rv = f->C_UnwrapKey(session, &m->mech, m->base->handle, ck_unconst(m->wrapped),
				    m->wrapped_len, tmpl.attr, tmpl.n, out);
	} else if (m->base) {
		m->call = "C_DeriveKey";
		rv = f->C_DeriveKey(session, &m->mech, m->base->handle, tmpl.attr, tmpl.n, out);
	} else {
		m->call = "C_SeedRandom";
		rv = tok_seeded(m->tok, session);
		if (rv != CKR_OK)
			return rv;
		m->call = "C_GenerateKey";
		rv = f->C_GenerateKey(session, &m->mech, tmpl.attr, tmpl.n, out);
	}
	return traced_mech(m->tok, m->call, m->mech.mechanism, rv);
}

static bool template_refused(CK_RV rv)
{
	return rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_TEMPLATE_INCONSISTENT ||
	       rv == CKR_ATTRIBUTE_TYPE_INVALID;
}

/*
 * A session object is seen by this process only, and some tokens work with a
 * public one at half the cost; where a token insists, it is private, for good.
 */
static CK_RV make_in_holder(struct maker *m, CK_OBJECT_HANDLE *out)
{
	struct tok *t = m->tok;
	CK_RV rv;

	if (!atomic_load(&t->private_objects)) {
		rv = make_in(m, t->holder, false, out);
		if (!template_refused(rv))
			return rv;
	}
	rv = make_in(m, t->holder, true, out);
	if (rv == CKR_OK)
		atomic_store(&t->private_objects, true);
	return rv;
}

static CK_RV make_session_object(struct maker *m, struct tok_key *k)
{
	CK_OBJECT_HANDLE handle = 0;
	struct tok *t = m->tok;
	CK_RV rv = CKR_SESSION_HANDLE_INVALID;

	m->call = "C_OpenSession";
	pthread_mutex_lock(&t->lock);
	gate_enter();
	/* Lost or forked since we looked?  Then the caller recovers and tries again. */
	if (t->holder && t->up && (!m->base || m->base->generation == t->generation) &&
	    (!m->packed || m->packed->by->generation == t->generation))
		rv = make_in_holder(m, &handle);
	if (rv == CKR_OK) {
		atomic_store(&k->handle, handle);
		atomic_store(&k->generation, atomic_load(&t->generation));
	}
	gate_leave();
	pthread_mutex_unlock(&t->lock);
	return rv;
}

static CK_RV make_token_object(struct maker *m, struct tok_key *k)
{
	CK_OBJECT_HANDLE handle = 0;
	struct worker w;
	CK_RV rv;

	m->call = "C_OpenSession";
	rv = worker_get_writer(m->tok, &w);
	if (rv != CKR_OK)
		return rv;
	m->fixed = true;
	rv = make_in(m, w.session, true, &handle);
	m->fixed = false;
	if (template_refused(rv))
		rv = make_in(m, w.session, true, &handle);
	if (rv == CKR_OK && k) {
		atomic_store(&k->handle, handle);
		atomic_store(&k->generation, w.generation);
		k->token_object = true;
	}
	worker_drop(m->tok, &w);
	return rv;
}

static CK_RV make_once(struct maker *m, struct tok_key *k)
{
	struct wrapped w;
	CK_RV rv = CKR_OK;

	m->packed = NULL;
	if (m->value && m->value->way > TOK_IMPORT_CREATE) {
		rv = import_wrap(m->value, &w, &m->call);
		m->packed = &w;
		m->len = w.value_len;
	}
	if (rv == CKR_OK)
		rv = m->spec->on_token ? make_token_object(m, k) : make_session_object(m, k);
	if (m->value)
		m->value->rv = rv;
	if (m->packed)
		wrapped_fini(&w);
	m->packed = NULL;
	return rv;
}

/* With one recovery. */
static err_t make_recovering(struct maker *m, struct tok_key *k)
{
	struct tok *t = m->tok;
	unsigned generation;
	err_t err;
	CK_RV rv;

	err = m->base ? key_refresh(m->base) : tok_ready(t);
	if (err)
		return err;
	generation = m->base ? atomic_load(&m->base->generation) : atomic_load(&t->generation);
	rv = make_once(m, k);
	if (!tok_rv_lost(rv))
		return rv == CKR_OK ? 0 : tok_error(t, m->call, rv);
	err = m->base ? key_recover(m->base, generation, rv) : tok_recover(t, generation);
	if (err)
		return err;
	rv = make_once(m, k);
	return rv == CKR_OK ? 0 : tok_error(t, m->call, rv);
}

static err_t make(struct maker *m, struct tok_key **out)
{
	const struct tok_key_spec *s = m->spec;
	struct tok_key *k;
	err_t err = 0;

	if (out)
		*out = NULL;
	else if (!s->on_token)
		return err_set(ERR_INTERNAL, "a session key that nobody holds");
	if (s->on_token && s->id_len)
		err = object_id_free(m->tok, s->id, s->id_len);
	if (err)
		return err;
	k = key_new(m->tok, s->on_token ? s->label : NULL, s->id, s->id_len);
	if (!k)
		return ENOMEM;
	err = make_recovering(m, k);
	if (err || !out)
		key_free(k);
	else
		*out = k;
	return err;
}

err_t make_imported(struct import *in, struct tok_key **out)
{
	struct maker m = { .tok = in->tok, .spec = in->spec, .value = in };

	return make(&m, out);
}

err_t tok_key_generate(struct tok *t, const struct tok_key_spec *spec,
		       size_t len, struct tok_key **out)
{
	struct maker m = { .tok = t, .spec = spec, .len = len,
			   .mech = { spec->type == TOK_AES ? CKM_AES_KEY_GEN
							   : CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 } };

	return make(&m, out);
}

err_t make_derived(struct tok_key *base, const CK_MECHANISM *mech,
		   const struct tok_key_spec *spec, size_t len, struct tok_key **out)
{
	struct maker m = { .tok = base->tok, .spec = spec, .len = len, .base = base,
			   .mech = *mech };

	return make(&m, out);
}

err_t make_unwrapped(struct tok_key *aes, const CK_MECHANISM *mech, const uint8_t *wrapped,
		     size_t len, const struct tok_key_spec *spec, struct tok_key **out)
{
	struct maker m = { .tok = aes->tok, .spec = spec, .base = aes, .mech = *mech,
			   .wrapped = wrapped, .wrapped_len = len };

	return make(&m, out);
}

static err_t check_data(size_t data_len, size_t len)
{
	if (data_len == 0 || data_len % 16 || len == 0 || len > data_len)
		return err_set(ERR_INTERNAL, "derivation data has a bad length");
	return 0;
}

err_t tok_derive_ecb(struct tok_key *base, const struct tok_key_spec *spec,
		     const uint8_t *data, size_t data_len, size_t len,
		     struct tok_key **out)
{
	CK_KEY_DERIVATION_STRING_DATA p = { ck_unconst(data), data_len };
	struct maker m = { .tok = base->tok, .spec = spec, .len = len, .base = base,
			   .mech = { CKM_AES_ECB_ENCRYPT_DATA, &p, sizeof(p) } };
	err_t err = check_data(data_len, len);

	*out = NULL;
	return err ? err : make(&m, out);
}

err_t tok_derive_cbc(struct tok_key *base, const struct tok_key_spec *spec,
		     const uint8_t *data, size_t data_len, size_t len,
		     struct tok_key **out)
{
	CK_AES_CBC_ENCRYPT_DATA_PARAMS p = { { 0 }, ck_unconst(data), data_len };
	struct maker m = { .tok = base->tok, .spec = spec, .len = len, .base = base,
			   .mech = { CKM_AES_CBC_ENCRYPT_DATA, &p, sizeof(p) } };
	err_t err = check_data(data_len, len);

	*out = NULL;
	return err ? err : make(&m, out);
}

err_t tok_derive_kdf108(struct tok_key *base, const struct tok_kdf108 *kdf,
			const struct tok_key_spec *spec, size_t len,
			struct tok_key **out)
{
	static const CK_MECHANISM_TYPE prfs[] = {
		[TOK_SHA1] = CKM_SHA_1_HMAC, [TOK_SHA256] = CKM_SHA256_HMAC,
		[TOK_SHA384] = CKM_SHA384_HMAC, [TOK_MD5] = CKM_MD5_HMAC,
	};
	struct gp_sp800_108_counter_format counter = { CK_FALSE, 32 };
	struct gp_prf_data_param data[2] = {
		{ GP_SP800_108_ITERATION_VARIABLE, &counter, sizeof(counter) },
		{ GP_SP800_108_BYTE_ARRAY, ck_unconst(kdf->label), kdf->label_len },
	};
	struct gp_sp800_108_kdf_params p = { prfs[kdf->prf], 2, data, 0, NULL };
	struct maker m = { .tok = base->tok, .spec = spec, .len = len, .base = base,
			   .mech = { CKM_SP800_108_COUNTER_KDF, &p, sizeof(p) } };

	*out = NULL;
	if (kdf->label_len == 0 || len == 0)
		return err_set(ERR_INTERNAL, "derivation data has a bad length");
	return make(&m, out);
}
