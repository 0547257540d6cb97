/*
 * What an acceptor establishes: stock initiators on both tokens with every
 * enctype, messages both ways, the DCE style, replay caches that are shared
 * with the stock acceptor, key rotation, threads.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mech/apmsg.h"
#include "mech/frame.h"
#include "mech/message.h"
#include "tests/lib/accepting.h"

#define COMMON (GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t etypes[] = { 17, 18, 19, 20 };

/* One service on one token. */
struct side {
	const struct box_token *box;
	struct forge_key key[4];         /* one principal for each enctype */
	struct mech_cred *cred;
};

static struct side sides[2];
static gss_cred_id_t stock_cred;

/* ---- the stock initiator ---- */

struct client {
	gss_cred_id_t cred;
	gss_name_t target;
	gss_ctx_id_t ctx;
	OM_uint32 want, major, minor, flags;
	gss_buffer_desc out;
};

static void client_leg(struct client *c, gss_buffer_t in)
{
	OM_uint32 ignored;

	gss_release_buffer(&ignored, &c->out);
	c->major = gss_init_sec_context(&c->minor, c->cred, &c->ctx, c->target, mech_oid_stock(NULL),
					c->want, 0, GSS_C_NO_CHANNEL_BINDINGS, in, NULL, &c->out,
					&c->flags, NULL);
}

static void client_start(struct client *c, const struct forge_key *k, int32_t session,
			 OM_uint32 want)
{
	struct forge_ticket t = { .session_etype = session };

	memset(c, 0, sizeof(*c));
	c->cred = acc_initiator(&t, k);
	c->target = acc_target(k->principal);
	c->want = want;
	client_leg(c, GSS_C_NO_BUFFER);
	CU_ASSERT_FALSE_FATAL(GSS_ERROR(c->major));
}

static void client_fini(struct client *c)
{
	OM_uint32 ignored;

	gss_release_buffer(&ignored, &c->out);
	if (c->ctx)
		gss_delete_sec_context(&ignored, &c->ctx, NULL);
	gss_release_cred(&ignored, &c->cred);
	gss_release_name(&ignored, &c->target);
}

/* ---- messages ---- */

static void messages_to_us(struct client *c, struct mech_ctx *a)
{
	gss_buffer_desc msg = { 11, (void *)(uintptr_t)"hello there" };
	gss_buffer_desc tok = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;
	int conf;

	for (conf = 0; conf < 2; conf++) {
		CU_ASSERT_EQUAL(gss_wrap(&minor, c->ctx, conf, 0, &msg, NULL, &tok), 0);
		CU_ASSERT_EQUAL(mech_unwrap(&minor, a, &tok, &back, NULL, NULL), 0);
		CU_ASSERT_TRUE(back.length == msg.length && !memcmp(back.value, msg.value, 11));
		gss_release_buffer(&minor, &tok);
		gss_release_buffer(&minor, &back);
	}
	CU_ASSERT_EQUAL(gss_get_mic(&minor, c->ctx, 0, &msg, &tok), 0);
	CU_ASSERT_EQUAL(mech_verify_mic(&minor, a, &msg, &tok, NULL), 0);
	gss_release_buffer(&minor, &tok);
}

static void messages_from_us(struct client *c, struct mech_ctx *a)
{
	gss_buffer_desc msg = { 11, (void *)(uintptr_t)"hello there" };
	gss_buffer_desc tok = GSS_C_EMPTY_BUFFER, back = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;
	int conf;

	for (conf = 0; conf < 2; conf++) {
		CU_ASSERT_EQUAL(mech_wrap(&minor, a, conf, 0, &msg, NULL, &tok), 0);
		CU_ASSERT_EQUAL(gss_unwrap(&minor, c->ctx, &tok, &back, NULL, NULL), 0);
		CU_ASSERT_TRUE(back.length == msg.length && !memcmp(back.value, msg.value, 11));
		gss_release_buffer(&minor, &tok);
		gss_release_buffer(&minor, &back);
	}
	CU_ASSERT_EQUAL(mech_get_mic(&minor, a, 0, &msg, &tok), 0);
	CU_ASSERT_EQUAL(gss_verify_mic(&minor, c->ctx, &msg, &tok, NULL), 0);
	gss_release_buffer(&minor, &tok);
}

