/*
 * Acquires a credential, tells what it is, stores it: plain GSS-API, so that
 * the same command can be given to the stock mechanism and to this module.
 *
 *   credtool [-u initiate|accept|both] [-n PRINCIPAL] [-t SERVICE@HOST]
 *            [-s KEY=VALUE]... [-p PASSWORD]        how it is acquired
 *            [-D SERVICE@HOST]                      the one that is delegated to it instead
 *            [-S CCACHE|default] [-U USAGE] [-M none|krb5|iakerb] [-o] [-d]   stores it
 *            [-C] [-e]                              copies its tickets; and to a copy by add_cred
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_MAX 8

static struct wish {
	gss_cred_usage_t usage;
	const char *name, *deleg, *password;
	gss_OID type;
	gss_key_value_element_desc keys[KEYS_MAX];
	gss_key_value_set_desc store;
} wish = { .usage = GSS_C_INITIATE };

static struct {
	const char *ccache;
	gss_cred_usage_t usage;
	const char *mech;
	bool overwrite, standard, copy, extend;
} then = { .usage = GSS_C_INITIATE, .mech = "krb5" };

static gss_OID_desc iakerb = { 6, (void *)(uintptr_t)"\x2b\x06\x01\x05\x02\x05" };
static OM_uint32 major, minor, ignored;

/* ---- telling ---- */

static void texts(OM_uint32 code, int type)
{
	OM_uint32 m, context = 0;
	gss_buffer_desc b;

	do {
		if (GSS_ERROR(gss_display_status(&m, code, type, (gss_OID)gss_mech_krb5, &context, &b)))
			return;
		printf(" %.*s.", (int)b.length, (char *)b.value);
		gss_release_buffer(&m, &b);
	} while (context);
}

static bool tell(const char *what)
{
	printf("%s:", what);
	texts(major, GSS_C_GSS_CODE);
	if (GSS_ERROR(major)) {
		printf(" /");
		texts(minor, GSS_C_MECH_CODE);
	}
	putchar('\n');
	return !GSS_ERROR(major);
}

static const char *life(OM_uint32 s)
{
	return s == GSS_C_INDEFINITE ? "indefinite" : s > 35000 ? "long" : s ? "short" : "0";
}

static void tell_name(gss_name_t name)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	if (name == GSS_C_NO_NAME) {
		printf("  name none\n");
		return;
	}
	major = gss_display_name(&minor, name, &b, NULL);
	printf("  name %.*s\n", (int)b.length, (char *)b.value);
	gss_release_buffer(&ignored, &b);
	gss_release_name(&ignored, &name);
}

static void inquire(gss_cred_id_t c)
{
	OM_uint32 seconds = 7, init = 7, accept = 7;
	gss_name_t name = GSS_C_NO_NAME;
	int usage = -1;

	major = gss_inquire_cred(&minor, c, &name, &seconds, &usage, NULL);
	if (tell("inquire")) {
		printf("  life %s usage %d\n", life(seconds), usage);
		tell_name(name);
	}
	major = gss_inquire_cred_by_mech(&minor, c, (gss_OID)gss_mech_krb5, NULL, &init, &accept, &usage);
	if (tell("inquire by mech"))
		printf("  initiate %s accept %s usage %d\n", init == 7 ? "unset" : life(init),
		       accept == 7 ? "unset" : life(accept), usage);
}

/* A MEMORY cache that was stored into is still there when the credential is gone. */
static void tell_kept(void)
{
	krb5_principal p = NULL;
	krb5_context k5;
	krb5_ccache cc;

	if (krb5_init_context(&k5) || krb5_cc_resolve(k5, then.ccache, &cc))
		exit(99);
	printf("kept: %s\n", krb5_cc_get_principal(k5, cc, &p) ? "no" : "yes");
	krb5_free_principal(k5, p);
	krb5_cc_close(k5, cc);
	krb5_free_context(k5);
}

/* ---- acquiring ---- */

static gss_name_t import(const char *s, gss_OID type)
{
	gss_buffer_desc b = { strlen(s), (void *)(uintptr_t)s };
	gss_name_t n = GSS_C_NO_NAME;

	if (GSS_ERROR(gss_import_name(&ignored, &b, type, &n)))
		exit(99);
	return n;
}

static gss_cred_id_t acquire(void)
{
	gss_buffer_desc pw = { wish.password ? strlen(wish.password) : 0,
			       (void *)(uintptr_t)wish.password };
	gss_name_t name = wish.name ? import(wish.name, wish.type) : GSS_C_NO_NAME;
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 seconds = 7;

	if (wish.password)
		major = gss_acquire_cred_with_password(&minor, name, &pw, 0,
						       (gss_OID_set)gss_mech_set_krb5, wish.usage, &c,
						       NULL, &seconds);
	else
		major = gss_acquire_cred_from(&minor, name, 0, (gss_OID_set)gss_mech_set_krb5,
					      wish.usage, wish.store.count ? &wish.store : NULL, &c,
					      NULL, &seconds);
	if (tell("acquire"))
		printf("  life %s\n", life(seconds));
	gss_release_name(&ignored, &name);
	return c;
}

