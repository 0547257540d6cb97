/* Wrap, unwrap and MIC against the stock mechanism with the same keys. */
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/message.h"
#include "tests/lib/keys.h"
#include "tests/lib/msg.h"

/* ---- both directions ---- */

/*
 * Own wraps, stock unwraps.  Its output is freed by hand, here and below:
 * gss_release_buffer passes over the malloc(0) of an empty message.
 */
static bool own_to_stock(struct pair_side *from, struct pair_side *to, int conf, size_t n,
			 size_t mac)
{
	gss_buffer_desc msg = msg_text(n), token, plain = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 77;
	int state = -1, got = -1;
	gss_qop_t qop = 5;
	bool ok;

	if (mech_wrap(&minor, &from->own, conf, 0, &msg, &state, &token) != GSS_S_COMPLETE)
		return false;
	ok = minor == 0 && state == conf
	     && token.length == n + 16 + mac + (conf ? 32 : 0);
	ok = gss_unwrap(&minor, to->stock, &token, &plain, &got, &qop) == GSS_S_COMPLETE && ok;
	ok = ok && got == conf && qop == 0 && pair_same(&plain, &msg);
	free(token.value);
	free(plain.value);
	return ok;
}

/* Stock wraps, own unwraps a token that cannot be written to. */
static bool stock_to_own(struct pair_side *from, struct pair_side *to, int conf, size_t n)
{
	gss_buffer_desc msg = msg_text(n), token, frozen, plain;
	OM_uint32 minor = 77, ignored;
	int state, got = -1;
	gss_qop_t qop = 5;
	bool ok;

	if (gss_wrap(&minor, from->stock, conf, 0, &msg, &state, &token) != GSS_S_COMPLETE)
		return false;
	frozen = msg_frozen(&token);
	ok = mech_unwrap(&minor, &to->own, &frozen, &plain, &got, &qop) == GSS_S_COMPLETE;
	ok = ok && minor == 0 && got == conf && qop == 0 && pair_same(&plain, &msg);
	ok = ok && !plain.length == !plain.value;
	free(plain.value);
	msg_thaw(&frozen);
	gss_release_buffer(&ignored, &token);
	return ok;
}

static void test_wrap(void)
{
	size_t c, n;
	int conf;

	for (c = 0; c < MSG_CONFIGS; c++) {
		for (n = 0; n <= 201; n++) {
			size_t len = n == 201 ? MSG_MEGABYTE : n;

			for (conf = 0; conf < 2; conf++) {
				struct pair *p = &msg_pairs[c];

				msg_check(own_to_stock(&p->i, &p->a, conf, len, msg_configs[c].mac),
				      "own to stock", c, len);
				msg_check(own_to_stock(&p->a, &p->i, conf, len, msg_configs[c].mac),
				      "own to stock, acceptor", c, len);
				msg_check(stock_to_own(&p->i, &p->a, conf, len), "stock to own", c,
				      len);
				msg_check(stock_to_own(&p->a, &p->i, conf, len),
				      "stock to own, initiator", c, len);
			}
		}
	}
}

static bool mic_both_ways(struct pair_side *from, struct pair_side *to, size_t n, size_t mac)
{
	gss_buffer_desc msg = msg_text(n), token, theirs, frozen;
	OM_uint32 minor, ignored;
	gss_qop_t qop = 5;
	bool ok;

	ok = mech_get_mic(&minor, &from->own, 0, &msg, &token) == GSS_S_COMPLETE && !minor;
	ok = ok && token.length == 16 + mac;
	ok = ok && gss_verify_mic(&minor, to->stock, &msg, &token, NULL) == GSS_S_COMPLETE;
	free(token.value);
	ok = ok && gss_get_mic(&minor, from->stock, 0, &msg, &theirs) == GSS_S_COMPLETE;
	if (!ok)
		return false;
	frozen = msg_frozen(&theirs);
	ok = mech_verify_mic(&minor, &to->own, &msg, &frozen, &qop) == GSS_S_COMPLETE
	     && !minor && !qop;
	msg_thaw(&frozen);
	gss_release_buffer(&ignored, &theirs);
	return ok;
}

static void test_mic(void)
{
	const struct msg_config *k = msg_configs;
	struct pair *p = msg_pairs;
	size_t c, n;

	for (c = 0; c < MSG_CONFIGS; c++, k++, p++) {
		for (n = 0; n <= 200; n++)
			msg_check(mic_both_ways(&p->i, &p->a, n, k->mac), "mic", c, n);
		msg_check(mic_both_ways(&p->a, &p->i, MSG_MEGABYTE, k->mac), "mic", c, n);
	}
}