/* The acceptor's part until both sides are done, and some messages. */
static void converse(struct client *c, struct mech_cred *cred, struct acc_answer *a)
{
	acc_own(cred, &c->out, NULL, a);
	if (GSS_ERROR(a->major))
		printf("\n%08x %d %s\n", a->major, (int)a->minor, err_text((err_t)a->minor));
	CU_ASSERT_FALSE_FATAL(GSS_ERROR(a->major));
	if (c->major == GSS_S_CONTINUE_NEEDED)
		client_leg(c, &a->out);
	if (a->major == GSS_S_CONTINUE_NEEDED)
		acc_again(cred, &c->out, a);
	CU_ASSERT_EQUAL_FATAL(c->major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL_FATAL(a->major, GSS_S_COMPLETE);
	messages_to_us(c, a->ctx);
	messages_from_us(c, a->ctx);
}

/* Without replay cache: what the stock acceptor tells about the same request. */
static void same_as_stock(const gss_buffer_desc *token, const struct acc_answer *a, OM_uint32 want)
{
	struct acc_answer s;

	if (want & GSS_C_DCE_STYLE)
		return;
	acc_stock(stock_cred, token, NULL, &s);
	CU_ASSERT_EQUAL(s.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(s.flags, a->flags);
	CU_ASSERT(s.time_rec <= a->time_rec + 20 && a->time_rec <= s.time_rec + 20);
	CU_ASSERT_STRING_EQUAL(s.src, a->src);
	CU_ASSERT_TRUE(mech_oid_equal(s.mech, a->mech));
	/* Sequence numbers take one octet to four. */
	CU_ASSERT(s.out.length <= a->out.length + 3 && a->out.length <= s.out.length + 3);
	acc_answer_fini(&s);
}

static void one(struct side *s, const struct forge_key *k, int32_t session, OM_uint32 want)
{
	gss_buffer_desc first;
	struct acc_answer a;
	struct client c;

	client_start(&c, k, session, want);
	first.length = c.out.length;
	first.value = memcpy(malloc(first.length), c.out.value, first.length);
	converse(&c, s->cred, &a);
	CU_ASSERT_STRING_EQUAL(a.src, ACC_CLIENT);
	CU_ASSERT_EQUAL(a.flags & ~(OM_uint32)(GSS_C_PROT_READY_FLAG), (c.flags |
			GSS_C_TRANS_FLAG) & ~(OM_uint32)GSS_C_PROT_READY_FLAG);
	CU_ASSERT_EQUAL((a.ctx->acceptor_key != NULL),
			(want & (GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE)) != 0);
	CU_ASSERT_PTR_NULL(a.ctx->session_key);
	same_as_stock(&first, &a, want);
	acc_answer_fini(&a);
	client_fini(&c);
	free(first.value);
}

static void matrix_of(struct side *s)
{
	static const OM_uint32 wants[] = {
		COMMON, COMMON | GSS_C_MUTUAL_FLAG, GSS_C_MUTUAL_FLAG, 0,
		COMMON | GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE,
		COMMON | GSS_C_MUTUAL_FLAG | GSS_C_IDENTIFY_FLAG | GSS_C_EXTENDED_ERROR_FLAG,
	};
	size_t i, j;

	for (i = 0; i < N(etypes); i++) {
		for (j = 0; j < N(wants); j++)
			one(s, &s->key[i], etypes[i], wants[j]);
	}
	for (j = 0; j < N(etypes); j++)
		one(s, &s->key[1], etypes[j], COMMON | GSS_C_MUTUAL_FLAG);
}

static void matrix_softhsm(void)
{
	matrix_of(&sides[0]);
}

static void matrix_nss(void)
{
	matrix_of(&sides[1]);
}

/* The acceptor's subkey has the enctype that the stock acceptor's has (RFC 4537). */
static void negotiated(void)
{
	struct side *s = &sides[0];
	static const char *const permitted[] = {
		"", "[libdefaults]\n permitted_enctypes = aes128-sha2 aes256-sha1 aes128-sha1 "
		"aes256-sha2\n",
		"[libdefaults]\n permitted_enctypes = camellia256-cts aes256-sha2 aes128-sha1 "
		"aes256-sha1 aes128-sha2\n",
	};
	size_t i, j;

	for (i = 0; i < N(permitted); i++) {
		acc_environment(permitted[i]);
		for (j = 0; j < N(etypes); j++) {
			struct acc_answer own, stock;
			struct client c;

			client_start(&c, &s->key[1], etypes[j], COMMON | GSS_C_MUTUAL_FLAG);
			acc_stock(stock_cred, &c.out, NULL, &stock);
			CU_ASSERT_EQUAL(stock.major, GSS_S_COMPLETE);
			converse(&c, s->cred, &own);
			/* Subkeys of different enctypes make AP-REPs of different lengths. */
			if (i < 2)
				CU_ASSERT(own.out.length <= stock.out.length + 3 &&
					  stock.out.length <= own.out.length + 3);
			acc_answer_fini(&own);
			acc_answer_fini(&stock);
			client_fini(&c);
		}
	}
	acc_environment(NULL);
}

/* An authenticator without subkey: the session key protects the messages. */
static void no_subkey(void)
{
	struct side *s = &sides[0];
	gss_buffer_desc cksum = acc_cksum(NULL, COMMON, NULL, 0), token;
	struct acc_req r = { .key = &s->key[1], .cksum = &cksum };
	struct acc_answer a;
	unsigned i;

	for (i = 0; i < 2; i++) {
		token = acc_token(&r, NULL);
		acc_own(s->cred, &token, NULL, &a);
		CU_ASSERT_EQUAL_FATAL(a.major, GSS_S_COMPLETE);
		CU_ASSERT_PTR_NOT_NULL(a.ctx->initiator_key);
		if (i == 0)
			CU_ASSERT_EQUAL(a.ctx->send_seq, a.ctx->recv.base)
		else {
			gss_buffer_desc msg = { 3, (void *)(uintptr_t)"abc" }, mic;
			OM_uint32 minor;

			CU_ASSERT_EQUAL(mech_get_mic(&minor, a.ctx, 0, &msg, &mic), 0);
			gss_release_buffer(&minor, &mic);
		}
		acc_answer_fini(&a);
		free(token.value);
		free(cksum.value);
		cksum = acc_cksum(NULL, COMMON | GSS_C_MUTUAL_FLAG, NULL, 0);
		r.options = AP_OPTS_MUTUAL_REQUIRED;
	}
	free(cksum.value);
}

/* ---- the DCE style's third leg ---- */

static void dce_leg_one(struct client *c, struct acc_answer *a)
{
	struct side *s = &sides[0];

	client_start(c, &s->key[3], 20, COMMON | GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE);
	acc_own(s->cred, &c->out, NULL, a);
	CU_ASSERT_EQUAL_FATAL(a->major, GSS_S_CONTINUE_NEEDED);
	CU_ASSERT_EQUAL(a->flags, 0);
	CU_ASSERT_PTR_NULL(a->mech);
	CU_ASSERT_PTR_NULL(a->src);
	CU_ASSERT_EQUAL(a->ctx->state, MECH_WAIT_DCE);
}

static void refuse_third(struct client *c, struct acc_answer *a, const void *p, size_t n, err_t err)
{
	gss_buffer_desc token = { n, (void *)(uintptr_t)p };

	acc_again(sides[0].cred, &token, a);
	CU_ASSERT_EQUAL(a->major, GSS_S_FAILURE);
	if (err)
		CU_ASSERT_EQUAL((err_t)a->minor, err);
	CU_ASSERT_NOT_EQUAL(a->minor, 0);
	CU_ASSERT_PTR_NULL(a->ctx);
	CU_ASSERT_PTR_NULL(a->src);
	acc_answer_fini(a);
	client_fini(c);
}

static void dce_third_leg(void)
{
	struct acc_answer a, other;
	struct client c, c2;
	gss_buffer_desc leg2;
	size_t i;

	/* This side's own AP-REP, reflected. */
	dce_leg_one(&c, &a);
	leg2.value = memcpy(malloc(a.out.length), a.out.value, a.out.length);
	leg2.length = a.out.length;
	refuse_third(&c, &a, leg2.value, leg2.length, KRB5_MUTUAL_FAILED);
	free(leg2.value);
	/* Another context's third leg. */
	dce_leg_one(&c, &a);
	dce_leg_one(&c2, &other);
	client_leg(&c2, &other.out);
	CU_ASSERT_EQUAL(c2.major, GSS_S_COMPLETE);
	refuse_third(&c, &a, c2.out.value, c2.out.length, KRB5KRB_AP_ERR_BAD_INTEGRITY);
	acc_again(sides[0].cred, &c2.out, &other);
	CU_ASSERT_EQUAL(other.major, GSS_S_COMPLETE);
	CU_ASSERT_STRING_EQUAL(other.src, ACC_CLIENT);
	acc_answer_fini(&other);
	client_fini(&c2);
	/* The first leg again, an empty one, a framed one, and cut or altered ones. */
	dce_leg_one(&c, &a);
	leg2.value = memcpy(malloc(c.out.length), c.out.value, c.out.length);
	leg2.length = c.out.length;
	refuse_third(&c, &a, leg2.value, leg2.length, KRB5KRB_AP_ERR_MSG_TYPE);
	free(leg2.value);
	for (i = 0; i < 12; i++) {
		dce_leg_one(&c, &a);
		client_leg(&c, &a.out);
		CU_ASSERT_FATAL(c.major == GSS_S_COMPLETE && c.out.length > 20);
		if (i & 1)
			((uint8_t *)c.out.value)[c.out.length * i / 12] ^= 4;
		refuse_third(&c, &a, c.out.value, c.out.length * (i & 1 ? 12 : i) / 12, 0);
	}
}

/* ---- replay caches ---- */

static void replays(void)
{
	struct side *s = &sides[0];
	char *path = box_path("replays"), *name;
	struct acc_answer a;
	struct client c;
	unsigned i;

	CU_ASSERT_FATAL(asprintf(&name, "file2:%s", path) > 0);
	setenv("KRB5RCACHENAME", name, 1);
	for (i = 0; i < 6; i++) {
		client_start(&c, &s->key[i % 4], etypes[i % 4], COMMON);
		if (i & 1)
			acc_stock(stock_cred, &c.out, NULL, &a);
		else
			acc_own(s->cred, &c.out, NULL, &a);
		CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
		acc_answer_fini(&a);
		acc_own(s->cred, &c.out, NULL, &a);
		CU_ASSERT_EQUAL(a.major, GSS_S_FAILURE);
		CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_AP_ERR_REPEAT);
		acc_answer_fini(&a);
		acc_stock(stock_cred, &c.out, NULL, &a);
		CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_AP_ERR_REPEAT);
		acc_answer_fini(&a);
		/* A credential with a replay cache of its own. */
		s->cred->rcache = (char *)(uintptr_t)"none:";
		acc_own(s->cred, &c.out, NULL, &a);
		CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
		acc_answer_fini(&a);
		s->cred->rcache = NULL;
		client_fini(&c);
	}
	setenv("KRB5RCACHENAME", "none:", 1);
	free(name);
	free(path);
}

