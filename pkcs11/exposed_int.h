/* Inside the attempts to read keys: one session, one victim.  Private to pkcs11/exposed*.c. */
#ifndef GSSP11_EXPOSED_INT_H
#define GSSP11_EXPOSED_INT_H

#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

enum { LAB_KEY = 32 };           /* octets of every key here */

struct lab {
	struct tok *tok;
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;    /* the victim: sensitive, not extractable, may sign */
	uint8_t mac[32];         /* the token's HMAC with it */
	const char *call;        /* the last one, and its result */
	CK_RV rv;
	bool impossible;         /* a way found out that it could not be tried at all */
};

/* Keeps call and result, traces them, hands rv through. */
CK_RV lab_note(struct lab *l, const char *call, CK_RV rv);

/* A key of LAB_KEY octets; its object goes with the session unless it is a token object. */
MUST CK_RV lab_generate(struct lab *l, const struct tok_key_spec *spec, CK_OBJECT_HANDLE *out);
MUST CK_RV lab_value(struct lab *l, CK_OBJECT_HANDLE key, uint8_t out[LAB_KEY]);
bool lab_proves(const struct lab *l, const uint8_t octets[LAB_KEY]);

/* Ways that need keys of their own (exposed_derive.c): true when octets came out. */
bool lab_extract(struct lab *l);
bool lab_derive(struct lab *l);
bool lab_unwrap(struct lab *l);

#endif
