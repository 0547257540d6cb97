/*
 * Where the key lies in a part: a pure function over plaintext octets, so
 * that it can be fuzzed alone.
 */
#ifndef GSSP11_PART_H
#define GSSP11_PART_H

#include "keystore/sealed.h"

struct ks_hole {
	size_t total;            /* octets of the DER value; what is behind is no part of it */
	bool present;            /* the (optional) key is there, and then: */
	int32_t etype;
	size_t at, len;          /* of the key's octets, from the start */
};

/*
 * Walks the part as strict DER (X.690 10): definite, shortest lengths, the
 * outer tags of RFC 4120, fields ascending and each of its ASN.1 type, none
 * missing that must be there.  Fields behind the last that RFC 4120 knows are
 * passed over.  What lies inside other fields than the key is the reader's
 * business.  ASN1_BAD_ID, ASN1_BAD_LENGTH, ASN1_OVERRUN, ASN1_OVERFLOW,
 * ASN1_MISSING_FIELD, ASN1_MISPLACED_FIELD, ASN1_BAD_FORMAT.
 */
MUST err_t ks_part_find(enum ks_part part, const uint8_t *plain, size_t len,
			struct ks_hole *out);

#endif
