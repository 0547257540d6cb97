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

/* How far the first octets of a part lead on the way to its key. */
struct ks_trail {
	enum { KS_TRAIL_MORE, KS_TRAIL_KEY, KS_TRAIL_NONE } end;
	size_t safe;             /* MORE: so many leading octets hold none of the key's; > have */
	size_t field;            /* MORE: where the next field begins, which may be the key's */
	struct ks_hole hole;     /* KEY: etype, at and len; total is not known yet */
};

/*
 * Follows the way to the key in a part of len octets of which only the first
 * have are known: plain's others are not looked at.  No octet of the key need
 * be known, and none in front of safe can be one.  What this finds is for
 * ks_part_find to confirm.  The same errors.
 */
MUST err_t ks_part_follow(enum ks_part part, const uint8_t *plain, size_t have, size_t len,
			  struct ks_trail *out);

/*
 * The header of the key's field up to the key's octets, as it is for a key of
 * this enctype: what can be expected at ks_trail's field.  0: cannot be said.
 */
#define KS_KEY_HEADER 13
size_t ks_part_key_header(enum ks_part part, int32_t etype, uint8_t out[KS_KEY_HEADER]);

/* True where RFC 4120 lets the key be absent. */
bool ks_part_key_optional(enum ks_part part);

#endif
