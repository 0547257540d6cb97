/*
 * Messages with keys inside that were altered, opened on the token: refused,
 * all with the same status, and no octet of the key comes to the host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/part.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/lifting.h"
#include "tests/lib/record.h"

/* ---- what must not open ---- */

static bool refused(const struct lift_pair *p, const struct made *m, const uint8_t *cipher, size_t len,
		    const char *what)
{
	const struct ks_cipher in = { m->usage, cipher, len, true };
	const size_t mac = ks_key_etype(p->plain)->mac_len;
	struct ks_opened o;
	struct recorded r;
	struct ks_hole hole = { 0 };
	bool ok;
	err_t err;

	CU_ASSERT_EQUAL(ks_part_find(m->w.part, (uint8_t *)m->der->data, m->der->length, &hole), 0);
	memset(&o, 0xff, sizeof(o));
	record_begin(m->cipher, m->len - mac, m->bytes, KS_CONFOUNDER + hole.at, hole.len);
	err = ks_part_open(p->hidden, m->w.part, &in, NULL, &o);
	r = record_end();
	ok = err == KRB5KRB_AP_ERR_BAD_INTEGRITY || (err == KRB5_BAD_MSIZE && len < 16 + mac);
	if (!ok) {
		fprintf(stderr, "%d %s\n", (int)err, err_text(err) ? err_text(err) : "");
		lift_fail(m, what);
	}
	if (o.bytes || o.key || o.len || o.key_etype)
		ok = lift_fail(m, "something came out of a message that was refused");
	if (r.key_octets || r.key_blocks)
		ok = lift_fail(m, "a key octet came to the host from a message that was refused");
	return ok;
}

