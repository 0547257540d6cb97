/* Policy by realm and service, kept for a while: an accept must not cost a reading of krb5.conf. */
#include "mech/policy.h"

#include <string.h>
#include <time.h>

#include "pkcs11/trace.h"

enum { KEEP_SECONDS = 5, KEEP = 4, REALM_MAX = 256, SERVICE_MAX = 64 };

static _Thread_local struct {
	struct {
		struct mech_policy p;
		krb5_context k5;         /* read with this one, which may be gone: never followed */
		time_t until;            /* monotonic; 0 = nothing read */
		char realm[REALM_MAX], service[SERVICE_MAX];
		bool own;                /* the service has a group of its own; else p is not set */
	} of[KEEP];
	unsigned next;                   /* to be given up for another */
} kept;

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

/* What is kept; service "": the realm's. */
static const struct mech_policy *recall(krb5_context k5, const char *realm, const char *service,
					bool *own)
{
	for (unsigned i = 0; i < KEEP; i++)
		if (kept.of[i].k5 == k5 && seconds() < kept.of[i].until &&
		    !strcmp(kept.of[i].realm, realm) && !strcmp(kept.of[i].service, service)) {
			*own = kept.of[i].own;
			return &kept.of[i].p;
		}
	return NULL;
}

static void keep(krb5_context k5, const char *realm, const char *service, bool own,
		 const struct mech_policy *p)
{
	unsigned i = kept.next;

	if (strlen(realm) >= REALM_MAX || strlen(service) >= SERVICE_MAX)
		return;
	kept.next = (i + 1) % KEEP;
	kept.of[i].p = *p;
	kept.of[i].k5 = k5;
	kept.of[i].own = own;
	kept.of[i].until = seconds() + KEEP_SECONDS;
	memcpy(kept.of[i].realm, realm, strlen(realm) + 1);
	memcpy(kept.of[i].service, service, strlen(service) + 1);
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

static err_t read_policy(krb5_context k5, const char *realm, const char *service,
			 struct mech_policy *out)
{
	struct ks_conf conf = { 0 };
	err_t err = ks_conf_read_service(k5, realm, service, &conf);

	if (err)
		return err;
	take(&conf, out);
	ks_conf_fini(&conf);
	trace("policy: realm %s%s%s: exposure %s, fips %s", realm ? realm : "(default)",
	      service ? ", service " : "", service ? service : "",
	      out->on_token ? "on-token" : "transient", ks_fips_word(out->fips));
	return 0;
}

err_t mech_policy_read(krb5_context k5, const char *realm, struct mech_policy *out)
{
	const char *name = realm ? realm : "";
	const struct mech_policy *known;
	bool own;
	err_t err;

	memset(out, 0, sizeof(*out));
	known = recall(k5, name, "", &own);
	if (known) {
		*out = *known;
		return 0;
	}
	err = read_policy(k5, realm, NULL, out);
	if (!err)
		keep(k5, name, "", true, out);
	return err;
}

/* The service's own policy; *own false: it has none. */
static err_t of_service(krb5_context k5, const char *realm, const char *service,
			struct mech_policy *out, bool *own)
{
	const struct mech_policy *known = recall(k5, realm, service, own);
	err_t err = 0;

	if (known) {
		*out = *known;
		return 0;
	}
	*own = ks_conf_has_service(k5, service);
	if (*own)
		err = read_policy(k5, realm, service, out);
	if (!err)
		keep(k5, realm, service, *own, out);
	return err;
}

static bool is_realm_of(const struct mech_cred *c, const krb5_principal_data *p)
{
	return c && c->realm && strlen(c->realm) == p->realm.length &&
	       !memcmp(c->realm, p->realm.data, p->realm.length);
}

err_t mech_policy_of(krb5_context k5, const struct mech_cred *c, const krb5_principal_data *p,
		     struct mech_policy *out)
{
	bool own = false;
	err_t err = 0;

	memset(out, 0, sizeof(*out));
	if (p->length > 0 && p->data[0].length > 0)
		err = of_service(k5, p->realm.data, p->data[0].data, out, &own);
	if (err || own)
		return err;
	if (!is_realm_of(c, p))
		return mech_policy_read(k5, p->realm.data, out);
	take(&c->conf, out);
	return 0;
}

err_t mech_policy_of_name(krb5_context k5, const struct mech_cred *c, const char *principal,
			  struct mech_policy *out)
{
	krb5_principal p = NULL;
	krb5_error_code code = krb5_parse_name(k5, principal, &p);
	err_t err;

	memset(out, 0, sizeof(*out));
	if (code)
		return mech_krb5_err(k5, code);
	err = mech_policy_of(k5, c, p, out);
	krb5_free_principal(k5, p);
	return err;
}

void mech_policy_forget(void)
{
	memset(&kept, 0, sizeof(kept));
}
