/* What can be read out of a stock credential's exported form. */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "mech/k5c1.h"
#include "tests/lib/box.h"

#define HEAD "[\"K5C1\",[1,[\"a@R\",null,null],null,true,false,null,null,"
#define TAIL ",\"FILE:/kt\",true,1,0,null,null]]"

static gss_buffer_desc text(const char *s)
{
	return (gss_buffer_desc){ strlen(s), (void *)(uintptr_t)s };
}

static void expect(const char *json, const char *want)
{
	gss_buffer_desc b = text(json);
	char *name = mech_k5c1_ccache(&b);

	CU_ASSERT_EQUAL(name != NULL, want != NULL);
	if (name && want)
		CU_ASSERT_STRING_EQUAL(name, want);
	free(name);
}

static void names(void)
{
	expect(HEAD "\"FILE:/tmp/cc\"" TAIL, "FILE:/tmp/cc");
	expect(HEAD "\"FILE:\\/tmp\\/cc\"" TAIL, "FILE:/tmp/cc");
	expect(HEAD "\"DIR::\\/a\\\\b\\\"c\"" TAIL, "DIR::/a\\b\"c");
	expect(HEAD " \"KCM:0\" " TAIL, "KCM:0");
	expect(HEAD "\"\"" TAIL, "");
	expect(HEAD "\"FILE:/tmp/\\u0041\"" TAIL, NULL);
	expect(HEAD "\"FILE:/tmp/\\n\"" TAIL, NULL);
	expect(HEAD "null" TAIL, NULL);
	expect(HEAD "[\"a@R\"]" TAIL, NULL);
	expect(HEAD "\"FILE:/tmp/cc", NULL);
	expect(HEAD "\"FILE:/tmp/cc\\", NULL);
	expect(HEAD, NULL);
	expect("[\"K5C2\",[1,2,3,4,5,6,7,\"FILE:/x\"]]", NULL);
	expect("[\"K5C1\",[1,2,3,4,5,6,\"FILE:/x\"]]", NULL);
	expect("", NULL);
}

static void surrogates(void)
{
	gss_buffer_desc b = text(HEAD "[\"a@R\",[\"a@R\",\"krb5_ccache_conf_data/gssp11_token@X-CACHECONF:\"]]"
				 TAIL);

	CU_ASSERT_TRUE(mech_k5c1_has_surrogates(&b));
	b = text(HEAD "[\"a@R\",[\"a@R\",\"krb5_ccache_conf_data/refresh_time@X-CACHECONF:\"]]" TAIL);
	CU_ASSERT_FALSE(mech_k5c1_has_surrogates(&b));
	b = text("gssp11_token");
	CU_ASSERT_FALSE(mech_k5c1_has_surrogates(&b));
	b.length = 0;
	CU_ASSERT_FALSE(mech_k5c1_has_surrogates(&b));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "names of caches", names }, { "surrogates", surrogates }, CU_TEST_INFO_NULL,
	};

	return box_suite("k5c1", NULL, NULL, tests);
}
