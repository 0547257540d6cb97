/* Damaged tokens in buffers, streams, MICs, and calls that must be refused. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/message.h"
#include "tests/lib/array.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

static struct array one, two;

/* ---- damage ---- */

/* The same token in buffers of two's own. */
static void restore(const struct array *a)
{
	const gss_buffer_desc *b;
	int i;

	for (i = 0; i < a->n; i++) {
		b = &a->v[i].buffer;
		two.v[i].type = a->v[i].type & (OM_uint32)~(AL | ALD);
		two.v[i].buffer = (gss_buffer_desc){ b->length, two.room[i] };
		if (b->length)
			memcpy(two.room[i], b->value, b->length);
	}
	two.n = a->n;
}

/* Both judge alike; own leaves every buffer as it was when it refuses. */
static void judge(const struct array_case *k, const struct array *a)
{
	OM_uint32 own, stock;
	int x = -1, y = -1;

	restore(a);
	own = array_unwrap(&array_pairs[k->c].a, true, &x, two.v, two.n);
	array_check(!own || array_same(&two, a), "changed", k);
	restore(a);
	stock = array_unwrap(&array_pairs[k->c].a, false, &y, two.v, two.n);
	if (!array_check(own == stock, "own and stock", k))
		printf(" (%x, %x)", (unsigned)own, (unsigned)stock);
}

/* Every octet changed, every bit of the first 16, and one octet less or more. */
static void damage_piece(struct array_case *k, struct array *a, int i)
{
	gss_buffer_t b = &a->v[i].buffer;
	uint8_t *p = b->value;
	size_t bit;

	for (k->size = 0; k->size < b->length; k->size++) {
		for (bit = 0; bit < (k->size < 16 ? 8 : 1); bit++) {
			p[k->size] ^= (uint8_t)(1 << bit);
			judge(k, a);
			p[k->size] ^= (uint8_t)(1 << bit);
		}
	}
	if (b->length) {
		b->length--;
		judge(k, a);
		b->length++;
	}
	if (!(a->v[i].type & AL)) {
		b->length++;
		judge(k, a);
		b->length--;
	}
}

static void damage_token(struct array_case *k)
{
	int i;

	array_make(&one, array_layouts[k->l], 40);
	array_wrap(&array_pairs[k->c].i, k->conf, k->conf, NULL, &one);
	for (i = 0; i < one.n; i++)
		damage_piece(k, &one, i);
	array_free(&one);
}

static void test_damage(void)
{
	struct array_case k = { 0 };

	for (k.c = 0; k.c < ARRAY_CONFIGS; k.c++) {
		for (k.l = 0; k.l < ARRAY_TOKENS; k.l++) {
			for (k.conf = 0; k.conf < 2; k.conf++)
				damage_token(&k);
		}
	}
}

/* ---- STREAM ---- */

/* SIGN_ONLY, STREAM, DATA, SIGN_ONLY; the text is a's. */
static void stream_once(const struct array_case *k, const gss_buffer_desc *token,
			struct array *a, bool allocate, bool own)
{
	static uint8_t copy[2 * ARRAY_ROOM];
	gss_iov_buffer_desc v[4] = {
		{ SO, { a->v[1].buffer.length, a->text[1] } }, { ST, { token->length, copy } },
		{ D | (allocate ? AL : 0), { 0, NULL } },
		{ SO, { a->v[3].buffer.length, a->text[3] } },
	};
	gss_buffer_desc text = { a->v[2].buffer.length, a->text[2] };
	const uint8_t *data;
	OM_uint32 major;
	int state = -1;

	memcpy(copy, token->value, token->length);
	major = array_unwrap(&array_pairs[k->c].a, own, &state, v, 4);
	if (!array_check(major == GSS_S_COMPLETE, "stream", k))
		return;
	data = v[2].buffer.value;
	array_check(state == k->conf && pair_same(&v[2].buffer, &text), "data", k);
	array_check(!(v[2].type & ALD) == !allocate, "flag", k);
	if (allocate)
		free(v[2].buffer.value);
	else
		array_check(data >= copy && data + text.length <= copy + token->length, "place", k);
}

static void stream_turned(const struct array_case *k)
{
	static const OM_uint32 types[] = { H | AL, SO, D, SO, T | AL, 0 };
	static const size_t turns[] = { 0, 1, 16, 28, 44, 77, 65535 };
	gss_buffer_desc token, turned;
	size_t r;

	if (array_is_dce(k->c))
		return;
	array_make(&one, types, k->size);
	array_wrap(&array_pairs[k->c].i, k->size & 1, k->conf, NULL, &one);
	token = array_token(&one);
	for (r = 0; r < sizeof(turns) / sizeof(turns[0]); r++) {
		turned = pair_rotated(&token, turns[r]);
		stream_once(k, &turned, &one, false, false);
		stream_once(k, &turned, &one, false, true);
		stream_once(k, &turned, &one, true, false);
		stream_once(k, &turned, &one, true, true);
		free(turned.value);
	}
	free(token.value);
	array_free(&one);
}

