/* Wrap, unwrap and MIC against the stock mechanism with the same keys. */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/codes.h"
#include "mech/message.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/pair.h"

#define SHA1_FIRST "aes256-cts aes128-cts aes256-sha2 aes128-sha2"
#define MEGABYTE 1048576

static const struct config {
	struct pair_want want;
	size_t mac;              /* octets of MAC under the sending key */
	const char *token;
} configs[] = {
	{ { 17, "aes128-cts", GSS_C_MUTUAL_FLAG }, 12, "softhsm" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG }, 12, "softhsm" },
	{ { 19, "aes128-sha2", GSS_C_MUTUAL_FLAG }, 16, "softhsm" },
	{ { 20, "aes256-sha2", GSS_C_MUTUAL_FLAG }, 24, "softhsm" },
	{ { 17, "aes128-cts", 0 }, 12, "softhsm" },
	{ { 18, "aes256-cts", 0 }, 12, "nss" },
	{ { 19, "aes128-sha2", 0 }, 16, "nss" },
	{ { 20, "aes256-sha2", 0 }, 24, "nss" },
	{ { 20, SHA1_FIRST, GSS_C_MUTUAL_FLAG }, 12, "nss" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE }, 12, "softhsm" },
};
#define CONFIGS (sizeof(configs) / sizeof(configs[0]))

static struct pair pairs[CONFIGS];
static uint8_t big[MEGABYTE];

/* A check that names where it failed; CUnit counts it. */
static bool check(bool ok, const char *what, size_t config, size_t n)
{
	if (!ok)
		printf("\n    %s: config %zu, case %zu", what, config, n);
	CU_ASSERT(ok);
	return ok;
}

static void make_pairs(void)
{
	size_t i;

	for (i = 0; i < MEGABYTE; i++)
		big[i] = (uint8_t)(i * 7 + (i >> 8));
	for (i = 0; i < CONFIGS; i++)
		pair_make(keys_token(configs[i].token), &configs[i].want, &pairs[i]);
}

static void free_pairs(void)
{
	size_t i;

	for (i = 0; i < CONFIGS; i++)
		pair_free(&pairs[i]);
}

static gss_buffer_desc message(size_t n)
{
	return (gss_buffer_desc){ n, big };
}

static gss_buffer_desc copy_of(const gss_buffer_desc *b)
{
	gss_buffer_desc c = { b->length, malloc(b->length + 1) };

	memcpy(c.value, b->value, b->length);
	return c;
}

static bool same(const gss_buffer_desc *a, const gss_buffer_desc *b)
{
	return a->length == b->length && (!a->length || !memcmp(a->value, b->value, a->length));
}

/* ---- both directions ---- */

/*
 * Own wraps, stock unwraps.  Its output is freed by hand, here and below:
 * gss_release_buffer passes over the malloc(0) of an empty message.
 */
static bool own_to_stock(struct pair_side *from, struct pair_side *to, int conf, size_t n,
			 size_t mac)
{
	gss_buffer_desc msg = message(n), token, plain = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 77;
	int state = -1, got = -1;
	gss_qop_t qop = 5;
	bool ok;

	if (mech_wrap(&minor, &from->own, conf, 0, &msg, &state, &token) != GSS_S_COMPLETE)
		return false;
	ok = minor == 0 && state == conf
	     && token.length == n + 16 + mac + (conf ? 32 : 0);
	ok = gss_unwrap(&minor, to->stock, &token, &plain, &got, &qop) == GSS_S_COMPLETE && ok;
	ok = ok && got == conf && qop == 0 && same(&plain, &msg);
	free(token.value);
	free(plain.value);
	return ok;
}

/* Stock wraps, own unwraps and leaves the token as it was. */
static bool stock_to_own(struct pair_side *from, struct pair_side *to, int conf, size_t n)
{
	gss_buffer_desc msg = message(n), token, before, plain;
	OM_uint32 minor = 77, ignored;
	int state, got = -1;
	gss_qop_t qop = 5;
	bool ok;

	if (gss_wrap(&minor, from->stock, conf, 0, &msg, &state, &token) != GSS_S_COMPLETE)
		return false;
	before = copy_of(&token);
	ok = mech_unwrap(&minor, &to->own, &token, &plain, &got, &qop) == GSS_S_COMPLETE;
	ok = ok && minor == 0 && got == conf && qop == 0 && same(&plain, &msg);
	ok = ok && same(&before, &token) && !plain.length == !plain.value;
	free(plain.value);
	free(before.value);
	gss_release_buffer(&ignored, &token);
	return ok;
}

