/*
 * Asks GSS-API everything, prints every answer.  Run with and without the
 * module (GSS_MECH_CONFIG): where no token is configured, the two outputs must
 * be the same (t_passthrough.sh).
 *
 *   gss_probe DIR            all scenarios; tickets and keytabs are made in DIR
 *   gss_probe DIR export     writes an exported context to DIR/context
 *   gss_probe DIR import     imports it and unwraps DIR/message with it
 *   gss_probe DIR interposed tells whether somebody interposes krb5
 *   gss_probe DIR mechs      only what can be asked without a credential
 */
#include "tests/lib/forge.h"
#include "tests/lib/probe.h"
#include "tests/lib/show.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *dir;
static OM_uint32 major, minor, ignored;

static char *in_dir(const char *name)
{
	char *p = NULL;

	if (asprintf(&p, "%s/%s", dir, name) < 0)
		exit(99);
	return p;
}

/* ---- credentials ---- */

static gss_OID_set krb5_only(void)
{
	return (gss_OID_set)gss_mech_set_krb5;
}

static void probe_inquire_cred(gss_cred_id_t cred)
{
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 life = 7, init = 7, accept = 7;
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	int usage = -1;

	major = gss_inquire_cred(&minor, cred, &name, &life, &usage, &mechs);
	if (show_status("inquire_cred", major, minor)) {
		show("  life %s usage %d", show_life(life), usage);
		show_set("  mechs", mechs);
		show_name("  name", name);
	}
	gss_release_name(&ignored, &name);
	gss_release_oid_set(&ignored, &mechs);
	usage = -1;
	major = gss_inquire_cred_by_mech(&minor, cred, (gss_OID)gss_mech_krb5, &name, &init, &accept,
					 &usage);
	if (show_status("inquire_cred_by_mech", major, minor)) {
		show("  initiate %s accept %s usage %d", show_life(init), show_life(accept), usage);
		show_name("  name", name);
	}
	gss_release_name(&ignored, &name);
}

static void probe_export_cred(gss_cred_id_t cred)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t back = GSS_C_NO_CREDENTIAL;

	major = gss_export_cred(&minor, cred, &token);
	if (!show_status("export_cred", major, minor))
		return;
	show("  exported: %zu octets, starting with %.*s", token.length, token.length > 24 ? 5 : 0,
	     token.length > 24 ? (char *)token.value + 17 : "");
	major = gss_import_cred(&minor, &token, &back);
	if (show_status("import_cred", major, minor))
		probe_inquire_cred(back);
	gss_release_cred(&ignored, &back);
	gss_release_buffer(&ignored, &token);
}

static void probe_cred_options(gss_cred_id_t cred)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	krb5_enctype etypes[] = { ENCTYPE_AES128_CTS_HMAC_SHA1_96 };
	gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
	krb5_context k5 = NULL;
	krb5_ccache cc = NULL;
	krb5_principal p = NULL;

	major = gss_inquire_cred_by_oid(&minor, cred, (gss_OID)GSS_KRB5_GET_CRED_IMPERSONATOR, &set);
	show_status("inquire_cred_by_oid", major, minor);
	show("  %zu values", set ? set->count : 0);
	gss_release_buffer_set(&ignored, &set);
	if (krb5_init_context(&k5) || krb5_cc_resolve(k5, "MEMORY:copy", &cc)
	    || krb5_parse_name(k5, "alice@TEST.ORG", &p) || krb5_cc_initialize(k5, cc, p))
		exit(99);
	major = gss_krb5_copy_ccache(&minor, cred, cc);
	show_status("copy_ccache", major, minor);
	krb5_free_principal(k5, p);
	krb5_cc_destroy(k5, cc);
	krb5_free_context(k5);
	major = gss_krb5_set_allowable_enctypes(&minor, cred, 1, etypes);
	show_status("set_allowable_enctypes", major, minor);
	major = gss_set_cred_option(&minor, &cred, (gss_OID)GSS_KRB5_CRED_NO_CI_FLAGS_X, &empty);
	show_status("set_cred_option NO_CI_FLAGS", major, minor);
	major = gss_set_cred_option(&minor, &cred, GSS_C_NT_USER_NAME, &empty);
	show_status("set_cred_option unknown", major, minor);
}