static void test_stream(void)
{
	array_each(1, stream_turned);
}

/* Both refuse, or both take it; which status it is may differ. */
static void judge_stream(const struct array_case *k, const gss_buffer_desc *token)
{
	gss_iov_buffer_desc v[2] = { { ST, pair_copy(token) }, { D, { 0, NULL } } };
	OM_uint32 own, stock;

	own = array_unwrap(&array_pairs[k->c].a, true, NULL, v, 2);
	array_check(!own || pair_same(&v[0].buffer, token), "changed", k);
	array_check(GSS_ERROR(own) == own, "judged", k);
	memcpy(v[0].buffer.value, token->value, token->length);
	v[1].buffer = (gss_buffer_desc){ 0, NULL };
	stock = array_unwrap(&array_pairs[k->c].a, false, NULL, v, 2);
	array_check(!own == !stock, "own and stock", k);
	free(v[0].buffer.value);
}

static void damage_stream(struct array_case *k)
{
	gss_buffer_desc msg = { 40, one.text[0] }, token, cut;
	OM_uint32 minor;
	uint8_t *p;

	if (array_is_dce(k->c))
		return;
	mech_wrap(&minor, &array_pairs[k->c].i.own, k->conf, 0, &msg, NULL, &token);
	for (k->size = 0; k->size < 8 * token.length; k->size++) {
		p = (uint8_t *)token.value + k->size / 8;
		*p ^= (uint8_t)(1 << k->size % 8);
		judge_stream(k, &token);
		*p ^= (uint8_t)(1 << k->size % 8);
	}
	for (k->size = 1; k->size < token.length; k->size++) {
		cut = (gss_buffer_desc){ k->size, token.value };
		judge_stream(k, &cut);
	}
	free(token.value);
}

static void test_stream_damage(void)
{
	struct array_case k = { 0 };

	for (k.c = 0; k.c < ARRAY_CONFIGS; k.c++) {
		for (k.conf = 0; k.conf < 2; k.conf++)
			damage_stream(&k);
	}
}

/* ---- MIC ---- */

#define MICS 6
static const OM_uint32 mic_layouts[MICS][5] = {
	{ D, M | AL }, { M, D }, { D, D, SO, M }, { SO, M | AL, D }, { M }, { D, P | AL, M | AL },
};

static void mic_once(const struct array_case *k, bool own)
{
	struct pair_side *from = &array_pairs[k->c].i, *to = &array_pairs[k->c].a;
	OM_uint32 minor, major;
	gss_qop_t qop = 4;

	array_make(&one, mic_layouts[k->l], k->size);
	if (own)
		major = mech_get_mic_iov(&minor, &from->own, 0, one.v, one.n);
	else
		major = gss_get_mic_iov(&minor, from->stock, 0, one.v, one.n);
	array_check(major == GSS_S_COMPLETE, "get", k);
	if (own)
		major = gss_verify_mic_iov(&minor, to->stock, &qop, one.v, one.n);
	else
		major = mech_verify_mic_iov(&minor, &to->own, &qop, one.v, one.n);
	array_check(major == GSS_S_COMPLETE && qop == 0 && array_intact(&one), "verify", k);
	array_free(&one);
}

static void mic_ways(const struct array_case *k)
{
	mic_once(k, true);
	mic_once(k, false);
}

/* Lengths as in stock; one octet less is refused. */
static void mic_lengths(const struct array_case *k)
{
	struct pair_side *s = &array_pairs[k->c].i;
	uint64_t seq = s->own.send_seq;
	OM_uint32 minor, major;
	int i;

	array_make(&one, mic_layouts[k->l], 30);
	array_make(&two, mic_layouts[k->l], 30);
	major = mech_get_mic_iov_length(&minor, &s->own, 0, one.v, one.n);
	array_check(major == GSS_S_COMPLETE, "length", k);
	gss_get_mic_iov_length(&minor, s->stock, 0, two.v, two.n);
	for (i = 0; i < one.n; i++) {
		array_check(one.v[i].buffer.length == two.v[i].buffer.length, "lengths", k);
		if (GSS_IOV_BUFFER_TYPE(one.v[i].type) != M)
			continue;
		one.v[i].type = M;
		one.v[i].buffer.value = one.room[i];
		one.v[i].buffer.length--;
	}
	major = mech_get_mic_iov(&minor, &s->own, 0, one.v, one.n);
	array_check(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE
		    && s->own.send_seq == seq, "short", k);
}

