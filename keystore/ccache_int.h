/* Inside credential caches: what ccache.c and ccache_adopt.c share. */
#ifndef GSSP11_CCACHE_INT_H
#define GSSP11_CCACHE_INT_H

#include "keystore/ccache.h"

/* Records libkrb5's text for code and gives code. */
err_t ks_krb5_err(krb5_context k5, krb5_error_code code);

/* Gives each entry to fn, which may change it, until that fails; config: no ticket. */
MUST err_t ks_ccache_each(krb5_context k5, krb5_ccache cc,
			  err_t (*fn)(void *arg, krb5_creds *c, bool config), void *arg);

#endif
