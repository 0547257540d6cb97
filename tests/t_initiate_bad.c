/*
 * Initiators with session keys on a token, and what they must not put up with:
 * answers that are altered, old or for another request, errors, tickets and
 * caches of no use, policies.  The stock mechanism is asked as well, where it
 * has an opinion.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mech/codes.h"
#include "mech/exchange.h"
#include "mech/frame.h"
#include "mech/message.h"
#include "tests/lib/initiating.h"
#include "tests/lib/show.h"

static struct forge_key key;
static gss_cred_id_t acceptor;
static const struct ini_ask usual = { .flags = ACC_MUTUAL };
static const struct ini_ask dce = { .flags = ACC_MUTUAL | GSS_C_DCE_STYLE };

static void set(const char *box, krb5_enctype session, const struct forge_ticket *more)
{
	struct forge_ticket t = { 0 };

	if (more)
		t = *more;
	t.session_etype = session;
	ini_set(box_token(box), NULL, &t, &key);
}

static bool says(const char *what, OM_uint32 minor)
{
	const char *text = err_text((err_t)minor);

	if (text && strstr(text, what))
		return true;
	printf("\n  \"%s\" is not in \"%s\"\n", what, text ? text : "");
	return false;
}

/* A first call, answered; own and answer are to be given back. */
static void half(const struct ini_ask *ask, struct ini_side *own, struct acc_answer *a)
{
	*own = (struct ini_side){ .own = true };
	ini_call(own, ask, NULL);
	CU_ASSERT_EQUAL_FATAL(own->major, GSS_S_CONTINUE_NEEDED);
	CU_ASSERT_EQUAL(own->ctx->state, MECH_WAIT_REP);
	acc_stock(acceptor, &own->out, NULL, a);
	CU_ASSERT_FATAL(!GSS_ERROR(a->major) && a->out.length);
}

/* The context is gone, nothing is to be sent, and the reason is this one (0: any). */
static void expect_gone(struct ini_side *own, OM_uint32 major, err_t minor)
{
	CU_ASSERT_EQUAL(own->major, major);
	CU_ASSERT(own->minor != 0);
	if (minor)
		CU_ASSERT_EQUAL((err_t)own->minor, minor);
	if (minor && (err_t)own->minor != minor)
		printf("\n  %d: %s\n", (int)own->minor, err_text((err_t)own->minor));
	CU_ASSERT_PTR_NULL(own->ctx);
	CU_ASSERT_EQUAL(own->out.length, 0);
	CU_ASSERT(own->flags == 0 && own->time_rec == 0);
	ini_fini(own);
}

/* ---- altered answers ---- */

/* Whatever octet is another one, there is no context; DEFECTIVE_TOKEN leaves it waiting. */
static unsigned altered(const struct ini_ask *ask, uint8_t with)
{
	struct ini_side own;
	struct acc_answer a;
	unsigned waiting = 0;
	size_t i;

	for (i = 0; i < 1000; i++) {
		half(ask, &own, &a);
		/* not all are of the same length: the sequence number is random */
		if (i >= a.out.length)
			break;
		((uint8_t *)a.out.value)[i] ^= with;
		ini_call(&own, ask, &a.out);
		if (own.major == GSS_S_DEFECTIVE_TOKEN && own.ctx) {
			waiting++;
			CU_ASSERT_EQUAL(own.ctx->state, MECH_WAIT_REP);
			((uint8_t *)a.out.value)[i] ^= with;
			CU_ASSERT_EQUAL(ini_call(&own, ask, &a.out), GSS_S_COMPLETE);
			ini_fini(&own);
		} else {
			if (!GSS_ERROR(own.major))
				printf("\n  octet %zu with %#x is not missed\n", i, with);
			expect_gone(&own, GSS_S_FAILURE, 0);
		}
		acc_answer_fini(&a);
	}
	CU_ASSERT(i > 100);
	ini_fini(&own);
	acc_answer_fini(&a);
	return waiting;
}

static void test_altered(void)
{
	krb5_enctype e;

	for (e = 17; e <= 20; e++) {
		set(e & 1 ? "softhsm" : "nss", e, NULL);
		CU_ASSERT(altered(&usual, 0x01) >= 13);
		CU_ASSERT(altered(&usual, 0x80) >= 13);
		CU_ASSERT_EQUAL(altered(&dce, 0x20), 0);
	}
}

