/*
 * Cards: one certificate and its private key on a token, found by a RFC 7512
 * URI that says which, and shown to a library that talks PKCS#11 by itself
 * (libkrb5's PKINIT plugin).
 *
 * That library would start and end the card's module on its own account, which
 * another user of the same module in this process does not survive; log in
 * with any PIN it is given; and look at whatever is in the slots.  So it is
 * given this very object file as its module: C_GetFunctionList below has one
 * slot, already logged in, with the two objects in it and nothing else.  What
 * goes through it is searching for them and signing.
 *
 * Threads: a card is shown to the thread that says so; one at a time.
 */
#ifndef GSSP11_CARD_H
#define GSSP11_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"
#include "pkcs11/token.h"

struct tok_card;

/* Which certificate; nothing set: the only one that has its private key beside it. */
struct tok_card_want {
	char *label;             /* CKA_LABEL, "object" in a URI */
	uint8_t *id;             /* CKA_ID, "id" */
	size_t id_len;
};

/*
 * Takes a URI apart: *token names the token alone, as tok_open wants it; *want
 * the certificate.  A URI that names no token by label or serial is refused:
 * another card would do for it, too.  ERR_URI.  Free with free() and
 * tok_card_want_fini.
 */
MUST err_t tok_card_uri(const char *uri, char **token, struct tok_card_want *want);
void tok_card_want_fini(struct tok_card_want *want);

/* True where the PIN, if it takes one, comes from a file: nobody is asked. */
bool tok_card_unattended(const char *token_uri);

/*
 * Finds the certificate (CKO_CERTIFICATE, CKC_X_509) and the private key that
 * has the same CKA_ID; keeps a reference to t.  ERR_KEY_ABSENT: there is none;
 * ERR_TOKEN_AMBIGUOUS: several, listed in the text; ERR_TOKEN_FAILED and its
 * like.  C_FindObjects, C_GetAttributeValue.
 */
MUST err_t tok_card_open(struct tok *t, const struct tok_card_want *want, struct tok_card **out);
void tok_card_free(struct tok_card **c);

/* The certificate's DER; owned by the card. */
const uint8_t *tok_card_cert(const struct tok_card *c, size_t *len);
/* "certificate "LABEL" (id 01) of token "TOKEN"", for texts; owned by the card. */
const char *tok_card_name(const struct tok_card *c);

/* The path of the object file to be given to the library, malloc'ed. ERR_UNSUPPORTED. */
MUST err_t tok_card_module(char **path);

/* In this thread, from now on, the module has this card in its slot; NULL: none. */
void tok_card_show(struct tok_card *c);
/* What went wrong at the card while it was shown; 0: nothing.  The text is recorded. */
MUST err_t tok_card_why(const struct tok_card *c);
/* Did anybody look for it meanwhile? */
bool tok_card_asked(const struct tok_card *c);

#endif
