/*
 * Name attributes: PAC and authentication indicators, checked on the token,
 * against the stock acceptor with the same key and the same octets.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/attr_case.h"

/* ---- PAC ---- */

static void test_none(void)
{
	struct attr_case t = attr_begin();

	attr_try("nothing", &t);
	t = attr_begin();
	ad_add(&t.ticket, 77, "something", 9);
	ad_wrap(&t.ticket);
	attr_try("of no concern", &t);
}

static void test_pac_good(void)
{
	for (int i = 0; i < 4; i++) {
		struct attr_case t = attr_begin();

		t.key = &attr_keys[i];
		attr_put_pac(&t.ticket, attr_pac(&t));
		t.pac = t.verified = true;
		attr_try("good PAC", &t);
	}
}

static void test_pac_places(void)
{
	struct attr_case t = attr_begin();

	ad_take(&t.ticket, AD_PAC, attr_pac(&t));
	t.pac = t.verified = true;
	attr_try("PAC at the top", &t);

	t = attr_begin();
	attr_put_pac(&t.ticket, attr_pac(&t));
	ad_wrap(&t.ticket);
	ad_wrap(&t.ticket);
	t.pac = t.verified = true;
	attr_try("PAC nested", &t);

	t = attr_begin();
	attr_put_pac(&t.authenticator, attr_pac(&t));
	attr_try("PAC in the authenticator", &t);

	t = attr_begin();
	ad_take(&t.authenticator, AD_PAC, attr_pac(&t));
	attr_try("PAC at the top of the authenticator", &t);

	t = attr_begin();
	attr_put_pac(&t.ticket, attr_pac(&t));
	ad_wrap(&t.ticket);
	t.ticket.v[0]->ad_type = 99;
	attr_try("PAC in something else", &t);
}

/* One octet of each region; MS-PAC's header first. */
static void test_pac_flipped(void)
{
	struct attr_case probe = attr_begin();
	gss_buffer_desc whole = attr_pac(&probe);
	size_t len = whole.length, at;

	free(whole.value);
	for (at = 72; at < len; at += 5) {
		struct attr_case t = attr_begin();
		gss_buffer_desc pac = attr_pac(&t);
		unsigned char *kdc, *p = pac.value;
		size_t n = 0;

		kdc = ad_pac_find(&pac, KRB5_PAC_PRIVSVR_CHECKSUM, &n);
		p[at] ^= 0x40;
		t.pac = true;
		/* Of the KDC's signature only the type is signed. */
		t.verified = p + at >= kdc + 4 && p + at < kdc + n;
		attr_put_pac(&t.ticket, pac);
		attr_try("flipped", &t);
	}
}

static void test_pac_header(void)
{
	static const struct {
		size_t at;
		uint8_t to;
		err_t fails;
	} bad[] = {
		{ 0, 0, ERANGE }, { 0, 200, ERANGE }, { 2, 0xff, ERANGE }, { 4, 1, EINVAL },
		{ 16, 1, EINVAL }, { 18, 0xff, ERANGE }, { 23, 0xff, ERANGE }, { 15, 0xff, ERANGE },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct attr_case t = attr_begin();
		gss_buffer_desc pac = attr_pac(&t);

		((unsigned char *)pac.value)[bad[i].at] = bad[i].to;
		attr_put_pac(&t.ticket, pac);
		t.fails = bad[i].fails;
		attr_try("broken header", &t);
	}
	for (size_t len = 0; len < 40; len += 3) {
		struct attr_case t = attr_begin();
		gss_buffer_desc pac = attr_pac(&t);

		pac.length = len;
		attr_put_pac(&t.ticket, pac);
		t.fails = ERANGE;
		attr_try("cut off", &t);
	}
}

static void test_pac_signature(void)
{
	static const krb5_ui_4 types[] = { KRB5_PAC_SERVER_CHECKSUM, KRB5_PAC_PRIVSVR_CHECKSUM };
	struct attr_case t = attr_begin();
	struct ad_pac w = { .key = &attr_stranger, .client = t.client, .authtime = t.authtime };

	attr_put_pac(&t.ticket, ad_pac(&w));
	t.pac = true;
	attr_try("another key", &t);

	for (int i = 0; i < 2; i++) {
		/* The type of a buffer is at the start of its row of 16 octets. */
		for (size_t row = 8; row < 8 + 4 * 16; row += 16) {
			gss_buffer_desc pac;
			unsigned char *p;

			t = attr_begin();
			pac = attr_pac(&t);
			p = (unsigned char *)pac.value + row;
			t.pac = true;
			if (*p == types[i])
				*p = 55;
			else
				*p = (unsigned char)types[i];
			ad_take(&t.ticket, AD_PAC, pac);
			attr_try("signature missing or twice", &t);
		}
	}
}

