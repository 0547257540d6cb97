/*
 * DER for Kerberos and the messages of the AP exchange: every wrong form is
 * refused, and what libkrb5 writes is read to the same values.
 */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mech/apmsg.h"
#include "tests/lib/box.h"

/* In libkrb5's symbol table, in no installed header. */
krb5_error_code encode_krb5_enc_tkt_part(const krb5_enc_tkt_part *rep, krb5_data **code);
krb5_error_code encode_krb5_authenticator(const krb5_authenticator *rep, krb5_data **code);
krb5_error_code encode_krb5_ap_req(const krb5_ap_req *rep, krb5_data **code);
krb5_error_code encode_krb5_ap_rep(const krb5_ap_rep *rep, krb5_data **code);
krb5_error_code encode_krb5_ap_rep_enc_part(const krb5_ap_rep_enc_part *rep, krb5_data **code);
krb5_error_code encode_krb5_cred(const krb5_cred *rep, krb5_data **code);
krb5_error_code decode_krb5_cred(const krb5_data *in, krb5_cred **out);
void krb5_free_cred(krb5_context ctx, krb5_cred *cred);
krb5_error_code encode_krb5_error(const krb5_error *rep, krb5_data **code);

static krb5_context k5;

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static err_t int_of(const uint8_t *p, size_t n, int32_t *v)
{
	struct der d;
	err_t err;

	der_init(&d, p, n, &err);
	*v = der_int32(&d);
	der_end(&d);
	return err;
}

static err_t uint_of(const uint8_t *p, size_t n, uint32_t *v)
{
	struct der d;
	err_t err;

	der_init(&d, p, n, &err);
	*v = der_uint32(&d);
	der_end(&d);
	return err;
}

static void wrong_integers(void)
{
	int32_t v;
	uint32_t u;

	CU_ASSERT_EQUAL(int_of(BYTES(2, 0), &v), ASN1_BAD_LENGTH);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 2, 0, 1), &v), ASN1_BAD_FORMAT);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 2, 0xff, 0x80), &v), ASN1_BAD_FORMAT);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 5, 0, 0x80, 0, 0, 0), &v), ASN1_OVERFLOW);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 5, 0xff, 0x7f, 0xff, 0xff, 0xff), &v), ASN1_OVERFLOW);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 6, 1, 0, 0, 0, 0, 0), &v), ASN1_OVERFLOW);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 1, 1, 0), &v), ASN1_BAD_LENGTH);
	CU_ASSERT_EQUAL(int_of(BYTES(3, 1, 1), &v), ASN1_BAD_ID);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 2, 1), &v), ASN1_OVERRUN);
	CU_ASSERT_EQUAL(int_of(BYTES(2), &v), ASN1_OVERRUN);
	CU_ASSERT_EQUAL(int_of(NULL, 0, &v), ASN1_MISSING_FIELD);
	CU_ASSERT_EQUAL(uint_of(BYTES(2, 5, 1, 0, 0, 0, 0), &u), ASN1_OVERFLOW);
	CU_ASSERT_EQUAL(uint_of(BYTES(2, 5, 0xff, 0x7f, 0xff, 0xff, 0xff), &u), ASN1_OVERFLOW);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 1, 0xff), &v), 0);
	CU_ASSERT_EQUAL(v, -1);
	CU_ASSERT_EQUAL(uint_of(BYTES(2, 4, 0x80, 0, 0, 1), &u), 0);
	CU_ASSERT_EQUAL(u, 0x80000001);
	CU_ASSERT_EQUAL(uint_of(BYTES(2, 5, 0, 0xff, 0xff, 0xff, 0xff), &u), 0);
	CU_ASSERT_EQUAL(u, UINT32_MAX);
}

