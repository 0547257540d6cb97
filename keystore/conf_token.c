/* The tokens that URIs and settings name: which module loads, with whose init string. */
#include "keystore/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keystore/vault.h"
#include "pkcs11/ask.h"
#include "pkcs11/bytes.h"
#include "pkcs11/import.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

bool ks_conf_is_uri(const char *keytab_name)
{
	return keytab_name && strncasecmp(keytab_name, "pkcs11:", 7) == 0;
}

/*
 * A percent-decoded copy (RFC 3986 2.1).  What is no escape stays as it is:
 * the token layer checks the syntax.
 */
static char *decode(const char *s, size_t len)
{
	char *out = malloc(len + 1), *p = out;
	uint8_t octet;
	size_t i;

	for (i = 0; out && i < len; i++) {
		if (s[i] == '%' && i + 2 < len && hex_get(s + i + 1, &octet, 1)) {
			*p++ = (char)octet;
			i += 2;
		} else {
			*p++ = s[i];
		}
	}
	if (out)
		*p = '\0';
	return out;
}

/* Finds a query attribute (RFC 7512 2.3: after '?', parted by '&'); NULL where the URI has none. */
static const char *query_find(const char *uri, const char *name, size_t *len)
{
	const char *p = strchr(uri, '?');
	size_t n = strlen(name);

	*len = 0;
	for (; p; p = strchr(p, '&')) {
		p++;
		if (strncmp(p, name, n) == 0 && p[n] == '=') {
			*len = strcspn(p + n + 1, "&");
			return p + n + 1;
		}
	}
	return NULL;
}

/* The path of the module that this URI loads, malloc'ed; NULL for p11-kit's own modules. */
static err_t module_path(const struct ks_conf *c, const char *uri, char **out)
{
	size_t len;
	const char *value = query_find(uri, "module-path", &len);

	*out = NULL;
	if (value)
		*out = decode(value, len);
	else if (c->module && !query_find(uri, "module-name", &len))
		*out = strdup(c->module);
	else
		return 0;
	return *out ? 0 : err_set(ENOMEM, "out of memory reading a token's URI");
}

/* Octets of the file name in "FILE.so: STRING"; 0 where the string is for every module. */
static size_t init_prefix(const char *init)
{
	size_t n = strspn(init, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "0123456789._+-/");
	const char *so = memmem(init, n, ".so", 3);

	return so && init[n] == ':' && isblank((unsigned char)init[n + 1]) ? n : 0;
}

/* The init string that is meant for the module at path, or NULL. */
static const char *init_for(const char *init, const char *path)
{
	size_t n;
	const char *base;

	if (!init || !path)
		return NULL;
	n = init_prefix(init);
	if (!n)
		return init;
	base = memchr(init, '/', n) ? NULL : strrchr(path, '/');
	base = base ? base + 1 : path;
	if (strlen(base) != n || memcmp(base, init, n))
		return NULL;
	return init + n + 1 + strspn(init + n + 1, " \t");
}

err_t ks_conf_open_token(const struct ks_conf *c, const char *uri, bool write, struct tok **out)
{
	struct tok_config cfg = { .module = c->module, .state_dir = c->state_dir, .write = write,
				  .no_pin = c->no_pin };
	char *path;
	err_t err;

	*out = NULL;
	err = module_path(c, uri, &path);
	if (err)
		return err;
	cfg.module_init = init_for(c->module_init, path);
	trace("settings: module %s%s", path ? path : "from p11-kit",
	      cfg.module_init ? " with its module-init" : "");
	err = tok_open(uri, &cfg, out);
	free(path);
	if (!err)
		ks_vault_limit_set(*out, c->vault_max);
	return err;
}

err_t ks_conf_session_token(const struct ks_conf *c, struct tok **out)
{
	*out = NULL;
	if (!c->session_token)
		return 0;
	return ks_conf_open_token(c, c->session_token, false, out);
}

void ks_conf_ask_pin(struct secret *(*ask)(const char *label))
{
	tok_ask_pin(ask);
}

void ks_token_unref(struct tok **t)
{
	tok_unref(t);
}

struct tok *ks_token_ref(struct tok *t)
{
	return tok_ref(t);
}

const char *ks_token_import_way(struct tok *t)
{
	enum tok_import_way way;

	return tok_import_way(t, &way) ? NULL : tok_import_text(way);
}

const char *ks_token_label(const struct tok *t)
{
	return tok_info(t)->label;
}
