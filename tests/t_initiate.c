/*
 * Initiators with session keys on a token: what they send is what the stock
 * mechanism would send with the same ticket, what they say to their callers is
 * what it says, and both acceptors understand them.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/apmsg.h"
#include "mech/frame.h"
#include "mech/spi.h"
#include "tests/lib/initiating.h"
#include "tests/lib/show.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code decode_krb5_authenticator(const krb5_data *in, krb5_authenticator **out);
krb5_error_code encode_krb5_authenticator(const krb5_authenticator *in, krb5_data **out);

static struct forge_key keys[4];         /* ACC_SERVICE's, enctypes 17 to 20 */
static const struct box_token *boxes;
static size_t n_boxes;
static struct mech_cred *own_acceptor[2];
static gss_cred_id_t stock_acceptor;

/* Which check in which turn was not as it should be. */
static bool check(bool ok, const char *what, const struct ini_ask *ask, size_t turn)
{
	CU_ASSERT(ok);
	if (!ok)
		printf("\n  %s, enctype %d: %s (flags %#x, %zu)\n", ini.box->name,
		       (int)ini.creds.keyblock.enctype, what, ask ? (unsigned)ask->flags : 0, turn);
	return ok;
}

static void set(size_t box, krb5_enctype session, const struct forge_ticket *more)
{
	struct forge_ticket t = { 0 };

	if (more)
		t = *more;
	t.session_etype = session;
	ini_set(&boxes[box], NULL, &t, &keys[1]);
}

/* ---- the wire ---- */

/* libkrb5 reads it, and writes it just so. */
static bool is_canonical(const gss_buffer_desc *plain)
{
	krb5_data in = { .data = plain->value, .length = (unsigned)plain->length }, *again;
	krb5_authenticator *a;
	bool same;

	if (decode_krb5_authenticator(&in, &a))
		return false;
	if (encode_krb5_authenticator(a, &again))
		return false;
	same = again->length == in.length && !memcmp(again->data, in.data, in.length);
	krb5_free_authenticator(acc_krb5(), a);
	krb5_free_data(acc_krb5(), again);
	return same;
}

static bool same_str(struct der_str a, struct der_str b)
{
	return a.len == b.len && (!a.len || !memcmp(a.p, b.p, a.len));
}

/* All but the time, the subkey and the sequence number. */
static bool same_authenticators(const gss_buffer_desc *own, const gss_buffer_desc *stock)
{
	struct ap_authenticator a, b;

	if (mech_ap_authenticator_read(own->value, own->length, &a) ||
	    mech_ap_authenticator_read(stock->value, stock->length, &b))
		return false;
	return same_str(a.client.realm, b.client.realm) && same_str(a.client.parts, b.client.parts) &&
	       a.client.type == b.client.type && a.has_cksum && b.has_cksum &&
	       a.cksumtype == b.cksumtype && same_str(a.cksum, b.cksum) &&
	       a.subkey_etype == b.subkey_etype && a.subkey_etype == ini.creds.keyblock.enctype &&
	       a.seq && a.seq < 1u << 30 && a.seq != b.seq && same_str(a.authdata, b.authdata) &&
	       a.ctime - b.ctime <= 2 && b.ctime - a.ctime <= 2;
}

/* Outside of the authenticator only lengths may differ: the two numbers' sizes vary. */
static bool same_outside(const gss_buffer_desc *own, const gss_buffer_desc *stock)
{
	gss_buffer_desc a = *own, b = *stock;
	struct mech_frame f, g;
	struct ap_req r, s;

	if (mech_frame_read(&a, &f) || mech_frame_read(&b, &g) || f.mech != g.mech ||
	    f.tok_id != g.tok_id || mech_ap_req_read(f.body.p, f.body.len, &r) ||
	    mech_ap_req_read(g.body.p, g.body.len, &s))
		return false;
	return r.options == s.options && same_str(r.ticket.whole, s.ticket.whole) &&
	       r.auth.etype == s.auth.etype && r.auth.has_kvno == s.auth.has_kvno;
}

