/* What accepting and initiating need of krb5.conf's [libdefaults]. */
#include "mech/settings.h"

#include <errno.h>
#include <profile.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "mech/mech.h"
#include "mech/policy.h"

#define LIBDEFAULTS "libdefaults"
#define DEFAULT_SKEW 300
#define KEEP_SECONDS 5

static _Thread_local struct {
	struct mech_settings s;
	krb5_context k5;         /* read with this one, which may be gone: never followed */
	time_t until;            /* monotonic; 0 = nothing read */
} kept;

static err_t user_name(char *out, size_t size)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) || !found)
		return err_set(ENOENT, "user %lu has no name for %%{username}",
			       (unsigned long)geteuid());
	snprintf(out, size, "%s", pw.pw_name);
	return 0;
}

/* The value of one token, given without its braces. */
static err_t token_value(const char *token, size_t n, char *out, size_t size)
{
	static const char *const names[] = { "uid", "USERID", "euid", "username", "TEMP", "null" };
	const char *dir;
	size_t i;

	for (i = 0; i < 6 && (strlen(names[i]) != n || memcmp(names[i], token, n)); i++)
		;
	out[0] = '\0';
	switch (i) {
	case 0:
	case 1:
		snprintf(out, size, "%lu", (unsigned long)getuid());
		return 0;
	case 2:
		snprintf(out, size, "%lu", (unsigned long)geteuid());
		return 0;
	case 3:
		return user_name(out, size);
	case 4:
		dir = secure_getenv("TMPDIR");
		snprintf(out, size, "%s", dir ? dir : "/tmp");
		return 0;
	case 5:
		return 0;
	default:
		return err_set(ERR_CONFIG, "%%{%.*s} in krb5.conf is not a token that gss-pkcs11 "
			       "expands: write the value itself", (int)n, token);
	}
}

err_t mech_settings_expand(const char *in, char *out, size_t size)
{
	char value[SETTINGS_NAME_MAX];
	const char *end;
	size_t len = 0, n;
	err_t err = 0;

	out[0] = '\0';
	while (!err && *in) {
		end = strncmp(in, "%{", 2) == 0 ? strchr(in, '}') : NULL;
		if (end) {
			err = token_value(in + 2, (size_t)(end - in - 2), value, sizeof(value));
			in = end + 1;
		} else {
			value[0] = *in++;
			value[1] = '\0';
		}
		n = err ? 0 : strlen(value);
		if (n >= size - len)
			return err_set(ERR_CONFIG, "default_rcache_name in krb5.conf is too long");
		memcpy(out + len, value, n);
		len += n;
		out[len] = '\0';
	}
	return err;
}

static err_t read_rcache(profile_t profile, struct mech_settings *s)
{
	char *value = NULL;
	err_t err = 0;

	s->rcache[0] = '\0';
	if (profile_get_string(profile, LIBDEFAULTS, "default_rcache_name", NULL, NULL, &value))
		return 0;
	if (value)
		err = mech_settings_expand(value, s->rcache, sizeof(s->rcache));
	profile_release_string(value);
	return err;
}

static bool read_boolean(profile_t profile, const char *name)
{
	int n = 0;

	return !profile_get_boolean(profile, LIBDEFAULTS, name, NULL, 0, &n) && n;
}

static void read_words(profile_t profile, struct mech_settings *s)
{
	char *value = NULL;
	int n = DEFAULT_SKEW;

	if (profile_get_integer(profile, LIBDEFAULTS, "clockskew", NULL, DEFAULT_SKEW, &n))
		n = DEFAULT_SKEW;
	s->skew = n > 0 ? (uint32_t)n : 0;
	s->ignore_hostname = read_boolean(profile, "ignore_acceptor_hostname");
	s->ok_as_delegate = read_boolean(profile, "enforce_ok_as_delegate");
	s->cbt = read_boolean(profile, "client_aware_channel_bindings");
	if (profile_get_string(profile, LIBDEFAULTS, "dns_canonicalize_hostname", NULL, NULL,
			       &value))
		value = NULL;
	s->canon_fallback = value && strcasecmp(value, "fallback") == 0;
	profile_release_string(value);
}

static err_t read_permitted(krb5_context k5, struct mech_settings *s)
{
	krb5_enctype *list = NULL;
	krb5_error_code code = krb5_get_permitted_enctypes(k5, &list);
	size_t i;

	if (code)
		return mech_krb5_err(k5, code);
	for (i = 0; list[i] && i < SETTINGS_ETYPES_MAX; i++)
		s->permitted[i] = list[i];
	s->permitted[i] = 0;
	krb5_free_enctypes(k5, list);
	return 0;
}

static err_t read_all(krb5_context k5, struct mech_settings *s)
{
	struct _profile_t *profile = NULL;
	krb5_error_code code = krb5_get_profile(k5, &profile);
	err_t err;

	if (code)
		return mech_krb5_err(k5, code);
	memset(s, 0, sizeof(*s));
	read_words(profile, s);
	err = read_rcache(profile, s);
	if (!err)
		err = read_permitted(k5, s);
	profile_release(profile);
	return err;
}

err_t mech_settings(krb5_context k5, const struct mech_settings **out)
{
	struct timespec now;
	err_t err;

	*out = NULL;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec >= kept.until || kept.k5 != k5) {
		kept.until = 0;
		err = read_all(k5, &kept.s);
		if (err)
			return err;
		kept.k5 = k5;
		kept.until = now.tv_sec + KEEP_SECONDS;
	}
	*out = &kept.s;
	return 0;
}

void mech_settings_forget(void)
{
	kept.until = 0;
	mech_policy_forget();
}
