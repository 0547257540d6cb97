/*
 * Keys in the clear: refused by default with a text that names the policy;
 * with export = allow the same as a stock peer gives out.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static const struct box_token *tokens;
static size_t n_tokens;
static OM_uint32 ignored;
static char *trace_file;

#define ALLOW "  export = allow"
#define MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG)

static const struct {
	krb5_enctype etype;
	const char *permitted;
} kinds[] = {
	{ 17, "aes128-cts" }, { 18, "aes256-cts" }, { 19, "aes128-sha2" }, { 20, "aes256-sha2" },
	{ 20, "aes256-cts aes256-sha2" },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), STYLES = 3 };
static const OM_uint32 styles[STYLES] = { 0, MUTUAL, MUTUAL | GSS_C_DCE_STYLE };
enum { WAYS = KINDS * STYLES * 2 };

static struct talk_want want(const struct box_token *t, size_t n, const char *policy)
{
	bool initiator = n / (KINDS * STYLES);

	return (struct talk_want){
		.own_i = initiator ? t : NULL, .own_a = initiator ? NULL : t,
		.etype = kinds[n % KINDS].etype, .permitted = kinds[n % KINDS].permitted,
		.flags = styles[n / KINDS % STYLES], .policy = policy,
	};
}

static void expect_up(const struct talk_want *w, struct talk *t)
{
	bool up = talk_make(w, t);

	if (!up)
		printf("\n etype %d of %s, flags %x: %s\n", (int)w->etype, w->permitted,
		       (unsigned)w->flags, t->text);
	CU_ASSERT_TRUE_FATAL(up);
}

static unsigned traced(const char *what)
{
	FILE *f = fopen(trace_file, "r");
	char line[2048];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* 1.2.840.113554.1.2.2.5.19 */
static char odbc_der[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x13";
static gss_OID_desc odbc = { sizeof(odbc_der) - 1, odbc_der };

static gss_buffer_set_t ask(gss_ctx_id_t c, gss_const_OID what, OM_uint32 *major, OM_uint32 *minor)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;

	*major = gss_inquire_sec_context_by_oid(minor, c, (gss_OID)(uintptr_t)what, &set);
	return set;
}

/* ---- refusals ---- */

static bool says(OM_uint32 minor, const char *word)
{
	char *text = talk_text(minor);
	bool ok = strstr(text, word) != NULL;

	if (!ok)
		printf("\n no \"%s\": %s\n", word, text);
	free(text);
	return ok;
}

/* The context is none the worse for it. */
static void refuses(gss_ctx_id_t *c, const char *word)
{
	const gss_const_OID what[] = { GSS_C_INQ_SSPI_SESSION_KEY, &odbc };
	OM_uint32 major, minor;
	gss_buffer_set_t set;
	void *lucid = &set;

	for (size_t i = 0; i < 2; i++) {
		set = ask(*c, what[i], &major, &minor);
		CU_ASSERT_EQUAL(major, GSS_S_UNAVAILABLE);
		CU_ASSERT_PTR_NULL(set);
		CU_ASSERT_TRUE(says(minor, word));
	}
	major = gss_krb5_export_lucid_sec_context(&minor, c, 1, &lucid);
	CU_ASSERT_EQUAL(major, GSS_S_UNAVAILABLE);
	CU_ASSERT_PTR_NULL(lucid);
	CU_ASSERT_TRUE(says(minor, word));
	CU_ASSERT_PTR_NOT_NULL(*c);
	CU_ASSERT_EQUAL(gss_context_time(&minor, *c, &major), GSS_S_COMPLETE);
}

static void refused_with(const char *policy, const char *word)
{
	unsigned before = traced("extractable");
	struct talk t;

	for (size_t n = 0; n < n_tokens * WAYS; n++) {
		struct talk_want w = want(&tokens[n / WAYS], n % WAYS, policy);

		expect_up(&w, &t);
		refuses(w.own_i ? &t.i : &t.a, word);
		talk_drop(&t);
	}
	CU_ASSERT_EQUAL(traced("extractable"), before);
}

static void by_default(void)
{
	refused_with("", "export = allow");
	refused_with("  export = refuse", "export = allow");
}

/* The stricter of two policies counts; exposure = on-token refuses such keys before that. */
static void exposure(void)
{
	const struct ks_conf no = { .export = false }, yes = { .export = true };
	const struct ks_conf both = { .export = true, .exposure = KS_CONF_ON_TOKEN };

	CU_ASSERT_FALSE(ks_conf_gives_keys(&no));
	CU_ASSERT_TRUE(ks_conf_gives_keys(&yes));
	CU_ASSERT_FALSE(ks_conf_gives_keys(&both));
}

/* ---- by policy ---- */

