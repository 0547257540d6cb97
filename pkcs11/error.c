/* PKCS#11 results: traced, and turned into errors that name cause and cure. */
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>

CK_RV tok_trace_call(const struct tok *t, const char *call, CK_MECHANISM_TYPE mech, CK_RV rv)
{
	bool has_mech = mech != (CK_MECHANISM_TYPE)NO_MECH;

	trace_line("%s%s%s%s token=%s -> %s", call, has_mech ? "(" : "",
		   has_mech ? ck_mech_name(mech) : "", has_mech ? ")" : "",
		   t->info.label, ck_rv_name(rv));
	return rv;
}

bool tok_rv_lost(CK_RV rv)
{
	switch (rv) {
	case CKR_SESSION_HANDLE_INVALID:
	case CKR_SESSION_CLOSED:
	case CKR_DEVICE_ERROR:
	case CKR_DEVICE_REMOVED:
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_SLOT_ID_INVALID:
	case CKR_USER_NOT_LOGGED_IN:
	case CKR_CRYPTOKI_NOT_INITIALIZED:
	case CKR_KEY_HANDLE_INVALID:
	case CKR_OBJECT_HANDLE_INVALID:
		return true;
	default:
		return false;
	}
}

/* Results that mean "this token cannot do that". */
static bool unsupported(CK_RV rv)
{
	switch (rv) {
	case CKR_MECHANISM_INVALID:
	case CKR_MECHANISM_PARAM_INVALID:
	case CKR_FUNCTION_NOT_SUPPORTED:
	case CKR_ACTION_PROHIBITED:
	case CKR_KEY_SIZE_RANGE:
	case CKR_KEY_TYPE_INCONSISTENT:
	case CKR_ATTRIBUTE_TYPE_INVALID:
	case CKR_ATTRIBUTE_VALUE_INVALID:
	case CKR_TEMPLATE_INCOMPLETE:
	case CKR_TEMPLATE_INCONSISTENT:
		return true;
	default:
		return false;
	}
}

static err_t code_of(CK_RV rv)
{
	switch (rv) {
	case CKR_HOST_MEMORY:
		return ENOMEM;
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_DEVICE_REMOVED:
	case CKR_SLOT_ID_INVALID:
		return ERR_TOKEN_ABSENT;
	case CKR_PIN_LOCKED:
	case CKR_PIN_EXPIRED:
		return ERR_PIN_LOCKED;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
		return ERR_PIN_WRONG;
	default:
		return unsupported(rv) ? ERR_UNSUPPORTED : ERR_TOKEN_FAILED;
	}
}

err_t tok_error(const struct tok *t, const char *call, CK_RV rv)
{
	return err_set(code_of(rv), "%s failed with %s (0x%lx) on token \"%s\" (slot %lu): %s",
		       call, ck_rv_name(rv), rv, t->info.label, (CK_ULONG)t->slot,
		       ck_rv_cure(rv));
}
