#include "tests/lib/nego.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static char spnego_der[] = "\x06\x06\x2b\x06\x01\x05\x05\x02";
static const gss_buffer_desc spnego = { sizeof(spnego_der) - 1, spnego_der };

/* ---- writing ---- */

static gss_buffer_desc tlv(uint8_t tag, const gss_buffer_desc *parts, size_t n)
{
	gss_buffer_desc out;
	size_t len = 0, i;
	uint8_t *p;

	for (i = 0; i < n; i++)
		len += parts[i].length;
	out.value = p = malloc(4 + len);
	*p++ = tag;
	if (len > 255) {
		*p++ = 0x82;
		*p++ = (uint8_t)(len >> 8);
	} else if (len > 127) {
		*p++ = 0x81;
	}
	*p++ = (uint8_t)len;
	for (i = 0; i < n; i++) {
		if (parts[i].length)
			memcpy(p, parts[i].value, parts[i].length);
		p += parts[i].length;
	}
	out.length = (size_t)(p - (uint8_t *)out.value);
	return out;
}

/* The same around one part, which it frees. */
static gss_buffer_desc wrap(uint8_t tag, gss_buffer_desc part)
{
	gss_buffer_desc out = tlv(tag, &part, 1);

	free(part.value);
	return out;
}

static gss_buffer_desc field(uint8_t tag, uint8_t inner, const gss_buffer_desc *value)
{
	if (!value->value)
		return (gss_buffer_desc){ 0, NULL };
	return wrap(tag, tlv(inner, value, 1));
}

gss_buffer_desc nego_mechs(const gss_buffer_desc *oids, size_t n)
{
	gss_buffer_desc parts[8] = { { 0, NULL } }, out;
	size_t i;

	for (i = 0; i < n && i < 8; i++)
		parts[i] = tlv(0x06, &oids[i], 1);
	out = tlv(0x30, parts, i);
	while (i--)
		free(parts[i].value);
	return out;
}

gss_buffer_desc nego_init(const gss_buffer_desc *mechs, const gss_buffer_desc *token)
{
	const gss_buffer_desc none = { 0, NULL };
	gss_buffer_desc parts[2], framed[2];

	parts[0] = tlv(0xa0, mechs, 1);
	parts[1] = field(0xa2, 0x04, token ? token : &none);
	framed[0] = spnego;
	framed[1] = wrap(0xa0, tlv(0x30, parts, 2));
	free(parts[0].value);
	free(parts[1].value);
	parts[0] = tlv(0x60, framed, 2);
	free(framed[1].value);
	return parts[0];
}

gss_buffer_desc nego_resp_write(const struct nego_resp *r)
{
	uint8_t state = (uint8_t)r->state;
	gss_buffer_desc s = { 1, r->state == NEGO_NO_STATE ? NULL : &state }, parts[4], out;
	size_t i;

	parts[0] = field(0xa0, 0x0a, &s);
	parts[1] = field(0xa1, 0x06, &r->mech);
	parts[2] = field(0xa2, 0x04, &r->token);
	parts[3] = field(0xa3, 0x04, &r->mic);
	out = wrap(0xa1, tlv(0x30, parts, 4));
	for (i = 0; i < 4; i++)
		free(parts[i].value);
	return out;
}

/* ---- reading ---- */

/* The next element of in, which moves on; 0 when there is none with this tag. */
static int take(gss_buffer_t in, uint8_t tag, gss_buffer_t out)
{
	const uint8_t *p = in->value;
	size_t len, head = 2, i;

	if (in->length < 2 || p[0] != tag)
		return 0;
	len = p[1];
	if (len & 0x80) {
		head += len & 0x7f;
		if (head > 4 || in->length < head)
			return 0;
		for (len = 0, i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (len > in->length - head)
		return 0;
	*out = (gss_buffer_desc){ len, (uint8_t *)in->value + head };
	in->value = (uint8_t *)in->value + head + len;
	in->length -= head + len;
	return 1;
}

static gss_buffer_desc copy(const gss_buffer_desc *b)
{
	gss_buffer_desc c = { b->length, malloc(b->length + 1) };

	memcpy(c.value, b->value, b->length);
	return c;
}

/* An optional field's value, copied. */
static gss_buffer_desc optional(gss_buffer_t in, uint8_t tag, uint8_t inner)
{
	gss_buffer_desc outer, value;

	if (!take(in, tag, &outer) || !take(&outer, inner, &value))
		return (gss_buffer_desc){ 0, NULL };
	return copy(&value);
}

int nego_init_read(const gss_buffer_desc *b, gss_buffer_t mechs, gss_buffer_t token)
{
	gss_buffer_desc in = *b, part, oid, list;

	if (!take(&in, 0x60, &part) || !take(&part, 0x06, &oid) || !take(&part, 0xa0, &in)
	    || !take(&in, 0x30, &part) || !take(&part, 0xa0, &list))
		return 0;
	*mechs = copy(&list);
	*token = optional(&part, 0xa2, 0x04);
	return 1;
}

int nego_resp_read(const gss_buffer_desc *b, struct nego_resp *r)
{
	gss_buffer_desc in = *b, part, seq, state;

	memset(r, 0, sizeof(*r));
	r->state = NEGO_NO_STATE;
	if (!take(&in, 0xa1, &part) || !take(&part, 0x30, &seq))
		return 0;
	state = optional(&seq, 0xa0, 0x0a);
	if (state.length)
		r->state = *(uint8_t *)state.value;
	free(state.value);
	r->mech = optional(&seq, 0xa1, 0x06);
	r->token = optional(&seq, 0xa2, 0x04);
	r->mic = optional(&seq, 0xa3, 0x04);
	return 1;
}

void nego_resp_free(struct nego_resp *r)
{
	free(r->mech.value);
	free(r->token.value);
	free(r->mic.value);
	memset(r, 0, sizeof(*r));
}