static void judge_mic(const struct array_case *k, size_t len)
{
	struct pair_side *s = &array_pairs[k->c].a;
	size_t whole = one.v[0].buffer.length;
	OM_uint32 minor, own, stock;

	one.v[0].buffer.length = len;
	own = mech_verify_mic_iov(&minor, &s->own, NULL, one.v, one.n);
	array_check(GSS_ERROR(own) && minor, "accepted", k);
	/* stock ends the program over an empty token and a bare header */
	if (len && len != 16) {
		stock = gss_verify_mic_iov(&minor, s->stock, NULL, one.v, one.n);
		array_check(own == stock, "own and stock", k);
	}
	one.v[0].buffer.length = whole;
}

static void mic_damage(struct array_case *k)
{
	OM_uint32 minor;
	uint8_t *p;
	size_t n;

	array_make(&one, mic_layouts[1], 30);
	mech_get_mic_iov(&minor, &array_pairs[k->c].i.own, 0, one.v, one.n);
	n = one.v[0].buffer.length;
	for (k->size = 0; k->size < 8 * n; k->size++) {
		p = (uint8_t *)one.v[0].buffer.value + k->size / 8;
		*p ^= (uint8_t)(1 << k->size % 8);
		judge_mic(k, n);
		*p ^= (uint8_t)(1 << k->size % 8);
	}
	for (k->size = 0; k->size < n; k->size++)
		judge_mic(k, k->size);
}

static void test_mic(void)
{
	struct array_case k = { 0 };

	array_each(MICS, mic_ways);
	for (k.c = 0; k.c < ARRAY_CONFIGS; k.c++) {
		for (k.l = 0; k.l < MICS; k.l++)
			mic_lengths(&k);
		mic_damage(&k);
	}
}

/* ---- what must be refused ---- */

static void refused_wrap(const OM_uint32 *types, OM_uint32 want_minor)
{
	struct pair_side *s = &array_pairs[0].i;
	uint64_t seq = s->own.send_seq;
	OM_uint32 minor, major;

	array_make(&one, types, 20);
	major = mech_wrap_iov(&minor, &s->own, 1, 0, NULL, one.v, one.n);
	CU_ASSERT_EQUAL(major, GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, want_minor);
	CU_ASSERT_EQUAL(s->own.send_seq, seq);
	major = gss_wrap_iov(&minor, s->stock, 1, 0, NULL, one.v, one.n);
	CU_ASSERT_EQUAL(major, GSS_S_FAILURE);
}

static void test_arrays(void)
{
	static const OM_uint32 none[] = { D, T, 0 }, twice[] = { H, H, D, T, 0 };
	static const OM_uint32 two_trailers[] = { H, D, T, T, 0 };
	struct pair_side *s = &array_pairs[0].i;
	OM_uint32 minor;
	int state;

	refused_wrap(none, EINVAL);
	refused_wrap(twice, EINVAL);
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &s->own, NULL, NULL, one.v + 2, 2), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);
	CU_ASSERT_EQUAL(mech_get_mic_iov(&minor, &s->own, 0, one.v, 3), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(mech_verify_mic_iov(&minor, &s->own, NULL, one.v, 3), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);

	/* a type that appears twice is absent: the trailer goes into the header */
	array_make(&one, two_trailers, 20);
	array_make(&two, two_trailers, 20);
	CU_ASSERT(!array_wrap(s, true, 1, &state, &one) && !array_wrap(s, false, 1, &state, &two));
	CU_ASSERT_EQUAL(one.v[0].buffer.length, two.v[0].buffer.length);
	CU_ASSERT_EQUAL(one.v[2].buffer.length, two.v[2].buffer.length);
}

