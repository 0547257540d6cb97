/* Tokens in the caller's buffers, against the stock mechanism with the same keys. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/message.h"
#include "tests/lib/keys.h"
#include "tests/lib/pair.h"

enum {
	H = GSS_IOV_BUFFER_TYPE_HEADER, D = GSS_IOV_BUFFER_TYPE_DATA,
	P = GSS_IOV_BUFFER_TYPE_PADDING, T = GSS_IOV_BUFFER_TYPE_TRAILER,
	ST = GSS_IOV_BUFFER_TYPE_STREAM, SO = GSS_IOV_BUFFER_TYPE_SIGN_ONLY,
	M = GSS_IOV_BUFFER_TYPE_MIC_TOKEN, E = GSS_IOV_BUFFER_TYPE_EMPTY,
	AL = GSS_IOV_BUFFER_FLAG_ALLOCATE, ALD = GSS_IOV_BUFFER_FLAG_ALLOCATED
};

#define PIECES 8
#define ROOM 4096                /* octets of one piece at most */

static const struct {
	struct pair_want want;
	const char *token;
} configs[] = {
	{ { 17, "aes128-cts", GSS_C_MUTUAL_FLAG }, "softhsm" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG }, "nss" },
	{ { 19, "aes128-sha2", GSS_C_MUTUAL_FLAG }, "softhsm" },
	{ { 20, "aes256-sha2", 0 }, "nss" },
	{ { 20, "aes256-cts aes256-sha2", GSS_C_MUTUAL_FLAG }, "softhsm" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE }, "softhsm" },
	{ { 20, "aes256-sha2", GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE }, "softhsm" },
};
#define CONFIGS (sizeof(configs) / sizeof(configs[0]))

