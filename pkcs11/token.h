/*
 * A token, as the rest of the house sees it: open it by URI and hold keys on
 * it; object.h lists what lies there, op.h uses the keys.  One function per
 * cryptographic purpose; CK_ types stay inside this folder.
 *
 * Threads: every function may be called from any thread; one operation uses
 * one worker session, which no other thread sees.  After fork() the first call
 * in the child re-initialises: session keys go on working where the module
 * kept them for the child, else they are lost (ERR_KEY_LOST); token keys are
 * found again by their owners.
 */
#ifndef GSSP11_TOKEN_H
#define GSSP11_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"
#include "pkcs11/object.h"
#include "pkcs11/op.h"
#include "pkcs11/secret.h"

struct tok;      /* a token of this process: module started, slot found, logged in */
struct tok_key;  /* a key object on it; reference counted */

/* ---- opening -------------------------------------------------------- */

/* Local settings; never taken from the wire or from a blob.  Strings may be NULL. */
struct tok_config {
	const char *module;       /* PKCS#11 module to load where the URI has no module-path */
	const char *module_init;  /* C_Initialize's pReserved string (NSS softoken) */
	const char *state_dir;    /* probe verdicts; NULL = /var/tmp/gssp11_<euid> */
	bool write;               /* objects will be written: each in a session of its own */
	bool no_pin;              /* named by a stranger: no PIN of anybody's goes there, no key pad */
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
 * Two facts that a fresh process must not pay for unless it asks; never NULL.
 * tok_module_hash: SHA-256 of the module's file in hex, "" if it has no file;
 * computed at the first call, then kept.  Owned by t.
 * tok_state_dir: the state directory, made if need be and checked at each
 * call: a real directory, owned by euid, mode 0700; "" when none can be had.
 * Good until this thread's next call.
 */
const char *tok_module_hash(struct tok *t);
const char *tok_state_dir(struct tok *t);
/* The same without a token, for this setting of state_dir (NULL: the usual one). */
const char *tok_state_dir_for(const char *configured);

/* Checks the URI's syntax only (unknown or doubled attributes refused); no token is touched. ERR_URI. */
MUST err_t tok_uri_check(const char *uri);

/*
 * The URI's token attributes (label, serial, model, manufacturer) are those of t, which was
 * connected; slot, library and query are not looked at.  ERR_URI: they are not, or it is none.
 */
MUST err_t tok_uri_fits(const struct tok *t, const char *uri);

/* Grows by one each time the token was lost and reopened; keys of an older generation are lost. */
unsigned tok_generation(const struct tok *t);

/* Forks between the first tok_open and now, as this process has seen them in its line of ancestors. */
unsigned tok_forks_seen(void);

/* ---- keys ----------------------------------------------------------- */

enum tok_type { TOK_AES, TOK_GENERIC };

enum {                                   /* what a key may do */
	TOK_ENCRYPT = 1, TOK_DECRYPT = 2,    /* CKA_ENCRYPT, CKA_DECRYPT */
	TOK_SIGN = 4,                        /* CKA_SIGN (HMAC; verifying signs and compares) */
	TOK_DERIVE = 8,                      /* CKA_DERIVE */
	TOK_EXTRACTABLE = 16,                /* otherwise sensitive and not extractable */
	TOK_READABLE = 32,                   /* not sensitive and extractable: for tok_key_read */
	TOK_WRAP = 64, TOK_UNWRAP = 128      /* CKA_WRAP, CKA_UNWRAP: hidden values (hole.h) */
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

/*
 * A random key of len octets made on the token (C_GenerateKey, CKM_AES_KEY_GEN
 * or CKM_GENERIC_SECRET_KEY_GEN).
 */
MUST err_t tok_key_generate(struct tok *t, const struct tok_key_spec *spec,
			    size_t len, struct tok_key **out);

/*
 * The token object with this class of secret key, label and ID, copied to a
 * session object where the token allows it (C_CopyObject).  ERR_KEY_ABSENT.
 */
MUST err_t tok_key_find(struct tok *t, const char *label, const void *id,
			size_t id_len, struct tok_key **out);

/*
 * The value of a session object made with TOK_READABLE (C_GetAttributeValue),
 * at most 64 octets, into locked memory; caller frees.  ERR_UNSUPPORTED where
 * the token does not give it, ERR_KEY_LOST, ERR_TOKEN_FAILED.
 */
MUST err_t tok_key_read(struct tok_key *k, struct secret **out);

struct tok_key *tok_key_ref(struct tok_key *k);
/* Its token: borrowed. */
struct tok *tok_key_token(const struct tok_key *k);
/* The last one destroys a session object; token objects stay. */
void tok_key_unref(struct tok_key **k);
/* True when the object went with its session (token loss, fork). */
bool tok_key_lost(const struct tok_key *k);

#endif
