/*
 * Watches what a token gives to this process while a message with a key inside
 * is opened: its PKCS#11 functions are replaced by ones that look, and count.
 * What must never happen is told by record_end.
 */
#ifndef GSSP11_TESTS_RECORD_H
#define GSSP11_TESTS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tok;

/* From now on all calls of t are seen; once for a token. */
void record_token(struct tok *t);

/*
 * Begins to watch for one message: n cipher octets without the MAC, whose
 * plaintext (the confounder counts) has the key_len octets of key at `at`.
 */
void record_begin(const uint8_t *cipher, size_t n, const uint8_t *key, size_t at,
		  size_t key_len);

struct recorded {
	unsigned calls;          /* PKCS#11 calls */
	unsigned key_octets;     /* outputs of any call with at least 4 octets of the key in a row */
	unsigned key_blocks;     /* C_Decrypt over a block that the key touches */
	unsigned key_read;       /* digests of an octet of the key by itself, or of a few */
	unsigned given;          /* octets that came to the host */
	long objects;            /* made since then and not destroyed */
};

/* What was seen since record_begin. */
struct recorded record_end(void);

/* The n-th call (1..) from record_begin on gives CKR_GENERAL_ERROR; 0: none, as after record_end. */
void record_fail(unsigned n);

/* How many outputs since record_begin had these octets in them, or any 8 of them in a row. */
unsigned record_outputs_with(const void *p, size_t n);

#endif
