/* Objects of the token: searched, listed, marked, destroyed. */
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	OBJECTS_MAX = 65536,    /* of one search */
	BATCH = 64,             /* handles of one C_FindObjects */
	FIELD_MAX = 65536,      /* octets of a label or ID */
	MARK_LEN = 16,
	VALUE_MAX = 512
};

struct handles {
	CK_OBJECT_HANDLE *h;
	size_t n;
};

/* Runs f in a session, with one recovery; write: a read-write session. */
struct visit {
	struct tok *tok;
	const char *call;
	bool write;
	CK_RV (*run)(struct visit *v, CK_SESSION_HANDLE session);
	struct tmpl tmpl;
	struct handles found;
	struct tok_object *objs;        /* of a list */
	size_t n;
	bool readable;                  /* of a reading */
	CK_RV reading;
};

/* ---- searching ----------------------------------------------------------- */

/*
 * A session that is not logged in finds nothing private, and says so to nobody:
 * so ask.  Nor does SoftHSM2 find anything once its files were away.
 */
static CK_RV still_logged_in(struct tok *t, CK_SESSION_HANDLE session, size_t found)
{
	CK_SESSION_INFO info;
	CK_RV rv;

	if (!found && !tok_present(t))
		return CKR_TOKEN_NOT_PRESENT;
	if (!t->login_needed)
		return CKR_OK;
	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetSessionInfo", t->f->C_GetSessionInfo(session, &info));
	if (rv != CKR_OK)
		return rv;
	return info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS ?
	       CKR_OK : CKR_USER_NOT_LOGGED_IN;
}

static CK_RV search(struct tok *t, CK_SESSION_HANDLE session, struct tmpl *m,
		    CK_OBJECT_HANDLE *out, size_t max, size_t *n)
{
	CK_ULONG got = 1;
	CK_RV rv, fin;

	*n = 0;
	rv = traced(t, "C_FindObjectsInit", t->f->C_FindObjectsInit(session, m->attr, m->n));
	if (rv != CKR_OK)
		return rv;
	while (rv == CKR_OK && got > 0 && *n < max) {
		got = 0;
		rv = traced(t, "C_FindObjects",
			    t->f->C_FindObjects(session, out + *n, max - *n, &got));
		if (got > max - *n)
			rv = CKR_GENERAL_ERROR;         /* a module that cannot count */
		else
			*n += got;
	}
	fin = traced(t, "C_FindObjectsFinal", t->f->C_FindObjectsFinal(session));
	if (rv == CKR_OK)
		rv = fin;
	return rv == CKR_OK ? still_logged_in(t, session, *n) : rv;
}

err_t object_search(struct tok *t, CK_SESSION_HANDLE session, struct tmpl *m,
		    CK_OBJECT_HANDLE *out, size_t max, size_t *n)
{
	CK_RV rv = search(t, session, m, out, max, n);

	return rv == CKR_OK ? 0 : tok_error(t, "C_FindObjects", rv);
}

/* All matches: the array grows until a search does not fill it. */
static CK_RV search_all(struct visit *v, CK_SESSION_HANDLE session)
{
	size_t cap = BATCH;
	CK_RV rv;

	do {
		free(v->found.h);
		cap *= 4;
		v->found.n = 0;
		v->found.h = calloc(cap, sizeof(*v->found.h));
		if (!v->found.h)
			return CKR_HOST_MEMORY;
		v->call = "C_FindObjects";
		rv = search(v->tok, session, &v->tmpl, v->found.h, cap, &v->found.n);
	} while (rv == CKR_OK && v->found.n == cap && cap < OBJECTS_MAX);
	return rv;
}

static CK_RV visit_once(struct visit *v)
{
	struct worker w;
	CK_RV rv;

	v->call = "C_OpenSession";
	rv = v->write ? worker_get_writer(v->tok, &w) : worker_get(v->tok, &w);
	if (rv != CKR_OK)
		return rv;
	rv = v->run(v, w.session);
	if (rv == CKR_OK && !v->write)
		worker_put(v->tok, &w);
	else
		worker_drop(v->tok, &w);
	return rv;
}

static err_t visit(struct visit *v)
{
	unsigned generation;
	err_t err;
	CK_RV rv;

	err = tok_ready(v->tok);
	if (err)
		return err;
	generation = atomic_load(&v->tok->generation);
	rv = visit_once(v);
	if (tok_rv_lost(rv)) {
		err = tok_recover(v->tok, generation);
		if (err)
			return err;
		rv = visit_once(v);
	}
	return rv == CKR_OK ? 0 : tok_error(v->tok, v->call, rv);
}

