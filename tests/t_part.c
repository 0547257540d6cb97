/* The DER walk to the key of a part: DER of every bad kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/part.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/parts.h"

/*
 * Writes DER from text: hex digits, and { } around contents whose length goes
 * in front, shortest form.
 */
static const char *der_write(const char *s, uint8_t **p)
{
	uint8_t one[1], *start, *body;
	char two[3] = { 0 };
	size_t n;

	while (*s && *s != '}') {
		if (*s == ' ') {
			s++;
		} else if (*s == '{') {
			start = *p;
			body = *p += 4;
			s = der_write(s + 1, p) + 1;
			n = (size_t)(*p - body);
			*p = start;
			if (n >= 256)
				*(*p)++ = 0x82;
			if (n >= 128 && n < 256)
				*(*p)++ = 0x81;
			if (n >= 256)
				*(*p)++ = (uint8_t)(n >> 8);
			*(*p)++ = (uint8_t)n;
			memmove(*p, body, n);
			*p += n;
		} else {
			memcpy(two, s, 2);
			keys_hex(two, one, 1);
			*(*p)++ = one[0];
			s += 2;
		}
	}
	return s;
}

#define KEY16 "30{a0{02{11}}a1{04{000102030405060708090a0b0c0d0e0f}}}"
#define WHEN "18{32303233313131343232313332305a}"
#define NAME "30{a0{02{01}}a1{30{1b{75}}}}"
#define TICKET_HEAD "a0{03{0040e10000}}a1{" KEY16 "}a2{1b{41}}a3{" NAME "}a4{30{a0{02{01}}a1{04{}}}}"