static void wrong_lengths(void)
{
	int32_t v;

	CU_ASSERT_EQUAL(int_of(BYTES(2, 0x80, 1, 0, 0), &v), ASN1_INDEF);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 0x81, 1, 1), &v), ASN1_BAD_LENGTH);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 0x82, 0, 1, 1), &v), ASN1_BAD_LENGTH);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 0x85, 0, 0, 0, 0, 1, 1), &v), ASN1_OVERFLOW);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 0x84, 0xff, 0xff, 0xff, 0xff, 1), &v), ASN1_OVERRUN);
	CU_ASSERT_EQUAL(int_of(BYTES(2, 0x82, 1), &v), ASN1_OVERRUN);
}

static err_t time_of(const char *s, krb5_timestamp *t)
{
	uint8_t buf[64];
	struct der d;
	struct wr w;
	err_t err;

	wr_init(&w, buf, sizeof(buf));
	der_put(&w, DER_TIME, s, strlen(s));
	der_init(&d, buf, w.len, &err);
	*t = der_time(&d);
	return err;
}

static void times(void)
{
	static const char *const bad[] = {
		"20240101000000", "20240101000000z", "2024010100000Z", "202401010000000Z",
		"20241301000000Z", "20240001000000Z", "20240132000000Z", "20240100000000Z",
		"20240101240000Z", "20240101006000Z", "20240101000061Z", "19691231235959Z",
		"21060207062816Z", "2024 101000000Z", "20240101000000.1Z", "-0240101000000Z", "",
	};
	krb5_timestamp t;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(time_of(bad[i], &t), ASN1_BAD_TIMEFORMAT);
	CU_ASSERT_EQUAL(time_of("19700101000000Z", &t), 0);
	CU_ASSERT_EQUAL(t, 0);
	CU_ASSERT_EQUAL(time_of("21060207062815Z", &t), 0);
	CU_ASSERT_EQUAL((uint32_t)t, UINT32_MAX);
	CU_ASSERT_EQUAL(time_of("20240229120000Z", &t), 0);
	CU_ASSERT_EQUAL(t, 1709208000);
}

static err_t flags_of(const uint8_t *p, size_t n, uint32_t *v)
{
	struct der d;
	err_t err;

	der_init(&d, p, n, &err);
	*v = der_flags(&d);
	return err;
}

static void flags(void)
{
	uint32_t v;

	CU_ASSERT_EQUAL(flags_of(BYTES(3, 0), &v), ASN1_BAD_FORMAT);
	CU_ASSERT_EQUAL(flags_of(BYTES(3, 1, 1), &v), ASN1_BAD_FORMAT);
	CU_ASSERT_EQUAL(flags_of(BYTES(3, 2, 8, 0), &v), ASN1_BAD_FORMAT);
	CU_ASSERT_EQUAL(flags_of(BYTES(3, 2, 4, 0x28), &v), ASN1_BAD_FORMAT);
	CU_ASSERT_EQUAL(flags_of(BYTES(3, 2, 5, 0x20), &v), 0);
	CU_ASSERT_EQUAL(v, AP_OPT_MUTUAL);
	CU_ASSERT_EQUAL(flags_of(BYTES(3, 5, 0, 0x20, 0, 0, 1), &v), 0);
	CU_ASSERT_EQUAL(v, AP_OPT_MUTUAL | 1);
	CU_ASSERT_EQUAL(flags_of(BYTES(3, 6, 0, 0x40, 0, 0, 0, 0xff), &v), 0);
	CU_ASSERT_EQUAL(v, AP_OPT_SESSION_KEY);
}

/* What is written is read again, and in the fewest octets. */
static void integers_there_and_back(void)
{
	static const int64_t v[] = {
		0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, -32769, 8388607,
		8388608, INT32_MAX, INT32_MIN, UINT32_MAX, 2147483648
	};
	uint8_t buf[16];
	struct der d;
	struct wr w;
	err_t err;
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		wr_init(&w, buf, sizeof(buf));
		der_put_int(&w, v[i]);
		der_init(&d, buf, w.len, &err);
		if (v[i] > INT32_MAX)
			CU_ASSERT_EQUAL(der_uint32(&d), (uint32_t)v[i])
		else
			CU_ASSERT_EQUAL(der_int32(&d), (int32_t)v[i])
		der_end(&d);
		CU_ASSERT_EQUAL(err, 0);
	}
}

