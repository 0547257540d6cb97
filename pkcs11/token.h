/*
 * A token, as the rest of the house sees it: open it by URI, hold keys on it,
 * and use them.  One function per cryptographic purpose; CK_ types stay inside
 * this folder.
 *
 * Threads: every function may be called from any thread; one operation uses
 * one worker session, which no other thread sees.  After fork() the first call
 * in the child re-initialises; session keys of the parent are then lost
 * (ERR_KEY_LOST), token keys are found again by their owners.
 */
#ifndef GSSP11_TOKEN_H
#define GSSP11_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"
#include "pkcs11/secret.h"

struct tok;      /* a token of this process: module started, slot found, logged in */
struct tok_key;  /* a key object on it; reference counted */

/* ---- opening -------------------------------------------------------- */

/* Local settings; never taken from a URI that came over the wire or from a blob.  Strings may be NULL. */
struct tok_config {
	const char *module;       /* PKCS#11 module to load where the URI has no module-path */
	const char *module_init;  /* C_Initialize's pReserved string (NSS softoken) */
	const char *state_dir;    /* probe verdicts; NULL = /var/tmp/gssp11_<euid> */
	bool write;               /* objects will be written (a read-write session is opened for each) */
};

struct tok_info {
	char label[33], manufacturer[33], model[17], serial[17], firmware[8];
	char module[256];         /* path or p11-kit name */
	unsigned long slot;
};

/*
 * Finds the one token that a RFC 7512 URI names, starts its module, logs in
 * (serialised across processes) and keeps all that until the process ends:
 * opening the same URI again is a look-up.  ERR_URI, ERR_MODULE,
 * ERR_TOKEN_ABSENT, ERR_TOKEN_AMBIGUOUS, ERR_PIN_*, ERR_TOKEN_FAILED.
 * Give back with tok_unref.
 */
MUST err_t tok_open(const char *uri, const struct tok_config *cfg, struct tok **out);
struct tok *tok_ref(struct tok *t);
void tok_unref(struct tok **t);
const struct tok_info *tok_info(const struct tok *t);

/*
 * Two facts that a fresh process must not pay for unless it asks; computed at
 * the first call, then kept.  Owned by t; never NULL.
 * tok_module_hash: SHA-256 of the module's file in hex, "" if it has no file.
 * tok_state_dir: the state directory, made if need be and checked: a real
 * directory, owned by euid, mode 0700; "" when none can be had.
 */
const char *tok_module_hash(struct tok *t);
const char *tok_state_dir(struct tok *t);

/* Checks the URI's syntax only (unknown or doubled attributes refused); no token is touched. ERR_URI. */
MUST err_t tok_uri_check(const char *uri);

/* Grows by one each time the token was lost and reopened; keys of an older generation are lost. */
unsigned tok_generation(const struct tok *t);

/* ---- keys ----------------------------------------------------------- */

enum tok_type { TOK_AES, TOK_GENERIC };

enum {                                   /* what a key may do */
	TOK_ENCRYPT = 1, TOK_DECRYPT = 2,    /* CKA_ENCRYPT, CKA_DECRYPT */
	TOK_SIGN = 4,                        /* CKA_SIGN (HMAC; verifying signs and compares) */
	TOK_DERIVE = 8,                      /* CKA_DERIVE */
	TOK_EXTRACTABLE = 16                 /* otherwise sensitive and not extractable */
};

struct tok_key_spec {
	enum tok_type type;
	unsigned use;            /* TOK_ENCRYPT | ... */
	bool on_token;           /* a token object (CKA_TOKEN, private); else a session object */
	const char *label;       /* CKA_LABEL, may be NULL */
	const void *id;          /* CKA_ID, may be NULL; of a token object: no other's (checked) */
	size_t id_len;
};

/*
 * Makes a key object from bytes in host memory (exposure class "transient").
 * TOK_GENERIC values shorter than the token's HMAC minimum for hash_len are
 * stored zero-padded to hash_len octets, which HMAC defines as equal
 * (RFC 2104); hash_len 0: as they are.  C_CreateObject.
 * *out may be NULL for an on_token key that need not be used now.
 */
MUST err_t tok_key_import(struct tok *t, const struct tok_key_spec *spec,
			  const uint8_t *value, size_t len, size_t hash_len,
			  struct tok_key **out);

/* A random AES key of len octets made on the token (C_GenerateKey, CKM_AES_KEY_GEN). */
MUST err_t tok_key_generate(struct tok *t, const struct tok_key_spec *spec,
			    size_t len, struct tok_key **out);

