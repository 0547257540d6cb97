/* Settings from krb5.conf's [appdefaults], and the tokens they name. */
#include "keystore/conf.h"

#include <ctype.h>
#include <errno.h>
#include <profile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keystore/card.h"
#include "keystore/vault.h"
#include "pkcs11/ask.h"
#include "pkcs11/import.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

#define SECTION "gssp11"

/* A setting's words, in the order of the enum that they stand for. */
struct word_list {
	const char *name;
	const char *words[5];
};

static const struct word_list exposure_words = {
	"exposure", { "transient", "on-token", NULL }
};
static const struct word_list delegation_words = {
	"delegation", { "plain", "refuse", "token", NULL }
};
static const struct word_list prf_words = { "prf", { "refuse", "allow", NULL } };
static const struct word_list export_words = { "export", { "refuse", "allow", NULL } };
static const struct word_list fips_words = {
	"fips", { "off", "transitional", "strict-mechanisms", "strict-exposure", NULL }
};

/* Where settings are looked for: in the service's group, then as krb5_appdefault_string does. */
struct place {
	const krb5_data *realm;         /* or NULL */
	const char *service;            /* or NULL */
};

/* The value in the service's group, for krb5_free_string; NULL: not there, or no memory. */
static char *service_string(krb5_context ctx, const char *service, const char *name)
{
	const char *path[] = { "appdefaults", SECTION, service, name, NULL };
	char **values = NULL, *copy = NULL;
	profile_t profile;

	if (krb5_get_profile(ctx, &profile))
		return NULL;
	if (!profile_get_values(profile, path, &values) && values && values[0])
		copy = strdup(values[0]);
	profile_free_list(values);
	profile_release(profile);
	return copy;
}

/* The setting's value without surrounding blanks; NULL in *out where it is not set or empty. */
static err_t read_string(krb5_context ctx, const struct place *at, const char *name, char **out)
{
	char *raw = NULL, *s, *end;

	*out = NULL;
	if (at->service)
		raw = service_string(ctx, at->service, name);
	if (!raw)
		krb5_appdefault_string(ctx, SECTION, at->realm, name, "", &raw);
	if (!raw)
		return err_set(ENOMEM, "out of memory reading [appdefaults] " SECTION " %s", name);
	for (s = raw; isspace((unsigned char)*s); s++)
		;
	for (end = s + strlen(s); end > s && isspace((unsigned char)end[-1]); end--)
		*end = '\0';
	*end = '\0';
	if (*s)
		*out = strdup(s);
	if (*s && !*out) {
		krb5_free_string(ctx, raw);
		return err_set(ENOMEM, "out of memory reading [appdefaults] " SECTION " %s", name);
	}
	krb5_free_string(ctx, raw);
	return 0;
}

static err_t not_a_word(const char *value, const struct word_list *list)
{
	char more[64] = "";
	size_t i, n = 0;

	for (i = 2; list->words[i] && n < sizeof(more); i++)
		n += (size_t)snprintf(more + n, sizeof(more) - n, ", \"%s\"", list->words[i]);
	return err_set(ERR_CONFIG, "\"%s\" is not a value of %s in krb5.conf section "
		       "[appdefaults] " SECTION ": write \"%s\"%s or \"%s\"",
		       value, list->name, list->words[0], more, list->words[1]);
}

/* The index of the setting's word; 0, the first word, where it is not set. */
static err_t read_word(krb5_context ctx, const struct place *at, const struct word_list *list,
		       unsigned *out)
{
	char *value;
	unsigned i;
	err_t err;

	*out = 0;
	err = read_string(ctx, at, list->name, &value);
	if (err || !value)
		return err;
	for (i = 0; list->words[i] && strcasecmp(value, list->words[i]); i++)
		;
	if (list->words[i])
		*out = i;
	else
		err = not_a_word(value, list);
	free(value);
	return err;
}

/* A decimal number from 1 to max, nothing else; 0 where it is not set. */
static err_t read_number(krb5_context ctx, const struct place *at, const char *name, unsigned max,
			 unsigned *out)
{
	unsigned long n;
	char *value;
	err_t err;

	*out = 0;
	err = read_string(ctx, at, name, &value);
	if (err || !value)
		return err;
	n = strlen(value) <= 9 && !value[strspn(value, "0123456789")] ? strtoul(value, NULL, 10) : 0;
	if (n >= 1 && n <= max)
		*out = (unsigned)n;
	else
		err = err_set(ERR_CONFIG, "\"%.64s\" is not a value of %s in krb5.conf section "
			      "[appdefaults] " SECTION ": write a number from 1 to %u", value, name,
			      max);
	free(value);
	return err;
}

