/*
 * The readers of KDC messages: what libkrb5 encodes is read as it was meant;
 * what is cut or spoilt anywhere is refused or read as libkrb5 reads it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/part.h"
#include "mech/exchange_fast_int.h"
#include "mech/kdcmsg_s4u.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code encode_krb5_tgs_req(const krb5_kdc_req *in, krb5_data **out);
krb5_error_code decode_krb5_tgs_req(const krb5_data *in, krb5_kdc_req **out);
krb5_error_code encode_krb5_as_req(const krb5_kdc_req *in, krb5_data **out);
krb5_error_code encode_krb5_as_rep(const krb5_kdc_rep *in, krb5_data **out);
krb5_error_code encode_krb5_enc_kdc_rep_part(const krb5_enc_kdc_rep_part *in, krb5_data **out);
krb5_error_code encode_krb5_error(const krb5_error *in, krb5_data **out);
krb5_error_code encode_krb5_padata_sequence(krb5_pa_data *const *in, krb5_data **out);
krb5_error_code decode_krb5_cred(const krb5_data *in, krb5_cred **out);
struct user_id {
	krb5_int32 nonce;
	krb5_principal user;
	krb5_data cert;
	krb5_flags options;
};
struct x509_user {
	struct user_id id;
	krb5_checksum cksum;
};
struct for_user {
	krb5_principal user;
	krb5_checksum cksum;
	krb5_data package;
};
struct salt_entry {
	krb5_magic magic;
	krb5_enctype etype;
	unsigned len;
	const char *salt;
	krb5_data params;
};
krb5_error_code encode_krb5_etype_info2(const struct salt_entry *const *in, krb5_data **out);
krb5_error_code encode_krb5_s4u_userid(const struct user_id *in, krb5_data **out);
krb5_error_code encode_krb5_pa_s4u_x509_user(const struct x509_user *in, krb5_data **out);
krb5_error_code encode_krb5_pa_for_user(const struct for_user *in, krb5_data **out);
void krb5_free_kdc_req(krb5_context ctx, krb5_kdc_req *req);
void krb5_free_cred(krb5_context ctx, krb5_cred *cred);

enum { PAS = 4 };
static uint8_t octets[200];
static krb5_pa_data pas[PAS] = {
	{ KV5M_PA_DATA, KDC_PA_TGS_REQ, 150, octets },
	{ KV5M_PA_DATA, KDC_PA_FX_FAST, 200, octets },
	{ KV5M_PA_DATA, KDC_PA_X509_USER, 20, octets },
	{ KV5M_PA_DATA, 1000, 0, octets },
};
static krb5_pa_data *pa_list[PAS + 1] = { &pas[0], &pas[1], &pas[2], &pas[3] };
static krb5_enctype etypes[] = { 18, 17 };
static krb5_principal user, tgs;

static int setup(void)
{
	keys_fill(octets, sizeof(octets));
	return krb5_parse_name(keys_krb5(), "user/admin@EXAMPLE.ORG", &user) ||
	       krb5_parse_name(keys_krb5(), "krbtgt/EXAMPLE.ORG@EXAMPLE.ORG", &tgs);
}

static krb5_data *make_request(bool as)
{
	krb5_kdc_req r = { .padata = pa_list, .kdc_options = 0x60810010, .client = as ? user : NULL,
			   .server = tgs, .till = 1700036000, .nonce = 0x7a5a1234, .nktypes = 2,
			   .ktype = etypes };
	krb5_data *der = NULL;

	r.msg_type = as ? KRB5_AS_REQ : KRB5_TGS_REQ;
	CU_ASSERT_EQUAL_FATAL(as ? encode_krb5_as_req(&r, &der) : encode_krb5_tgs_req(&r, &der), 0);
	return der;
}

static krb5_data *make_reply(void)
{
	krb5_ticket t = { .server = tgs, .enc_part = { KV5M_ENC_DATA, 18, 3, { 0, 100, (char *)octets } } };
	krb5_kdc_rep r = { .msg_type = KRB5_AS_REP, .padata = pa_list, .client = user, .ticket = &t,
			   .enc_part = { KV5M_ENC_DATA, 17, 0, { 0, 180, (char *)octets } } };
	krb5_data *der = NULL;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_as_rep(&r, &der), 0);
	return der;
}

static krb5_data *make_part(bool full)
{
	uint8_t address[4] = { 127, 0, 0, 1 };
	krb5_address a = { KV5M_ADDRESS, ADDRTYPE_INET, 4, address }, *aa[] = { &a, NULL };
	krb5_last_req_entry l = { KV5M_LAST_REQ_ENTRY, 0, 0 }, *ll[] = { &l, NULL };
	krb5_keyblock key = keys_block(18, octets);
	krb5_enc_kdc_rep_part p = { .msg_type = KRB5_AS_REP, .session = &key, .last_req = ll,
				    .nonce = 77, .flags = 0x40e10000, .server = tgs };
	krb5_data *der = NULL;

	p.times.authtime = 1700000000;
	p.times.endtime = 1700036000;
	if (full) {
		p.key_exp = p.times.starttime = p.times.renew_till = 1700000001;
		p.caddrs = aa;
		p.enc_padata = pa_list;
	}
	CU_ASSERT_EQUAL_FATAL(encode_krb5_enc_kdc_rep_part(&p, &der), 0);
	return der;
}

static krb5_data *make_error(void)
{
	krb5_error e = { .error = 25, .server = tgs };
	krb5_data *der = NULL, *list;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_padata_sequence(pa_list, &list), 0);
	e.e_data = *list;
	CU_ASSERT_EQUAL_FATAL(encode_krb5_error(&e, &der), 0);
	krb5_free_data(keys_krb5(), list);
	return der;
}

/* ---- what is good ------------------------------------------------------------- */

