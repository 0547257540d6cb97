/* KRB-CRED, the message that forwards credentials (RFC 4120 5.8.1): reading. */
#include "mech/apmsg.h"

#include <string.h>

#include "mech/apmsg_parts.h"

/* [n] SEQUENCE OF Ticket */
static void tickets_field(struct der *d, unsigned n, struct ap_cred *out)
{
	struct der field = der_in(d, (uint8_t)DER_CTX(n)), again = field, list;
	struct ap_ticket ticket;

	out->tickets = der_element(&field, DER_SEQUENCE);
	der_end(&field);
	list = der_in(&again, DER_SEQUENCE);
	for (out->n = 0; der_more(&list); out->n++)
		mech_ap_ticket(&list, &ticket);
}

/* KRB-CRED ::= [APPLICATION 22] SEQUENCE { pvno [0] 5, msg-type [1] 22,
 *   tickets [2] SEQUENCE OF Ticket, enc-part [3] } */
err_t mech_ap_cred_read(const void *p, size_t len, struct ap_cred *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, 22);
	der_field_expect(&seq, 0, 5, KRB5KRB_AP_ERR_BADVERSION);
	der_field_expect(&seq, 1, 22, KRB5KRB_AP_ERR_MSG_TYPE);
	tickets_field(&seq, 2, out);
	mech_ap_encrypted_field(&seq, 3, &out->enc);
	der_end(&seq);
	return err;
}

/* KrbCredInfo ::= SEQUENCE { key [0], prealm [1], pname [2], flags [3] OPTIONAL,
 *   authtime [4] .. renew-till [7] OPTIONAL, srealm [8], sname [9], caddr [10] OPTIONAL },
 * where the names are optional to the RFC and needed here */
static void cred_info(struct der *d)
{
	struct der seq = der_in(d, DER_SEQUENCE);
	struct ap_princ name;
	unsigned n;

	mech_ap_key_field(&seq, 0);
	mech_ap_realm_field(&seq, 1, &name);
	mech_ap_name_field(&seq, 2, &name);
	if (der_is(&seq, DER_CTX(3)))
		der_field_flags(&seq, 3);
	for (n = 4; n <= 7; n++) {
		if (der_is(&seq, (uint8_t)DER_CTX(n)))
			der_field_time(&seq, n);
	}
	mech_ap_realm_field(&seq, 8, &name);
	mech_ap_name_field(&seq, 9, &name);
	if (der_is(&seq, DER_CTX(10)))
		mech_ap_list_field(&seq, 10);
	der_end(&seq);
}

/* [n] HostAddress OPTIONAL */
static void address_field(struct der *d, unsigned n)
{
	struct der seq;

	if (!der_is(d, (uint8_t)DER_CTX(n)))
		return;
	seq = der_field_seq(d, n);
	der_field_int32(&seq, 0);
	der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
}

/* EncKrbCredPart ::= [APPLICATION 29] SEQUENCE { ticket-info [0] SEQUENCE OF KrbCredInfo,
 *   nonce [1] OPTIONAL, timestamp [2] OPTIONAL, usec [3] OPTIONAL, s-address [4] OPTIONAL,
 *   r-address [5] OPTIONAL } */
err_t mech_ap_enc_cred_check(const void *p, size_t len, size_t n)
{
	struct der d, seq, list;
	err_t err;

	der_init(&d, p, len, &err);
	seq = der_app_seq(&d, 29);
	list = der_field_seq(&seq, 0);
	for (; der_more(&list) && n > 0; n--)
		cred_info(&list);
	der_end(&list);
	if (n)
		der_fail(&list, ASN1_MISSING_FIELD);
	if (der_is(&seq, DER_CTX(1)))
		der_field_uint32(&seq, 1);
	if (der_is(&seq, DER_CTX(2)))
		der_field_time(&seq, 2);
	if (der_is(&seq, DER_CTX(3)))
		der_field_int32(&seq, 3);
	address_field(&seq, 4);
	address_field(&seq, 5);
	der_end(&seq);
	return err;
}
