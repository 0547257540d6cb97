/* The messages of the KDC exchanges: reading. */
#include "mech/kdcmsg.h"

#include <string.h>

#include "mech/apmsg_parts.h"

int32_t mech_kdc_type(const void *p, size_t len)
{
	static const uint8_t types[] = { KDC_AS_REQ, KDC_AS_REP, KDC_TGS_REQ, KDC_TGS_REP,
					 KDC_ERROR };
	const uint8_t *tag = p;
	size_t i;

	for (i = 0; len && i < sizeof(types); i++) {
		if (*tag == DER_APP(types[i]))
			return types[i];
	}
	return 0;
}

static struct kdc_pa read_pa(struct der *list)
{
	struct kdc_pa pa = { .whole = der_element(list, DER_SEQUENCE) };
	struct der one, seq, field, number;

	rd_init(&one.rd, pa.whole.p, pa.whole.len);
	one.err = list->err;
	seq = der_in(&one, DER_SEQUENCE);
	field = der_in(&seq, DER_CTX(1));
	number = field;
	pa.type = der_int32(&field);
	der_end(&field);
	pa.number = der_content(&number, DER_INTEGER);
	pa.value = der_field_content(&seq, 2, DER_OCTETS);
	der_end(&seq);
	return pa;
}

/* What is left of list, each element of it checked. */
static struct der_str pa_list(struct der *list)
{
	struct der_str all = { list->rd.p, list->rd.left };

	while (der_more(list))
		(void)read_pa(list);
	return *list->err ? (struct der_str){ NULL, 0 } : all;
}

struct der_str mech_kdc_pa_field(struct der *d, unsigned n)
{
	struct der list;

	if (!der_is(d, (uint8_t)DER_CTX(n)))
		return (struct der_str){ NULL, 0 };
	list = der_field_seq(d, n);
	return pa_list(&list);
}

bool mech_kdc_pa_next(struct der_str *list, struct kdc_pa *out)
{
	struct der d;
	err_t err;

	if (!list->len)
		return false;
	der_init(&d, list->p, list->len, &err);
	*out = read_pa(&d);
	*list = (struct der_str){ d.rd.p, d.rd.left };
	return !err;
}

bool mech_kdc_pa_find(struct der_str list, int32_t type, struct kdc_pa *out)
{
	while (mech_kdc_pa_next(&list, out)) {
		if (out->type == type)
			return true;
	}
	memset(out, 0, sizeof(*out));
	return false;
}

/* A field that may be missing and whose content is of no interest. */
static void skip(struct der *d, unsigned n)
{
	if (der_is(d, (uint8_t)DER_CTX(n)))
		(void)der_content(d, (uint8_t)DER_CTX(n));
}

/* KDC-REQ-BODY ::= SEQUENCE { kdc-options [0], cname [1] OPTIONAL, realm [2], sname [3] OPTIONAL,
 *   from [4] OPTIONAL, till [5], rtime [6] OPTIONAL, nonce [7], etype [8], addresses [9] OPTIONAL,
 *   enc-authorization-data [10] OPTIONAL, additional-tickets [11] OPTIONAL } */
void mech_kdc_body_read(struct der_str body, err_t *err, struct kdc_req *out)
{
	struct der one = { .err = err }, seq, field;
	unsigned i;

	rd_init(&one.rd, body.p, body.len);
	seq = der_in(&one, DER_SEQUENCE);
	out->options = der_field_flags(&seq, 0);
	out->has_client = der_is(&seq, DER_CTX(1));
	if (out->has_client)
		mech_ap_name_field(&seq, 1, &out->client);
	mech_ap_realm_field(&seq, 2, &out->client);
	for (i = 3; i <= 6; i++)
		skip(&seq, i);
	out->nonce = der_field_uint32(&seq, 7);
	for (i = 8; i <= 9; i++)
		skip(&seq, i);
	if (der_is(&seq, DER_CTX(10))) {
		field = der_in(&seq, DER_CTX(10));
		out->authdata = der_element(&field, DER_SEQUENCE);
		der_end(&field);
	}
	skip(&seq, 11);
	der_end(&seq);
}

/* KDC-REQ ::= SEQUENCE { pvno [1] 5, msg-type [2], padata [3] OPTIONAL, req-body [4] } */
err_t mech_kdc_req_read(const void *p, size_t len, struct kdc_req *out)
{
	const int32_t type = mech_kdc_type(p, len);
	struct der d, seq, field;
	err_t err;

	memset(out, 0, sizeof(*out));
	if (type != KDC_AS_REQ && type != KDC_TGS_REQ)
		return KRB5KRB_AP_ERR_MSG_TYPE;
	out->msg_type = type;
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, (unsigned)type);
	der_field_expect(&seq, 1, 5, KRB5KRB_AP_ERR_BADVERSION);
	der_field_expect(&seq, 2, type, KRB5KRB_AP_ERR_MSG_TYPE);
	out->padata = mech_kdc_pa_field(&seq, 3);
	field = der_in(&seq, DER_CTX(4));
	out->body = der_element(&field, DER_SEQUENCE);
	der_end(&field);
	der_end(&seq);
	mech_kdc_body_read(out->body, &err, out);
	return err;
}