static void check_list(struct der_str list)
{
	struct kdc_pa pa;
	size_t i;

	for (i = 0; mech_kdc_pa_next(&list, &pa); i++) {
		CU_ASSERT_FATAL(i < PAS);
		CU_ASSERT_EQUAL(pa.type, pas[i].pa_type);
		CU_ASSERT(pa.value.len == pas[i].length && !memcmp(pa.value.p, octets, pa.value.len));
		CU_ASSERT(pa.number.len == (pa.type > 127 ? 2 : 1));
	}
	CU_ASSERT_EQUAL(i, PAS);
}

static bool is_user(const struct ap_princ *p)
{
	krb5_principal got;
	bool same;

	if (mech_ap_princ_get(keys_krb5(), p, &got))
		return false;
	same = krb5_principal_compare(keys_krb5(), got, user);
	krb5_free_principal(keys_krb5(), got);
	return same;
}

static void test_read(void)
{
	krb5_data *d = make_request(true);
	struct kdc_enc_rep part;
	struct kdc_req req;
	struct kdc_rep rep;
	struct der_str list;

	CU_ASSERT_EQUAL(mech_kdc_req_read(d->data, d->length, &req), 0);
	CU_ASSERT(req.msg_type == KDC_AS_REQ && req.nonce == 0x7a5a1234 &&
		  req.options == 0x60810010 && req.has_client && is_user(&req.client));
	check_list(req.padata);
	CU_ASSERT(mech_kdc_rep_read(d->data, d->length, &rep) != 0);
	krb5_free_data(keys_krb5(), d);
	d = make_reply();
	CU_ASSERT_EQUAL(mech_kdc_rep_read(d->data, d->length, &rep), 0);
	CU_ASSERT(rep.msg_type == KDC_AS_REP && rep.enc.etype == 17 && rep.enc.cipher.len == 180 &&
		  rep.ticket.enc.cipher.len == 100 && is_user(&rep.client));
	check_list(rep.padata);
	CU_ASSERT(mech_kdc_req_read(d->data, d->length, &req) != 0);
	krb5_free_data(keys_krb5(), d);
	d = make_part(true);
	CU_ASSERT_EQUAL(mech_kdc_enc_rep_read(d->data, d->length, &part), 0);
	CU_ASSERT(part.nonce == 77 && part.key_etype == 18 && part.endtime == 1700036000 &&
		  part.flags == 0x40e10000 && part.server.n == 2);
	check_list(part.padata);
	krb5_free_data(keys_krb5(), d);
	d = make_error();
	CU_ASSERT_EQUAL(mech_kdc_error_read(d->data, d->length, &list), 0);
	check_list(list);
	CU_ASSERT_EQUAL(mech_kdc_type(d->data, d->length), KDC_ERROR);
	krb5_free_data(keys_krb5(), d);
	CU_ASSERT_EQUAL(mech_kdc_type("x", 1), 0);
	CU_ASSERT_EQUAL(mech_kdc_type(NULL, 0), 0);
}

