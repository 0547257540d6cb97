/*
 * The way to a key in plaintext that becomes known octet by octet: what is
 * read next must never be one of the key's.  Every header on the way says how
 * far the key is at least.
 */
#include "keystore/part_int.h"

#include <string.h>

#include <krb5.h>

enum {
	/* from behind each header of EncryptionKey to the key's octets, at least */
	BEHIND_OCTETS = 0, BEHIND_VALUE = 2, BEHIND_ETYPE = 5, BEHIND_TYPE = 7, BEHIND_KEY = 9,
	BEHIND_FIELD = 11,
	HEAD = 2,                        /* tag and length, at least */
	LISTED = 3 * HEAD                /* list, element and its field [0] */
};

struct trail {
	const uint8_t *p;
	size_t have, len, at;
	size_t safe;                     /* not 0: more octets are needed */
	err_t err;
};

static bool fail(struct trail *t, err_t err)
{
	t->err = err;
	return false;
}

/* The key is at least this far ahead: that many octets may be known next. */
static bool more(struct trail *t, size_t ahead)
{
	if (t->have >= t->len)
		return fail(t, ASN1_OVERRUN);
	t->safe = ahead < t->len - t->at ? t->at + ahead : t->len;
	return false;
}

/* Steps over a header; behind: from there to the key's octets, at least. */
static bool head(struct trail *t, uint8_t tag, size_t behind, size_t *n)
{
	size_t left = t->have > t->at ? t->have - t->at : 0, octets, i;

	if (left && t->p[t->at] != tag)
		return fail(t, ASN1_BAD_ID);
	if (left < HEAD)
		return more(t, HEAD + behind);
	*n = t->p[t->at + 1];
	octets = *n < 0x80 ? 0 : *n & 0x7f;
	if (*n == 0x80 || octets > 4)
		return fail(t, ASN1_BAD_LENGTH);
	if (left < HEAD + octets)
		return more(t, HEAD + octets + behind);
	for (i = 0; i < octets; i++)
		*n = (i ? *n << 8 : 0) | t->p[t->at + HEAD + i];
	if (octets && (*n < 0x80 || *n >> (8 * (octets - 1)) == 0))
		return fail(t, ASN1_BAD_LENGTH);
	t->at += HEAD + octets;
	return *n <= t->len - t->at || fail(t, ASN1_OVERRUN);
}

static bool etype(struct trail *t, int32_t *out)
{
	uint32_t v;
	size_t n, i;

	if (!head(t, INTEGER, BEHIND_ETYPE, &n))
		return false;
	if (!n || n > sizeof(v))
		return fail(t, n ? ASN1_OVERFLOW : ASN1_BAD_LENGTH);
	if (t->have - t->at < n)
		return more(t, n + 2 * HEAD);
	v = t->p[t->at] & 0x80 ? UINT32_MAX : 0;
	for (i = 0; i < n; i++)
		v = v << 8 | t->p[t->at++];
	*out = (int32_t)v;
	return true;
}

/* To the one element of the list: in a second one there would be a key that no trail leads to. */
static bool to_element(struct trail *t, const struct shape *shape)
{
	size_t n, field, list;

	if (!head(t, (uint8_t)(FIELD + shape->key), BEHIND_FIELD + LISTED, &n))
		return false;
	field = t->at + n;
	if (!head(t, SEQUENCE, BEHIND_FIELD + 2 * HEAD, &n))
		return false;
	list = t->at + n;
	if (!head(t, SEQUENCE, BEHIND_FIELD + HEAD, &n))
		return false;
	return (list == field && t->at + n == list) || fail(t, ASN1_BAD_LENGTH);
}

