/* Ciphertext stealing from plain CBC. */
#include "keystore/cts.h"

#include <string.h>

#include "pkcs11/secret.h"
#include "pkcs11/token.h"

enum { PIECE = 256 * KS_BLOCK };

static const uint8_t zero_iv[KS_BLOCK];

/* CBC for a token that garbles overlapping buffers; the last ciphertext block carries over. */
static err_t cbc_in_pieces(struct tok_key *k, bool encrypt, uint8_t *buf, size_t len)
{
	uint8_t piece[PIECE], iv[KS_BLOCK] = { 0 }, next[KS_BLOCK];
	size_t n;
	err_t err = 0;

	for (; len && !err; buf += n, len -= n) {
		n = len < PIECE ? len : PIECE;
		memcpy(piece, buf, n);
		memcpy(next, piece + n - KS_BLOCK, KS_BLOCK);
		err = encrypt ? tok_cbc_encrypt(k, iv, piece, n, buf)
			      : tok_cbc_decrypt(k, iv, piece, n, buf);
		memcpy(iv, encrypt ? buf + n - KS_BLOCK : next, KS_BLOCK);
	}
	secret_wipe(piece, sizeof(piece));
	secret_wipe(next, sizeof(next));
	return err;
}

static err_t cbc(struct tok_key *k, bool encrypt, bool in_place, uint8_t *buf, size_t len)
{
	if (!in_place)
		return cbc_in_pieces(k, encrypt, buf, len);
	return encrypt ? tok_cbc_encrypt(k, zero_iv, buf, len, buf)
		       : tok_cbc_decrypt(k, zero_iv, buf, len, buf);
}

static void swap_blocks(uint8_t *a, uint8_t *b)
{
	uint8_t t[KS_BLOCK];

	memcpy(t, a, KS_BLOCK);
	memcpy(a, b, KS_BLOCK);
	memcpy(b, t, KS_BLOCK);
}

void ks_cts_swap(uint8_t *cipher, size_t whole)
{
	if (whole > KS_BLOCK)
		swap_blocks(cipher + whole - 2 * KS_BLOCK, cipher + whole - KS_BLOCK);
}

/* CS3: the last two blocks change places and the very last is cut to length. */
err_t ks_cts_encrypt(struct tok_key *ke, bool in_place, uint8_t *buf, size_t len)
{
	const size_t tail = len % KS_BLOCK, whole = tail ? len - tail + KS_BLOCK : len;
	err_t err;

	if (tail)
		memset(buf + len, 0, KS_BLOCK - tail);
	err = cbc(ke, true, in_place, buf, whole);
	if (!err)
		ks_cts_swap(buf, whole);
	return err;
}

/*
 * With the cut block Y behind the full block X: D(X) = (tail of the plaintext,
 * zeros) xor the block that Y was cut from, so its end is what was stolen.
 */
err_t ks_cts_decrypt(struct tok_key *ke, bool in_place, uint8_t *buf, size_t len)
{
	const size_t tail = len % KS_BLOCK, whole = tail ? len - tail + KS_BLOCK : len;
	uint8_t d[KS_BLOCK], *x = buf + whole - 2 * KS_BLOCK;
	err_t err;

	if (whole == KS_BLOCK)
		return cbc(ke, false, in_place, buf, whole);
	if (tail) {
		err = tok_cbc_decrypt(ke, zero_iv, x, KS_BLOCK, d);
		if (err)
			return err;
		memcpy(buf + len, d + tail, KS_BLOCK - tail);
		secret_wipe(d, sizeof(d));
	}
	swap_blocks(x, x + KS_BLOCK);
	return cbc(ke, false, in_place, buf, whole);
}
