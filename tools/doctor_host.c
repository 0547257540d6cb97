/* krb5.conf, and which keytab it names. */
#include <com_err.h>
#include <limits.h>
#include <profile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/doctor.h"

/* A relation of [libdefaults], malloc'ed; NULL where it is not set. */
static char *libdefault(krb5_context ctx, const char *name)
{
	char *value = NULL, *copy;
	profile_t profile;

	if (krb5_get_profile(ctx, &profile))
		return NULL;
	if (profile_get_string(profile, "libdefaults", name, NULL, NULL, &value))
		value = NULL;
	copy = value ? strdup(value) : NULL;
	profile_release_string(value);
	profile_release(profile);
	return copy;
}

/*
 * Servers that load this module take the URI; klist -k and ktutil read keytabs
 * through libkrb5 alone, which knows no such type.
 */
static void check_keytab_names(struct doctor *d)
{
	char *name = libdefault(d->tool->ctx, "default_keytab_name");

	if (ks_conf_is_uri(name))
		finding(d, LEVEL_WARNING, "default-keytab", "set KRB5_KTNAME for the service alone "
			"(Environment= in its systemd unit) instead of default_keytab_name",
			"default_keytab_name in krb5.conf is a token for the whole system: stock "
			"tools that read keytabs (klist -k, kinit -k, kadmin's ktadd) fail with it");
	free(name);
	name = libdefault(d->tool->ctx, "default_client_keytab_name");
	if (ks_conf_is_uri(name))
		finding(d, LEVEL_WARNING, "default-client-keytab", "set KRB5_CLIENT_KTNAME for the "
			"service alone", "default_client_keytab_name in krb5.conf is a token for the "
			"whole system: kinit -i fails with it");
	free(name);
}

bool doctor_conf(struct doctor *d)
{
	err_t err = d->tool->ctx ? 0 : krb5_init_context(&d->tool->ctx);

	if (!d->tool->ctx) {
		finding(d, LEVEL_PROBLEM, "krb5-conf", "let this user read krb5.conf and what it "
			"includes, and correct its syntax", "libkrb5 does not start as uid %lu: %s",
			(unsigned long)geteuid(), error_message(err));
		return false;
	}
	err = ks_conf_read(d->tool->ctx, NULL, &d->tool->conf);
	if (err)
		finding_err(d, LEVEL_PROBLEM, "krb5-conf", "krb5.conf", err);
	else
		finding(d, LEVEL_OK, "krb5-conf", NULL, "krb5.conf can be read, and its settings "
			"for gssp11 are known ones");
	check_keytab_names(d);
	return true;
}

void doctor_audit(struct doctor *d)
{
	bool on, required;
	err_t err = ks_doc_audit(d->tool->ctx, &on, &required);

	if (err)
		finding_cured(d, required ? LEVEL_PROBLEM : LEVEL_WARNING, "audit",
			      "let the log's folder belong to the service's user (mode 0700), and the "
			      "file, where it is there already, be that user's (a regular one, mode "
			      "0600); or correct audit in krb5.conf section [appdefaults] gssp11",
			      required ? "nothing that has to be logged is done" :
			      "events do not get into the log", err);
	else
		finding(d, LEVEL_OK, "audit", NULL, on ? "the audit log can be written" :
			"no audit log is configured");
}

bool doctor_uri(struct doctor *d)
{
	struct tool *t = d->tool;
	char name[PATH_MAX];

	if (t->o.n_args) {
		t->uri = strdup(t->o.args[0]);
	} else if (!krb5_kt_default_name(t->ctx, name, sizeof(name)) && ks_conf_is_uri(name)) {
		t->uri = strdup(name);
		finding(d, LEVEL_OK, "keytab-name", NULL, "the default keytab is a token");
	} else {
		finding(d, LEVEL_PROBLEM, "keytab-name", "give the doctor a URI (pkcs11:token=LABEL), "
			"or set KRB5_KTNAME", "the default keytab is no token, so that servers "
			"would be left to the stock mechanism");
	}
	return t->uri != NULL;
}
