/*
 * Names of every type and every call on them: this module's names through the
 * mechanism layer beside the stock mechanism's, in one process.  And what the
 * layer makes of two mechanisms that are one.
 */
#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mech/spi.h"
#include "tests/lib/accepting.h"
#include "tests/lib/name_text.h"
#include "tests/lib/show.h"

#define PUBLIC ((gss_OID)(uintptr_t)gss_mech_krb5)
#define STOCK mech_oid_stock(NULL)
#define OID_OF(x) ((gss_OID)(uintptr_t)(x))

static OM_uint32 major, minor, ignored;

struct sample {
	const char *octets;
	size_t len;              /* 0: a string */
	gss_OID type;
};

static gss_OID_desc raw_principal = { 10, (void *)(uintptr_t)
	"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02" };
static gss_OID_desc x509 = { 10, (void *)(uintptr_t)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x07" };
static gss_OID_desc stranger = { 3, (void *)(uintptr_t)"\x2a\x03\x04" };

static const struct box_token *box;
static struct forge_key key;     /* ACC_SERVICE's */
static uid_t me;
static krb5_principal princ;
static char *huge;

#define SAMPLES_MAX 120
static struct sample samples[SAMPLES_MAX];
static size_t n_samples;

static void add(const char *octets, size_t len, gss_OID type)
{
	if (n_samples == SAMPLES_MAX)
		exit(99);
	samples[n_samples++] = (struct sample){ octets, len ? len : strlen(octets), type };
}

static void texts(gss_OID type)
{
	static const char *const all[] = {
		"alice", "alice@TEST.ORG", "alice@OTHER.ORG", "HTTP/www.test.org@TEST.ORG",
		"a/b/c/d@E\\@F@G", "a\\/b@TEST.ORG", "bad\\", "@", "a@b@c", "/", "alice@",
		"WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS", "\xff\xfe\x80"
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		add(all[i], 0, type);
}

static void hosts(gss_OID type)
{
	static const char *const all[] = {
		"HTTP@www.test.org", "HTTP@unknown.example", "HTTP@", "HTTP", "@host", "@",
		"HTTP@localhost", "HTTP@WWW.Test.Org", "a/b@www.test.org", "HTTP@a@b",
		"HTTP@www.test.org."
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		add(all[i], 0, type);
}

static void others(void)
{
	add("root", 0, GSS_C_NT_USER_NAME);
	add("nul\0inside@TEST.ORG", 19, OID_OF(GSS_KRB5_NT_PRINCIPAL_NAME));
	add("alice@upn@TEST.ORG", 0, OID_OF(GSS_KRB5_NT_ENTERPRISE_NAME));
	add("alice@upn", 0, OID_OF(GSS_KRB5_NT_ENTERPRISE_NAME));
	add("0", 0, GSS_C_NT_STRING_UID_NAME);
	add("4294967294", 0, GSS_C_NT_STRING_UID_NAME);
	add("no number", 0, GSS_C_NT_STRING_UID_NAME);
	add((const char *)&me, sizeof(me), GSS_C_NT_MACHINE_UID_NAME);
	add("\x7f\x7f\x7f\x7f", 4, GSS_C_NT_MACHINE_UID_NAME);
	add("anything", 0, GSS_C_NT_ANONYMOUS);
	add((const char *)&princ, sizeof(princ), &raw_principal);
	add("short", 0, &raw_principal);
	add("\x30\x03\x02\x01\x05", 5, &x509);
	add("alice", 0, &stranger);
	add(huge, 0, OID_OF(GSS_KRB5_NT_PRINCIPAL_NAME));
	add(huge, 0, GSS_C_NT_HOSTBASED_SERVICE);
}

/* Frame, name, and what follows. */
#define KRB5_FRAME "\x04\x01\x00\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define KRB5_COMPOSITE "\x04\x02\x00\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define TOKEN(s) add((s), sizeof(s) - 1, type)

static void tokens(gss_OID type)
{
	TOKEN(KRB5_FRAME "\x00\x00\x00\x0e" "alice@TEST.ORG");
	TOKEN(KRB5_COMPOSITE "\x00\x00\x00\x0e" "alice@TEST.ORG" "\x00\x00\x00\x00");
	TOKEN(KRB5_COMPOSITE "\x00\x00\x00\x0e" "alice@TEST.ORG" "\x00\x00\x00\x04\x00\x00\x00\x00");
	TOKEN(KRB5_COMPOSITE "\x00\x00\x00\x0e" "alice@TEST.ORG" "\x00\x00\x00\x05\x00\x00\x00\x01" "x");
	TOKEN(KRB5_FRAME "\x00\x00\x00\xff" "alice@TEST.ORG");
	TOKEN(KRB5_FRAME "\x00\x00");
	TOKEN(KRB5_FRAME);
	TOKEN("\x04\x01\x00\x05\x06\x03\x2a\x03\x04\x00\x00\x00\x01" "x");
	TOKEN("\x04\x01\x00\x0b\x06");
	TOKEN("\x04");
	TOKEN("junk");
}

static int setup(void)
{
	huge = calloc(1, 100001);
	if (!huge || krb5_parse_name(acc_krb5(), "raw/princ@TEST.ORG", &princ))
		exit(99);
	memset(huge, 'x', 100000);
	me = getuid();
	box = box_token("softhsm");
	acc_new_key(box, ACC_SERVICE, 18, 3, &key);
	texts(GSS_C_NT_USER_NAME);
	texts(OID_OF(GSS_KRB5_NT_PRINCIPAL_NAME));
	texts(GSS_C_NO_OID);
	hosts(GSS_C_NT_HOSTBASED_SERVICE);
	hosts(GSS_C_NT_HOSTBASED_SERVICE_X);
	others();
	return 0;
}

static int teardown(void)
{
	krb5_free_principal(acc_krb5(), princ);
	free(huge);
	return 0;
}

/* ---- one name, told as text ---- */

static void tell_status(FILE *f, const char *what)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 context = 0, m;

	fprintf(f, "%s %08x", what, major);
	if (GSS_ERROR(major) && minor) {
		gss_display_status(&m, minor, GSS_C_MECH_CODE, PUBLIC, &context, &text);
		fprintf(f, " %.*s", (int)text.length, (char *)text.value);
		gss_release_buffer(&m, &text);
	}
	fprintf(f, "\n");
}

static gss_name_t import(const struct sample *s)
{
	gss_buffer_desc b = { s->len, (void *)(uintptr_t)s->octets };
	gss_name_t n = GSS_C_NO_NAME;

	minor = 0;
	major = gss_import_name(&minor, &b, s->type, &n);
	return n;
}

static gss_name_t canonical(const struct sample *s, gss_OID mech)
{
	gss_name_t raw = import(s), n = GSS_C_NO_NAME;

	if (raw) {
		major = gss_canonicalize_name(&minor, raw, mech, &n);
		gss_release_name(&ignored, &raw);
	}
	return n;
}

static void tell_user(FILE *f, gss_name_t n, const char *user)
{
	struct sample s = { user, strlen(user), GSS_C_NT_USER_NAME };
	gss_name_t u = import(&s);

	major = gss_authorize_localname(&minor, n, u);
	fprintf(f, "user %s", user);
	tell_status(f, "");
	fprintf(f, "userok %d\n", gss_userok(n, user));
	gss_release_name(&ignored, &u);
}

static void tell_local(FILE *f, gss_name_t n, gss_OID mech)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	uid_t uid = 77;

	major = gss_localname(&minor, n, GSS_C_NO_OID, &b);
	tell_status(f, "localname");
	fprintf(f, " \"%.*s\"\n", (int)b.length, (char *)b.value);
	gss_release_buffer(&ignored, &b);
	major = gss_localname(&minor, n, mech, &b);
	tell_status(f, "localname of the mechanism");
	gss_release_buffer(&ignored, &b);
	major = gss_pname_to_uid(&minor, n, mech, &uid);
	tell_status(f, "pname_to_uid");
	fprintf(f, " %u\n", (unsigned)uid);
	tell_user(f, n, "alice");
	tell_user(f, n, "root");
	tell_user(f, n, "");
}

static void tell_display_ext(FILE *f, gss_name_t n)
{
	const gss_OID types[] = {
		GSS_C_NT_USER_NAME, GSS_C_NT_HOSTBASED_SERVICE, OID_OF(GSS_KRB5_NT_PRINCIPAL_NAME),
		GSS_C_NT_ANONYMOUS
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

		major = gss_display_name_ext(&minor, n, types[i], &b);
		/* the stock mechanism gives no reason */
		fprintf(f, "display_name_ext %08x \"%.*s\"\n", major, (int)b.length,
			(char *)b.value);
		gss_release_buffer(&ignored, &b);
	}
}

/* Back from its exported form, whose OID is the real one in either case. */
static void tell_round(FILE *f, gss_name_t n, gss_OID mech)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	gss_name_t back = GSS_C_NO_NAME, again = GSS_C_NO_NAME;
	int equal = -1;

	if (GSS_ERROR(gss_export_name(&minor, n, &token)))
		return;
	major = gss_import_name(&minor, &token, GSS_C_NT_EXPORT_NAME, &back);
	tell_status(f, "import of the exported form");
	if (back) {
		major = gss_canonicalize_name(&minor, back, mech, &again);
		tell_status(f, "canonicalized");
	}
	if (again) {
		major = gss_compare_name(&minor, n, again, &equal);
		tell_status(f, "compared");
		fprintf(f, " equal %d\n", equal);
	}
	gss_release_buffer(&ignored, &token);
	gss_release_name(&ignored, &back);
	gss_release_name(&ignored, &again);
}