/* KDC-REP ::= SEQUENCE { pvno [0] 5, msg-type [1], padata [2] OPTIONAL, crealm [3], cname [4],
 *   ticket [5], enc-part [6] } */
err_t mech_kdc_rep_read(const void *p, size_t len, struct kdc_rep *out)
{
	const int32_t type = mech_kdc_type(p, len);
	struct der d, seq, field;
	err_t err;

	memset(out, 0, sizeof(*out));
	if (type != KDC_AS_REP && type != KDC_TGS_REP)
		return KRB5KRB_AP_ERR_MSG_TYPE;
	out->msg_type = type;
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, (unsigned)type);
	der_field_expect(&seq, 0, 5, KRB5KRB_AP_ERR_BADVERSION);
	der_field_expect(&seq, 1, type, KRB5KRB_AP_ERR_MSG_TYPE);
	out->padata = mech_kdc_pa_field(&seq, 2);
	mech_ap_realm_field(&seq, 3, &out->client);
	mech_ap_name_field(&seq, 4, &out->client);
	field = der_in(&seq, DER_CTX(5));
	mech_ap_ticket(&field, &out->ticket);
	der_end(&field);
	mech_ap_encrypted_field(&seq, 6, &out->enc);
	der_end(&seq);
	return err;
}

/* EncKDCRepPart ::= SEQUENCE { key [0], last-req [1], nonce [2], key-expiration [3] OPTIONAL,
 *   flags [4], authtime [5], starttime [6] OPTIONAL, endtime [7], renew-till [8] OPTIONAL,
 *   srealm [9], sname [10], caddr [11] OPTIONAL, encrypted-pa-data [12] OPTIONAL } */
err_t mech_kdc_enc_rep_read(const void *p, size_t len, struct kdc_enc_rep *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, der_is(&d, DER_APP(26)) ? 26 : 25);
	out->key_etype = mech_ap_key_field(&seq, 0);
	(void)der_content(&seq, DER_CTX(1));
	out->nonce = der_field_uint32(&seq, 2);
	skip(&seq, 3);
	out->flags = der_field_flags(&seq, 4);
	(void)der_content(&seq, DER_CTX(5));
	skip(&seq, 6);
	out->endtime = der_field_time(&seq, 7);
	skip(&seq, 8);
	mech_ap_realm_field(&seq, 9, &out->server);
	mech_ap_name_field(&seq, 10, &out->server);
	skip(&seq, 11);
	out->padata = mech_kdc_pa_field(&seq, 12);
	der_end(&seq);
	return err;
}

/* METHOD-DATA ::= SEQUENCE OF PA-DATA; e-data may be other things, too. */
static struct der_str method_data(struct der_str data)
{
	struct der_str found;
	struct der d, list;
	err_t err;

	der_init(&d, data.p, data.len, &err);
	list = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	found = pa_list(&list);
	return err ? (struct der_str){ NULL, 0 } : found;
}

/* KRB-ERROR ::= [APPLICATION 30] SEQUENCE { ..., e-data [12] OCTET STRING OPTIONAL } */
err_t mech_kdc_error_read(const void *p, size_t len, struct der_str *padata)
{
	struct der d, seq;
	unsigned i;
	err_t err;

	*padata = (struct der_str){ NULL, 0 };
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, KDC_ERROR);
	for (i = 0; i < 12; i++)
		skip(&seq, i);
	if (der_is(&seq, DER_CTX(12)))
		*padata = method_data(der_field_content(&seq, 12, DER_OCTETS));
	skip(&seq, 13);                  /* old drafts' checksum */
	der_end(&seq);
	if (err)
		*padata = (struct der_str){ NULL, 0 };
	return err;
}

err_t mech_kdc_encrypted_read(struct der_str in, struct ap_encrypted *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, in.p, in.len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	out->etype = der_field_int32(&seq, 0);
	out->has_kvno = der_is(&seq, DER_CTX(1));
	out->kvno = out->has_kvno ? der_field_uint32(&seq, 1) : 0;
	out->cipher = der_field_content(&seq, 2, DER_OCTETS);
	der_end(&seq);
	return err;
}

err_t mech_kdc_cksum_read(struct der_str in, int32_t *type, struct der_str *sum)
{
	struct der d, seq;
	err_t err;

	der_init(&d, in.p, in.len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	*type = der_field_int32(&seq, 0);
	*sum = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
	return err;
}