/* From the key's field to its octets. */
static bool to_key(struct trail *t, const struct shape *shape, struct ks_hole *hole)
{
	size_t n;

	if (shape->listed && !to_element(t, shape))
		return false;
	return head(t, (uint8_t)(FIELD + (shape->listed ? 0 : shape->key)), BEHIND_FIELD, &n) &&
	       head(t, SEQUENCE, BEHIND_KEY, &n) &&
	       head(t, FIELD + 0, BEHIND_TYPE, &n) &&
	       etype(t, &hole->etype) &&
	       head(t, FIELD + 1, BEHIND_VALUE, &n) &&
	       head(t, OCTETS, BEHIND_OCTETS, &hole->len);
}

static size_t field_ahead(const struct shape *shape)
{
	return HEAD + BEHIND_FIELD + (shape->listed ? LISTED : 0);
}

static bool optional(const struct shape *shape)
{
	return shape->fields[shape->key] & OPTIONAL;
}

/*
 * Steps over one field in front of the key's; false at the key's, at its
 * absence and at everything else that ends the walk.
 */
static bool step(struct trail *t, const struct shape *shape, size_t end, unsigned *next,
		 struct ks_trail *out)
{
	const unsigned key = FIELD + shape->key;
	size_t n;
	uint8_t tag;

	out->field = t->at;
	if (t->at < end && t->at >= t->have)
		return more(t, field_ahead(shape));
	tag = t->at < end ? t->p[t->at] : (uint8_t)(key + 1);
	if (tag == key)
		out->end = KS_TRAIL_KEY;
	else if (tag > key && optional(shape))
		out->end = KS_TRAIL_NONE;
	if (tag >= key)
		return out->end != KS_TRAIL_MORE ? false : fail(t, ASN1_MISSING_FIELD);
	if (tag < *next)
		return fail(t, ASN1_MISPLACED_FIELD);
	*next = tag + 1u;
	if (!head(t, tag, field_ahead(shape), &n))
		return false;
	t->at += n;
	return t->at <= end || fail(t, ASN1_OVERRUN);
}

static void walk(struct trail *t, const struct shape *shape, struct ks_trail *out)
{
	const uint8_t outer = shape->also && t->have && *t->p == shape->also ? shape->also
									      : shape->outer;
	unsigned next = FIELD;
	size_t n;

	if (!head(t, outer, HEAD + field_ahead(shape), &n) ||
	    !head(t, SEQUENCE, field_ahead(shape), &n))
		return;
	n += t->at;
	while (step(t, shape, n, &next, out))
		;
	if (out->end == KS_TRAIL_KEY && to_key(t, shape, &out->hole)) {
		out->hole.present = true;
		out->hole.at = t->at;
	}
}

err_t ks_part_follow(enum ks_part part, const uint8_t *plain, size_t have, size_t len,
		     struct ks_trail *out)
{
	struct trail t = { .p = plain, .have = have < len ? have : len, .len = len };

	memset(out, 0, sizeof(*out));
	walk(&t, part_shape(part), out);
	if (t.err) {
		memset(out, 0, sizeof(*out));
		return err_set(t.err, "a decrypted message part is not the DER that RFC 4120 asks "
			       "for");
	}
	if (t.safe) {
		out->end = KS_TRAIL_MORE;
		out->safe = t.safe;
	}
	return 0;
}

size_t ks_part_key_header(enum ks_part part, int32_t id, uint8_t out[KS_KEY_HEADER])
{
	const struct shape *shape = part_shape(part);
	const struct ks_etype *e = ks_etype_find(id);
	const uint8_t n = e ? (uint8_t)e->key_len : 0;
	const uint8_t header[KS_KEY_HEADER] = {
		(uint8_t)(FIELD + shape->key), n + 11, SEQUENCE, n + 9,
		FIELD + 0, 3, INTEGER, 1, (uint8_t)id,
		FIELD + 1, n + 2, OCTETS, n
	};

	if (!e || shape->listed)
		return 0;
	memcpy(out, header, sizeof(header));
	return sizeof(header);
}

bool ks_part_key_optional(enum ks_part part)
{
	return optional(part_shape(part));
}