static void test_wrap(void)
{
	size_t c, n;
	int conf;

	for (c = 0; c < CONFIGS; c++) {
		for (n = 0; n <= 201; n++) {
			size_t len = n == 201 ? MEGABYTE : n;

			for (conf = 0; conf < 2; conf++) {
				struct pair *p = &pairs[c];

				check(own_to_stock(&p->i, &p->a, conf, len, configs[c].mac),
				      "own to stock", c, len);
				check(own_to_stock(&p->a, &p->i, conf, len, configs[c].mac),
				      "own to stock, acceptor", c, len);
				check(stock_to_own(&p->i, &p->a, conf, len), "stock to own", c,
				      len);
				check(stock_to_own(&p->a, &p->i, conf, len),
				      "stock to own, initiator", c, len);
			}
		}
	}
}

static bool mic_both_ways(struct pair_side *from, struct pair_side *to, size_t n, size_t mac)
{
	gss_buffer_desc msg = message(n), token, theirs;
	OM_uint32 minor, ignored;
	gss_qop_t qop = 5;
	bool ok;

	ok = mech_get_mic(&minor, &from->own, 0, &msg, &token) == GSS_S_COMPLETE && !minor;
	ok = ok && token.length == 16 + mac;
	ok = ok && gss_verify_mic(&minor, to->stock, &msg, &token, NULL) == GSS_S_COMPLETE;
	free(token.value);
	ok = ok && gss_get_mic(&minor, from->stock, 0, &msg, &theirs) == GSS_S_COMPLETE;
	ok = ok && mech_verify_mic(&minor, &to->own, &msg, &theirs, &qop) == GSS_S_COMPLETE
	     && !minor && !qop;
	gss_release_buffer(&ignored, &theirs);
	return ok;
}

static void test_mic(void)
{
	size_t c, n;

	for (c = 0; c < CONFIGS; c++) {
		for (n = 0; n <= 200; n++) {
			check(mic_both_ways(&pairs[c].i, &pairs[c].a, n, configs[c].mac), "mic",
			      c, n);
		}
		check(mic_both_ways(&pairs[c].a, &pairs[c].i, MEGABYTE, configs[c].mac), "mic", c,
		      MEGABYTE);
	}
}

/* An initiator may send under its own subkey before it knows the acceptor's. */
static void test_early_key(void)
{
	OM_uint32 flags = GSS_C_MUTUAL_FLAG;
	struct ks_key *held;
	size_t c, n;

	for (c = 0; c < CONFIGS; c++) {
		if (!(configs[c].want.flags & flags))
			continue;
		held = pairs[c].i.own.acceptor_key;
		pairs[c].i.own.acceptor_key = NULL;
		for (n = 0; n < 40; n++) {
			gss_buffer_desc msg = message(n), token, plain;
			OM_uint32 minor, ok;

			ok = mech_wrap(&minor, &pairs[c].i.own, n & 1, 0, &msg, NULL, &token);
			check(ok == GSS_S_COMPLETE && !(((uint8_t *)token.value)[2] & 4),
			      "early wrap", c, n);
			ok = mech_unwrap(&minor, &pairs[c].a.own, &token, &plain, NULL, NULL);
			check(ok == GSS_S_COMPLETE && same(&plain, &msg), "early unwrap", c, n);
			free(plain.value);
			/* In the DCE style stock knows no checksum for this key. */
			if (!(configs[c].want.flags & GSS_C_DCE_STYLE)) {
				ok = gss_unwrap(&minor, pairs[c].a.stock, &token, &plain, NULL,
						NULL);
				check(ok == GSS_S_COMPLETE && same(&plain, &msg),
				      "early unwrap, stock", c, n);
				free(plain.value);
			}
			free(token.value);
		}
		pairs[c].i.own.acceptor_key = held;
	}
}

