/*
 * Smart cards for PKINIT (RFC 4556): a certificate and its private key on a
 * token, for libkrb5's plugin.  The card is found, started and logged in to by
 * the token layer's rules; libkrb5 gets to see the one certificate and its key
 * through a module that has nothing else, and no PIN.
 *
 * Threads: one card belongs to one thread.
 */
#ifndef GSSP11_KS_CARD_H
#define GSSP11_KS_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keystore/conf.h"

struct ks_card;

/* Checks the syntax only; no token is touched.  ERR_URI. */
MUST err_t ks_card_check_uri(const char *uri);
/* True where nobody needs to be asked for a PIN: it comes from a file. */
bool ks_card_unattended(const char *uri);

/*
 * Finds the one token that uri names and the one certificate on it that has a
 * private key (id=, object= say which); logs in to that token and to no other.
 * A certificate that is not valid today is refused.  ERR_URI, ERR_TOKEN_*,
 * ERR_PIN_*, ERR_KEY_ABSENT, KRB5KDC_ERR_INVALID_CERTIFICATE.
 */
MUST err_t ks_card_open(const struct ks_conf *conf, const char *uri, struct ks_card **out);
void ks_card_free(struct ks_card **c);

/* For texts: the certificate, its ID and its token. */
const char *ks_card_name(const struct ks_card *c);

/*
 * The DER of the KRB5PrincipalName that the certificate has in its
 * subjectAltName (id-pkinit-san, RFC 4556 3.2.2); owned by c.  NULL: it has
 * none, or several.
 */
const uint8_t *ks_card_san(const struct ks_card *c, size_t *len);

/* The value of libkrb5's X509_user_identity that stands for the shown card; owned by c. */
const char *ks_card_identity(const struct ks_card *c);

/*
 * Between the two, this thread's libkrb5 finds the card behind that identity.
 * The latter gives what went wrong at the card meanwhile, with its text; 0:
 * nothing.
 */
void ks_card_show(struct ks_card *c);
MUST err_t ks_card_hide(struct ks_card *c);
/* Did libkrb5 look for it? */
bool ks_card_asked(const struct ks_card *c);

#endif