/* ---- life ---- */

/* Another process puts a new key on the token; this one finds it by itself. */
static void rotation(void)
{
	struct side *s = &sides[0];
	struct forge_key new;
	struct acc_answer a;
	struct client c;
	int status = -1;
	pid_t pid;

	forge_random_key(&new, s->key[1].principal, 18, s->key[1].kvno + 1);
	client_start(&c, &new, 18, COMMON);
	acc_own(s->cred, &c.out, NULL, &a);
	CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_AP_ERR_BADKEYVER);
	acc_answer_fini(&a);
	pid = fork();
	if (pid == 0) {
		acc_key_to_token(s->box, &new);
		_exit(0);
	}
	CU_ASSERT_TRUE(waitpid(pid, &status, 0) == pid && status == 0);
	sleep(3);
	acc_own(s->cred, &c.out, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
	acc_answer_fini(&a);
	client_fini(&c);
	/* The old key still works. */
	one(s, &s->key[0], 17, COMMON);
}

struct work {
	pthread_t thread;
	unsigned n, good;
};

static void *accept_many(void *arg)
{
	struct work *w = arg;
	gss_buffer_desc cksum = acc_cksum(NULL, COMMON | GSS_C_MUTUAL_FLAG, NULL, 0);
	struct acc_req r = { .key = &sides[w->n & 1].key[w->n / 2 % 4], .cksum = &cksum,
			     .options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
	unsigned i;

	for (i = 0; i < 25; i++) {
		gss_buffer_desc token = acc_token(&r, NULL);
		struct acc_answer a;

		acc_own(sides[w->n & 1].cred, &token, NULL, &a);
		w->good += a.major == GSS_S_COMPLETE;
		acc_answer_fini(&a);
		free(token.value);
	}
	free(cksum.value);
	return NULL;
}

static void threads(void)
{
	struct work w[8] = { { 0 } };
	unsigned i;

	for (i = 0; i < N(w); i++) {
		w[i].n = i;
		CU_ASSERT_EQUAL_FATAL(pthread_create(&w[i].thread, NULL, accept_many, &w[i]), 0);
	}
	for (i = 0; i < N(w); i++) {
		pthread_join(w[i].thread, NULL);
		CU_ASSERT_EQUAL(w[i].good, 25);
	}
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Only told, and bounded loosely: the machine may be busy. */
static void speed(void)
{
	enum { ROUNDS = 200 };
	gss_buffer_desc cksum = acc_cksum(NULL, COMMON | GSS_C_MUTUAL_FLAG, NULL, 0);
	size_t i, j, k;

	for (i = 0; i < N(sides); i++) {
		for (k = 0; k < N(etypes); k++) {
			struct acc_req r = { .key = &sides[i].key[k], .cksum = &cksum,
				.options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
			double best = 1e9, t;

			for (j = 0; j < ROUNDS; j++) {
				gss_buffer_desc token = acc_token(&r, NULL);
				struct acc_answer a;

				t = now_us();
				acc_own(sides[i].cred, &token, NULL, &a);
				t = now_us() - t;
				best = t < best ? t : best;
				CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
				acc_answer_fini(&a);
				free(token.value);
			}
			printf("\n  %s enctype %d: %.0f us", sides[i].box->name, (int)etypes[k], best);
			CU_ASSERT(best < 1e6);
		}
	}
	free(cksum.value);
}

static int setup(void)
{
	static const char *const boxes[] = { "softhsm", "nss" };
	static char names[4][64];
	size_t i, j;

	for (j = 0; j < N(etypes); j++)
		snprintf(names[j], sizeof(names[j]), "HTTP/e%d.test.org@TEST.ORG", (int)etypes[j]);
	for (i = 0; i < N(boxes); i++) {
		sides[i].box = box_token(boxes[i]);
		for (j = 0; j < N(etypes); j++) {
			if (i == 0)
				acc_new_key(sides[i].box, names[j], etypes[j], 5, &sides[i].key[j]);
			else
				acc_key_to_token(sides[i].box, &sides[0].key[j]);
			sides[i].key[j] = sides[0].key[j];
		}
		sides[i].cred = acc_cred(sides[i].box, NULL, NULL);
	}
	stock_cred = acc_stock_cred(NULL, NULL);
	return 0;
}

static int teardown(void)
{
	OM_uint32 ignored;

	mech_cred_free(&sides[0].cred);
	mech_cred_free(&sides[1].cred);
	gss_release_cred(&ignored, &stock_cred);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "matrix on SoftHSM2", matrix_softhsm }, { "matrix on NSS", matrix_nss },
		{ "negotiated enctypes", negotiated }, { "no subkey", no_subkey },
		{ "DCE third leg", dce_third_leg }, { "replays", replays },
		{ "rotation", rotation },
		{ "threads", threads }, { "speed", speed }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("accept", setup, teardown, tests);
}
