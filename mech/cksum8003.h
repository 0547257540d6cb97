/*
 * The authenticator's "checksum" of type 0x8003 (RFC 4121 4.1.1): channel
 * bindings, flags, a forwarded credential, extensions.
 */
#ifndef GSSP11_CKSUM8003_H
#define GSSP11_CKSUM8003_H

#include "mech/der.h"
#include "mech/mech.h"

#define CKSUM_8003 0x8003
#define CKSUM_BINDINGS_LEN 16

struct mech_cksum {
	const uint8_t *bindings; /* 16 octets; all zero: the initiator gave none */
	uint32_t flags;          /* as sent */
	struct der_str rest;     /* delegation and extensions, not looked at yet; not written */
};

/*
 * The fixed part.  Shorter than 24 octets: KRB5KRB_ERR_GENERIC, which the
 * caller answers with GSS_S_BAD_BINDINGS; another length of the bindings:
 * KG_BAD_LENGTH.
 */
MUST err_t mech_cksum_read(struct der_str octets, struct mech_cksum *out);

/*
 * The forwarded KRB-CRED (p NULL: none), taken off c->rest; then the extensions,
 * of which unknown ones are passed over.  KG_BAD_LENGTH, ERR_FORMAT,
 * KRB5KRB_AP_ERR_MSG_TYPE for an IAKERB extension.
 */
MUST err_t mech_cksum_deleg(struct mech_cksum *c, struct der_str *krb_cred);
MUST err_t mech_cksum_extensions(struct mech_cksum *c);

/*
 * Writes one: bindings NULL for none; krb_cred's length 0 where nothing is
 * forwarded.  KRB5KRB_ERR_FIELD_TOOLONG where a length of 16 bits is too short.
 */
MUST err_t mech_cksum_write(struct wr *w, const struct mech_cksum *in, struct der_str krb_cred);

/* MD5 over the bindings as RFC 4121 4.1.1.2 lays them out. */
MUST err_t mech_cksum_bindings(const gss_channel_bindings_t cb, uint8_t out[CKSUM_BINDINGS_LEN]);

#endif