static void compare_wire(const struct ini_ask *ask, const struct ini_side *own,
			 const struct ini_side *stock)
{
	gss_buffer_desc a = ini_authenticator(&own->out);
	gss_buffer_desc b = ini_authenticator(&stock->out);

	check(is_canonical(&a) && is_canonical(&b), "DER as libkrb5 writes it", ask, 0);
	check(same_authenticators(&a, &b), "the authenticator", ask, 0);
	check(same_outside(&own->out, &stock->out), "the AP-REQ", ask, 0);
	free(a.value);
	free(b.value);
}

static void compare_answer(const struct ini_ask *ask, const struct ini_side *own,
			   const struct ini_side *stock, size_t turn)
{
	check(own->major == stock->major, "major status", ask, turn);
	check(own->flags == stock->flags, "flags", ask, turn);
	check(own->time_rec <= stock->time_rec + 2 && stock->time_rec <= own->time_rec + 2,
	      "lifetime", ask, turn);
	check(mech_oid_equal(mech_oid_real(own->mech), mech_oid_real(stock->mech)), "mechanism",
	      ask, turn);
	check((own->out.length != 0) == (stock->out.length != 0), "a token or none", ask, turn);
}

static void wire(const struct ini_ask *ask)
{
	struct ini_side own = { .own = true }, stock = { 0 };

	ini_call(&own, ask, NULL);
	ini_call(&stock, ask, NULL);
	compare_answer(ask, &own, &stock, 0);
	if (check(own.out.length && stock.out.length, "a first token", ask, 0))
		compare_wire(ask, &own, &stock);
	ini_fini(&own);
	ini_fini(&stock);
}

static const OM_uint32 styles[] = {
	0, GSS_C_MUTUAL_FLAG, GSS_C_DCE_STYLE, GSS_C_DCE_STYLE | GSS_C_MUTUAL_FLAG,
	GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, ACC_MUTUAL,
	GSS_C_IDENTIFY_FLAG | GSS_C_EXTENDED_ERROR_FLAG | GSS_C_MUTUAL_FLAG,
	GSS_C_ANON_FLAG | GSS_C_TRANS_FLAG | GSS_C_PROT_READY_FLAG | GSS_C_MUTUAL_FLAG,
	GSS_C_DELEG_POLICY_FLAG | GSS_C_MUTUAL_FLAG, GSS_C_DELEG_FLAG | GSS_C_MUTUAL_FLAG,
	0xffffffff & ~(OM_uint32)(GSS_C_DCE_STYLE | GSS_C_CHANNEL_BOUND_FLAG)
};
#define STYLES (sizeof(styles) / sizeof(styles[0]))

/* No enctype that this module lacks, but the session key's place in the list changes. */
static const char *const configs[] = {
	"", "[libdefaults]\n client_aware_channel_bindings = true\n",
	"[libdefaults]\n permitted_enctypes = aes128-cts aes256-sha2 aes256-cts aes128-sha2\n",
	"[libdefaults]\n default_tgs_enctypes = aes256-sha2 aes128-sha2 aes128-cts aes256-cts\n",
	"[libdefaults]\n enforce_ok_as_delegate = true\n"
};

static void all_styles(void)
{
	struct gss_channel_bindings_struct cb = { .application_data = show_text("bound") };
	struct gss_channel_bindings_struct none = { 0 };
	gss_channel_bindings_t const bindings[] = { NULL, &cb, &none };
	struct ini_ask ask = { 0 };
	size_t i, b;

	for (i = 0; i < STYLES; i++) {
		for (b = 0; b < 3; b++) {
			ask.flags = styles[i];
			ask.cb = bindings[b];
			wire(&ask);
		}
	}
	ask = (struct ini_ask){ .flags = ACC_MUTUAL, .mech = mech_oid_public(1) };
	wire(&ask);
	ask.mech = mech_oid_public(2);
	ask.time_req = 60;
	wire(&ask);
}

static void test_wire(void)
{
	size_t c, box;
	krb5_enctype e;

	for (c = 0; c < sizeof(configs) / sizeof(configs[0]); c++) {
		acc_environment(configs[c]);
		for (box = 0; box < n_boxes; box++) {
			for (e = 17; e <= 20; e++) {
				set(box, e, NULL);
				all_styles();
			}
		}
	}
	acc_environment(NULL);
}

