/*
 * The transited check against libkrb5's own, which is in its symbol table:
 * the same verdict for known cases and for a great many made-up ones.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/transited.h"
#include "tests/lib/box.h"

krb5_error_code krb5_check_transited_list(krb5_context ctx, const krb5_data *trans,
					  const krb5_data *crealm, const krb5_data *srealm);

#define CONF \
	"[libdefaults]\n default_realm = TEST.ORG\n" \
	"[capaths]\n" \
	" A.B.C = {\n  X.Y = HUB\n  X.Y = B.C trailing words\n  Z = .\n }\n" \
	" /OX = {\n  Z = /OX/OUY\n }\n"

static krb5_context k5;

static krb5_data data(const char *s, size_t n)
{
	krb5_data d = { KV5M_DATA, (unsigned)n, (char *)(uintptr_t)s };

	return d;
}

static struct der_str str(const char *s, size_t n)
{
	return (struct der_str){ (const uint8_t *)s, n };
}

static err_t own_verdict(const char *t, size_t n, const char *client, const char *server)
{
	return mech_transited_check(k5, str(t, n), str(client, strlen(client)),
				    str(server, strlen(server)));
}

static err_t verdict(const char *t, size_t n, const char *client, const char *server)
{
	krb5_data trans = data(t, n), c = data(client, strlen(client));
	krb5_data s = data(server, strlen(server));
	err_t stock = krb5_check_transited_list(k5, &trans, &c, &s);
	err_t own = own_verdict(t, n, client, server);

	CU_ASSERT_EQUAL(stock, own);
	if (stock != own)
		printf("\n\"%.*s\" from %s to %s: libkrb5 %d, here %d\n", (int)n, t, client, server,
		       (int)stock, (int)own);
	return own;
}

static err_t of(const char *t, const char *client, const char *server)
{
	return verdict(t, strlen(t), client, server);
}

static void refused(void)
{
	CU_ASSERT_EQUAL(of("EVIL", "A.TEST", "B.TEST"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("TEST,EVIL", "A.TEST", "B.TEST"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("EVIL.,TEST", "A.TEST", "B.TEST"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("X.TEST", "A.TEST", "B.TEST"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("EST", "A.TEST", "B.TEST"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("TEST", "A.TEST", "A.TEST"), KRB5_NO_TKT_IN_RLM);
	CU_ASSERT_EQUAL(of("HUB", "A.B.C", "Z"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("B.C trailing words", "A.B.C", "X.Y"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of("C", "A.B.C", "X.Y"), KRB5KRB_AP_ERR_ILL_CR_TKT);
	CU_ASSERT_EQUAL(of(" ,", "A.B.C", "X.Y"), KRB5KRB_AP_ERR_ILL_CR_TKT);
}

static void accepted(void)
{
	CU_ASSERT_EQUAL(of("", "A.TEST", "B.TEST"), 0);
	CU_ASSERT_EQUAL(of("TEST", "A.TEST", "B.TEST"), 0);
	CU_ASSERT_EQUAL(of("B.TEST,TEST", "A.B.TEST", "C.TEST"), 0);
	CU_ASSERT_EQUAL(of("TEST,B.", "A.B.TEST", "C.TEST"), 0);
	CU_ASSERT_EQUAL(of(",TEST,", "A.B.TEST", "C.D.TEST"), 0);
	CU_ASSERT_EQUAL(of("HUB", "A.B.C", "X.Y"), 0);
	CU_ASSERT_EQUAL(of("B.C", "A.B.C", "X.Y"), 0);
	CU_ASSERT_EQUAL(of("T\\EST", "A.TEST", "B.TEST"), 0);
	CU_ASSERT_EQUAL(of("/OX,/OUY", "/OX", "Z"), 0);
	CU_ASSERT_EQUAL(verdict("TEST\0", 5, "A.TEST", "B.TEST"), 0);
	CU_ASSERT_EQUAL(of("anything", "WELLKNOWN:ANONYMOUS", "B.TEST"), 0);
}

static void long_ones(void)
{
	char s[1200];
	size_t n;

	for (n = 500; n < 530; n++) {
		memset(s, 'A', sizeof(s));
		verdict(s, n, "A.TEST", "B.TEST");
		memcpy(s, "TEST,", 5);
		s[n - 1] = '.';
		verdict(s, n, "A.TEST", "B.TEST");
		s[5] = '/';
		verdict(s, n, "A.TEST", "B.TEST");
		s[n] = '\0';
		memset(s, 'A', n);
		verdict(",X", 2, s, "B.TEST");
		verdict("X,", 2, "B.TEST", s);
	}
}

static uint32_t seed = 7;

static unsigned rnd(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Pieces that make sense together now and then. */
static size_t made_up(char *out, unsigned pieces, bool encoded)
{
	static const char *const parts[] = {
		"A", "B", "C", ".", "A.B", "B.C", ".C", "/", "/OX", "/OUY", "HUB", "X.Y", "Z",
		",", ",", ",", ",,", " ", "\\", "\\,", ". ",
	};
	size_t n = 0;

	out[0] = '\0';
	while (pieces--) {
		const char *p = parts[rnd(encoded ? 21 : 13)];

		memcpy(out + n, p, strlen(p) + 1);
		n += strlen(p);
	}
	return n;
}

static void at_random(void)
{
	static const char *const realms[] = {
		"A.B.C", "X.Y", "Z", "/OX", "/OX/OUY", "B.C", "C", "A.C", "AB.C", "D.A.B.C",
	};
	char t[128], c[64], s[64];
	unsigned i, agreed = 0;

	for (i = 0; i < 200000; i++) {
		size_t n = made_up(t, rnd(6), true);

		made_up(c, 1 + rnd(4), false);
		made_up(s, 1 + rnd(4), false);
		if (i & 1)
			agreed += !verdict(t, n, realms[rnd(10)], realms[rnd(10)]);
		else
			agreed += !verdict(t, n, c, s);
	}
	/* The inputs are not all nonsense. */
	CU_ASSERT(agreed > 1000 && agreed < 199000);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "refused", refused }, { "accepted", accepted }, { "long ones", long_ones },
		{ "at random", at_random }, CU_TEST_INFO_NULL,
	};
	char *conf = box_file("krb5.conf", CONF, 0600);
	int status;

	setenv("KRB5_CONFIG", conf, 1);
	if (krb5_init_context(&k5))
		return 99;
	status = box_suite("transited", NULL, NULL, tests);
	krb5_free_context(k5);
	free(conf);
	return status;
}