/* Where ks_part_open finds the key, under either tag. */
static void test_hole(void)
{
	struct ks_hole h;
	krb5_data *d;
	int full, tag;

	for (full = 0; full < 2; full++) {
		d = make_part(full);
		for (tag = 0x79; tag <= 0x7a; tag++) {
			d->data[0] = (char)tag;
			CU_ASSERT_EQUAL(ks_part_find(KS_ENC_KDC_REP_PART, (uint8_t *)d->data,
						     d->length, &h), 0);
			CU_ASSERT(h.present && h.etype == 18 && h.len == 32 && h.total == d->length);
			CU_ASSERT(!memcmp(d->data + h.at, octets, 32));
		}
		d->data[0] = 0x7b;
		CU_ASSERT(ks_part_find(KS_ENC_KDC_REP_PART, (uint8_t *)d->data, d->length, &h) != 0);
		krb5_free_data(keys_krb5(), d);
	}
	CU_ASSERT(ks_part_find(KS_ENC_KDC_REP_PART, octets, 0, &h) != 0);
}

static krb5_data *make_x509(krb5_principal who, unsigned cert)
{
	struct x509_user x = { { 0x7a5a1234, who, { 0, cert, (char *)octets }, 0x20000000 },
			       { KV5M_CHECKSUM, 16, 12, octets } };
	krb5_data *der = NULL;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_pa_s4u_x509_user(&x, &der), 0);
	return der;
}

static krb5_data *make_for_user(void)
{
	static char package[] = "Kerberos";
	struct for_user f = { user, { KV5M_CHECKSUM, -138, 16, octets }, { 0, 8, package } };
	krb5_data *der = NULL;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_pa_for_user(&f, &der), 0);
	return der;
}

static void check_x509(krb5_principal who, unsigned cert)
{
	struct user_id id = { 0x7a5a1234, who, { 0, cert, (char *)octets }, 0x20000000 };
	krb5_data *d = make_x509(who, cert), *want;
	struct kdc_x509_user x;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_s4u_userid(&id, &want), 0);
	CU_ASSERT_EQUAL(mech_kdc_x509_user_read((struct der_str){ (uint8_t *)d->data, d->length }, &x), 0);
	CU_ASSERT(x.nonce == 0x7a5a1234 && x.options == KDC_S4U_REPLY_USAGE && x.cksumtype == 16);
	CU_ASSERT(x.cksum.len == 12 && !memcmp(x.cksum.p, octets, 12));
	CU_ASSERT(x.id.len == want->length && !memcmp(x.id.p, want->data, want->length));
	krb5_free_data(keys_krb5(), want);
	krb5_free_data(keys_krb5(), d);
}