/* The flag of a subkey that is not held means the other key, as in the stock mechanism. */
static void test_flag_without_key(void)
{
	struct pair *p = &pairs[4];      /* no acceptor's subkey */
	gss_buffer_desc msg = message(50), token, plain, mine;
	OM_uint32 minor, own, stock;

	p->i.own.acceptor_key = p->i.initiator_key;
	mech_wrap(&minor, &p->i.own, 1, 0, &msg, NULL, &token);
	p->i.own.acceptor_key = NULL;
	CU_ASSERT_EQUAL(((uint8_t *)token.value)[2], 6);
	own = mech_unwrap(&minor, &p->a.own, &token, &mine, NULL, NULL);
	stock = gss_unwrap(&minor, p->a.stock, &token, &plain, NULL, NULL);
	CU_ASSERT_EQUAL(own, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(own, stock);
	CU_ASSERT(same(&plain, &mine));
	free(plain.value);
	free(mine.value);
	free(token.value);
}

/* ---- what must be tolerated ---- */

static void test_rotation(void)
{
	static const size_t some[] = { 255, 256, 1000, 4096, 32767, 65535 };
	size_t c, r, k;
	int conf;

	for (c = 0; c < CONFIGS; c++) {
		for (conf = 0; conf < 2; conf++) {
			gss_buffer_desc msg = message(37), token, turned, before, plain;
			OM_uint32 minor, major;

			mech_wrap(&minor, &pairs[c].i.own, conf, 0, &msg, NULL, &token);
			for (k = 0; k < 180 + 6; k++) {
				r = k < 180 ? k : some[k - 180];
				turned = pair_rotated(&token, r);
				before = copy_of(&turned);
				major = mech_unwrap(&minor, &pairs[c].a.own, &turned, &plain,
						    NULL, NULL);
				check(major == GSS_S_COMPLETE && same(&plain, &msg), "rotated", c,
				      r);
				check(same(&turned, &before), "input changed", c, r);
				free(plain.value);
				free(turned.value);
				free(before.value);
			}
			free(token.value);
		}
	}
}

/* 60 length 06 09 krb5's OID in front of a token; length in the given number of octets. */
static gss_buffer_desc framed(const gss_buffer_desc *token, unsigned octets)
{
	static const uint8_t oid[] = {
		0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02,
	};
	size_t body = sizeof(oid) + token->length;
	uint8_t *out = malloc(body + 8), *p = out;
	unsigned i;

	*p++ = 0x60;
	if (octets)
		*p++ = (uint8_t)(0x80 | octets);
	for (i = octets; i > 1; i--)
		*p++ = (uint8_t)(body >> 8 * (i - 1));
	*p++ = (uint8_t)body;
	memcpy(p, oid, sizeof(oid));
	memcpy(p + sizeof(oid), token->value, token->length);
	return (gss_buffer_desc){ (size_t)(p - out) + body, out };
}

static void test_frame(void)
{
	gss_buffer_desc msg = message(20), token, mic, f, plain, cut;
	struct pair *p = &pairs[1];
	OM_uint32 minor, major;
	unsigned octets;
	size_t i;

	mech_wrap(&minor, &p->i.own, 1, 0, &msg, NULL, &token);
	mech_get_mic(&minor, &p->i.own, 0, &msg, &mic);
	for (octets = 0; octets <= 4; octets++) {
		f = framed(&token, octets);
		CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->a.own, &f, &plain, NULL, NULL),
				GSS_S_COMPLETE);
		CU_ASSERT(same(&plain, &msg));
		free(plain.value);
		for (i = 0; i < 30; i++) {
			cut = (gss_buffer_desc){ i, f.value };
			major = mech_unwrap(&minor, &p->a.own, &cut, &plain, NULL, NULL);
			CU_ASSERT_EQUAL(major, GSS_S_DEFECTIVE_TOKEN);
			CU_ASSERT(minor != 0 && !plain.value);
		}
		free(f.value);
		f = framed(&mic, octets);
		CU_ASSERT_EQUAL(mech_verify_mic(&minor, &p->a.own, &msg, &f, NULL),
				GSS_S_COMPLETE);
		((uint8_t *)f.value)[f.length - mic.length - 1] ^= 1;
		CU_ASSERT_EQUAL(mech_verify_mic(&minor, &p->a.own, &msg, &f, NULL),
				GSS_S_DEFECTIVE_TOKEN);
		CU_ASSERT_EQUAL((int32_t)minor, G_WRONG_MECH);
		free(f.value);
	}
	free(token.value);
	free(mic.value);
}