static void heads(void)
{
	static const size_t lens[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, 70000 };
	static uint8_t buf[80000];
	struct der_str s;
	struct der d;
	struct wr w;
	err_t err;
	size_t i;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		wr_init(&w, buf, sizeof(buf));
		der_put_head(&w, DER_OCTETS, lens[i]);
		CU_ASSERT_EQUAL(w.len, der_head_len(lens[i]));
		wr_space(&w, lens[i]);
		der_init(&d, buf, w.len, &err);
		s = der_content(&d, DER_OCTETS);
		der_end(&d);
		CU_ASSERT_EQUAL(err, 0);
		CU_ASSERT_EQUAL(s.len, lens[i]);
	}
}

/* ---- messages ---- */

static uint8_t key_octets[32] = "0123456789abcdef0123456789abcdef";
static krb5_keyblock key = { KV5M_KEYBLOCK, 18, 32, key_octets };
static uint8_t noise[200];
static krb5_principal client, server;

static void free_data(krb5_data *d)
{
	krb5_free_data(k5, d);
}

typedef err_t (*reader)(const void *p, size_t len);

/* Every truncation, and every trailing octet, is refused; so is each changed tag or length. */
static void harass(const krb5_data *d, reader read)
{
	uint8_t *p = malloc(d->length + 1);
	unsigned i, bit;

	memcpy(p, d->data, d->length);
	p[d->length] = 0;
	CU_ASSERT_EQUAL(read(p, d->length), 0);
	CU_ASSERT_NOT_EQUAL(read(p, d->length + 1), 0);
	for (i = 0; i < d->length; i++) {
		uint8_t *exact = malloc(i ? i : 1);

		memcpy(exact, p, i);
		CU_ASSERT_NOT_EQUAL(read(exact, i), 0);
		free(exact);
	}
	for (i = 0; i < 8; i++) {
		for (bit = 0; bit < 8; bit++) {
			p[i] ^= 1 << bit;
			CU_ASSERT_NOT_EQUAL(read(p, d->length), 0);
			p[i] ^= 1 << bit;
		}
	}
	free(p);
}

static err_t read_enc_ticket(const void *p, size_t len)
{
	struct ap_enc_ticket t;

	return mech_ap_enc_ticket_read(p, len, &t);
}

static krb5_authdata one_ad = { KV5M_AUTHDATA, 97, 5, (uint8_t *)(uintptr_t)"hello" };
static krb5_authdata *ads[] = { &one_ad, NULL };

static void ticket_parts(void)
{
	krb5_address addr = { KV5M_ADDRESS, 2, 4, (uint8_t *)(uintptr_t)"\x7f\0\0\1" };
	krb5_address *addrs[] = { &addr, NULL };
	krb5_enc_tkt_part in = { .session = &key, .client = client };
	struct ap_enc_ticket out;
	krb5_data *d = NULL;
	struct ap_pair pair;
	unsigned with;

	for (with = 0; with < 2; with++) {
		in.flags = TKT_FLG_INITIAL | TKT_FLG_TRANSIT_POLICY_CHECKED;
		in.transited.tr_type = 1;
		in.transited.tr_contents.data = (char *)(uintptr_t)"A.B,";
		in.transited.tr_contents.length = 4;
		in.times.authtime = 1000;
		in.times.endtime = (krb5_timestamp)4000000000u;
		in.times.starttime = with ? 2000 : 0;
		in.times.renew_till = with ? 5000 : 0;
		in.caddrs = with ? addrs : NULL;
		in.authorization_data = with ? ads : NULL;
		CU_ASSERT_EQUAL_FATAL(encode_krb5_enc_tkt_part(&in, &d), 0);
		CU_ASSERT_EQUAL(mech_ap_enc_ticket_read(d->data, d->length, &out), 0);
		CU_ASSERT_EQUAL(out.flags, (uint32_t)in.flags);
		CU_ASSERT_EQUAL(out.key_etype, 18);
		CU_ASSERT_EQUAL(out.tr_type, 1);
		CU_ASSERT_EQUAL(out.transited.len, 4);
		CU_ASSERT_EQUAL(out.authtime, 1000);
		CU_ASSERT_EQUAL(out.starttime, in.times.starttime);
		CU_ASSERT_EQUAL((uint32_t)out.endtime, 4000000000u);
		CU_ASSERT_EQUAL(out.renew_till, in.times.renew_till);
		CU_ASSERT_EQUAL(out.has_caddr, with == 1);
		CU_ASSERT_EQUAL(mech_ap_next(&out.caddr, &pair), with == 1);
		CU_ASSERT_EQUAL(mech_ap_next(&out.authdata, &pair), with == 1);
		if (with)
			CU_ASSERT_EQUAL(pair.type, 97);
		CU_ASSERT_FALSE(mech_ap_next(&out.authdata, &pair));
		harass(d, read_enc_ticket);
		free_data(d);
	}
}

