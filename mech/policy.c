/* Policy by realm, kept for a while: an accept must not cost a reading of krb5.conf. */
#include "mech/policy.h"

#include <string.h>
#include <time.h>

#include "pkcs11/trace.h"

enum { KEEP_SECONDS = 5, KEEP_REALMS = 4, REALM_MAX = 256 };

static _Thread_local struct {
	struct {
		struct mech_policy p;
		krb5_context k5;         /* read with this one, which may be gone: never followed */
		time_t until;            /* monotonic; 0 = nothing read */
		char realm[REALM_MAX];
	} of[KEEP_REALMS];
	unsigned next;                   /* to be given up for another */
} kept;

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

static const struct mech_policy *recall(krb5_context k5, const char *realm)
{
	for (unsigned i = 0; i < KEEP_REALMS; i++)
		if (kept.of[i].k5 == k5 && seconds() < kept.of[i].until &&
		    !strcmp(kept.of[i].realm, realm))
			return &kept.of[i].p;
	return NULL;
}

static void keep(krb5_context k5, const char *realm, const struct mech_policy *p)
{
	unsigned i = kept.next;

	if (strlen(realm) >= REALM_MAX)
		return;
	kept.next = (i + 1) % KEEP_REALMS;
	kept.of[i].p = *p;
	kept.of[i].k5 = k5;
	kept.of[i].until = seconds() + KEEP_SECONDS;
	memcpy(kept.of[i].realm, realm, strlen(realm) + 1);
}

static void take(const struct ks_conf *c, struct mech_policy *out)
{
	out->on_token = c->exposure == KS_CONF_ON_TOKEN;
	out->prf = c->prf;
	out->export = c->export;
	out->identity = c->identity != NULL;
	out->delegation = c->delegation;
	out->fips = c->fips;
}

err_t mech_policy_read(krb5_context k5, const char *realm, struct mech_policy *out)
{
	const char *name = realm ? realm : "";
	const struct mech_policy *known = recall(k5, name);
	struct ks_conf conf = { 0 };
	err_t err;

	memset(out, 0, sizeof(*out));
	if (known) {
		*out = *known;
		return 0;
	}
	err = ks_conf_read(k5, realm, &conf);
	if (err)
		return err;
	take(&conf, out);
	ks_conf_fini(&conf);
	keep(k5, name, out);
	trace("policy: realm %s: exposure %s, fips %s", realm ? realm : "(default)",
	      out->on_token ? "on-token" : "transient", ks_fips_word(out->fips));
	return 0;
}

err_t mech_policy_of(krb5_context k5, const struct mech_cred *c, const char *principal,
		     struct mech_policy *out)
{
	krb5_principal p = NULL;
	krb5_error_code code = krb5_parse_name(k5, principal, &p);
	err_t err = 0;

	memset(out, 0, sizeof(*out));
	if (code)
		return mech_krb5_err(k5, code);
	if (c->realm && strlen(c->realm) == p->realm.length &&
	    !memcmp(c->realm, p->realm.data, p->realm.length))
		take(&c->conf, out);
	else
		err = mech_policy_read(k5, p->realm.data, out);
	krb5_free_principal(k5, p);
	return err;
}

void mech_policy_forget(void)
{
	memset(&kept, 0, sizeof(kept));
}
