/*
 * The setting fips: what it refuses and prefers.  RFC 8009's enctypes derive
 * keys with SP 800-108's function, an approved one; RFC 3962's with RFC 3961's,
 * which is none.
 */
#ifndef GSSP11_FIPS_H
#define GSSP11_FIPS_H

#include <krb5.h>
#include <stdbool.h>
#include <stdint.h>

#include "pkcs11/err.h"

enum ks_conf_fips {
	KS_FIPS_OFF,
	KS_FIPS_TRANSITIONAL,      /* RFC 3962's enctypes are taken from peers, and traced */
	KS_FIPS_STRICT_MECHANISMS, /* RFC 8009's alone, approved services alone: no key lifted */
	KS_FIPS_STRICT_EXPOSURE    /* RFC 8009's alone, no key in memory: exposure = on-token */
};

/* The setting's word; static. */
const char *ks_fips_word(enum ks_conf_fips fips);

/* May keys of this enctype be used? */
bool ks_fips_allows(enum ks_conf_fips fips, int32_t etype);

/*
 * The same as an error: ERR_POLICY, "fips = ... refuses ..." with what it is
 * that has this enctype ("the ticket's session key").  Where a use that is not
 * approved is allowed, it is traced.
 */
MUST err_t ks_fips_check(enum ks_conf_fips fips, int32_t etype, const char *what);

/* Takes what is refused out of a zero-terminated list; else puts what is approved first. */
void ks_fips_order(enum ks_conf_fips fips, krb5_enctype *list);

#endif