static void test_quality(void)
{
	struct mech_ctx *c = &array_pairs[0].i.own;
	OM_uint32 minor;

	array_make(&one, array_layouts[0], 20);
	CU_ASSERT_EQUAL(mech_wrap_iov(&minor, c, 1, 3, NULL, one.v, one.n), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(minor, 2249944328u);
	CU_ASSERT_EQUAL(mech_wrap_iov_length(&minor, c, 1, 3, NULL, one.v, 3), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(mech_get_mic_iov(&minor, c, 3, one.v, 3), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(mech_get_mic_iov_length(&minor, c, 3, one.v, 3), GSS_S_BAD_QOP);
}

static void test_reflected(void)
{
	struct pair_side *s = &array_pairs[0].i;
	OM_uint32 minor;

	array_make(&one, array_layouts[0], 20);
	CU_ASSERT(!array_wrap(s, true, 1, NULL, &one));
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &s->own, NULL, NULL, one.v, 3), GSS_S_BAD_SIG);
	CU_ASSERT_EQUAL((int32_t)minor, G_BAD_DIRECTION);
	array_free(&one);
}

static void test_impossible_lengths(void)
{
	struct mech_ctx *c = &array_pairs[0].i.own;
	OM_uint32 minor, major;

	array_make(&one, array_layouts[0], 20);
	one.v[1].buffer.length = SIZE_MAX;
	major = mech_wrap_iov(&minor, c, 1, 0, NULL, one.v, 3);
	CU_ASSERT(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE);
	one.v[1].buffer = (gss_buffer_desc){ 5, NULL };
	major = mech_wrap_iov(&minor, c, 1, 0, NULL, one.v, 3);
	CU_ASSERT(major == GSS_S_FAILURE && minor == EINVAL);
	CU_ASSERT(!(one.v[0].type & ALD) && !(one.v[2].type & ALD));
}

static void refused_stream(struct mech_ctx *c, size_t len, void *octets, int n, OM_uint32 want)
{
	gss_iov_buffer_desc v[3] = {
		{ ST, { len, octets } }, { D, { 0, NULL } }, { D, { 0, NULL } },
	};
	OM_uint32 minor = 0, major = mech_unwrap_iov(&minor, c, NULL, NULL, v, n);

	CU_ASSERT_EQUAL(major, want);
	CU_ASSERT(want != GSS_S_FAILURE || minor == EINVAL);
	CU_ASSERT(minor != 0);
}

static void test_streams(void)
{
	struct mech_ctx *c = &array_pairs[0].a.own;

	refused_stream(c, 30, one.room[0], 1, GSS_S_FAILURE);
	refused_stream(c, 30, one.room[0], 3, GSS_S_FAILURE);
	refused_stream(&array_pairs[5].a.own, 30, one.room[0], 2, GSS_S_FAILURE);
	refused_stream(c, 30, NULL, 2, GSS_S_DEFECTIVE_TOKEN);
	refused_stream(c, 0, one.room[0], 2, GSS_S_DEFECTIVE_TOKEN);
}

static void test_states(void)
{
	struct mech_ctx *c = &array_pairs[0].a.own;
	OM_uint32 minor;

	array_make(&one, array_layouts[0], 20);
	c->state = MECH_DELETED;
	CU_ASSERT_EQUAL(mech_wrap_iov(&minor, c, 1, 0, NULL, one.v, 3), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, c, NULL, NULL, one.v, 3), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(mech_verify_mic_iov(&minor, c, NULL, one.v, 3), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(minor, 39756039);
	c->state = MECH_ESTABLISHED;
}

/* A failed operation frees what was allocated and gives the number back. */
static void test_failed_operation(void)
{
	static const OM_uint32 usual[] = { H | AL, SO, D, T | AL, 0 };
	struct mech_ctx c = array_pairs[0].i.own;
	struct keys_pair bare;
	OM_uint32 minor;
	int conf, i;

	keys_pair_make(keys_token("softhsm"), 17, &bare);
	c.acceptor_key = bare.key;
	for (conf = 0; conf < 2; conf++) {
		array_make(&one, usual, 3000);
		CU_ASSERT_EQUAL(mech_wrap_iov(&minor, &c, conf, 0, NULL, one.v, one.n),
				GSS_S_FAILURE);
		CU_ASSERT_EQUAL((err_t)minor, ERR_INTERNAL);
		CU_ASSERT_EQUAL(c.send_seq, array_pairs[0].i.own.send_seq);
		CU_ASSERT(array_intact(&one));
		for (i = 0; i < one.n; i++)
			CU_ASSERT(!(one.v[i].type & ALD));
	}
	ks_key_unref(&bare.key);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "damage", test_damage },
		{ "stream", test_stream },
		{ "damaged stream", test_stream_damage },
		{ "mic", test_mic },
		{ "arrays", test_arrays },
		{ "quality of protection", test_quality },
		{ "reflected", test_reflected },
		{ "impossible lengths", test_impossible_lengths },
		{ "streams that cannot be", test_streams },
		{ "states", test_states },
		{ "failed operation", test_failed_operation },
		CU_TEST_INFO_NULL,
	};
	int status;

	array_pairs_make();
	status = box_suite("iov, received", NULL, NULL, tests);
	array_pairs_free();
	return status;
}
