/* DER for Kerberos: the writer. */
#include "mech/der.h"

#include <stdio.h>
#include <time.h>

/* Octets that the number takes, most significant first. */
static size_t len_octets(size_t len)
{
	size_t n = 1;

	while (len >>= 8)
		n++;
	return n;
}

size_t der_head_len(size_t len)
{
	return len < 0x80 ? 2 : 2 + len_octets(len);
}

void der_put_head(struct wr *w, uint8_t tag, size_t len)
{
	size_t n = len_octets(len);

	wr_u8(w, tag);
	if (len < 0x80) {
		wr_u8(w, (uint8_t)len);
		return;
	}
	wr_u8(w, (uint8_t)(0x80 | n));
	while (n-- > 0)
		wr_u8(w, (uint8_t)(len >> (8 * n)));
}

void der_put(struct wr *w, uint8_t tag, const void *p, size_t len)
{
	der_put_head(w, tag, len);
	wr_bytes(w, p, len);
}

/* The content of an INTEGER in the fewest octets, at the end of out; gives their number. */
static size_t int_content(int64_t v, uint8_t out[8])
{
	size_t n = 0;

	do {
		out[7 - n++] = (uint8_t)v;
		v = v < 0 ? ~(~v >> 8) : v >> 8;
	} while ((v != 0 || out[8 - n] & 0x80) && (v != -1 || !(out[8 - n] & 0x80)) && n < 8);
	return n;
}

void der_put_int(struct wr *w, int64_t v)
{
	uint8_t out[8];
	size_t n = int_content(v, out);

	der_put(w, DER_INTEGER, out + 8 - n, n);
}

void der_put_field_int(struct wr *w, unsigned n, int64_t v)
{
	uint8_t out[8];
	size_t len = int_content(v, out);

	der_put_field(w, n, DER_INTEGER, out + 8 - len, len);
}

void der_put_field(struct wr *w, unsigned n, uint8_t tag, const void *p, size_t len)
{
	der_put_head(w, (uint8_t)DER_CTX(n), der_head_len(len) + len);
	der_put(w, tag, p, len);
}

void der_put_field_time(struct wr *w, unsigned n, krb5_timestamp t)
{
	time_t when = (time_t)(uint32_t)t;
	struct tm tm = { 0 };
	char text[32];

	gmtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	der_put_field(w, n, DER_TIME, text, 15);
}