static err_t check_paths(const struct ks_conf *c)
{
	if (c->module && c->module[0] != '/')
		return err_set(ERR_CONFIG, "module = %s in krb5.conf section [appdefaults] " SECTION
			       " is not a path: write the module's whole path, from /", c->module);
	if (c->state_dir && c->state_dir[0] != '/')
		return err_set(ERR_CONFIG, "state_dir = %s in krb5.conf section [appdefaults] "
			       SECTION " is not a path: write the whole path, from /", c->state_dir);
	if (c->session_token && !ks_conf_is_uri(c->session_token))
		return err_set(ERR_CONFIG, "session_token = %s in krb5.conf section [appdefaults] "
			       SECTION " is not a token: write a URI such as pkcs11:token=LABEL",
			       c->session_token);
	if (c->session_token && tok_uri_check(c->session_token))
		return err_prefix(ERR_URI, "session_token in krb5.conf section [appdefaults] "
				  SECTION);
	return 0;
}

static err_t check_identity(const struct ks_conf *c)
{
	err_t err = c->identity ? ks_card_check_uri(c->identity) : 0;

	return err ? err_prefix(err, "identity in krb5.conf section [appdefaults] " SECTION) : 0;
}

/* One service alone may have these; the others are the process's or the realm's. */
static const char *const service_settings[] = {
	"exposure", "delegation", "prf", "export", "fips", NULL
};

static const char *const settings[] = {
	"module", "module-init", "session_token", "state_dir", "exposure", "delegation", "prf",
	"export", "armor_ccache", "identity", "vault_max", "fips", "audit", "audit_required", NULL
};

static bool listed(const char *const *list, const char *name)
{
	while (*list && strcmp(*list, name))
		list++;
	return *list != NULL;
}

static err_t check_name(const char *name)
{
	if (listed(settings, name))
		return 0;
	return err_set(ERR_CONFIG, "\"%.64s\" is not a setting of krb5.conf section [appdefaults] "
		       SECTION ": there are module, module-init, session_token, state_dir, exposure, "
		       "delegation, prf, export, armor_ccache, fips, identity, vault_max, "
		       "audit and audit_required", name);
}

/* The names in one group of settings; one that is not there has none. */
static err_t check_group(profile_t profile, const char *realm)
{
	const char *path[] = { "appdefaults", SECTION, realm, NULL };
	char **names = NULL;
	err_t err = 0;
	size_t i;

	if (profile_get_relation_names(profile, path, &names))
		return 0;
	for (i = 0; !err && names && names[i]; i++)
		err = check_name(names[i]);
	profile_free_list(names);
	return err;
}

static err_t check_service_group(profile_t profile, const char *service)
{
	const char *path[] = { "appdefaults", SECTION, service, NULL };
	char **names = NULL;
	err_t err = 0;
	size_t i;

	if (profile_get_relation_names(profile, path, &names))
		return 0;
	for (i = 0; !err && names && names[i]; i++) {
		err = check_name(names[i]);
		if (!err && !listed(service_settings, names[i]))
			err = err_set(ERR_CONFIG, "\"%.64s\" in krb5.conf section [appdefaults] "
				      SECTION " %.64s is no setting of one service: these are "
				      "exposure, delegation, prf, export and fips", names[i], service);
	}
	profile_free_list(names);
	return err;
}

/* A misspelt setting must not quietly leave the default in force. */
static err_t check_names(krb5_context ctx, const struct place *at)
{
	profile_t profile;
	krb5_error_code code;
	err_t err;

	code = krb5_get_profile(ctx, &profile);
	if (code)
		return err_set(code, "krb5.conf cannot be read");
	err = check_group(profile, NULL);
	if (!err && at->realm)
		err = check_group(profile, at->realm->data);
	if (!err && at->service)
		err = check_service_group(profile, at->service);
	profile_release(profile);
	return err;
}

/* The strictest exposure needs mechanisms that the strictest choice of mechanisms forbids. */
static err_t check_fips(struct ks_conf *c)
{
	if (c->fips == KS_FIPS_STRICT_EXPOSURE)
		c->exposure = KS_CONF_ON_TOKEN;
	if (c->fips != KS_FIPS_STRICT_MECHANISMS || c->exposure != KS_CONF_ON_TOKEN)
		return 0;
	return err_set(ERR_CONFIG, "fips = strict-mechanisms and exposure = on-token in krb5.conf "
		       "section [appdefaults] " SECTION " cannot both be met: lifting keys out of "
		       "messages inside a token takes mechanisms that are not approved "
		       "(CKM_EXTRACT_KEY_FROM_KEY); write fips = strict-exposure for no key in "
		       "memory, or exposure = transient for approved mechanisms only");
}

