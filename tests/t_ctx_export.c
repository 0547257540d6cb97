/*
 * Exported contexts with keys on a token, through the mechanism layer and
 * beside the stock mechanism's: messages go on, numbers and windows too, in
 * this process and in others.
 */
#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mech/ctx.h"
#include "tests/lib/carry.h"
#include "tests/lib/show.h"

#define ALL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | \
	     GSS_C_INTEG_FLAG)

static const struct box_token *tokens;
static size_t n_tokens;
static OM_uint32 minor, ignored;

/* ---- what a context is like, line by line ---- */

static FILE *script;

static void line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(script, fmt, ap);
	va_end(ap);
	fputc('\n', script);
}

static void receive(gss_ctx_id_t ctx, const unsigned *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		line("in.%u: %x", order[i], (unsigned)carry_receive(ctx, order[i]));
}

static void tell_name(const char *what, gss_name_t name)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_OID type = GSS_C_NO_OID;

	gss_display_name(&minor, name, &text, &type);
	line("%s: %.*s %s", what, (int)text.length, (char *)text.value, show_oid(type));
	gss_release_buffer(&ignored, &text);
	gss_release_name(&ignored, &name);
}

static void tell_prf(gss_ctx_id_t ctx, int key)
{
	gss_buffer_desc in = show_text("abc"), out = GSS_C_EMPTY_BUFFER;
	OM_uint32 major = gss_pseudo_random(&minor, ctx, key, &in, 20, &out);

	/* the octets are compared with the peer's, not here: two contexts have two keys */
	line("prf %d: %x %zu", key, (unsigned)major, out.length);
	gss_release_buffer(&ignored, &out);
}

static void tell(gss_ctx_id_t ctx)
{
	gss_name_t i = GSS_C_NO_NAME, a = GSS_C_NO_NAME;
	OM_uint32 life, flags, major, ssf = 0;
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	krb5_timestamp authtime = 0;
	krb5_flags tkt = 0;
	int local, open;
	gss_OID mech;

	major = gss_inquire_context(&minor, ctx, &i, &a, &life, &mech, &flags, &local, &open);
	line("inquire: %x flags %x local %d open %d %s alive %d", (unsigned)major, (unsigned)flags,
	     local, open, show_oid(mech), life > 35000 && life < 37000);
	tell_name("initiator", i);
	tell_name("acceptor", a);
	line("time: %x", (unsigned)gss_context_time(&minor, ctx, &life));
	line("ticket: %x %x", (unsigned)gss_krb5_get_tkt_flags(&minor, ctx, &tkt), (unsigned)tkt);
	major = gsskrb5_extract_authtime_from_sec_context(&minor, ctx, &authtime);
	line("authtime: %x %d", (unsigned)major, authtime != 0);
	major = gss_inquire_sec_context_by_oid(&minor, ctx, GSS_C_SEC_CONTEXT_SASL_SSF, &set);
	if (set && set->count == 1 && set->elements[0].length == 4)
		ssf = ((uint8_t *)set->elements[0].value)[3];
	line("ssf: %x %u", (unsigned)major, (unsigned)ssf);
	gss_release_buffer_set(&ignored, &set);
	gss_wrap_size_limit(&minor, ctx, 1, 0, 1000, &ssf);
	line("limit: %u", (unsigned)ssf);
	tell_prf(ctx, GSS_C_PRF_KEY_FULL);
	tell_prf(ctx, GSS_C_PRF_KEY_PARTIAL);
}

/* ---- before, elsewhere, after ---- */

static void before(gss_ctx_id_t *ctx)
{
	static const unsigned order[] = { 0, 2, 1, 2 };

	receive(*ctx, order, 4);
	line("sent: %x %x", (unsigned)carry_send(*ctx, 0), (unsigned)carry_send(*ctx, 1));
	tell(*ctx);
	line("exported: %x %d", (unsigned)carry_out(ctx, "context", &minor), *ctx == NULL);
}

static void elsewhere(void)
{
	static const unsigned order[] = { 2, 1, 3, 5, 4, 0, 9 };
	gss_ctx_id_t ctx;

	line("imported: %x", (unsigned)carry_in(&ctx, "context", &minor));
	receive(ctx, order, 7);
	line("sent: %x %x", (unsigned)carry_send(ctx, 2), (unsigned)carry_send(ctx, 3));
	tell(ctx);
	line("exported: %x %d", (unsigned)carry_out(&ctx, "context", &minor), ctx == NULL);
}

