/* The padata of S4U2Self ([MS-SFU] 2.2.1, 2.2.2): strict DER, read in place. */
#ifndef GSSP11_KDCMSG_S4U_H
#define GSSP11_KDCMSG_S4U_H

#include "mech/kdcmsg.h"

/* PA-S4U-X509-USER ::= SEQUENCE { user-id [0] S4UUserID, checksum [1] Checksum } */
struct kdc_x509_user {
	struct der_str id;       /* S4UUserID, whole: what the checksum covers */
	uint32_t nonce;
	uint32_t options;
	int32_t cksumtype;
	struct der_str cksum;
};

/* The reply's checksum is of key usage 27, not 26. */
#define KDC_S4U_REPLY_USAGE 0x20000000u

MUST err_t mech_kdc_x509_user_read(struct der_str in, struct kdc_x509_user *out);

/* PA-FOR-USER ::= SEQUENCE { userName [0], userRealm [1], cksum [2], auth-package [3] } */
struct kdc_for_user {
	struct ap_princ user;
	int32_t cksumtype;
	struct der_str cksum;
	struct der_str package;
};

MUST err_t mech_kdc_for_user_read(struct der_str in, struct kdc_for_user *out);

/* What its checksum covers: the name type, little-endian, and all strings one after the other. */
void mech_kdc_for_user_put(struct wr *w, const struct kdc_for_user *in);

#endif