static err_t read_all(krb5_context ctx, const struct place *at, struct ks_conf *c)
{
	unsigned exposure = 0, delegation = 0, prf = 0, export = 0, fips = 0;
	err_t err;

	err = check_names(ctx, at);
	if (!err)
		err = read_string(ctx, at, "module", &c->module);
	if (!err)
		err = read_string(ctx, at, "module-init", &c->module_init);
	if (!err)
		err = read_string(ctx, at, "session_token", &c->session_token);
	if (!err)
		err = read_string(ctx, at, "state_dir", &c->state_dir);
	if (!err)
		err = read_string(ctx, at, "armor_ccache", &c->armor_ccache);
	if (!err)
		err = read_string(ctx, at, "identity", &c->identity);
	if (!err)
		err = read_word(ctx, at, &exposure_words, &exposure);
	if (!err)
		err = read_word(ctx, at, &delegation_words, &delegation);
	if (!err)
		err = read_word(ctx, at, &prf_words, &prf);
	if (!err)
		err = read_word(ctx, at, &export_words, &export);
	if (!err)
		err = read_word(ctx, at, &fips_words, &fips);
	if (!err)
		err = read_number(ctx, at, "vault_max", KS_VAULT_LIMIT, &c->vault_max);
	if (!err)
		err = check_paths(c);
	if (!err)
		err = check_identity(c);
	c->exposure = exposure ? KS_CONF_ON_TOKEN : KS_CONF_TRANSIENT;
	c->fips = (enum ks_conf_fips)fips;
	c->delegation = (enum ks_conf_delegation)delegation;
	c->prf = prf != 0;
	c->export = export != 0;
	return err ? err : check_fips(c);
}

err_t ks_conf_read_service(krb5_context ctx, const char *realm, const char *service,
			   struct ks_conf *out)
{
	struct place at = { NULL, service };
	struct ks_conf c = { .exposure = KS_CONF_TRANSIENT };
	char *name = NULL, *own = NULL;
	krb5_data data = { 0 };
	err_t err = 0;

	memset(out, 0, sizeof(*out));
	/* A host without a default realm simply has no settings for one. */
	if (!realm && krb5_get_default_realm(ctx, &own) == 0)
		realm = own;
	if (realm) {
		name = strdup(realm);
		if (!name) {
			err = err_set(ENOMEM, "out of memory reading krb5.conf");
			goto out;
		}
		data.data = name;
		data.length = (unsigned)strlen(name);
		at.realm = &data;
	}
	err = read_all(ctx, &at, &c);
	if (err)
		goto out;
	*out = c;
	memset(&c, 0, sizeof(c));
out:
	ks_conf_fini(&c);
	krb5_free_default_realm(ctx, own);
	free(name);
	return err;
}

err_t ks_conf_read(krb5_context ctx, const char *realm, struct ks_conf *out)
{
	return ks_conf_read_service(ctx, realm, NULL, out);
}

bool ks_conf_has_service(krb5_context ctx, const char *service)
{
	const char *path[] = { "appdefaults", SECTION, service, NULL };
	char **names = NULL;
	profile_t profile;
	bool has;

	if (krb5_get_profile(ctx, &profile))
		return false;
	has = !profile_get_relation_names(profile, path, &names) && names && names[0];
	profile_free_list(names);
	profile_release(profile);
	return has;
}

void ks_conf_fini(struct ks_conf *c)
{
	free(c->module);
	free(c->module_init);
	free(c->session_token);
	free(c->state_dir);
	free(c->armor_ccache);
	free(c->identity);
	memset(c, 0, sizeof(*c));
}

bool ks_conf_gives_keys(const struct ks_conf *c)
{
	return c->export && c->exposure != KS_CONF_ON_TOKEN;
}

bool ks_conf_is_uri(const char *keytab_name)
{
	return keytab_name && strncasecmp(keytab_name, "pkcs11:", 7) == 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return p ? (int)(p - digits) : -1;
}

/*
 * A percent-decoded copy (RFC 3986 2.1).  What is no escape stays as it is:
 * the token layer checks the syntax.
 */
static char *decode(const char *s, size_t len)
{
	char *out = malloc(len + 1), *p = out;
	size_t i;

	for (i = 0; out && i < len; i++) {
		if (s[i] == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 &&
		    hex_digit(s[i + 2]) >= 0) {
			*p++ = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
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
