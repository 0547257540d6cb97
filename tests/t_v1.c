/* The names of GSS-API version 1 (RFC 1508): sign, verify, seal, unseal, with a stock peer. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static const struct box_token *tokens;
static size_t n_tokens;
static OM_uint32 minor, ignored;

#define MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG)

/* Of a copy: the stock mechanism decrypts where the token lies. */
static OM_uint32 unseal(gss_ctx_id_t to, const gss_buffer_desc *token, gss_buffer_t out, int *state,
			int *qop)
{
	gss_buffer_desc copy = { token->length, malloc(token->length) };
	OM_uint32 major;

	memcpy(copy.value, token->value, token->length);
	major = gss_unseal(&minor, to, &copy, out, state, qop);
	free(copy.value);
	return major;
}

static void sealed(gss_ctx_id_t from, gss_ctx_id_t to, int conf)
{
	gss_buffer_desc in = show_text("a message of version 1"), token, out;
	int state = -1, qop = 7;

	CU_ASSERT_EQUAL(gss_seal(&minor, from, conf, GSS_C_QOP_DEFAULT, &in, &state, &token),
			GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(state, conf);
	state = -1;
	CU_ASSERT_EQUAL(unseal(to, &token, &out, &state, &qop), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(state, conf);
	CU_ASSERT_EQUAL(qop, GSS_C_QOP_DEFAULT);
	CU_ASSERT_TRUE(out.length == in.length && !memcmp(out.value, in.value, in.length));
	gss_release_buffer(&ignored, &out);
	CU_ASSERT_EQUAL(unseal(to, &token, &out, NULL, NULL), GSS_S_DUPLICATE_TOKEN);
	gss_release_buffer(&ignored, &out);
	((uint8_t *)token.value)[token.length - 1] ^= 1;
	CU_ASSERT_EQUAL(unseal(to, &token, &out, NULL, NULL), GSS_S_BAD_SIG);
	CU_ASSERT_EQUAL(out.length, 0);
	gss_release_buffer(&ignored, &token);
}

static void signed_one(gss_ctx_id_t from, gss_ctx_id_t to)
{
	gss_buffer_desc in = show_text("a message of version 1"), mic;
	int qop = 7;

	CU_ASSERT_EQUAL(gss_sign(&minor, from, GSS_C_QOP_DEFAULT, &in, &mic), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_verify(&minor, to, &in, &mic, &qop), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(qop, GSS_C_QOP_DEFAULT);
	in = show_text("another message");
	CU_ASSERT_EQUAL(gss_verify(&minor, to, &in, &mic, &qop), GSS_S_BAD_SIG);
	gss_release_buffer(&ignored, &mic);
}

static void bad_qop(gss_ctx_id_t c)
{
	gss_buffer_desc in = show_text("x"), out;
	int state = -1;

	CU_ASSERT_EQUAL(gss_sign(&minor, c, 9, &in, &out), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(gss_seal(&minor, c, 1, 9, &in, &state, &out), GSS_S_BAD_QOP);
}

static void way(const struct box_token *i, const struct box_token *a, OM_uint32 flags)
{
	struct talk_want w = { .own_i = i, .own_a = a, .flags = flags };
	struct talk t;

	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	for (int conf = 0; conf < 2; conf++) {
		sealed(t.i, t.a, conf);
		sealed(t.a, t.i, conf);
	}
	signed_one(t.i, t.a);
	signed_one(t.a, t.i);
	bad_qop(t.i);
	bad_qop(t.a);
	talk_drop(&t);
}

static void own_acceptor(void)
{
	for (size_t n = 0; n < n_tokens; n++) {
		way(NULL, &tokens[n], MUTUAL);
		way(NULL, &tokens[n], GSS_C_REPLAY_FLAG);
	}
}

static void own_initiator(void)
{
	for (size_t n = 0; n < n_tokens; n++) {
		way(&tokens[n], NULL, MUTUAL);
		way(&tokens[n], NULL, GSS_C_REPLAY_FLAG);
	}
}

static void both(void)
{
	for (size_t n = 0; n < n_tokens; n++)
		way(&tokens[n], &tokens[n_tokens - 1 - n], MUTUAL);
}

/* A context that waits for its third leg, and none at all. */
static void not_established(void)
{
	struct talk_want w = { .own_a = &tokens[0], .flags = MUTUAL | GSS_C_DCE_STYLE };
	gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out, msg = show_text("x");
	gss_ctx_id_t contexts[2];
	struct talk t;
	int state;

	talk_ready(&w, &t);
	CU_ASSERT_EQUAL(talk_init(&w, &t, &in, &out), GSS_S_CONTINUE_NEEDED);
	CU_ASSERT_EQUAL(talk_accept(&w, &t, &out, &in), GSS_S_CONTINUE_NEEDED);
	gss_release_buffer(&ignored, &out);
	gss_release_buffer(&ignored, &in);
	contexts[0] = t.a;
	contexts[1] = GSS_C_NO_CONTEXT;
	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(GSS_ROUTINE_ERROR(gss_sign(&minor, contexts[i], 0, &msg, &out)),
				GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(GSS_ROUTINE_ERROR(gss_verify(&minor, contexts[i], &msg, &msg, NULL)),
				GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(GSS_ROUTINE_ERROR(gss_seal(&minor, contexts[i], 1, 0, &msg, &state,
							   &out)), GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(GSS_ROUTINE_ERROR(gss_unseal(&minor, contexts[i], &msg, &out, &state,
							     NULL)), GSS_S_NO_CONTEXT);
	}
	talk_drop(&t);
}

static int setup(void)
{
	tokens = box_tokens(&n_tokens);
	return n_tokens ? 0 : 1;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "not established", not_established }, { "own acceptor", own_acceptor },
		{ "own initiator", own_initiator }, { "both own", both }, CU_TEST_INFO_NULL,
	};

	return box_suite("version 1", setup, NULL, tests);
}