/* What S4U2Self says, and what its checksums cover. */
static void test_s4u(void)
{
	static const char want[] = "\1\0\0\0useradminEXAMPLE.ORGKerberos";
	krb5_principal_data nobody = *user;
	krb5_data *d = make_for_user();
	struct kdc_for_user f;
	uint8_t buf[80];
	struct wr w;

	check_x509(user, 0);
	check_x509(user, 200);
	nobody.length = 0;
	check_x509(&nobody, 200);
	CU_ASSERT_EQUAL(mech_kdc_for_user_read((struct der_str){ (uint8_t *)d->data, d->length }, &f), 0);
	CU_ASSERT(is_user(&f.user) && f.cksumtype == -138 && f.cksum.len == 16);
	wr_init(&w, buf, sizeof(buf));
	mech_kdc_for_user_put(&w, &f);
	CU_ASSERT(!w.bad && w.len == sizeof(want) - 1 && !memcmp(buf, want, w.len));
	krb5_free_data(keys_krb5(), d);
}

/* ---- what is bad ----------------------------------------------------------------- */

static bool reads(const uint8_t *p, size_t len)
{
	struct kdc_enc_rep part;
	struct kdc_req req;
	struct kdc_rep rep;
	struct der_str list;

	const struct der_str all = { p, len };
	struct kdc_x509_user x509;
	struct kdc_for_user for_user;

	if (!mech_kdc_x509_user_read(all, &x509) || !mech_kdc_for_user_read(all, &for_user))
		return true;
	return !mech_kdc_req_read(p, len, &req) || !mech_kdc_rep_read(p, len, &rep) ||
	       !mech_kdc_enc_rep_read(p, len, &part) || !mech_kdc_error_read(p, len, &list);
}

/* Cut anywhere, or with an octet more. */
static void check_cut(krb5_data *d)
{
	uint8_t *copy;
	size_t n;

	for (n = 0; n <= d->length + 1; n++) {
		copy = calloc(1, n ? n : 1);     /* its own block: reads past the end are seen */
		CU_ASSERT_FATAL(copy != NULL);
		memcpy(copy, d->data, n > d->length ? d->length : n);
		CU_ASSERT_EQUAL(reads(copy, n), n == d->length);
		free(copy);
	}
}

/* Any length octet of any level changed: never read past the end (sanitizers look), never believed. */
static void check_flipped(krb5_data *d)
{
	uint8_t *copy = malloc(d->length);
	size_t i;

	CU_ASSERT_FATAL(copy != NULL);
	for (i = 0; i < d->length; i++) {
		memcpy(copy, d->data, d->length);
		copy[i] ^= (uint8_t)(1 << (i % 8));
		(void)reads(copy, d->length);
		copy[i] = 0x80;
		(void)reads(copy, d->length);
		copy[i] = 0xff;
		(void)reads(copy, d->length);
	}
	for (i = 0; i < 4; i++) {
		memcpy(copy, d->data, d->length);
		copy[i] ^= 1;
		CU_ASSERT(!reads(copy, d->length) || i == 0);
	}
	free(copy);
}

static void test_bad(void)
{
	krb5_data *all[] = { make_request(true), make_request(false), make_reply(), make_part(true),
			     make_part(false), make_error(), make_x509(user, 20), make_for_user() };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		check_cut(all[i]);
		check_flipped(all[i]);
		krb5_free_data(keys_krb5(), all[i]);
	}
}

/* ---- writing ------------------------------------------------------------------------ */

static bool no_fast(int32_t type)
{
	return type != KDC_PA_FX_FAST;
}

