/* What the tests of keys share: opened tokens, random octets, libkrb5's view of a key. */
#ifndef GSSP11_TESTS_KEYS_H
#define GSSP11_TESTS_KEYS_H

#include <krb5.h>

#include "keystore/key.h"
#include "pkcs11/token.h"

/* The opened box tokens, at most 2; exits when one cannot be opened. */
size_t keys_tokens(struct tok *out[2]);
struct tok *keys_token(const char *name);

/* A libkrb5 context for the program. */
krb5_context keys_krb5(void);

/* Deterministic, so that a failure comes again. */
uint32_t keys_random(void);
void keys_fill(uint8_t *p, size_t n);

/* From hex digits (blanks allowed); gives the number of octets. */
size_t keys_hex(const char *hex, uint8_t *out, size_t cap);

/* The key block that libkrb5 takes, over bytes. */
krb5_keyblock keys_block(int32_t etype, const uint8_t *bytes);

/* One random key: its octets, the handle and libkrb5's block. */
struct keys_pair {
	uint8_t bytes[32];
	krb5_keyblock block;
	struct ks_key *key;
};
void keys_pair_make(struct tok *t, int32_t etype, struct keys_pair *p);

#endif
