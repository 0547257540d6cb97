/* The padata of S4U2Self. */
#include "mech/kdcmsg_s4u.h"

#include <string.h>

#include "mech/apmsg_parts.h"

/* Checksum ::= SEQUENCE { cksumtype [0], checksum [1] }, in field [n]. */
static void cksum_field(struct der *d, unsigned n, int32_t *type, struct der_str *sum)
{
	struct der seq = der_field_seq(d, n);

	*type = der_field_int32(&seq, 0);
	*sum = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
}

/* S4UUserID ::= SEQUENCE { nonce [0] UInt32, cname [1] OPTIONAL, crealm [2],
 *   subject-certificate [3] OPTIONAL, options [4] BIT STRING OPTIONAL } */
static void read_id(struct der_str id, err_t *err, struct kdc_x509_user *out)
{
	struct der one, seq;
	unsigned i;

	der_init(&one, id.p, id.len, err);
	seq = der_in(&one, DER_SEQUENCE);
	der_end(&one);
	out->nonce = der_field_uint32(&seq, 0);
	for (i = 1; i <= 3; i++) {
		if (der_is(&seq, (uint8_t)DER_CTX(i)))
			(void)der_content(&seq, (uint8_t)DER_CTX(i));
	}
	if (der_is(&seq, DER_CTX(4)))
		out->options = der_field_flags(&seq, 4);
	der_end(&seq);
}

err_t mech_kdc_x509_user_read(struct der_str in, struct kdc_x509_user *out)
{
	struct der d, seq, field;
	err_t err, inner;

	memset(out, 0, sizeof(*out));
	der_init(&d, in.p, in.len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	field = der_in(&seq, DER_CTX(0));
	out->id = der_element(&field, DER_SEQUENCE);
	der_end(&field);
	cksum_field(&seq, 1, &out->cksumtype, &out->cksum);
	der_end(&seq);
	if (err)
		return err;
	read_id(out->id, &inner, out);
	return inner;
}

err_t mech_kdc_for_user_read(struct der_str in, struct kdc_for_user *out)
{
	struct der d, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	der_init(&d, in.p, in.len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	mech_ap_name_field(&seq, 0, &out->user);
	mech_ap_realm_field(&seq, 1, &out->user);
	cksum_field(&seq, 2, &out->cksumtype, &out->cksum);
	out->package = der_field_content(&seq, 3, DER_GENERALSTRING);
	der_end(&seq);
	return err;
}

void mech_kdc_for_user_put(struct wr *w, const struct kdc_for_user *in)
{
	const uint32_t type = (uint32_t)in->user.type;
	const uint8_t le[4] = { (uint8_t)type, (uint8_t)(type >> 8), (uint8_t)(type >> 16),
				(uint8_t)(type >> 24) };
	struct der_str part;
	struct der d;
	err_t err;

	wr_bytes(w, le, sizeof(le));
	der_init(&d, in->user.parts.p, in->user.parts.len, &err);
	while (der_more(&d)) {
		part = der_content(&d, DER_GENERALSTRING);
		wr_bytes(w, part.p, part.len);
	}
	wr_bytes(w, in->user.realm.p, in->user.realm.len);
	wr_bytes(w, in->package.p, in->package.len);
}
