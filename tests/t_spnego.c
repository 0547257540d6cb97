/*
 * SPNEGO over this module in both roles, the peer stock or own: all of a
 * context's features, negotiation with further mechanisms (mechlistMIC), and
 * what goes wrong.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/nego.h"
#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static const struct box_token *tokens;
static size_t n_tokens;
static OM_uint32 minor, ignored;

static char spnego_der[] = "\x2b\x06\x01\x05\x05\x02";
static gss_OID_desc spnego = { sizeof(spnego_der) - 1, spnego_der };

#define MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

/* Whose side is on the token: acceptor, initiator, both; none is what the others must be like. */
enum { WHO = 3 };

static struct talk_want want(const struct box_token *t, size_t who, OM_uint32 flags)
{
	return (struct talk_want){
		.mech = &spnego, .flags = flags,
		.own_a = who != 1 ? t : NULL, .own_i = who != 0 ? t : NULL,
	};
}

static bool up(const struct talk_want *w, struct talk *t)
{
	bool ok = talk_make(w, t);

	CU_ASSERT_TRUE(ok);
	if (!ok)
		printf("\n %s %s flags %x: %x %x %s\n", w->own_a ? w->own_a->name : "stock",
		       w->own_i ? w->own_i->name : "stock", (unsigned)w->flags,
		       (unsigned)t->major_i, (unsigned)t->major_a, t->text);
	return ok;
}

/* The keys in the clear: only a stock context has them. */
static bool is_own(gss_ctx_id_t c)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 m = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_INQ_SSPI_SESSION_KEY, &set);

	gss_release_buffer_set(&ignored, &set);
	return m == GSS_S_UNAVAILABLE;
}

static void message(gss_ctx_id_t from, gss_ctx_id_t to, int conf)
{
	gss_buffer_desc in = show_text("over SPNEGO"), token, out;
	gss_qop_t qop = 7;
	int state = -1;

	CU_ASSERT_EQUAL(gss_wrap(&minor, from, conf, 0, &in, &state, &token), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(state, conf);
	CU_ASSERT_EQUAL(gss_unwrap(&minor, to, &token, &out, &state, &qop), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(state, conf);
	CU_ASSERT_TRUE(out.length == in.length && !memcmp(out.value, in.value, in.length));
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &out);
	CU_ASSERT_EQUAL(gss_get_mic(&minor, from, 0, &in, &token), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_verify_mic(&minor, to, &in, &token, &qop), GSS_S_COMPLETE);
	((uint8_t *)token.value)[token.length - 1] ^= 1;
	CU_ASSERT_EQUAL(gss_verify_mic(&minor, to, &in, &token, &qop), GSS_S_BAD_SIG);
	gss_release_buffer(&ignored, &token);
}

static bool same_prf(const struct talk *t)
{
	gss_buffer_desc in = show_text("seed"), x, y;
	bool ok;

	ok = !gss_pseudo_random(&minor, t->i, GSS_C_PRF_KEY_FULL, &in, 50, &x)
		&& !gss_pseudo_random(&minor, t->a, GSS_C_PRF_KEY_FULL, &in, 50, &y)
		&& x.length == 50 && y.length == 50 && !memcmp(x.value, y.value, 50);
	gss_release_buffer(&ignored, &x);
	gss_release_buffer(&ignored, &y);
	return ok;
}

static char *displayed(gss_name_t n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	char *s;

	gss_display_name(&minor, n, &b, NULL);
	s = strndup(b.value ? b.value : "", b.length);
	gss_release_buffer(&ignored, &b);
	return s;
}

/* What one side tells of itself, as text. */
static char *told(gss_ctx_id_t c)
{
	gss_name_t i = GSS_C_NO_NAME, a = GSS_C_NO_NAME;
	gss_OID mech = GSS_C_NO_OID;
	OM_uint32 flags = 0, life = 0, major;
	char *x, *y, *s = NULL;
	int local, open;

	major = gss_inquire_context(&minor, c, &i, &a, &life, &mech, &flags, &local, &open);
	x = displayed(i);
	y = displayed(a);
	if (asprintf(&s, "%x %s %s %s %s flags %x local %d open %d", (unsigned)major, x, y,
		     show_life(life), show_oid(mech), (unsigned)flags, local, open) < 0)
		exit(99);
	free(x);
	free(y);
	gss_release_name(&ignored, &i);
	gss_release_name(&ignored, &a);
	return s;
}

/* As with stock contexts on both sides. */
static void same_told(const struct talk *own, const struct talk_want *w)
{
	struct talk_want s = *w;
	char *x[2], *y[2];
	struct talk t;

	s.own_i = s.own_a = NULL;
	if (!up(&s, &t))
		return;
	x[0] = told(own->i);
	x[1] = told(own->a);
	y[0] = told(t.i);
	y[1] = told(t.a);
	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_STRING_EQUAL(x[i], y[i]);
		if (strcmp(x[i], y[i]))
			printf("\n own   %s\n stock %s\n", x[i], y[i]);
		free(x[i]);
		free(y[i]);
	}
	CU_ASSERT_EQUAL(own->flags_i, t.flags_i);
	CU_ASSERT_EQUAL(own->flags_a, t.flags_a);
	CU_ASSERT_EQUAL(own->legs, t.legs);
	CU_ASSERT_STRING_EQUAL(show_oid(own->mech_i), show_oid(t.mech_i));
	CU_ASSERT_STRING_EQUAL(show_oid(own->mech_a), show_oid(t.mech_a));
	talk_drop(&t);
}

