#include "tests/lib/lifting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "tests/lib/keys.h"
#include "tests/lib/record.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code encode_krb5_enc_tkt_part(const krb5_enc_tkt_part *in, krb5_data **out);
krb5_error_code encode_krb5_authenticator(const krb5_authenticator *in, krb5_data **out);
krb5_error_code encode_krb5_ap_rep_enc_part(const krb5_ap_rep_enc_part *in, krb5_data **out);
krb5_error_code encode_krb5_enc_kdc_rep_part(const krb5_enc_kdc_rep_part *in, krb5_data **out);
krb5_error_code encode_krb5_enc_cred_part(const krb5_cred_enc_part *in, krb5_data **out);

struct tok *lift_tok;
const int32_t lift_etypes[4] = { 18, 17, 20, 19 };

/* ---- messages ---- */

static krb5_principal principal(const struct wish *w)
{
	static char name[64], realm[256];
	static krb5_data part;
	static krb5_principal_data p;

	memset(name, 'n', sizeof(name));
	memset(realm, 'R', sizeof(realm));
	part.data = name;
	part.length = (unsigned)w->name;
	p.realm.data = realm;
	p.realm.length = (unsigned)w->realm;
	p.data = &part;
	p.length = 1;
	p.type = KRB5_NT_PRINCIPAL;
	return &p;
}

static krb5_authdata **authdata(const struct wish *w)
{
	static uint8_t octets[4096];
	static krb5_authdata d, *list[2] = { &d, NULL };

	d.ad_type = 1;
	d.length = (unsigned)w->authdata;
	d.contents = octets;
	return w->authdata ? list : NULL;
}

static krb5_data *ticket(const struct wish *w, krb5_keyblock *key)
{
	krb5_enc_tkt_part p = { 0 };
	krb5_data *der = NULL;

	p.flags = w->flags;
	p.session = key;
	p.client = principal(w);
	p.transited.tr_type = 1;
	p.times.authtime = 1700000000;
	p.times.endtime = 1700036000;
	p.times.starttime = w->authdata ? 1700000001 : 0;
	p.authorization_data = authdata(w);
	CU_ASSERT_EQUAL_FATAL(encode_krb5_enc_tkt_part(&p, &der), 0);
	return der;
}

static krb5_data *authenticator(const struct wish *w, krb5_keyblock *key)
{
	uint8_t sum[24] = { 16 };
	krb5_checksum ck = { KV5M_CHECKSUM, 0x8003, sizeof(sum), sum };
	krb5_authenticator p = { 0 };
	krb5_data *der = NULL;

	p.client = principal(w);
	p.ctime = 1700000000;
	p.cusec = (krb5_int32)(w->seq % 1000000);
	p.subkey = key;
	p.checksum = w->authdata ? &ck : NULL;
	p.seq_number = (krb5_int32)w->seq;
	p.authorization_data = authdata(w);
	CU_ASSERT_EQUAL_FATAL(encode_krb5_authenticator(&p, &der), 0);
	return der;
}

static krb5_data *ap_rep(const struct wish *w, krb5_keyblock *key)
{
	krb5_ap_rep_enc_part p = { 0 };
	krb5_data *der = NULL;

	p.ctime = 1700000000;
	p.cusec = (krb5_int32)(w->seq % 1000000);
	p.subkey = key;
	p.seq_number = (krb5_int32)w->seq;
	CU_ASSERT_EQUAL_FATAL(encode_krb5_ap_rep_enc_part(&p, &der), 0);
	return der;
}

static krb5_data *kdc_rep(const struct wish *w, krb5_keyblock *key)
{
	krb5_last_req_entry e = { 0 }, *list[] = { &e, NULL };
	krb5_enc_kdc_rep_part p = { 0 };
	krb5_data *der = NULL;

	p.msg_type = w->flags & 1 ? KRB5_AS_REP : KRB5_TGS_REP;
	p.session = key;
	p.last_req = list;
	p.nonce = (krb5_int32)(w->seq & 0x7fffffff);
	p.flags = w->flags;
	p.times.authtime = 1700000000;
	p.times.endtime = 1700036000;
	p.server = principal(w);
	CU_ASSERT_EQUAL_FATAL(encode_krb5_enc_kdc_rep_part(&p, &der), 0);
	return der;
}

static krb5_data *cred(const struct wish *w, krb5_keyblock *key)
{
	krb5_cred_info i = { 0 }, *list[] = { &i, NULL };
	krb5_cred_enc_part p = { 0 };
	krb5_data *der = NULL;

	i.session = key;
	i.client = i.server = principal(w);
	i.times.endtime = 1700036000;
	i.flags = w->flags;
	p.ticket_info = list;
	p.timestamp = 1700000000;
	CU_ASSERT_EQUAL_FATAL(encode_krb5_enc_cred_part(&p, &der), 0);
	return der;
}

static const struct {
	uint32_t usage;
	krb5_data *(*make)(const struct wish *w, krb5_keyblock *key);
} parts[] = {
	[KS_ENC_TICKET_PART] = { 2, ticket }, [KS_AUTHENTICATOR] = { 11, authenticator },
	[KS_ENC_AP_REP_PART] = { 12, ap_rep }, [KS_ENC_KDC_REP_PART] = { 3, kdc_rep },
	[KS_ENC_KRB_CRED_PART] = { 14, cred },
};

