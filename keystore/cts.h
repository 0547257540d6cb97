/*
 * AES in CBC mode with ciphertext stealing, variant CBC-CS3, as RFC 3962 5 and
 * RFC 8009 5 use it, from the token's plain CBC.  The IV is always zero.
 */
#ifndef GSSP11_CTS_H
#define GSSP11_CTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok_key;

enum { KS_BLOCK = 16 };

/*
 * In place; len >= 16.  buf must have room for len rounded up to a block; what
 * is behind len is destroyed.  in_place: the token may be given overlapping
 * buffers (one C_Encrypt); else the message goes in pieces through another
 * buffer.
 */
MUST err_t ks_cts_encrypt(struct tok_key *ke, bool in_place, uint8_t *buf, size_t len);
/*
 * The stealing alone: whole octets of plain CBC ciphertext (blocks), of which
 * the last two change places; cutting to length is the caller's.
 */
void ks_cts_swap(uint8_t *cipher, size_t whole);
/* The inverse: one C_Decrypt, two when len is not a multiple of 16. */
MUST err_t ks_cts_decrypt(struct tok_key *ke, bool in_place, uint8_t *buf, size_t len);

#endif
