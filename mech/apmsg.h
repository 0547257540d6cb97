/*
 * The messages of the AP exchange (RFC 4120 5.3, 5.5, 5.8.1) as plain
 * structs that point into the octets they were read from.  Reading is strict
 * DER and checks every level; errors are ASN1_ codes,
 * KRB5KRB_AP_ERR_BADVERSION and KRB5KRB_AP_ERR_MSG_TYPE.
 */
#ifndef GSSP11_APMSG_H
#define GSSP11_APMSG_H

#include "mech/der.h"

/* A principal: name type, and the checked elements of name-string. */
struct ap_princ {
	struct der_str realm;
	int32_t type;
	struct der_str parts;    /* n GeneralStrings, one after the other */
	size_t n;
};

struct ap_encrypted {
	int32_t etype;
	bool has_kvno;
	uint32_t kvno;
	struct der_str cipher;
};

struct ap_ticket {
	struct der_str whole;    /* tag and length included */
	struct ap_princ server;
	struct ap_encrypted enc;
};

struct ap_req {
	uint32_t options;
	struct ap_ticket ticket;
	struct ap_encrypted auth;
};

#define AP_OPT_MUTUAL 0x20000000u
#define AP_OPT_SESSION_KEY 0x40000000u   /* user to user */

struct ap_enc_ticket {
	uint32_t flags;
	int32_t key_etype;
	struct ap_princ client;
	int32_t tr_type;
	struct der_str transited;
	krb5_timestamp authtime, starttime, endtime, renew_till;  /* 0: absent */
	bool has_caddr;
	struct der_str caddr;    /* elements of HostAddresses */
	struct der_str authdata; /* elements of AuthorizationData */
};

struct ap_authenticator {
	struct ap_princ client;
	bool has_cksum;
	int32_t cksumtype;
	struct der_str cksum;
	int32_t cusec;
	krb5_timestamp ctime;
	int32_t subkey_etype;    /* 0: no subkey */
	uint32_t seq;            /* 0: absent */
	struct der_str authdata;
};

struct ap_enc_rep {
	krb5_timestamp ctime;
	int32_t cusec;
	int32_t subkey_etype;    /* 0: no subkey */
	uint32_t seq;
};

struct ap_cred {
	struct der_str tickets;  /* SEQUENCE OF Ticket, whole */
	size_t n;
	struct ap_encrypted enc;
};

MUST err_t mech_ap_req_read(const void *p, size_t len, struct ap_req *out);
/* The rest reads what ks_part_open gave: key octets are not looked at. */
MUST err_t mech_ap_enc_ticket_read(const void *p, size_t len, struct ap_enc_ticket *out);
MUST err_t mech_ap_authenticator_read(const void *p, size_t len, struct ap_authenticator *out);
MUST err_t mech_ap_enc_rep_read(const void *p, size_t len, struct ap_enc_rep *out);

MUST err_t mech_ap_rep_read(const void *p, size_t len, struct ap_encrypted *out);
/* KRB-CRED (RFC 4120 5.8.1), outer part. */
MUST err_t mech_ap_cred_read(const void *p, size_t len, struct ap_cred *out);
/*
 * EncKrbCredPart, to be sure of it before libkrb5 reads it: n ticket-infos,
 * each with client and server (libkrb5 relies on them).  ASN1_ codes.
 */
MUST err_t mech_ap_enc_cred_check(const void *p, size_t len, size_t n);

/*
 * EncAPRepPart with zeros for a subkey of key_len octets and etype (key_len 0:
 * none); *at is where the key belongs.  Writes into w.
 */
void mech_ap_enc_rep_write(struct wr *w, const struct ap_enc_rep *in, size_t key_len, size_t *at);
/* AP-REP around the cipher octets. */
void mech_ap_rep_write(struct wr *w, int32_t etype, const void *cipher, size_t len);
/* KRB-CRED with an enc-part that is not encrypted (RFC 6448): plain is EncKrbCredPart. */
void mech_ap_cred_write_plain(struct wr *w, struct der_str tickets, const void *plain, size_t len);

/*
 * Authenticator with zeros for a subkey of key_len octets (subkey_etype 0:
 * without); *at is where the key belongs.  vno, and a sequence number even where it is 0, are written.
 */
void mech_ap_authenticator_write(struct wr *w, const struct ap_authenticator *in, size_t key_len,
				 size_t *at);
/* AP-REQ: options, ticket.whole, and auth's enctype and cipher. */
void mech_ap_req_write(struct wr *w, const struct ap_req *in);
/* A libkrb5 principal, which out points into, and into what is written to parts. */
void mech_ap_princ_put(struct wr *parts, krb5_const_principal p, struct ap_princ *out);

/* ---- lists inside, walked in place ---- */

struct ap_pair {
	int32_t type;
	struct der_str value;
};

/* The next AuthorizationData or HostAddresses element; false at the end.  list moves on. */
bool mech_ap_next(struct der_str *list, struct ap_pair *out);

/*
 * The authorization data of this type, looked for inside AD-IF-RELEVANT too
 * (RFC 4120 5.2.6.1).  *n counts what was found, *out is the first.
 */
MUST err_t mech_ap_authdata_find(struct der_str list, int32_t type, struct der_str *out,
				 unsigned *n);
/* Gives each of them to take, until that fails.  ERANGE for more than 256, libkrb5's limit. */
MUST err_t mech_ap_authdata_each(struct der_str list, int32_t type,
				 err_t (*take)(void *arg, struct der_str value), void *arg);

/* Writes elements, without the SEQUENCE around. */
void mech_ap_list_put(struct wr *w, const struct ap_pair *pairs, size_t n);

/* Checks and enters a list that stands alone (the content of AD-IF-RELEVANT). */
MUST err_t mech_ap_list_enter(struct der_str whole, struct der_str *list);

/* Same realm and same name parts (the name type does not count). */
bool mech_ap_princ_equal(const struct ap_princ *a, const struct ap_princ *b);
/* A libkrb5 principal; caller frees with krb5_free_principal. */
MUST err_t mech_ap_princ_get(krb5_context k5, const struct ap_princ *p, krb5_principal *out);

#endif