/* Arrays of buffers; the zero type ends one. */
static const OM_uint32 layouts[][PIECES + 1] = {
	{ H | AL, D, T | AL },
	{ H | AL, D, P | AL, T | AL },
	{ H | AL, D },
	{ H, D, T },
	{ H, D },
	{ H, D, P },
	{ H, D, D, D, T },
	{ H | AL, SO, D, T | AL },
	{ H | AL, D, SO, T | AL },
	{ H | AL, SO, D, SO, P, T | AL },
	{ SO, H, D, T },
	{ H | AL, SO, D, SO, D, SO },
	{ H, SO, SO, D, D, SO, SO, T },
	{ D, H, SO, T | AL },
	{ T, D, H },
	{ H | AL, SO, T | AL },          /* no DATA: integrity only */
	{ H, SO },
	{ H, T },
	{ H, E, D, T },
};
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static const size_t sizes[] = { 0, 1, 15, 16, 17, 31, 32, 33, 100, 1000, 2100, 4096 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static struct pair pairs[CONFIGS];
static const char *where = "";

static bool check(bool ok, const char *what, size_t config, size_t layout, size_t n)
{
	if (!ok)
		printf("\n    %s, %s: config %zu, layout %zu, case %zu", where, what, config,
		       layout, n);
	CU_ASSERT(ok);
	return ok;
}

static bool is_dce(size_t config)
{
	return configs[config].want.flags & GSS_C_DCE_STYLE;
}

/* ---- arrays of buffers ---- */

struct array {
	gss_iov_buffer_desc v[PIECES];
	int n;
	uint8_t room[PIECES][ROOM + 64], text[PIECES][ROOM];
};

static bool is_text(OM_uint32 type)
{
	return GSS_IOV_BUFFER_TYPE(type) == D || GSS_IOV_BUFFER_TYPE(type) == SO;
}

/* Fills in text of about this size, and room where nothing is allocated. */
static void array_make(struct array *a, const OM_uint32 *types, size_t size)
{
	size_t len;
	int i;

	memset(a->v, 0, sizeof(a->v));
	for (i = 0; i < PIECES && types[i]; i++) {
		a->v[i].type = types[i];
		a->v[i].buffer.value = a->room[i];
		a->v[i].buffer.length = sizeof(a->room[i]);
		if (types[i] & AL || types[i] == E)
			a->v[i].buffer = (gss_buffer_desc){ 0, NULL };
		if (!is_text(types[i]))
			continue;
		len = size > (size_t)i ? size - (size_t)i : 0;
		a->v[i].buffer.length = len;
		keys_fill(a->text[i], len);
		memcpy(a->room[i], a->text[i], len);
	}
	a->n = i;
}

static void array_free(struct array *a)
{
	OM_uint32 minor;

	gss_release_iov_buffer(&minor, a->v, a->n);
}

/* The text is what it was. */
static bool array_intact(const struct array *a)
{
	int i;

	for (i = 0; i < a->n; i++) {
		if (is_text(a->v[i].type)
		    && memcmp(a->v[i].buffer.value, a->text[i], a->v[i].buffer.length))
			return false;
	}
	return true;
}

static bool has_data(const struct array *a)
{
	int i;

	for (i = 0; i < a->n; i++) {
		if (GSS_IOV_BUFFER_TYPE(a->v[i].type) == D)
			return true;
	}
	return false;
}

/* The token in one piece, as gss_unwrap takes it: header, data, trailer, wherever they stood. */
static gss_buffer_desc array_token(const struct array *a)
{
	static const OM_uint32 order[] = { H, D, P, T };
	uint8_t *out = malloc(PIECES * (ROOM + 64)), *p = out;
	size_t k;
	int i;

	for (k = 0; k < 4; k++) {
		for (i = 0; i < a->n; i++) {
			if (GSS_IOV_BUFFER_TYPE(a->v[i].type) != order[k]
			    || !a->v[i].buffer.length)
				continue;
			memcpy(p, a->v[i].buffer.value, a->v[i].buffer.length);
			p += a->v[i].buffer.length;
		}
	}
	return (gss_buffer_desc){ (size_t)(p - out), out };
}

/* ---- either implementation ---- */

static OM_uint32 wrap(struct pair_side *s, bool own, int conf, int *state, struct array *a)
{
	OM_uint32 minor;

	return own ? mech_wrap_iov(&minor, &s->own, conf, 0, state, a->v, a->n)
		   : gss_wrap_iov(&minor, s->stock, conf, 0, state, a->v, a->n);
}

static OM_uint32 unwrap(struct pair_side *s, bool own, int *state, gss_iov_buffer_desc *v, int n)
{
	OM_uint32 minor = 0, major;
	gss_qop_t qop = 9;

	if (!own)
		return gss_unwrap_iov(&minor, s->stock, state, &qop, v, n);
	major = mech_unwrap_iov(&minor, &s->own, state, &qop, v, n);
	CU_ASSERT_EQUAL(qop, 0);
	CU_ASSERT(!major == !minor);
	return major;
}

static OM_uint32 lengths(struct pair_side *s, bool own, int conf, int *state, struct array *a)
{
	OM_uint32 minor;

	return own ? mech_wrap_iov_length(&minor, &s->own, conf, 0, state, a->v, a->n)
		   : gss_wrap_iov_length(&minor, s->stock, conf, 0, state, a->v, a->n);
}

/* ---- header form ---- */

static struct array one, two;

static void round_trip(size_t c, size_t l, size_t size, int conf, bool own)
{
	struct pair_side *from = size & 1 ? &pairs[c].a : &pairs[c].i;
	struct pair_side *to = size & 1 ? &pairs[c].i : &pairs[c].a;
	int state = -1, got = -1;
	OM_uint32 major;

	where = own ? "own to stock" : "stock to own";
	array_make(&one, layouts[l], size);
	major = wrap(from, own, conf, &state, &one);
	if (!check(major == GSS_S_COMPLETE, "wrap", c, l, size))
		return;
	check(state == (conf && has_data(&one)), "state of wrap", c, l, size);
	major = unwrap(to, !own, &got, one.v, one.n);
	check(major == GSS_S_COMPLETE, "unwrap", c, l, size);
	check(got == state && array_intact(&one), "text", c, l, size);
	array_free(&one);
}

static void test_layouts(void)
{
	size_t c, l, k;
	int conf;

	for (c = 0; c < CONFIGS; c++) {
		for (l = 0; l < LAYOUTS; l++) {
			for (k = 0; k < SIZES; k++) {
				for (conf = 0; conf < 2; conf++) {
					round_trip(c, l, sizes[k], conf, true);
					round_trip(c, l, sizes[k], conf, false);
				}
			}
		}
	}
}

/* Headers, lengths and flags of types are the stock mechanism's to the octet. */
static bool same_shape(const struct array *a, const struct array *b)
{
	const uint8_t *x, *y;
	int i;

	for (i = 0; i < a->n; i++) {
		if (a->v[i].type != b->v[i].type
		    || a->v[i].buffer.length != b->v[i].buffer.length)
			return false;
		if (GSS_IOV_BUFFER_TYPE(a->v[i].type) != H)
			continue;
		x = a->v[i].buffer.value;
		y = b->v[i].buffer.value;
		if (memcmp(x, y, 8))
			return false;
	}
	return true;
}

/* What is only signed is the same octet for octet, with the same number. */
static bool same_octets(const struct array *a, const struct array *b)
{
	int i;

	for (i = 0; i < a->n; i++) {
		if (a->v[i].buffer.length != b->v[i].buffer.length)
			return false;
		if (a->v[i].buffer.length && memcmp(a->v[i].buffer.value, b->v[i].buffer.value,
						    a->v[i].buffer.length))
			return false;
	}
	return true;
}

static void test_shape(void)
{
	size_t c, l, k;
	int conf, x, y;

	where = "own and stock";
	for (c = 0; c < CONFIGS; c++) {
		pair_reset(&pairs[c].i);
		for (l = 0; l < LAYOUTS; l++) {
			for (k = 0; k < SIZES; k++) {
				for (conf = 0; conf < 2; conf++) {
					array_make(&one, layouts[l], sizes[k]);
					two.n = one.n;
					memcpy(two.text, one.text, sizeof(one.text));
					array_make(&two, layouts[l], 0);
					for (int i = 0; i < one.n; i++) {
						if (is_text(one.v[i].type))
							two.v[i].buffer.length =
								one.v[i].buffer.length;
						memcpy(two.room[i], one.room[i], ROOM);
					}
					wrap(&pairs[c].i, true, conf, &x, &one);
					wrap(&pairs[c].i, false, conf, &y, &two);
					check(x == y && same_shape(&one, &two), "shape", c, l,
					      sizes[k]);
					if (!x)
						check(same_octets(&one, &two), "octets", c, l,
						      sizes[k]);
					array_free(&one);
					array_free(&two);
				}
			}
		}
	}
}

/* A token without SIGN_ONLY reads as a plain one, and the other way round in a STREAM. */
static void test_plain(void)
{
	size_t c, l, k;
	int conf, own;

	where = "iov to plain";
	for (c = 0; c < CONFIGS; c++) {
		for (l = 0; l < 7; l++) {
			for (k = 0; k < SIZES; k++) {
				for (conf = 0; conf < 4; conf++) {
					gss_buffer_desc token, msg, plain;
					OM_uint32 minor, major;

					/* DCE's rotation without a trailer is not the RFC's */
					if (is_dce(c) && (l == 2 || l == 4 || l == 5))
						continue;
					own = conf >> 1;
					array_make(&one, layouts[l], sizes[k]);
					wrap(&pairs[c].i, own, conf & 1, NULL, &one);
					token = array_token(&one);
					if (own)
						major = gss_unwrap(&minor, pairs[c].a.stock,
								   &token, &plain, NULL, NULL);
					else
						major = mech_unwrap(&minor, &pairs[c].a.own,
								    &token, &plain, NULL, NULL);
					msg.length = 0;
					for (int i = 0; i < one.n; i++) {
						if (is_text(one.v[i].type))
							msg.length += one.v[i].buffer.length;
					}
					check(major == GSS_S_COMPLETE
					      && plain.length == msg.length, "unwrap", c, l,
					      sizes[k]);
					if (!major && one.v[1].buffer.length)
						check(!memcmp(plain.value, one.text[1],
							      one.v[1].buffer.length), "text",
						      c, l, sizes[k]);
					free(plain.value);
					free(token.value);
					array_free(&one);
				}
			}
		}
	}
}

static void test_lengths(void)
{
	size_t c, l, k;
	int conf, x, y, i;

	where = "lengths";
	for (c = 0; c < CONFIGS; c++) {
		for (l = 0; l < LAYOUTS; l++) {
			for (k = 0; k < SIZES; k++) {
				for (conf = 0; conf < 2; conf++) {
					x = y = -1;
					array_make(&one, layouts[l], sizes[k]);
					array_make(&two, layouts[l], sizes[k]);
					check(!lengths(&pairs[c].i, true, conf, &x, &one), "own",
					      c, l, k);
					check(!lengths(&pairs[c].i, false, conf, &y, &two),
					      "stock", c, l, k);
					check(x == y, "state", c, l, k);
					for (i = 0; i < one.n; i++) {
						check(one.v[i].type == two.v[i].type
						      && one.v[i].buffer.length ==
						      two.v[i].buffer.length
						      && !one.v[i].buffer.value ==
						      !two.v[i].buffer.value, "same", c, l, k);
						if (!is_text(one.v[i].type))
							one.v[i].buffer.value = one.room[i];
					}
					/* with these lengths it works ... */
					for (i = 0; i < one.n; i++)
						one.v[i].type = GSS_IOV_BUFFER_TYPE(one.v[i].type);
					check(!wrap(&pairs[c].i, true, conf, &x, &one),
					      "enough", c, l, k);
				}
			}
		}
	}
}

/* ... and with one octet less in header or trailer it does not, and nothing is used up. */
static void test_short_buffers(void)
{
	OM_uint32 types[][PIECES + 1] = { { H, D, T }, { H, D }, { H, D, T | AL }, { H | AL, D, T } };
	struct pair_side *s;
	OM_uint32 minor, major;
	size_t c, l, k;
	uint64_t seq;
	int conf, i, j;

	where = "short buffers";
	for (c = 0; c < CONFIGS; c++) {
		s = &pairs[c].i;
		for (l = 0; l < 4; l++) {
			for (conf = 0; conf < 2; conf++) {
				for (i = 0; i < 3; i += 2) {
					array_make(&one, types[l], 50);
					lengths(s, true, conf, NULL, &one);
					if (types[l][i] & AL || !types[l][i])
						continue;
					for (j = 0; j < one.n; j++) {
						if (!is_text(one.v[j].type) && !(one.v[j].type & AL))
							one.v[j].buffer.value = one.room[j];
					}
					one.v[i].buffer.length--;
					seq = s->own.send_seq;
					k = one.v[i].buffer.length;
					major = mech_wrap_iov(&minor, &s->own, conf, 0, NULL,
							      one.v, one.n);
					check(major == GSS_S_FAILURE
					      && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE
					      && one.v[i].buffer.length == k
					      && s->own.send_seq == seq, "refused", c, l, k);
					for (j = 0; j < one.n; j++)
						check(!(one.v[j].type & ALD)
						      && (!(one.v[j].type & AL)
							  || !one.v[j].buffer.value),
						      "freed", c, l, (size_t)j);
					check(array_intact(&one), "text", c, l, k);
				}
			}
		}
	}
}

static void array_octets(struct array *to, const struct array *from)
{
	int i;

	for (i = 0; i < from->n; i++) {
		if (from->v[i].buffer.length)
			memcpy(to->room[i], from->v[i].buffer.value, from->v[i].buffer.length);
	}
}

/* The same token in buffers of its own, judged by both. */
static void judge(size_t c, size_t l, size_t n, const struct array *a)
{
	OM_uint32 own, stock;
	int x = -1, y = -1, i;

	two = *a;
	array_octets(&two, a);
	for (i = 0; i < two.n; i++) {
		two.v[i].buffer.value = two.room[i];
		two.v[i].type &= (OM_uint32)~(AL | ALD);
	}
	own = unwrap(&pairs[c].a, true, &x, two.v, two.n);
	if (own)        /* what fails leaves every buffer as it was */
		check(same_octets(&two, a), "changed", c, l, n);
	array_octets(&two, a);
	stock = unwrap(&pairs[c].a, false, &y, two.v, two.n);
	check(own == stock, "own and stock", c, l, n);
	if (own != stock)
		printf(" (%x, %x)", (unsigned)own, (unsigned)stock);
}

static void test_damage(void)
{
	static struct array whole;
	size_t c, l, k;
	int conf, i;

	where = "damage";
	for (c = 0; c < CONFIGS; c++) {
		for (l = 0; l < 13; l++) {
			for (conf = 0; conf < 2; conf++) {
				array_make(&whole, layouts[l], 40);
				wrap(&pairs[c].i, conf, conf, NULL, &whole);
				for (i = 0; i < whole.n; i++) {
					gss_buffer_t b = &whole.v[i].buffer;

					for (k = 0; k < b->length; k++) {
						((uint8_t *)b->value)[k] ^= 0x10;
						judge(c, l, k, &whole);
						((uint8_t *)b->value)[k] ^= 0x10;
					}
					if (b->length) {
						b->length--;
						judge(c, l, 10000 + (size_t)i, &whole);
						b->length++;
					}
				}
				for (k = 0; k < 16 * 8; k++) {
					for (i = 0; whole.v[i].type != H
						    && whole.v[i].type != (H | AL | ALD); i++)
						;
					((uint8_t *)whole.v[i].buffer.value)[k / 8] ^=
						(uint8_t)(1 << k % 8);
					judge(c, l, 20000 + k, &whole);
					((uint8_t *)whole.v[i].buffer.value)[k / 8] ^=
						(uint8_t)(1 << k % 8);
				}
				array_free(&whole);
			}
		}
	}
}

/* ---- STREAM ---- */

/* A stream with text around it: SIGN_ONLY, STREAM, DATA, SIGN_ONLY. */
static void stream_once(size_t c, const gss_buffer_desc *token, const struct array *a, int conf,
			bool allocate, bool own)
{
	static uint8_t copy[2 * ROOM];
	gss_iov_buffer_desc v[4] = {
		{ SO, a->v[1].buffer }, { ST, { token->length, copy } },
		{ D | (allocate ? AL : 0), { 0, NULL } }, { SO, a->v[3].buffer },
	};
	const uint8_t *data;
	OM_uint32 major;
	int state = -1;

	memcpy(copy, token->value, token->length);
	major = unwrap(&pairs[c].a, own, &state, v, 4);
	if (!check(major == GSS_S_COMPLETE, "unwrap", c, token->length, own))
		return;
	data = v[2].buffer.value;
	check(state == conf && v[2].buffer.length == a->v[2].buffer.length, "length", c,
	      token->length, own);
	check(!v[2].buffer.length || !memcmp(data, a->text[2], v[2].buffer.length), "data", c,
	      token->length, own);
	check(!(v[2].type & ALD) == !allocate, "flag", c, token->length, own);
	if (allocate)
		free(v[2].buffer.value);
	else
		check(data >= copy && data + v[2].buffer.length <= copy + token->length, "place",
		      c, token->length, own);
}

static void test_stream(void)
{
	static const OM_uint32 types[] = { H | AL, SO, D, SO, T | AL, 0 };
	static const size_t turns[] = { 0, 1, 16, 28, 44, 77, 65535 };
	gss_buffer_desc token, turned;
	size_t c, k, r;
	int conf, way;

	where = "stream";
	for (c = 0; c < CONFIGS; c++) {
		if (is_dce(c))
			continue;
		for (k = 0; k < SIZES; k++) {
			for (conf = 0; conf < 2; conf++) {
				array_make(&one, types, sizes[k]);
				wrap(&pairs[c].i, conf ^ (k & 1), conf, NULL, &one);
				token = array_token(&one);
				/* what was sealed in place is text no more */
				memcpy(one.room[1], one.text[1], one.v[1].buffer.length);
				memcpy(one.room[3], one.text[3], one.v[3].buffer.length);
				for (r = 0; r < sizeof(turns) / sizeof(turns[0]); r++) {
					turned = pair_rotated(&token, turns[r]);
					for (way = 0; way < 4; way++)
						stream_once(c, &turned, &one, conf, way & 1, way & 2);
					free(turned.value);
				}
				free(token.value);
				array_free(&one);
			}
		}
	}
}

/* Both judge a damaged stream alike, and it is left as it was. */
static void test_stream_damage(void)
{
	gss_buffer_desc msg = { 40, one.text[0] }, token;
	OM_uint32 minor, own, stock;
	uint8_t *copy;
	size_t c, k;
	int conf;

	where = "stream damage";
	for (c = 0; c < CONFIGS; c++) {
		for (conf = 0; conf < 2; conf++) {
			if (is_dce(c))
				continue;
			mech_wrap(&minor, &pairs[c].i.own, conf, 0, &msg, NULL, &token);
			copy = malloc(token.length);
			for (k = 0; k < 9 * token.length; k++) {
				size_t n = k < 8 * token.length ? token.length
								: k - 8 * token.length;
				gss_iov_buffer_desc v[2] = { { ST, { n, copy } }, { D, { 0, NULL } } };
				uint8_t *p = (uint8_t *)token.value + k / 8;

				if (!n)
					continue;
				if (n == token.length)
					*p ^= (uint8_t)(1 << k % 8);
				memcpy(copy, token.value, n);
				own = unwrap(&pairs[c].a, true, NULL, v, 2);
				check(!own || !memcmp(copy, token.value, n), "changed", c, n, k);
				memcpy(copy, token.value, n);
				v[1].buffer = (gss_buffer_desc){ 0, NULL };
				stock = unwrap(&pairs[c].a, false, NULL, v, 2);
				/* on both sides a failure; which one is not always the same */
				check(!own == !stock && GSS_ERROR(own) == own, "judged", c, n, k);
				if (n == token.length)
					*p ^= (uint8_t)(1 << k % 8);
			}
			free(copy);
			free(token.value);
		}
	}
}

/* ---- AEAD ---- */

static bool aead_once(size_t c, size_t size, int conf, bool with, bool own)
{
	struct pair_side *from = &pairs[c].i, *to = &pairs[c].a;
	gss_buffer_desc assoc = { size / 2, one.text[1] }, msg = { size, one.text[0] };
	gss_buffer_desc token, plain = GSS_C_EMPTY_BUFFER, *as = with ? &assoc : NULL;
	OM_uint32 minor, major;
	int state = -1, got = -1;
	bool ok;

	if (own)
		major = mech_wrap_aead(&minor, &from->own, conf, 0, as, &msg, &state, &token);
	else
		major = gss_wrap_aead(&minor, from->stock, conf, 0, as, &msg, &state, &token);
	ok = major == GSS_S_COMPLETE && state == conf;
	if (own && is_dce(c))   /* no STREAM there, so stock cannot read it back */
		major = mech_unwrap_aead(&minor, &to->own, &token, as, &plain, &got, NULL);
	else if (own)
		major = gss_unwrap_aead(&minor, to->stock, &token, as, &plain, &got, NULL);
	else
		major = mech_unwrap_aead(&minor, &to->own, &token, as, &plain, &got, NULL);
	ok = ok && major == GSS_S_COMPLETE && got == conf && plain.length == size
	     && (!size || !memcmp(plain.value, msg.value, size));
	free(plain.value);
	if (with && size > 1) {
		one.text[1][0] ^= 1;
		major = mech_unwrap_aead(&minor, &to->own, &token, as, &plain, &got, NULL);
		ok = ok && major == GSS_S_BAD_SIG && !plain.value && minor;
		one.text[1][0] ^= 1;
	}
	free(token.value);
	return ok;
}

static void test_aead(void)
{
	size_t c, k;
	int way;

	where = "aead";
	for (c = 0; c < CONFIGS; c++) {
		for (k = 0; k < SIZES; k++) {
			for (way = 0; way < 8; way++)
				check(aead_once(c, sizes[k], way & 1, way & 2, way & 4), "once", c,
				      (size_t)way, sizes[k]);
		}
	}
}

/* ---- MIC ---- */

static const OM_uint32 mic_layouts[][PIECES + 1] = {
	{ D, M | AL }, { M, D }, { D, D, SO, M }, { SO, M | AL, D }, { M }, { D, P | AL, M | AL },
};

static void mic_once(size_t c, size_t l, size_t size, bool own)
{
	struct pair_side *from = &pairs[c].i, *to = &pairs[c].a;
	OM_uint32 minor, major;
	gss_qop_t qop = 4;

	array_make(&one, mic_layouts[l], size);
	if (own)
		major = mech_get_mic_iov(&minor, &from->own, 0, one.v, one.n);
	else
		major = gss_get_mic_iov(&minor, from->stock, 0, one.v, one.n);
	check(major == GSS_S_COMPLETE, "get", c, l, size);
	if (own)
		major = gss_verify_mic_iov(&minor, to->stock, &qop, one.v, one.n);
	else
		major = mech_verify_mic_iov(&minor, &to->own, &qop, one.v, one.n);
	check(major == GSS_S_COMPLETE && qop == 0 && array_intact(&one), "verify", c, l, size);
	array_free(&one);
}

/* Lengths as in stock; one octet less is refused; the MIC is the plain one's. */
static void mic_lengths(size_t c, size_t l)
{
	struct pair_side *s = &pairs[c].i;
	OM_uint32 minor, major;
	uint64_t seq = s->own.send_seq;
	int i;

	array_make(&one, mic_layouts[l], 30);
	array_make(&two, mic_layouts[l], 30);
	major = mech_get_mic_iov_length(&minor, &s->own, 0, one.v, one.n);
	check(major == GSS_S_COMPLETE, "length", c, l, 0);
	gss_get_mic_iov_length(&minor, s->stock, 0, two.v, two.n);
	for (i = 0; i < one.n; i++) {
		check(one.v[i].buffer.length == two.v[i].buffer.length, "lengths", c, l, (size_t)i);
		if (GSS_IOV_BUFFER_TYPE(one.v[i].type) == M) {
			one.v[i].type = M;
			one.v[i].buffer.value = one.room[i];
			one.v[i].buffer.length--;
		}
	}
	major = mech_get_mic_iov(&minor, &s->own, 0, one.v, one.n);
	check(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE
	      && s->own.send_seq == seq, "short", c, l, 0);
}

static void mic_damage(size_t c)
{
	OM_uint32 minor, own, stock;
	size_t k, n;
	uint8_t *p;

	array_make(&one, mic_layouts[1], 30);
	mech_get_mic_iov(&minor, &pairs[c].i.own, 0, one.v, one.n);
	n = one.v[0].buffer.length;
	for (k = 0; k < 9 * n; k++) {
		p = (uint8_t *)one.v[0].buffer.value + k / 8;
		if (k < 8 * n)
			*p ^= (uint8_t)(1 << k % 8);
		else
			one.v[0].buffer.length = k - 8 * n;
		own = mech_verify_mic_iov(&minor, &pairs[c].a.own, NULL, one.v, one.n);
		check(GSS_ERROR(own) && minor, "accepted", c, 1, k);
		/* stock ends the program over an empty token and a bare header */
		if (one.v[0].buffer.length && one.v[0].buffer.length != 16)
			stock = gss_verify_mic_iov(&minor, pairs[c].a.stock, NULL, one.v, one.n);
		else
			stock = own;
		check(own == stock, "own and stock", c, 1, k);
		if (k < 8 * n)
			*p ^= (uint8_t)(1 << k % 8);
	}
}

static void test_mic(void)
{
	size_t c, l, k;

	where = "mic";
	for (c = 0; c < CONFIGS; c++) {
		for (l = 0; l < sizeof(mic_layouts) / sizeof(mic_layouts[0]); l++) {
			mic_lengths(c, l);
			for (k = 0; k < SIZES; k++) {
				mic_once(c, l, sizes[k], true);
				mic_once(c, l, sizes[k], false);
			}
		}
		mic_damage(c);
	}
}

/* ---- what must be refused ---- */

static void refused_wrap(const OM_uint32 *types, OM_uint32 want_minor)
{
	struct pair_side *s = &pairs[0].i;
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

static void test_refusals(void)
{
	static const OM_uint32 none[] = { D, T, 0 }, twice[] = { H, H, D, T, 0 };
	static const OM_uint32 two_trailers[] = { H, D, T, T, 0 }, usual[] = { H | AL, D, T | AL, 0 };
	struct pair_side *s = &pairs[0].i, *a = &pairs[0].a;
	gss_iov_buffer_desc v[4];
	OM_uint32 minor, major;
	int state;

	where = "refusals";
	refused_wrap(none, EINVAL);
	refused_wrap(twice, EINVAL);

	/* a type that appears twice is absent: the trailer goes into the header */
	array_make(&one, two_trailers, 20);
	array_make(&two, two_trailers, 20);
	CU_ASSERT(!wrap(s, true, 1, &state, &one) && !wrap(s, false, 1, &state, &two));
	CU_ASSERT_EQUAL(one.v[0].buffer.length, two.v[0].buffer.length);
	CU_ASSERT_EQUAL(one.v[2].buffer.length, two.v[2].buffer.length);

	array_make(&one, usual, 20);
	CU_ASSERT_EQUAL(mech_wrap_iov(&minor, &s->own, 1, 3, NULL, one.v, one.n), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(minor, 2249944328u);
	CU_ASSERT_EQUAL(mech_wrap_iov_length(&minor, &s->own, 1, 3, NULL, one.v, 3), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(mech_get_mic_iov(&minor, &s->own, 3, one.v, 3), GSS_S_BAD_QOP);
	CU_ASSERT_EQUAL(mech_get_mic_iov(&minor, &s->own, 0, one.v, 3), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(mech_verify_mic_iov(&minor, &s->own, NULL, one.v, 3), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &s->own, NULL, NULL, one.v + 1, 2), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);

	/* reflected */
	CU_ASSERT(!wrap(s, true, 1, NULL, &one));
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &s->own, NULL, NULL, one.v, 3), GSS_S_BAD_SIG);
	CU_ASSERT_EQUAL((int32_t)minor, G_BAD_DIRECTION);
	array_free(&one);

	/* lengths that cannot be */
	array_make(&one, usual, 20);
	one.v[1].buffer.length = SIZE_MAX;
	major = mech_wrap_iov(&minor, &s->own, 1, 0, NULL, one.v, 3);
	CU_ASSERT(major == GSS_S_FAILURE && (int32_t)minor == (int32_t)KRB5_BAD_MSIZE);
	one.v[1].buffer = (gss_buffer_desc){ 5, NULL };
	CU_ASSERT_EQUAL(mech_wrap_iov(&minor, &s->own, 1, 0, NULL, one.v, 3), GSS_S_FAILURE);
	CU_ASSERT(!(one.v[0].type & ALD) && !(one.v[2].type & ALD));

	/* streams */
	v[0] = (gss_iov_buffer_desc){ ST, { 30, one.room[0] } };
	v[1] = v[2] = (gss_iov_buffer_desc){ D, { 0, NULL } };
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &a->own, NULL, NULL, v, 1), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &a->own, NULL, NULL, v, 3), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &pairs[5].a.own, NULL, NULL, v, 2), GSS_S_FAILURE);
	CU_ASSERT_EQUAL(minor, EINVAL);
	v[0].buffer = (gss_buffer_desc){ 30, NULL };
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &a->own, NULL, NULL, v, 2), GSS_S_DEFECTIVE_TOKEN);

	a->own.state = MECH_DELETED;
	CU_ASSERT_EQUAL(mech_wrap_iov(&minor, &a->own, 1, 0, NULL, v, 2), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(mech_unwrap_iov(&minor, &a->own, NULL, NULL, v, 2), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(mech_verify_mic_iov(&minor, &a->own, NULL, v, 2), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(minor, 39756039);
	a->own.state = MECH_ESTABLISHED;
}

/* A failed operation frees what was allocated and gives the number back. */
static void test_failed_operation(void)
{
	static const OM_uint32 usual[] = { H | AL, SO, D, T | AL, 0 };
	struct mech_ctx c = pairs[0].i.own;
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
		CU_ASSERT_EQUAL(c.send_seq, pairs[0].i.own.send_seq);
		CU_ASSERT(array_intact(&one));
		for (i = 0; i < one.n; i++)
			CU_ASSERT(!(one.v[i].type & ALD));
	}
	ks_key_unref(&bare.key);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "layouts", test_layouts },
		{ "shape", test_shape },
		{ "plain", test_plain },
		{ "lengths", test_lengths },
		{ "short buffers", test_short_buffers },
		{ "damage", test_damage },
		{ "stream", test_stream },
		{ "damaged stream", test_stream_damage },
		{ "aead", test_aead },
		{ "mic", test_mic },
		{ "refusals", test_refusals },
		{ "failed operation", test_failed_operation },
		CU_TEST_INFO_NULL,
	};
	CU_pSuite s;
	size_t i;
	unsigned failed;

	for (i = 0; i < CONFIGS; i++)
		pair_make(keys_token(configs[i].token), &configs[i].want, &pairs[i]);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	s = CU_add_suite("iov", NULL, NULL);
	for (i = 0; tests[i].pName; i++)
		CU_add_test(s, tests[i].pName, tests[i].pTestFunc);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	for (i = 0; i < CONFIGS; i++)
		pair_free(&pairs[i]);
	return failed ? 1 : 0;
}