static void after(gss_ctx_id_t *ctx)
{
	static const unsigned order[] = { 9, 6, 7, 5, 79, 10, 80 };

	line("imported: %x", (unsigned)carry_in(ctx, "context", &minor));
	receive(*ctx, order, 7);
	line("sent: %x", (unsigned)carry_send(*ctx, 4));
	tell(*ctx);
}

static int other_process(const char *mode, const char *file)
{
	char *path = NULL;

	if (strcmp(mode, "elsewhere") != 0 || asprintf(&path, "%s/%s", getenv("CARRY_DIR"), file) < 0)
		return 97;
	script = fopen(path, "ae");
	elsewhere();
	fclose(script);
	free(path);
	return 0;
}

static bool same_prf(const struct talk *t, int key)
{
	gss_buffer_desc in = show_text("abc"), x = GSS_C_EMPTY_BUFFER, y = GSS_C_EMPTY_BUFFER;
	OM_uint32 mx = gss_pseudo_random(&minor, t->i, key, &in, 20, &x);
	OM_uint32 my = gss_pseudo_random(&minor, t->a, key, &in, 20, &y);
	bool ok = mx == my && x.length == y.length &&
		  (!x.length || memcmp(x.value, y.value, x.length) == 0);

	gss_release_buffer(&ignored, &x);
	gss_release_buffer(&ignored, &y);
	return ok;
}

/* The whole of it for one side; what was seen, malloc'ed. */
static char *play(const struct talk_want *w, bool initiator, bool process)
{
	static const unsigned replies[] = { 0, 2, 1, 3, 4 };
	gss_ctx_id_t *ctx, *peer;
	char *path = box_path("script");
	gss_buffer_desc text;
	struct talk t;
	size_t i;

	CU_ASSERT_TRUE_FATAL(talk_make(w, &t));
	ctx = initiator ? &t.i : &t.a;
	peer = initiator ? &t.a : &t.i;
	carry_messages(*peer, 81);
	script = fopen(path, "we");
	before(ctx);
	if (process) {
		fclose(script);
		CU_ASSERT_EQUAL(carry_run("elsewhere", "script", NULL, NULL), 0);
		script = fopen(path, "ae");
	} else {
		elsewhere();
	}
	after(ctx);
	for (i = 0; i < 5; i++)
		line("out.%u: %x", replies[i], (unsigned)carry_reply(*peer, replies[i]));
	line("same prf: %d %d", same_prf(&t, GSS_C_PRF_KEY_FULL),
	     same_prf(&t, GSS_C_PRF_KEY_PARTIAL));
	fclose(script);
	talk_drop(&t);
	text = carry_read("script");
	((char *)text.value)[text.length] = '\0';
	free(path);
	return text.value;
}

struct kind {
	krb5_enctype etype;
	const char *permitted;
	OM_uint32 flags;
};

/* The first of permitted is the acceptor's subkey's. */
static const struct kind kinds[] = {
	{ 17, "aes256-sha1 aes128-sha1", ALL },
	{ 18, "aes256-sha1", GSS_C_REPLAY_FLAG | GSS_C_CONF_FLAG },
	{ 19, "aes128-sha2", ALL & ~(OM_uint32)GSS_C_REPLAY_FLAG },
	{ 20, "aes256-sha2", ALL | GSS_C_DCE_STYLE },
};

static struct talk_want want(const struct kind *k, const struct box_token *t, bool initiator)
{
	return (struct talk_want){
		.own_i = initiator ? t : NULL, .own_a = initiator ? NULL : t, .etype = k->etype,
		.permitted = k->permitted, .flags = k->flags, .policy = "  prf = allow",
	};
}