/* An initiator may send under its own subkey before it knows the acceptor's. */
static void test_early_key(void)
{
	OM_uint32 flags = GSS_C_MUTUAL_FLAG;
	struct ks_key *held;
	size_t c, n;

	for (c = 0; c < MSG_CONFIGS; c++) {
		if (!(msg_configs[c].want.flags & flags))
			continue;
		held = msg_pairs[c].i.own.acceptor_key;
		msg_pairs[c].i.own.acceptor_key = NULL;
		for (n = 0; n < 40; n++) {
			gss_buffer_desc msg = msg_text(n), token, plain;
			OM_uint32 minor, ok;

			ok = mech_wrap(&minor, &msg_pairs[c].i.own, n & 1, 0, &msg, NULL, &token);
			msg_check(ok == GSS_S_COMPLETE && !(((uint8_t *)token.value)[2] & 4),
			      "early wrap", c, n);
			ok = mech_unwrap(&minor, &msg_pairs[c].a.own, &token, &plain, NULL, NULL);
			msg_check(ok == GSS_S_COMPLETE && pair_same(&plain, &msg), "early unwrap", c, n);
			free(plain.value);
			/* In the DCE style stock knows no checksum for this key. */
			if (!(msg_configs[c].want.flags & GSS_C_DCE_STYLE)) {
				ok = gss_unwrap(&minor, msg_pairs[c].a.stock, &token, &plain, NULL,
						NULL);
				msg_check(ok == GSS_S_COMPLETE && pair_same(&plain, &msg),
				      "early unwrap, stock", c, n);
				free(plain.value);
			}
			free(token.value);
		}
		msg_pairs[c].i.own.acceptor_key = held;
	}
}

/* The flag of a subkey that is not held means the other key, as in the stock mechanism. */
static void test_flag_without_key(void)
{
	struct pair *p = &msg_pairs[4];      /* no acceptor's subkey */
	gss_buffer_desc msg = msg_text(50), token, plain, mine;
	OM_uint32 minor, own, stock;

	p->i.own.acceptor_key = p->i.initiator_key;
	mech_wrap(&minor, &p->i.own, 1, 0, &msg, NULL, &token);
	p->i.own.acceptor_key = NULL;
	CU_ASSERT_EQUAL(((uint8_t *)token.value)[2], 6);
	own = mech_unwrap(&minor, &p->a.own, &token, &mine, NULL, NULL);
	stock = gss_unwrap(&minor, p->a.stock, &token, &plain, NULL, NULL);
	CU_ASSERT_EQUAL(own, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(own, stock);
	CU_ASSERT(pair_same(&plain, &mine));
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

	for (c = 0; c < MSG_CONFIGS; c++) {
		for (conf = 0; conf < 2; conf++) {
			gss_buffer_desc msg = msg_text(37), token, turned, before, plain;
			OM_uint32 minor, major;

			mech_wrap(&minor, &msg_pairs[c].i.own, conf, 0, &msg, NULL, &token);
			for (k = 0; k < 180 + 6; k++) {
				r = k < 180 ? k : some[k - 180];
				turned = pair_rotated(&token, r);
				before = pair_copy(&turned);
				major = mech_unwrap(&minor, &msg_pairs[c].a.own, &turned, &plain,
						    NULL, NULL);
				msg_check(major == GSS_S_COMPLETE && pair_same(&plain, &msg), "rotated", c,
				      r);
				msg_check(pair_same(&turned, &before), "input changed", c, r);
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
	uint8_t *out = malloc(body + 16), *p = out;
	unsigned i;

	*p++ = 0x60;
	if (octets)
		*p++ = (uint8_t)(0x80 | octets);
	for (i = octets; i > 1; i--)
		*p++ = (uint8_t)((uint64_t)body >> 8 * (i - 1));
	*p++ = (uint8_t)body;
	memcpy(p, oid, sizeof(oid));
	memcpy(p + sizeof(oid), token->value, token->length);
	return (gss_buffer_desc){ (size_t)(p - out) + body, out };
}

static void test_frame(void)
{
	gss_buffer_desc msg = msg_text(20), token, mic, f, plain, cut;
	struct pair *p = &msg_pairs[1];
	OM_uint32 minor, major;
	unsigned octets;
	size_t i;

	mech_wrap(&minor, &p->i.own, 1, 0, &msg, NULL, &token);
	mech_get_mic(&minor, &p->i.own, 0, &msg, &mic);
	for (octets = 0; octets <= 4; octets++) {
		f = framed(&token, octets);
		CU_ASSERT_EQUAL(mech_unwrap(&minor, &p->a.own, &f, &plain, NULL, NULL),
				GSS_S_COMPLETE);
		CU_ASSERT(pair_same(&plain, &msg));
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
	f = framed(&token, 5);           /* lengths of over four octets are not read */
	major = mech_unwrap(&minor, &p->a.own, &f, &plain, NULL, NULL);
	CU_ASSERT(major == GSS_S_DEFECTIVE_TOKEN && (int32_t)minor == G_BAD_TOK_HEADER);
	free(f.value);
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
	struct pair *p = &msg_pairs[config];
	gss_buffer_desc token = with_ec(&p->i, filler, ec, copy), scratch = pair_copy(&token), plain;
	OM_uint32 minor, own, stock;

	own = mech_unwrap(&minor, &p->a.own, &token, &plain, NULL, NULL);
	msg_check(own == (want == SIZE_MAX ? GSS_S_DEFECTIVE_TOKEN : GSS_S_COMPLETE), "EC", config,
	      filler);
	msg_check(want == SIZE_MAX || plain.length == want, "EC length", config, filler);
	msg_check(!plain.length == !plain.value, "EC value", config, filler);
	free(plain.value);
	stock = gss_unwrap(&minor, p->a.stock, &scratch, &plain, NULL, NULL);
	msg_check(own == stock, "EC and stock", config, stock);
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
		CU_TEST_INFO_NULL,
	};

	return msg_run("message", tests);
}
