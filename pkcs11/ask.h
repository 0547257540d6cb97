/*
 * PINs that no pin-source gives: a program, never the module, may answer for
 * them.
 */
#ifndef GSSP11_ASK_H
#define GSSP11_ASK_H

#include "pkcs11/secret.h"

/* Asks somebody for the PIN of the token with this label: a secret, given to the caller, or NULL. */
typedef struct secret *tok_ask_fn(const char *label);

/*
 * Registers ask with p11-kit as the last resort, for the whole process and
 * once.  A refused PIN is not asked for again.
 */
void tok_ask_pin(tok_ask_fn *ask);

#endif
