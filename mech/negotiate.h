/* Which enctype the acceptor's subkey gets (RFC 4537). */
#ifndef GSSP11_NEGOTIATE_H
#define GSSP11_NEGOTIATE_H

#include "mech/apmsg.h"

/*
 * The first enctype of the acceptor's own order (permitted, zero-terminated)
 * that this module does and the initiator can do: what its list in the
 * authenticator's authorization data (type 129) says, the subkey's enctype,
 * the session key's.  The latter two must be permitted: KRB5_NOPERM_ETYPE.
 * subkey_etype 0: no subkey.
 */
MUST err_t mech_negotiate(const krb5_enctype *permitted, struct der_str authdata,
			  int32_t subkey_etype, int32_t session_etype, int32_t *out);

#endif