/* A sealed token with any EC in the header, and any in the copy, made by hand. */
static gss_buffer_desc with_ec(struct pair_side *from, size_t filler, uint16_t ec, uint16_t copy)
{
	const size_t n = 20 + filler + 16;
	uint8_t *buf = malloc(16 + 16 + n + KS_TAIL), *h = buf + 32 + 20 + filler;
	struct ks_key *k = mech_ctx_send_key(&from->own);
	uint8_t header[16] = { 5, 4, 2, 0xff, (uint8_t)(ec >> 8), (uint8_t)ec };

	header[2] |= (uint8_t)((from->own.initiator ? 0 : 1) | (from->own.acceptor_key ? 4 : 0));
	memset(buf + 32, 'm', 20);
	memset(buf + 52, 0xff, filler);
	memcpy(h, header, 16);
	h[4] = (uint8_t)(copy >> 8);
	h[5] = (uint8_t)copy;
	h[6] = h[7] = 0xaa;      /* RRC of the copy is not looked at */
	CU_ASSERT_EQUAL(ks_seal(k, from->own.initiator ? 24 : 22, buf, n), 0);
	memcpy(buf, header, 16);
	return (gss_buffer_desc){ 16 + ks_sealed_len(ks_key_etype(k), n), buf };
}

static void try_ec(size_t config, size_t filler, uint16_t ec, uint16_t copy, size_t want)
{
	struct pair *p = &pairs[config];
	gss_buffer_desc token = with_ec(&p->i, filler, ec, copy), scratch = copy_of(&token), plain;
	OM_uint32 minor, own, stock;

	own = mech_unwrap(&minor, &p->a.own, &token, &plain, NULL, NULL);
	check(own == (want == SIZE_MAX ? GSS_S_DEFECTIVE_TOKEN : GSS_S_COMPLETE), "EC", config,
	      filler);
	check(want == SIZE_MAX || plain.length == want, "EC length", config, filler);
	check(!plain.length == !plain.value, "EC value", config, filler);
	free(plain.value);
	stock = gss_unwrap(&minor, p->a.stock, &scratch, &plain, NULL, NULL);
	check(own == stock, "EC and stock", config, stock);
	free(plain.value);
	free(scratch.value);
	free(token.value);
}

static void test_extra_count(void)
{
	size_t c;

	for (c = 0; c < 4; c++) {
		try_ec(c, 0, 0, 0, 20);
		try_ec(c, 1, 1, 1, 20);
		try_ec(c, 16, 16, 16, 20);
		try_ec(c, 333, 333, 333, 20);
		try_ec(c, 65535, 65535, 65535, 20);
		try_ec(c, 0, 20, 20, 0);         /* all of the message is filler */
		try_ec(c, 0, 21, 21, SIZE_MAX);  /* CVE-2024-37370 */
		try_ec(c, 0, 36, 36, SIZE_MAX);
		try_ec(c, 0, 37, 37, SIZE_MAX);
		try_ec(c, 0, 65535, 65535, SIZE_MAX);
		try_ec(c, 16, 16, 0, SIZE_MAX);
		try_ec(c, 16, 15, 16, SIZE_MAX);
	}
}

/* ---- what must be refused ---- */

/* Own and stock acceptor judge the same token; stock gets a copy, as it writes into it. */
static void judge(struct pair *p, const gss_buffer_desc *token, const gss_buffer_desc *msg,
		  const char *what, size_t config, size_t n)
{
	gss_buffer_desc in = copy_of(token), scratch = copy_of(token);
	gss_buffer_desc plain = GSS_C_EMPTY_BUFFER, theirs = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 0, ignored, own, stock;
	int state;

	own = mech_unwrap(&minor, &p->a.own, &in, &plain, &state, NULL);
	check(same(&in, token), "input changed", config, n);
	check(own == GSS_S_COMPLETE || (minor && !plain.value && !plain.length && !state),
	      "outputs of a failure", config, n);
	check(own == GSS_S_COMPLETE ? same(&plain, msg)
				    : own == GSS_S_DEFECTIVE_TOKEN || own == GSS_S_BAD_SIG,
	      what, config, n);
	stock = gss_unwrap(&ignored, p->a.stock, &scratch, &theirs, NULL, NULL);
	if (own != stock)
		printf("\n    own %x, stock %x", (unsigned)own, (unsigned)stock);
	check(own == stock, what, config, n);
	free(in.value);
	free(scratch.value);
	free(plain.value);
	/* stock leaves pointers to freed memory behind some failures */
	if (stock == GSS_S_COMPLETE)
		free(theirs.value);
}