/* ---- lists ---------------------------------------------------------------- */

static void object_clear(struct tok_object *o)
{
	free(o->label);
	free(o->id);
	memset(o, 0, sizeof(*o));
}

void tok_objects_free(struct tok_object **objs, size_t n)
{
	size_t i;

	for (i = 0; *objs && i < n; i++)
		object_clear(&(*objs)[i]);
	free(*objs);
	*objs = NULL;
}

static bool usable(const CK_ATTRIBUTE *a)
{
	return a->ulValueLen != CK_UNAVAILABLE_INFORMATION && a->ulValueLen <= FIELD_MAX;
}

/* Some tokens lack some of these attributes: that spoils only those. */
static bool partial(CK_RV rv)
{
	return rv == CKR_OK || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	       rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL;
}

/* Reads one object; *o stays empty if it vanished meanwhile or has no proper label. */
static CK_RV read_object(struct visit *v, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			 struct tok_object *o)
{
	CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE, local = CK_FALSE;
	CK_ATTRIBUTE a[] = {
		{ CKA_LABEL, NULL, 0 }, { CKA_ID, NULL, 0 },
		{ CKA_SENSITIVE, &sensitive, 1 }, { CKA_EXTRACTABLE, &extractable, 1 },
		{ CKA_LOCAL, &local, 1 },
	};
	struct tok *t = v->tok;
	CK_ULONG label_len, id_len;
	CK_RV rv;

	memset(o, 0, sizeof(*o));
	v->call = "C_GetAttributeValue";
	rv = traced(t, v->call, t->f->C_GetAttributeValue(session, object, a, 5));
	if (rv == CKR_OBJECT_HANDLE_INVALID)
		return CKR_OK;
	if (!partial(rv) || !usable(&a[0]))
		return partial(rv) ? CKR_OK : rv;
	label_len = a[0].ulValueLen;
	id_len = usable(&a[1]) ? a[1].ulValueLen : 0;
	a[0].pValue = o->label = calloc(1, label_len + 1);
	a[1].pValue = o->id = calloc(1, id_len + 1);
	if (!o->label || !o->id) {
		object_clear(o);
		return CKR_HOST_MEMORY;
	}
	rv = traced(t, v->call, t->f->C_GetAttributeValue(session, object, a, id_len ? 2 : 1));
	if (rv != CKR_OK || strlen(o->label) != label_len || (id_len && a[1].ulValueLen != id_len))
		object_clear(o);
	o->id_len = o->label ? id_len : 0;
	o->sensitive = sensitive;
	o->extractable = extractable;
	o->local = local;
	return partial(rv) || rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}

static CK_RV run_list(struct visit *v, CK_SESSION_HANDLE session)
{
	CK_RV rv = search_all(v, session);
	size_t i;

	tok_objects_free(&v->objs, v->n);
	v->n = 0;
	if (rv != CKR_OK || v->found.n == 0)
		return rv;
	v->objs = calloc(v->found.n, sizeof(*v->objs));
	if (!v->objs)
		return CKR_HOST_MEMORY;
	for (i = 0; i < v->found.n && rv == CKR_OK; i++) {
		rv = read_object(v, session, v->found.h[i], &v->objs[v->n]);
		if (rv == CKR_OK && v->objs[v->n].label)
			v->n++;
	}
	return rv;
}

static err_t list(struct visit *v, struct tok_object **out, size_t *n)
{
	err_t err = visit(v);

	free(v->found.h);
	if (err) {
		tok_objects_free(&v->objs, v->n);
		return err;
	}
	*out = v->objs;
	*n = v->n;
	return 0;
}

err_t tok_objects_list(struct tok *t, const char *label, struct tok_object **out, size_t *n)
{
	struct visit v = { .tok = t, .run = run_list };

	*out = NULL;
	*n = 0;
	tmpl_find(&v.tmpl, label, NULL, 0);
	return list(&v, out, n);
}