static char *tell(const struct sample *s, gss_OID mech)
{
	gss_name_t n = canonical(s, mech);
	char *text = NULL, *all;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	tell_status(f, "canonical");
	if (n) {
		all = name_text(n);
		fputs(all, f);
		free(all);
		tell_local(f, n, mech);
		tell_display_ext(f, n);
		tell_round(f, n, mech);
	}
	gss_release_name(&ignored, &n);
	fclose(f);
	return text;
}

static void try(const struct sample *s, size_t i)
{
	char *own = tell(s, PUBLIC), *stock = tell(s, STOCK), what[200];

	snprintf(what, sizeof(what), "sample %zu (%s)", i, s->type ? show_oid(s->type) : "no type");
	CU_ASSERT_TRUE(name_text_same(what, own, stock));
	free(own);
	free(stock);
}

static void test_all(void)
{
	for (size_t i = 0; i < n_samples; i++)
		try(&samples[i], i);
}

/* Which host a host-based name means is the settings' to say. */
static void test_hosts(void)
{
	static const char *const settings[] = {
		"dns_canonicalize_hostname = true\n rdns = true",
		"dns_canonicalize_hostname = true\n rdns = false",
		"dns_canonicalize_hostname = false",
		"dns_canonicalize_hostname = fallback",
		"ignore_acceptor_hostname = true",
		"qualify_shortname = q.test.org\n dns_canonicalize_hostname = false",
	};
	static const char *const names[] = { "HTTP@localhost", "HTTP@", "HTTP@127.0.0.1", "HTTP@short" };
	char extra[300];

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(extra, sizeof(extra), "[libdefaults]\n %s\n", settings[i]);
		acc_environment(extra);
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			struct sample s = { names[k], strlen(names[k]), GSS_C_NT_HOSTBASED_SERVICE };

			try(&s, 1000 + i);
		}
	}
	acc_environment(NULL);
}

