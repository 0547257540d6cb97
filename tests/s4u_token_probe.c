/*
 * Constrained delegation from one service to others, through plain GSS-API:
 * what it answers, printed, so that the same command can be given to the stock
 * mechanism with keys in files and to this module with keys on a token.
 *
 *   s4u_token_probe [-o FILE] self USER TARGET...         S4U2Self, then S4U2Proxy
 *   s4u_token_probe [-o FILE] accept CCACHE SERVICE TARGET...   evidence from a client
 *   s4u_token_probe [-o FILE] accept1 ...    the same without a second round
 *   s4u_token_probe from CCACHE TARGET...                 a proxy credential in a cache
 *
 * The service's own credentials are the default ones.  CCACHE is the client's
 * cache; FILE is a cache that the proxy credential is stored in, and FILE.cred
 * its exported form.  USER with a leading "@@" is an enterprise name, with
 * "cert:" a certificate.
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
static const char *store_to;
static bool no_second;

/* The minor status' text is this program's reader's: it is not compared. */
static bool tell(const char *what)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 context = 0;

	printf("%s: %08x", what, (unsigned)major);
	if (GSS_ERROR(major) &&
	    !gss_display_status(&ignored, minor, GSS_C_MECH_CODE, KRB5, &context, &b))
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

/* "host@name" is host-based; others are principals. */
static gss_name_t import_target(const char *s)
{
	return import(s, strchr(s, '/') ? OID(GSS_KRB5_NT_PRINCIPAL_NAME)
		      : GSS_C_NT_HOSTBASED_SERVICE);
}

static void tell_name(const char *what, gss_name_t n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	if (n != GSS_C_NO_NAME)
		gss_display_name(&ignored, n, &b, NULL);
	printf("  %s %.*s\n", what, (int)b.length, (char *)b.value);
	gss_release_buffer(&ignored, &b);
}

/* In half hours: two runs are a few seconds apart. */
static unsigned about(OM_uint32 life)
{
	return life == GSS_C_INDEFINITE ? 9999 : (life + 900) / 1800;
}

static void inquire(gss_cred_id_t c)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 life = 0;
	int usage = -1;

	major = gss_inquire_cred(&minor, c, &name, &life, &usage, &mechs);
	if (tell("inquire_cred"))
		printf("  usage %d, life %u, %zu mechanisms\n", usage, about(life),
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

static gss_cred_id_t acquire(gss_cred_usage_t usage, const char *ccache)
{
	gss_key_value_element_desc elem = { "ccache", ccache };
	gss_key_value_set_desc store = { 1, &elem };
	gss_OID_set_desc mechs = { 1, KRB5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &mechs, usage,
				      ccache ? &store : NULL, &c, NULL, NULL);
	tell("acquire_cred");
	return c;
}

/* ---- contexts ---- */

struct end {
	gss_ctx_id_t ctx;
	OM_uint32 flags;
};

static void tell_message(struct end *i, struct end *a)
{
	gss_buffer_desc text = { 5, (void *)(uintptr_t)"hello" };
	gss_buffer_desc sealed = GSS_C_EMPTY_BUFFER, opened = GSS_C_EMPTY_BUFFER;

	major = gss_wrap(&minor, i->ctx, 1, 0, &text, NULL, &sealed);
	if (!GSS_ERROR(major))
		major = gss_unwrap(&minor, a->ctx, &sealed, &opened, NULL, NULL);
	tell("message");
	gss_release_buffer(&ignored, &sealed);
	gss_release_buffer(&ignored, &opened);
}

/* What the acceptor gives; *deleg is its delegated credential. */
static bool accept_one(struct end *a, gss_cred_id_t as, gss_buffer_t in, gss_buffer_t out,
		       gss_cred_id_t *deleg)
{
	gss_name_t src = GSS_C_NO_NAME;

	major = gss_accept_sec_context(&minor, &a->ctx, as, in, NULL, &src, NULL, out, &a->flags,
				       NULL, deleg);
	if (tell("accept_sec_context")) {
		printf("  flags %x, delegated %d\n", (unsigned)a->flags,
		       deleg && *deleg != GSS_C_NO_CREDENTIAL);
		tell_name("client", src);
	}
	gss_release_name(&ignored, &src);
	return !GSS_ERROR(major);
}

static gss_cred_id_t talk(gss_cred_id_t from, gss_cred_id_t as, const char *service, bool want)
{
	gss_cred_id_t deleg = GSS_C_NO_CREDENTIAL;
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER;
	struct end i = { GSS_C_NO_CONTEXT, 0 }, a = { GSS_C_NO_CONTEXT, 0 };
	gss_name_t target = import_target(service);

	printf("-- to %s\n", service);
	major = gss_init_sec_context(&minor, from, &i.ctx, target, KRB5, GSS_C_MUTUAL_FLAG, 0, NULL,
				     &reply, NULL, &token, &i.flags, NULL);
	if (tell("init_sec_context") && accept_one(&a, as, &token, &reply, want ? &deleg : NULL)) {
		gss_release_buffer(&ignored, &token);
		major = gss_init_sec_context(&minor, from, &i.ctx, target, KRB5, GSS_C_MUTUAL_FLAG,
					     0, NULL, &reply, NULL, &token, &i.flags, NULL);
		if (tell("init_sec_context, answer"))
			tell_message(&i, &a);
	}
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &reply);
	gss_release_name(&ignored, &target);
	gss_delete_sec_context(&ignored, &i.ctx, NULL);
	gss_delete_sec_context(&ignored, &a.ctx, NULL);
	return deleg;
}

