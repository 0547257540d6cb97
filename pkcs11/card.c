/* Cards: finding the certificate and its key, and signing with it. */
#include "pkcs11/card_int.h"
#include "pkcs11/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/bytes.h"
#include "pkcs11/pin.h"

enum { CERTS_MAX = 32, FIELD_MAX = 65536, LIST_MAX = 200 };

/* ---- reading ------------------------------------------------------------- */

/* What a search works on. */
struct look {
	struct tok *tok;
	const struct tok_card_want *want;
	CK_SESSION_HANDLE session;
	struct tok_card *found;
	unsigned n;                      /* certificates that have a key */
	unsigned lone;                   /* and that have none */
	char list[LIST_MAX];             /* their names, for a text */
};

/* An attribute of any length, malloc'ed with a NUL behind it; NULL: the object has it not. */
static uint8_t *read_attribute(struct look *l, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type,
			       size_t *len)
{
	CK_FUNCTION_LIST *f = l->tok->f;
	CK_ATTRIBUTE a = { type, NULL, 0 };
	uint8_t *p;

	*len = 0;
	if (traced(l->tok, "C_GetAttributeValue", f->C_GetAttributeValue(l->session, o, &a, 1)) ||
	    a.ulValueLen == CK_UNAVAILABLE_INFORMATION || a.ulValueLen > FIELD_MAX)
		return NULL;
	p = calloc(1, a.ulValueLen + 1);
	a.pValue = p;
	if (p && a.ulValueLen &&
	    traced(l->tok, "C_GetAttributeValue", f->C_GetAttributeValue(l->session, o, &a, 1))) {
		free(p);
		return NULL;
	}
	*len = p ? a.ulValueLen : 0;
	return p;
}

static bool read_bool(struct look *l, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL value = CK_FALSE;
	CK_ATTRIBUTE a = { type, &value, sizeof(value) };

	return traced(l->tok, "C_GetAttributeValue",
		      l->tok->f->C_GetAttributeValue(l->session, o, &a, 1)) == CKR_OK && value;
}

static err_t read_key_type(struct look *l, struct tok_card *c)
{
	CK_ATTRIBUTE a = { CKA_KEY_TYPE, &c->key_type, sizeof(c->key_type) };
	CK_RV rv = traced(l->tok, "C_GetAttributeValue",
			  l->tok->f->C_GetAttributeValue(l->session, c->key, &a, 1));

	return rv == CKR_OK ? 0 : tok_error(l->tok, "C_GetAttributeValue", rv);
}

/* ---- one certificate --------------------------------------------------------- */

static void name_card(struct tok_card *c)
{
	char id[33];

	hex_put(c->id, c->id_len < 16 ? c->id_len : 16, id);
	snprintf(c->name, sizeof(c->name), "certificate \"%.48s\" (id %s) of token \"%s\"",
		 c->label ? c->label : "", id[0] ? id : "none", c->tok->info.label);
}

/* The private key with the certificate's ID; CK_INVALID_HANDLE stays where there is none. */
static err_t find_key(struct look *l, struct tok_card *c)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_OBJECT_HANDLE o[2];
	struct tmpl m = { .n = 0 };
	size_t n;
	err_t err;

	c->key = CK_INVALID_HANDLE;
	if (!c->id_len)
		return 0;
	tmpl_add(&m, CKA_CLASS, &class, sizeof(class));
	tmpl_add(&m, CKA_ID, c->id, c->id_len);
	err = object_search(l->tok, l->session, &m, o, 2, &n);
	if (err || !n)
		return err;
	if (n > 1)
		return err_set(ERR_TOKEN_AMBIGUOUS, "%s has more than one private key: give each pair "
			       "of certificate and key an ID of its own", c->name);
	c->key = o[0];
	return read_key_type(l, c);
}