static err_t read_authenticator(const void *p, size_t len)
{
	struct ap_authenticator a;

	return mech_ap_authenticator_read(p, len, &a);
}

static void authenticators(void)
{
	krb5_checksum cksum = { KV5M_CHECKSUM, 0x8003, 24, noise };
	krb5_authenticator in = { .client = client, .cusec = 123456, .ctime = 1700000000 };
	struct ap_authenticator out;
	krb5_principal back = NULL;
	krb5_data *d = NULL;
	unsigned with;

	for (with = 0; with < 2; with++) {
		in.checksum = with ? &cksum : NULL;
		in.subkey = with ? &key : NULL;
		in.seq_number = with ? 0xfedcba98 : 0;
		in.authorization_data = with ? ads : NULL;
		CU_ASSERT_EQUAL_FATAL(encode_krb5_authenticator(&in, &d), 0);
		CU_ASSERT_EQUAL(mech_ap_authenticator_read(d->data, d->length, &out), 0);
		CU_ASSERT_EQUAL(out.has_cksum, with == 1);
		CU_ASSERT_EQUAL(out.cksumtype, with ? 0x8003 : 0);
		CU_ASSERT_EQUAL(out.subkey_etype, with ? 18 : 0);
		CU_ASSERT_EQUAL(out.seq, in.seq_number);
		CU_ASSERT_EQUAL(out.cusec, 123456);
		CU_ASSERT_EQUAL(out.ctime, 1700000000);
		CU_ASSERT_EQUAL(mech_ap_princ_get(k5, &out.client, &back), 0);
		CU_ASSERT_TRUE(krb5_principal_compare(k5, back, client));
		CU_ASSERT_EQUAL(back->type, client->type);
		krb5_free_principal(k5, back);
		harass(d, read_authenticator);
		free_data(d);
	}
}

static err_t read_ap_req(const void *p, size_t len)
{
	struct ap_req r;

	return mech_ap_req_read(p, len, &r);
}

static krb5_enc_data enc(unsigned n, krb5_kvno kvno)
{
	krb5_enc_data e = { .enctype = 18, .kvno = kvno };

	e.ciphertext.data = (char *)noise;
	e.ciphertext.length = n;
	return e;
}

static void ap_reqs(void)
{
	krb5_ticket ticket = { .server = server, .enc_part = enc(150, 7) };
	krb5_ap_req in = { .ap_options = (krb5_flags)AP_OPT_MUTUAL, .ticket = &ticket,
		.authenticator = enc(99, 0) };
	krb5_principal back = NULL;
	struct ap_req out;
	krb5_data *d = NULL;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_ap_req(&in, &d), 0);
	CU_ASSERT_EQUAL(mech_ap_req_read(d->data, d->length, &out), 0);
	CU_ASSERT_EQUAL(out.options, AP_OPT_MUTUAL);
	CU_ASSERT_EQUAL(out.ticket.enc.kvno, 7);
	CU_ASSERT_TRUE(out.ticket.enc.has_kvno);
	CU_ASSERT_EQUAL(out.ticket.enc.cipher.len, 150);
	CU_ASSERT_EQUAL(out.auth.cipher.len, 99);
	CU_ASSERT_FALSE(out.auth.has_kvno);
	CU_ASSERT_EQUAL(mech_ap_princ_get(k5, &out.ticket.server, &back), 0);
	CU_ASSERT_TRUE(krb5_principal_compare(k5, back, server));
	krb5_free_principal(k5, back);
	harass(d, read_ap_req);
	free_data(d);
}