uint8_t *lift_encrypt(const krb5_keyblock *key, uint32_t usage, const krb5_data *plain,
			size_t *len)
{
	krb5_enc_data out = { 0 };

	*len = ks_sealed_len(ks_etype_find(key->enctype), plain->length);
	out.ciphertext.data = malloc(*len);
	out.ciphertext.length = (unsigned)*len;
	CU_ASSERT_EQUAL_FATAL(krb5_c_encrypt(keys_krb5(), key, (krb5_keyusage)usage, NULL, plain,
					     &out), 0);
	return (uint8_t *)out.ciphertext.data;
}

void lift_make(const struct wish *w, const krb5_keyblock *under, struct made *m)
{
	const struct ks_etype *e = ks_etype_find(w->inner);

	memset(m, 0, sizeof(*m));
	m->w = *w;
	m->usage = parts[w->part].usage;
	keys_fill(m->bytes, sizeof(m->bytes));
	m->inner.enctype = w->inner;
	m->inner.length = (unsigned)(w->inner_len ? w->inner_len : e ? e->key_len : 16);
	m->inner.contents = m->bytes;
	m->der = parts[w->part].make(w, w->inner ? &m->inner : NULL);
	m->cipher = lift_encrypt(under, m->usage, m->der, &m->len);
}

krb5_data *lift_two_infos(const struct made *m, uint8_t *second)
{
	krb5_keyblock first = m->inner, other = { KV5M_KEYBLOCK, 18, 32, second };
	krb5_cred_info a = { 0 }, b = { 0 }, *list[] = { &a, &b, NULL };
	krb5_cred_enc_part p = { 0 };
	krb5_data *der = NULL;

	a.session = &first;
	b.session = &other;
	a.client = a.server = b.client = b.server = principal(&m->w);
	p.ticket_info = list;
	CU_ASSERT_EQUAL_FATAL(encode_krb5_enc_cred_part(&p, &der), 0);
	return der;
}

void lift_unmake(struct made *m)
{
	krb5_free_data(keys_krb5(), m->der);
	free(m->cipher);
}

/* ---- keys ---- */

static const struct ks_use opening[] = {
	{ 2, KS_OPEN }, { 3, KS_OPEN }, { 11, KS_OPEN }, { 12, KS_OPEN }, { 14, KS_OPEN }
};

err_t lift_prepare(struct ks_key *k)
{
	return ks_key_prepare(k, opening, sizeof(opening) / sizeof(opening[0]));
}

void lift_pair_make(int32_t etype, struct lift_pair *p)
{
	const struct ks_etype *e = ks_etype_find(etype);
	const struct tok_key_spec spec = {
		.type = e->family == KS_RFC3962 ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | (etype == 17 ? TOK_DECRYPT : 0)
	};
	struct tok_key *base = NULL;

	keys_fill(p->bytes, sizeof(p->bytes));
	p->block = keys_block(etype, p->bytes);
	CU_ASSERT_EQUAL_FATAL(tok_key_import(lift_tok, &spec, p->bytes, e->key_len, 0, &base), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_from_token_object(lift_tok, etype, base, &p->hidden), 0);
	tok_key_unref(&base);
	CU_ASSERT_EQUAL_FATAL(ks_key_from_bytes(lift_tok, etype, p->bytes, e->key_len, &p->plain), 0);
	CU_ASSERT_EQUAL_FATAL(lift_prepare(p->hidden), 0);
	CU_ASSERT_EQUAL_FATAL(lift_prepare(p->plain), 0);
	ks_key_forget(p->hidden);
	ks_key_forget(p->plain);
}

void lift_pair_free(struct lift_pair *p)
{
	ks_key_unref(&p->hidden);
	ks_key_unref(&p->plain);
}

err_t lift_open(struct ks_key *k, const struct made *m, struct ks_opened *o)
{
	const struct ks_cipher in = { m->usage, m->cipher, m->len, true };

	return ks_part_open(k, m->w.part, &in, NULL, o);
}

bool lift_fail(const struct made *m, const char *what)
{
	fprintf(stderr, "part %d inner %d (%u octets), name %zu realm %zu flags %x seq %x authdata "
		"%zu: %s\n", m->w.part, (int)m->w.inner, m->inner.length, m->w.name, m->w.realm,
		(unsigned)m->w.flags, (unsigned)m->w.seq, m->w.authdata, what);
	CU_FAIL(what);
	return false;
}

const struct wish lift_usual[2] = {
	{ .part = KS_ENC_TICKET_PART, .inner = 18, .name = 5, .realm = 9, .flags = 0x40e10001,
	  .authdata = 40 },
	{ .part = KS_AUTHENTICATOR, .inner = 20, .name = 6, .realm = 12, .seq = 0x7f654321,
	  .authdata = 10 },
};

int lift_setup(void)
{
	const char *name = getenv("GSSP11_LIFT_TOKEN");

	lift_tok = keys_token(name ? name : "nss");
	record_token(lift_tok);
	return 0;
}