/* Each with each: the same ones are equal. */
static void test_compare(void)
{
	gss_name_t own[SAMPLES_MAX], stock[SAMPLES_MAX];
	size_t i, k;

	for (i = 0; i < n_samples; i++) {
		own[i] = canonical(&samples[i], PUBLIC);
		stock[i] = canonical(&samples[i], STOCK);
		CU_ASSERT_EQUAL(own[i] != NULL, stock[i] != NULL);
	}
	for (i = 0; i < n_samples; i++) {
		for (k = 0; own[i] && k < n_samples; k++) {
			int a = -1, b = -1;

			if (!own[k])
				continue;
			major = gss_compare_name(&minor, own[i], own[k], &a);
			CU_ASSERT_EQUAL(major, gss_compare_name(&minor, stock[i], stock[k], &b));
			CU_ASSERT_EQUAL(a, b);
		}
	}
	for (i = 0; i < n_samples; i++) {
		gss_release_name(&ignored, &own[i]);
		gss_release_name(&ignored, &stock[i]);
	}
}

/* ---- exported forms: with the module's own OIDs they come here, else to the stock mechanism ---- */

static gss_buffer_desc with_oid(const struct sample *s, gss_OID oid)
{
	gss_buffer_desc out;
	uint8_t *p = NULL;
	struct wr w;

	wr_init_grow(&w, s->len + 200);
	wr_bytes(&w, s->octets, 2);
	wr_be16(&w, (uint16_t)(oid->length + 2));
	wr_u8(&w, 0x06);
	wr_u8(&w, (uint8_t)oid->length);
	wr_bytes(&w, oid->elements, oid->length);
	wr_bytes(&w, s->octets + 15, s->len - 15);
	if (wr_take(&w, &p, &out.length))
		exit(99);
	out.value = p;
	return out;
}