static void test_damage(void)
{
	gss_buffer_desc msg = message(45), token, cut;
	OM_uint32 minor;
	size_t c, i;
	int conf;

	for (c = 0; c < CONFIGS; c++) {
		for (conf = 0; conf < 2; conf++) {
			mech_wrap(&minor, &pairs[c].i.own, conf, 0, &msg, NULL, &token);
			for (i = 1; i < token.length; i++) {
				cut = (gss_buffer_desc){ i, token.value };
				judge(&pairs[c], &cut, &msg, "cut", c, i);
			}
			for (i = 0; i < 8 * token.length; i++) {
				uint8_t *p = (uint8_t *)token.value + i / 8;

				*p ^= (uint8_t)(1 << i % 8);
				judge(&pairs[c], &token, &msg, "flipped", c, i);
				*p ^= (uint8_t)(1 << i % 8);
			}
			free(token.value);
		}
	}
}

static void test_damaged_mic(void)
{
	gss_buffer_desc msg = message(45), token, cut;
	OM_uint32 minor, own, stock;
	size_t c, i;

	for (c = 0; c < CONFIGS; c++) {
		mech_get_mic(&minor, &pairs[c].i.own, 0, &msg, &token);
		for (i = 1; i < token.length; i++) {
			cut = (gss_buffer_desc){ i, token.value };
			own = mech_verify_mic(&minor, &pairs[c].a.own, &msg, &cut, NULL);
			check(minor && GSS_ERROR(own), "cut mic", c, i);
			stock = gss_verify_mic(&minor, pairs[c].a.stock, &msg, &cut, NULL);
			check(own == stock, "cut mic and stock", c, i);
		}
		for (i = 0; i < 8 * token.length; i++) {
			uint8_t *p = (uint8_t *)token.value + i / 8;

			*p ^= (uint8_t)(1 << i % 8);
			own = mech_verify_mic(&minor, &pairs[c].a.own, &msg, &token, NULL);
			check(minor && GSS_ERROR(own), "flipped mic", c, i);
			stock = gss_verify_mic(&minor, pairs[c].a.stock, &msg, &token, NULL);
			check(own == stock, "flipped mic and stock", c, i);
			*p ^= (uint8_t)(1 << i % 8);
		}
		for (i = 0; i < msg.length; i++) {
			big[i] ^= 1;
			own = mech_verify_mic(&minor, &pairs[c].a.own, &msg, &token, NULL);
			check(own == GSS_S_BAD_SIG, "flipped message", c, i);
			big[i] ^= 1;
		}
		free(token.value);
	}
}