static bool same_sets(gss_buffer_set_t x, gss_buffer_set_t y)
{
	bool ok = x && y && x->count == 2 && y->count == 2;

	for (size_t i = 0; ok && i < 2; i++)
		ok = x->elements[i].length == y->elements[i].length
			&& !memcmp(x->elements[i].value, y->elements[i].value,
				   x->elements[i].length);
	return ok;
}

static bool session_keys_equal(const struct talk *t)
{
	OM_uint32 major, minor;
	gss_buffer_set_t x = ask(t->i, GSS_C_INQ_SSPI_SESSION_KEY, &major, &minor);
	gss_buffer_set_t y = ask(t->a, GSS_C_INQ_SSPI_SESSION_KEY, &major, &minor);
	bool ok = same_sets(x, y);

	gss_release_buffer_set(&ignored, &x);
	gss_release_buffer_set(&ignored, &y);
	return ok;
}

static bool same_key(const gss_krb5_lucid_key_t *x, const gss_krb5_lucid_key_t *y)
{
	return x->type == y->type && x->length == y->length
		&& (!x->length || !memcmp(x->data, y->data, x->length));
}

static bool lucids_equal(const struct talk_want *w, const gss_krb5_lucid_context_v1_t *x,
			 const gss_krb5_lucid_context_v1_t *y)
{
	return x->version == 1 && y->version == 1 && x->initiate == 1 && y->initiate == 0
		&& x->protocol == 1 && y->protocol == 1 && x->endtime == y->endtime
		&& x->send_seq == y->recv_seq + 1 && x->recv_seq + 1 == y->send_seq
		&& same_key(&x->cfx_kd.ctx_key, &y->cfx_kd.ctx_key)
		&& same_key(&x->cfx_kd.acceptor_subkey, &y->cfx_kd.acceptor_subkey)
		&& x->cfx_kd.have_acceptor_subkey == y->cfx_kd.have_acceptor_subkey
		&& x->cfx_kd.have_acceptor_subkey == !!(w->flags & GSS_C_MUTUAL_FLAG)
		&& x->cfx_kd.ctx_key.length >= 16;
}

static void one_message(gss_ctx_id_t from, gss_ctx_id_t to)
{
	gss_buffer_desc in = show_text("a message"), token = GSS_C_EMPTY_BUFFER;
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;

	CU_ASSERT_EQUAL(gss_wrap(&minor, from, 1, 0, &in, NULL, &token), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_unwrap(&minor, to, &token, &out, NULL, NULL), GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &out);
}

