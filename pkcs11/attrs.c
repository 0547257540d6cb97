/* Attributes of the token's secret keys, one by one, for tokens lack some of them. */
#include "pkcs11/attrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

enum { KEYS_MAX = 16384, FIELD = 4096 };

void tok_attrs_free(struct tok_attrs **list, size_t n)
{
	size_t i;

	for (i = 0; *list && i < n; i++) {
		free((*list)[i].label);
		free((*list)[i].id);
	}
	free(*list);
	*list = NULL;
}

struct look {
	struct tok *tok;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE object;
	bool lost;
};

/* One attribute into buf; its length, or -1 where the token gives none. */
static long get(struct look *l, CK_ATTRIBUTE_TYPE type, void *buf, size_t size)
{
	CK_ATTRIBUTE a = { type, buf, size };
	CK_RV rv = traced(l->tok, "C_GetAttributeValue",
			  l->tok->f->C_GetAttributeValue(l->session, l->object, &a, 1));

	l->lost = l->lost || tok_rv_lost(rv);
	return rv == CKR_OK && a.ulValueLen <= size ? (long)a.ulValueLen : -1;
}

static tok_answer ask(struct look *l, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL v = CK_FALSE;

	return get(l, type, &v, 1) == 1 ? v != CK_FALSE : -1;
}

static unsigned uses(struct look *l)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		unsigned bit;
	} rows[] = {
		{ CKA_ENCRYPT, TOK_ENCRYPT }, { CKA_DECRYPT, TOK_DECRYPT }, { CKA_SIGN, TOK_SIGN },
		{ CKA_DERIVE, TOK_DERIVE }, { CKA_WRAP, TOK_WRAP }, { CKA_UNWRAP, TOK_UNWRAP },
	};
	unsigned use = 0;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		use |= ask(l, rows[i].type) == 1 ? rows[i].bit : 0;
	return use;
}

static bool names(struct look *l, struct tok_attrs *out)
{
	char field[FIELD];
	long n = get(l, CKA_LABEL, field, sizeof(field));

	out->label = strndup(n > 0 ? field : "", n > 0 ? (size_t)n : 0);
	n = get(l, CKA_ID, field, sizeof(field));
	out->id_len = n > 0 ? (size_t)n : 0;
	out->id = malloc(out->id_len + 1);
	if (!out->label || !out->id)
		return false;
	memcpy(out->id, field, out->id_len);
	return true;
}

/* False when memory is short. */
static bool describe(struct look *l, struct tok_attrs *out)
{
	memset(out, 0, sizeof(*out));
	if (!names(l, out))
		return false;
	out->sensitive = ask(l, CKA_SENSITIVE);
	out->extractable = ask(l, CKA_EXTRACTABLE);
	out->local = ask(l, CKA_LOCAL);
	out->always_sensitive = ask(l, CKA_ALWAYS_SENSITIVE);
	out->never_extractable = ask(l, CKA_NEVER_EXTRACTABLE);
	out->private = ask(l, CKA_PRIVATE);
	out->modifiable = ask(l, CKA_MODIFIABLE);
	out->use = uses(l);
	if (get(l, CKA_START_DATE, out->start_date, 8) != 8)
		out->start_date[0] = '\0';
	return true;
}

static err_t describe_all(struct look *l, const CK_OBJECT_HANDLE *found, size_t n,
			  struct tok_attrs **out)
{
	size_t i;

	*out = calloc(n + 1, sizeof(**out));
	for (i = 0; *out && i < n; i++) {
		l->object = found[i];
		if (describe(l, &(*out)[i]))
			continue;
		tok_attrs_free(out, i + 1);
	}
	return *out ? 0 : ENOMEM;
}

static err_t list_in(struct look *l, struct tok_attrs **out, size_t *n)
{
	CK_OBJECT_HANDLE *found = calloc(KEYS_MAX, sizeof(*found));
	struct tmpl m;
	err_t err;

	if (!found)
		return ENOMEM;
	tmpl_find_any(&m, NULL, NULL, 0);
	err = object_search(l->tok, l->session, &m, found, KEYS_MAX, n);
	if (!err)
		err = describe_all(l, found, *n, out);
	if (!err && l->lost) {
		tok_attrs_free(out, *n);
		err = tok_error(l->tok, "C_GetAttributeValue", CKR_DEVICE_REMOVED);
	}
	free(found);
	return err;
}

err_t tok_attrs_list(struct tok *t, struct tok_attrs **out, size_t *n)
{
	struct look l = { .tok = t };
	struct worker w;
	err_t err;
	CK_RV rv;

	*out = NULL;
	*n = 0;
	err = tok_ready(t);
	if (err)
		return err;
	rv = worker_get(t, &w);
	if (rv != CKR_OK)
		return tok_error(t, "C_OpenSession", rv);
	l.session = w.session;
	err = list_in(&l, out, n);
	if (err) {
		*n = 0;
		worker_drop(t, &w);
	} else {
		worker_put(t, &w);
	}
	return err;
}