/*
 * The token object with this class of secret key, label and ID, copied to a
 * session object where the token allows it (C_CopyObject).  ERR_KEY_ABSENT.
 */
MUST err_t tok_key_find(struct tok *t, const char *label, const void *id,
			size_t id_len, struct tok_key **out);

struct tok_key *tok_key_ref(struct tok_key *k);
/* The last one destroys a session object; token objects stay. */
void tok_key_unref(struct tok_key **k);
/* True when the object went with its session (token loss, fork). */
bool tok_key_lost(const struct tok_key *k);

/* ---- objects of the token ------------------------------------------- */

struct tok_object {
	char *label;             /* NUL-terminated; labels with NUL inside are skipped */
	uint8_t *id;
	size_t id_len;
	bool sensitive, extractable, local;
};

/*
 * All secret-key token objects that are generic and can do nothing (no
 * sign, derive, encrypt, decrypt, wrap, unwrap): the marks that the keytab uses as commit
 * objects.  Free with tok_objects_free.
 */
MUST err_t tok_marks_list(struct tok *t, struct tok_object **out, size_t *n);
/* All secret-key token objects with this label (any if NULL). */
MUST err_t tok_objects_list(struct tok *t, const char *label, struct tok_object **out, size_t *n);
void tok_objects_free(struct tok_object **objs, size_t n);
/* Writes a mark: 16 random octets as a generic secret that can do nothing. */
MUST err_t tok_mark_create(struct tok *t, const char *label, const void *id, size_t id_len);
/* Destroys every secret-key token object with this label and ID. ERR_KEY_ABSENT if there was none. */
MUST err_t tok_object_destroy(struct tok *t, const char *label, const void *id, size_t id_len);
/* Tries to read CKA_VALUE of a token object; true = the token gave it out (it must not). *text gets the CKR_ name (static). */
MUST err_t tok_object_readable(struct tok *t, const char *label, const void *id, size_t id_len,
			       bool *readable, const char **text);

/* ---- operations ------------------------------------------------------ */

enum tok_hash { TOK_SHA1, TOK_SHA256, TOK_SHA384 };
#define TOK_MAC_MAX 64

/*
 * AES-CBC without padding (CKM_AES_CBC), len a multiple of 16 and not 0; in
 * may equal out.  C_EncryptInit + C_Encrypt, or C_DecryptInit + C_Decrypt.
 */
MUST err_t tok_cbc_encrypt(struct tok_key *k, const uint8_t iv[16],
			   const uint8_t *in, size_t len, uint8_t *out);
MUST err_t tok_cbc_decrypt(struct tok_key *k, const uint8_t iv[16],
			   const uint8_t *in, size_t len, uint8_t *out);

/*
 * HMAC (CKM_SHA_1_HMAC, CKM_SHA256_HMAC, CKM_SHA384_HMAC): the whole value,
 * 20, 32 or 48 octets, lies at the start of mac.  C_SignInit + C_Sign.
 */
MUST err_t tok_hmac(struct tok_key *k, enum tok_hash hash,
		    const uint8_t *in, size_t len, uint8_t mac[TOK_MAC_MAX]);

/*
 * New session key from a base key that may derive; ERR_UNSUPPORTED where the
 * token lacks the mechanism.  data is a multiple of 16 octets; the key is the
 * first len octets of the encryption.
 * tok_derive_ecb: CKM_AES_ECB_ENCRYPT_DATA; tok_derive_cbc: CKM_AES_CBC_ENCRYPT_DATA, IV 0.
 */
MUST err_t tok_derive_ecb(struct tok_key *base, const struct tok_key_spec *spec,
			  const uint8_t *data, size_t data_len, size_t len,
			  struct tok_key **out);
MUST err_t tok_derive_cbc(struct tok_key *base, const struct tok_key_spec *spec,
			  const uint8_t *data, size_t data_len, size_t len,
			  struct tok_key **out);
/*
 * SP 800-108 counter mode with HMAC (CKM_SP800_108_COUNTER_KDF): 32-bit
 * counter first, then label (the caller's octets, separator and length
 * included), no DKM_LENGTH parameter.
 */
MUST err_t tok_derive_kdf108(struct tok_key *base, enum tok_hash prf,
			     const struct tok_key_spec *spec,
			     const uint8_t *label, size_t label_len, size_t len,
			     struct tok_key **out);

/* Random octets from the token (C_GenerateRandom); from libcrypto where it has none. */
MUST err_t tok_random(struct tok *t, uint8_t *out, size_t len);

#endif
