/* Keys that change hands: from session to token objects and back. */
#include "pkcs11/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

/* One key to be copied to the token. */
struct copier {
	struct tok_key *key;
	const char *call, *label;
	const void *id;
	size_t id_len;
	bool wrong;             /* the token made something else than was asked for */
};

/* A key that may leave its token, by local policy, must not do so in somebody else's hands. */
static CK_RV ask_source(struct copier *c, CK_SESSION_HANDLE session, bool *extractable)
{
	CK_BBOOL open = CK_TRUE;
	CK_ATTRIBUTE a = { CKA_EXTRACTABLE, &open, 1 };
	struct tok *t = c->key->tok;
	CK_RV rv;

	c->call = "C_GetAttributeValue";
	rv = traced(t, c->call, t->f->C_GetAttributeValue(session, c->key->handle, &a, 1));
	*extractable = open != CK_FALSE;
	return rv;
}

/*
 * SoftHSM2 refuses to be told what the source is already, and applies a
 * template in its order: CKA_MODIFIABLE comes last.
 */
static void fill(struct tmpl *m, const struct copier *c, bool extractable, bool fixed)
{
	m->n = 0;
	tmpl_add_bool(m, CKA_TOKEN, true);
	tmpl_add_bool(m, CKA_PRIVATE, true);
	if (extractable)
		tmpl_add_bool(m, CKA_EXTRACTABLE, false);
	tmpl_add(m, CKA_LABEL, c->label, strlen(c->label));
	tmpl_add(m, CKA_ID, c->id, c->id_len);
	if (fixed)
		tmpl_add_bool(m, CKA_MODIFIABLE, false);
}

/* A token that ignores part of a template must not pass for one that does as it is told. */
static CK_RV check(struct copier *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_BBOOL on_token = CK_FALSE, private = CK_FALSE, sensitive = CK_FALSE, open = CK_TRUE;
	CK_ATTRIBUTE a[] = {
		{ CKA_TOKEN, &on_token, 1 }, { CKA_PRIVATE, &private, 1 },
		{ CKA_SENSITIVE, &sensitive, 1 }, { CKA_EXTRACTABLE, &open, 1 },
	};
	struct tok *t = c->key->tok;
	CK_RV rv;

	c->call = "C_GetAttributeValue";
	rv = traced(t, c->call, t->f->C_GetAttributeValue(session, object, a, 4));
	if (rv == CKR_OK)
		c->wrong = !on_token || !private || !sensitive || open;
	return rv;
}

static bool template_refused(CK_RV rv)
{
	return rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_TEMPLATE_INCONSISTENT ||
	       rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_READ_ONLY ||
	       rv == CKR_ACTION_PROHIBITED;
}

/*
 * Who is to take the key must be able to copy it back: tried, for SoftHSM2
 * 2.6.1 copies no object that is not modifiable.
 */
static CK_RV try_back(struct copier *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	struct tok *t = c->key->tok;
	CK_OBJECT_HANDLE back = 0;
	struct tmpl m = { .n = 0 };
	CK_RV rv;

	tmpl_add_bool(&m, CKA_TOKEN, false);
	c->call = "C_CopyObject";
	rv = traced(t, c->call, t->f->C_CopyObject(session, object, m.attr, m.n, &back));
	if (rv == CKR_OK)
		traced(t, "C_DestroyObject", t->f->C_DestroyObject(session, back));
	return rv;
}

static CK_RV copy_as(struct copier *c, CK_SESSION_HANDLE session, bool extractable, bool fixed)
{
	struct tok *t = c->key->tok;
	CK_OBJECT_HANDLE made = 0;
	struct tmpl m;
	CK_RV rv;

	fill(&m, c, extractable, fixed);
	c->call = "C_CopyObject";
	rv = traced(t, c->call, t->f->C_CopyObject(session, c->key->handle, m.attr, m.n, &made));
	if (rv != CKR_OK)
		return rv;
	rv = check(c, session, made);
	if (rv == CKR_OK && !c->wrong)
		rv = try_back(c, session, made);
	if (rv != CKR_OK || c->wrong)
		traced(t, "C_DestroyObject", t->f->C_DestroyObject(session, made));
	return rv;
}

static CK_RV copy_in(struct copier *c, CK_SESSION_HANDLE session)
{
	struct tok *t = c->key->tok;
	bool extractable;
	CK_RV rv;

	rv = ask_source(c, session, &extractable);
	if (rv != CKR_OK)
		return rv;
	if (!atomic_load(&t->copies_open)) {
		rv = copy_as(c, session, extractable, true);
		if (!template_refused(rv))
			return rv;
	}
	rv = copy_as(c, session, extractable, false);
	if (rv == CKR_OK)
		atomic_store(&t->copies_open, true);
	return rv;
}

static CK_RV copy_once(struct copier *c)
{
	struct tok *t = c->key->tok;
	struct worker w;
	CK_RV rv;

	c->call = "C_OpenSession";
	rv = worker_get_writer(t, &w);
	if (rv != CKR_OK)
		return rv;
	/* Connected again meanwhile: the same number could now be another key. */
	if (w.generation != atomic_load(&c->key->generation))
		rv = CKR_SESSION_HANDLE_INVALID;
	else
		rv = copy_in(c, w.session);
	worker_drop(t, &w);
	return rv;
}

static err_t unsupported(const struct tok *t, const char *how)
{
	return err_set(ERR_UNSUPPORTED, "token \"%s\" %s (C_CopyObject), so keys cannot be handed "
		       "from one process to another there", t->info.label, how);
}

static err_t result(const struct copier *c, CK_RV rv)
{
	const struct tok *t = c->key->tok;

	if (rv == CKR_FUNCTION_NOT_SUPPORTED || template_refused(rv))
		return unsupported(t, "does not copy session keys to token objects");
	if (rv != CKR_OK)
		return tok_error(t, c->call, rv);
	if (c->wrong)
		return unsupported(t, "does not make the copy of a session key private, sensitive "
				   "and not extractable");
	return 0;
}

err_t tok_key_persist(struct tok_key *k, const char *label, const void *id, size_t id_len)
{
	struct copier c = { .key = k, .label = label, .id = id, .id_len = id_len };
	unsigned generation;
	err_t err;
	CK_RV rv;

	err = key_refresh(k);
	if (err)
		return err;
	generation = atomic_load(&k->generation);
	rv = copy_once(&c);
	if (!tok_rv_lost(rv))
		return result(&c, rv);
	err = key_recover(k, generation, rv);
	return err ? err : result(&c, copy_once(&c));
}

/* From here on the key is a session object like any other: gone is gone. */
static void detach(struct tok_key *k)
{
	k->findable = false;
	free(k->label);
	free(k->id);
	k->label = NULL;
	k->id = NULL;
	k->id_len = 0;
	atomic_store(&k->tok->private_copies, true);
}

err_t tok_key_take(struct tok *t, const char *label, const void *id, size_t id_len,
		   struct tok_key **out)
{
	err_t err = tok_key_find(t, label, id, id_len, out);

	if (err)
		return err;
	if ((*out)->token_object) {
		tok_key_unref(out);
		return unsupported(t, "does not copy its keys to session objects");
	}
	detach(*out);
	return 0;
}
