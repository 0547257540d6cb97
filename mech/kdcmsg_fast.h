/*
 * FAST in the KDC's messages (RFC 6113 5.4): what the translation for
 * initiators looks into.  Strict DER, read in place.
 */
#ifndef GSSP11_KDCMSG_FAST_H
#define GSSP11_KDCMSG_FAST_H

#include "mech/kdcmsg.h"

enum { KDC_PA_ENCRYPTED_CHALLENGE = 138 };

/* The value of a request's PA-FX-FAST. */
struct kdc_fast_req {
	struct der_str armor;    /* an AP-REQ; no octets: none */
	struct ap_encrypted enc; /* KrbFastReq, usage 51 */
};

struct kdc_fast_response {
	struct der_str padata;
	bool has_strengthen;
	int32_t etype;           /* of the strengthen key, */
	struct der_str key;      /* and its octets */
};

MUST err_t mech_kdc_fast_req_read(struct der_str in, struct kdc_fast_req *out);
/* The value of a reply's or an error's PA-FX-FAST: KrbFastResponse, usage 52. */
MUST err_t mech_kdc_fast_rep_read(struct der_str in, struct ap_encrypted *out);
/* Decrypted: a KrbFastReq, the request in it (which counts, not that outside), and a KrbFastResponse. */
MUST err_t mech_kdc_fast_inner_read(const void *p, size_t len, struct kdc_req *out);
MUST err_t mech_kdc_fast_response_read(const void *p, size_t len, struct kdc_fast_response *out);

#endif