/* Shorter or longer than its checksum: the size is in the buffer's row. */
static void test_pac_size(void)
{
	static const int sizes[] = { 0, 3, 4, 8, 15, 17, 18 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct attr_case t = attr_begin();
		gss_buffer_desc pac = attr_pac(&t);
		unsigned char *p = pac.value;

		for (size_t row = 8; row < 8 + 4 * 16; row += 16) {
			if (p[row] == KRB5_PAC_SERVER_CHECKSUM)
				p[row + 4] = (unsigned char)sizes[i];
		}
		t.pac = true;
		attr_put_pac(&t.ticket, pac);
		attr_try("other size of the signature", &t);
	}
}

static void test_pac_types(void)
{
	static const struct {
		krb5_cksumtype type;
		bool stock_trusts;
	} types[] = {
		{ CKSUMTYPE_HMAC_MD5_ARCFOUR, true }, { CKSUMTYPE_NIST_SHA, false },
		{ CKSUMTYPE_RSA_MD5, false },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct attr_case t = attr_begin();
		gss_buffer_desc pac;

		/* A key whose own signature has room for 16 octets. */
		t.key = &attr_keys[2];
		pac = attr_pac(&t);
		ad_pac_resign(&pac, t.key, types[i].type);
		attr_put_pac(&t.ticket, pac);
		t.pac = true;
		t.stock_trusts = types[i].stock_trusts;
		attr_try("other type of checksum", &t);
	}
}

static void test_pac_client(void)
{
	struct attr_case t = attr_begin();
	struct ad_pac w = { .key = t.key, .client = "mallory@TEST.ORG", .authtime = t.authtime };

	attr_put_pac(&t.ticket, ad_pac(&w));
	t.pac = true;
	attr_try("another client's", &t);

	t = attr_begin();
	w = (struct ad_pac){ .key = t.key, .client = t.client, .authtime = t.authtime - 1 };
	attr_put_pac(&t.ticket, ad_pac(&w));
	t.pac = true;
	attr_try("another ticket's", &t);

	t = attr_begin();
	t.client = "alice/admin@TEST.ORG";
	attr_put_pac(&t.ticket, attr_pac(&t));
	t.pac = t.verified = true;
	attr_try("a longer name", &t);

	t = attr_begin();
	t.client = "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS";
	attr_put_pac(&t.ticket, attr_pac(&t));
	t.pac = t.verified = true;
	attr_try("nobody's name", &t);

	/* What libkrb5 signs with escapes it compares without. */
	t = attr_begin();
	t.client = "a\\/b\\@c/admin@TEST.ORG";
	attr_put_pac(&t.ticket, attr_pac(&t));
	t.pac = true;
	attr_try("a strange name", &t);
}

static void test_pac_twice(void)
{
	struct attr_case t = attr_begin();
	struct ad_pac w = { .key = &attr_stranger, .client = t.client, .authtime = t.authtime };

	ad_take(&t.ticket, AD_PAC, attr_pac(&t));
	ad_take(&t.ticket, AD_PAC, ad_pac(&w));
	t.pac = t.verified = true;
	attr_try("good, then bad", &t);

	t = attr_begin();
	ad_take(&t.ticket, AD_PAC, ad_pac(&w));
	ad_take(&t.ticket, AD_PAC, attr_pac(&t));
	t.pac = true;
	attr_try("bad, then good", &t);

	t = attr_begin();
	for (int i = 0; i < 257; i++)
		ad_add(&t.ticket, AD_PAC, "x", 1);
	t.fails = ERANGE;
	attr_try("hundreds", &t);
}

static void test_pac_large(void)
{
	struct attr_case t = attr_begin();
	struct ad_pac w = { .key = t.key, .client = t.client, .authtime = t.authtime,
			    .bulk = 60000 };

	attr_put_pac(&t.ticket, ad_pac(&w));
	t.pac = t.verified = true;
	attr_try("large", &t);
}

/* ---- CAMMAC ---- */

static void test_cammac_good(void)
{
	for (int i = 0; i < 4; i++) {
		struct attr_case t = attr_begin();
		struct ad_cammac w = { .hints = i & 1, .others = i & 2 };

		t.key = &attr_keys[i];
		ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, w));
		ad_wrap(&t.ticket);
		t.indicators = 2;
		attr_try("good CAMMAC", &t);
	}
}

static void test_cammac_several(void)
{
	static const char *const none[] = { NULL }, *const empty[] = { "", NULL };
	struct ad_cammac w = { .hints = false };
	struct attr_case t = attr_begin();

	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, w));
	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_one, w));
	attr_put_pac(&t.ticket, attr_pac(&t));
	t.indicators = 3;
	t.pac = t.verified = true;
	attr_try("two and a PAC", &t);

	t = attr_begin();
	w.key = &attr_stranger;
	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, w));
	w.key = NULL;
	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_one, w));
	t.indicators = 1;
	attr_try("bad, then good", &t);

	t = attr_begin();
	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, none, w));
	attr_try("no indicator inside", &t);

	t = attr_begin();
	ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, empty, w));
	t.indicators = 1;
	attr_try("an empty indicator", &t);
}