static void test_refusals(void)
{
	gss_buffer_desc msg = message(10), token, mic, plain, empty = GSS_C_EMPTY_BUFFER;
	gss_buffer_desc hole = { 10, NULL }, huge = { SIZE_MAX, big };
	struct pair *p = &pairs[1];
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
	gss_buffer_desc msg = message(10), out = { 1, big };
	struct mech_ctx *c = &pairs[1].a.own;
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
	struct pair *p = &pairs[1];
	struct keys_pair bare;
	struct mech_ctx c = p->i.own;
	gss_buffer_desc msg = message(10), out = { 1, big };
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

/* ---- sizes ---- */

static void test_size_limit(void)
{
	static const OM_uint32 some[] = { 1000, 4096, 65535, 1 << 20, INT32_MAX - 400 };
	OM_uint32 minor, own, stock, limit;
	size_t c, k;
	int conf;

	for (c = 0; c < CONFIGS; c++) {
		for (k = 0; k <= 305; k++) {
			for (conf = 0; conf < 2; conf++) {
				limit = k <= 300 ? (OM_uint32)k : some[k - 301];
				own = stock = 77;
				mech_wrap_size_limit(&minor, &pairs[c].i.own, conf, 0, limit, &own);
				gss_wrap_size_limit(&minor, pairs[c].i.stock, conf, 0, limit,
						    &stock);
				check(own == stock, "size limit", c, limit);
			}
		}
		mech_wrap_size_limit(&minor, &pairs[c].i.own, 1, 0, UINT32_MAX, &own);
		check(own < INT32_MAX, "largest size", c, own);
	}
}

/* ---- sequence ---- */

static struct pair ordered;
static gss_buffer_desc sent[200];

static void make_ordered(OM_uint32 flags)
{
	struct pair_want w = { 18, "aes256-cts", GSS_C_MUTUAL_FLAG | flags };
	gss_buffer_desc msg = message(5);
	OM_uint32 minor;
	size_t i;

	pair_make(keys_token("softhsm"), &w, &ordered);
	for (i = 0; i < 200; i++) {
		if (i % 3)
			mech_wrap(&minor, &ordered.i.own, i % 2, 0, &msg, NULL, &sent[i]);
		else
			mech_get_mic(&minor, &ordered.i.own, 0, &msg, &sent[i]);
	}
}

static void free_ordered(void)
{
	size_t i;

	for (i = 0; i < 200; i++)
		free(sent[i].value);
	pair_free(&ordered);
}

static OM_uint32 receive(size_t i, bool stock)
{
	gss_buffer_desc in = copy_of(&sent[i]), plain = GSS_C_EMPTY_BUFFER, msg = message(5);
	OM_uint32 minor = 0, major;

	if (i % 3 == 0)
		major = stock ? gss_verify_mic(&minor, ordered.a.stock, &msg, &in, NULL)
			      : mech_verify_mic(&minor, &ordered.a.own, &msg, &in, NULL);
	else if (stock)
		major = gss_unwrap(&minor, ordered.a.stock, &in, &plain, NULL, NULL);
	else
		major = mech_unwrap(&minor, &ordered.a.own, &in, &plain, NULL, NULL);
	/* A supplementary status goes with the message, and with a minor that says why. */
	if (i % 3)
		CU_ASSERT(GSS_ERROR(major) || same(&plain, &msg));
	if (!stock)
		CU_ASSERT(!major == !minor);
	free(plain.value);
	free(in.value);
	return major;
}

static void test_sequence(void)
{
	static const OM_uint32 flags[] = {
		0, GSS_C_REPLAY_FLAG, GSS_C_SEQUENCE_FLAG, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
	};
	static const size_t order[] = {  /* no jump of 64 or more: there stock errs */
		0, 1, 1, 3, 2, 2, 3, 10, 4, 9, 0, 60, 61, 62, 0, 1, 5, 100, 60, 59, 61, 30, 160,
		100, 97, 96, 95, 159, 160, 199, 140, 136, 135, 134,
	};
	size_t f, i;

	for (f = 0; f < 4; f++) {
		make_ordered(flags[f]);
		for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
			check(receive(order[i], false) == receive(order[i], true), "sequence", f,
			      i);
		pair_reset(&ordered.a);
		receive(0, false);
		receive(2, false);
		receive(66, false);
		check(receive(64, false) == (flags[f] & GSS_C_SEQUENCE_FLAG ? GSS_S_UNSEQ_TOKEN
									  : GSS_S_COMPLETE),
		      "after a jump of 64", f, 64);
		free_ordered();
	}
}

/* A damaged token leaves no trace in the window. */
static void test_damaged_then_good(void)
{
	uint8_t *last;

	make_ordered(GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG);
	last = (uint8_t *)sent[1].value + sent[1].length - 1;
	CU_ASSERT_EQUAL(receive(0, false), GSS_S_COMPLETE);
	*last ^= 1;
	CU_ASSERT_EQUAL(receive(1, false), GSS_S_BAD_SIG);
	*last ^= 1;
	CU_ASSERT_EQUAL(receive(1, false), GSS_S_COMPLETE);
	free_ordered();
}

/* ---- threads ---- */

#define THREADS 4
#define EACH 50

static void *wrap_many(void *arg)
{
	gss_buffer_desc *out = arg, msg = message(33);
	OM_uint32 minor;
	size_t i;

	for (i = 0; i < EACH; i++) {
		if (mech_wrap(&minor, &pairs[1].i.own, 1, 0, &msg, NULL, &out[i]))
			out[i].value = NULL;
	}
	return NULL;
}

static int by_seq(const void *a, const void *b)
{
	const gss_buffer_desc *x = a, *y = b;

	return memcmp((uint8_t *)x->value + 8, (uint8_t *)y->value + 8, 8);
}

static void test_threads(void)
{
	static gss_buffer_desc out[THREADS * EACH];
	pthread_t t[THREADS];
	gss_buffer_desc plain;
	OM_uint32 minor;
	size_t i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, wrap_many, &out[i * EACH]);
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	qsort(out, THREADS * EACH, sizeof(out[0]), by_seq);
	for (i = 0; i < THREADS * EACH; i++) {
		check(!i || by_seq(&out[i - 1], &out[i]) < 0, "a number twice", 1, i);
		check(!mech_unwrap(&minor, &pairs[1].a.own, &out[i], &plain, NULL, NULL),
		      "from a thread", 1, i);
		free(plain.value);
	}
	for (i = 0; i < THREADS * EACH; i++)
		free(out[i].value);
}

