/*
 * Fuzz target: the readers of the AP exchange.  The first octet picks the
 * message.  What is accepted here libkrb5 must decode too, to the same values.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mech/apmsg.h"
#include "mech/cksum8003.h"
#include "mech/frame.h"
#include "mech/negotiate.h"
#include "mech/transited.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code decode_krb5_ap_req(const krb5_data *in, krb5_ap_req **out);
krb5_error_code decode_krb5_enc_tkt_part(const krb5_data *in, krb5_enc_tkt_part **out);
krb5_error_code decode_krb5_authenticator(const krb5_data *in, krb5_authenticator **out);
krb5_error_code decode_krb5_ap_rep(const krb5_data *in, krb5_ap_rep **out);
krb5_error_code decode_krb5_ap_rep_enc_part(const krb5_data *in, krb5_ap_rep_enc_part **out);
krb5_error_code krb5_check_transited_list(krb5_context ctx, const krb5_data *trans,
					  const krb5_data *crealm, const krb5_data *srealm);
void krb5_free_enc_tkt_part(krb5_context ctx, krb5_enc_tkt_part *part);
void krb5_free_ap_req(krb5_context ctx, krb5_ap_req *req);
void krb5_free_ap_rep(krb5_context ctx, krb5_ap_rep *rep);

static krb5_context k5;

static void must(int ok)
{
	if (!ok)
		abort();
}

static krb5_data as_data(const uint8_t *p, size_t n)
{
	krb5_data d = { KV5M_DATA, (unsigned)n, (char *)(uintptr_t)p };

	return d;
}

static void same_octets(struct der_str s, const void *p, size_t n)
{
	must(s.len == n && (n == 0 || memcmp(s.p, p, n) == 0));
}

static void same_princ(const struct ap_princ *p, krb5_const_principal q)
{
	krb5_principal own = NULL;

	must(mech_ap_princ_get(k5, p, &own) == 0);
	must(krb5_principal_compare(k5, own, q) && own->type == q->type);
	krb5_free_principal(k5, own);
}

static void ap_req(const uint8_t *p, size_t n)
{
	krb5_data in = as_data(p, n);
	krb5_ap_req *req = NULL;
	struct ap_req r;

	if (mech_ap_req_read(p, n, &r))
		return;
	must(decode_krb5_ap_req(&in, &req) == 0);
	must(r.options == (uint32_t)req->ap_options && r.auth.etype == req->authenticator.enctype);
	must(r.ticket.enc.kvno == req->ticket->enc_part.kvno);
	same_octets(r.auth.cipher, req->authenticator.ciphertext.data,
		    req->authenticator.ciphertext.length);
	same_octets(r.ticket.enc.cipher, req->ticket->enc_part.ciphertext.data,
		    req->ticket->enc_part.ciphertext.length);
	same_princ(&r.ticket.server, req->ticket->server);
	krb5_free_ap_req(k5, req);
}

static void walk(struct der_str list, size_t count)
{
	struct ap_pair pair;
	size_t n = 0;

	while (mech_ap_next(&list, &pair))
		n++;
	must(n == count && list.len == 0);
}

static size_t count_ads(krb5_authdata *const *ad)
{
	size_t n = 0;

	while (ad && ad[n])
		n++;
	return n;
}

static void enc_ticket(const uint8_t *p, size_t n)
{
	krb5_data in = as_data(p, n);
	krb5_enc_tkt_part *part = NULL;
	struct ap_enc_ticket t;

	if (mech_ap_enc_ticket_read(p, n, &t))
		return;
	must(decode_krb5_enc_tkt_part(&in, &part) == 0);
	must(t.flags == (uint32_t)part->flags && t.key_etype == part->session->enctype);
	must(t.authtime == part->times.authtime && t.endtime == part->times.endtime);
	must(t.starttime == part->times.starttime && t.renew_till == part->times.renew_till);
	must(t.has_caddr == (part->caddrs != NULL));
	same_octets(t.transited, part->transited.tr_contents.data,
		    part->transited.tr_contents.length);
	walk(t.authdata, count_ads(part->authorization_data));
	same_princ(&t.client, part->client);
	krb5_free_enc_tkt_part(k5, part);
}

static void checksum(struct der_str octets)
{
	struct der_str cred;
	struct mech_cksum c;

	if (mech_cksum_read(octets, &c) == 0 && mech_cksum_deleg(&c, &cred) == 0 &&
	    mech_cksum_extensions(&c) == 0)
		must(c.rest.len == 0);
}

static void authenticator(const uint8_t *p, size_t n)
{
	static const krb5_enctype permitted[] = { 18, 17, 20, 19, 0 };
	krb5_data in = as_data(p, n);
	krb5_authenticator *part = NULL;
	struct ap_authenticator a;
	struct der_str found;
	unsigned count;
	int32_t etype;

	if (mech_ap_authenticator_read(p, n, &a))
		return;
	must(decode_krb5_authenticator(&in, &part) == 0);
	must(a.ctime == part->ctime && a.cusec == part->cusec && a.seq == part->seq_number);
	must(a.has_cksum == (part->checksum != NULL));
	must(a.subkey_etype == (part->subkey ? part->subkey->enctype : 0));
	walk(a.authdata, count_ads(part->authorization_data));
	same_princ(&a.client, part->client);
	krb5_free_authenticator(k5, part);
	checksum(a.cksum);
	if (mech_ap_authdata_find(a.authdata, 143, &found, &count) == 0)
		must(!count == !found.p);
	if (mech_negotiate(permitted, a.authdata, a.subkey_etype, 18, &etype) == 0)
		must(etype == 18);
}

static void ap_rep(const uint8_t *p, size_t n)
{
	krb5_data in = as_data(p, n);
	krb5_ap_rep_enc_part *part = NULL;
	krb5_ap_rep *rep = NULL;
	struct ap_enc_rep er;
	struct ap_encrypted e;

	if (mech_ap_rep_read(p, n, &e) == 0) {
		must(decode_krb5_ap_rep(&in, &rep) == 0);
		same_octets(e.cipher, rep->enc_part.ciphertext.data,
			    rep->enc_part.ciphertext.length);
		krb5_free_ap_rep(k5, rep);
	}
	if (mech_ap_enc_rep_read(p, n, &er) == 0) {
		must(decode_krb5_ap_rep_enc_part(&in, &part) == 0);
		must(er.ctime == part->ctime && er.seq == part->seq_number);
		krb5_free_ap_rep_enc_part(k5, part);
	}
}

/* The authenticator's checksum of type 0x8003: whatever comes out lies within what went in. */
static void cksum(const uint8_t *p, size_t n)
{
	struct mech_cksum c;
	struct der_str cred;

	if (mech_cksum_read((struct der_str){ p, n }, &c))
		return;
	must(c.rest.p + c.rest.len == p + n);
	if (mech_cksum_deleg(&c, &cred))
		return;
	must(!cred.p || (cred.p >= p && cred.p + cred.len <= p + n));
	must(c.rest.p + c.rest.len == p + n);
	(void)!mech_cksum_extensions(&c);
}