/* libkrb5 reads what was written: the same body, and the padata that were to stay. */
static void test_write(void)
{
	krb5_data *d = make_request(false), out = { 0 };
	struct der_str other;
	struct kdc_req req, again;
	krb5_kdc_req *got;
	uint8_t fresh[150], *p;
	size_t len;
	struct wr w;

	memset(fresh, 0x5a, sizeof(fresh));
	other = (struct der_str){ fresh, sizeof(fresh) };
	CU_ASSERT_EQUAL_FATAL(mech_kdc_req_read(d->data, d->length, &req), 0);
	wr_init_grow(&w, 4096);
	mech_kdc_req_write(&w, &req, other, no_fast);
	CU_ASSERT_EQUAL_FATAL(wr_take(&w, &p, &len), 0);
	CU_ASSERT_EQUAL(mech_kdc_req_read(p, len, &again), 0);
	CU_ASSERT(again.body.len == req.body.len && !memcmp(again.body.p, req.body.p, req.body.len));
	out.data = (char *)p;
	out.length = (unsigned)len;
	CU_ASSERT_EQUAL_FATAL(decode_krb5_tgs_req(&out, &got), 0);
	CU_ASSERT(got->nonce == 0x7a5a1234 && got->padata[2] && !got->padata[3]);
	CU_ASSERT(got->padata[0]->pa_type == KDC_PA_TGS_REQ &&
		  !memcmp(got->padata[0]->contents, fresh, sizeof(fresh)));
	CU_ASSERT(got->padata[1]->pa_type == KDC_PA_X509_USER && got->padata[2]->pa_type == 1000);
	krb5_free_kdc_req(keys_krb5(), got);
	krb5_free_data(keys_krb5(), d);
	free(p);
}

/* A KRB-CRED of any size. */
static void test_write_cred(void)
{
	static uint8_t ticket[300], big[70000];
	krb5_data *reply = make_reply(), out = { 0 };
	struct kdc_rep rep;
	krb5_cred *got;
	size_t sizes[] = { 10, 110, 130, 250, 260, 65530, 70000 }, i, len;
	struct wr head, w;
	uint8_t *p;

	CU_ASSERT_EQUAL_FATAL(mech_kdc_rep_read(reply->data, reply->length, &rep), 0);
	wr_init(&head, ticket, sizeof(ticket));
	der_put(&head, DER_SEQUENCE, rep.ticket.whole.p, rep.ticket.whole.len);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		wr_init_grow(&w, 100000);
		mech_kdc_cred_write(&w, (struct der_str){ ticket, head.len }, 18, big, sizes[i]);
		CU_ASSERT_EQUAL_FATAL(wr_take(&w, &p, &len), 0);
		out.data = (char *)p;
		out.length = (unsigned)len;
		CU_ASSERT_EQUAL_FATAL(decode_krb5_cred(&out, &got), 0);
		CU_ASSERT(got->enc_part.ciphertext.length == sizes[i] && got->enc_part.enctype == 18 &&
			  got->tickets[0] && !got->tickets[1]);
		krb5_free_cred(keys_krb5(), got);
		free(p);
	}
	krb5_free_data(keys_krb5(), reply);
}

/* ---- a password's keys --------------------------------------------------------------- */

/* What the KDC says of salts. */
static void learn(struct mech_exchange *x, const struct salt_entry *const *list)
{
	krb5_data *info, *all;
	krb5_pa_data pa = { KV5M_PA_DATA, KDC_PA_ETYPE_INFO2, 0, NULL }, *padata[] = { &pa, NULL };
	struct der_str in;
	struct der d, seq;
	err_t err;

	CU_ASSERT_EQUAL_FATAL(encode_krb5_etype_info2(list, &info), 0);
	pa.length = info->length;
	pa.contents = (uint8_t *)info->data;
	CU_ASSERT_EQUAL_FATAL(encode_krb5_padata_sequence(padata, &all), 0);
	der_init(&d, all->data, all->length, &err);
	seq = der_in(&d, DER_SEQUENCE);
	in = (struct der_str){ seq.rd.p, seq.rd.left };
	CU_ASSERT_EQUAL(ex_password_learn(x, in), 0);
	krb5_free_data(keys_krb5(), all);
	krb5_free_data(keys_krb5(), info);
}

