/*
 * Initiators step by step, in plain GSS-API: the same program is the stock
 * mechanism's and this module's.  Stops at the first step that fails (exit 1).
 *
 *   inittool STEP...
 *
 *   usage both|initiate|accept · name PRINCIPAL · set KEY=VALUE     what the next acquire asks for
 *   acquire              a credential; without one the steps below use the default
 *   password TEXT        the same by password
 *   import FILE          one from an exported blob
 *   inquire              whose it is, and for how long
 *   init SERVICE@HOST    a context with the default acceptor of this process, and a message
 *   oneway               contexts from here on are without mutual authentication
 *   policy SERVICE@HOST  the same with delegation where the ticket allows it, and says if
 *   delegate SERVICE@HOST   the same with delegation; what arrives is the credential from now on
 *   copy CCACHE / store CCACHE / export FILE / add           add: a copy by gss_add_cred
 *   ccname CCACHE        gss_krb5_ccache_name
 *   refresh SECONDS      the default cache is to be renewed so many seconds from now
 *   due                  says when it is to be renewed: never, past, soon (a minute), late
 *   release · sleep SECONDS
 *   try                  the next step may fail
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEYS_MAX 8

static gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
static gss_cred_usage_t usage = GSS_C_INITIATE;
static const char *name_text;
static gss_key_value_element_desc keys[KEYS_MAX];
static gss_key_value_set_desc store_set = { 0, keys };
static OM_uint32 major, minor, ignored;
static OM_uint32 always = GSS_C_MUTUAL_FLAG;
static bool tolerant;            /* of the step under way */
static jmp_buf next_step;

/* ---- statuses ---- */

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

static void must(const char *what)
{
	if (!GSS_ERROR(major))
		return;
	printf("%s:", what);
	texts(major, GSS_C_GSS_CODE);
	printf(" /");
	texts(minor, GSS_C_MECH_CODE);
	putchar('\n');
	if (tolerant)
		longjmp(next_step, 1);
	exit(1);
}

static void must_krb5(krb5_context k5, const char *what, krb5_error_code code)
{
	if (!code)
		return;
	printf("%s: %s\n", what, krb5_get_error_message(k5, code));
	exit(1);
}

static gss_name_t import(const char *s, gss_OID type)
{
	gss_buffer_desc b = { strlen(s), (void *)(uintptr_t)s };
	gss_name_t n = GSS_C_NO_NAME;

	major = gss_import_name(&minor, &b, type, &n);
	must("import name");
	return n;
}

static void tell_name(const char *what, gss_name_t n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	major = gss_display_name(&minor, n, &b, NULL);
	must("display name");
	printf("%s %.*s\n", what, (int)b.length, (char *)b.value);
	gss_release_buffer(&ignored, &b);
	gss_release_name(&ignored, &n);
}

/* ---- credentials ---- */

static void acquire(const char *password)
{
	gss_buffer_desc pw = { password ? strlen(password) : 0, (void *)(uintptr_t)password };
	gss_name_t n = name_text ? import(name_text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME)
				 : GSS_C_NO_NAME;
	gss_OID_set mechs = (gss_OID_set)gss_mech_set_krb5;

	gss_release_cred(&ignored, &cred);
	if (password)
		major = gss_acquire_cred_with_password(&minor, n, &pw, 0, mechs, usage, &cred, NULL,
						       NULL);
	else
		major = gss_acquire_cred_from(&minor, n, 0, mechs, usage,
					      store_set.count ? &store_set : NULL, &cred, NULL, NULL);
	must("acquire");
	gss_release_name(&ignored, &n);
	store_set.count = 0;
	name_text = NULL;
	usage = GSS_C_INITIATE;
}

static void inquire(void)
{
	gss_name_t n = GSS_C_NO_NAME;
	OM_uint32 seconds = 0;
	int u = -1;

	major = gss_inquire_cred_by_mech(&minor, cred, (gss_OID)gss_mech_krb5, &n, &seconds, NULL, &u);
	must("inquire");
	printf("life %s usage %d\n", seconds > 60 ? "long" : seconds ? "short" : "0", u);
	tell_name("is", n);
}

static void set(char *pair)
{
	char *value = strchr(pair, '=');

	if (!value || store_set.count == KEYS_MAX)
		exit(2);
	*value++ = '\0';
	keys[store_set.count++] = (gss_key_value_element_desc){ pair, value };
}

/* ---- contexts ---- */

