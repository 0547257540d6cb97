/*
 * What becomes of a client's authorization data after the accept: names with
 * attributes, exported ones, and what gss_inquire_sec_context_by_oid tells.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/composite.h"
#include "tests/lib/attr_case.h"
#include "tests/lib/name_text.h"

/* ---- a malformed ticket, which only a KDC can make ---- */

static void test_malformed(void)
{
	static const struct {
		int type;
		const char *octets;
		size_t len;
	} bad[] = {
		{ AD_IF_RELEVANT, "\x30\x05", 2 }, { AD_IF_RELEVANT, "", 0 },
		{ AD_CAMMAC, "\x30\x00", 2 }, { AD_CAMMAC, "", 0 },
		{ AD_CAMMAC, "\x30\x04\xa0\x02\x30\x00", 6 },
		{ AD_PAC, "", 0 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct attr_case t = attr_begin();

		ad_add(&t.ticket, bad[i].type, bad[i].octets, bad[i].len);
		t.fails = -1;
		attr_try("malformed", &t);
	}
	struct attr_case t = attr_begin();
	struct ad_list inside = { .n = 0 };
	struct ad_cammac w = { .elements = &inside, .key = t.key };

	ad_add(&inside, AD_INDICATOR, "\x30\x03\x04\x01x", 5);
	ad_take(&t.ticket, AD_CAMMAC, ad_cammac(&w));
	ad_free(&inside);
	t.fails = -1;
	attr_try("malformed indicators", &t);
}

/* ---- DCE style: the name comes with the third leg ---- */

#define DCE (ACC_MUTUAL | GSS_C_DCE_STYLE)

static OM_uint32 initiate(gss_cred_id_t cred, gss_ctx_id_t *ctx, const char *target,
			  gss_buffer_t in, gss_buffer_t out)
{
	gss_name_t name = acc_target(target);
	OM_uint32 major, minor, ignored;

	major = gss_init_sec_context(&minor, cred, ctx, name, mech_oid_stock(NULL), DCE, 0, NULL, in,
				     NULL, out, NULL, NULL);
	gss_release_name(&ignored, &name);
	return major;
}

static void dce(const struct attr_case *t, gss_cred_id_t acceptor, struct attr_seen *s)
{
	struct forge_ticket ticket = {
		.client = t->client, .authtime = t->authtime,
		.authdata = (krb5_authdata **)(uintptr_t)t->ticket.v,
	};
	gss_cred_id_t initiator = acc_initiator(&ticket, t->key);
	gss_buffer_desc first = GSS_C_EMPTY_BUFFER, second = GSS_C_EMPTY_BUFFER, third;
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	OM_uint32 ignored;

	memset(s, 0, sizeof(*s));
	initiate(initiator, &ctx, t->key->principal, GSS_C_NO_BUFFER, &first);
	s->major = gss_accept_sec_context(&s->minor, &s->ctx, acceptor, &first, NULL, &s->src, NULL,
					  &second, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(s->major, GSS_S_CONTINUE_NEEDED);
	CU_ASSERT_PTR_NULL(s->src);
	CU_ASSERT_EQUAL(initiate(initiator, &ctx, t->key->principal, &second, &third),
			GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &second);
	s->major = gss_accept_sec_context(&s->minor, &s->ctx, acceptor, &third, NULL, &s->src, NULL,
					  &second, NULL, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(s->major, GSS_S_COMPLETE);
	s->text = name_text(s->src);
	s->inquired = attr_inquired(s->ctx);
	gss_release_buffer(&ignored, &first);
	gss_release_buffer(&ignored, &second);
	gss_release_buffer(&ignored, &third);
	gss_delete_sec_context(&ignored, &ctx, NULL);
	gss_release_cred(&ignored, &initiator);
}

static void test_dce(void)
{
	struct ad_cammac w = { .hints = false };
	struct attr_case t = attr_begin();
	struct attr_seen own, stock;

	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, w));
	attr_put_pac(&t.ticket, attr_pac(&t));
	t.pac = t.verified = true;
	t.indicators = 2;
	dce(&t, attr_own, &own);
	dce(&t, attr_stock, &stock);
	attr_compare("DCE style", &t, &own, &stock);
	attr_seen_fini(&own);
	attr_seen_fini(&stock);
	ad_free(&t.ticket);
}

/* ---- the way of names with attributes into the world ---- */

static void test_composite(void)
{
	gss_buffer_desc in, composite = GSS_C_EMPTY_BUFFER;
	gss_name_t back = GSS_C_NO_NAME;
	OM_uint32 minor, ignored;
	struct ad_cammac w = { .hints = false };
	struct attr_case t = attr_begin();
	struct attr_seen own;
	char *text;

	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, w));
	attr_put_pac(&t.ticket, attr_pac(&t));
	in = attr_message(&t);
	attr_see(attr_own, &in, &own);
	CU_ASSERT_EQUAL_FATAL(own.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_export_name_composite(&minor, own.src, &composite), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_composite_check(&composite), 0);
	/* The real OID is in it: this is the stock mechanism, without this module. */
	CU_ASSERT_EQUAL_FATAL(gss_import_name(&minor, &composite, GSS_C_NT_COMPOSITE_EXPORT, &back),
			      GSS_S_COMPLETE);
	text = name_text(back);
	CU_ASSERT_STRING_EQUAL(text, own.text);
	free(text);
	gss_release_name(&ignored, &back);
	gss_release_buffer(&ignored, &composite);
	attr_seen_fini(&own);
	free(in.value);
	ad_free(&t.ticket);
}