/* This side's AP-REP is what libkrb5 would have written. */
static void ap_reps(void)
{
	struct ap_enc_rep rep = { .ctime = 1700000000, .cusec = 5, .subkey_etype = 18, .seq = 77 };
	krb5_ap_rep_enc_part part = { .ctime = 1700000000, .cusec = 5, .seq_number = 77 };
	krb5_ap_rep outer = { .enc_part = enc(131, 0) };
	static const uint8_t zeros[32];
	struct ap_encrypted back;
	uint8_t buf[512];
	krb5_data *d = NULL;
	struct wr w;
	size_t at, n;

	for (n = 0; n <= 32; n += 16) {
		key.length = (unsigned)n;
		part.subkey = n ? &key : NULL;
		CU_ASSERT_EQUAL_FATAL(encode_krb5_ap_rep_enc_part(&part, &d), 0);
		wr_init(&w, buf, sizeof(buf));
		mech_ap_enc_rep_write(&w, &rep, n, &at);
		if (n) {
			CU_ASSERT_EQUAL(memcmp(buf + at, zeros, n), 0);
			memcpy(buf + at, key_octets, n);
		}
		CU_ASSERT_FALSE(w.bad);
		CU_ASSERT_EQUAL_FATAL(w.len, d->length);
		CU_ASSERT_EQUAL(memcmp(buf, d->data, w.len), 0);
		free_data(d);
	}
	key.length = 32;
	for (n = 1; n < sizeof(noise); n++) {
		outer.enc_part = enc((unsigned)n, 0);
		CU_ASSERT_EQUAL_FATAL(encode_krb5_ap_rep(&outer, &d), 0);
		wr_init(&w, buf, sizeof(buf));
		mech_ap_rep_write(&w, 18, noise, n);
		CU_ASSERT_EQUAL_FATAL(w.len, d->length);
		CU_ASSERT_EQUAL(memcmp(buf, d->data, w.len), 0);
		CU_ASSERT_EQUAL(mech_ap_rep_read(buf, w.len, &back), 0);
		CU_ASSERT_EQUAL(back.cipher.len, n);
		free_data(d);
	}
}

static err_t read_enc_rep(const void *p, size_t len)
{
	struct ap_enc_rep r;

	return mech_ap_enc_rep_read(p, len, &r);
}

static void enc_reps(void)
{
	krb5_ap_rep_enc_part in = { .ctime = 1700000000, .cusec = 9, .subkey = &key,
		.seq_number = 12345 };
	struct ap_enc_rep out;
	krb5_data *d = NULL;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_ap_rep_enc_part(&in, &d), 0);
	CU_ASSERT_EQUAL(mech_ap_enc_rep_read(d->data, d->length, &out), 0);
	CU_ASSERT_EQUAL(out.seq, 12345);
	CU_ASSERT_EQUAL(out.subkey_etype, 18);
	harass(d, read_enc_rep);
	free_data(d);
}

static err_t read_cred(const void *p, size_t len)
{
	struct ap_cred c;

	return mech_ap_cred_read(p, len, &c);
}

