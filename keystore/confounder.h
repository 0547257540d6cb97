/* Confounders (RFC 3961 3, RFC 8009 5): random octets in front of each encrypted message. */
#ifndef GSSP11_CONFOUNDER_H
#define GSSP11_CONFOUNDER_H

#include <stdint.h>

#include "keystore/etype.h"

/*
 * KS_CONFOUNDER fresh random octets from libcrypto, drawn for many messages
 * at once and per thread: one by one they would cost as much as a soft token's
 * whole operation.  Never the same in two processes.  KRB5_CRYPTO_INTERNAL.
 */
MUST err_t ks_confounder(uint8_t out[KS_CONFOUNDER]);

#endif