static void talk_all(gss_cred_id_t from, char **targets)
{
	gss_cred_id_t acceptor = acquire(GSS_C_ACCEPT, NULL);

	for (; *targets; targets++)
		(void)talk(from, acceptor, *targets, false);
	gss_release_cred(&ignored, &acceptor);
}

/* ---- proxy credentials ---- */

static void write_file(const gss_buffer_desc *b)
{
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), "%s.cred", store_to);
	f = fopen(name, "we");
	if (!f || fwrite(b->value, 1, b->length, f) != b->length || fclose(f))
		exit(98);
}

/* As others get it: stored, and exported. */
static void carry(gss_cred_id_t c, char **targets)
{
	gss_key_value_element_desc elem = { "ccache", store_to };
	gss_key_value_set_desc store = { 1, &elem };
	gss_buffer_desc blob = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t again = GSS_C_NO_CREDENTIAL;

	printf("-- exported and imported\n");
	major = gss_export_cred(&minor, c, &blob);
	if (tell("export_cred")) {
		write_file(&blob);
		major = gss_import_cred(&minor, &blob, &again);
		if (tell("import_cred")) {
			inquire(again);
			talk_all(again, targets);
		}
	}
	gss_release_cred(&ignored, &again);
	gss_release_buffer(&ignored, &blob);
	printf("-- stored\n");
	major = gss_store_cred_into(&minor, c, GSS_C_INITIATE, KRB5, 1, 0, &store, NULL, NULL);
	tell("store_cred");
}

static void use(gss_cred_id_t c, char **targets)
{
	inquire(c);
	talk_all(c, targets);
	/* once more, from the credential's own cache */
	talk_all(c, targets);
	if (store_to)
		carry(c, targets);
}