/* The default initiator delegates to the acceptor; what arrives replaces it. */
static gss_cred_id_t delegated(gss_cred_id_t acceptor)
{
	gss_name_t target = import(wish.deleg, GSS_C_NT_HOSTBASED_SERVICE);
	gss_buffer_desc to = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t i = GSS_C_NO_CONTEXT, a = GSS_C_NO_CONTEXT;
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &i, target, (gss_OID)gss_mech_krb5,
				     GSS_C_DELEG_FLAG, 0, NULL, &back, NULL, &to, NULL, NULL);
	if (tell("initiate")) {
		major = gss_accept_sec_context(&minor, &a, acceptor, &to, NULL, NULL, NULL, &back,
					       NULL, NULL, &c);
		tell("accept");
	}
	gss_release_buffer(&ignored, &to);
	gss_release_buffer(&ignored, &back);
	gss_delete_sec_context(&ignored, &i, NULL);
	gss_delete_sec_context(&ignored, &a, NULL);
	gss_release_name(&ignored, &target);
	gss_release_cred(&ignored, &acceptor);
	printf("delegated: %s\n", c ? "yes" : "no");
	return c;
}

/* ---- what is done with it ---- */

static void store(gss_cred_id_t c)
{
	gss_key_value_element_desc e = { "ccache", then.ccache };
	gss_key_value_set_desc into = { 1, &e };
	gss_OID mech = (gss_OID)gss_mech_krb5;
	gss_OID_set stored = GSS_C_NO_OID_SET;
	int usage = -1;

	if (!strcmp(then.mech, "none"))
		mech = GSS_C_NO_OID;
	if (!strcmp(then.mech, "iakerb"))
		mech = &iakerb;
	if (!strcmp(then.ccache, "default"))
		major = gss_store_cred(&minor, c, then.usage, mech, then.overwrite, then.standard,
				       &stored, &usage);
	else
		major = gss_store_cred_into(&minor, c, then.usage, mech, then.overwrite,
					    then.standard, &into, &stored, &usage);
	if (tell("store"))
		printf("  usage %d elements %zu\n", usage, stored ? stored->count : 0);
	gss_release_oid_set(&ignored, &stored);
}

static void copy(gss_cred_id_t c)
{
	krb5_context k5;
	krb5_ccache cc;
	krb5_cc_cursor cursor;
	krb5_creds creds;
	int n = 0;

	if (krb5_init_context(&k5) || krb5_cc_new_unique(k5, "MEMORY", NULL, &cc))
		exit(99);
	major = gss_krb5_copy_ccache(&minor, c, cc);
	if (tell("copy") && !krb5_cc_start_seq_get(k5, cc, &cursor)) {
		while (!krb5_cc_next_cred(k5, cc, &cursor, &creds)) {
			n += !krb5_is_config_principal(k5, creds.server);
			krb5_free_cred_contents(k5, &creds);
		}
		krb5_cc_end_seq_get(k5, cc, &cursor);
	}
	printf("  tickets %d\n", n);
	krb5_cc_destroy(k5, cc);
	krb5_free_context(k5);
}

/* A copy of the credential, by adding another mechanism to it. */
static void extend(gss_cred_id_t c)
{
	gss_cred_id_t sum = GSS_C_NO_CREDENTIAL;
	OM_uint32 init = 7, accept = 7;

	major = gss_add_cred_from(&minor, c, GSS_C_NO_NAME, (gss_OID)gss_mech_krb5, wish.usage, 0, 0,
				  &wish.store, &sum, NULL, &init, &accept);
	tell("add again");
	major = gss_add_cred_from(&minor, c, GSS_C_NO_NAME, (gss_OID)gss_mech_krb5_old, GSS_C_ACCEPT,
				  0, 0, &wish.store, &sum, NULL, &init, &accept);
	if (tell("add"))
		inquire(sum);
	gss_release_cred(&ignored, &sum);
}

static gss_cred_usage_t usage_of(const char *s)
{
	return *s == 'a' ? GSS_C_ACCEPT : *s == 'b' ? GSS_C_BOTH : GSS_C_INITIATE;
}

static void add_key(char *pair)
{
	char *value = strchr(pair, '=');

	if (!value || wish.store.count == KEYS_MAX)
		exit(2);
	*value++ = '\0';
	wish.store.elements = wish.keys;
	wish.keys[wish.store.count++] = (gss_key_value_element_desc){ pair, value };
}

static void set_name(int c, const char *name)
{
	wish.name = name;
	wish.type = c == 't' ? GSS_C_NT_HOSTBASED_SERVICE : (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME;
}

static bool option(int c, char *arg)
{
	switch (c) {
	case 'u': wish.usage = usage_of(arg); return true;
	case 'n':
	case 't': set_name(c, arg); return true;
	case 's': add_key(arg); return true;
	case 'p': wish.password = arg; return true;
	case 'D': wish.deleg = arg; return true;
	case 'S': then.ccache = arg; return true;
	case 'U': then.usage = usage_of(arg); return true;
	case 'M': then.mech = arg; return true;
	case 'o': then.overwrite = true; return true;
	case 'd': then.standard = true; return true;
	case 'C': then.copy = true; return true;
	case 'e': then.extend = true; return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	gss_cred_id_t c;
	int opt;

	while ((opt = getopt(argc, argv, "u:n:t:s:p:D:S:U:M:odCe")) != -1)
		if (!option(opt, optarg))
			return 2;
	c = acquire();
	if (c && wish.deleg)
		c = delegated(c);
	if (c) {
		inquire(c);
		if (then.copy)
			copy(c);
		if (then.extend)
			extend(c);
	}
	if (then.ccache)
		store(c);
	gss_release_cred(&ignored, &c);
	if (then.ccache && !strncmp(then.ccache, "MEMORY:", 7))
		tell_kept();
	return 0;
}
