/* PKCS#11 results: traced, classed, and turned into errors.  Private to pkcs11/. */
#ifndef GSSP11_RESULT_H
#define GSSP11_RESULT_H

#include "pkcs11/tokpriv.h"

enum { NO_MECH = -1 };

/* One trace line for one PKCS#11 call; hands rv through. */
CK_RV tok_trace_call(const struct tok *t, const char *call, CK_MECHANISM_TYPE mech, CK_RV rv);

static inline CK_RV traced_mech(const struct tok *t, const char *call,
				CK_MECHANISM_TYPE mech, CK_RV rv)
{
	return trace_on() ? tok_trace_call(t, call, mech, rv) : rv;
}

static inline CK_RV traced(const struct tok *t, const char *call, CK_RV rv)
{
	return traced_mech(t, call, (CK_MECHANISM_TYPE)NO_MECH, rv);
}

/* The error for a failed call, with call, CKR_, token, slot and cure in its text. */
MUST err_t tok_error(const struct tok *t, const char *call, CK_RV rv);
/* True for results that mean "session, login or token was lost": worth a recovery and one retry. */
bool tok_rv_lost(CK_RV rv);

#endif
