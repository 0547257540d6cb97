/* Settings from krb5.conf's [appdefaults]. */
#include "keystore/conf.h"

#include <errno.h>
#include <profile.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keystore/card.h"
#include "keystore/vault.h"
#include "pkcs11/token.h"

#define SECTION "gssp11"
#define PLACE "krb5.conf section [appdefaults] " SECTION
#define BLANKS " \t\n\v\f\r"

enum kind {
	TEXT,           /* char *: NULL where it is not set */
	WORD,           /* an enum: the word's place in the list; 0 where it is not set */
	FLAG,           /* bool, false for the first of two words and where it is not set */
	NUMBER,         /* unsigned, from 1 to max; 0 where it is not set */
	ELSEWHERE       /* known here, and read by keystore/audit.c */
};

struct setting {
	const char *name;
	enum kind kind;
	size_t at;                      /* in struct ks_conf */
	const char *words[5];
	unsigned max;
	bool service;                   /* one service may have its own */
};

#define AT(field) offsetof(struct ks_conf, field)

static const struct setting settings[] = {
	{ "module", TEXT, AT(module) },
	{ "module-init", TEXT, AT(module_init) },
	{ "session_token", TEXT, AT(session_token) },
	{ "state_dir", TEXT, AT(state_dir) },
	{ "exposure", WORD, AT(exposure), { "transient", "on-token" }, .service = true },
	{ "delegation", WORD, AT(delegation), { "plain", "refuse", "token" }, .service = true },
	{ "subkey", FLAG, AT(subkey_optional), { "required", "optional" } },
	{ "pa_for_user", FLAG, AT(pa_for_user), { "refuse", "allow" } },
	{ "prf", FLAG, AT(prf), { "refuse", "allow" }, .service = true },
	{ "export", FLAG, AT(export), { "refuse", "allow" }, .service = true },
	{ "armor_ccache", TEXT, AT(armor_ccache) },
	{ "fips", WORD, AT(fips), { "off", "transitional", "strict-mechanisms", "strict-exposure" },
	  .service = true },
	{ "identity", TEXT, AT(identity) },
	{ "vault_max", NUMBER, AT(vault_max), .max = KS_VAULT_LIMIT },
	{ "audit", ELSEWHERE },
	{ "audit_required", ELSEWHERE },
};

#define SETTINGS_N (sizeof(settings) / sizeof(settings[0]))

_Static_assert(sizeof(enum ks_conf_exposure) == sizeof(unsigned), "a WORD is stored as unsigned");

/* Where settings are looked for: in the service's group, then as krb5_appdefault_string does. */
struct place {
	const krb5_data *realm;         /* or NULL */
	const char *service;            /* or NULL */
};

/* ---- names ------------------------------------------------------------------------- */

static const struct setting *setting_named(const char *name)
{
	size_t i;

	for (i = 0; i < SETTINGS_N && strcmp(settings[i].name, name); i++)
		;
	return i < SETTINGS_N ? &settings[i] : NULL;
}

/* "a, b and c": all the names, or those that a service may have. */
static const char *names_text(bool service, char *out, size_t size)
{
	size_t i, left = 0, n = 0;

	for (i = 0; i < SETTINGS_N; i++)
		left += !service || settings[i].service;
	for (i = 0; i < SETTINGS_N && n < size; i++) {
		if (service && !settings[i].service)
			continue;
		left--;
		n += (size_t)snprintf(out + n, size - n, "%s%s", settings[i].name,
				      left > 1 ? ", " : left ? " and " : "");
	}
	return out;
}

static err_t check_name(const char *name, const char *service)
{
	const struct setting *s = setting_named(name);
	char names[256];

	if (!s)
		return err_set(ERR_CONFIG, "\"%.64s\" is not a setting of " PLACE ": there are %s",
			       name, names_text(false, names, sizeof(names)));
	if (service && !s->service)
		return err_set(ERR_CONFIG, "\"%.64s\" in " PLACE " %.64s is no setting of one "
			       "service: these are %s", name, service,
			       names_text(true, names, sizeof(names)));
	return 0;
}

/* The names in one group of settings, a realm's or a service's; one that is not there has none. */
static err_t check_group(profile_t profile, const char *group, const char *service)
{
	const char *path[] = { "appdefaults", SECTION, group, NULL };
	char **names = NULL;
	err_t err = 0;
	size_t i;

	if (profile_get_relation_names(profile, path, &names))
		return 0;
	for (i = 0; !err && names && names[i]; i++)
		err = check_name(names[i], service);
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
	err = check_group(profile, NULL, NULL);
	if (!err && at->realm)
		err = check_group(profile, at->realm->data, NULL);
	if (!err && at->service)
		err = check_group(profile, at->service, at->service);
	profile_release(profile);
	return err;
}

/* ---- values ------------------------------------------------------------------------ */

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
	bool failed = true;
	char *raw = NULL;
	const char *s;
	size_t n;

	*out = NULL;
	if (at->service)
		raw = service_string(ctx, at->service, name);
	if (!raw)
		krb5_appdefault_string(ctx, SECTION, at->realm, name, "", &raw);
	if (raw) {
		s = raw + strspn(raw, BLANKS);
		for (n = strlen(s); n && strchr(BLANKS, s[n - 1]); n--)
			;
		*out = n ? strndup(s, n) : NULL;
		failed = n && !*out;
	}
	krb5_free_string(ctx, raw);
	if (!failed)
		return 0;
	return err_set(ENOMEM, "out of memory reading [appdefaults] " SECTION " %s", name);
}

