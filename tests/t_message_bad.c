/* Tokens and calls that must be refused, judged beside the stock mechanism. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/message.h"
#include "tests/lib/keys.h"
#include "tests/lib/msg.h"

/* Own and stock acceptor judge the same token; stock gets a copy, as it writes into it. */
static void judge(struct pair *p, const gss_buffer_desc *token, const gss_buffer_desc *msg,
		  const char *what, size_t config, size_t n)
{
	gss_buffer_desc in = pair_copy(token), scratch = pair_copy(token);
	gss_buffer_desc plain = GSS_C_EMPTY_BUFFER, theirs = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 0, ignored, own, stock;
	int state;

	own = mech_unwrap(&minor, &p->a.own, &in, &plain, &state, NULL);
	msg_check(pair_same(&in, token), "input changed", config, n);
	msg_check(own == GSS_S_COMPLETE || (minor && !plain.value && !plain.length && !state),
	      "outputs of a failure", config, n);
	msg_check(own == GSS_S_COMPLETE ? pair_same(&plain, msg)
				    : own == GSS_S_DEFECTIVE_TOKEN || own == GSS_S_BAD_SIG,
	      what, config, n);
	stock = gss_unwrap(&ignored, p->a.stock, &scratch, &theirs, NULL, NULL);
	if (own != stock)
		printf("\n    own %x, stock %x", (unsigned)own, (unsigned)stock);
	msg_check(own == stock, what, config, n);
	free(in.value);
	free(scratch.value);
	free(plain.value);
	/* stock leaves pointers to freed memory behind some failures */
	if (stock == GSS_S_COMPLETE)
		free(theirs.value);
}

static void test_damage(void)
{
	gss_buffer_desc msg = msg_text(45), token, cut;
	OM_uint32 minor;
	size_t c, i;
	int conf;

	for (c = 0; c < MSG_CONFIGS; c++) {
		for (conf = 0; conf < 2; conf++) {
			mech_wrap(&minor, &msg_pairs[c].i.own, conf, 0, &msg, NULL, &token);
			for (i = 1; i < token.length; i++) {
				cut = (gss_buffer_desc){ i, token.value };
				judge(&msg_pairs[c], &cut, &msg, "cut", c, i);
			}
			for (i = 0; i < 8 * token.length; i++) {
				uint8_t *p = (uint8_t *)token.value + i / 8;

				*p ^= (uint8_t)(1 << i % 8);
				judge(&msg_pairs[c], &token, &msg, "flipped", c, i);
				*p ^= (uint8_t)(1 << i % 8);
			}
			free(token.value);
		}
	}
}

static void test_damaged_mic(void)
{
	gss_buffer_desc msg = msg_text(45), token, cut, other;
	OM_uint32 minor, own, stock;
	size_t c, i;

	for (c = 0; c < MSG_CONFIGS; c++) {
		other = pair_copy(&msg);
		mech_get_mic(&minor, &msg_pairs[c].i.own, 0, &msg, &token);
		for (i = 1; i < token.length; i++) {
			cut = (gss_buffer_desc){ i, token.value };
			own = mech_verify_mic(&minor, &msg_pairs[c].a.own, &msg, &cut, NULL);
			msg_check(minor && GSS_ERROR(own), "cut mic", c, i);
			stock = gss_verify_mic(&minor, msg_pairs[c].a.stock, &msg, &cut, NULL);
			msg_check(own == stock, "cut mic and stock", c, i);
		}
		for (i = 0; i < 8 * token.length; i++) {
			uint8_t *p = (uint8_t *)token.value + i / 8;

			*p ^= (uint8_t)(1 << i % 8);
			own = mech_verify_mic(&minor, &msg_pairs[c].a.own, &msg, &token, NULL);
			msg_check(minor && GSS_ERROR(own), "flipped mic", c, i);
			stock = gss_verify_mic(&minor, msg_pairs[c].a.stock, &msg, &token, NULL);
			msg_check(own == stock, "flipped mic and stock", c, i);
			*p ^= (uint8_t)(1 << i % 8);
		}
		for (i = 0; i < msg.length; i++) {
			uint8_t *p = (uint8_t *)other.value + i;

			*p ^= 1;
			own = mech_verify_mic(&minor, &msg_pairs[c].a.own, &other, &token, NULL);
			msg_check(own == GSS_S_BAD_SIG, "flipped message", c, i);
			*p ^= 1;
		}
		free(other.value);
		free(token.value);
	}
}

