/*
 * A Kerberos protocol key, as the handles of the derived keys that its uses
 * need.
 *
 * Life: a key is born with a base (bytes in locked memory for the length of
 * one call: class "transient"; or a token object that derives: "on-token").
 * ks_key_prepare derives what will be used and puts it on the token,
 * ks_key_park puts rarely used derived keys aside as ciphertext under a key
 * that never leaves the token, and ks_key_forget drops the base: nothing that
 * can derive stays.  A bundle (long-term key) never had a base.
 *
 * Threads: prepare, park and forget belong to the one thread that establishes
 * the key; references and operations to any number at once.  Nothing here
 * takes a lock.
 */
#ifndef GSSP11_KEY_H
#define GSSP11_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keystore/etype.h"
#include "pkcs11/secret.h"

struct tok;
struct ks_key;

enum ks_kind {
	KS_SEAL,        /* Ke (encrypt), Ki */
	KS_OPEN,        /* Ke (decrypt), Ki */
	KS_SEAL_OPEN,   /* Ke (both), Ki */
	KS_CHECKSUM,    /* Kc: make and verify */
	KS_PRF,         /* Kp of RFC 3961; usage is 0 */
	KS_FOR_USER     /* PA-FOR-USER's key (for_user.h) */
};

struct ks_use {
	uint32_t usage;          /* RFC 4120 7.5.1 key usage number */
	enum ks_kind kind;
};

/* The bytes were only inside the token; or passed once through locked, wiped memory. */
enum ks_exposure { KS_ON_TOKEN, KS_TRANSIENT };

/* A new random key of this enctype whose base is in locked memory (random from the token). */
MUST err_t ks_key_generate(struct tok *t, int32_t etype, struct ks_key **out);

/*
 * The same made on the token, for class "on-token": its base is an object
 * that derives and may be wrapped once into a message (ks_part_seal).
 * ERR_POLICY, naming the missing mechanism, where the token cannot do that.
 */
MUST err_t ks_key_generate_hidden(struct tok *t, int32_t etype, struct ks_key **out);

/*
 * A key from bytes, copied into locked memory.  KRB5_BAD_KEYSIZE,
 * KRB5_BAD_ENCTYPE, ERR_UNSUPPORTED where the token lacks what the enctype
 * needs.  Policy is the caller's to ask: ks_exposure_check (probe.h).
 */
MUST err_t ks_key_from_bytes(struct tok *t, int32_t etype, const uint8_t *bytes,
			     size_t len, struct ks_key **out);

/*
 * Puts the derived keys for these uses on the token, now.  Uses that are there
 * already are left; those of a bundle are fetched, and stay if it is destroyed.
 * ERR_INTERNAL once the base is forgotten, ERR_TOKEN_FAILED, ERR_UNSUPPORTED.
 */
MUST err_t ks_key_prepare(struct ks_key *k, const struct ks_use *uses, size_t n);

/*
 * Keeps the derived keys for these uses as ciphertext under the token's
 * parking key (AES, made on the token, not extractable, gone with the
 * process); the first use brings one onto the token.  One C_Encrypt in all.
 * Where the token cannot make such a key, or the base is an object on it, they
 * are prepared instead.
 */
MUST err_t ks_key_park(struct ks_key *k, const struct ks_use *uses, size_t n);

/* Wipes the base.  Prepared and parked uses go on working. */
void ks_key_forget(struct ks_key *k);

struct ks_key *ks_key_ref(struct ks_key *k);
/* The last one destroys the token objects and wipes what is left. */
void ks_key_unref(struct ks_key **k);

const struct ks_etype *ks_key_etype(const struct ks_key *k);
enum ks_exposure ks_key_exposure(const struct ks_key *k);
struct tok *ks_key_token(const struct ks_key *k);

/* ---- bulk operations, all with prepared keys; ERR_KEY_LOST after token loss ---- */

#define KS_HEAD 16      /* octets of room in front, destroyed */
#define KS_TAIL 40      /* octets of room behind the plaintext: MAC and block padding */

/* Octets of ciphertext (confounder and MAC included) for n octets of plaintext. */
size_t ks_sealed_len(const struct ks_etype *e, size_t n);

/*
 * Encrypts in place (RFC 3962 6, RFC 8009 5).  buf is
 *   KS_HEAD octets | KS_CONFOUNDER octets | n octets of plaintext | KS_TAIL octets
 * and afterwards, from buf + KS_HEAD, ks_sealed_len(n) octets of ciphertext;
 * the head is destroyed, the confounder filled in here.  Two token operations.
 */
MUST err_t ks_seal(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n);

/*
 * Decrypts in place.  buf is KS_HEAD octets | len octets of ciphertext with
 * MAC | room of KS_CONFOUNDER octets; afterwards the plaintext of
 * len - KS_CONFOUNDER - mac_len octets starts at buf + KS_HEAD + KS_CONFOUNDER.
 * On failure the buffer is wiped.  KRB5KRB_AP_ERR_BAD_INTEGRITY for a MAC that
 * does not fit and for a length that cannot be (KRB5_BAD_MSIZE).  At most
 * three token operations; RFC 8009 checks the MAC first.
 */
MUST err_t ks_open(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len);

/*
 * Octets that the MAC covers but that are not encrypted (RFC 4121's
 * associated data): signed in front of octet `at` of the plaintext (RFC 3962)
 * or of the ciphertext that follows the confounder (RFC 8009).
 */
struct ks_extra {
	size_t at;               /* 0..n, ascending in an array */
	const uint8_t *data;
	size_t len;
};

/* ks_seal and ks_open with nx pieces of associated data (0: the same as those). */
MUST err_t ks_seal_with(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n,
			const struct ks_extra *x, size_t nx);
MUST err_t ks_open_with(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len,
			const struct ks_extra *x, size_t nx);

/* Keyed checksum, mac_len octets at the start of mac (RFC 3961 5.4, RFC 8009 5); one operation. */
MUST err_t ks_checksum(struct ks_key *k, uint32_t usage, const uint8_t *data,
		       size_t len, uint8_t mac[64]);
/* Compares in constant time; KRB5KRB_AP_ERR_BAD_INTEGRITY. */
MUST err_t ks_checksum_verify(struct ks_key *k, uint32_t usage, const uint8_t *data,
			      size_t len, const uint8_t *mac, size_t mac_len);

/*
 * The enctype's PRF (RFC 3961 5.3, RFC 8009 5), prf_len octets into out.  The
 * key must be prepared for KS_PRF; for RFC 8009 that keeps the base itself on
 * the token, as an HMAC key.
 */
MUST err_t ks_prf(struct ks_key *k, const uint8_t *in, size_t len, uint8_t *out);
/* True if it was prepared or parked for that, or may bring it in (a loader). */
bool ks_key_has_prf(struct ks_key *k);

#endif
