/*
 * PA-FOR-USER's checksum ([MS-SFU] 2.2.1): KERB_CHECKSUM_HMAC_MD5 (RFC 4757 4)
 * with the session key of a ticket-granting ticket, whatever its enctype.  For
 * KDCs that know no other way to ask for another user's ticket.
 *
 * What signs is derived from the session key (KS_FOR_USER) and signs nothing
 * else.  MD5 is no service that fips settings allow: those who ask look.
 */
#ifndef GSSP11_KS_FOR_USER_H
#define GSSP11_KS_FOR_USER_H

#include "keystore/key_int.h"

#define KS_FOR_USER_LEN 16       /* octets of the checksum, and of its key */
#define KS_FOR_USER_USAGE 17
#define KS_FOR_USER_CKSUM (-138)

/*
 * The checksum over data.  k must be prepared for {KS_FOR_USER_USAGE,
 * KS_FOR_USER}.  One operation; ERR_UNSUPPORTED names the missing mechanism.
 */
MUST err_t ks_for_user_mac(struct ks_key *k, const uint8_t *data, size_t len,
			   uint8_t mac[KS_FOR_USER_LEN]);

/* ---- for derive.c ---- */

/* The key that signs, from the base's octets; KRB5_CRYPTO_INTERNAL. */
MUST err_t ks_for_user_derive(const struct ks_etype *e, const uint8_t *base,
			      uint8_t out[KS_FOR_USER_LEN]);

/* The same on the token: CKM_MD5_KEY_DERIVATION.  ERR_UNSUPPORTED names what is missing. */
MUST err_t ks_for_user_on_token(const struct ks_etype *e, struct tok_key *base,
				const struct tok_key_spec *spec, struct tok_key **out);

#endif