/* One message each way, opened with the other side's keys. */
static void message(gss_ctx_id_t from, gss_ctx_id_t to)
{
	gss_buffer_desc in = { 5, (void *)(uintptr_t)"hello" }, wrapped, out;

	major = gss_wrap(&minor, from, 1, 0, &in, NULL, &wrapped);
	must("wrap");
	major = gss_unwrap(&minor, to, &wrapped, &out, NULL, NULL);
	must("unwrap");
	if (out.length != 5 || memcmp(out.value, "hello", 5))
		exit(3);
	gss_release_buffer(&ignored, &wrapped);
	gss_release_buffer(&ignored, &out);
}

static void context(const char *service, OM_uint32 flags, gss_cred_id_t *deleg)
{
	gss_name_t target = import(service, GSS_C_NT_HOSTBASED_SERVICE), src = GSS_C_NO_NAME;
	gss_buffer_desc to = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t i = GSS_C_NO_CONTEXT, a = GSS_C_NO_CONTEXT;
	OM_uint32 more;

	do {
		more = major = gss_init_sec_context(&minor, cred, &i, target, (gss_OID)gss_mech_krb5,
						    flags | always, 0, NULL, &back, NULL,
						    &to, NULL, NULL);
		must("init");
		gss_release_buffer(&ignored, &back);
		if (to.length) {
			major = gss_accept_sec_context(&minor, &a, GSS_C_NO_CREDENTIAL, &to, NULL, &src,
						       NULL, &back, NULL, NULL, deleg);
			must("accept");
		}
		gss_release_buffer(&ignored, &to);
	} while (more == GSS_S_CONTINUE_NEEDED);
	message(i, a);
	message(a, i);
	tell_name("peer", src);
	gss_delete_sec_context(&ignored, &i, NULL);
	gss_delete_sec_context(&ignored, &a, NULL);
	gss_release_name(&ignored, &target);
}

static void delegate(const char *service)
{
	gss_cred_id_t d = GSS_C_NO_CREDENTIAL;

	context(service, GSS_C_DELEG_FLAG, &d);
	if (!d) {
		puts("nothing was delegated");
		exit(1);
	}
	gss_release_cred(&ignored, &cred);
	cred = d;
}

/* Only if the ticket says that the service may be trusted. */
static void delegate_by_policy(const char *service)
{
	gss_cred_id_t d = GSS_C_NO_CREDENTIAL;

	context(service, GSS_C_DELEG_POLICY_FLAG, &d);
	puts(d ? "delegated" : "not delegated");
	gss_release_cred(&ignored, &d);
}

/* ---- copies ---- */

static void copy(const char *ccache)
{
	krb5_principal p = NULL;
	gss_name_t n = GSS_C_NO_NAME;
	gss_buffer_desc b;
	krb5_context k5;
	krb5_ccache cc;

	if (krb5_init_context(&k5))
		exit(3);
	/* as sshd does: the cache is made for the client, then filled */
	major = gss_inquire_cred(&minor, cred, &n, NULL, NULL, NULL);
	must("inquire");
	major = gss_display_name(&minor, n, &b, NULL);
	must("display name");
	must_krb5(k5, "parse", krb5_parse_name(k5, b.value, &p));
	must_krb5(k5, ccache, krb5_cc_resolve(k5, ccache, &cc));
	must_krb5(k5, ccache, krb5_cc_initialize(k5, cc, p));
	major = gss_krb5_copy_ccache(&minor, cred, cc);
	must("copy");
	gss_release_buffer(&ignored, &b);
	gss_release_name(&ignored, &n);
	krb5_free_principal(k5, p);
	krb5_cc_close(k5, cc);
	krb5_free_context(k5);
}

static void store(const char *ccache)
{
	gss_key_value_element_desc e = { "ccache", ccache };
	gss_key_value_set_desc into = { 1, &e };

	major = gss_store_cred_into(&minor, cred, GSS_C_INITIATE, (gss_OID)gss_mech_krb5, 1, 0, &into,
				    NULL, NULL);
	must("store");
}

static void export(const char *file)
{
	gss_buffer_desc b;
	FILE *f;

	major = gss_export_cred(&minor, cred, &b);
	must("export");
	f = fopen(file, "wb");
	if (!f || fwrite(b.value, 1, b.length, f) != b.length || fclose(f))
		exit(3);
	gss_release_buffer(&ignored, &b);
}

static void import_cred(const char *file)
{
	static char octets[1 << 16];
	FILE *f = fopen(file, "rb");
	gss_buffer_desc b = { 0, octets };

	if (!f)
		exit(3);
	b.length = fread(octets, 1, sizeof(octets), f);
	fclose(f);
	gss_release_cred(&ignored, &cred);
	major = gss_import_cred(&minor, &b, &cred);
	must("import");
}