/* The layer makes another name of it, from the text; gss-pkcs11(7) says so. */
static void test_canonicalized(void)
{
	gss_name_t copy = GSS_C_NO_NAME;
	struct attr_case t = attr_begin();
	struct attr_seen own;
	OM_uint32 minor, ignored;
	gss_buffer_desc in;
	int authenticated;

	attr_put_pac(&t.ticket, attr_pac(&t));
	in = attr_message(&t);
	attr_see(attr_own, &in, &own);
	CU_ASSERT_EQUAL_FATAL(own.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(attr_count(own.src, "urn:mspac:", &authenticated), 1);
	CU_ASSERT_EQUAL_FATAL(gss_canonicalize_name(&minor, own.src,
						    (gss_OID)(uintptr_t)gss_mech_krb5, &copy),
			      GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(attr_count(copy, "urn:mspac:", &authenticated), 0);
	gss_release_name(&ignored, &copy);
	attr_seen_fini(&own);
	free(in.value);
	ad_free(&t.ticket);
}

/* Setting and deleting, on both: same statuses, same name afterwards. */
static void change(gss_name_t name, OM_uint32 got[8])
{
	static const char *const attrs[] = { "auth-indicators", "urn:mspac:", "urn:mspac:42", "x" };
	gss_buffer_desc value = { 5, (void *)(uintptr_t)"value" };
	OM_uint32 minor;

	for (int i = 0; i < 4; i++) {
		gss_buffer_desc a = { strlen(attrs[i]), (void *)(uintptr_t)attrs[i] };

		got[2 * i] = gss_set_name_attribute(&minor, name, 1, &a, &value);
		got[2 * i + 1] = gss_delete_name_attribute(&minor, name, &a);
	}
}

static void test_changes(void)
{
	OM_uint32 a[8], b[8];
	struct attr_seen own, stock;
	gss_buffer_desc in;
	struct attr_case t = attr_begin();
	char *x, *y;

	attr_put_pac(&t.ticket, attr_pac(&t));
	in = attr_message(&t);
	attr_see(attr_own, &in, &own);
	attr_see(attr_stock, &in, &stock);
	CU_ASSERT_FATAL(own.src && stock.src);
	change(own.src, a);
	change(stock.src, b);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	x = name_text(own.src);
	y = name_text(stock.src);
	CU_ASSERT_TRUE(name_text_same("changed", x, y));
	free(x);
	free(y);
	/* What the caller does to its name is not done to the context's. */
	x = attr_inquired(own.ctx);
	CU_ASSERT_STRING_EQUAL(x, own.text);
	free(x);
	attr_seen_fini(&own);
	attr_seen_fini(&stock);
	free(in.value);
	ad_free(&t.ticket);
}

/* ---- gsskrb5_extract_authz_data_from_sec_context ---- */

static void extract(gss_ctx_id_t ctx, int type, OM_uint32 *major, gss_buffer_t out)
{
	OM_uint32 minor = 0;

	*out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	*major = gsskrb5_extract_authz_data_from_sec_context(&minor, ctx, type, out);
}

static void compare_extract(const struct attr_seen *own, const struct attr_seen *stock, int type, int want)
{
	gss_buffer_desc x, y;
	OM_uint32 a, b, ignored;

	extract(own->ctx, type, &a, &x);
	extract(stock->ctx, type, &b, &y);
	CU_ASSERT_EQUAL(a, b);
	CU_ASSERT_EQUAL(a == GSS_S_COMPLETE, want > 0);
	CU_ASSERT_EQUAL(x.length, y.length);
	CU_ASSERT_TRUE(x.length == y.length && (!x.length || !memcmp(x.value, y.value, x.length)));
	CU_ASSERT_TRUE(want <= 0 || x.length == (size_t)want);
	gss_release_buffer(&ignored, &x);
	gss_release_buffer(&ignored, &y);
}

static unsigned count_oid(gss_ctx_id_t ctx, const char *tail, size_t len, OM_uint32 *major)
{
	char der[40] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x0a";
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_OID_desc oid = { (OM_uint32)(11 + len), der };
	OM_uint32 minor, ignored;
	unsigned n;

	memcpy(der + 11, tail, len);
	*major = gss_inquire_sec_context_by_oid(&minor, ctx, &oid, &set);
	n = set ? (unsigned)set->count : 99;
	gss_release_buffer_set(&ignored, &set);
	return n;
}

/* Several matches are asked for here alone: the other call leaks them. */
static void compare_oids(const struct attr_seen *own, const struct attr_seen *stock)
{
	static const struct {
		const char *tail;
		size_t len;
	} oids[] = {
		{ "", 0 }, { "\x00", 1 }, { "\x01", 1 }, { "\x4d", 1 }, { "\x81\x00", 2 },
		{ "\x4e", 1 }, { "\x4d\x4d", 2 }, { "\x80\x4d", 2 }, { "\xcd", 1 }, { "\x8f\xff\xff\xff\x7f", 5 },
	};

	for (size_t i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
		OM_uint32 a, b;
		unsigned x = count_oid(own->ctx, oids[i].tail, oids[i].len, &a);
		unsigned y = count_oid(stock->ctx, oids[i].tail, oids[i].len, &b);

		CU_ASSERT_EQUAL(a, b);
		CU_ASSERT_EQUAL(x, y);
		if (a != b || x != y)
			printf("\noid %zu: own %x %u stock %x %u\n", i, a, x, b, y);
	}
}

static void test_extract(void)
{
	struct attr_seen own, stock;
	struct attr_case t = attr_begin();
	gss_buffer_desc in;

	ad_add(&t.ticket, 77, "ticket", 6);
	ad_add(&t.ticket, 78, "twice", 5);
	ad_add(&t.ticket, 80, "", 0);
	ad_add(&t.authenticator, 78, "as well", 7);
	ad_add(&t.authenticator, 79, "authenticator", 13);
	in = attr_message(&t);
	attr_see(attr_own, &in, &own);
	attr_see(attr_stock, &in, &stock);
	CU_ASSERT_EQUAL_FATAL(own.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL_FATAL(stock.major, GSS_S_COMPLETE);
	compare_extract(&own, &stock, 77, 6);
	compare_extract(&own, &stock, 79, 13);
	compare_extract(&own, &stock, 90, 0);
	compare_extract(&own, &stock, 0, 0);
	compare_extract(&own, &stock, 128, 0);
	compare_extract(&own, &stock, 1000000, 0);
	compare_oids(&own, &stock);
	attr_seen_fini(&own);
	attr_seen_fini(&stock);
	free(in.value);
	ad_free(&t.ticket);
	ad_free(&t.authenticator);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "malformed authorization data", test_malformed },
		{ "the DCE style's name", test_dce },
		{ "composite names", test_composite },
		{ "canonicalizing", test_canonicalized },
		{ "setting and deleting", test_changes },
		{ "extracting authorization data", test_extract },
		CU_TEST_INFO_NULL
	};

	return attr_run(tests);
}
