/* Tokens in the caller's buffers: what either mechanism makes, the other reads. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/message.h"
#include "tests/lib/array.h"
#include "tests/lib/box.h"

static struct array one, two;

static bool has_data(const OM_uint32 *types)
{
	for (; *types; types++) {
		if (GSS_IOV_BUFFER_TYPE(*types) == D)
			return true;
	}
	return false;
}

/* ---- both directions ---- */

static void round_trip(const struct array_case *k, bool own)
{
	struct pair *p = &array_pairs[k->c];
	struct pair_side *from = k->size & 1 ? &p->a : &p->i, *to = k->size & 1 ? &p->i : &p->a;
	int state = -1, got = -1;
	OM_uint32 major;

	array_make(&one, array_layouts[k->l], k->size);
	major = array_wrap(from, own, k->conf, &state, &one);
	if (!array_check(major == GSS_S_COMPLETE, "wrap", k))
		return;
	array_check(state == (k->conf && has_data(array_layouts[k->l])), "state of wrap", k);
	major = array_unwrap(to, !own, &got, one.v, one.n);
	array_check(major == GSS_S_COMPLETE, own ? "own to stock" : "stock to own", k);
	array_check(got == state && array_intact(&one), "text", k);
	array_free(&one);
}

static void both_ways(const struct array_case *k)
{
	round_trip(k, true);
	round_trip(k, false);
}

static void test_layouts(void)
{
	array_each(ARRAY_LAYOUTS, both_ways);
}

/* ---- the same token ---- */

/* Lengths, types and the headers' first half are the stock mechanism's. */
static bool same_shape(const struct array *a, const struct array *b)
{
	int i;

	for (i = 0; i < a->n; i++) {
		if (a->v[i].type != b->v[i].type
		    || a->v[i].buffer.length != b->v[i].buffer.length)
			return false;
		if (GSS_IOV_BUFFER_TYPE(a->v[i].type) == H
		    && memcmp(a->v[i].buffer.value, b->v[i].buffer.value, 8))
			return false;
	}
	return true;
}

/* What is only signed is the same octet for octet, for it has the same number. */
static void same_token(const struct array_case *k)
{
	struct pair_side *s = &array_pairs[k->c].i;
	int x = -1, y = -2;

	array_make(&one, array_layouts[k->l], k->size);
	two = one;
	array_point(&two);
	array_wrap(s, true, k->conf, &x, &one);
	array_wrap(s, false, k->conf, &y, &two);
	array_check(x == y && same_shape(&one, &two), "shape", k);
	array_check(x || array_same(&one, &two), "octets", k);
	array_free(&one);
	array_free(&two);
}

static void test_shape(void)
{
	size_t c;

	for (c = 0; c < ARRAY_CONFIGS; c++)
		pair_reset(&array_pairs[c].i);
	array_each(ARRAY_LAYOUTS, same_token);
}

/* ---- as plain tokens ---- */

static size_t text_length(const struct array *a)
{
	size_t n = 0;
	int i;

	for (i = 0; i < a->n; i++) {
		if (array_is_text(a->v[i].type))
			n += a->v[i].buffer.length;
	}
	return n;
}

static void plain_once(const struct array_case *k, bool own)
{
	struct pair *p = &array_pairs[k->c];
	gss_buffer_desc token, plain, first;
	OM_uint32 minor, major;

	array_make(&one, array_layouts[k->l], k->size);
	array_wrap(&p->i, own, k->conf, NULL, &one);
	token = array_token(&one);
	if (own)
		major = gss_unwrap(&minor, p->a.stock, &token, &plain, NULL, NULL);
	else
		major = mech_unwrap(&minor, &p->a.own, &token, &plain, NULL, NULL);
	if (!array_check(major == GSS_S_COMPLETE && plain.length == text_length(&one), "plain", k))
		return;
	first = (gss_buffer_desc){ one.v[1].buffer.length, one.text[1] };
	array_check(!first.length || !memcmp(plain.value, first.value, first.length), "text", k);
	free(plain.value);
	free(token.value);
	array_free(&one);
}

static void plain_ways(const struct array_case *k)
{
	/* the DCE style's rotation without a trailer is not the RFC's */
	if (array_is_dce(k->c) && (k->l == 2 || k->l == 4 || k->l == 5))
		return;
	plain_once(k, true);
	plain_once(k, false);
}

static void test_plain(void)
{
	array_each(ARRAY_PLAIN, plain_ways);
}

/* ---- lengths ---- */

/* The same lengths as stock, and they are enough. */
static void length_once(const struct array_case *k)
{
	struct pair_side *s = &array_pairs[k->c].i;
	int x = -1, y = -2, i;

	array_make(&one, array_layouts[k->l], k->size);
	two = one;
	array_check(!array_lengths(s, true, k->conf, &x, &one), "own lengths", k);
	array_check(!array_lengths(s, false, k->conf, &y, &two), "stock lengths", k);
	array_check(x == y, "state", k);
	for (i = 0; i < one.n; i++) {
		array_check(one.v[i].type == two.v[i].type
			    && one.v[i].buffer.length == two.v[i].buffer.length
			    && !one.v[i].buffer.value == !two.v[i].buffer.value, "lengths", k);
		one.v[i].type = GSS_IOV_BUFFER_TYPE(one.v[i].type);
	}
	array_point(&one);
	array_check(!array_wrap(s, true, k->conf, &x, &one), "enough", k);
}