/* ---- operations on the token, counted in the trace ---- */

/* A line of the trace that is a call of this function. */
static bool is_call(const char *line, const char *name)
{
	const char *at = strstr(line, ": C_");
	size_t n = strlen(name);

	return at && !strncmp(at + 2, name, n) && (at[2 + n] == ' ' || at[2 + n] == '(');
}

/* Bulk operations since the last call; anything else but their Inits counts 1000. */
static size_t operations(const char *file)
{
	char line[512];
	size_t n = 0;
	FILE *f = fopen(file, "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (is_call(line, "C_Encrypt") || is_call(line, "C_Decrypt")
		    || is_call(line, "C_Sign"))
			n++;
		else if (!is_call(line, "C_EncryptInit") && !is_call(line, "C_DecryptInit")
			 && !is_call(line, "C_SignInit"))
			n += 1000;
	}
	fclose(f);
	unlink(file);
	return n;
}

static size_t count_wrap(const char *file, struct pair *p, int conf, size_t len, size_t unwrap)
{
	gss_buffer_desc msg = message(len), token, plain;
	OM_uint32 minor;
	size_t bad, n;

	operations(file);
	mech_wrap(&minor, &p->i.own, conf, 0, &msg, NULL, &token);
	n = operations(file);
	bad = n != (conf ? 2 : 1);
	mech_unwrap(&minor, &p->a.own, &token, &plain, NULL, NULL);
	bad += operations(file) != unwrap;
	free(plain.value);
	free(token.value);
	if (bad)
		printf("%zu octets, conf %d: %zu operations\n", len, conf, n);
	return bad;
}

static size_t count_mic(const char *file, struct pair *p)
{
	gss_buffer_desc msg = message(77), token;
	OM_uint32 minor;
	size_t bad;

	operations(file);
	mech_get_mic(&minor, &p->i.own, 0, &msg, &token);
	bad = operations(file) != 1;
	mech_verify_mic(&minor, &p->a.own, &msg, &token, NULL);
	bad += operations(file) != 1;
	free(token.value);
	return bad;
}

/* Runs in a child of its own: the trace is decided once in a process. */
static int count_operations(void)
{
	char *file = box_path("trace");
	size_t c, bad = 0;

	setenv("GSSP11_TRACE", file, 1);
	make_pairs();
	for (c = 0; c < CONFIGS; c++) {
		bad += count_wrap(file, &pairs[c], 1, 40, 3);
		bad += count_wrap(file, &pairs[c], 1, 48, 2);
		bad += count_wrap(file, &pairs[c], 1, MEGABYTE, 2);
		bad += count_wrap(file, &pairs[c], 0, 40, 1);
		bad += count_mic(file, &pairs[c]);
	}
	free_pairs();
	free(file);
	return bad ? 1 : 0;
}

static int counted;

static void test_operations(void)
{
	CU_ASSERT_EQUAL(counted, 0);
}

static int count_in_child(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		exit(count_operations());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "wrap and unwrap", test_wrap },
		{ "mic", test_mic },
		{ "initiator's key before the acceptor's", test_early_key },
		{ "flag of a key not held", test_flag_without_key },
		{ "rotation", test_rotation },
		{ "frame", test_frame },
		{ "extra count", test_extra_count },
		{ "damage", test_damage },
		{ "damaged mic", test_damaged_mic },
		{ "refusals", test_refusals },
		{ "states", test_states },
		{ "failed operation", test_failed_operation },
		{ "size limit", test_size_limit },
		{ "sequence", test_sequence },
		{ "damaged, then good", test_damaged_then_good },
		{ "threads", test_threads },
		{ "operations on the token", test_operations },
		CU_TEST_INFO_NULL,
	};
	CU_pSuite s;
	size_t i;
	unsigned failed;

	counted = count_in_child();
	make_pairs();
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	s = CU_add_suite("message", NULL, NULL);
	for (i = 0; tests[i].pName; i++)
		CU_add_test(s, tests[i].pName, tests[i].pTestFunc);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	free_pairs();
	return failed ? 1 : 0;
}
