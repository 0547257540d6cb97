/* A URI that names a certificate on a token, taken apart. */
#include "pkcs11/card.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/uri.h"

#define SCHEME "pkcs11:"

enum { ID_MAX = 256, URI_MAX = 4096 };

struct split {
	char *token, *object;            /* URIs of their own */
	unsigned seen;                   /* of the attributes that name an object */
	bool names_token;                /* by label or serial number */
};

static const char *const object_attributes[] = { "object=", "id=", "type=" };

static bool starts(const char *p, size_t n, const char *with)
{
	return n >= strlen(with) && !memcmp(p, with, strlen(with));
}

/* The place in the list above, or -1. */
static int object_attribute(const char *p, size_t n)
{
	int i;

	for (i = 0; i < 3; i++)
		if (starts(p, n, object_attributes[i]))
			return i;
	return -1;
}

static void append(char *uri, const char *p, size_t n)
{
	size_t at = strlen(uri);

	if (at > strlen(SCHEME))
		uri[at++] = ';';
	memcpy(uri + at, p, n);
	uri[at + n] = '\0';
}

static err_t take_piece(struct split *s, const char *p, size_t n)
{
	int i = object_attribute(p, n);

	if (i < 0) {
		s->names_token |= starts(p, n, "token=") || starts(p, n, "serial=");
		append(s->token, p, n);
		return 0;
	}
	if (s->seen & 1u << i)
		return err_set(ERR_URI, "the identity's pkcs11: URI has %.*s twice: keep one",
			       (int)strlen(object_attributes[i]) - 1, object_attributes[i]);
	s->seen |= 1u << i;
	append(s->object, p, n);
	return 0;
}

/* The path's attributes to one URI or the other; the query goes with the token. */
static err_t split(struct split *s, const char *uri)
{
	const char *p = uri + strlen(SCHEME), *query = p + strcspn(p, "?");
	err_t err = 0;
	bool more;
	size_t n;

	memcpy(s->token, SCHEME, sizeof(SCHEME));
	memcpy(s->object, SCHEME, sizeof(SCHEME));
	for (more = p < query; !err && more; p += n + 1) {
		n = strcspn(p, ";?");
		more = p[n] == ';';
		if (n)
			err = take_piece(s, p, n);
		else
			err = err_set(ERR_URI, "the identity's pkcs11: URI has an empty attribute");
	}
	memcpy(s->token + strlen(s->token), query, strlen(query) + 1);
	return err;
}

static err_t bad_object(void)
{
	return err_set(ERR_URI, "the identity's pkcs11: URI does not name a certificate: object= is "
		       "its label, id= its CKA_ID with each octet as %%XX, type= is \"cert\" or "
		       "\"private\" or left out");
}

static err_t take_attributes(P11KitUri *kit, struct tok_card_want *want)
{
	CK_ATTRIBUTE *a = p11_kit_uri_get_attribute(kit, CKA_CLASS);

	if (a && a->ulValueLen == sizeof(CK_OBJECT_CLASS) &&
	    *(CK_OBJECT_CLASS *)a->pValue != CKO_CERTIFICATE &&
	    *(CK_OBJECT_CLASS *)a->pValue != CKO_PRIVATE_KEY)
		return bad_object();
	a = p11_kit_uri_get_attribute(kit, CKA_LABEL);
	if (a && (!a->ulValueLen || memchr(a->pValue, 0, a->ulValueLen)))
		return bad_object();
	if (a && !(want->label = strndup(a->pValue, a->ulValueLen)))
		return ENOMEM;
	a = p11_kit_uri_get_attribute(kit, CKA_ID);
	if (!a)
		return 0;
	if (!a->ulValueLen || a->ulValueLen > ID_MAX)
		return bad_object();
	want->id = malloc(a->ulValueLen);
	if (!want->id)
		return ENOMEM;
	memcpy(want->id, a->pValue, a->ulValueLen);
	want->id_len = a->ulValueLen;
	return 0;
}

static err_t decode(const char *object, struct tok_card_want *want)
{
	P11KitUri *kit = p11_kit_uri_new();
	err_t err;

	if (!kit)
		return ENOMEM;
	if (p11_kit_uri_parse(object, P11_KIT_URI_FOR_OBJECT, kit) != P11_KIT_URI_OK ||
	    p11_kit_uri_any_unrecognized(kit))
		err = bad_object();
	else
		err = take_attributes(kit, want);
	p11_kit_uri_free(kit);
	return err;
}

static err_t check(const struct split *s, struct tok_card_want *want)
{
	err_t err = tok_uri_check(s->token);

	if (err)
		return err_prefix(err, "identity");
	if (!s->names_token)
		return err_set(ERR_URI, "the identity's pkcs11: URI names no card: add token=LABEL or "
			       "serial=NUMBER, so that no other card is ever taken for it");
	return s->seen ? decode(s->object, want) : 0;
}

err_t tok_card_uri(const char *uri, char **token, struct tok_card_want *want)
{
	struct split s = { 0 };
	size_t n = strnlen(uri, URI_MAX);
	err_t err;

	*token = NULL;
	memset(want, 0, sizeof(*want));
	if (n == URI_MAX || strncmp(uri, SCHEME, strlen(SCHEME)))
		return err_set(ERR_URI, "an identity is a URI such as pkcs11:token=LABEL;id=%%01, which "
			       "starts with \"" SCHEME "\" in lower case");
	/* neither gets longer than uri */
	s.token = malloc(n + 1);
	s.object = malloc(n + 1);
	err = s.token && s.object ? split(&s, uri) : ENOMEM;
	if (!err)
		err = check(&s, want);
	free(s.object);
	if (err) {
		free(s.token);
		tok_card_want_fini(want);
		return err;
	}
	*token = s.token;
	return 0;
}

void tok_card_want_fini(struct tok_card_want *want)
{
	free(want->label);
	free(want->id);
	memset(want, 0, sizeof(*want));
}

bool tok_card_unattended(const char *token_uri)
{
	struct uri u;
	bool is;

	if (uri_init(&u, token_uri))
		return false;
	is = u.pin_source && (u.pin_source[0] == '/' || !strncmp(u.pin_source, "file:", 5));
	uri_fini(&u);
	return is;
}