/* ---- whole contexts ---- */

/* The acceptor that is in play. */
struct acceptor {
	struct mech_cred *own;           /* NULL: stock */
};

static void accept(const struct acceptor *by, const gss_buffer_desc *token,
		   gss_channel_bindings_t cb, struct acc_answer *a)
{
	if (by->own)
		acc_own(by->own, token, cb, a);
	else
		acc_stock(stock_acceptor, token, cb, a);
}

/* To the end; false where somebody refused. */
static bool establish(struct ini_side *i, const struct ini_ask *ask, const struct acceptor *by,
		      struct acc_answer *a)
{
	memset(a, 0, sizeof(*a));
	ini_call(i, ask, NULL);
	if (GSS_ERROR(i->major) || !i->out.length)
		return false;
	accept(by, &i->out, ask->cb, a);
	if (GSS_ERROR(a->major) || i->major == GSS_S_COMPLETE)
		return !GSS_ERROR(a->major);
	ini_call(i, ask, &a->out);
	if (i->major == GSS_S_COMPLETE && i->out.length)
		acc_again(by->own, &i->out, a);
	return i->major == GSS_S_COMPLETE && a->major == GSS_S_COMPLETE;
}

static struct ini_end end_of(const struct ini_side *s)
{
	return (struct ini_end){ s->ctx, s->stock };
}

/* What gss_inquire_context tells. */
static void compare_facts(const struct ini_ask *ask, const struct ini_side *own,
			  const struct ini_side *stock)
{
	OM_uint32 life, flags, life2, flags2, minor;
	int local, open, local2, open2;
	struct mech_ctx_facts f = { .lifetime = &life, .flags = &flags, .local = &local,
				    .open = &open };
	OM_uint32 m = mech_ctx_inquire(&minor, own->ctx, &f);

	check(m == gss_inquire_context(&minor, stock->stock, NULL, NULL, &life2, NULL, &flags2,
				       &local2, &open2), "inquiry", ask, 0);
	check(flags == flags2, "inquired flags", ask, flags ^ flags2);
	check(local == local2 && open == open2, "whose context, and whether it is up", ask, 0);
	check(life <= life2 + 2 && life2 <= life + 2, "inquired lifetime", ask, 0);
}

static void whole(const struct ini_ask *ask, const struct acceptor *by)
{
	struct ini_side own = { .own = true }, stock = { 0 };
	struct acc_answer a, b;

	check(establish(&own, ask, by, &a), "a context", ask, by->own != NULL);
	check(establish(&stock, ask, by, &b), "a stock context", ask, by->own != NULL);
	compare_answer(ask, &own, &stock, 1);
	check(a.flags == b.flags, "the acceptor's flags", ask, a.flags ^ b.flags);
	check(a.src && b.src && !strcmp(a.src, b.src), "the client's name", ask, 0);
	if (own.ctx && stock.stock) {
		compare_facts(ask, &own, &stock);
		check(!own.ctx->session_key, "no session key is kept", ask, 0);
		check(ini_converse(end_of(&own), (struct ini_end){ a.ctx, a.stock_ctx }), "messages",
		      ask, by->own != NULL);
	}
	ini_fini(&own);
	ini_fini(&stock);
	acc_answer_fini(&a);
	acc_answer_fini(&b);
}

static void test_whole(void)
{
	struct acceptor by = { 0 };
	struct ini_ask ask = { 0 };
	size_t box, i, o;
	krb5_enctype e;

	for (box = 0; box < n_boxes; box++) {
		for (e = 17; e <= 20; e++) {
			set(box, e, NULL);
			for (i = 0; i + 1 < STYLES; i++) {
				ask.flags = styles[i];
				for (o = 0; o < 2; o++) {
					by.own = o ? own_acceptor[box] : NULL;
					whole(&ask, &by);
				}
			}
		}
	}
}

/* ---- contexts that wait ---- */

