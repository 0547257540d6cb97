/*
 * SPNEGO's messages (RFC 4178 4.2), written and read by hand, for a peer that
 * negotiates otherwise than libgssapi would.  Lengths up to 65535 octets.
 */
#ifndef GSSP11_TESTS_NEGO_H
#define GSSP11_TESTS_NEGO_H

#include <gssapi/gssapi.h>

enum { NEGO_COMPLETED, NEGO_INCOMPLETE, NEGO_REJECT, NEGO_REQUEST_MIC, NEGO_NO_STATE };

/* NegTokenResp; a field whose value is NULL is not there.  All octets are malloc'ed. */
struct nego_resp {
	int state;
	gss_buffer_desc mech;            /* the OID's octets */
	gss_buffer_desc token, mic;
};

/* A MechTypeList of OIDs. */
gss_buffer_desc nego_mechs(const gss_buffer_desc *oids, size_t n);
/* A framed NegTokenInit with this list and, unless it is NULL, this token. */
gss_buffer_desc nego_init(const gss_buffer_desc *mechs, const gss_buffer_desc *token);
gss_buffer_desc nego_resp_write(const struct nego_resp *r);

/* The list and the token of a NegTokenInit; the fields of a NegTokenResp.  0: it is none. */
int nego_init_read(const gss_buffer_desc *b, gss_buffer_t mechs, gss_buffer_t token);
int nego_resp_read(const gss_buffer_desc *b, struct nego_resp *r);
void nego_resp_free(struct nego_resp *r);

#endif