static const struct {
	const char *der;
	enum ks_part part;
	long err;                       /* 0: good; -1: any error */
} cases[] = {
	{ "7b{30{a0{" WHEN "}a1{02{05}}a2{" KEY16 "}a3{02{01}}}}", KS_ENC_AP_REP_PART, 0 },
	{ "7b{30{a0{" WHEN "}a1{02{05}}}}", KS_ENC_AP_REP_PART, 0 },
	{ "7b{30{a0{" WHEN "}a1{02{05}}a3{02{01}}}}", KS_ENC_AP_REP_PART, 0 },
	/* fields of a later version, behind */
	{ "7b{30{a0{" WHEN "}a1{02{05}}a4{0500}be{04{}}}}", KS_ENC_AP_REP_PART, 0 },
	{ "7b{30{a0{" WHEN "}a1{02{05}}a5{0500}a4{0500}}}", KS_ENC_AP_REP_PART,
	  ASN1_MISPLACED_FIELD },
	{ "7b{30{a0{" WHEN "}a1{02{05}}a5{0500}a5{0500}}}", KS_ENC_AP_REP_PART,
	  ASN1_MISPLACED_FIELD },
	{ "7b{30{a0{" WHEN "}a1{02{05}}bf2a{0500}}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "7b{30{a0{" WHEN "}a1{02{05}}0500}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "7b{30{a0{" WHEN "}a1{02{05}}00}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "7b{30{a0{" WHEN "}a1{02{05}}a4}}", KS_ENC_AP_REP_PART, ASN1_OVERRUN },
	/* a KRB-CRED's part has its key in the one element of a list */
	{ "7d{30{a0{30{30{a0{" KEY16 "}}}}}}", KS_ENC_KRB_CRED_PART, 0 },
	{ "7d{30{a0{30{30{a0{" KEY16 "}a1{1b{41}}}}}a1{02{05}}a2{" WHEN "}a3{02{01}}a4{30{}}a5{30{}}}}",
	  KS_ENC_KRB_CRED_PART, 0 },
	{ "7d{30{a0{30{30{a0{" KEY16 "}}30{a0{" KEY16 "}}}}}}", KS_ENC_KRB_CRED_PART, ASN1_BAD_LENGTH },
	{ "7d{30{a0{30{}}}}", KS_ENC_KRB_CRED_PART, ASN1_OVERRUN },
	{ "7d{30{a0{30{30{a1{1b{41}}}}}}}", KS_ENC_KRB_CRED_PART, ASN1_BAD_ID },
	{ "7d{30{a0{30{30{a0{" KEY16 "04{}}}}}}}", KS_ENC_KRB_CRED_PART, ASN1_BAD_LENGTH },
	{ "7d{30{a1{02{05}}}}", KS_ENC_KRB_CRED_PART, ASN1_MISSING_FIELD },
	{ "7d{30{a0{" KEY16 "}}}", KS_ENC_KRB_CRED_PART, -1 },
	/* another part, another tag */
	{ "7b{30{a0{" WHEN "}a1{02{05}}}}", KS_AUTHENTICATOR, ASN1_BAD_ID },
	{ "7b{30{a0{" WHEN "}a1{02{05}}}}", KS_ENC_TICKET_PART, ASN1_BAD_ID },
	{ "5b{30{a0{" WHEN "}a1{02{05}}}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "7b{31{a0{" WHEN "}a1{02{05}}}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "30{a0{" WHEN "}a1{02{05}}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "7b{}", KS_ENC_AP_REP_PART, ASN1_OVERRUN },
	{ "7b{30{}}", KS_ENC_AP_REP_PART, ASN1_MISSING_FIELD },
	/* two values where one belongs */
	{ "7b{30{a0{" WHEN "}a1{02{05}}}00}", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7b{30{a0{" WHEN "}a1{02{05}02{05}}}}", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7b{30{a0{" WHEN "}a1{}}}", KS_ENC_AP_REP_PART, ASN1_OVERRUN },
	/* lengths: indefinite, not the shortest, too long, too many octets */
	{ "7b80 30{a0{" WHEN "}a1{02{05}}}0000", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7b811a30{a0{" WHEN "}a1{02{05}}}", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7b82001a30{a0{" WHEN "}a1{02{05}}}", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7b85000000001a30{a0{" WHEN "}a1{02{05}}}", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7bff30{a0{" WHEN "}a1{02{05}}}", KS_ENC_AP_REP_PART, ASN1_BAD_LENGTH },
	{ "7b84ffffffff30{a0{" WHEN "}a1{02{05}}}", KS_ENC_AP_REP_PART, ASN1_OVERRUN },
	{ "7b{30{a0{" WHEN "}a1{0284ffffffff05}}}", KS_ENC_AP_REP_PART, ASN1_OVERRUN },
	{ "7b{30{a0{" WHEN "}a1{028105}}}", KS_ENC_AP_REP_PART, -1 },
	/* order, doubles, omissions, types */
	{ "7b{30{a1{02{05}}a0{" WHEN "}}}", KS_ENC_AP_REP_PART, ASN1_MISSING_FIELD },
	{ "7b{30{a0{" WHEN "}a0{" WHEN "}a1{02{05}}}}", KS_ENC_AP_REP_PART, ASN1_MISSING_FIELD },
	{ "7b{30{a0{" WHEN "}a1{02{05}}a2{" KEY16 "}a2{" KEY16 "}}}", KS_ENC_AP_REP_PART,
	  ASN1_MISPLACED_FIELD },
	{ "7b{30{a0{" WHEN "}a1{02{05}}a3{02{01}}a2{" KEY16 "}}}", KS_ENC_AP_REP_PART,
	  ASN1_MISPLACED_FIELD },
	{ "7b{30{a0{02{05}}a1{02{05}}}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	{ "7b{30{80{" WHEN "}a1{02{05}}}}", KS_ENC_AP_REP_PART, ASN1_MISSING_FIELD },
	{ "7b{30{a0{38{}}a1{02{05}}}}", KS_ENC_AP_REP_PART, ASN1_BAD_ID },
	/* the key itself */
#define REPLY(key) "7b{30{a0{" WHEN "}a1{02{05}}a2{" key "}}}", KS_ENC_AP_REP_PART
	{ REPLY("30{}"), ASN1_OVERRUN },
	{ REPLY("30{a0{02{11}}}"), ASN1_OVERRUN },
	{ REPLY("30{a1{04{00}}}"), ASN1_BAD_ID },
	{ REPLY("30{a0{02{11}}a1{04{}}}"), 0 },
	{ REPLY("30{a0{02{ef}}a1{04{00}}}"), 0 },
	{ REPLY("30{a0{02{7fffffff}}a1{04{00}}}"), 0 },
	{ REPLY("30{a0{02{80000000}}a1{04{00}}}"), 0 },
	{ REPLY("30{a0{02{0080000000}}a1{04{00}}}"), ASN1_OVERFLOW },
	{ REPLY("30{a0{02{0011}}a1{04{00}}}"), ASN1_BAD_FORMAT },
	{ REPLY("30{a0{02{ffef}}a1{04{00}}}"), ASN1_BAD_FORMAT },
	{ REPLY("30{a0{02{}}a1{04{00}}}"), ASN1_BAD_LENGTH },
	{ REPLY("30{a0{0a{11}}a1{04{00}}}"), ASN1_BAD_ID },
	{ REPLY("30{a0{02{11}00}a1{04{00}}}"), ASN1_BAD_LENGTH },
	{ REPLY("30{a0{02{11}}a1{24{04{00}}}}"), ASN1_BAD_ID },
	{ REPLY("30{a0{02{11}}a1{03{00}}}"), ASN1_BAD_ID },
	{ REPLY("30{a0{02{11}}a1{04{00}04{00}}}"), ASN1_BAD_LENGTH },
	{ REPLY("30{a0{02{11}}a1{04{00}}a2{0500}}"), ASN1_BAD_LENGTH },
	{ REPLY("30{a0{02{11}}a1{04{00}}}00"), ASN1_BAD_LENGTH },
	{ REPLY("30{a1{04{00}}a0{02{11}}}"), ASN1_BAD_ID },
	{ REPLY("a0{02{11}}a1{04{00}}"), ASN1_BAD_ID },
	{ REPLY("30{a0{02{11}}a1{0410 00}}"), ASN1_OVERRUN },
	{ REPLY("30{a0{02{11}}a1{0480 00 0000}}"), ASN1_BAD_LENGTH },
	/* tickets and authenticators */
	{ "63{30{" TICKET_HEAD "a5{" WHEN "}a7{" WHEN "}}}", KS_ENC_TICKET_PART, 0 },
	{ "63{30{" TICKET_HEAD "a5{" WHEN "}a6{" WHEN "}a7{" WHEN "}a8{" WHEN "}a9{30{}}aa{30{}}}}",
	  KS_ENC_TICKET_PART, 0 },
	{ "63{30{" TICKET_HEAD "a5{" WHEN "}}}", KS_ENC_TICKET_PART, ASN1_MISSING_FIELD },
	{ "63{30{" TICKET_HEAD "a7{" WHEN "}}}", KS_ENC_TICKET_PART, ASN1_MISSING_FIELD },
	{ "63{30{a0{03{0040e10000}}a2{1b{41}}a3{" NAME "}a4{30{}}a5{" WHEN "}a7{" WHEN "}}}",
	  KS_ENC_TICKET_PART, ASN1_MISSING_FIELD },
	{ "62{30{a0{02{05}}a1{1b{41}}a2{" NAME "}a4{02{05}}a5{" WHEN "}}}", KS_AUTHENTICATOR, 0 },
	{ "62{30{a0{02{05}}a1{1b{41}}a2{" NAME "}a4{02{05}}a5{" WHEN "}a6{" KEY16 "}a7{02{01}}"
	  "a8{30{}}}}", KS_AUTHENTICATOR, 0 },
	{ "62{30{a0{02{05}}a1{1b{41}}a2{" NAME "}a4{02{05}}a6{" KEY16 "}}}", KS_AUTHENTICATOR,
	  ASN1_MISSING_FIELD },
	{ "62{30{a0{02{05}}a1{1b{41}}a2{" NAME "}a4{02{05}}a5{" WHEN "}a6{30{}}}}",
	  KS_AUTHENTICATOR, ASN1_OVERRUN },
};

/* The parser sees a block of exactly this size, so that tools see it read past the end. */
static err_t find(enum ks_part part, const uint8_t *der, size_t n, struct ks_hole *h)
{
	uint8_t *own = malloc(n ? n : 1);
	err_t err;

	memcpy(own, der, n);
	err = ks_part_find(part, own, n, h);
	free(own);
	return err;
}

static void one_case(size_t i, const uint8_t *der, size_t n)
{
	struct ks_hole h;
	size_t cut;
	err_t err = find(cases[i].part, der, n, &h);

	if (cases[i].err == -1 ? !err : err != (err_t)cases[i].err) {
		fprintf(stderr, "case %zu (%s): %ld\n", i, cases[i].der, (long)err);
		CU_FAIL("see above");
	}
	if (err) {
		CU_ASSERT(!h.total && !h.present && !h.at && !h.len);
		return;
	}
	CU_ASSERT_EQUAL(h.total, n);
	CU_ASSERT_EQUAL(h.present, strstr(cases[i].der, "a1{04{") != NULL &&
				   (strstr(cases[i].der, KEY16) || strstr(cases[i].der, "a2{30{a0")));
	for (cut = 0; cut < n; cut++)
		CU_ASSERT(find(cases[i].part, der, cut, &h) != 0);
}

static void malformed(void)
{
	uint8_t der[1024], *p;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = der;
		der_write(cases[i].der, &p);
		one_case(i, der, (size_t)(p - der));
	}
}

/* Every octet of a real message changed: no harm, and the hole stays inside. */
static void mutated(void)
{
	static const enum ks_part parts[] = { KS_ENC_TICKET_PART, KS_AUTHENTICATOR,
					      KS_ENC_AP_REP_PART };
	uint8_t bytes[32] = { 1 }, copy[1024];
	krb5_keyblock inner = keys_block(18, bytes);
	struct ks_hole h;
	struct message m;
	size_t i, j, n;
	unsigned v;

	keys_fill(bytes, sizeof(bytes));
	for (i = 0; i < 3; i++) {
		m = parts_make(parts[i], &inner, true);
		n = m.der->length;
		CU_ASSERT_FATAL(n <= sizeof(copy));
		for (j = 0; j < n; j++) {
			for (v = 0; v < 256; v += 1 + v % 5) {
				memcpy(copy, m.der->data, n);
				copy[j] = (uint8_t)v;
				if (find(parts[i], copy, n, &h))
					continue;
				CU_ASSERT(h.total <= n && h.at <= h.total &&
					  h.len <= h.total - h.at);
			}
		}
		krb5_free_data(keys_krb5(), m.der);
	}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "DER of every kind", malformed }, { "mutated", mutated }, CU_TEST_INFO_NULL
	};

	return box_suite("part", NULL, NULL, tests);
}