/* Nothing can be done with one yet, and it says so as the stock mechanism's does. */
static void waiting(const struct ini_ask *ask, gss_ctx_id_t own, gss_ctx_id_t stock)
{
	gss_buffer_desc in = show_text("a message"), out;
	OM_uint32 life = 7, flags = 7, life2 = 7, flags2 = 7, minor, size;
	int local = 7, open = 7, local2 = 7, open2 = 7, conf;
	gss_OID mech = NULL, mech2 = NULL;

	check(gssi_inquire_context(&minor, own, NULL, NULL, &life, &mech, &flags, &local, &open) ==
	      gss_inquire_context(&minor, stock, NULL, NULL, &life2, &mech2, &flags2, &local2, &open2),
	      "inquiry", ask, 0);
	check(life == life2 && flags == flags2 && local == local2 && open == open2, "what is inquired",
	      ask, flags ^ flags2);
	check(mech && mech2 && mech_oid_equal(mech, mech2), "mechanism", ask, 1);
	check(gssi_context_time(&minor, own, &life) == gss_context_time(&minor, stock, &life2),
	      "lifetime", ask, 1);
	check(gssi_wrap(&minor, own, 1, 0, &in, &conf, &out) ==
	      gss_wrap(&minor, stock, 1, 0, &in, &conf, &out), "wrap", ask, 1);
	check(gssi_get_mic(&minor, own, 0, &in, &out) == gss_get_mic(&minor, stock, 0, &in, &out),
	      "MIC", ask, 1);
	check(gssi_wrap_size_limit(&minor, own, 1, 0, 99, &size) ==
	      gss_wrap_size_limit(&minor, stock, 1, 0, 99, &size), "size", ask, 1);
}

static void test_waiting(void)
{
	static const struct ini_ask asks[] = {
		{ .flags = ACC_MUTUAL }, { .flags = GSS_C_DCE_STYLE | ACC_MUTUAL }
	};
	struct ini_side own = { .own = true }, stock = { 0 };
	size_t i;

	set(0, 18, NULL);
	for (i = 0; i < 2; i++) {
		ini_call(&own, &asks[i], NULL);
		ini_call(&stock, &asks[i], NULL);
		waiting(&asks[i], (gss_ctx_id_t)own.ctx, stock.stock);
		ini_fini(&own);
		ini_fini(&stock);
	}
}

/* ---- negotiation ---- */

static void test_negotiate(void)
{
	static const char *const permitted[] = {
		"aes128-sha2 aes256-cts aes256-sha2 aes128-cts", "aes256-sha2 aes128-cts aes256-cts",
		"aes128-cts aes256-cts aes128-sha2 aes256-sha2"
	};
	static const krb5_enctype first[] = { 19, 20, 17 };
	struct ini_ask ask = { .flags = ACC_MUTUAL };
	struct ini_side own = { .own = true };
	struct acceptor by = { 0 };
	struct acc_answer a;
	char text[200];
	size_t i, box;

	for (i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "[libdefaults]\n permitted_enctypes = %s\n", permitted[i]);
		acc_environment(text);
		for (box = 0; box < n_boxes; box++) {
			set(box, 18, NULL);
			check(establish(&own, &ask, &by, &a), "a context", &ask, i);
			if (check(own.ctx && own.ctx->acceptor_key, "an acceptor's subkey", &ask, i)) {
				check(ks_key_etype(own.ctx->acceptor_key)->id == first[i],
				      "the acceptor's favourite", &ask, i);
				check(ini_converse(end_of(&own), (struct ini_end){ NULL, a.stock_ctx }),
				      "messages", &ask, i);
			}
			ini_fini(&own);
			acc_answer_fini(&a);
		}
	}
	acc_environment(NULL);
}

/* ---- bindings ---- */

