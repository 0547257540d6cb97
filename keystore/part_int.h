/* The shapes of message parts, for part.c and part_follow.c. */
#ifndef GSSP11_PART_INT_H
#define GSSP11_PART_INT_H

#include "keystore/part.h"

enum {
	INTEGER = 0x02, BITS = 0x03, OCTETS = 0x04, TIME = 0x18,
	STRING = 0x1b, SEQUENCE = 0x30,
	FIELD = 0xa0,       /* [0], constructed; [i] is FIELD + i */
	FIELDS_MAX = 13,
	OPTIONAL = 0x100
};

/* The fields of a part: the ASN.1 type's tag, with OPTIONAL; 0 ends. */
struct shape {
	uint8_t outer, also;                    /* APPLICATION tags; 0: no other one */
	unsigned key;                           /* number of the key's field */
	bool listed;                            /* where the key is in the one element of a list */
	unsigned fields[FIELDS_MAX + 1];
};

const struct shape *part_shape(enum ks_part part);

#endif
