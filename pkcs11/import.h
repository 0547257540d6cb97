/*
 * How octets become secret keys on a token: C_CreateObject, or for tokens that
 * refuse it (NSS softoken's FIPS slot, HSMs under FIPS policy) C_UnwrapKey of
 * what a key made on the token has encrypted.  Part of token.h's interface;
 * what comes after the line below is private to pkcs11/.
 *
 * All of these are exposure class "transient": the octets were in memory.
 */
#ifndef GSSP11_IMPORT_H
#define GSSP11_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;
struct tok_key;
struct tok_key_spec;

/* In the order in which they are tried: the approved before the others, one call before many. */
enum tok_import_way {
	TOK_IMPORT_UNKNOWN,
	TOK_IMPORT_CREATE,       /* C_CreateObject */
	TOK_IMPORT_KW,           /* CKM_AES_KEY_WRAP, both C_Encrypt and C_UnwrapKey */
	TOK_IMPORT_CBC,          /* CKM_AES_CBC, both; never CBC_PAD */
	TOK_IMPORT_KW_BLOCKS,    /* CKM_AES_KEY_WRAP unwraps what RFC 3394's blocks of AES made */
	TOK_IMPORT_OAEP,         /* CKM_RSA_PKCS_OAEP with a key pair made on the token */
	TOK_IMPORT_WAYS
};

/*
 * The way of this token: what the first import of this process found out, else
 * tried now with a throw-away key whose encryption is known.  ERR_UNSUPPORTED,
 * with the reasons, where there is none.
 */
MUST err_t tok_import_way(struct tok *t, enum tok_import_way *out);

/* "C_CreateObject", "C_UnwrapKey under a token-made AES key (CKM_AES_CBC)"; static. */
const char *tok_import_text(enum tok_import_way way);

/* ---- private to pkcs11/ ------------------------------------------------- */

#include "pkcs11/ck.h"

enum { WRAPPED_MAX = 512 };      /* octets: of a 4096-bit RSA key */

/* A value encrypted for C_UnwrapKey, and what C_UnwrapKey needs. */
struct wrapped {
	struct tok_key *by;      /* unwraps it; a reference */
	CK_MECHANISM mech;
	uint8_t iv[16];
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	uint8_t data[WRAPPED_MAX];
	size_t len;
	size_t value_len;        /* CKA_VALUE_LEN where the blocks do not tell, else 0 */
};

struct import {                  /* one value and where it goes */
	struct tok *tok;
	const struct tok_key_spec *spec;
	const uint8_t *value;
	size_t len;
	bool zeros;              /* an HMAC key: zeros behind it change nothing (RFC 2104) */
	enum tok_import_way way;
	CK_RV rv;                /* result: of the PKCS#11 call that decided */
};

/* make.c: makes the key by in->way alone.  Errors as tok_key_import. */
MUST err_t make_imported(struct import *in, struct tok_key **out);

/* import_wrap.c: encrypts in->value; *call tells which call gave the result. */
MUST CK_RV import_wrap(const struct import *in, struct wrapped *out, const char **call);
void wrapped_fini(struct wrapped *w);
/* import_wrap.c: another way is to be tried: its key is another one. */
void import_forget(struct tok *t);

/* import_wrap.c: the key's attributes are those of the template, as far as they matter. */
MUST CK_RV import_check(struct tok *t, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
			const CK_ATTRIBUTE *want, CK_ULONG n);

#endif