static void compare(const struct kind *k, const struct box_token *t, bool initiator, bool process)
{
	struct talk_want own = want(k, t, initiator), stock = want(k, NULL, initiator);
	char *a, *b;

	a = play(&stock, initiator, false);
	/* a process on its own finds the token by its settings */
	setenv("KRB5_KTNAME", t->uri, 1);
	b = play(&own, initiator, process);
	unsetenv("KRB5_KTNAME");
	CU_ASSERT_STRING_EQUAL(a, b);
	if (strcmp(a, b) != 0)
		printf("\n%s, etype %d, %s, %s process:\n---- stock\n%s---- own\n%s", t->name,
		       (int)k->etype, initiator ? "initiator" : "acceptor",
		       process ? "another" : "this", a, b);
	CU_ASSERT_TRUE(strlen(a) > 800);
	CU_ASSERT_EQUAL(carry_objects(t), 0);
	CU_ASSERT_EQUAL(carry_claims(t), 0);
	free(a);
	free(b);
}

static void test_round_trips(void)
{
	for (size_t t = 0; t < n_tokens; t++) {
		for (size_t k = 0; k < 4; k++)
			compare(&kinds[k], &tokens[t], k % 2, k / 2 == t);
		compare(&kinds[0], &tokens[t], true, true);
	}
}

/* ---- what is not exported ---- */

static bool holds(struct talk *t)
{
	carry_messages(t->i, 1);
	return !GSS_ERROR(carry_receive(t->a, 0));
}

/* Refused, and the context as it was.  The layer (1.20) loses the minor status on its way out. */
static void refused(gss_ctx_id_t *ctx)
{
	gss_buffer_desc token = { 7, &token };

	CU_ASSERT_EQUAL(gss_export_sec_context(&minor, ctx, &token), GSS_S_UNAVAILABLE);
	CU_ASSERT_TRUE(*ctx != GSS_C_NO_CONTEXT && !token.length && !token.value);
}