static err_t read_card(struct look *l, CK_OBJECT_HANDLE o, struct tok_card *c)
{
	size_t len;
	err_t err;

	c->tok = tok_ref(l->tok);
	c->cert = read_attribute(l, o, CKA_VALUE, &c->cert_len);
	c->id = read_attribute(l, o, CKA_ID, &c->id_len);
	c->label = (char *)read_attribute(l, o, CKA_LABEL, &len);
	if (!c->cert || !c->cert_len)
		return err_set(ERR_TOKEN_FAILED, "a certificate on token \"%s\" cannot be read",
			       l->tok->info.label);
	name_card(c);
	err = find_key(l, c);
	if (!err && c->key != CK_INVALID_HANDLE)
		c->always_login = read_bool(l, c->key, CKA_ALWAYS_AUTHENTICATE);
	return err;
}

static void note_found(struct look *l, struct tok_card *c)
{
	size_t at = strlen(l->list);

	if (c->key == CK_INVALID_HANDLE) {
		l->lone++;
		return;
	}
	l->n++;
	snprintf(l->list + at, sizeof(l->list) - at, "%s%.*s", at ? ", " : "",
		 (int)(strstr(c->name, " of token") - c->name), c->name);
}

static err_t consider(struct look *l, CK_OBJECT_HANDLE o)
{
	struct tok_card *c = calloc(1, sizeof(*c));
	err_t err = c ? read_card(l, o, c) : ENOMEM;

	if (!err) {
		note_found(l, c);
		if (c->key != CK_INVALID_HANDLE && !l->found) {
			l->found = c;
			c = NULL;
		}
	}
	tok_card_free(&c);
	return err;
}

/* ---- all of them ---------------------------------------------------------------- */

static err_t search(struct look *l)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_OBJECT_HANDLE o[CERTS_MAX];
	struct tmpl m = { .n = 0 };
	size_t n, i;
	err_t err;

	tmpl_add(&m, CKA_CLASS, &class, sizeof(class));
	tmpl_add(&m, CKA_CERTIFICATE_TYPE, &type, sizeof(type));
	if (l->want->id)
		tmpl_add(&m, CKA_ID, l->want->id, l->want->id_len);
	if (l->want->label)
		tmpl_add(&m, CKA_LABEL, l->want->label, strlen(l->want->label));
	err = object_search(l->tok, l->session, &m, o, CERTS_MAX, &n);
	for (i = 0; !err && i < n; i++)
		err = consider(l, o[i]);
	return err;
}

static err_t search_once(struct look *l)
{
	struct worker w;
	CK_RV rv;
	err_t err;

	l->n = l->lone = 0;
	l->list[0] = '\0';
	rv = worker_get(l->tok, &w);
	if (rv != CKR_OK)
		return tok_error(l->tok, "C_OpenSession", rv);
	l->session = w.session;
	err = search(l);
	if (!err) {
		if (l->found)
			l->found->generation = w.generation;
		worker_put(l->tok, &w);
		return 0;
	}
	worker_drop(l->tok, &w);
	tok_card_free(&l->found);
	return err;
}

static err_t judge(struct look *l)
{
	const char *such = l->want->id || l->want->label ? "such " : "";

	if (l->n == 1)
		return 0;
	if (l->n > 1)
		return err_set(ERR_TOKEN_AMBIGUOUS, "token \"%s\" has %u certificates with a private "
			       "key: %s; add id=%%XX or object=LABEL to the identity's URI",
			       l->tok->info.label, l->n, l->list);
	return err_set(ERR_KEY_ABSENT, "token \"%s\" has no %scertificate%s: look with \"pkcs11-tool "
		       "-O\", and correct the identity's URI", l->tok->info.label, such,
		       l->lone ? " that has a private key with the same ID" : "");
}

err_t tok_card_open(struct tok *t, const struct tok_card_want *want, struct tok_card **out)
{
	struct look l = { .tok = t, .want = want };
	unsigned generation;
	err_t err;

	*out = NULL;
	err = tok_ready(t);
	if (err)
		return err;
	generation = atomic_load(&t->generation);
	err = search_once(&l);
	/* a card that was away and is back has to be connected anew, once */
	if (err == ERR_TOKEN_ABSENT || err == ERR_TOKEN_FAILED) {
		err = tok_recover(t, generation);
		if (!err)
			err = search_once(&l);
	}
	if (!err)
		err = judge(&l);
	if (err)
		tok_card_free(&l.found);
	*out = l.found;
	return err;
}