err_t ks_conf_string(krb5_context ctx, const krb5_data *realm, const char *name, char **out)
{
	const struct place at = { realm, NULL };

	return read_string(ctx, &at, name, out);
}

static err_t not_a_word(const struct setting *s, const char *value)
{
	char more[64] = "";
	size_t i, n = 0;

	for (i = 2; s->words[i] && n < sizeof(more); i++)
		n += (size_t)snprintf(more + n, sizeof(more) - n, ", \"%s\"", s->words[i]);
	return err_set(ERR_CONFIG, "\"%s\" is not a value of %s in " PLACE ": write \"%s\"%s "
		       "or \"%s\"", value, s->name, s->words[0], more, s->words[1]);
}

static err_t parse_word(const struct setting *s, const char *value, unsigned *out)
{
	unsigned i;

	for (i = 0; s->words[i] && strcasecmp(value, s->words[i]); i++)
		;
	*out = i;
	return s->words[i] ? 0 : not_a_word(s, value);
}

/* A decimal number, nothing else. */
static err_t parse_number(const struct setting *s, const char *value, unsigned *out)
{
	bool decimal = strlen(value) <= 9 && !value[strspn(value, "0123456789")];
	unsigned long n = decimal ? strtoul(value, NULL, 10) : 0;

	*out = (unsigned)n;
	if (n >= 1 && n <= s->max)
		return 0;
	return err_set(ERR_CONFIG, "\"%.64s\" is not a value of %s in " PLACE ": write a number "
		       "from 1 to %u", value, s->name, s->max);
}

static char **text_at(struct ks_conf *c, const struct setting *s)
{
	return (char **)(void *)((char *)c + s->at);
}

static err_t read_setting(krb5_context ctx, const struct place *at, const struct setting *s,
			  struct ks_conf *c)
{
	char *value;
	unsigned n;
	bool flag;
	err_t err;

	if (s->kind == ELSEWHERE)
		return 0;
	err = read_string(ctx, at, s->name, &value);
	if (err || !value)
		return err;
	if (s->kind == TEXT) {
		*text_at(c, s) = value;
		return 0;
	}
	err = s->kind == NUMBER ? parse_number(s, value, &n) : parse_word(s, value, &n);
	flag = n != 0;
	if (!err && s->kind == FLAG)
		memcpy((char *)c + s->at, &flag, sizeof(flag));
	else if (!err)
		memcpy((char *)c + s->at, &n, sizeof(n));
	free(value);
	return err;
}

/* ---- what values must be ----------------------------------------------------------- */

static err_t check_paths(const struct ks_conf *c)
{
	if (c->module && c->module[0] != '/')
		return err_set(ERR_CONFIG, "module = %s in " PLACE " is not a path: write the "
			       "module's whole path, from /", c->module);
	if (c->state_dir && c->state_dir[0] != '/')
		return err_set(ERR_CONFIG, "state_dir = %s in " PLACE " is not a path: write the "
			       "whole path, from /", c->state_dir);
	if (c->session_token && !ks_conf_is_uri(c->session_token))
		return err_set(ERR_CONFIG, "session_token = %s in " PLACE " is not a token: write a "
			       "URI such as pkcs11:token=LABEL", c->session_token);
	if (c->session_token && tok_uri_check(c->session_token))
		return err_prefix(ERR_URI, "session_token in " PLACE);
	return 0;
}

static err_t check_identity(const struct ks_conf *c)
{
	err_t err = c->identity ? ks_card_check_uri(c->identity) : 0;

	return err ? err_prefix(err, "identity in " PLACE) : 0;
}

/* The strictest exposure needs mechanisms that the strictest choice of mechanisms forbids. */
static err_t check_fips(struct ks_conf *c)
{
	if (c->fips == KS_FIPS_STRICT_EXPOSURE)
		c->exposure = KS_CONF_ON_TOKEN;
	if (c->fips != KS_FIPS_STRICT_MECHANISMS || c->exposure != KS_CONF_ON_TOKEN)
		return 0;
	return err_set(ERR_CONFIG, "fips = strict-mechanisms and exposure = on-token in " PLACE
		       " cannot both be met: lifting keys out of messages inside a token takes "
		       "mechanisms that are not approved (CKM_EXTRACT_KEY_FROM_KEY); write fips = "
		       "strict-exposure for no key in memory, or exposure = transient for approved "
		       "mechanisms only");
}

static err_t read_all(krb5_context ctx, const struct place *at, struct ks_conf *c)
{
	size_t i;
	err_t err;

	err = check_names(ctx, at);
	for (i = 0; !err && i < SETTINGS_N; i++)
		err = read_setting(ctx, at, &settings[i], c);
	if (!err)
		err = check_paths(c);
	if (!err)
		err = check_identity(c);
	return err ? err : check_fips(c);
}

err_t ks_conf_read_service(krb5_context ctx, const char *realm, const char *service,
			   struct ks_conf *out)
{
	struct place at = { NULL, service };
	struct ks_conf c = { 0 };
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
	size_t i;

	for (i = 0; i < SETTINGS_N; i++) {
		if (settings[i].kind == TEXT)
			free(*text_at(c, &settings[i]));
	}
	memset(c, 0, sizeof(*c));
}

bool ks_conf_gives_keys(const struct ks_conf *c)
{
	return c->export && c->exposure != KS_CONF_ON_TOKEN;
}
