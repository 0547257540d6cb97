/*
 * A name with attributes, as the stock mechanism exports it (RFC 6680 7.8 and
 * MIT krb5's own encoding of attributes): by importing such a token the stock
 * mechanism comes to know attributes that were verified here.
 */
#ifndef GSSP11_COMPOSITE_H
#define GSSP11_COMPOSITE_H

#include "mech/apmsg.h"
#include "mech/mech.h"

struct mech_attributes {
	bool has_pac, verified;  /* verified: the stock mechanism gives a PAC's values */
	struct der_str pac;      /* points into the ticket */
	struct wr indicators;    /* of authentication: BE32 length, octets; each */
	uint32_t n_indicators;
};

/* Frees what the indicators took. */
void mech_attributes_fini(struct mech_attributes *a);

/* One more indicator; a->indicators says later whether there was memory. */
void mech_attributes_indicator(struct mech_attributes *a, struct der_str value);

/* True if a name would have something to tell. */
bool mech_attributes_any(const struct mech_attributes *a);

/* The token of type GSS_C_NT_COMPOSITE_EXPORT for an unparsed principal; malloc'ed. */
MUST err_t mech_composite_make(const char *principal, const struct mech_attributes *a,
			       gss_buffer_t out);

/*
 * Whether an exported name of either form holds what its lengths say and
 * nothing else: the stock mechanism relies on it.  KRB5_PARSE_MALFORMED.
 */
MUST err_t mech_composite_check(const gss_buffer_desc *token);

#endif
