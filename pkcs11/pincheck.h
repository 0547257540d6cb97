/* The PIN file of a URI, looked at without a token.  Part of token.h's interface. */
#ifndef GSSP11_PINCHECK_H
#define GSSP11_PINCHECK_H

#include <stdbool.h>

#include "pkcs11/err.h"

/*
 * Reads the file that the URI's pin-source names, by the rules of a login
 * (pin.h); *file says whether it names one.  No token is touched, nobody is
 * asked.  ERR_URI, ERR_PIN_SOURCE.
 */
MUST err_t tok_pin_file_check(const char *uri, bool *file);

#endif
