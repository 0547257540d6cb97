/*
 * Fuzz target: the readers of KDC messages.  What they take, libkrb5 must read
 * the same way where it reads it at all; what is written from it is read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/part.h"
#include "mech/kdcmsg_fast.h"
#include "mech/kdcmsg_s4u.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code decode_krb5_tgs_req(const krb5_data *in, krb5_kdc_req **out);
krb5_error_code decode_krb5_as_req(const krb5_data *in, krb5_kdc_req **out);
krb5_error_code decode_krb5_tgs_rep(const krb5_data *in, krb5_kdc_rep **out);
krb5_error_code decode_krb5_as_rep(const krb5_data *in, krb5_kdc_rep **out);
krb5_error_code decode_krb5_enc_kdc_rep_part(const krb5_data *in, krb5_enc_kdc_rep_part **out);
struct salt_entry {
	krb5_magic magic;
	krb5_enctype etype;
	unsigned len;
	uint8_t *salt;
	krb5_data params;
};
krb5_error_code decode_krb5_etype_info2(const krb5_data *in, struct salt_entry ***out);
void krb5_free_etype_info(krb5_context ctx, struct salt_entry **info);
void krb5_free_kdc_req(krb5_context ctx, krb5_kdc_req *req);
void krb5_free_kdc_rep(krb5_context ctx, krb5_kdc_rep *rep);
void krb5_free_enc_kdc_rep_part(krb5_context ctx, krb5_enc_kdc_rep_part *part);

static krb5_context k5;

static void must(int ok)
{
	if (!ok)
		abort();
}

static krb5_data as_data(const uint8_t *p, size_t len)
{
	krb5_data d = { KV5M_DATA, (unsigned)len, (char *)(uintptr_t)p };

	return d;
}

static size_t count(struct der_str list)
{
	struct kdc_pa pa;
	size_t n = 0;

	while (mech_kdc_pa_next(&list, &pa))
		n++;
	must(list.len == 0);
	return n;
}

static size_t count_theirs(krb5_pa_data **list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool keep_most(int32_t type)
{
	return type != KDC_PA_FX_FAST;
}

static void request(const uint8_t *p, size_t len)
{
	krb5_data in = as_data(p, len);
	struct kdc_req req, again;
	krb5_kdc_req *got = NULL;
	struct kdc_pa pa;
	struct wr w;
	uint8_t *out;
	size_t n;

	if (mech_kdc_req_read(p, len, &req))
		return;
	if (!(req.msg_type == KDC_AS_REQ ? decode_krb5_as_req(&in, &got)
					 : decode_krb5_tgs_req(&in, &got))) {
		must((uint32_t)got->nonce == req.nonce && (uint32_t)got->kdc_options == req.options);
		must(count(req.padata) == count_theirs(got->padata));
	}
	krb5_free_kdc_req(k5, got);
	(void)mech_kdc_pa_find(req.padata, KDC_PA_TGS_REQ, &pa);
	wr_init_grow(&w, len + 128);
	mech_kdc_req_write(&w, &req, pa.value, keep_most);
	must(wr_take(&w, &out, &n) == 0 && mech_kdc_req_read(out, n, &again) == 0);
	must(again.body.len == req.body.len && again.nonce == req.nonce);
	free(out);
}

static void reply(const uint8_t *p, size_t len)
{
	krb5_data in = as_data(p, len);
	krb5_kdc_rep *got = NULL;
	struct kdc_rep rep;

	if (mech_kdc_rep_read(p, len, &rep))
		return;
	if (!(rep.msg_type == KDC_AS_REP ? decode_krb5_as_rep(&in, &got)
					 : decode_krb5_tgs_rep(&in, &got))) {
		must(got->enc_part.ciphertext.length == rep.enc.cipher.len);
		must(got->ticket->enc_part.ciphertext.length == rep.ticket.enc.cipher.len);
		must(got->enc_part.enctype == rep.enc.etype);
		must(count(rep.padata) == count_theirs(got->padata));
	}
	krb5_free_kdc_rep(k5, got);
}

static void part(const uint8_t *p, size_t len)
{
	krb5_data in = as_data(p, len);
	krb5_enc_kdc_rep_part *got = NULL;
	struct kdc_enc_rep rep;
	struct ks_hole hole;

	if (ks_part_find(KS_ENC_KDC_REP_PART, p, len, &hole) || hole.total != len)
		return;
	must(hole.present && hole.at + hole.len <= len);
	if (mech_kdc_enc_rep_read(p, len, &rep))
		return;
	must(rep.key_etype == hole.etype);
	if (decode_krb5_enc_kdc_rep_part(&in, &got))
		return;
	must((uint32_t)got->nonce == rep.nonce && got->times.endtime == rep.endtime);
	must(got->session->length == hole.len && got->session->enctype == hole.etype);
	must(!hole.len || !memcmp(got->session->contents, p + hole.at, hole.len));
	krb5_free_enc_kdc_rep_part(k5, got);
}

static void small(const uint8_t *p, size_t len)
{
	const struct der_str all = { p, len };
	struct ap_encrypted enc;
	struct der_str list;
	int32_t type;

	if (!mech_kdc_error_read(p, len, &list))
		(void)count(list);
	if (!mech_kdc_encrypted_read(all, &enc))
		must(enc.cipher.p >= p && enc.cipher.p + enc.cipher.len <= p + len);
	if (!mech_kdc_cksum_read(all, &type, &list))
		must(list.p >= p && list.p + list.len <= p + len);
}

static bool inside(struct der_str s, const uint8_t *p, size_t len)
{
	return !s.len || (s.p >= p && s.p + s.len <= p + len);
}

static void s4u(const uint8_t *p, size_t len)
{
	const struct der_str all = { p, len };
	struct kdc_x509_user x509;
	struct kdc_for_user by_name;
	struct wr w;

	if (!mech_kdc_x509_user_read(all, &x509))
		must(inside(x509.id, p, len) && inside(x509.cksum, p, len));
	if (mech_kdc_for_user_read(all, &by_name))
		return;
	must(inside(by_name.cksum, p, len) && inside(by_name.package, p, len));
	wr_init_grow(&w, len + 4);
	mech_kdc_for_user_put(&w, &by_name);
	must(!w.bad);
	wr_free(&w);
}

static void fast(const uint8_t *p, size_t len)
{
	const struct der_str all = { p, len };
	struct kdc_fast_response response;
	struct kdc_fast_req req;
	struct kdc_req inner;
	struct ap_encrypted enc;

	if (!mech_kdc_fast_req_read(all, &req))
		must(inside(req.armor, p, len) && inside(req.enc.cipher, p, len));
	if (!mech_kdc_fast_rep_read(all, &enc))
		must(inside(enc.cipher, p, len));
	if (!mech_kdc_fast_inner_read(p, len, &inner)) {
		must(inside(inner.body, p, len));
		(void)count(inner.padata);
	}
	if (!mech_kdc_fast_response_read(p, len, &response)) {
		must(inside(response.key, p, len));
		(void)count(response.padata);
	}
}

static bool same(struct der_str ours, const void *theirs, size_t len)
{
	return ours.len == len && (!len || !memcmp(ours.p, theirs, len));
}

/* What a password's keys are made with must be what libkrb5 makes them with. */
static void salts(const uint8_t *p, size_t len)
{
	krb5_data in = as_data(p, len);
	struct salt_entry **got = NULL;
	struct der_str list;
	struct kdc_salt s;
	size_t i;

	if (mech_kdc_salts_enter(p, len, &list))
		return;
	if (decode_krb5_etype_info2(&in, &got))
		got = NULL;
	for (i = 0; mech_kdc_salts_next(&list, &s); i++) {
		must(inside(s.salt, p, len) && inside(s.params, p, len));
		if (!got)
			continue;
		must(got[i] && got[i]->etype == s.etype);
		must(s.has_salt ? same(s.salt, got[i]->salt, got[i]->len) : !got[i]->salt);
		must(same(s.params, got[i]->params.data, got[i]->params.length));
	}
	krb5_free_etype_info(k5, got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p;

	if (!k5 && krb5_init_context(&k5))
		return 0;
	p = malloc(size ? size : 1);     /* its own block: reads past the end are seen */
	if (!p)
		return 0;
	if (size)
		memcpy(p, data, size);
	request(p, size);
	reply(p, size);
	part(p, size);
	small(p, size);
	fast(p, size);
	s4u(p, size);
	salts(p, size);
	free(p);
	return 0;
}