static void probe_store_cred(gss_cred_id_t cred)
{
	char *path = in_dir("stored"), *name = NULL;
	gss_key_value_element_desc e = { "ccache", NULL };
	gss_key_value_set_desc store = { 1, &e };
	gss_OID_set stored = GSS_C_NO_OID_SET;
	int usage = -1;

	unlink(path);
	if (asprintf(&name, "FILE:%s", path) < 0)
		exit(99);
	e.value = name;
	for (int i = 0; i < 2; i++) {
		major = gss_store_cred_into(&minor, cred, GSS_C_INITIATE, (gss_OID)gss_mech_krb5, 0,
					    0, &store, &stored, &usage);
		show_status("store_cred_into", major, minor);
		show("  usage %d", usage);
		show_set("  stored", stored);
		gss_release_oid_set(&ignored, &stored);
	}
	major = gss_store_cred_into(&minor, cred, GSS_C_ACCEPT, (gss_OID)gss_mech_krb5, 1, 0, &store,
				    NULL, NULL);
	show_status("store_cred_into, acceptor", major, minor);
	free(path);
	free(name);
}

static gss_cred_id_t acquire(const char *what, gss_name_t name, gss_cred_usage_t usage,
			     gss_const_key_value_set_t store)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	gss_OID_set actual = GSS_C_NO_OID_SET;
	OM_uint32 life = 7;

	major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, krb5_only(), usage, store,
				      &cred, &actual, &life);
	if (show_status(what, major, minor)) {
		show("  life %s", show_life(life));
		show_set("  mechs", actual);
	}
	gss_release_oid_set(&ignored, &actual);
	return cred;
}

static void probe_cred(const char *what, const char *name, gss_OID type, gss_cred_usage_t usage)
{
	gss_name_t n = name ? probe_name_of(name, type) : GSS_C_NO_NAME;
	gss_cred_id_t cred, sum = GSS_C_NO_CREDENTIAL;
	OM_uint32 init = 7, accept = 7;

	show("---- credential %s, name %s, usage %d", what, name ? name : "any", usage);
	cred = acquire("acquire_cred_from", n, usage, GSS_C_NO_CRED_STORE);
	if (cred != GSS_C_NO_CREDENTIAL) {
		probe_inquire_cred(cred);
		probe_export_cred(cred);
		probe_cred_options(cred);
		probe_store_cred(cred);
		major = gss_add_cred(&minor, cred, GSS_C_NO_NAME, (gss_OID)gss_mech_krb5_old,
				     GSS_C_ACCEPT, 0, 0, &sum, NULL, &init, &accept);
		if (show_status("add_cred to a copy", major, minor)) {
			show("  initiate %s accept %s", show_life(init), show_life(accept));
			probe_inquire_cred(sum);
		}
	}
	gss_release_cred(&ignored, &sum);
	gss_release_cred(&ignored, &cred);
	gss_release_name(&ignored, &n);
}

static void probe_stores(void)
{
	char *missing, *keytab, *ccache;
	gss_cred_id_t c;

	missing = in_dir("missing");
	keytab = in_dir("keytab");
	ccache = in_dir("ccache");
	gss_key_value_element_desc e[][2] = {
		{ { "keytab", keytab }, { "rcache", "none:" } },
		{ { "keytab", missing }, { "unknown", "x" } },
		{ { "keytab", keytab }, { "keytab", keytab } },
		{ { "ccache", ccache }, { "unknown", "x" } },
		{ { "ccache", missing }, { "client_keytab", missing } },
		{ { "keytab", "nosuch:type" }, { "rcache", "none:" } },
		{ { "keytab", keytab }, { "rcache", "bad" } },
	};
	for (size_t i = 0; i < sizeof(e) / sizeof(e[0]); i++) {
		gss_key_value_set_desc s = { 2, e[i] };

		for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
			show("---- store %zu, usage %d", i, usage);
			c = acquire("acquire_cred_from", GSS_C_NO_NAME, usage, &s);
			gss_release_cred(&ignored, &c);
		}
	}
	free(missing);
	free(keytab);
	free(ccache);
}

/* There is no KDC to ask: a failure, and always the same one. */
static void probe_impersonate(void)
{
	gss_name_t user = probe_name_of("bob@TEST.ORG", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	gss_cred_id_t self, c = GSS_C_NO_CREDENTIAL;

	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		show("---- impersonation, usage %d", usage);
		self = acquire("impersonator", GSS_C_NO_NAME, usage, GSS_C_NO_CRED_STORE);
		major = gss_acquire_cred_impersonate_name(&minor, self, user, 0, krb5_only(),
							  GSS_C_INITIATE, &c, NULL, NULL);
		show_status("acquire_cred_impersonate_name", major, minor);
		gss_release_cred(&ignored, &c);
		gss_release_cred(&ignored, &self);
	}
	gss_release_name(&ignored, &user);
}

