/*
 * Credentials on behalf of others, and delegation by the KDC's leave: what a
 * real KDC and GSS-API answer, printed.  Plain GSS-API, so that the same
 * command can be given to the stock mechanism and to this module.
 *
 *   s4u_probe impersonate SERVICE@HOST USER    S4U2Self, by each way to name the user
 *   s4u_probe add PRINCIPAL PASSWORD           further elements of a credential
 *   s4u_probe forward SERVICE@HOST             delegation, with each of its flags
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OID(x) ((gss_OID)(uintptr_t)(x))
#define KRB5 OID(gss_mech_krb5)

static OM_uint32 major, minor, ignored;

/* The minor status' text is this program's reader's: it is not compared. */
static bool tell(const char *what)
{
	OM_uint32 context = 0;
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	printf("%s: %08x", what, (unsigned)major);
	if (GSS_ERROR(major)
	    && !gss_display_status(&ignored, minor, GSS_C_MECH_CODE, KRB5, &context, &b))
		printf(" / %.*s", (int)b.length, (char *)b.value);
	putchar('\n');
	gss_release_buffer(&ignored, &b);
	return !GSS_ERROR(major);
}

static gss_name_t import(const char *s, gss_OID type)
{
	gss_buffer_desc b = { strlen(s), (void *)(uintptr_t)s };
	gss_name_t n = GSS_C_NO_NAME;

	if (GSS_ERROR(gss_import_name(&ignored, &b, type, &n)))
		exit(99);
	return n;
}

static void tell_name(const char *what, gss_name_t n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	if (n != GSS_C_NO_NAME)
		gss_display_name(&ignored, n, &b, NULL);
	printf("  %s %.*s\n", what, (int)b.length, (char *)b.value);
	gss_release_buffer(&ignored, &b);
}

static void inquire(gss_cred_id_t c)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_name_t name = GSS_C_NO_NAME;
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	OM_uint32 life = 0;
	int usage = -1;

	major = gss_inquire_cred(&minor, c, &name, &life, &usage, &mechs);
	if (tell("inquire_cred"))
		printf("  usage %d, life %d, %zu mechanisms\n", usage, life > 30000,
		       mechs ? mechs->count : 0);
	tell_name("name", name);
	gss_release_name(&ignored, &name);
	gss_release_oid_set(&ignored, &mechs);
	major = gss_inquire_cred_by_oid(&minor, c, OID(GSS_KRB5_GET_CRED_IMPERSONATOR), &set);
	tell("impersonator");
	for (size_t i = 0; set && i < set->count; i++)
		printf("  %.*s\n", (int)set->elements[i].length, (char *)set->elements[i].value);
	gss_release_buffer_set(&ignored, &set);
}

static gss_cred_id_t acquire(gss_cred_usage_t usage)
{
	gss_OID_set_desc mechs = { 1, KRB5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &mechs, usage, &c, NULL, NULL);
	tell("acquire_cred");
	return c;
}

/* One leg each, without mutual authentication; what was forwarded is told, too. */
static void talk(gss_cred_id_t from, gss_cred_id_t to, const char *service, OM_uint32 flags)
{
	gss_name_t target = import(service, GSS_C_NT_HOSTBASED_SERVICE), src = GSS_C_NO_NAME;
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t i = GSS_C_NO_CONTEXT, a = GSS_C_NO_CONTEXT;
	gss_cred_id_t deleg = GSS_C_NO_CREDENTIAL;
	OM_uint32 fi = 0, fa = 0;

	major = gss_init_sec_context(&minor, from, &i, target, KRB5, flags, 0, NULL, &reply, NULL,
				     &token, &fi, NULL);
	if (tell("init_sec_context")) {
		major = gss_accept_sec_context(&minor, &a, to, &token, NULL, &src, NULL, &reply, &fa,
					       NULL, &deleg);
		tell("accept_sec_context");
		printf("  flags %x %x, delegated %d\n", (unsigned)fi, (unsigned)fa,
		       deleg != GSS_C_NO_CREDENTIAL);
		tell_name("client", src);
	}
	gss_release_cred(&ignored, &deleg);
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &reply);
	gss_release_name(&ignored, &src);
	gss_release_name(&ignored, &target);
	gss_delete_sec_context(&ignored, &i, NULL);
	gss_delete_sec_context(&ignored, &a, NULL);
}