/* Between the legs of DCE style both sides wait for the other. */
static void test_not_established(void)
{
	gss_buffer_desc one = GSS_C_EMPTY_BUFFER, two = one, three = one, none = one;
	const struct talk_want w = { .own_i = tokens, .own_a = tokens,
				     .flags = ALL | GSS_C_DCE_STYLE };
	struct talk t;

	talk_ready(&w, &t);
	CU_ASSERT_EQUAL(talk_init(&w, &t, &none, &one), GSS_S_CONTINUE_NEEDED);
	refused(&t.i);
	CU_ASSERT_EQUAL(talk_accept(&w, &t, &one, &two), GSS_S_CONTINUE_NEEDED);
	refused(&t.a);
	CU_ASSERT_EQUAL(talk_init(&w, &t, &two, &three), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(talk_accept(&w, &t, &three, &none), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(holds(&t));
	CU_ASSERT_EQUAL(carry_objects(tokens), 0);
	gss_release_buffer(&ignored, &one);
	gss_release_buffer(&ignored, &two);
	gss_release_buffer(&ignored, &three);
	talk_drop(&t);
}

/* What the layer would give, with the texts that it loses. */
struct layer {
	void *self;
	gss_OID oid;
	gss_ctx_id_t handle;
};

static void refused_by_hand(struct layer *l, OM_uint32 want_major, const char *text)
{
	struct mech_ctx *c = (struct mech_ctx *)l->handle;
	gss_buffer_desc token = { 7, &token };
	char oid[64];

	memcpy(oid, l->oid->elements, l->oid->length);
	CU_ASSERT_EQUAL(mech_ctx_export(&minor, &l->handle, &token), want_major);
	CU_ASSERT_TRUE(l->handle == (gss_ctx_id_t)c && !token.length && !token.value);
	CU_ASSERT_EQUAL(memcmp(oid, l->oid->elements, l->oid->length), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(err_text((err_t)minor));
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text((err_t)minor), text));
}

/* A layer that keeps contexts in another way: nothing is touched. */
static void test_unknown_layer(void)
{
	struct tok *t = carry_token(tokens);
	const uint8_t octets[32] = "an ordinary session key is here";
	static const struct ks_use use = { 22, KS_CHECKSUM };
	struct layer l = { .oid = mech_oid_stock(NULL) };
	struct mech_ctx *c = NULL;

	CU_ASSERT_EQUAL_FATAL(mech_ctx_new(false, &c), 0);
	l.self = &l;
	l.handle = (gss_ctx_id_t)c;
	refused_by_hand(&l, GSS_S_UNAVAILABLE, "once it is established");
	c->state = MECH_WAIT_DCE;
	refused_by_hand(&l, GSS_S_UNAVAILABLE, "once it is established");
	c->state = MECH_DELETED;
	refused_by_hand(&l, GSS_S_NO_CONTEXT, "no more");
	c->state = MECH_ESTABLISHED;
	CU_ASSERT_EQUAL_FATAL(ks_key_from_bytes(t, 18, octets, 32, &c->initiator_key), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(c->initiator_key, &use, 1), 0);
	refused_by_hand(&l, GSS_S_FAILURE, "not settled");
	ks_key_forget(c->initiator_key);
	l.self = &t;
	refused_by_hand(&l, GSS_S_UNAVAILABLE, "mechanism layer");
	l.self = &l;
	l.oid = mech_oid_public(0);
	refused_by_hand(&l, GSS_S_UNAVAILABLE, "mechanism layer");
	CU_ASSERT_EQUAL(carry_objects(tokens), 0);
	mech_ctx_free(&c);
}

/* ---- tokens that fail ---- */

static char rules[64];

static void rule(const char *call, unsigned skip, int n, const char *rv)
{
	snprintf(rules, sizeof(rules), "fail %s %u %d %s", call, skip, n, rv);
	box_shim_rules(rules);
}

/* One export with this rule: done, or refused with the context good and nothing on the token. */
static bool fails(struct talk *t, const char *call, unsigned skip, int n, const char *rv)
{
	OM_uint32 major;

	rule(call, skip, n, rv);
	major = carry_out(&t->a, "context", &minor);
	box_shim_rules("");
	if (!GSS_ERROR(major)) {
		CU_ASSERT_EQUAL(carry_in(&t->a, "context", &minor), GSS_S_COMPLETE);
	}
	CU_ASSERT_PTR_NOT_NULL(t->a);
	CU_ASSERT_EQUAL(carry_objects(tokens), 0);
	CU_ASSERT_TRUE(holds(t));
	if (carry_objects(tokens) || !t->a)
		printf("\n%s\n", rules);
	return GSS_ERROR(major);
}

static void test_failing_token(void)
{
	struct box_token shimmed = tokens[0];
	const struct talk_want w = { .own_a = &shimmed, .flags = ALL };
	char *uri = box_shim_uri(&tokens[0]);
	struct talk t;
	unsigned i, n = 0;

	shimmed.uri = uri;
	box_shim_rules("");
	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	CU_ASSERT_TRUE(fails(&t, "C_CopyObject", 0, -1, "54"));
	CU_ASSERT_TRUE(fails(&t, "C_OpenSession", 0, -1, "e2"));
	CU_ASSERT_TRUE(fails(&t, "C_Sign", 0, -1, "31"));
	CU_ASSERT_TRUE(fails(&t, "C_SignInit", 0, -1, "31"));
	/* it ends with success: imported, the context is on the token without the shim */
	for (i = 0; fails(&t, "C_CopyObject", i, 1, "31"); i++)
		n++;
	CU_ASSERT_TRUE(n > 20);                  /* there and back, a dozen keys */
	talk_drop(&t);
	free(uri);
}

/* ---- stock contexts, in the same process ---- */

static void test_stock(void)
{
	const struct talk_want w = { .flags = ALL };
	struct talk t;

	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	CU_ASSERT_EQUAL(carry_out(&t.a, "context", &minor), GSS_S_COMPLETE);
	carry_messages(t.i, 1);
	CU_ASSERT_EQUAL(carry_run("take", "context", NULL, NULL), 0);
	CU_ASSERT_EQUAL(carry_in(&t.a, "context", &minor), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(holds(&t));
	talk_drop(&t);
}

int main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		{ "stock contexts", test_stock },
		{ "not established", test_not_established },
		{ "a layer that is not known", test_unknown_layer },
		{ "messages go on", test_round_trips },
		{ "tokens that fail", test_failing_token },
		CU_TEST_INFO_NULL
	};
	int status;

	carry_mode = other_process;
	status = carry_main(argc, argv);
	if (status >= 0)
		return status;
	box_shim_control();
	tokens = box_tokens(&n_tokens);
	return box_suite("exported contexts", NULL, NULL, tests);
}