static void cut(const struct ini_ask *ask)
{
	struct ini_side own;
	struct acc_answer a;
	gss_buffer_desc part;
	size_t n;

	for (n = 0; n < 1000; n++) {
		half(ask, &own, &a);
		if (n >= a.out.length)
			break;
		part = (gss_buffer_desc){ n, a.out.value };
		ini_call(&own, ask, &part);
		CU_ASSERT(GSS_ERROR(own.major) && own.minor);
		CU_ASSERT(!own.ctx || own.major == GSS_S_DEFECTIVE_TOKEN);
		ini_fini(&own);
		acc_answer_fini(&a);
	}
	CU_ASSERT(n > 100);
	ini_fini(&own);
	acc_answer_fini(&a);
}

static void test_cut(void)
{
	set("softhsm", 18, NULL);
	cut(&usual);
	cut(&dce);
}

/* ---- other people's answers ---- */

static void test_replayed(void)
{
	struct ini_side one, two;
	struct acc_answer a, b;

	set("softhsm", 18, NULL);
	half(&usual, &one, &a);
	half(&usual, &two, &b);
	CU_ASSERT(one.ctx->ctime != two.ctx->ctime || one.ctx->cusec != two.ctx->cusec);
	ini_call(&two, &usual, &a.out);
	expect_gone(&two, GSS_S_FAILURE, KRB5_MUTUAL_FAILED);
	ini_call(&one, &usual, &a.out);
	CU_ASSERT_EQUAL(one.major, GSS_S_COMPLETE);
	ini_fini(&one);
	acc_answer_fini(&a);
	acc_answer_fini(&b);
}

/* With another ticket's session key. */
static void test_other_key(void)
{
	struct ini_side own;
	struct acc_answer a;

	set("softhsm", 18, NULL);
	half(&usual, &own, &a);
	gss_release_buffer(&own.minor, &a.out);
	a.out = ini_forge_rep(own.ctx, &(struct ini_rep){ .seq = 1, .subkey = 18 });
	((uint8_t *)ini.creds.keyblock.contents)[0] ^= 1;
	gss_release_buffer(&own.minor, &a.out);
	a.out = ini_forge_rep(own.ctx, &(struct ini_rep){ .seq = 1, .subkey = 18 });
	ini_call(&own, &usual, &a.out);
	expect_gone(&own, GSS_S_FAILURE, KRB5KRB_AP_ERR_BAD_INTEGRITY);
	acc_answer_fini(&a);
}