static void test_refusals(void)
{
	gss_buffer_desc msg = msg_text(10), token, mic, plain, empty = GSS_C_EMPTY_BUFFER;
	gss_buffer_desc hole = { 10, NULL }, huge = { SIZE_MAX, msg_octets };
	struct pair *p = &msg_pairs[1];
	OM_uint32 minor, max = 9, major;
	uint64_t seq;

	mech_wrap(&minor, &p->i.own, 1, 0, &msg, NULL, &token);
	mech_get_mic(&minor, &p->i.own, 0, &msg, &mic);

	/* reflected, and the wrong kind */
	CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->i.own, &token, &plain, NULL, NULL), GSS_S_BAD_SIG);
	CU_ASSERT_EQUAL((int32_t)minor, G_BAD_DIRECTION);
	CU_ASSERT_EQUAL(mech_verify_mic(&minor, &p->i.own, &msg, &mic, NULL), GSS_S_BAD_SIG);
	CU_ASSERT_EQUAL((int32_t)minor, G_BAD_DIRECTION);
	CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->a.own, &mic, &plain, NULL, NULL),
			GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL(mech_verify_mic(&minor, &p->a.own, &msg, &token, NULL),
			GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->a.own, &empty, &plain, NULL, NULL),
			GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL(mech_verify_mic(&minor, &p->a.own, &msg, &empty, NULL),
			GSS_S_DEFECTIVE_TOKEN);

	CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->a.own, &hole, &plain, NULL, NULL),
			GSS_S_DEFECTIVE_TOKEN);

	/* quality of protection */
	seq = p->i.own.send_seq;
	CU_ASSERT_EQUAL(mech_wrap(&minor, &p->i.own, 1, 1, &msg, NULL, &plain), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(minor, 2249944328u);
	CU_ASSERT_EQUAL(mech_get_mic(&minor, &p->i.own, 7, &msg, &plain), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(minor, 2249944328u);
	CU_ASSERT_EQUAL(mech_wrap_size_limit(&minor, &p->i.own, 1, 1, 100, &max), GSS_S_BAD_QOP);

	/* lengths that cannot be */
	major = mech_wrap(&minor, &p->i.own, 1, 0, &huge, NULL, &plain);
	CU_ASSERT(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE);
	huge.length = (size_t)INT32_MAX;
	major = mech_get_mic(&minor, &p->i.own, 0, &huge, &plain);
	CU_ASSERT(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE);
	huge.length = (size_t)INT32_MAX + 1;
	huge.value = token.value;
	CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->a.own, &huge, &plain, NULL, NULL),
			GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL(mech_wrap(&minor, &p->i.own, 1, 0, &hole, NULL, &plain), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);
	CU_ASSERT_EQUAL(p->i.own.send_seq, seq);

	free(token.value);
	free(mic.value);
}

static void test_states(void)
{
	static const enum mech_state states[] = { MECH_FRESH, MECH_WAIT_DCE, MECH_DELETED };
	gss_buffer_desc msg = msg_text(10), out = { 1, msg_octets };
	struct mech_ctx *c = &msg_pairs[1].a.own;
	OM_uint32 minor, max;
	size_t i;

	for (i = 0; i < 3; i++) {
		c->state = states[i];
		CU_ASSERT_EQUAL(mech_wrap(&minor, c, 1, 0, &msg, NULL, &out), GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(minor, 39756039);
		CU_ASSERT(!out.value && !out.length);
		CU_ASSERT_EQUAL(mech_get_mic(&minor, c, 0, &msg, &out), GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(mech_unwrap(&minor, c, &msg, &out, NULL, NULL), GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(mech_verify_mic(&minor, c, &msg, &msg, NULL), GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(mech_wrap_size_limit(&minor, c, 1, 0, 99, &max), GSS_S_NO_CONTEXT);
		CU_ASSERT_EQUAL(minor, 39756039);
	}
	c->state = MECH_ESTABLISHED;
}

/* A key that was not prepared stands in for one that is lost: numbers are not used up. */
static void test_failed_operation(void)
{
	struct pair *p = &msg_pairs[1];
	struct keys_pair bare;
	struct mech_ctx c = p->i.own;
	gss_buffer_desc msg = msg_text(10), out = { 1, msg_octets };
	OM_uint32 minor;

	keys_pair_make(keys_token("softhsm"), 18, &bare);
	c.acceptor_key = bare.key;
	CU_ASSERT_EQUAL(mech_wrap(&minor, &c, 1, 0, &msg, NULL, &out), GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)minor, ERR_INTERNAL);
	CU_ASSERT(!out.value && !out.length);
	CU_ASSERT_EQUAL(mech_wrap(&minor, &c, 0, 0, &msg, NULL, &out), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(mech_get_mic(&minor, &c, 0, &msg, &out), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(c.send_seq, p->i.own.send_seq);

	c.initiator = false;
	mech_wrap(&minor, &p->i.own, 1, 0, &msg, NULL, &out);
	msg = out;
	CU_ASSERT_EQUAL(mech_unwrap(&minor, &c, &msg, &out, NULL, NULL), GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)minor, ERR_INTERNAL);
	free(msg.value);
	ks_key_unref(&bare.key);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "damage", test_damage },
		{ "damaged mic", test_damaged_mic },
		{ "refusals", test_refusals },
		{ "states", test_states },
		{ "failed operation", test_failed_operation },
		CU_TEST_INFO_NULL,
	};

	return msg_run("refused messages", tests);
}