static void test_cammac_places(void)
{
	struct ad_cammac w = { .hints = false };
	struct attr_case t = attr_begin();

	ad_take(&t.authenticator, AD_CAMMAC, attr_cammac(&t, attr_one, w));
	ad_wrap(&t.authenticator);
	attr_try("in the authenticator", &t);

	t = attr_begin();
	ad_take(&t.ticket, AD_INDICATOR, ad_indicators(attr_one));
	attr_try("indicators without CAMMAC", &t);

	t = attr_begin();
	ad_take(&t.authenticator, AD_INDICATOR, ad_indicators(attr_one));
	ad_wrap(&t.authenticator);
	attr_try("indicators in the authenticator", &t);

	/* Inside a CAMMAC there may be AD-IF-RELEVANT, but a PAC there is none. */
	t = attr_begin();
	struct ad_list inside = { .n = 0 };

	ad_take(&inside, AD_INDICATOR, ad_indicators(attr_two));
	ad_wrap(&inside);
	ad_take(&inside, AD_PAC, attr_pac(&t));
	w = (struct ad_cammac){ .elements = &inside, .key = t.key };
	ad_take(&t.ticket, AD_CAMMAC, ad_cammac(&w));
	ad_free(&inside);
	t.indicators = 2;
	attr_try("nested inside", &t);
}

static void test_cammac_bad(void)
{
	static const struct {
		struct ad_cammac w;
		err_t fails;
		bool stock_trusts;
	} bad[] = {
		{ { .usage = 17 }, 0, false },
		{ { .key = &attr_stranger }, 0, false },
		{ { .no_service = true }, EINVAL, false },
		{ { .no_service = true, .others = true }, EINVAL, false },
		{ { .cut = 1 }, KRB5_BAD_MSIZE, false },
		{ { .key = &attr_keys[2] }, KRB5_BAD_ENCTYPE, false },
		{ { .type = CKSUMTYPE_HMAC_MD5_ARCFOUR }, 0, true },
		{ { .type = CKSUMTYPE_HMAC_SHA384_192_AES256 }, 0, true },
		{ { .type = CKSUMTYPE_NIST_SHA }, 0, true },
		{ { .type = CKSUMTYPE_RSA_MD5 }, 0, true },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct attr_case t = attr_begin();

		t.fails = bad[i].fails;
		t.stock_trusts = bad[i].stock_trusts;
		ad_take(&t.ticket, AD_CAMMAC, attr_cammac(&t, attr_two, bad[i].w));
		attr_try("bad CAMMAC", &t);
	}
}

/* Every octet that a flip can reach: never an indicator, whether it is refused or passed over. */
static void test_cammac_flipped(void)
{
	struct ad_cammac w = { .hints = true };
	struct attr_case t = attr_begin();
	gss_buffer_desc whole = attr_cammac(&t, attr_two, w);
	size_t len = whole.length, at;
	struct attr_seen own;

	free(whole.value);
	for (at = 0; at < len; at++) {
		gss_buffer_desc cammac, in;
		int authenticated;

		t = attr_begin();
		cammac = attr_cammac(&t, attr_two, w);
		((unsigned char *)cammac.value)[at] ^= 0x04;
		ad_take(&t.ticket, AD_CAMMAC, cammac);
		in = attr_message(&t);
		attr_see(attr_own, &in, &own);
		/* The hints in front of the checksum are not protected, and not looked at. */
		if (own.major == GSS_S_COMPLETE && attr_count(own.src, "auth-indicators",
							       &authenticated))
			CU_ASSERT_TRUE(at > len - 60 && at < len - 12);
		attr_seen_fini(&own);
		free(in.value);
		ad_free(&t.ticket);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "no authorization data", test_none },
		{ "a good PAC", test_pac_good },
		{ "where a PAC may be", test_pac_places },
		{ "a PAC with flipped octets", test_pac_flipped },
		{ "a PAC with a broken header", test_pac_header },
		{ "a PAC signed otherwise", test_pac_signature },
		{ "sizes of the signature", test_pac_size },
		{ "types of the signature", test_pac_types },
		{ "a PAC of another client", test_pac_client },
		{ "several PACs", test_pac_twice },
		{ "a large PAC", test_pac_large },
		{ "a good CAMMAC", test_cammac_good },
		{ "several CAMMACs", test_cammac_several },
		{ "where a CAMMAC may be", test_cammac_places },
		{ "bad CAMMACs", test_cammac_bad },
		{ "a CAMMAC with flipped octets", test_cammac_flipped },
		CU_TEST_INFO_NULL
	};

	return attr_run(tests);
}
