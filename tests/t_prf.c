/*
 * gss_pseudo_random with keys on a token: the same octets as a stock peer's,
 * from both keys, for every enctype; RFC 8009 only by policy.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static const struct box_token *tokens;
static size_t n_tokens;
static OM_uint32 ignored;

#define ALLOW "  prf = allow"
#define MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG)

/* The first is the acceptor's subkey's; the session key and the initiator's subkey are of etype. */
static const struct {
	krb5_enctype etype;
	const char *permitted;
} kinds[] = {
	{ 17, "aes128-cts aes256-cts" },
	{ 18, "aes256-cts" },
	{ 19, "aes128-sha2" },
	{ 20, "aes256-sha2" },
	{ 20, "aes256-cts aes256-sha2" },
	{ 18, "aes256-sha2 aes256-cts" },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const OM_uint32 styles[] = { 0, MUTUAL, MUTUAL | GSS_C_DCE_STYLE };
enum { STYLES = 3 };

/* One way to talk, by number: kind, style, side that is on the token. */
static struct talk_want want(const struct box_token *t, size_t n, const char *policy)
{
	bool initiator = n / (KINDS * STYLES);

	return (struct talk_want){
		.own_i = initiator ? t : NULL, .own_a = initiator ? NULL : t,
		.etype = kinds[n % KINDS].etype, .permitted = kinds[n % KINDS].permitted,
		.flags = styles[n / KINDS % STYLES], .policy = policy,
	};
}
enum { WAYS = KINDS * STYLES * 2 };

static void report(bool ok, const struct box_token *t, size_t n, const struct talk *k)
{
	CU_ASSERT_TRUE(ok);
	if (!ok)
		printf("\n %s: etype %d of %s, flags %x, %s on the token: %s\n", t->name,
		       (int)kinds[n % KINDS].etype, kinds[n % KINDS].permitted,
		       (unsigned)styles[n / KINDS % STYLES],
		       n / (KINDS * STYLES) ? "initiator" : "acceptor", k->text);
}

static OM_uint32 prf(gss_ctx_id_t c, int key, size_t in_len, ssize_t len, gss_buffer_t out)
{
	static _Thread_local char text[5000];
	gss_buffer_desc in = { in_len, text };
	OM_uint32 minor;

	memset(text, 'x', sizeof(text));
	return gss_pseudo_random(&minor, c, key, &in, len, out);
}

static bool equal(const struct talk *t, int key, size_t in_len, ssize_t len)
{
	gss_buffer_desc x, y;
	bool ok;

	ok = prf(t->i, key, in_len, len, &x) == GSS_S_COMPLETE
		&& prf(t->a, key, in_len, len, &y) == GSS_S_COMPLETE && x.length == (size_t)len
		&& y.length == (size_t)len && (!len || !memcmp(x.value, y.value, (size_t)len));
	gss_release_buffer(&ignored, &x);
	gss_release_buffer(&ignored, &y);
	return ok;
}

/* Around the PRF's own lengths (16, 32, 48 octets), and long ones; inputs around a hash's block. */
static bool all_equal(const struct talk *t, int key)
{
	static const ssize_t lengths[] = { 0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 1000, 70000 };
	static const size_t inputs[] = { 0, 1, 51, 52, 60, 64, 4096 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		if (!equal(t, key, 5, lengths[i]))
			return false;
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
		if (!equal(t, key, inputs[i], 100))
			return false;
	return true;
}

/* The two keys give different octets exactly where there is an acceptor's subkey. */
static bool keys_differ(const struct talk *t)
{
	gss_buffer_desc x, y;
	bool differ;

	prf(t->i, GSS_C_PRF_KEY_FULL, 5, 32, &x);
	prf(t->i, GSS_C_PRF_KEY_PARTIAL, 5, 32, &y);
	differ = x.length && x.length == y.length && memcmp(x.value, y.value, x.length);
	gss_release_buffer(&ignored, &x);
	gss_release_buffer(&ignored, &y);
	return differ;
}

static void as_stock(void)
{
	for (size_t n = 0; n < n_tokens * WAYS; n++) {
		struct talk_want w = want(&tokens[n / WAYS], n % WAYS, ALLOW);
		struct talk t;
		bool ok = talk_make(&w, &t);

		ok = ok && all_equal(&t, GSS_C_PRF_KEY_FULL)
			&& all_equal(&t, GSS_C_PRF_KEY_PARTIAL)
			&& keys_differ(&t) == ((w.flags & GSS_C_MUTUAL_FLAG) != 0);
		report(ok, &tokens[n / WAYS], n % WAYS, &t);
		talk_drop(&t);
	}
}

/* ---- without the policy ---- */

static bool refused(gss_ctx_id_t c, int key)
{
	gss_buffer_desc in = show_text("x"), out;
	OM_uint32 minor, major = gss_pseudo_random(&minor, c, key, &in, 20, &out);
	char *text = talk_text(minor);
	bool ok = major == GSS_S_UNAVAILABLE && !out.length && strstr(text, "prf = allow");

	if (!ok)
		printf("\n %x %s\n", (unsigned)major, text);
	free(text);
	return ok;
}

static krb5_enctype full_etype(const struct talk_want *w)
{
	if (!(w->flags & GSS_C_MUTUAL_FLAG))
		return w->etype;
	return strncmp(w->permitted, "aes256-cts", 10) && strncmp(w->permitted, "aes128-cts", 10)
		? 20 : 18;
}

static bool by_default(const struct talk *t, const struct talk_want *w)
{
	gss_ctx_id_t own = w->own_i ? t->i : t->a;
	bool ok;

	ok = full_etype(w) < 19 ? equal(t, GSS_C_PRF_KEY_FULL, 5, 100)
				: refused(own, GSS_C_PRF_KEY_FULL);
	ok = ok && (w->etype < 19 ? equal(t, GSS_C_PRF_KEY_PARTIAL, 5, 100)
				  : refused(own, GSS_C_PRF_KEY_PARTIAL));
	/* nothing is asked of a key here */
	return ok && equal(t, GSS_C_PRF_KEY_FULL, 5, 0) && equal(t, GSS_C_PRF_KEY_PARTIAL, 5, 0);
}

static void by_policy(void)
{
	static const char *const policies[] = { "", "  prf = refuse" };

	for (size_t n = 0; n < n_tokens * WAYS; n++) {
		struct talk_want w = want(&tokens[n / WAYS], n % WAYS, policies[n & 1]);
		struct talk t;
		bool ok = talk_make(&w, &t) && by_default(&t, &w);

		report(ok, &tokens[n / WAYS], n % WAYS, &t);
		talk_drop(&t);
	}
}

/* ---- what is wrong with a call ---- */

static const struct {
	int key;
	ssize_t len;
} calls[] = {
	{ 2, 20 }, { -1, 20 }, { 2, 0 }, { 9, -1 }, { GSS_C_PRF_KEY_FULL, -1 },
	{ GSS_C_PRF_KEY_PARTIAL, -1 }, { GSS_C_PRF_KEY_FULL, INT64_MIN },
	{ GSS_C_PRF_KEY_FULL, INT64_MAX }, { GSS_C_PRF_KEY_PARTIAL, INT64_MAX },
};

static void bad_calls(void)
{
	gss_buffer_desc in = show_text("x"), x = in, y = in;
	OM_uint32 mi, ma, minor;
	struct talk t;

	for (size_t n = 0; n < WAYS; n++) {
		struct talk_want w = want(&tokens[0], n, ALLOW);
		bool ok = talk_make(&w, &t);

		for (size_t i = 0; ok && i < sizeof(calls) / sizeof(calls[0]); i++) {
			mi = gss_pseudo_random(&minor, t.i, calls[i].key, &in, calls[i].len, &x);
			ma = gss_pseudo_random(&minor, t.a, calls[i].key, &in, calls[i].len, &y);
			ok = mi == GSS_S_FAILURE && ma == mi && !x.length && !x.value && !y.value;
		}
		ok = ok && gss_pseudo_random(&minor, w.own_i ? t.i : t.a, 0, NULL, 20, &x)
			== GSS_S_CALL_INACCESSIBLE_READ;
		ok = ok && equal(&t, GSS_C_PRF_KEY_FULL, 5, 100);
		report(ok, &tokens[0], n, &t);
		talk_drop(&t);
	}
}

/* ---- a context that has travelled ---- */

/* Its PRF keys come along, or it says that it has none; never other octets. */
static void imported(void)
{
	struct talk_want w = { .flags = MUTUAL, .policy = ALLOW };
	gss_buffer_desc token;
	OM_uint32 minor;
	struct talk t;

	for (size_t n = 0; n < 2 * n_tokens; n++) {
		w.own_a = &tokens[n / 2];
		w.etype = n & 1 ? 20 : 18;
		w.permitted = n & 1 ? "aes256-sha2" : "aes256-cts";
		CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
		CU_ASSERT_EQUAL_FATAL(gss_export_sec_context(&minor, &t.a, &token), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL_FATAL(gss_import_sec_context(&minor, &token, &t.a), GSS_S_COMPLETE);
		gss_release_buffer(&ignored, &token);
		for (int key = GSS_C_PRF_KEY_FULL; key <= GSS_C_PRF_KEY_PARTIAL; key++)
			CU_ASSERT_TRUE(equal(&t, key, 5, 100) || refused(t.a, key));
		talk_drop(&t);
	}
}

/* Who imports has the last word: under its own policy RFC 8009's keys are of no use for this. */
static void stricter_importer(void)
{
	struct talk_want w = { .flags = MUTUAL, .policy = ALLOW };
	gss_buffer_desc token;
	OM_uint32 minor;
	struct talk t;

	for (size_t n = 0; n < 2 * n_tokens; n++) {
		w.own_a = &tokens[n / 2];
		w.etype = n & 1 ? 20 : 18;
		w.permitted = n & 1 ? "aes256-sha2" : "aes256-cts";
		CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
		CU_ASSERT_EQUAL_FATAL(gss_export_sec_context(&minor, &t.a, &token), GSS_S_COMPLETE);
		acc_environment(NULL);
		setenv("KRB5_KTNAME", w.own_a->uri, 1);
		CU_ASSERT_EQUAL_FATAL(gss_import_sec_context(&minor, &token, &t.a), GSS_S_COMPLETE);
		gss_release_buffer(&ignored, &token);
		for (int key = GSS_C_PRF_KEY_FULL; key <= GSS_C_PRF_KEY_PARTIAL; key++)
			CU_ASSERT_TRUE(n & 1 ? refused(t.a, key) : equal(&t, key, 5, 100));
		talk_drop(&t);
	}
}

/* ---- first use by many at once ---- */

struct racer {
	pthread_t thread;
	gss_ctx_id_t c;
	gss_buffer_desc out;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	prf(r->c, GSS_C_PRF_KEY_PARTIAL, 7, 200, &r->out);
	return NULL;
}

static void many_at_once(void)
{
	struct racer r[8];
	struct talk t;

	for (size_t n = 0; n < n_tokens; n++) {
		struct talk_want w = { .own_a = &tokens[n], .flags = MUTUAL };

		CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
		for (size_t i = 0; i < 8; i++) {
			r[i].c = t.a;
			CU_ASSERT_EQUAL_FATAL(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
		}
		for (size_t i = 0; i < 8; i++) {
			pthread_join(r[i].thread, NULL);
			CU_ASSERT_EQUAL(r[i].out.length, 200);
			CU_ASSERT_TRUE(r[0].out.length == r[i].out.length &&
				       !memcmp(r[0].out.value, r[i].out.value, 200));
		}
		for (size_t i = 0; i < 8; i++)
			gss_release_buffer(&ignored, &r[i].out);
		CU_ASSERT_TRUE(equal(&t, GSS_C_PRF_KEY_PARTIAL, 7, 200));
		talk_drop(&t);
	}
}

static int setup(void)
{
	tokens = box_tokens(&n_tokens);
	return n_tokens ? 0 : 1;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "refused by policy", by_policy }, { "bad calls", bad_calls },
		{ "the stock mechanism's octets", as_stock }, { "many at once", many_at_once },
		{ "an imported context", imported },
		{ "an importer that refuses", stricter_importer },
		CU_TEST_INFO_NULL,
	};

	return box_suite("pseudo-random octets", setup, NULL, tests);
}
