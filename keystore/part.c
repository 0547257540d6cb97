/* Strict DER, as much of it as leads to the key. */
#include "keystore/part_int.h"

#include <string.h>

#include <krb5.h>
#include <profile.h>
#include <com_err.h>

#include "pkcs11/bytes.h"

static const struct shape shapes[] = {
	[KS_ENC_TICKET_PART] = {
		.outer = 0x63, .key = 1,
		.fields = {
			BITS, SEQUENCE, STRING, SEQUENCE, SEQUENCE, TIME, TIME | OPTIONAL,
			TIME, TIME | OPTIONAL, SEQUENCE | OPTIONAL, SEQUENCE | OPTIONAL
		},
	},
	[KS_AUTHENTICATOR] = {
		.outer = 0x62, .key = 6,
		.fields = {
			INTEGER, STRING, SEQUENCE, SEQUENCE | OPTIONAL, INTEGER, TIME,
			SEQUENCE | OPTIONAL, INTEGER | OPTIONAL, SEQUENCE | OPTIONAL
		},
	},
	[KS_ENC_AP_REP_PART] = {
		.outer = 0x7b, .key = 2,
		.fields = { TIME, INTEGER, SEQUENCE | OPTIONAL, INTEGER | OPTIONAL },
	},
	/* ticket-info is a SEQUENCE OF KrbCredInfo, of which there must be one; its key is [0] */
	[KS_ENC_KRB_CRED_PART] = {
		.outer = 0x7d, .key = 0, .listed = true,
		.fields = {
			SEQUENCE, INTEGER | OPTIONAL, TIME | OPTIONAL, INTEGER | OPTIONAL,
			SEQUENCE | OPTIONAL, SEQUENCE | OPTIONAL
		},
	},
	/* EncASRepPart and EncTGSRepPart: some KDCs send the one for the other */
	[KS_ENC_KDC_REP_PART] = {
		.outer = 0x79, .also = 0x7a, .key = 0,
		.fields = {
			SEQUENCE, SEQUENCE, INTEGER, TIME | OPTIONAL, BITS, TIME, TIME | OPTIONAL,
			TIME, TIME | OPTIONAL, STRING, SEQUENCE, SEQUENCE | OPTIONAL,
			SEQUENCE | OPTIONAL
		},
	},
};

const struct shape *part_shape(enum ks_part part)
{
	return &shapes[part];
}

/* The first error counts; later reads of a failed cursor give nothing anyway. */
struct der {
	struct rd rd;
	err_t err;
};

static void fail(struct der *d, err_t err)
{
	if (!d->err)
		d->err = err;
	d->rd.bad = true;
	d->rd.left = 0;
}

/* A definite length in the fewest octets. */
static size_t length(struct der *d)
{
	const uint8_t first = rd_u8(&d->rd);
	size_t n = 0;
	unsigned i;

	if (first < 0x80)
		return first;
	if (first == 0x80 || first > 0x84) {
		fail(d, ASN1_BAD_LENGTH);
		return 0;
	}
	for (i = first & 0x7f; i; i--)
		n = n << 8 | rd_u8(&d->rd);
	if (!d->rd.bad && (n < 0x80 || n >> (8 * ((first & 0x7f) - 1)) == 0))
		fail(d, ASN1_BAD_LENGTH);
	return n;
}

/* The contents of the value that begins here and must have this tag; d moves behind it. */
static struct der value(struct der *d, uint8_t tag)
{
	struct der in = { 0 };
	size_t n;

	if (!d->rd.bad && (!d->rd.left || *d->rd.p != tag))
		fail(d, d->rd.left ? ASN1_BAD_ID : ASN1_OVERRUN);
	(void)rd_u8(&d->rd);
	n = length(d);
	in.rd = rd_sub(&d->rd, n);
	if (in.rd.bad)
		fail(d, ASN1_OVERRUN);
	in.err = d->err;
	return in;
}

/* Nothing may be left. */
static void end(struct der *d)
{
	if (!d->rd.bad && d->rd.left)
		fail(d, ASN1_BAD_LENGTH);
}