static void try_token(const struct sample *s)
{
	const gss_OID oids[] = { mech_oid_own(), mech_oid_stock(NULL), mech_oid_public(0) };
	char *want = NULL, *text;

	for (int i = 2; i >= 0; i--) {
		gss_buffer_desc b = with_oid(s, oids[i]);
		gss_name_t n = GSS_C_NO_NAME;

		major = gss_import_name(&minor, &b, s->type, &n);
		text = n ? name_text(n) : strdup("refused");
		if (!want)
			want = text;
		CU_ASSERT_STRING_EQUAL(text, want);
		if (text != want)
			free(text);
		gss_release_name(&ignored, &n);
		free(b.value);
	}
	free(want);
}

static void test_tokens(void)
{
	size_t first = n_samples, i;

	tokens(GSS_C_NT_EXPORT_NAME);
	tokens(GSS_C_NT_COMPOSITE_EXPORT);
	for (i = first; i < n_samples; i++) {
		try(&samples[i], i);
		if (samples[i].len >= 15 && !memcmp(samples[i].octets + 2, &KRB5_FRAME[2], 13))
			try_token(&samples[i]);
	}
	n_samples = first;
}

/* ---- four OIDs for one mechanism ---- */

static gss_name_t made(const char *text, gss_OID mech)
{
	struct sample s = { text, strlen(text), OID_OF(GSS_KRB5_NT_PRINCIPAL_NAME) };
	gss_name_t n = mech ? canonical(&s, mech) : import(&s);

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	return n;
}

static int equal(gss_name_t a, gss_name_t b)
{
	int e = -1;

	CU_ASSERT_EQUAL(gss_compare_name(&minor, a, b, &e), GSS_S_COMPLETE);
	return e;
}

static gss_name_t accepted(const char *client)
{
	gss_key_value_element_desc elem = { "keytab", box->uri };
	gss_key_value_set_desc store = { 1, &elem };
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	gss_buffer_desc in, out = GSS_C_EMPTY_BUFFER;
	struct acc_req r = { .key = &key, .ticket.client = client };
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	gss_name_t src = GSS_C_NO_NAME;

	in = acc_usual(&r, ACC_MUTUAL);
	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_ACCEPT,
				      &store, &cred, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(major, GSS_S_COMPLETE);
	major = gss_accept_sec_context(&minor, &ctx, cred, &in, NULL, &src, NULL, &out, NULL, NULL,
				       NULL);
	CU_ASSERT_EQUAL_FATAL(major, GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&ignored, &ctx, NULL);
	gss_release_cred(&ignored, &cred);
	free(in.value);
	return src;
}