/* By hand, with the right key; 0: a context comes about. */
static void forged(const struct ini_rep *r, err_t want)
{
	struct ini_side own = { .own = true };
	gss_buffer_desc rep;

	ini_call(&own, &usual, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(own.ctx);
	rep = ini_forge_rep(own.ctx, r);
	ini_call(&own, &usual, &rep);
	if (want) {
		expect_gone(&own, GSS_S_FAILURE, want);
	} else {
		CU_ASSERT_EQUAL(own.major, GSS_S_COMPLETE);
		if (own.ctx) {
			CU_ASSERT_EQUAL(own.ctx->recv.base, r->seq);
			CU_ASSERT_EQUAL(own.ctx->acceptor_key != NULL, r->subkey != 0);
		}
		ini_fini(&own);
	}
	free(rep.value);
}

static void test_forged(void)
{
	static const struct ini_rep good[] = {
		{ .seq = 7, .subkey = 18 }, { .seq = 0, .subkey = 17 }, { .seq = 0x3fffffff },
		{ .seq = 5, .subkey = 20 }, { .seq = 5, .subkey = 19, .extra = 0 },
		{ .seq = 0xffffffff, .subkey = 18 },
	};
	size_t i;

	set("nss", 18, NULL);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		forged(&good[i], 0);
	forged(&(struct ini_rep){ .ctime_off = 1, .subkey = 18 }, KRB5_MUTUAL_FAILED);
	forged(&(struct ini_rep){ .ctime_off = -1, .subkey = 18 }, KRB5_MUTUAL_FAILED);
	forged(&(struct ini_rep){ .cusec_off = 1, .subkey = 18 }, KRB5_MUTUAL_FAILED);
	forged(&(struct ini_rep){ .subkey = ENCTYPE_ARCFOUR_HMAC }, KRB5_NOPERM_ETYPE);
	forged(&(struct ini_rep){ .subkey = ENCTYPE_CAMELLIA256_CTS_CMAC }, KRB5_NOPERM_ETYPE);
	forged(&(struct ini_rep){ .subkey = 18, .outer_etype = 17 }, KRB5_BAD_ENCTYPE);
	forged(&(struct ini_rep){ .subkey = 18, .outer_etype = 20 }, KRB5_BAD_ENCTYPE);
	/* a peer does not choose what policy refuses */
	set("nss", 20, NULL);
	ini.i->conf.fips = KS_FIPS_STRICT_MECHANISMS;
	forged(&(struct ini_rep){ .seq = 7, .subkey = 19 }, 0);
	forged(&(struct ini_rep){ .seq = 7 }, 0);
	forged(&(struct ini_rep){ .seq = 7, .subkey = 18 }, ERR_POLICY);
	forged(&(struct ini_rep){ .seq = 7, .subkey = 17 }, ERR_POLICY);
	ini.i->conf.fips = KS_FIPS_OFF;
}

/* Where no subkey was sent (subkey = optional) the acceptor's is all that protects messages. */
static void test_no_subkey(void)
{
	static uint8_t mic[] = { 4, 4, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7,
				 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	gss_buffer_desc token = { sizeof(mic), mic }, msg = { 4, mic }, rep;
	struct ini_side own = { .own = true };
	OM_uint32 minor;

	set("nss", 18, NULL);
	ini_call(&own, &usual, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(own.ctx);
	ks_key_unref(&own.ctx->initiator_key);
	rep = ini_forge_rep(own.ctx, &(struct ini_rep){ .seq = 7 });
	ini_call(&own, &usual, &rep);
	CU_ASSERT(says("neither side made a subkey", own.minor));
	expect_gone(&own, GSS_S_FAILURE, ERR_POLICY);
	free(rep.value);

	ini_call(&own, &usual, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(own.ctx);
	ks_key_unref(&own.ctx->initiator_key);
	rep = ini_forge_rep(own.ctx, &(struct ini_rep){ .seq = 7, .subkey = 18 });
	CU_ASSERT_EQUAL(ini_call(&own, &usual, &rep), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(own.ctx);
	/* a message that says to be under the initiator's subkey */
	CU_ASSERT_EQUAL(mech_verify_mic(&minor, own.ctx, &msg, &token, NULL), GSS_S_BAD_SIG);
	CU_ASSERT(says("no other", minor));
	CU_ASSERT(GSS_ERROR(mech_ctx_prf(&minor, own.ctx, GSS_C_PRF_KEY_PARTIAL, &msg, 8, &token)));
	ini_fini(&own);
	free(rep.value);
}

/* ---- what is no answer ---- */

static void test_tokens(void)
{
	struct ini_side own;
	struct acc_answer a;
	gss_buffer_desc t;
	struct mech_frame f;
	size_t i;

	set("softhsm", 18, NULL);
	half(&usual, &own, &a);
	CU_ASSERT_EQUAL(mech_frame_read(&a.out, &f), 0);
	for (i = 0; i < 6; i++) {
		static const unsigned ids[] = { 0x0100, 0x0404, 0x0504, 0, 0x0200, 0x0200 };

		/* the right one, but of another mechanism; and without a frame */
		t = ini_frame(i == 4 ? mech_oid_public(1) : NULL, ids[i], f.body.p, f.body.len);
		if (i == 5) {
			memcpy(t.value, f.body.p, f.body.len);
			t.length = f.body.len;
		}
		ini_call(&own, &usual, &t);
		CU_ASSERT_EQUAL(own.major, GSS_S_DEFECTIVE_TOKEN);
		CU_ASSERT_PTR_NOT_NULL_FATAL(own.ctx);
		free(t.value);
	}
	CU_ASSERT_EQUAL(ini_call(&own, &usual, &a.out), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(own.ctx->state, MECH_ESTABLISHED);
	ini_fini(&own);
	acc_answer_fini(&a);
	half(&usual, &own, &a);
	ini_call(&own, &usual, NULL);
	expect_gone(&own, GSS_S_DEFECTIVE_TOKEN, 0);
	acc_answer_fini(&a);
	own = (struct ini_side){ .own = true };
	t = show_text("a token");
	ini_call(&own, &usual, &t);
	expect_gone(&own, GSS_S_DEFECTIVE_TOKEN, G_BAD_TOK_HEADER);
}

static gss_buffer_desc error_token(krb5_ui_4 code)
{
	krb5_error e = { .error = code, .stime = 1700000000, .server = ini.creds.server };
	gss_buffer_desc out;
	krb5_data msg;

	CU_ASSERT_EQUAL_FATAL(krb5_mk_error(acc_krb5(), &e, &msg), 0);
	out = ini_frame(NULL, FRAME_ERROR, msg.data, msg.length);
	krb5_free_data_contents(acc_krb5(), &msg);
	return out;
}

/* Both initiators hear the same. */
static void refused(krb5_ui_4 code, const struct ini_ask *ask, err_t want)
{
	struct ini_side own = { .own = true }, stock = { 0 };
	gss_buffer_desc t = error_token(code);

	ini_call(&own, ask, NULL);
	ini_call(&stock, ask, NULL);
	ini_call(&own, ask, &t);
	ini_call(&stock, ask, &t);
	CU_ASSERT_EQUAL(own.major, stock.major);
	if (code && code < 128)
		CU_ASSERT_EQUAL(own.minor, stock.minor);
	expect_gone(&own, GSS_S_FAILURE, want);
	ini_fini(&stock);
	free(t.value);
}

static void test_errors(void)
{
	struct ini_side own = { .own = true };
	gss_buffer_desc t;
	krb5_ui_4 code;

	set("softhsm", 18, NULL);
	for (code = 1; code < 128; code += 3)
		refused(code, &usual, (err_t)(ERROR_TABLE_BASE_krb5 + (int32_t)code));
	refused(0, &usual, KRB5KRB_ERR_GENERIC);
	refused(128, &usual, KRB5KRB_ERR_GENERIC);
	refused(0x7fffffff, &usual, KRB5KRB_ERR_GENERIC);
	/* the DCE style has no frames, and the stock mechanism knows no better, either */
	refused(37, &dce, KRB5KRB_AP_ERR_MSG_TYPE);
	ini_call(&own, &usual, NULL);
	t = ini_frame(NULL, FRAME_ERROR, "nonsense", 8);
	ini_call(&own, &usual, &t);
	expect_gone(&own, GSS_S_FAILURE, 0);
	free(t.value);
	ini_call(&own, &usual, NULL);
	t = error_token(37);
	ini_call(&own, &usual, &t);
	CU_ASSERT(says("the acceptor refuses the context: Clock skew too great", own.minor));
	ini_fini(&own);
	free(t.value);
}

/* ---- another target ---- */

static void test_target(void)
{
	struct ini_ask other = usual;
	struct ini_side own;
	struct acc_answer a;

	set("softhsm", 18, NULL);
	other.target = ACC_OTHER;
	half(&usual, &own, &a);
	ini_call(&own, &other, &a.out);
	expect_gone(&own, GSS_S_BAD_NAME, 0);
	acc_answer_fini(&a);
}

/* ---- tickets ---- */

/* The first call of both fails in the same way; gives this module's minor status. */
static OM_uint32 fails(const struct ini_ask *ask, OM_uint32 major, bool same)
{
	struct ini_side own = { .own = true }, stock = { 0 };
	OM_uint32 minor;

	ini_call(&own, ask, NULL);
	ini_call(&stock, ask, NULL);
	minor = own.minor;
	if (same) {
		CU_ASSERT_EQUAL(own.major, stock.major);
		CU_ASSERT_EQUAL(own.minor, stock.minor);
	}
	expect_gone(&own, major, 0);
	ini_fini(&stock);
	return minor;
}

static void test_tickets(void)
{
	const krb5_timestamp now = (krb5_timestamp)time(NULL);
	struct forge_ticket old = { .authtime = now - 7200, .endtime = now - 3600 };
	struct forge_ticket young = { .authtime = now - 60, .starttime = now + 3600,
				      .endtime = now + 7200 };
	struct ini_ask ask = usual;

	set("softhsm", 18, &old);
	(void)fails(&usual, GSS_S_FAILURE, true);
	set("softhsm", 18, &young);
	CU_ASSERT_EQUAL((err_t)fails(&usual, GSS_S_FAILURE, true), KRB5KRB_AP_ERR_TKT_NYV);
	set("softhsm", 18, NULL);
	ask.target = ACC_OTHER;
	(void)fails(&ask, GSS_S_FAILURE, true);
	ask = usual;
	/* no ticket that long, and no KDC to get one from */
	ask.time_req = 864000;
	(void)fails(&ask, GSS_S_FAILURE, true);
	unlink(ini.cc);
	ask = usual;
	CU_ASSERT(fails(&ask, GSS_S_FAILURE, false) != 0);
}

/* ---- keys ---- */

static void store_again(krb5_creds *c)
{
	char name[4200];
	krb5_ccache cc;

	snprintf(name, sizeof(name), "FILE:%s", ini.cc);
	CU_ASSERT_EQUAL_FATAL(krb5_cc_resolve(acc_krb5(), name, &cc), 0);
	CU_ASSERT_EQUAL(krb5_cc_initialize(acc_krb5(), cc, c->client), 0);
	CU_ASSERT_EQUAL(krb5_cc_store_cred(acc_krb5(), cc, c), 0);
	krb5_cc_close(acc_krb5(), cc);
}

/* A key that is in the cache itself, or of a ticket whose key went, or of nobody. */
static void test_keys(void)
{
	krb5_creds *c;
	uint8_t *p;

	set("softhsm", 18, NULL);
	store_again(&ini.creds);
	CU_ASSERT_EQUAL((err_t)fails(&usual, GSS_S_NO_CRED, false), ERR_KEY_ABSENT);
	CU_ASSERT(says("initiating to " ACC_SERVICE, (OM_uint32)ERR_KEY_ABSENT));
	CU_ASSERT_EQUAL_FATAL(krb5_copy_creds(acc_krb5(), &ini.creds, &c), 0);
	c->keyblock.contents[3] ^= 0x10;
	store_again(c);
	CU_ASSERT_EQUAL((err_t)fails(&usual, GSS_S_NO_CRED, false), ERR_KEY_ABSENT);
	c->keyblock.length = 5;
	store_again(c);
	CU_ASSERT_EQUAL((err_t)fails(&usual, GSS_S_NO_CRED, false), ERR_KEY_ABSENT);
	c->keyblock.length = 32;
	/* a ticket that is none */
	p = (uint8_t *)c->ticket.data;
	p[1] ^= 1;
	store_again(c);
	(void)fails(&usual, GSS_S_FAILURE, false);
	krb5_free_creds(acc_krb5(), c);
}

/* Destroyed on the token after the first call: the context that waits goes on. */
static void test_destroyed(void)
{
	struct ks_surrogate s = { .etype = 18, .len = 32 };
	struct mech_exchange *x;
	struct ini_side own;
	struct acc_answer a;
	krb5_creds *c;

	set("nss", 18, NULL);
	CU_ASSERT_EQUAL_FATAL(krb5_copy_creds(acc_krb5(), &ini.creds, &c), 0);
	CU_ASSERT_EQUAL_FATAL(mech_exchange_open(acc_krb5(), ini.tok, false, &x), 0);
	CU_ASSERT_EQUAL(mech_exchange_move(x, c), 0);
	mech_exchange_keep(x, c);
	mech_exchange_close(&x);
	store_again(c);
	memcpy(s.octets, c->keyblock.contents, 32);
	half(&usual, &own, &a);
	CU_ASSERT_EQUAL(ks_vault_destroy(ini.tok, &s), 0);
	ini_call(&own, &usual, &a.out);
	CU_ASSERT_EQUAL(own.major, GSS_S_COMPLETE);
	ini_fini(&own);
	acc_answer_fini(&a);
	krb5_free_creds(acc_krb5(), c);
}

/* ---- policy ---- */

static void test_policy(void)
{
	struct ini_ask ask = usual;
	OM_uint32 minor;

	/* a ticket's key that came to the token through memory */
	set("nss", 18, NULL);
	ini.i->conf.exposure = KS_CONF_ON_TOKEN;
	minor = fails(&usual, GSS_S_FAILURE, false);
	CU_ASSERT_EQUAL((err_t)minor, ERR_POLICY);
	CU_ASSERT(says("exposure = on-token", minor) && says("earlier policy", minor));
	/* a token that could not keep it */
	set("softhsm", 18, NULL);
	ini.i->conf.exposure = KS_CONF_ON_TOKEN;
	minor = fails(&usual, GSS_S_FAILURE, false);
	CU_ASSERT_EQUAL((err_t)minor, ERR_POLICY);
	CU_ASSERT(says("exposure = on-token", minor) && says("CKM_EXTRACT_KEY_FROM_KEY", minor));
	/* nothing was asked of a KDC, which is not there */
	ask.target = ACC_OTHER;
	CU_ASSERT_EQUAL((err_t)fails(&ask, GSS_S_FAILURE, false), ERR_POLICY);
}

/* ---- the suite ---- */

static int setup(void)
{
	acc_new_key(box_token("softhsm"), ACC_SERVICE, 18, 3, &key);
	acceptor = acc_stock_cred(NULL, NULL);
	return 0;
}

static int teardown(void)
{
	OM_uint32 ignored;

	ini_strike();
	gss_release_cred(&ignored, &acceptor);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "altered answers", test_altered }, { "answers cut short", test_cut },
		{ "a replayed answer", test_replayed }, { "another key", test_other_key },
		{ "answers by hand", test_forged },
		{ "no subkey", test_no_subkey }, { "no answers", test_tokens },
		{ "errors", test_errors }, { "another target", test_target },
		{ "tickets", test_tickets }, { "keys", test_keys },
		{ "a key destroyed", test_destroyed }, { "policy", test_policy },
		CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("initiators that are cheated", setup, teardown, tests);
}