static void frame(const uint8_t *p, size_t n)
{
	gss_buffer_desc in = { n, (void *)(uintptr_t)p }, out;
	struct mech_frame f;

	if (mech_frame_read(&in, &f) || !f.mech)
		return;
	must(mech_frame_make(f.mech, f.tok_id, f.body.p, f.body.len, &out) == 0);
	must(out.length == n && memcmp(out.value, p, n) == 0);
	free(out.value);
}

static void transited(const uint8_t *p, size_t n)
{
	size_t c = n / 4, s = n / 4;
	krb5_data trans = as_data(p + c + s, n - c - s), client = as_data(p, c);
	krb5_data server = as_data(p + c, s);
	err_t stock, own;

	if (!c)
		return;
	stock = krb5_check_transited_list(k5, &trans, &client, &server);
	own = mech_transited_check(k5, (struct der_str){ p + c + s, n - c - s },
				   (struct der_str){ p, c }, (struct der_str){ p + c, s });
	must(stock == own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const what[])(const uint8_t *, size_t) = {
		ap_req, enc_ticket, authenticator, ap_rep, cksum, frame, transited
	};
	uint8_t *p;

	if (!size || (!k5 && krb5_init_context(&k5)))
		return 0;
	p = malloc(size);                /* its own block: reads past the end are seen */
	if (!p)
		return 0;
	memcpy(p, data + 1, size - 1);
	what[data[0] % 7](p, size - 1);
	free(p);
	return 0;
}