void tok_card_free(struct tok_card **cp)
{
	struct tok_card *c = cp ? *cp : NULL;

	if (!c)
		return;
	*cp = NULL;
	tok_unref(&c->tok);
	free(c->cert);
	free(c->id);
	free(c->label);
	free(c);
}

const uint8_t *tok_card_cert(const struct tok_card *c, size_t *len)
{
	*len = c->cert_len;
	return c->cert;
}

const char *tok_card_name(const struct tok_card *c)
{
	return c->name;
}

err_t tok_card_why(const struct tok_card *c)
{
	return c->why;
}

bool tok_card_asked(const struct tok_card *c)
{
	return c->asked;
}

/* ---- signing ------------------------------------------------------------------------ */

/* Keys of class "always authenticate" (PIV's signature key) want the PIN before each use. */
static CK_RV login_again(struct tok_card *c, CK_SESSION_HANDLE session)
{
	struct tok *t = c->tok;
	struct secret *pin = NULL;
	char who[64];
	CK_RV rv;

	snprintf(who, sizeof(who), "%s/%s", t->info.label, t->info.serial);
	c->why = pin_get(&t->uri, t->info.label, &pin);
	if (!c->why && !pin)
		c->why = err_set(ERR_PIN_MISSING, "the key of %s needs the PIN before each use: add "
				 "pin-source=file:/path to the URI's query", c->name);
	if (!c->why && pin_was_refused(who, pin))
		c->why = err_set(ERR_PIN_WRONG, "token \"%s\" refused the PIN before, so it was not "
				 "tried again", t->info.label);
	if (c->why) {
		secret_free(&pin);
		return CKR_PIN_INCORRECT;
	}
	rv = traced(t, "C_Login", t->f->C_Login(session, CKU_CONTEXT_SPECIFIC, pin->data, pin->len));
	if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE)
		pin_remember_refused(who, pin);
	secret_free(&pin);
	if (rv != CKR_OK)
		c->why = tok_error(t, "C_Login", rv);
	return rv;
}

static CK_RV sign_in(struct tok_card *c, CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len)
{
	CK_MECHANISM m = { c->mech, c->param_len ? c->param : NULL, c->param_len };
	struct tok *t = c->tok;
	CK_RV rv;

	rv = traced_mech(t, "C_SignInit", c->mech, t->f->C_SignInit(session, &m, c->key));
	if (rv != CKR_OK) {
		c->why = tok_error(t, "C_SignInit", rv);
		return rv;
	}
	rv = c->always_login ? login_again(c, session) : CKR_OK;
	if (rv != CKR_OK)
		return rv;
	c->sig_len = sizeof(c->sig);
	rv = traced(t, "C_Sign", t->f->C_Sign(session, data, len, c->sig, &c->sig_len));
	if (rv != CKR_OK)
		c->why = tok_error(t, "C_Sign", rv);
	return rv;
}

CK_RV card_sign(struct tok_card *c, CK_BYTE *data, CK_ULONG len)
{
	struct tok *t = c->tok;
	struct worker w;
	CK_RV rv;

	rv = worker_get(t, &w);
	if (rv != CKR_OK) {
		c->why = tok_error(t, "C_OpenSession", rv);
		return rv;
	}
	if (w.generation != c->generation) {
		c->why = err_set(ERR_TOKEN_ABSENT, "token \"%s\" was removed meanwhile: plug it in, and "
				 "try again", t->info.label);
		rv = CKR_DEVICE_REMOVED;
	} else {
		rv = sign_in(c, w.session, data, len);
	}
	if (rv == CKR_OK) {
		worker_put(t, &w);
		return rv;
	}
	c->sig_len = 0;
	worker_drop(t, &w);
	/* so that the next to use it finds out what is left of it */
	if (tok_rv_lost(rv) && tok_recover(t, c->generation))
		trace("token %s: has not come back", t->info.label);
	return rv;
}