err_t tok_marks_list(struct tok *t, struct tok_object **out, size_t *n)
{
	static const CK_ATTRIBUTE_TYPE uses[] = { CKA_SIGN, CKA_DERIVE, CKA_ENCRYPT, CKA_DECRYPT,
						  CKA_WRAP, CKA_UNWRAP };
	static const CK_KEY_TYPE generic = CKK_GENERIC_SECRET;
	struct visit v = { .tok = t, .run = run_list };
	size_t i;

	*out = NULL;
	*n = 0;
	tmpl_find(&v.tmpl, NULL, NULL, 0);
	tmpl_add(&v.tmpl, CKA_KEY_TYPE, &generic, sizeof(generic));
	for (i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		tmpl_add_bool(&v.tmpl, uses[i], false);
	return list(&v, out, n);
}

/* ---- marks, destruction, reading ------------------------------------------ */

err_t tok_mark_create(struct tok *t, const char *label, const void *id, size_t id_len)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .on_token = true, .label = label,
				     .id = id, .id_len = id_len };
	struct secret *value = NULL;
	err_t err;

	err = secret_new(MARK_LEN, &value);
	if (!err)
		err = tok_random(t, value->data, value->len);
	if (!err)
		err = tok_key_import(t, &spec, value->data, value->len, 0, NULL);
	secret_free(&value);
	return err;
}

static CK_RV run_destroy(struct visit *v, CK_SESSION_HANDLE session)
{
	CK_RV rv = search_all(v, session), one;
	size_t i;

	for (i = 0; i < v->found.n && rv == CKR_OK; i++) {
		v->call = "C_DestroyObject";
		one = traced(v->tok, v->call,
			     v->tok->f->C_DestroyObject(session, v->found.h[i]));
		if (one == CKR_OBJECT_HANDLE_INVALID)   /* another process was first */
			continue;
		rv = one;
		v->n += one == CKR_OK;
	}
	return rv;
}

static CK_RV run_search(struct visit *v, CK_SESSION_HANDLE session)
{
	return search_all(v, session);
}

err_t object_id_free(struct tok *t, const void *id, size_t id_len)
{
	struct visit v = { .tok = t, .run = run_search };
	err_t err;

	tmpl_find_any(&v.tmpl, NULL, id, id_len);
	err = visit(&v);
	free(v.found.h);
	if (!err && v.found.n)
		err = err_set(ERR_TOKEN_FAILED, "token \"%s\" has a secret key with this CKA_ID "
			      "already, which some tokens would silently replace: give each "
			      "object an ID of its own", t->info.label);
	return err;
}

static err_t absent(const struct tok *t, const char *label)
{
	return err_set(ERR_KEY_ABSENT, "token \"%s\" has no secret key labelled \"%.128s\" with "
		       "that ID", t->info.label, label);
}

err_t tok_object_destroy(struct tok *t, const char *label, const void *id, size_t id_len)
{
	struct visit v = { .tok = t, .run = run_destroy, .write = true };
	err_t err;

	if (!label)
		return err_set(ERR_INTERNAL, "an object is destroyed by its label");
	tmpl_find(&v.tmpl, label, id, id_len);
	err = visit(&v);
	free(v.found.h);
	if (!err && v.n == 0)
		err = absent(t, label);
	return err;
}

static CK_RV run_read_value(struct visit *v, CK_SESSION_HANDLE session)
{
	CK_ATTRIBUTE a = { CKA_VALUE, NULL, VALUE_MAX };
	struct secret *value;
	CK_RV rv;

	v->call = "C_FindObjects";
	rv = search_all(v, session);
	if (rv != CKR_OK || v->found.n == 0)
		return rv;
	if (secret_new(VALUE_MAX, &value) != 0)
		return CKR_HOST_MEMORY;
	a.pValue = value->data;
	v->reading = traced(v->tok, "C_GetAttributeValue",
			    v->tok->f->C_GetAttributeValue(session, v->found.h[0], &a, 1));
	v->readable = v->reading == CKR_OK && usable(&a) && a.ulValueLen > 0;
	secret_free(&value);
	return CKR_OK;
}

err_t tok_object_readable(struct tok *t, const char *label, const void *id, size_t id_len,
			  bool *readable, const char **text)
{
	struct visit v = { .tok = t, .run = run_read_value };
	err_t err;

	*readable = false;
	*text = "";
	tmpl_find(&v.tmpl, label, id, id_len);
	err = visit(&v);
	free(v.found.h);
	if (err)
		return err;
	if (v.found.n == 0)
		return absent(t, label ? label : "(any)");
	*readable = v.readable;
	*text = ck_rv_name(v.reading);
	return 0;
}