/* What the acceptor says with its own bindings, and what the initiator then hears. */
static void bound(gss_channel_bindings_t i, gss_channel_bindings_t a, OM_uint32 want, bool flag)
{
	struct ini_ask ask = { .flags = ACC_MUTUAL, .cb = i };
	struct ini_side own = { .own = true };
	struct acc_answer answer;

	ini_call(&own, &ask, NULL);
	acc_stock(stock_acceptor, &own.out, a, &answer);
	check(answer.major == want, "the acceptor's judgement of bindings", &ask, answer.major);
	check(!(answer.flags & GSS_C_CHANNEL_BOUND_FLAG) == !flag, "channel bound", &ask, 0);
	ini_call(&own, &ask, &answer.out);
	check(own.major == (want ? GSS_S_FAILURE : GSS_S_COMPLETE), "the initiator's end", &ask,
	      own.major);
	check(!own.ctx == (want != 0), "a context or none", &ask, 0);
	if (want)
		check((err_t)own.minor == KRB5KRB_ERR_GENERIC, "the reason", &ask, own.minor);
	ini_fini(&own);
	acc_answer_fini(&answer);
}

static void test_bindings(void)
{
	struct gss_channel_bindings_struct a = { .application_data = show_text("one") };
	struct gss_channel_bindings_struct b = { .application_data = show_text("two") };
	struct gss_channel_bindings_struct full = {
		.initiator_addrtype = GSS_C_AF_LOCAL, .initiator_address = show_text("here"),
		.acceptor_addrtype = GSS_C_AF_LOCAL, .acceptor_address = show_text("there"),
		.application_data = show_text("one")
	};
	size_t box;

	for (box = 0; box < n_boxes; box++) {
		set(box, 18, NULL);
		bound(&a, &a, 0, true);
		bound(&full, &full, 0, true);
		bound(&a, &b, GSS_S_BAD_BINDINGS, false);
		bound(&a, &full, GSS_S_BAD_BINDINGS, false);
		bound(&a, NULL, 0, false);
		bound(NULL, &a, 0, false);
	}
	acc_environment(configs[1]);
	set(0, 18, NULL);
	bound(&a, &a, 0, true);
	bound(NULL, &a, GSS_S_BAD_BINDINGS, false);
	acc_environment(NULL);
}

/* ---- options of the credential ---- */

static void test_options(void)
{
	krb5_enctype limited[] = { 17, 18, 0 };
	struct mech_cred *c = NULL;
	struct ini_ask ask = { .flags = GSS_C_MUTUAL_FLAG };
	gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;

	set(0, 18, NULL);
	CU_ASSERT_EQUAL_FATAL(mech_cred_new(GSS_C_INITIATE, &c), 0);
	c->no_ci_flags = true;
	ask.cred = c;
	CU_ASSERT_EQUAL(gss_set_cred_option(&minor, &ini.stock, GSS_KRB5_CRED_NO_CI_FLAGS_X, &empty),
			0);
	wire(&ask);
	ask.flags = 0;
	wire(&ask);
	ask.flags = GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG;
	wire(&ask);
	c->etypes = calloc(3, sizeof(*c->etypes));
	memcpy(c->etypes, limited, sizeof(limited));
	CU_ASSERT_EQUAL(gss_krb5_set_allowable_enctypes(&minor, ini.stock, 2, limited), 0);
	wire(&ask);
	mech_cred_free(&c);
}

/* ---- policy export: the keys of the context, but not the ticket's, which is a bundle ---- */

static void test_export(void)
{
	struct ini_ask ask = { .flags = ACC_MUTUAL };
	struct ini_side own = { .own = true };
	gss_buffer_set_t a = NULL, b = NULL;
	struct acceptor by = { 0 };
	struct acc_answer answer;
	OM_uint32 minor;
	size_t box;

	for (box = 0; box < n_boxes; box++) {
		set(box, 18, NULL);
		ini.i->conf.export = ini.i->conf.prf = true;
		check(establish(&own, &ask, &by, &answer), "a context", &ask, 0);
		if (own.ctx && answer.stock_ctx) {
			check(!own.ctx->session_key, "no session key is kept", &ask, 0);
			check(!mech_ctx_raw_key(&minor, own.ctx, GSS_C_INQ_SSPI_SESSION_KEY, &a) &&
			      !gss_inquire_sec_context_by_oid(&minor, answer.stock_ctx,
							      GSS_C_INQ_SSPI_SESSION_KEY, &b) &&
			      a->elements[0].length == b->elements[0].length &&
			      !memcmp(a->elements[0].value, b->elements[0].value,
				      a->elements[0].length), "the key that both have", &ask, 0);
			gss_release_buffer_set(&minor, &a);
			check(mech_ctx_raw_session_key(&minor, own.ctx, GSS_C_INQ_SSPI_SESSION_KEY,
						       &a) == GSS_S_UNAVAILABLE,
			      "the ticket's key is not given out", &ask, 0);
			gss_release_buffer_set(&minor, &a);
			gss_release_buffer_set(&minor, &b);
		}
		ini_fini(&own);
		acc_answer_fini(&answer);
	}
}

