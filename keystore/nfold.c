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

/* Octet at pos of the input turned right by `back` bits; less than it has. */
static uint8_t turned(const uint8_t *in, size_t len, size_t pos, size_t back)
{
	const size_t bits = len * 8, from = pos * 8 + bits - back;
	const size_t first = from < bits ? from : from - bits, byte = first / 8;
	const uint8_t hi = in[byte], lo = in[byte + 1 < len ? byte + 1 : 0];

	return (uint8_t)((hi << 8 | lo) >> (8 - first % 8));
}

void ks_nfold(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	size_t copy = out_len / gcd(in_len, out_len), pos, back, at = out_len;
	unsigned sum = 0;

	memset(out, 0, out_len);
	/*
	 * A row of copies of the input, each turned right by 13 bits against the
	 * one before, is cut into pieces of out_len octets, and these are added
	 * in ones' complement: from the last octet to the first, the carry wraps
	 * to the piece before, which is where the next octet in this order goes.
	 */
	while (copy-- > 0) {
		back = 13 * copy % (in_len * 8);
		for (pos = in_len; pos-- > 0;) {
			at = (at ? at : out_len) - 1;
			sum += (unsigned)turned(in, in_len, pos, back) + out[at];
			out[at] = (uint8_t)sum;
			sum >>= 8;
		}
	}
	for (at = out_len; sum && at-- > 0;) {
		sum += out[at];
		out[at] = (uint8_t)sum;
		sum >>= 8;
	}
}
