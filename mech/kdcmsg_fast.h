/*
 * FAST in the KDC's messages (RFC 6113 5.4): what the translation for
 * initiators looks into.  Strict DER, read in place.
 */
#ifndef GSSP11_KDCMSG_FAST_H
#define GSSP11_KDCMSG_FAST_H

#include "mech/kdcmsg.h"

enum { KDC_PA_ETYPE_INFO2 = 19, KDC_PA_ENCRYPTED_CHALLENGE = 138 };

/* The value of a request's PA-FX-FAST. */
struct kdc_fast_req {
	struct der_str armor;    /* an AP-REQ; no octets: none */
	int32_t cksumtype;
	struct der_str cksum;    /* over the request's body outside, usage 50 */
	struct ap_encrypted enc; /* KrbFastReq, usage 51 */
};

struct kdc_fast_response {
	struct der_str padata;
	bool has_strengthen;
	int32_t etype;           /* of the strengthen key, */
	struct der_str key;      /* and its octets */
	bool has_finished;
	int32_t cksumtype;
	struct der_str cksum;    /* over the ticket, usage 53 */
};

/* One entry of ETYPE-INFO2 (RFC 4120 5.2.7.5). */
struct kdc_salt {
	int32_t etype;
	bool has_salt;           /* else the principal's own */
	struct der_str salt, params;
};

MUST err_t mech_kdc_fast_req_read(struct der_str in, struct kdc_fast_req *out);
/* The value of a reply's or an error's PA-FX-FAST: KrbFastResponse, usage 52. */
MUST err_t mech_kdc_fast_rep_read(struct der_str in, struct ap_encrypted *out);
/* Decrypted: a KrbFastReq, the request in it (which counts, not that outside), and a KrbFastResponse. */
MUST err_t mech_kdc_fast_inner_read(const void *p, size_t len, struct kdc_req *out);
MUST err_t mech_kdc_fast_response_read(const void *p, size_t len, struct kdc_fast_response *out);

/* The value of PA-ETYPE-INFO2: its entries; then the next of them, false at the end. */
MUST err_t mech_kdc_salts_enter(const void *p, size_t len, struct der_str *list);
bool mech_kdc_salts_next(struct der_str *list, struct kdc_salt *out);

#endif
