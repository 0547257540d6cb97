/* A password's key (RFC 3961 3, RFC 3962 4, RFC 8009 4), as libkrb5 makes it: class transient. */
#ifndef GSSP11_S2K_H
#define GSSP11_S2K_H

#include <krb5.h>

#include "keystore/key.h"

/* Borrowed octets; params may be empty. */
struct ks_password {
	const struct secret *text;
	krb5_data salt, params;
};

/* A key on t of this enctype; prepare what it shall do.  libkrb5's codes; ks_key_unref. */
MUST err_t ks_key_from_password(struct tok *t, krb5_context k5, int32_t etype,
				const struct ks_password *in, struct ks_key **out);

#endif
