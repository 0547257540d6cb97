/*
 * Can a session read a key?  Each way tried on each token, with the answer that
 * was measured for it; nothing stays on the token; another's key is not touched.
 */
#include <stdio.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "pkcs11/exposed.h"
#include "pkcs11/tokpriv.h"
#include "pkcs11/token.h"
#include "tests/lib/box.h"

static struct tok *toks[2];

static int setup(void)
{
	const struct box_token *b;
	size_t n, i;

	b = box_tokens(&n);
	for (i = 0; i < 2; i++) {
		const struct tok_config cfg = { .module = b[i].module,
						.module_init = b[i].module_init };

		if (tok_open(b[i].uri, &cfg, &toks[i]))
			return 1;
	}
	return 0;
}

/* What these versions do: "no", "yes", or "-" where it cannot be tried. */
struct row {
	enum tok_way way;
	enum tok_victim victim;
	const char *want[2];     /* SoftHSM2 2.6.1, NSS softoken 3.87 */
};

static const struct row rows[] = {
	{ TOK_WAY_VALUE, TOK_VICTIM_TOKEN, { "no", "no" } },
	{ TOK_WAY_VALUE, TOK_VICTIM_SESSION, { "no", "no" } },
	{ TOK_WAY_SET, TOK_VICTIM_TOKEN, { "no", "no" } },
	{ TOK_WAY_SET, TOK_VICTIM_SESSION, { "no", "no" } },
	{ TOK_WAY_COPY, TOK_VICTIM_TOKEN, { "no", "yes" } },
	{ TOK_WAY_COPY, TOK_VICTIM_SESSION, { "no", "yes" } },
	{ TOK_WAY_WRAP, TOK_VICTIM_TOKEN, { "no", "yes" } },
	{ TOK_WAY_WRAP, TOK_VICTIM_SESSION, { "no", "yes" } },
	{ TOK_WAY_EXTRACT, TOK_VICTIM_TOKEN, { "no", "yes" } },
	{ TOK_WAY_EXTRACT, TOK_VICTIM_SESSION, { "no", "yes" } },
	{ TOK_WAY_EXTRACT_DERIVE, TOK_VICTIM_SESSION, { "no", "yes" } },
	{ TOK_WAY_DERIVE, TOK_VICTIM_SESSION, { "yes", "yes" } },
	{ TOK_WAY_UNWRAP, TOK_VICTIM_SESSION, { "no", "yes" } },
};

static void ways(void)
{
	struct tok_exposed e;
	const char *got;
	size_t i, j;

	for (i = 0; i < 2; i++) {
		for (j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
			CU_ASSERT_EQUAL_FATAL(tok_exposed_try(toks[i], rows[j].way, rows[j].victim,
							      &e), 0);
			got = !e.tried ? "-" : e.open ? "yes" : "no";
			if (strcmp(got, rows[j].want[i]))
				printf("# %s, %s, %s: %s (%s %s)\n", box_tokens(NULL)[i].name,
				       tok_way_name(rows[j].way),
				       rows[j].victim == TOK_VICTIM_TOKEN ? "token object"
				       : "session object", got, e.call, e.rv);
			CU_ASSERT_STRING_EQUAL(got, rows[j].want[i]);
			CU_ASSERT(e.call[0] && !strncmp(e.rv, "CKR_", 4));
			CU_ASSERT(!e.open || !strcmp(e.rv, "CKR_OK"));
		}
	}
}

/* A try leaves nothing behind, and somebody's own key as it was. */
static void nothing_left(void)
{
	static const struct tok_key_spec spec = {
		.type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
		.label = "somebody's", .id = "0123456789abcdef", .id_len = 16
	};
	struct tok_object *objs;
	struct tok_exposed e;
	size_t n, way;
	int i;

	for (i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(tok_key_generate(toks[i], &spec, 32, NULL), 0);
		for (way = 0; way < TOK_WAYS; way++)
			CU_ASSERT_EQUAL(tok_exposed_try(toks[i], (enum tok_way)way,
							TOK_VICTIM_TOKEN, &e), 0);
		CU_ASSERT_EQUAL_FATAL(tok_objects_list(toks[i], NULL, &objs, &n), 0);
		CU_ASSERT_EQUAL(n, 1);
		CU_ASSERT(n == 1 && !strcmp(objs[0].label, "somebody's") && objs[0].sensitive &&
			  !objs[0].extractable);
		tok_objects_free(&objs, n);
		CU_ASSERT_EQUAL(tok_object_destroy(toks[i], spec.label, spec.id, spec.id_len), 0);
	}
}

static void facts(void)
{
	struct tok_facts f;
	int i;

	for (i = 0; i < 2; i++) {
		memset(&f, 0xff, sizeof(f));
		CU_ASSERT_EQUAL(tok_facts(toks[i], &f), 0);
		CU_ASSERT(f.login_required && f.pin_initialized);
		CU_ASSERT(!f.pin_locked && !f.pin_final_try && !f.pin_count_low);
		CU_ASSERT(!f.write_protected);
		CU_ASSERT(f.sessions_max >= -1);
	}
}

/* ---- a token that asks for CKA_DERIVE, which neither does by itself ---- */

static CK_FUNCTION_LIST *real;

static CK_RV strict_derive(CK_SESSION_HANDLE s, CK_MECHANISM *mech, CK_OBJECT_HANDLE base,
			   CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_BBOOL may = CK_FALSE;
	CK_ATTRIBUTE a = { CKA_DERIVE, &may, sizeof(may) };

	if (real->C_GetAttributeValue(s, base, &a, 1) != CKR_OK || !may)
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	return real->C_DeriveKey(s, mech, base, tmpl, n, out);
}

static void strict_token(void)
{
	CK_FUNCTION_LIST strict;
	struct tok_exposed e;
	struct tok *nss = toks[1];

	real = nss->f;
	strict = *real;
	strict.C_DeriveKey = strict_derive;
	nss->f = &strict;
	CU_ASSERT_EQUAL(tok_exposed_try(nss, TOK_WAY_EXTRACT, TOK_VICTIM_SESSION, &e), 0);
	CU_ASSERT(e.tried && !e.open);
	CU_ASSERT_STRING_EQUAL(e.rv, "CKR_KEY_FUNCTION_NOT_PERMITTED");
	CU_ASSERT_EQUAL(tok_exposed_try(nss, TOK_WAY_EXTRACT_DERIVE, TOK_VICTIM_SESSION, &e), 0);
	CU_ASSERT(e.tried && e.open);
	nss->f = real;
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "each way, each token", ways },
		{ "nothing left", nothing_left },
		{ "a token that asks for CKA_DERIVE", strict_token },
		{ "what a token says", facts },
		CU_TEST_INFO_NULL
	};

	return box_suite("exposed", setup, NULL, tests);
}
