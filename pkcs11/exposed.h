/*
 * What whoever is logged in can do against keys that are sensitive and not
 * extractable: tried on throw-away keys made for this alone, never on anybody's
 * own.  And what the token says about itself.
 */
#ifndef GSSP11_EXPOSED_H
#define GSSP11_EXPOSED_H

#include <stdbool.h>

#include "pkcs11/err.h"

struct tok;

/* Ways to a key's octets.  The last three are against keys with a certain use only. */
enum tok_way {
	TOK_WAY_VALUE,           /* C_GetAttributeValue of CKA_VALUE */
	TOK_WAY_SET,             /* C_SetAttributeValue makes it readable */
	TOK_WAY_COPY,            /* C_CopyObject makes a copy that is */
	TOK_WAY_WRAP,            /* C_WrapKey takes it although it is not extractable */
	TOK_WAY_EXTRACT,         /* CKM_EXTRACT_KEY_FROM_KEY octet by octet, without CKA_DERIVE */
	TOK_WAY_EXTRACT_DERIVE,  /* the same with it, for tokens that ask for it */
	TOK_WAY_DERIVE,          /* a readable child of a key with CKA_DERIVE */
	TOK_WAY_UNWRAP,          /* a key with CKA_UNWRAP unwraps to readable ones */
	TOK_WAYS
};

enum tok_victim { TOK_VICTIM_SESSION, TOK_VICTIM_TOKEN };

struct tok_exposed {
	bool tried;              /* false: no such key could be made here, or HMAC does not work */
	bool open;               /* the octets came out, and were proven to be the key's */
	const char *call, *rv;   /* what decided: "C_CopyObject", "CKR_OK"; static */
};

/*
 * Tries one way on one new key, in a session of its own.  A token object has
 * the label TOK_VICTIM_LABEL and a random ID, and is destroyed at the end.  Errors are
 * those of the token being gone; that something does not work is a result.
 */
MUST err_t tok_exposed_try(struct tok *t, enum tok_way way, enum tok_victim victim,
			   struct tok_exposed *out);

#define TOK_VICTIM_LABEL "gssp11 doctor's throw-away key"

/* What is tried, a phrase; "copy"; static. */
const char *tok_way_text(enum tok_way way);
const char *tok_way_name(enum tok_way way);

/* C_GetTokenInfo.  Numbers are -1 where the token does not say; limits 0 mean none. */
struct tok_facts {
	long sessions, sessions_max, rw_sessions, rw_sessions_max;
	long public_free, private_free;          /* octets of memory */
	bool write_protected, login_required, pin_initialized, key_pad, rng;
	/* of the user's PIN, as they were before this process logged in, and are now */
	bool pin_count_low, pin_final_try, pin_locked, pin_to_be_changed;
};

MUST err_t tok_facts(struct tok *t, struct tok_facts *out);

#endif