/* ---- S4U2Self ---- */

static void impersonate(gss_cred_id_t self, gss_name_t user, const char *service)
{
	gss_OID_set_desc mechs = { 1, KRB5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL, sum = GSS_C_NO_CREDENTIAL;
	gss_cred_id_t acceptor;
	OM_uint32 life = 0;

	major = gss_acquire_cred_impersonate_name(&minor, self, user, 0, &mechs, GSS_C_INITIATE, &c,
						  NULL, &life);
	if (tell("acquire_cred_impersonate_name")) {
		inquire(c);
		acceptor = acquire(GSS_C_ACCEPT);
		talk(c, acceptor, service, 0);
		gss_release_cred(&ignored, &acceptor);
	}
	major = gss_add_cred_impersonate_name(&minor, GSS_C_NO_CREDENTIAL, self, user, KRB5,
					      GSS_C_INITIATE, 0, 0, &sum, NULL, NULL, NULL);
	if (tell("add_cred_impersonate_name"))
		inquire(sum);
	gss_release_cred(&ignored, &c);
	gss_release_cred(&ignored, &sum);
}

static void impersonate_all(const char *service, const char *user)
{
	const gss_OID types[] = {
		OID(GSS_KRB5_NT_PRINCIPAL_NAME), GSS_C_NT_USER_NAME, OID(GSS_KRB5_NT_ENTERPRISE_NAME),
		OID(GSS_KRB5_NT_X509_CERT),
	};
	const char *const names[] = { user, user, user, "no certificate" };
	gss_cred_id_t self = acquire(GSS_C_BOTH);
	gss_name_t n;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		printf("-- type %zu\n", i);
		n = import(names[i], types[i]);
		impersonate(self, n, service);
		gss_release_name(&ignored, &n);
	}
	printf("-- nobody\n");
	n = import("nobody", GSS_C_NT_USER_NAME);
	impersonate(self, n, service);
	gss_release_name(&ignored, &n);
	gss_release_cred(&ignored, &self);
}

/* ---- elements ---- */

/*
 * A credential of its own, or c in place: a copy of c with more in it would
 * share what is in c (so MIT's layer has it), and both cannot be released.
 */
static void add_one(gss_cred_id_t c, gss_name_t n, gss_OID mech, const char *password, int usage)
{
	gss_buffer_desc pw = { strlen(password), (void *)(uintptr_t)password };
	gss_cred_id_t sum = GSS_C_NO_CREDENTIAL;

	major = gss_add_cred_with_password(&minor, c, n, mech, &pw, usage, 0, 0, c ? NULL : &sum,
					   NULL, NULL, NULL);
	if (tell("add_cred_with_password"))
		inquire(c ? c : sum);
	gss_release_cred(&ignored, &sum);
}

static void add(const char *principal, const char *password)
{
	gss_name_t n = import(principal, OID(GSS_KRB5_NT_PRINCIPAL_NAME));
	gss_OID mechs[] = { KRB5, OID(gss_mech_krb5_old) };
	gss_cred_id_t c;

	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		c = acquire(GSS_C_ACCEPT);
		for (size_t i = 0; i < 4; i++) {
			printf("-- usage %d, mechanism %zu, to %zu\n", usage, i & 1, i >> 1);
			add_one(i >> 1 ? c : GSS_C_NO_CREDENTIAL, n, mechs[i & 1], password, usage);
		}
		gss_release_cred(&ignored, &c);
	}
	gss_release_name(&ignored, &n);
}

/* ---- delegation ---- */

static void forward(const char *service)
{
	const OM_uint32 flags[] = { GSS_C_DELEG_FLAG, GSS_C_DELEG_POLICY_FLAG,
				    GSS_C_DELEG_FLAG | GSS_C_DELEG_POLICY_FLAG, 0 };
	gss_cred_id_t acceptor = acquire(GSS_C_ACCEPT);

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		printf("-- flags %x\n", (unsigned)flags[i]);
		talk(GSS_C_NO_CREDENTIAL, acceptor, service, flags[i]);
	}
	gss_release_cred(&ignored, &acceptor);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "impersonate"))
		impersonate_all(argv[2], argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "add"))
		add(argv[2], argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "forward"))
		forward(argv[2]);
	else
		return 2;
	return 0;
}