/* ---- names ---- */

static void test_targets(void)
{
	struct ini_ask ask = { .flags = ACC_MUTUAL, .target = "HTTP@www.test.org",
			       .target_type = GSS_C_NT_HOSTBASED_SERVICE };
	struct ini_side own = { .own = true };
	struct mech_name *n = NULL;
	gss_buffer_desc text;
	OM_uint32 minor;

	set(0, 18, NULL);
	wire(&ask);
	ini_call(&own, &ask, NULL);
	if (check(own.ctx != NULL, "a host's service", &ask, 0)) {
		CU_ASSERT_EQUAL(own.ctx->there->type, KRB5_NT_SRV_HST);
		CU_ASSERT_EQUAL(mech_ctx_peer_name(own.ctx, &n), 0);
		CU_ASSERT_EQUAL(gss_display_name(&minor, n->stock, &text, NULL), 0);
		CU_ASSERT(text.length == strlen(ACC_SERVICE) &&
			  !memcmp(text.value, ACC_SERVICE, text.length));
		gss_release_buffer(&minor, &text);
		mech_name_free(&n);
	}
	ini_fini(&own);
}

/* ---- threads: one cache, one key on the token, which none of them has opened yet ---- */

enum { THREADS = 4, ROUNDS = 30 };

static void *many(void *failures)
{
	static const struct ini_ask ask = { .flags = GSS_C_REPLAY_FLAG };
	unsigned *bad = failures;
	struct ini_side own = { .own = true };
	int i;

	for (i = 0; i < ROUNDS; i++) {
		*bad += ini_call(&own, &ask, NULL) != GSS_S_COMPLETE || !own.out.length;
		ini_fini(&own);
	}
	return NULL;
}

static void test_threads(void)
{
	unsigned bad[THREADS] = { 0 };
	pthread_t t[THREADS];
	size_t box, i;

	for (box = 0; box < n_boxes; box++) {
		set(box, 18, NULL);
		for (i = 0; i < THREADS; i++)
			CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, many, &bad[i]), 0);
		for (i = 0; i < THREADS; i++) {
			pthread_join(t[i], NULL);
			check(bad[i] == 0, "contexts of threads", NULL, bad[i]);
		}
	}
}

/* ---- the suite ---- */

static int setup(void)
{
	krb5_enctype e;
	size_t i;

	boxes = box_tokens(&n_boxes);
	for (e = 17; e <= 20; e++) {
		acc_new_key(&boxes[0], ACC_SERVICE, e, (krb5_kvno)e, &keys[e - 17]);
		for (i = 1; i < n_boxes; i++)
			acc_key_to_token(&boxes[i], &keys[e - 17]);
	}
	for (i = 0; i < n_boxes; i++)
		own_acceptor[i] = acc_cred(&boxes[i], NULL, NULL);
	stock_acceptor = acc_stock_cred(NULL, NULL);
	return 0;
}

static int teardown(void)
{
	OM_uint32 ignored;
	size_t i;

	ini_strike();
	for (i = 0; i < n_boxes; i++)
		mech_cred_free(&own_acceptor[i]);
	gss_release_cred(&ignored, &stock_acceptor);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "what is sent", test_wire }, { "whole contexts", test_whole },
		{ "contexts that wait", test_waiting }, { "negotiation", test_negotiate },
		{ "bindings", test_bindings },
		{ "options", test_options }, { "targets", test_targets },
		{ "policy export", test_export }, { "threads", test_threads }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("initiators with keys on a token", setup, teardown, tests);
}
