/* FAST in the KDC's messages: reading. */
#include "mech/kdcmsg_fast.h"

#include <string.h>

#include "mech/apmsg_parts.h"

enum { ARMOR_AP_REQUEST = 1 };

/* KrbFastArmor ::= SEQUENCE { armor-type [0] Int32, armor-value [1] OCTET STRING } */
static struct der_str armor_field(struct der *d, unsigned n)
{
	struct der_str none = { NULL, 0 }, value;
	struct der seq;

	if (!der_is(d, (uint8_t)DER_CTX(n)))
		return none;
	seq = der_field_seq(d, n);
	der_field_expect(&seq, 0, ARMOR_AP_REQUEST, KRB5KDC_ERR_PREAUTH_FAILED);
	value = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
	return value;
}

/* Checksum ::= SEQUENCE { cksumtype [0] Int32, checksum [1] OCTET STRING } */
static struct der_str cksum_field(struct der *d, unsigned n, int32_t *type)
{
	struct der seq = der_field_seq(d, n);
	struct der_str sum;

	*type = der_field_int32(&seq, 0);
	sum = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
	return sum;
}

/* PA-FX-FAST-REQUEST ::= CHOICE { armored-data [0] SEQUENCE { armor [0] OPTIONAL,
 *   req-checksum [1] Checksum, enc-fast-req [2] EncryptedData } } */
err_t mech_kdc_fast_req_read(struct der_str in, struct kdc_fast_req *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, in.p, in.len, &err);
	seq = der_field_seq(&d, 0);
	der_end(&d);
	out->armor = armor_field(&seq, 0);
	out->cksum = cksum_field(&seq, 1, &out->cksumtype);
	mech_ap_encrypted_field(&seq, 2, &out->enc);
	der_end(&seq);
	return err;
}

/* PA-FX-FAST-REPLY ::= CHOICE { armored-data [0] SEQUENCE { enc-fast-rep [0] EncryptedData } } */
err_t mech_kdc_fast_rep_read(struct der_str in, struct ap_encrypted *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, in.p, in.len, &err);
	seq = der_field_seq(&d, 0);
	der_end(&d);
	mech_ap_encrypted_field(&seq, 0, out);
	der_end(&seq);
	return err;
}

/* KrbFastReq ::= SEQUENCE { fast-options [0], padata [1] SEQUENCE OF PA-DATA, req-body [2] } */
err_t mech_kdc_fast_inner_read(const void *p, size_t len, struct kdc_req *out)
{
	struct der d, seq, field;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	(void)der_content(&seq, DER_CTX(0));
	out->padata = mech_kdc_pa_field(&seq, 1);
	field = der_in(&seq, DER_CTX(2));
	out->body = der_element(&field, DER_SEQUENCE);
	der_end(&field);
	der_end(&seq);
	mech_kdc_body_read(out->body, &err, out);
	return err;
}

/* KrbFastFinished ::= SEQUENCE { timestamp [0], usec [1], crealm [2], cname [3],
 *   ticket-checksum [4] Checksum } */
static void finished_field(struct der *d, unsigned n, struct kdc_fast_response *out)
{
	struct der seq = der_field_seq(d, n);
	unsigned i;

	for (i = 0; i < 4; i++)
		(void)der_content(&seq, (uint8_t)DER_CTX(i));
	out->cksum = cksum_field(&seq, 4, &out->cksumtype);
	der_end(&seq);
}

/* KrbFastResponse ::= SEQUENCE { padata [0], strengthen-key [1] EncryptionKey OPTIONAL,
 *   finished [2] OPTIONAL, nonce [3] } */
err_t mech_kdc_fast_response_read(const void *p, size_t len, struct kdc_fast_response *out)
{
	struct der d, seq, key;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, p, len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	out->padata = mech_kdc_pa_field(&seq, 0);
	out->has_strengthen = der_is(&seq, DER_CTX(1));
	if (out->has_strengthen) {
		key = der_field_seq(&seq, 1);
		out->etype = der_field_int32(&key, 0);
		out->key = der_field_content(&key, 1, DER_OCTETS);
		der_end(&key);
	}
	out->has_finished = der_is(&seq, DER_CTX(2));
	if (out->has_finished)
		finished_field(&seq, 2, out);
	(void)der_field_uint32(&seq, 3);
	der_end(&seq);
	return err;
}

err_t mech_kdc_salts_enter(const void *p, size_t len, struct der_str *list)
{
	struct der d, seq;
	err_t err;

	der_init(&d, p, len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	*list = (struct der_str){ seq.rd.p, seq.rd.left };
	return err;
}

/* ETYPE-INFO2-ENTRY ::= SEQUENCE { etype [0] Int32, salt [1] KerberosString OPTIONAL,
 *   s2kparams [2] OCTET STRING OPTIONAL } */
bool mech_kdc_salts_next(struct der_str *list, struct kdc_salt *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	if (!list->len)
		return false;
	der_init(&d, list->p, list->len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	*list = (struct der_str){ d.rd.p, d.rd.left };
	out->etype = der_field_int32(&seq, 0);
	out->has_salt = der_is(&seq, DER_CTX(1));
	if (out->has_salt)
		out->salt = der_field_content(&seq, 1, DER_GENERALSTRING);
	if (der_is(&seq, DER_CTX(2)))
		out->params = der_field_content(&seq, 2, DER_OCTETS);
	der_end(&seq);
	return !err;
}
