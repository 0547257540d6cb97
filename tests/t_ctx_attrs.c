/*
 * What a ticket's authorization data told about the peer is told after export
 * and import, too: attributes of its name, and the elements themselves.
 */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/attr_case.h"
#include "tests/lib/name_text.h"

static OM_uint32 minor, ignored;

/* The octets that a context gives of this type. */
static gss_buffer_desc authz(gss_ctx_id_t ctx, int type)
{
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;

	gsskrb5_extract_authz_data_from_sec_context(&minor, ctx, type, &out);
	return out;
}

static void carry(gss_ctx_id_t *ctx)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	OM_uint32 major = gss_export_sec_context(&minor, ctx, &token);

	CU_ASSERT_EQUAL_FATAL(major, GSS_S_COMPLETE);
	CU_ASSERT_PTR_NULL(*ctx);
	major = gss_import_sec_context(&minor, &token, ctx);
	CU_ASSERT_EQUAL_FATAL(major, GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &token);
}

static void same(const char *what, struct attr_case *t, bool told)
{
	gss_buffer_desc in = attr_message(t), pac, again;
	struct attr_seen own;
	char *before, *after;

	attr_see(attr_own, &in, &own);
	CU_ASSERT_EQUAL_FATAL(own.major, GSS_S_COMPLETE);
	before = attr_inquired(own.ctx);
	pac = authz(own.ctx, AD_PAC);
	carry(&own.ctx);
	after = attr_inquired(own.ctx);
	again = authz(own.ctx, AD_PAC);
	CU_ASSERT_TRUE(name_text_same(what, after, before));
	CU_ASSERT_EQUAL(strstr(before, " count 0") == NULL, told);
	CU_ASSERT_EQUAL(pac.length, again.length);
	CU_ASSERT_TRUE(!pac.length || memcmp(pac.value, again.value, pac.length) == 0);
	gss_release_buffer(&ignored, &pac);
	gss_release_buffer(&ignored, &again);
	free(before);
	free(after);
	free(in.value);
	attr_seen_fini(&own);
	ad_free(&t->ticket);
	ad_free(&t->authenticator);
}

static void test_none(void)
{
	struct attr_case t = attr_begin();

	same("none", &t, false);
}

static void test_attributes(void)
{
	struct attr_case t = attr_begin();

	attr_put_pac(&t.ticket, attr_pac(&t));
	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, (struct ad_cammac){ 0 }));
	same("PAC and indicators", &t, true);
}

static void test_unverified(void)
{
	struct attr_case t = attr_begin();
	struct ad_pac w = { .key = &attr_stranger, .client = t.client, .authtime = t.authtime };

	attr_put_pac(&t.ticket, ad_pac(&w));
	same("a PAC of somebody else", &t, true);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "no attributes", test_none },
		{ "PAC and indicators", test_attributes },
		{ "a PAC of somebody else", test_unverified },
		CU_TEST_INFO_NULL
	};

	return attr_run(tests);
}
