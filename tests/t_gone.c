/*
 * Handles whose object is gone: exported, deleted, released.  RFC 2744 leaves
 * other copies of such a handle undefined; the caller's own is GSS_C_NO_CONTEXT
 * and so on from then on, and the calls take it for that, as with the stock
 * mechanism.
 */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "tests/lib/show.h"
#include "tests/lib/talk.h"

enum { NOTES = 32 };

static OM_uint32 m;

static struct said {
	size_t n;
	OM_uint32 major[NOTES];
} *said;

static void note(OM_uint32 major)
{
	CU_ASSERT_FATAL(said->n < NOTES);
	said->major[said->n++] = major;
}

/* What is asked of a context that is no more. */
static void no_context(gss_ctx_id_t *c)
{
	static char hello[] = "hello";
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER, text = { 5, hello };
	OM_uint32 n;
	int local, open;

	CU_ASSERT_PTR_NULL(*c);
	note(gss_delete_sec_context(&m, c, GSS_C_NO_BUFFER));
	note(gss_delete_sec_context(&m, c, &out));
	note(gss_export_sec_context(&m, c, &out));
	note(gss_inquire_context(&m, *c, NULL, NULL, NULL, NULL, NULL, &local, &open));
	note(gss_context_time(&m, *c, &n));
	note(gss_wrap(&m, *c, 1, 0, &text, NULL, &out));
	note(gss_unwrap(&m, *c, &text, &out, NULL, NULL));
	note(gss_get_mic(&m, *c, 0, &text, &out));
	note(gss_verify_mic(&m, *c, &text, &text, NULL));
	note(gss_process_context_token(&m, *c, &text));
	CU_ASSERT(out.length == 0 && out.value == NULL);
}

static void ask(const struct box_token *t, struct said *to)
{
	const struct talk_want want = {
		.own_i = t, .own_a = t, .flags = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG,
	};
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	struct talk up;

	said = to;
	said->n = 0;
	CU_ASSERT_TRUE_FATAL(talk_make(&want, &up));
	note(gss_export_sec_context(&m, &up.i, &out));
	CU_ASSERT(out.length > 0);
	gss_release_buffer(&m, &out);
	no_context(&up.i);
	note(gss_delete_sec_context(&m, &up.a, &out));
	CU_ASSERT(out.length == 0);
	no_context(&up.a);
	note(gss_release_cred(&m, &up.cred));
	CU_ASSERT_PTR_NULL(up.cred);
	note(gss_release_cred(&m, &up.cred));
	note(gss_release_name(&m, &up.src));
	CU_ASSERT_PTR_NULL(up.src);
	note(gss_release_name(&m, &up.src));
	note(gss_duplicate_name(&m, up.src, &up.src));
	talk_drop(&up);
}

static void as_stock(void)
{
	static const char *const names[] = { "softhsm", "nss" };
	struct said stock, own;
	size_t i, k;

	ask(NULL, &stock);
	CU_ASSERT(stock.n > 25 && stock.major[0] == GSS_S_COMPLETE);
	for (k = 0; k < 2; k++) {
		ask(box_token(names[k]), &own);
		CU_ASSERT_EQUAL_FATAL(own.n, stock.n);
		for (i = 0; i < own.n; i++) {
			CU_ASSERT_EQUAL(own.major[i], stock.major[i]);
			if (own.major[i] != stock.major[i])
				printf("\n %s, call %zu: stock %x, own %x\n", names[k], i,
				       (unsigned)stock.major[i], (unsigned)own.major[i]);
		}
	}
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "exported, deleted, released: as stock", as_stock },
		CU_TEST_INFO_NULL
	};

	acc_environment(NULL);
	return box_suite("handles that are gone", NULL, NULL, tests);
}
