/* n-fold of RFC 3961 5.1. */
#include "keystore/derive.h"

#include <string.h>

static size_t gcd(size_t a, size_t b)
{
	size_t rest;

	while (b) {
		rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/*
 * Octet i of the endless row of copies of the input, each copy turned right by
 * 13 bits against the one before.
 */
static uint8_t turned(const uint8_t *in, size_t len, size_t i)
{
	const size_t bits = len * 8, back = 13 * (i / len) % bits;
	const size_t first = ((i % len) * 8 + bits - back) % bits;
	const uint8_t hi = in[first / 8], lo = in[(first / 8 + 1) % len];

	return (uint8_t)((hi << 8 | lo) >> (8 - first % 8));
}

void ks_nfold(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	size_t i = in_len / gcd(in_len, out_len) * out_len;     /* octets of the whole row */
	unsigned sum = 0;

	memset(out, 0, out_len);
	/*
	 * Ones' complement addition of all out_len-octet pieces: from the last
	 * octet to the first, the carry wraps to the piece before, which is
	 * where the next octet in this order goes.
	 */
	while (i-- > 0) {
		sum += (unsigned)turned(in, in_len, i) + out[i % out_len];
		out[i % out_len] = (uint8_t)sum;
		sum >>= 8;
	}
	for (i = out_len; sum && i-- > 0;) {
		sum += out[i];
		out[i] = (uint8_t)sum;
		sum >>= 8;
	}
}