static void probe_creds(void)
{
	gss_OID host = GSS_C_NT_HOSTBASED_SERVICE;
	gss_OID princ = (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME;
	gss_buffer_desc password = show_text("secret");
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	gss_name_t n;

	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		probe_cred("default", NULL, NULL, usage);
		probe_cred("for a host", PROBE_SERVICE, host, usage);
		probe_cred("for a service", "HTTP", host, usage);
		probe_cred("for another host", "HTTP@mail.test.org", host, usage);
		probe_cred("for a principal", "alice@TEST.ORG", princ, usage);
		probe_cred("for the service's principal", "HTTP/www.test.org@TEST.ORG", princ, usage);
	}
	probe_stores();
	n = probe_name_of("alice@TEST.ORG", princ);
	major = gss_acquire_cred_with_password(&minor, n, &password, 0, krb5_only(), GSS_C_INITIATE,
					       &c, NULL, NULL);
	show_status("acquire_cred_with_password", major, minor);
	gss_release_cred(&ignored, &c);
	gss_release_name(&ignored, &n);
	probe_impersonate();
	major = gss_inquire_cred_by_mech(&minor, GSS_C_NO_CREDENTIAL, (gss_OID)gss_mech_krb5, &n,
					 NULL, NULL, NULL);
	if (show_status("inquire_cred_by_mech of none", major, minor))
		show_name("  name", n);
	gss_release_name(&ignored, &n);
}

/* One that is there is left as it is. */
static void write_conf(const char *path)
{
	FILE *f = fopen(path, "ax");

	if (!f && errno == EEXIST)
		return;
	if (!f || fputs(FORGE_CONF, f) < 0 || fclose(f))
		exit(99);
}

/* The mechanism that a canonicalized name has is not the one that was asked for. */
static void probe_interposed(void)
{
	gss_name_t raw = probe_name_of("alice", GSS_C_NT_USER_NAME);
	gss_name_t n = probe_canonical(raw, (gss_OID)gss_mech_krb5);
	gss_OID mech = GSS_C_NO_OID;

	gss_inquire_name(&minor, n, NULL, &mech, NULL);
	show("interposed: %s", mech && mech->length != gss_mech_krb5->length ? "yes" : "no");
	gss_release_oid(&ignored, &mech);
	gss_release_name(&ignored, &n);
	gss_release_name(&ignored, &raw);
}

static void make_tickets(void)
{
	static struct forge_key k = {
		"HTTP/www.test.org@TEST.ORG", ENCTYPE_AES256_CTS_HMAC_SHA1_96, 3,
		"0123456789abcdef0123456789abcde", 32
	};
	struct forge_key other = k;
	struct forge_ticket t = { .client = "alice@TEST.ORG" };
	char *ccache = in_dir("ccache"), *keytab = in_dir("keytab"), *conf = in_dir("krb5.conf");

	write_conf(conf);
	setenv("KRB5_CONFIG", conf, 1);
	setenv("KRB5CCNAME", ccache, 1);
	setenv("KRB5_KTNAME", getenv("PROBE_KEYTAB") ? getenv("PROBE_KEYTAB") : keytab, 1);
	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	setenv("KRB5RCACHEDIR", dir, 1);
	if (access(keytab, F_OK)) {
		other.principal = "host/www.test.org@TEST.ORG";
		forge_keytab(keytab, &k, 1);
		forge_keytab(keytab, &other, 1);
		forge_ccache(ccache, &t, &k);
		other.principal = "HTTP/mail.test.org@TEST.ORG";
		other.bytes[0] ^= 1;
		forge_ccache_add(ccache, &t, &other);
		t.endtime = (krb5_timestamp)time(NULL) - 3600;
		t.authtime = t.endtime - 3600;
		other.principal = "HTTP/old.test.org@TEST.ORG";
		forge_ccache_add(ccache, &t, &other);
	}
	free(ccache);
	free(keytab);
	free(conf);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	if (argc < 2)
		return 2;
	dir = argv[1];
	make_tickets();
	if (!strcmp(what, "export")) {
		probe_export(dir);
	} else if (!strcmp(what, "import")) {
		probe_import(dir);
	} else if (!strcmp(what, "interposed")) {
		probe_interposed();
	} else if (!strcmp(what, "mechs")) {
		probe_mechs();
		probe_names();
	} else {
		probe_mechs();
		probe_names();
		probe_creds();
		probe_contexts();
	}
	return 0;
}
