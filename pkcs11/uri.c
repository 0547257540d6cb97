/* RFC 7512 URIs that name a token, checked strictly. */
#include "pkcs11/uri.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "pkcs11/token.h"

enum { URI_MAX = 4096, NAME_MAX_ = 24 };

#define SCHEME "pkcs11:"

/* One row for each attribute that RFC 7512 knows; refusal NULL means allowed. */
static const struct attribute {
	const char *name;
	bool query;
	const char *refusal;
} attributes[] = {
	{ "token", false, NULL },
	{ "manufacturer", false, NULL },
	{ "serial", false, NULL },
	{ "model", false, NULL },
	{ "slot-id", false, NULL },
	{ "library-manufacturer", false, NULL },
	{ "library-description", false, NULL },
	{ "library-version", false, NULL },
	{ "object", false, "the URI names a token, not an object: leave it out" },
	{ "id", false, "the URI names a token, not an object: leave it out" },
	{ "type", false, "the URI names a token, not an object: leave it out" },
	{ "slot-description", false, "name the token by token= or serial=, slots move" },
	{ "slot-manufacturer", false, "name the token by token= or serial=, slots move" },
	{ "pin-source", true, NULL },
	{ "module-path", true, NULL },
	{ "module-name", true, NULL },
	{ "pin-value", true, "a PIN in a URI shows in settings, process lists and logs: put it "
	  "into a file that only the service can read (mode 0600) and write "
	  "pin-source=file:/path/of/that/file" },
};

enum { N_ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]) };

/* A piece of the URI between two delimiters. */
struct piece {
	const char *p;
	size_t n;
};

/* Cuts the piece up to delimiter off rest; an empty rest has p NULL afterwards. */
static struct piece cut(struct piece *rest, char delimiter)
{
	const char *end = memchr(rest->p, delimiter, rest->n);
	struct piece head = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

	rest->n = end ? rest->n - head.n - 1 : 0;
	rest->p = end ? end + 1 : NULL;
	return head;
}

/* RFC 7512 section 2.3: unreserved, res-avail, and "&" in a path, "/", "?", "|" in a query. */
static bool char_allowed(unsigned char c, bool query)
{
	if (c == '\0' || c >= 0x80)
		return false;
	return isalnum(c) || strchr("-._~:[]@!$'()*+,=", c) || strchr(query ? "/?|" : "&", c);
}

/* Only allowed characters and whole escapes, none of them NUL. */
static bool value_allowed(struct piece v, bool query)
{
	size_t i;

	for (i = 0; i < v.n; i++) {
		if (v.p[i] != '%') {
			if (!char_allowed((unsigned char)v.p[i], query))
				return false;
			continue;
		}
		if (v.n - i < 3 || !isxdigit((unsigned char)v.p[i + 1]) ||
		    !isxdigit((unsigned char)v.p[i + 2]))
			return false;
		if (v.p[i + 1] == '0' && v.p[i + 2] == '0')
			return false;
		i += 2;
	}
	return true;
}

static int attribute_index(struct piece name, bool query)
{
	int i;

	for (i = 0; i < N_ATTRIBUTES; i++) {
		if (attributes[i].query == query && strlen(attributes[i].name) == name.n &&
		    memcmp(attributes[i].name, name.p, name.n) == 0)
			return i;
	}
	return -1;
}

static err_t check_attribute(struct piece item, bool query, unsigned *seen)
{
	const char *part = query ? "query (after '?')" : "path (before '?')";
	struct piece value = item, name = cut(&value, '=');
	int shown = name.n < NAME_MAX_ ? (int)name.n : NAME_MAX_;
	int i = attribute_index(name, query);

	if (!value.p || !value_allowed(name, query))
		return err_set(ERR_URI, "the %s of the pkcs11: URI is not a list of name=value: "
			       "percent-encode other characters than letters, digits and -._~",
			       part);
	if (i < 0)
		return err_set(ERR_URI, "the %s of the pkcs11: URI has the unknown attribute "
			       "\"%.*s\": correct or remove it", part, shown, name.p);
	if (attributes[i].refusal)
		return err_set(ERR_URI, "the pkcs11: URI has %s: %s",
			       attributes[i].name, attributes[i].refusal);
	if (*seen & 1u << i)
		return err_set(ERR_URI, "the pkcs11: URI has %s twice: keep one",
			       attributes[i].name);
	if (value.n == 0 || !value_allowed(value, query))
		return err_set(ERR_URI, "the value of %s in the pkcs11: URI is empty or has a "
			       "character that must be percent-encoded", attributes[i].name);
	*seen |= 1u << i;
	return 0;
}

static err_t check_part(struct piece part, bool query)
{
	unsigned seen = 0;
	err_t err = 0;

	while (part.p && !err)
		err = check_attribute(cut(&part, query ? '&' : ';'), query, &seen);
	return err;
}

static err_t check_text(const char *text)
{
	struct piece query, path;
	size_t n = strnlen(text, URI_MAX);
	err_t err;

	if (n == URI_MAX)
		return err_set(ERR_URI, "the pkcs11: URI is longer than %d octets", URI_MAX - 1);
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return err_set(ERR_URI, "a token's URI starts with \"" SCHEME
			       "\", in lower case");
	query.p = text + strlen(SCHEME);
	query.n = n - strlen(SCHEME);
	path = cut(&query, '?');
	if (path.n == 0)        /* RFC 7512 allows "pkcs11:": the only token there is */
		path.p = NULL;
	err = check_part(path, false);
	return err ? err : check_part(query, true);
}

/* Paths are whole, or a bare name that p11-kit looks up among its modules. */
static err_t check_module_path(const char *path)
{
	if (path && path[0] != '/' && strchr(path, '/'))
		return err_set(ERR_URI, "module-path in the pkcs11: URI is a relative path: "
			       "write the whole path, from /");
	return 0;
}

err_t uri_init(struct uri *u, const char *text)
{
	int rc;
	err_t err;

	memset(u, 0, sizeof(*u));
	err = check_text(text);
	if (err)
		return err;
	u->kit = p11_kit_uri_new();
	if (!u->kit)
		return ENOMEM;
	rc = p11_kit_uri_parse(text, P11_KIT_URI_FOR_TOKEN | P11_KIT_URI_FOR_SLOT |
			       P11_KIT_URI_FOR_MODULE_WITH_VERSION, u->kit);
	if (rc != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(u->kit)) {
		uri_fini(u);
		return err_set(ERR_URI, "the pkcs11: URI cannot be used (%s)",
			       rc == P11_KIT_URI_OK ? "unrecognised attribute" :
			       p11_kit_uri_message(rc));
	}
	u->pin_source = p11_kit_uri_get_pin_source(u->kit);
	u->module_path = p11_kit_uri_get_module_path(u->kit);
	u->module_name = p11_kit_uri_get_module_name(u->kit);
	err = check_module_path(u->module_path);
	if (!err && u->module_path && u->module_name)
		err = err_set(ERR_URI, "the pkcs11: URI has both module-path and module-name: "
			      "keep one");
	if (err)
		uri_fini(u);
	return err;
}

void uri_fini(struct uri *u)
{
	if (u->kit)
		p11_kit_uri_free(u->kit);
	memset(u, 0, sizeof(*u));
}

err_t tok_uri_check(const char *uri)
{
	struct uri u;
	err_t err = uri_init(&u, uri);

	if (!err)
		uri_fini(&u);
	return err;
}