static gss_krb5_lucid_context_v1_t *lucid(gss_ctx_id_t *c)
{
	OM_uint32 minor;
	void *l = NULL;

	CU_ASSERT_EQUAL(gss_krb5_export_lucid_sec_context(&minor, c, 1, &l), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NULL(*c);
	return l;
}

static void lucid_as_stock(const struct talk_want *w, struct talk *t)
{
	gss_krb5_lucid_context_v1_t *x, *y;
	OM_uint32 minor;

	one_message(t->i, t->a);
	one_message(t->a, t->i);
	x = lucid(&t->i);
	y = lucid(&t->a);
	CU_ASSERT_TRUE(x && y && lucids_equal(w, x, y));
	if (x)
		CU_ASSERT_EQUAL(gss_krb5_free_lucid_sec_context(&minor, x), GSS_S_COMPLETE);
	if (y)
		CU_ASSERT_EQUAL(gss_krb5_free_lucid_sec_context(&minor, y), GSS_S_COMPLETE);
}

static void as_stock(void)
{
	unsigned before = traced("given out, exposure: extractable");
	struct talk t;

	for (size_t n = 0; n < n_tokens * WAYS; n++) {
		struct talk_want w = want(&tokens[n / WAYS], n % WAYS, ALLOW);

		expect_up(&w, &t);
		CU_ASSERT_TRUE(session_keys_equal(&t));
		lucid_as_stock(&w, &t);
		talk_drop(&t);
	}
	CU_ASSERT(traced("given out, exposure: extractable") >= before + 2 * n_tokens * WAYS);
}

/* The oracle is the ticket's maker: not every stock mechanism answers this question. */
static void ticket_key(void)
{
	static const uint8_t key[32] = "a session key that we have chose";
	OM_uint32 major, minor;
	gss_buffer_set_t set;
	struct talk t;

	for (size_t n = 0; n < n_tokens * STYLES; n++) {
		struct talk_want w = {
			.own_a = &tokens[n / STYLES], .flags = styles[n % STYLES],
			.session_key = key, .policy = ALLOW,
		};

		expect_up(&w, &t);
		set = ask(t.a, &odbc, &major, &minor);
		CU_ASSERT_EQUAL(major, GSS_S_COMPLETE);
		CU_ASSERT_TRUE(set && set->count == 2 && set->elements[0].length == 32
			       && !memcmp(set->elements[0].value, key, 32));
		CU_ASSERT_TRUE(set && set->elements[1].length == 11
			       && ((uint8_t *)set->elements[1].value)[10] == 18);
		gss_release_buffer_set(&ignored, &set);
		talk_drop(&t);
	}
}

/* An initiator's is not kept: it never was this module's. */
static void ticket_key_of_initiator(void)
{
	struct talk_want w = { .own_i = &tokens[0], .flags = MUTUAL, .policy = ALLOW };
	OM_uint32 major, minor;
	gss_buffer_set_t set;
	struct talk t;

	expect_up(&w, &t);
	set = ask(t.i, &odbc, &major, &minor);
	CU_ASSERT_EQUAL(major, GSS_S_UNAVAILABLE);
	CU_ASSERT_PTR_NULL(set);
	talk_drop(&t);
}

/* Raw keys do not travel: a context that was imported has none to give, whatever the policy. */
static void imported(void)
{
	struct talk_want w = { .flags = MUTUAL, .policy = ALLOW };
	gss_buffer_desc token;
	OM_uint32 minor;
	struct talk t;

	for (size_t n = 0; n < n_tokens; n++) {
		w.own_a = &tokens[n];
		expect_up(&w, &t);
		CU_ASSERT_EQUAL_FATAL(gss_export_sec_context(&minor, &t.a, &token), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL_FATAL(gss_import_sec_context(&minor, &token, &t.a), GSS_S_COMPLETE);
		gss_release_buffer(&ignored, &token);
		one_message(t.i, t.a);
		refuses(&t.a, "export = allow");
		talk_drop(&t);
	}
}

/* ---- other forms, other tokens ---- */

static void other_versions(void)
{
	struct talk_want w = { .own_a = &tokens[0], .own_i = &tokens[0], .flags = MUTUAL,
			       .policy = ALLOW };
	static const OM_uint32 versions[] = { 0, 2, 127, 128, 300 };
	OM_uint32 minor;
	struct talk t;
	void *l;

	expect_up(&w, &t);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		l = &t;
		CU_ASSERT_EQUAL(gss_krb5_export_lucid_sec_context(&minor, &t.a, versions[i], &l),
				GSS_S_FAILURE);
		CU_ASSERT_PTR_NULL(l);
		CU_ASSERT_PTR_NOT_NULL(t.a);
	}
	lucid_as_stock(&w, &t);
	talk_drop(&t);
}

/* The failing module stands before SoftHSM2; the rule is CKR_ATTRIBUTE_SENSITIVE or _VALUE_INVALID. */
static char *shimmed(void)
{
	return box_shim_uri(box_token("softhsm"));
}

static void token_refuses(void)
{
	static const char *const rules[] = { "fail C_GetAttributeValue 0 -1 11\n" };
	char *uri = shimmed();
	struct box_token shim = *box_token("softhsm");
	struct talk_want w = { .own_i = &shim, .flags = MUTUAL, .policy = ALLOW };
	gss_buffer_set_t set;
	OM_uint32 major, minor;
	struct talk t;

	shim.uri = uri;
	box_shim_rules("");
	expect_up(&w, &t);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		box_shim_rules(rules[i]);
		set = ask(t.i, GSS_C_INQ_SSPI_SESSION_KEY, &major, &minor);
		CU_ASSERT_EQUAL(major, GSS_S_UNAVAILABLE);
		CU_ASSERT_PTR_NULL(set);
		CU_ASSERT_TRUE(says(minor, "gives out no key"));
	}
	box_shim_rules("");
	CU_ASSERT_TRUE(session_keys_equal(&t));
	box_shim_rules("removed\n");
	set = ask(t.i, GSS_C_INQ_SSPI_SESSION_KEY, &major, &minor);
	CU_ASSERT_EQUAL(major, GSS_S_FAILURE);
	CU_ASSERT_PTR_NULL(set);
	box_shim_rules("");
	set = ask(t.i, GSS_C_INQ_SSPI_SESSION_KEY, &major, &minor);
	CU_ASSERT_EQUAL(major, GSS_S_FAILURE);
	CU_ASSERT_TRUE(says(minor, "lost"));
	talk_drop(&t);
	free(uri);
}

static int setup(void)
{
	trace_file = box_path("trace");
	setenv("GSSP11_TRACE", trace_file, 1);
	box_shim_control();
	tokens = box_tokens(&n_tokens);
	return n_tokens ? 0 : 1;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "refused by default", by_default }, { "exposure overrules", exposure },
		{ "the stock mechanism's keys", as_stock }, { "a ticket's key", ticket_key },
		{ "an initiator's ticket", ticket_key_of_initiator },
		{ "an imported context", imported }, { "other versions", other_versions }, { "a token that refuses", token_refuses },
		CU_TEST_INFO_NULL,
	};

	return box_suite("raw keys", setup, NULL, tests);
}
