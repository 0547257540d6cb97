/*
 * What a token can do, found by trying: each construction that keystore/ uses
 * runs once on throw-away session objects with a known key and is compared
 * with the expected octets (mechanism lists lie).  The verdicts are kept for
 * the process and, as a text file, in the token's state directory, so that a
 * fresh process does not pay for them again.
 */
#ifndef GSSP11_PROBE_H
#define GSSP11_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

enum {                           /* bits of a verdict */
	KS_CAP_CBC = 1,          /* session key from octets; CKM_AES_CBC */
	KS_CAP_CBC_IN_PLACE = 2, /* the same with input and output in one buffer */
	KS_CAP_HMAC_SHA1 = 4,    /* session key from octets; CKM_SHA_1_HMAC */
	KS_CAP_HMAC_SHA256 = 8,
	KS_CAP_HMAC_SHA384 = 16,
	KS_CAP_DERIVE_17 = 32,   /* CKM_AES_ECB_ENCRYPT_DATA as RFC 3961 needs it */
	KS_CAP_DERIVE_18 = 64,   /* CKM_AES_CBC_ENCRYPT_DATA */
	KS_CAP_DERIVE_19 = 128,  /* CKM_SP800_108_COUNTER_KDF with SHA-256, RFC 8009 */
	KS_CAP_DERIVE_20 = 256,  /* the same with SHA-384 */
	KS_CAP_GENERATE = 512,   /* CKM_AES_KEY_GEN of a session key that encrypts and decrypts */
	KS_CAP_LIFT = 1024,      /* a key out of a message: unwrap, extract, read what is beside it */
	KS_CAP_LIFT_SHA1 = 2048, /* RFC 3962's MAC over hidden plaintext, with C_DigestKey and xor */
	KS_CAP_SEND = 4096       /* a key into a message: concatenate, wrap */
};

/*
 * The verdicts for a token: from memory, else from the state directory, else
 * by probing.  Fails only where no verdict could be reached (token lost,
 * no memory).
 */
MUST err_t ks_caps_get(struct tok *t, unsigned *caps);

/* The i-th bit (0..) with its name and the PKCS#11 mechanism behind it; false past the end. */
bool ks_cap_at(size_t i, unsigned *bit, const char **name, const char **mechanism);

/* The PKCS#11 mechanism behind one bit; NULL for none. */
const char *ks_cap_mechanism(unsigned bit);

/* The bit of the mechanism that derives an enctype's keys on the token. */
unsigned ks_cap_derive(int32_t etype);

/*
 * May keys of this enctype be used here?  ERR_UNSUPPORTED where the token
 * lacks what the enctype needs; with on_token_required, ERR_POLICY where
 * session keys would pass through host memory.  The text names the missing
 * mechanism.  KRB5_BAD_ENCTYPE.
 */
MUST err_t ks_exposure_check(struct tok *t, int32_t etype, bool on_token_required);

/*
 * The same for keys of any enctype that the stock mechanism made in host
 * memory, before they are taken over: ERR_POLICY with on_token_required.
 */
MUST err_t ks_exposure_check_adopted(struct tok *t, bool on_token_required);

/*
 * The same for an initiator, before anything is asked of a KDC: its keys must
 * be lifted out of messages and, if it sends any, put into others.  Enctypes
 * are checked later.
 */
MUST err_t ks_exposure_check_initiator(struct tok *t, bool on_token_required, bool sends);

/* Probes now, whatever is remembered, and remembers the result (gssp11 doctor). */
MUST err_t ks_caps_probe(struct tok *t, unsigned *caps);

#endif
