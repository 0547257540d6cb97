/* The messages of the AP exchange (RFC 4120 5.3, 5.5, 5.8.1, 5.9.1): reading. */
#include "mech/apmsg.h"

#include <string.h>

#include "mech/apmsg_parts.h"

/* AP-REQ ::= [APPLICATION 14] SEQUENCE { pvno [0] 5, msg-type [1] 14, ap-options [2], ticket [3],
 *            authenticator [4] EncryptedData } */
err_t mech_ap_req_read(const void *p, size_t len, struct ap_req *out)
{
	struct der d, seq, field;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, 14);
	der_field_expect(&seq, 0, 5, KRB5KRB_AP_ERR_BADVERSION);
	der_field_expect(&seq, 1, 14, KRB5KRB_AP_ERR_MSG_TYPE);
	out->options = der_field_flags(&seq, 2);
	field = der_in(&seq, DER_CTX(3));
	mech_ap_ticket(&field, &out->ticket);
	der_end(&field);
	mech_ap_encrypted_field(&seq, 4, &out->auth);
	der_end(&seq);
	return err;
}

/* TransitedEncoding ::= SEQUENCE { tr-type [0] Int32, contents [1] OCTET STRING } */
static void transited_field(struct der *d, unsigned n, struct ap_enc_ticket *out)
{
	struct der seq = der_field_seq(d, n);

	out->tr_type = der_field_int32(&seq, 0);
	out->transited = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
}

/* EncTicketPart ::= [APPLICATION 3] SEQUENCE { flags [0], key [1], crealm [2], cname [3],
 *   transited [4], authtime [5], starttime [6] OPTIONAL, endtime [7], renew-till [8] OPTIONAL,
 *   caddr [9] OPTIONAL, authorization-data [10] OPTIONAL } */
err_t mech_ap_enc_ticket_read(const void *p, size_t len, struct ap_enc_ticket *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, 3);
	out->flags = der_field_flags(&seq, 0);
	out->key_etype = mech_ap_key_field(&seq, 1);
	mech_ap_realm_field(&seq, 2, &out->client);
	mech_ap_name_field(&seq, 3, &out->client);
	transited_field(&seq, 4, out);
	out->authtime = der_field_time(&seq, 5);
	if (der_is(&seq, DER_CTX(6)))
		out->starttime = der_field_time(&seq, 6);
	out->endtime = der_field_time(&seq, 7);
	if (der_is(&seq, DER_CTX(8)))
		out->renew_till = der_field_time(&seq, 8);
	out->has_caddr = der_is(&seq, DER_CTX(9));
	if (out->has_caddr)
		out->caddr = mech_ap_list_field(&seq, 9);
	if (der_is(&seq, DER_CTX(10)))
		out->authdata = mech_ap_list_field(&seq, 10);
	der_end(&seq);
	return err;
}

/* Checksum ::= SEQUENCE { cksumtype [0] Int32, checksum [1] OCTET STRING } */
static void checksum_field(struct der *d, unsigned n, struct ap_authenticator *out)
{
	struct der seq = der_field_seq(d, n);

	out->has_cksum = true;
	out->cksumtype = der_field_int32(&seq, 0);
	out->cksum = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
}

/* Authenticator ::= [APPLICATION 2] SEQUENCE { authenticator-vno [0] 5, crealm [1], cname [2],
 *   cksum [3] OPTIONAL, cusec [4], ctime [5], subkey [6] OPTIONAL, seq-number [7] OPTIONAL,
 *   authorization-data [8] OPTIONAL } */
err_t mech_ap_authenticator_read(const void *p, size_t len, struct ap_authenticator *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, 2);
	der_field_expect(&seq, 0, 5, KRB5KRB_AP_ERR_BADVERSION);
	mech_ap_realm_field(&seq, 1, &out->client);
	mech_ap_name_field(&seq, 2, &out->client);
	if (der_is(&seq, DER_CTX(3)))
		checksum_field(&seq, 3, out);
	out->cusec = der_field_int32(&seq, 4);
	out->ctime = der_field_time(&seq, 5);
	if (der_is(&seq, DER_CTX(6)))
		out->subkey_etype = mech_ap_key_field(&seq, 6);
	if (der_is(&seq, DER_CTX(7)))
		out->seq = der_field_uint32(&seq, 7);
	if (der_is(&seq, DER_CTX(8)))
		out->authdata = mech_ap_list_field(&seq, 8);
	der_end(&seq);
	return err;
}

/* EncAPRepPart ::= [APPLICATION 27] SEQUENCE { ctime [0], cusec [1], subkey [2] OPTIONAL,
 *   seq-number [3] OPTIONAL } */
err_t mech_ap_enc_rep_read(const void *p, size_t len, struct ap_enc_rep *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, 27);
	out->ctime = der_field_time(&seq, 0);
	out->cusec = der_field_int32(&seq, 1);
	if (der_is(&seq, DER_CTX(2)))
		out->subkey_etype = mech_ap_key_field(&seq, 2);
	if (der_is(&seq, DER_CTX(3)))
		out->seq = der_field_uint32(&seq, 3);
	der_end(&seq);
	return err;
}

/* AP-REP ::= [APPLICATION 15] SEQUENCE { pvno [0] 5, msg-type [1] 15, enc-part [2] } */
err_t mech_ap_rep_read(const void *p, size_t len, struct ap_encrypted *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	if (!der_is(&d, DER_APP(15)))
		return KRB5KRB_AP_ERR_MSG_TYPE;
	seq = der_app_seq(&d, 15);
	der_field_expect(&seq, 0, 5, KRB5KRB_AP_ERR_BADVERSION);
	der_field_expect(&seq, 1, 15, KRB5KRB_AP_ERR_MSG_TYPE);
	mech_ap_encrypted_field(&seq, 2, out);
	der_end(&seq);
	return err;
}