static void whole(const struct talk_want *w)
{
	struct talk t;

	if (!up(w, &t))
		return;
	CU_ASSERT_EQUAL(is_own(t.i), w->own_i != NULL);
	CU_ASSERT_EQUAL(is_own(t.a), w->own_a != NULL);
	for (int conf = 0; conf < 2; conf++) {
		message(t.i, t.a, conf);
		message(t.a, t.i, conf);
	}
	CU_ASSERT_TRUE(same_prf(&t));
	same_told(&t, w);
	talk_drop(&t);
}

static void contexts(void)
{
	static const OM_uint32 styles[] = { MUTUAL, 0, GSS_C_REPLAY_FLAG, MUTUAL | GSS_C_DCE_STYLE,
					    MUTUAL | GSS_C_IDENTIFY_FLAG };

	for (size_t n = 0; n < n_tokens * WHO * 5; n++) {
		struct talk_want w = want(&tokens[n / (WHO * 5)], n % WHO, styles[n / WHO % 5]);

		whole(&w);
	}
}

static void enctypes(void)
{
	for (krb5_enctype e = 17; e <= 20; e++)
		for (size_t who = 0; who < WHO; who++) {
			struct talk_want w = want(&tokens[e & 1], who, MUTUAL);

			w.etype = e;
			w.policy = "  prf = allow";
			w.permitted = e > 18 ? "aes256-sha2 aes128-sha2" : NULL;
			whole(&w);
		}
}

/* ---- mechlistMIC: the peer negotiates by hand, over a plain krb5 context ---- */