/* A credential that acts for a user cannot act for a second one. */
static void no_further(gss_cred_id_t proxy)
{
	gss_name_t user = import("user", GSS_C_NT_USER_NAME);
	gss_OID_set_desc mechs = { 1, KRB5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	major = gss_acquire_cred_impersonate_name(&minor, proxy, user, 0, &mechs, GSS_C_INITIATE, &c,
						  NULL, NULL);
	tell("impersonate with a proxy credential");
	gss_release_cred(&ignored, &c);
	gss_release_name(&ignored, &user);
}

static void add_element(gss_cred_id_t self, gss_name_t name)
{
	gss_cred_id_t sum = GSS_C_NO_CREDENTIAL;
	OM_uint32 life = 0;

	major = gss_add_cred_impersonate_name(&minor, GSS_C_NO_CREDENTIAL, self, name, KRB5,
					      GSS_C_INITIATE, 0, 0, &sum, NULL, &life, NULL);
	if (tell("add_cred_impersonate_name"))
		inquire(sum);
	printf("  life %u\n", about(life));
	gss_release_cred(&ignored, &sum);
}

static gss_name_t import_user(const char *s)
{
	if (!strncmp(s, "@@", 2))
		return import(s + 2, OID(GSS_KRB5_NT_ENTERPRISE_NAME));
	if (!strncmp(s, "cert:", 5))
		return import(s + 5, OID(GSS_KRB5_NT_X509_CERT));
	return import(s, GSS_C_NT_USER_NAME);
}

static void self_ticket(const char *user, char **targets)
{
	gss_name_t name = import_user(user);
	gss_cred_id_t self = acquire(GSS_C_BOTH, NULL), c = GSS_C_NO_CREDENTIAL;
	gss_OID_set_desc mechs = { 1, KRB5 };
	OM_uint32 life = 0;

	major = gss_acquire_cred_impersonate_name(&minor, self, name, 0, &mechs, GSS_C_ACCEPT, &c,
						  NULL, NULL);
	tell("impersonate, to accept");
	major = gss_acquire_cred_impersonate_name(&minor, self, name, 0, &mechs, GSS_C_INITIATE, &c,
						  NULL, &life);
	if (tell("impersonate")) {
		printf("  life %u\n", about(life));
		use(c, targets);
		no_further(c);
		add_element(self, name);
	}
	gss_release_cred(&ignored, &c);
	gss_release_cred(&ignored, &self);
	gss_release_name(&ignored, &name);
}

static void evidence(const char *ccache, const char *service, char **targets)
{
	gss_cred_id_t client = acquire(GSS_C_INITIATE, ccache), self = acquire(GSS_C_BOTH, NULL);
	gss_cred_id_t c, second;

	(void)talk(client, self, service, false);
	c = talk(client, self, service, true);
	if (c != GSS_C_NO_CREDENTIAL) {
		use(c, targets);
		/* the proxy's own ticket to the service is evidence, too */
		second = no_second ? GSS_C_NO_CREDENTIAL : talk(c, self, service, true);
		if (second != GSS_C_NO_CREDENTIAL)
			inquire(second);
		gss_release_cred(&ignored, &second);
	}
	gss_release_cred(&ignored, &c);
	gss_release_cred(&ignored, &client);
	gss_release_cred(&ignored, &self);
}

/* From a cache; and what an acceptor with such a credential does. */
static void from_cache(const char *ccache, char **targets)
{
	gss_cred_id_t c = acquire(GSS_C_INITIATE, ccache), both;

	if (c != GSS_C_NO_CREDENTIAL)
		use(c, targets);
	both = acquire(GSS_C_BOTH, ccache);
	if (both != GSS_C_NO_CREDENTIAL) {
		printf("-- accepting with it\n");
		(void)talk(c, both, targets[0], true);
	}
	gss_release_cred(&ignored, &c);
	gss_release_cred(&ignored, &both);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "-o")) {
		store_to = argv[2];
		argc -= 2;
		argv += 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	no_second = argc > 1 && !strcmp(argv[1], "accept1");
	if (argc > 3 && !strcmp(argv[1], "self"))
		self_ticket(argv[2], argv + 3);
	else if (argc > 4 && !strncmp(argv[1], "accept", 6))
		evidence(argv[2], argv[3], argv + 4);
	else if (argc > 3 && !strcmp(argv[1], "from"))
		from_cache(argv[2], argv + 3);
	else
		return 2;
	return 0;
}