/* Every bit. */
static void flipped(void)
{
	struct lift_pair p;
	struct made m;
	size_t i, j, bit;

	for (i = 0; i < 4; i++) for (j = 0; j < 2; j++) {
		lift_pair_make(lift_etypes[i], &p);
		lift_make(&lift_usual[j], &p.block, &m);
		for (bit = 0; bit < m.len * 8; bit++) {
			m.cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (!refused(&p, &m, m.cipher, m.len, "a bit was flipped"))
				break;
			m.cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		lift_unmake(&m);
		lift_pair_free(&p);
	}
}

static void exchange(uint8_t *a, uint8_t *b)
{
	uint8_t t[16];

	memcpy(t, a, 16);
	memcpy(a, b, 16);
	memcpy(b, t, 16);
}

/* Every block in every other's place, cut out, cut off, put in twice. */
static void moved(void)
{
	struct lift_pair p;
	struct made m;
	uint8_t copy[2048];
	size_t i, j, a, b, n;

	for (i = 0; i < 4; i++) for (j = 0; j < 2; j++) {
		lift_pair_make(lift_etypes[i], &p);
		lift_make(&lift_usual[j], &p.block, &m);
		n = (m.len - ks_key_etype(p.plain)->mac_len) / 16;
		for (a = 0; a < n; a++) {
			memcpy(copy, m.cipher, m.len);
			for (b = a + 1; b < n; b++) {
				exchange(copy + 16 * a, copy + 16 * b);
				refused(&p, &m, copy, m.len, "two blocks were exchanged");
				exchange(copy + 16 * a, copy + 16 * b);
			}
			memmove(copy + 16 * a, copy + 16 * (a + 1), m.len - 16 * (a + 1));
			refused(&p, &m, copy, m.len - 16, "a block was cut out");
			memcpy(copy + 16 * a, m.cipher + 16 * a, m.len - 16 * a);
			memcpy(copy + 16 * (a + 1), m.cipher + 16 * a, m.len - 16 * a);
			refused(&p, &m, copy, m.len + 16, "a block was put in twice");
		}
		for (a = 0; a < m.len; a++)
			refused(&p, &m, m.cipher, a, "it was cut off");
		lift_unmake(&m);
		lift_pair_free(&p);
	}
}

/* What is wrong under a good MAC has the same status. */
static void malformed(void)
{
	struct lift_pair p;
	struct made m;
	struct ks_hole hole;
	size_t i, j, k, len;
	uint8_t *cipher;

	for (i = 0; i < 4; i++) for (j = 0; j < 2; j++) {
		lift_pair_make(lift_etypes[i], &p);
		lift_make(&lift_usual[j], &p.block, &m);
		CU_ASSERT_EQUAL(ks_part_find(m.w.part, (uint8_t *)m.der->data, m.der->length, &hole),
				0);
		for (k = 0; k < m.der->length; k++) {
			if (k == hole.at)
				k += hole.len;
			m.der->data[k] ^= 0x40;
			if (ks_part_find(m.w.part, (uint8_t *)m.der->data, m.der->length, &hole)) {
				const struct ks_cipher in = { m.usage, NULL, 0, true };
				struct ks_cipher now = in;
				struct ks_opened o;

				now.p = cipher = lift_encrypt(&p.block, m.usage, m.der, &len);
				now.len = len;
				CU_ASSERT_EQUAL(ks_part_open(p.hidden, m.w.part, &now, NULL, &o),
						KRB5KRB_AP_ERR_BAD_INTEGRITY);
				CU_ASSERT(!o.bytes && !o.key);
				free(cipher);
			}
			m.der->data[k] ^= 0x40;
			CU_ASSERT_EQUAL(ks_part_find(m.w.part, (uint8_t *)m.der->data,
						     m.der->length, &hole), 0);
		}
		lift_unmake(&m);
		lift_pair_free(&p);
	}
}

/* A key of an enctype that we do, of the wrong size. */
static void sizes(void)
{
	struct wish w = { .part = KS_AUTHENTICATOR, .inner = 18, .name = 4, .realm = 6 };
	struct ks_opened o;
	struct lift_pair p;
	struct made m;

	lift_pair_make(20, &p);
	for (w.inner_len = 1; w.inner_len < 64; w.inner_len += 3) {
		lift_make(&w, &p.block, &m);
		CU_ASSERT_EQUAL(lift_open(p.hidden, &m, &o), (err_t)KRB5_BAD_KEYSIZE);
		CU_ASSERT(!o.bytes && !o.key);
		lift_unmake(&m);
	}
	lift_pair_free(&p);
}

/* A second key in the list, where one is allowed: refused before it is decrypted. */
static void two_keys(void)
{
	struct wish w = { .part = KS_ENC_KRB_CRED_PART, .inner = 18, .name = 4, .realm = 6 };
	struct lift_pair p;
	struct made m;
	struct ks_opened o;
	struct ks_cipher in = { 14, NULL, 0, true };
	krb5_data *der;
	uint8_t *cipher, second[32];
	size_t i, len;

	for (i = 0; i < 4; i++) {
		lift_pair_make(lift_etypes[i], &p);
		lift_make(&w, &p.block, &m);
		keys_fill(second, sizeof(second));
		der = lift_two_infos(&m, second);
		in.p = cipher = lift_encrypt(&p.block, m.usage, der, &len);
		in.len = len;
		record_begin(NULL, 0, NULL, 0, 0);
		CU_ASSERT_EQUAL(ks_part_open(p.hidden, w.part, &in, NULL, &o),
				KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT_EQUAL(record_end().objects, 0);
		CU_ASSERT_EQUAL(record_outputs_with(second, sizeof(second)), 0);
		CU_ASSERT_EQUAL(record_outputs_with(m.bytes, 32), 0);
		krb5_free_data(keys_krb5(), der);
		free(cipher);
		lift_unmake(&m);
		lift_pair_free(&p);
	}
}

/* Strangers may send megabytes; RFC 3962's MAC would make an object of every 240 octets. */
static void huge(void)
{
	static uint8_t cipher[2000000];
	const struct ks_cipher in = { 2, cipher, sizeof(cipher), true };
	struct lift_pair p;
	struct ks_opened o;
	struct recorded r;
	size_t i;
	err_t err;

	for (i = 0; i < 4; i++) {
		lift_pair_make(lift_etypes[i], &p);
		record_begin(NULL, 0, NULL, 0, 0);
		err = ks_part_open(p.hidden, KS_ENC_TICKET_PART, &in, NULL, &o);
		r = record_end();
		CU_ASSERT(err == KRB5_BAD_MSIZE || err == KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT(r.calls < 10);
		CU_ASSERT_EQUAL(r.objects, 0);
		lift_pair_free(&p);
	}
}

/* Every call fails in turn: an error, nothing comes out, and no object stays. */
static void failing(void)
{
	struct lift_pair p;
	struct made m;
	struct ks_opened o;
	struct recorded r;
	unsigned n;
	size_t i, j;
	err_t err;

	for (i = 0; i < 4; i++) for (j = 0; j < 2; j++) {
		lift_pair_make(lift_etypes[i], &p);
		lift_make(&lift_usual[j], &p.block, &m);
		for (n = 1; ; n++) {
			record_begin(NULL, 0, m.bytes, 0, m.inner.length);
			record_fail(n);
			err = lift_open(p.hidden, &m, &o);
			if (err)
				CU_ASSERT(!o.bytes && !o.key && !o.len);
			ks_opened_fini(&o);
			r = record_end();
			CU_ASSERT_EQUAL(r.objects, 0);
			CU_ASSERT_EQUAL(r.key_octets, 0);
			if (r.calls < n)
				break;
		}
		CU_ASSERT_EQUAL(err, 0);
		CU_ASSERT(n > 20);
		lift_unmake(&m);
		lift_pair_free(&p);
	}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "flipped", flipped }, { "moved and cut", moved },
		{ "malformed under a good MAC", malformed }, { "sizes", sizes }, { "two keys", two_keys },
		{ "huge", huge }, { "failing calls", failing },
		CU_TEST_INFO_NULL
	};

	return box_suite("lift bad", lift_setup, NULL, tests);
}