static int32_t integer(struct der *d)
{
	struct der in = value(d, INTEGER);
	const size_t n = in.rd.left;
	const uint8_t *p = rd_bytes(&in.rd, n);
	uint32_t v;
	size_t i;

	if (d->err || !p || !n) {
		fail(d, ASN1_BAD_LENGTH);
		return 0;
	}
	v = p[0] & 0x80 ? UINT32_MAX : 0;
	if (n > 1 && (p[0] == (uint8_t)v) && ((p[1] ^ p[0]) & 0x80) == 0)
		fail(d, ASN1_BAD_FORMAT);
	if (n > sizeof(v))
		fail(d, ASN1_OVERFLOW);
	for (i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int32_t)v;
}

/* EncryptionKey ::= SEQUENCE { keytype [0] Int32, keyvalue [1] OCTET STRING } */
static void key(struct der *d, const uint8_t *start, struct ks_hole *out)
{
	struct der seq = value(d, SEQUENCE), type, octets, in;

	type = value(&seq, FIELD + 0);
	out->etype = integer(&type);
	end(&type);
	octets = value(&seq, FIELD + 1);
	in = value(&octets, OCTETS);
	end(&octets);
	end(&seq);
	if (!d->err)
		d->err = type.err ? type.err : octets.err ? octets.err : seq.err;
	if (d->err)
		return;
	out->present = true;
	out->at = (size_t)(in.rd.p - start);
	out->len = in.rd.left;
}

/* SEQUENCE OF SEQUENCE { key [0], ... } with one element: what else that has is not looked into */
static void listed_key(struct der *d, const uint8_t *start, struct ks_hole *out)
{
	struct der list = value(d, SEQUENCE), info = value(&list, SEQUENCE);
	struct der f = value(&info, FIELD + 0);

	key(&f, start, out);
	end(&f);
	end(&list);
	if (!d->err)
		d->err = f.err ? f.err : info.err ? info.err : list.err;
}

/* The field's contents: the key, or one value of the right type that is not looked into. */
static void field(struct der *seq, const struct shape *shape, unsigned i, const uint8_t *start,
		  struct ks_hole *out)
{
	struct der f = value(seq, (uint8_t)(FIELD + i));

	if (i == shape->key && shape->listed)
		listed_key(&f, start, out);
	else if (i == shape->key)
		key(&f, start, out);
	else
		(void)value(&f, (uint8_t)shape->fields[i]);
	end(&f);
	if (f.err)
		fail(seq, f.err);
}

/* Fields that a later version of the protocol may add: well-formed, ascending, passed over. */
static void extensions(struct der *seq, unsigned next)
{
	uint8_t tag;

	while (!seq->rd.bad && seq->rd.left) {
		tag = *seq->rd.p;
		if (tag < FIELD + next || tag >= FIELD + 0x1f) {
			fail(seq, tag >= FIELD && tag < FIELD + next ? ASN1_MISPLACED_FIELD
								     : ASN1_BAD_ID);
			return;
		}
		(void)value(seq, tag);
		next = tag - FIELD + 1u;
	}
}

static void fields(struct der *seq, const struct shape *shape, const uint8_t *start,
		   struct ks_hole *out)
{
	unsigned i;

	for (i = 0; shape->fields[i] && !seq->err; i++) {
		if (seq->rd.left && *seq->rd.p == FIELD + i)
			field(seq, shape, i, start, out);
		else if (!(shape->fields[i] & OPTIONAL))
			fail(seq, ASN1_MISSING_FIELD);
	}
	extensions(seq, i);
}

err_t ks_part_find(enum ks_part part, const uint8_t *plain, size_t len, struct ks_hole *out)
{
	const struct shape *shape = part_shape(part);
	struct der d = { 0 }, outer, seq;
	err_t err;

	memset(out, 0, sizeof(*out));
	rd_init(&d.rd, plain, len);
	outer = value(&d, shape->also && len && *plain == shape->also ? shape->also : shape->outer);
	out->total = len - d.rd.left;
	seq = value(&outer, SEQUENCE);
	end(&outer);
	fields(&seq, shape, plain, out);
	err = d.err ? d.err : outer.err ? outer.err : seq.err;
	if (!err)
		return 0;
	memset(out, 0, sizeof(*out));
	return err_set(err, "a decrypted message part is not the DER that RFC 4120 asks for");
}