/* The newest key is the one that libkrb5 makes with this salt. */
static void check_password(const struct mech_exchange *x, krb5_enctype etype, const char *salt)
{
	static const struct ks_use use = { 56, KS_CHECKSUM };
	const krb5_data text = { 0, 6, (char *)(uintptr_t)"secret" };
	const krb5_data salted = { 0, (unsigned)strlen(salt), (char *)(uintptr_t)salt };
	uint8_t ours[64], theirs[64];
	struct ks_key *k;
	krb5_keyblock kb;

	CU_ASSERT_FATAL(x->n_keys > 0);
	CU_ASSERT_EQUAL_FATAL(krb5_c_string_to_key(keys_krb5(), etype, &text, &salted, &kb), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_from_bytes(x->tok, kb.enctype, kb.contents, kb.length, &k), 0);
	CU_ASSERT_EQUAL(ks_key_prepare(k, &use, 1), 0);
	CU_ASSERT_EQUAL(ks_checksum(k, 56, octets, 20, theirs), 0);
	CU_ASSERT_EQUAL(ks_checksum(x->keys[x->n_keys - 1].real, 56, octets, 20, ours), 0);
	CU_ASSERT(!memcmp(ours, theirs, ks_key_etype(k)->mac_len));
	ks_key_unref(&k);
	krb5_free_keyblock_contents(keys_krb5(), &kb);
}

/* Each salt once; what cannot be made is said, and other salts are looked at again. */
static void test_password(void)
{
	static const struct salt_entry none = { 0, 16, 1, "x", { 0, 0, NULL } };
	static const struct salt_entry own = { 0, 18, ~0u, NULL, { 0, 0, NULL } };
	static char hostile[] = { 0x7f, 0x7f, 0x7f, 0x7f }, odd[] = { 1, 2 };
	static const struct salt_entry rounds = { 0, 18, 1, "x", { 0, sizeof(hostile), hostile } };
	static const struct salt_entry cut = { 0, 17, 1, "x", { 0, sizeof(odd), odd } };
	static const struct salt_entry late = { 0, 17, 5, "other", { 0, 0, NULL } };
	const struct salt_entry *first[] = { &none, &own, &rounds, &cut, NULL };
	const struct salt_entry *second[] = { &late, NULL };
	struct mech_exchange *x;
	struct tok *t = keys_token("softhsm");
	size_t i;

	CU_ASSERT_EQUAL_FATAL(mech_exchange_open(keys_krb5(), t, false, &x), 0);
	CU_ASSERT_EQUAL_FATAL(mech_exchange_password(x, user, "secret"), 0);
	CU_ASSERT_EQUAL(ex_password_next(x), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	learn(x, first);
	CU_ASSERT_EQUAL(ex_password_next(x), 0);
	check_password(x, 18, "EXAMPLE.ORGuseradmin");
	for (i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(ex_password_next(x), KRB5_ERR_BAD_S2K_PARAMS);
	learn(x, first);                 /* the same: nothing is made again */
	CU_ASSERT_EQUAL(ex_password_next(x), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	CU_ASSERT_EQUAL(x->n_keys, 1);
	learn(x, second);
	CU_ASSERT_EQUAL(ex_password_next(x), 0);
	check_password(x, 17, "other");
	for (i = 2; i <= EX_CLIENT_KEYS; i++) {
		CU_ASSERT_EQUAL(x->n_keys, i);
		learn(x, i % 2 ? second : first);
		CU_ASSERT_EQUAL(ex_password_next(x), i < EX_CLIENT_KEYS ? 0 : KRB5KRB_AP_ERR_BAD_INTEGRITY);
	}
	mech_exchange_close(&x);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "messages as libkrb5 writes them", test_read },
		{ "the key of a reply", test_hole },
		{ "requests for another user", test_s4u },
		{ "cut and spoilt messages", test_bad },
		{ "a request written anew", test_write },
		{ "KRB-CRED", test_write_cred },
		{ "a password's keys, by the KDC's salts", test_password },
		CU_TEST_INFO_NULL
	};

	return box_suite("KDC messages", setup, NULL, tests);
}