/* A KRB-CRED rewritten without encryption is the same message to libkrb5. */
static void creds(void)
{
	krb5_ticket ticket = { .server = server, .enc_part = enc(150, 7) };
	krb5_ticket *tickets[] = { &ticket, &ticket, NULL };
	krb5_cred in = { .tickets = tickets, .enc_part = enc(140, 0) }, *back = NULL;
	struct ap_cred out;
	krb5_data *d = NULL, again = { 0 };
	uint8_t buf[1024];
	struct wr w;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_cred(&in, &d), 0);
	CU_ASSERT_EQUAL(mech_ap_cred_read(d->data, d->length, &out), 0);
	harass(d, read_cred);
	wr_init(&w, buf, sizeof(buf));
	mech_ap_cred_write_plain(&w, out.tickets, noise, 120);
	CU_ASSERT_FALSE(w.bad);
	again.data = (char *)buf;
	again.length = (unsigned)w.len;
	CU_ASSERT_EQUAL_FATAL(decode_krb5_cred(&again, &back), 0);
	CU_ASSERT_EQUAL(back->enc_part.enctype, 0);
	CU_ASSERT_EQUAL(back->enc_part.ciphertext.length, 120);
	CU_ASSERT_PTR_NOT_NULL(back->tickets[1]);
	CU_ASSERT_EQUAL(back->tickets[1]->enc_part.kvno, 7);
	krb5_free_cred(k5, back);
	free_data(d);
}

/* A list of authorization data with these elements, inside AD-IF-RELEVANT depth times. */
static struct der_str relevant(uint8_t *buf, size_t cap, int32_t type, unsigned depth)
{
	static uint8_t one[2][512];
	struct der_str s = { (const uint8_t *)"\1\2\3\4", 4 };
	struct wr w;
	unsigned i;

	for (i = 0; i <= depth; i++) {
		uint8_t pair[512];
		struct wr p;

		wr_init(&p, pair, sizeof(pair));
		der_put_field_int(&p, 0, i ? 1 : type);
		der_put_field(&p, 1, DER_OCTETS, s.p, s.len);
		wr_init(&w, one[i & 1], sizeof(one[0]));
		der_put_head(&w, DER_SEQUENCE, der_head_len(p.len) + p.len);
		der_put(&w, DER_SEQUENCE, pair, p.len);
		s = (struct der_str){ one[i & 1], w.len };
	}
	CU_ASSERT_FATAL(s.len <= cap && !w.bad);
	memcpy(buf, s.p, s.len);
	return (struct der_str){ buf, s.len };
}

static void authorization_data(void)
{
	uint8_t buf[512];
	struct der_str list, found;
	unsigned depth, n;

	for (depth = 0; depth < 12; depth++) {
		CU_ASSERT_EQUAL_FATAL(mech_ap_list_enter(relevant(buf, sizeof(buf), 143, depth), &list),
				      0);
		if (depth > 8) {
			CU_ASSERT_NOT_EQUAL(mech_ap_authdata_find(list, 143, &found, &n), 0);
			continue;
		}
		CU_ASSERT_EQUAL(mech_ap_authdata_find(list, 143, &found, &n), 0);
		CU_ASSERT_EQUAL(n, 1);
		CU_ASSERT_EQUAL(found.len, 4);
		CU_ASSERT_EQUAL(mech_ap_authdata_find(list, 144, &found, &n), 0);
		CU_ASSERT_EQUAL(n, 0);
		CU_ASSERT_PTR_NULL(found.p);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "wrong integers", wrong_integers }, { "wrong lengths", wrong_lengths },
		{ "times", times }, { "flags", flags },
		{ "integers there and back", integers_there_and_back },
		{ "tags and lengths", heads }, { "EncTicketPart", ticket_parts },
		{ "Authenticator", authenticators }, { "AP-REQ", ap_reqs }, { "AP-REP", ap_reps },
		{ "EncAPRepPart", enc_reps }, { "KRB-CRED", creds },
		{ "authorization data", authorization_data }, CU_TEST_INFO_NULL,
	};
	int status;

	if (krb5_init_context(&k5) ||
	    krb5_parse_name(k5, "alice/admin@TEST.ORG", &client) ||
	    krb5_parse_name(k5, "HTTP/www.test.org@TEST.ORG", &server))
		return 99;
	status = box_suite("der", NULL, NULL, tests);
	krb5_free_principal(k5, client);
	krb5_free_principal(k5, server);
	krb5_free_context(k5);
	return status;
}
