/*
 * The messages of the KDC exchanges (RFC 4120 5.4, 5.9.1, 7.5; RFC 6806 11) as
 * far as the translation for initiators (exchange.h) looks into them: strict
 * DER, read in place; nothing here knows keys.
 */
#ifndef GSSP11_KDCMSG_H
#define GSSP11_KDCMSG_H

#include "mech/apmsg.h"

enum { KDC_AS_REQ = 10, KDC_AS_REP = 11, KDC_TGS_REQ = 12, KDC_TGS_REP = 13, KDC_ERROR = 30 };

enum {                                   /* padata types, RFC 4120 7.5.2 and later ones */
	KDC_PA_TGS_REQ = 1, KDC_PA_ENC_TIMESTAMP = 2, KDC_PA_PK_AS_REP = 17,
	KDC_PA_SAM_CHALLENGE_2 = 30, KDC_PA_FOR_USER = 129, KDC_PA_X509_USER = 130,
	KDC_PA_FX_FAST = 136, KDC_PA_REQ_ENC_PA_REP = 149, KDC_PA_SPAKE = 151
};

#define KDC_OPT_FORWARDED_BIT 0x20000000u
#define KDC_FLAG_FORWARDABLE 0x40000000u /* of a ticket */

/* PA-DATA ::= SEQUENCE { padata-type [1] Int32, padata-value [2] OCTET STRING } */
struct kdc_pa {
	struct der_str whole;
	struct der_str number;   /* content of the type's INTEGER */
	int32_t type;
	struct der_str value;
};

struct kdc_req {
	int32_t msg_type;        /* KDC_AS_REQ or KDC_TGS_REQ */
	struct der_str padata;   /* elements, whole */
	struct der_str body;     /* KDC-REQ-BODY, whole: what the authenticator's checksum covers */
	uint32_t options, nonce;
	bool has_client;
	struct der_str authdata; /* enc-authorization-data: an EncryptedData; empty: absent */
	struct ap_princ client;  /* its realm is the request's */
};

struct kdc_rep {
	int32_t msg_type;        /* KDC_AS_REP or KDC_TGS_REP */
	struct der_str padata;
	struct ap_princ client;
	struct ap_ticket ticket;
	struct ap_encrypted enc;
};

struct kdc_enc_rep {
	int32_t key_etype;
	uint32_t nonce, flags;
	krb5_timestamp endtime;
	struct ap_princ server;
	struct der_str padata;   /* of encrypted-pa-data */
};

/* AS-REQ, TGS-REQ, AS-REP, TGS-REP or KRB-ERROR by its outer tag; 0: something else. */
int32_t mech_kdc_type(const void *p, size_t len);

MUST err_t mech_kdc_req_read(const void *p, size_t len, struct kdc_req *out);
MUST err_t mech_kdc_rep_read(const void *p, size_t len, struct kdc_rep *out);
/* EncKDCRepPart, either tag, as ks_part_open gives it. */
MUST err_t mech_kdc_enc_rep_read(const void *p, size_t len, struct kdc_enc_rep *out);
/* KRB-ERROR: e-data as METHOD-DATA; padata is empty where it is none. */
MUST err_t mech_kdc_error_read(const void *p, size_t len, struct der_str *padata);
/* EncryptedData or Checksum that stand alone, in a padata value. */
MUST err_t mech_kdc_encrypted_read(struct der_str in, struct ap_encrypted *out);
MUST err_t mech_kdc_cksum_read(struct der_str in, int32_t *type, struct der_str *sum);

/* KDC-REQ-BODY alone: what out has of it.  Records a failure in *err. */
void mech_kdc_body_read(struct der_str body, err_t *err, struct kdc_req *out);
/* A field [n] of SEQUENCE OF PA-DATA, each checked: the elements; none where there is no such field. */
struct der_str mech_kdc_pa_field(struct der *d, unsigned n);
/* The next PA-DATA of a list that was read; false at the end.  list moves on. */
bool mech_kdc_pa_next(struct der_str *list, struct kdc_pa *out);
/* The first of this type. */
bool mech_kdc_pa_find(struct der_str list, int32_t type, struct kdc_pa *out);

/*
 * TGS-REQ with the padata that keep says and with this in place of the
 * contents of PA-TGS-REQ.  Writes into w.
 */
void mech_kdc_req_write(struct wr *w, const struct kdc_req *in, struct der_str tgs_req,
			bool (*keep)(int32_t type));

/* KRB-CRED with this enc-part. */
void mech_kdc_cred_write(struct wr *w, struct der_str tickets, int32_t etype,
			 const void *cipher, size_t len);

#endif