static char krb5_der[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", other_der[] = "\x2a\x03\x04\x05";
static const gss_buffer_desc krb5_oid = { 9, krb5_der }, other_oid = { 4, other_der };

static gss_buffer_desc mic_of(gss_ctx_id_t c, const gss_buffer_desc *list, bool spoil)
{
	gss_buffer_desc mic = GSS_C_EMPTY_BUFFER, in = *list;

	CU_ASSERT_EQUAL(gss_get_mic(&minor, c, 0, &in, &mic), GSS_S_COMPLETE);
	if (spoil && mic.length)
		((uint8_t *)mic.value)[mic.length - 1] ^= 1;
	return mic;
}

static bool mic_good(gss_ctx_id_t c, const gss_buffer_desc *list, gss_buffer_t mic)
{
	gss_buffer_desc in = *list;

	return mic->length && gss_verify_mic(&minor, c, &in, mic, NULL) == GSS_S_COMPLETE;
}

/* One token to the SPNEGO acceptor, its answer read. */
static OM_uint32 tell_acceptor(const struct talk_want *w, struct talk *t, gss_buffer_desc token,
			       struct nego_resp *r)
{
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;

	talk_accept(w, t, &token, &out);
	memset(r, 0, sizeof(*r));
	if (out.length)
		CU_ASSERT_TRUE(nego_resp_read(&out, r));
	gss_release_buffer(&ignored, &out);
	free(token.value);
	return t->major_a;
}

/* The list starts with a mechanism that nobody has, so the acceptor asks for MICs. */
static void hand_initiator(const struct box_token *t_a, const struct box_token *t_i, bool spoil)
{
	struct talk_want w = { .own_a = t_a, .own_i = t_i, .mech = &spnego, .flags = MUTUAL }, k = w;
	const gss_buffer_desc oids[] = { other_oid, krb5_oid };
	gss_buffer_desc list = nego_mechs(oids, 2), none = GSS_C_EMPTY_BUFFER, req;
	struct nego_resp r, mine = { .state = NEGO_NO_STATE };
	struct talk t;

	k.mech = NULL;
	talk_ready(&w, &t);
	CU_ASSERT_EQUAL(tell_acceptor(&w, &t, nego_init(&list, NULL), &r), GSS_S_CONTINUE_NEEDED);
	CU_ASSERT_EQUAL(r.state, NEGO_REQUEST_MIC);
	nego_resp_free(&r);
	CU_ASSERT_EQUAL(talk_init(&k, &t, &none, &req), GSS_S_CONTINUE_NEEDED);
	mine.token = req;
	CU_ASSERT_EQUAL(tell_acceptor(&w, &t, nego_resp_write(&mine), &r), GSS_S_CONTINUE_NEEDED);
	gss_release_buffer(&ignored, &req);
	CU_ASSERT_EQUAL(talk_init(&k, &t, &r.token, &none), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(is_own(t.i), t_i != NULL);
	if (r.mic.length)
		CU_ASSERT_TRUE(mic_good(t.i, &list, &r.mic));
	nego_resp_free(&r);
	mine = (struct nego_resp){ .state = NEGO_COMPLETED, .mic = mic_of(t.i, &list, spoil) };
	tell_acceptor(&w, &t, nego_resp_write(&mine), &r);
	CU_ASSERT_EQUAL(t.major_a, spoil ? GSS_S_BAD_SIG : GSS_S_COMPLETE);
	if (!spoil) {
		CU_ASSERT_EQUAL(is_own(t.a), t_a != NULL);
		CU_ASSERT_TRUE(r.mic.length ? mic_good(t.i, &list, &r.mic) : r.state == NEGO_COMPLETED);
		message(t.i, t.a, 1);
		message(t.a, t.i, 0);
	}
	nego_resp_free(&r);
	gss_release_buffer(&ignored, &mine.mic);
	free(list.value);
	talk_drop(&t);
}

/* The acceptor sends a MIC with its AP-REP: the initiator checks it and sends its own. */
static void hand_acceptor(const struct box_token *t_a, const struct box_token *t_i, bool spoil)
{
	struct talk_want w = { .own_a = t_a, .own_i = t_i, .mech = &spnego, .flags = MUTUAL }, k = w;
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, out, list, req, in;
	struct nego_resp r, mine = { .state = NEGO_INCOMPLETE, .mech = krb5_oid };
	struct talk t;

	k.mech = NULL;
	talk_ready(&k, &t);
	CU_ASSERT_EQUAL(talk_init(&w, &t, &none, &out), GSS_S_CONTINUE_NEEDED);
	CU_ASSERT_TRUE_FATAL(nego_init_read(&out, &list, &req));
	gss_release_buffer(&ignored, &out);
	CU_ASSERT_EQUAL(talk_accept(&k, &t, &req, &mine.token), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(is_own(t.a), t_a != NULL);
	mine.mic = mic_of(t.a, &list, spoil);
	in = nego_resp_write(&mine);
	talk_init(&w, &t, &in, &out);
	CU_ASSERT_EQUAL(t.major_i, spoil ? GSS_S_BAD_SIG : GSS_S_COMPLETE);
	if (!spoil && nego_resp_read(&out, &r)) {
		CU_ASSERT_TRUE(mic_good(t.a, &list, &r.mic));
		CU_ASSERT_EQUAL(is_own(t.i), t_i != NULL);
		message(t.i, t.a, 1);
		message(t.a, t.i, 0);
		nego_resp_free(&r);
	} else {
		CU_ASSERT_TRUE(spoil);
	}
	gss_release_buffer(&ignored, &out);
	gss_release_buffer(&ignored, &mine.token);
	gss_release_buffer(&ignored, &mine.mic);
	free(in.value);
	free(req.value);
	free(list.value);
	talk_drop(&t);
}

static void mechlist_mic(void)
{
	for (size_t n = 0; n < n_tokens; n++)
		for (size_t who = 0; who < WHO + 1; who++)
			for (int spoil = 0; spoil < 2; spoil++) {
				hand_initiator(who & 1 ? &tokens[n] : NULL,
					       who & 2 ? &tokens[n] : NULL, spoil);
				hand_acceptor(who & 1 ? &tokens[n] : NULL,
					      who & 2 ? &tokens[n] : NULL, spoil);
			}
}

/* ---- delegation and channel bindings ---- */

static void bound(void)
{
	static const struct {
		const char *i, *a;
		OM_uint32 major;
	} cases[] = {
		{ "tls", "tls", GSS_S_COMPLETE }, { "tls", NULL, GSS_S_COMPLETE },
		{ NULL, "tls", GSS_S_COMPLETE }, { "tls", "other", GSS_S_BAD_BINDINGS },
		{ "", "", GSS_S_COMPLETE }, { "", "tls", GSS_S_BAD_BINDINGS },
	};

	for (size_t n = 0; n < WHO * 6; n++) {
		struct talk_want w = want(&tokens[n & 1], n % WHO, MUTUAL);
		struct talk t;
		bool ok;

		w.bind_i = cases[n / WHO].i;
		w.bind_a = cases[n / WHO].a;
		ok = talk_make(&w, &t);
		CU_ASSERT_EQUAL(ok, cases[n / WHO].major == GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(t.major_a, cases[n / WHO].major);
		CU_ASSERT_EQUAL(ok && t.flags_a & GSS_C_CHANNEL_BOUND_FLAG,
				ok && w.bind_i && w.bind_a);
		talk_drop(&t);
		if (ok)
			whole(&w);
	}
}

/* There is no KDC: the flag goes, and the context comes up without, as with the stock mechanism. */
static void delegation(void)
{
	for (size_t who = 0; who < WHO; who++) {
		struct talk_want w = want(&tokens[who & 1], who, MUTUAL | GSS_C_DELEG_FLAG);
		struct talk t;

		w.forwardable = true;
		if (up(&w, &t)) {
			CU_ASSERT_FALSE(t.flags_i & GSS_C_DELEG_FLAG);
			CU_ASSERT_FALSE(t.flags_a & GSS_C_DELEG_FLAG);
			CU_ASSERT_PTR_NULL(t.deleg);
		}
		talk_drop(&t);
		whole(&w);
	}
}

/* ---- what goes wrong ---- */

/* DER that the stock mechanism lets pass, and this module does not. */
static bool stricter(const struct talk *own, bool stock_up)
{
	return stock_up && own->major_a == GSS_S_FAILURE && strstr(own->text, "well-formed");
}

/* Majors and the number of tokens are the stock mechanism's. */
static void fails_as_stock(const struct talk_want *w)
{
	struct talk_want s = *w;
	struct talk own, stock;
	bool x = talk_make(w, &own), y, same;

	s.own_i = s.own_a = NULL;
	y = talk_make(&s, &stock);
	same = x == y && own.major_i == stock.major_i && own.major_a == stock.major_a
		&& own.legs == stock.legs;
	CU_ASSERT_TRUE(same || stricter(&own, y));
	if (x != y || own.major_i != stock.major_i || own.major_a != stock.major_a)
		printf("\n spoil %zu %zu: own %x %x %s, stock %x %x %s\n", w->spoil_a, w->spoil_i,
		       (unsigned)own.major_i, (unsigned)own.major_a, own.text,
		       (unsigned)stock.major_i, (unsigned)stock.major_a, stock.text);
	talk_drop(&own);
	talk_drop(&stock);
}

static void spoilt(void)
{
	for (size_t who = 0; who < WHO; who++)
		for (size_t at = 0; at < 120; at += 1 + at / 24) {
			struct talk_want w = want(&tokens[who & 1], who, MUTUAL);

			w.spoil_a = 1 + at;
			fails_as_stock(&w);
			w.spoil_a = 0;
			w.spoil_i = 1 + at;
			fails_as_stock(&w);
		}
}

static void unusable(void)
{
	for (size_t who = 0; who < WHO; who++) {
		struct talk_want w = want(&tokens[who & 1], who, MUTUAL);

		w.life = -1000;
		fails_as_stock(&w);
		w.life = 0;
		w.principal = "HTTP/mail.test.org@TEST.ORG";
		fails_as_stock(&w);
	}
}

static int setup(void)
{
	tokens = box_tokens(&n_tokens);
	return n_tokens == 2 ? 0 : 1;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "spoilt tokens", spoilt }, { "unusable tickets", unusable },
		{ "contexts", contexts }, { "enctypes", enctypes },
		{ "mechlistMIC", mechlist_mic }, { "channel bindings", bound },
		{ "delegation", delegation }, CU_TEST_INFO_NULL,
	};

	return box_suite("SPNEGO", setup, NULL, tests);
}
