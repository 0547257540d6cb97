/*
 * DER as Kerberos uses it (RFC 4120 5.1, 5.2; X.690): a cursor that reads top
 * to bottom like the ASN.1 module, and a small writer on wr_ (pkcs11/bytes.h).
 *
 * The reader is strict: definite, minimal lengths; minimal INTEGERs; every
 * octet of every level accounted for (der_end).  A failure sticks: the first
 * one lands in *err as an ASN1_ code, all later reads give zero, and the
 * caller looks once, at the end.  Nothing is copied: all results point into
 * the caller's octets.
 */
#ifndef GSSP11_DER_H
#define GSSP11_DER_H

#include <krb5.h>

#include "pkcs11/bytes.h"

struct der {
	struct rd rd;
	err_t *err;              /* shared by all levels of one message */
};

/* Octets in place: an OCTET STRING, a KerberosString, or a piece of DER. */
struct der_str {
	const uint8_t *p;
	size_t len;
};

#define DER_APP(n) (0x60 | (n))  /* [APPLICATION n], constructed */
#define DER_CTX(n) (0xa0 | (n))  /* [n], constructed */
enum {
	DER_INTEGER = 0x02, DER_BITSTRING = 0x03, DER_OCTETS = 0x04,
	DER_GENERALSTRING = 0x1b, DER_TIME = 0x18, DER_SEQUENCE = 0x30
};

/* ---- reading ---- */

void der_init(struct der *d, const void *p, size_t len, err_t *err);
/* Records the first failure of a message. */
void der_fail(struct der *d, err_t err);
/* True if the next tag is this one. */
bool der_is(const struct der *d, uint8_t tag);
/* True while there is more and nothing has failed. */
bool der_more(const struct der *d);
/* The content of the next element, which must have this tag. */
struct der der_in(struct der *d, uint8_t tag);
/* The same, as octets. */
struct der_str der_content(struct der *d, uint8_t tag);
/* The next element whole, tag and length included. */
struct der_str der_element(struct der *d, uint8_t tag);
/* Refuses octets that are left over at this level. */
void der_end(struct der *d);

int32_t der_int32(struct der *d);
/* RFC 4120's UInt32, and the negative numbers that older peers send for its upper half. */
uint32_t der_uint32(struct der *d);
/* KerberosTime: "YYYYMMDDHHMMSSZ", 1970 to 2106. */
krb5_timestamp der_time(struct der *d);
/* KerberosFlags: bit 0 is the top one; missing bits are 0, those past 31 are dropped. */
uint32_t der_flags(struct der *d);

/* A field [n] that holds one value and nothing else. */
int32_t der_field_int32(struct der *d, unsigned n);
uint32_t der_field_uint32(struct der *d, unsigned n);
krb5_timestamp der_field_time(struct der *d, unsigned n);
uint32_t der_field_flags(struct der *d, unsigned n);
struct der_str der_field_content(struct der *d, unsigned n, uint8_t tag);
/* Reads field [n] INTEGER and records err when it is another number than want. */
void der_field_expect(struct der *d, unsigned n, int32_t want, err_t err);
/* Enters [n] SEQUENCE; the field may hold nothing else. */
struct der der_field_seq(struct der *d, unsigned n);
/* Enters [APPLICATION n] SEQUENCE, which must be all that the reader has. */
struct der der_app_seq(struct der *d, unsigned n);

/* ---- writing: back patching is avoided by writing inner parts first ---- */

/* Tag and minimal length. */
void der_put_head(struct wr *w, uint8_t tag, size_t len);
/* Octets that tag and length take for a content of len octets. */
size_t der_head_len(size_t len);
void der_put(struct wr *w, uint8_t tag, const void *p, size_t len);
void der_put_int(struct wr *w, int64_t v);
void der_put_field_int(struct wr *w, unsigned n, int64_t v);
void der_put_field(struct wr *w, unsigned n, uint8_t tag, const void *p, size_t len);
void der_put_field_time(struct wr *w, unsigned n, krb5_timestamp t);

#endif
