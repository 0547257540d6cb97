/* Where a token's PIN comes from.  Private to pkcs11/. */
#ifndef GSSP11_PIN_H
#define GSSP11_PIN_H

#include <stdbool.h>

#include "pkcs11/secret.h"
#include "pkcs11/uri.h"

/*
 * The PIN that u's pin-source names.  A file (file: URI or absolute path) is
 * read here, under these rules: a regular file, no symbolic link, at most
 * 4 KiB, owned by root or by the effective user, writable and readable by
 * nobody else; a file of root may be readable by its group, which is how an
 * administrator gives a PIN to a service.  One newline at the end is not part
 * of the PIN.  Any other source, or none, is asked of the PIN callbacks that
 * the program registered with p11-kit.
 *
 * *out stays NULL, with success, when there is no source and no callback
 * knows: the caller decides what that means.  ERR_PIN_SOURCE.
 */
MUST err_t pin_get(const struct uri *u, const char *label, struct secret **out);

/*
 * Refused PINs: kept as salted digests until the process ends, so that none is
 * ever tried twice.  who names the token (label and serial).
 */
void pin_remember_refused(const char *who, const struct secret *pin);
MUST bool pin_was_refused(const char *who, const struct secret *pin);


#endif