static void add(void)
{
	gss_cred_id_t sum = GSS_C_NO_CREDENTIAL;

	major = gss_add_cred(&minor, cred, GSS_C_NO_NAME, (gss_OID)gss_mech_krb5_old, GSS_C_INITIATE,
			     0, 0, &sum, NULL, NULL, NULL);
	must("add");
	gss_release_cred(&ignored, &cred);
	cred = sum;
}

static void ccname(const char *name)
{
	major = gss_krb5_ccache_name(&minor, name, NULL);
	must("ccname");
}

/* ---- when a cache is renewed ---- */

static krb5_ccache default_cache(krb5_context *k5)
{
	krb5_ccache cc;

	if (krb5_init_context(k5))
		exit(3);
	must_krb5(*k5, "default cache", krb5_cc_default(*k5, &cc));
	return cc;
}

static void refresh(const char *seconds)
{
	char text[24];
	krb5_data d = { .data = text };
	krb5_context k5;
	krb5_ccache cc = default_cache(&k5);

	d.length = (unsigned)snprintf(text, sizeof(text), "%ld", (long)time(NULL) + atol(seconds));
	/* of two entries, readers see the older one */
	must_krb5(k5, "refresh", krb5_cc_set_config(k5, cc, NULL, "refresh_time", NULL));
	must_krb5(k5, "refresh", krb5_cc_set_config(k5, cc, NULL, "refresh_time", &d));
	krb5_cc_close(k5, cc);
	krb5_free_context(k5);
}

static void due(void)
{
	krb5_context k5;
	krb5_ccache cc = default_cache(&k5);
	krb5_data d = { 0 };
	char text[24] = "";
	long left;

	if (!krb5_cc_get_config(k5, cc, NULL, "refresh_time", &d) && d.length < sizeof(text))
		memcpy(text, d.data, d.length);
	left = atol(text) - (long)time(NULL);
	printf("due %s\n", !text[0] ? "never" : left <= 0 ? "past" : left <= 60 ? "soon" : "late");
	krb5_free_data_contents(k5, &d);
	krb5_cc_close(k5, cc);
	krb5_free_context(k5);
}

/* ---- steps ---- */

static bool with_argument(const char *step, char *arg)
{
	if (!strcmp(step, "usage"))
		usage = *arg == 'b' ? GSS_C_BOTH : *arg == 'a' ? GSS_C_ACCEPT : GSS_C_INITIATE;
	else if (!strcmp(step, "name"))
		name_text = arg;
	else if (!strcmp(step, "set"))
		set(arg);
	else if (!strcmp(step, "password"))
		acquire(arg);
	else if (!strcmp(step, "import"))
		import_cred(arg);
	else if (!strcmp(step, "init"))
		context(arg, 0, NULL);
	else if (!strcmp(step, "delegate"))
		delegate(arg);
	else if (!strcmp(step, "policy"))
		delegate_by_policy(arg);
	else if (!strcmp(step, "copy"))
		copy(arg);
	else if (!strcmp(step, "store"))
		store(arg);
	else if (!strcmp(step, "export"))
		export(arg);
	else if (!strcmp(step, "ccname"))
		ccname(arg);
	else if (!strcmp(step, "refresh"))
		refresh(arg);
	else if (!strcmp(step, "sleep"))
		sleep((unsigned)atoi(arg));
	else
		return false;
	return true;
}

static bool alone(const char *step)
{
	if (!strcmp(step, "acquire"))
		acquire(NULL);
	else if (!strcmp(step, "inquire"))
		inquire();
	else if (!strcmp(step, "add"))
		add();
	else if (!strcmp(step, "oneway"))
		always = 0;
	else if (!strcmp(step, "due"))
		due();
	else if (!strcmp(step, "release"))
		gss_release_cred(&ignored, &cred);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	volatile int i;

	for (i = 1; i < argc; i++) {
		tolerant = !strcmp(argv[i], "try");
		i += tolerant;
		if (tolerant && setjmp(next_step)) {
			i++;             /* only steps with an argument are tried */
			continue;
		}
		if (i >= argc)
			break;
		if (alone(argv[i]))
			continue;
		if (i + 1 >= argc || !with_argument(argv[i], argv[i + 1])) {
			fprintf(stderr, "inittool: what is %s?\n", argv[i]);
			return 2;
		}
		i++;
	}
	gss_release_cred(&ignored, &cred);
	puts("done");
	return 0;
}
