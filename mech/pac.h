/*
 * The authorization data that a KDC vouches for to a service, checked with
 * the key of the service that is on the token: PAC and CAMMAC.
 */
#ifndef GSSP11_PAC_H
#define GSSP11_PAC_H

#include "keystore/key.h"
#include "mech/apmsg.h"

struct mech_pac_facts {
	const struct ap_princ *client;   /* as the ticket has it */
	krb5_timestamp authtime;
	struct ks_key *service;          /* the long-term key that opened the ticket */
};

/*
 * A PAC (MS-PAC 2.3, 2.8).  Verified: the server's checksum fits (key usage
 * 17, the checksum type of the key's enctype, one C_Sign), and the PAC is of
 * this client and ticket.  A PAC that is not verified is no error; one that is
 * malformed is: EINVAL, ERANGE of libkrb5.  Also errors of ks_checksum but
 * that the key is absent.
 */
MUST err_t mech_pac_check(krb5_context k5, struct der_str pac, const struct mech_pac_facts *facts,
			  bool *verified);

/*
 * A CAMMAC (RFC 7751).  *elements gets the AuthorizationData inside when the
 * service's verifier fits (key usage 64), else {NULL, 0}, which is no error.
 * ASN1_ codes, EINVAL without such a verifier, KRB5_BAD_ENCTYPE and
 * KRB5_BAD_MSIZE for one that cannot be this key's: as the stock mechanism.
 */
MUST err_t mech_cammac_open(struct der_str cammac, struct ks_key *service,
			    struct der_str *elements);

/* What both ask: true when the mac fits.  A missing key makes it false, with a trace. */
MUST err_t mech_pac_mac(struct ks_key *service, uint32_t usage, struct der_str data,
			struct der_str mac, bool *fits);

#endif