static void test_lengths(void)
{
	array_each(ARRAY_LAYOUTS, length_once);
}

/* Nothing is left of a call that failed. */
static void check_undone(const struct array *a, const struct array_case *k)
{
	int i;

	for (i = 0; i < a->n; i++) {
		array_check(!(a->v[i].type & ALD), "flag", k);
		array_check(!(a->v[i].type & AL) || !a->v[i].buffer.value, "freed", k);
	}
	array_check(array_intact(a), "intact", k);
}

/* One octet less than enough in the header or trailer of a small layout. */
static void short_once(const struct array_case *k, const OM_uint32 *types, int piece)
{
	struct pair_side *s = &array_pairs[k->c].i;
	uint64_t seq = s->own.send_seq;
	OM_uint32 minor, major;
	size_t len;

	array_make(&one, types, 50);
	if (piece >= one.n || types[piece] & AL)
		return;
	array_lengths(s, true, k->conf, NULL, &one);
	array_point(&one);
	len = --one.v[piece].buffer.length;
	major = mech_wrap_iov(&minor, &s->own, k->conf, 0, NULL, one.v, one.n);
	array_check(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE,
		    "refused", k);
	array_check(one.v[piece].buffer.length == len && s->own.send_seq == seq, "unchanged", k);
	check_undone(&one, k);
}

static void test_short_buffers(void)
{
	static const OM_uint32 types[][4] = {
		{ H, D, T }, { H, D }, { H, D, T | AL }, { H | AL, D, T },
	};
	struct array_case k = { 0 };

	for (k.c = 0; k.c < ARRAY_CONFIGS; k.c++) {
		for (k.l = 0; k.l < 4; k.l++) {
			for (k.conf = 0; k.conf < 2; k.conf++) {
				short_once(&k, types[k.l], 0);
				short_once(&k, types[k.l], 2);
			}
		}
	}
}

/* ---- AEAD ---- */

static bool aead_wrap(struct pair_side *s, bool own, const struct array_case *k,
		      gss_buffer_t assoc, gss_buffer_t token)
{
	gss_buffer_desc msg = { k->size, one.text[0] };
	OM_uint32 minor, major;
	int state = -1;

	if (own)
		major = mech_wrap_aead(&minor, &s->own, k->conf, 0, assoc, &msg, &state, token);
	else
		major = gss_wrap_aead(&minor, s->stock, k->conf, 0, assoc, &msg, &state, token);
	return major == GSS_S_COMPLETE && state == k->conf;
}

static void aead_unwrap(struct pair_side *s, bool own, const struct array_case *k,
			gss_buffer_t assoc, gss_buffer_t token)
{
	gss_buffer_desc msg = { k->size, one.text[0] }, plain = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, major;
	int got = -1;

	if (own)
		major = mech_unwrap_aead(&minor, &s->own, token, assoc, &plain, &got, NULL);
	else
		major = gss_unwrap_aead(&minor, s->stock, token, assoc, &plain, &got, NULL);
	array_check(major == GSS_S_COMPLETE && got == k->conf, "aead", k);
	array_check(pair_same(&plain, &msg), "aead text", k);
	free(plain.value);
}

static void aead_once(const struct array_case *k, bool own, gss_buffer_t assoc)
{
	struct pair *p = &array_pairs[k->c];
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER, plain;
	OM_uint32 minor, major;

	if (!array_check(aead_wrap(&p->i, own, k, assoc, &token), "aead wrap", k))
		return;
	/* In the DCE style stock cannot read its own: it has no STREAM there. */
	aead_unwrap(&p->a, !own || array_is_dce(k->c), k, assoc, &token);
	if (assoc && assoc->length) {
		*(uint8_t *)assoc->value ^= 1;
		major = mech_unwrap_aead(&minor, &p->a.own, &token, assoc, &plain, NULL, NULL);
		array_check(major == GSS_S_BAD_SIG && minor && !plain.value, "aead damaged", k);
		*(uint8_t *)assoc->value ^= 1;
	}
	free(token.value);
}

static void aead_ways(const struct array_case *k)
{
	gss_buffer_desc assoc = { k->size / 2, one.text[1] };

	aead_once(k, true, &assoc);
	aead_once(k, false, &assoc);
	aead_once(k, true, NULL);
	aead_once(k, false, NULL);
}

static void test_aead(void)
{
	array_each(1, aead_ways);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "layouts", test_layouts },
		{ "shape", test_shape },
		{ "plain", test_plain },
		{ "lengths", test_lengths },
		{ "short buffers", test_short_buffers },
		{ "aead", test_aead },
		CU_TEST_INFO_NULL,
	};
	int status;

	array_pairs_make();
	status = box_suite("iov", NULL, NULL, tests);
	array_pairs_free();
	return status;
}