static gss_name_t exported_and_back(gss_name_t n)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	gss_name_t back = GSS_C_NO_NAME;

	CU_ASSERT_EQUAL(gss_export_name(&minor, n, &token), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_import_name(&minor, &token, GSS_C_NT_EXPORT_NAME, &back),
			GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &token);
	return back;
}

/*
 * The layer itself calls two names of one mechanism different when they were
 * made in different ways: known, told in gss-pkcs11(7), and so are the ways
 * around it, which must go on working.
 */
static void compare_tags(gss_name_t src)
{
	gss_name_t mn = made(ACC_CLIENT, PUBLIC), raw = made(ACC_CLIENT, NULL);
	gss_name_t back = exported_and_back(src), same = GSS_C_NO_NAME;

	CU_ASSERT_EQUAL(equal(src, mn), 0);
	CU_ASSERT_EQUAL(equal(src, back), 0);
	CU_ASSERT_EQUAL(equal(mn, back), 0);

	CU_ASSERT_EQUAL(equal(src, raw), 1);
	CU_ASSERT_EQUAL(equal(mn, raw), 1);
	CU_ASSERT_EQUAL(equal(back, raw), 1);
	CU_ASSERT_EQUAL(gss_canonicalize_name(&minor, src, PUBLIC, &same), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(equal(same, mn), 1);
	gss_release_name(&ignored, &same);
	CU_ASSERT_EQUAL(gss_canonicalize_name(&minor, back, PUBLIC, &same), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(equal(same, mn), 1);
	gss_release_name(&ignored, &same);
	gss_release_name(&ignored, &mn);
	gss_release_name(&ignored, &raw);
	gss_release_name(&ignored, &back);
}

/* Exported tokens are the same whatever the name's OID. */
static void compare_exported(gss_name_t src)
{
	gss_name_t names[3] = { src, made(ACC_CLIENT, PUBLIC), made(ACC_CLIENT, STOCK) };
	gss_buffer_desc token[3];

	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(gss_export_name(&minor, names[i], &token[i]), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(token[i].length, token[0].length);
		CU_ASSERT_EQUAL(memcmp(token[i].value, token[0].value, token[0].length), 0);
	}
	for (int i = 0; i < 3; i++)
		gss_release_buffer(&ignored, &token[i]);
	gss_release_name(&ignored, &names[1]);
	gss_release_name(&ignored, &names[2]);
}

static void test_tags(void)
{
	gss_name_t src = accepted(ACC_CLIENT);
	gss_OID mech = GSS_C_NO_OID;
	int is_mn = 0;

	compare_tags(src);
	compare_exported(src);
	CU_ASSERT_EQUAL(gss_inquire_name(&minor, src, &is_mn, &mech, NULL), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(is_mn);
	CU_ASSERT_TRUE(mech_oid_equal(mech, mech_oid_own()));
	gss_release_oid(&ignored, &mech);
	gss_release_name(&ignored, &src);
}

static void test_anonymous(void)
{
	gss_name_t src = accepted("WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS");
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_OID type = GSS_C_NO_OID;

	CU_ASSERT_EQUAL(gss_display_name(&minor, src, &text, &type), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(mech_oid_equal(type, GSS_C_NT_ANONYMOUS));
	gss_release_buffer(&ignored, &text);
	gss_release_name(&ignored, &src);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "every type, every call", test_all },
		{ "canonical hosts", test_hosts },
		{ "comparing", test_compare },
		{ "exported forms", test_tokens },
		{ "names by way of several OIDs", test_tags },
		{ "an anonymous client", test_anonymous },
		CU_TEST_INFO_NULL
	};

	acc_environment(NULL);
	return box_suite("names", setup, teardown, tests);
}
