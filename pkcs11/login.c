/* Logs a token in: once, with a PIN that was never refused before. */
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <stdio.h>
#include <string.h>

#include "pkcs11/pin.h"

bool login_state(struct tok *t, bool *logged_in)
{
	CK_SESSION_INFO info;
	CK_RV rv;

	*logged_in = false;
	if (!t->holder)
		return false;
	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetSessionInfo", t->f->C_GetSessionInfo(t->holder, &info));
	*logged_in = rv == CKR_OK && (info.state == CKS_RO_USER_FUNCTIONS ||
				      info.state == CKS_RW_USER_FUNCTIONS);
	return rv == CKR_OK;
}

/* A PIN on its final try is the administrator's to use, not ours. */
static err_t check_flags(const struct tok *t, CK_FLAGS flags)
{
	if (flags & CKF_USER_PIN_LOCKED)
		return err_set(ERR_PIN_LOCKED, "the PIN of token \"%s\" (slot %lu) is locked: "
			       "have the token's security officer unlock it, then correct the "
			       "PIN source", t->info.label, t->info.slot);
	if (flags & CKF_USER_PIN_FINAL_TRY)
		return err_set(ERR_PIN_LOCKED, "the PIN of token \"%s\" (slot %lu) has one try "
			       "left, which is not spent here: log in once by hand with the "
			       "token's own tool, then correct the PIN source",
			       t->info.label, t->info.slot);
	if (flags & CKF_USER_PIN_COUNT_LOW)
		trace("token %s: an earlier PIN was refused", t->info.label);
	return 0;
}

static err_t refused(const struct tok *t, const char *how)
{
	return err_set(ERR_PIN_WRONG, "token \"%s\" (slot %lu) refused the PIN%s: put the right "
		       "PIN into the PIN source, then restart the service",
		       t->info.label, t->info.slot, how);
}

/* C_Login and what its result means; pin NULL: the token's own key pad. */
static err_t login_with(struct tok *t, const char *who, struct secret *pin, bool *transient)
{
	CK_RV rv;

	rv = traced(t, "C_Login", t->f->C_Login(t->holder, CKU_USER, pin ? pin->data : NULL,
						pin ? pin->len : 0));
	switch (rv) {
	case CKR_OK:
	case CKR_USER_ALREADY_LOGGED_IN:
		return 0;
	case CKR_USER_TYPE_INVALID:     /* a slot that knows no login */
		t->login_needed = false;
		return 0;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
		if (pin)
			pin_remember_refused(who, pin);
		return refused(t, "");
	case CKR_PIN_EXPIRED:
		return err_set(ERR_PIN_LOCKED, "the PIN of token \"%s\" (slot %lu) has expired: "
			       "%s", t->info.label, t->info.slot, ck_rv_cure(rv));
	case CKR_FUNCTION_CANCELED:
		return err_set(ERR_PIN_MISSING, "login to token \"%s\" (slot %lu) was cancelled",
			       t->info.label, t->info.slot);
	case CKR_TOKEN_NOT_RECOGNIZED:
	case CKR_GENERAL_ERROR:
	case CKR_USER_PIN_NOT_INITIALIZED:
		*transient = true;
		return tok_error(t, "C_Login", rv);
	default:
		return tok_error(t, "C_Login", rv);
	}
}

static err_t login_now(struct tok *t, CK_FLAGS flags, bool *transient)
{
	struct secret *pin = NULL;
	char who[64];
	err_t err;

	if (t->no_pin)
		return err_set(ERR_PIN_MISSING, "token \"%s\" (slot %lu) needs a PIN, and only a "
			       "credential cache or an exported credential names it, for whose word no "
			       "PIN is given: name it in krb5.conf (session_token, or a keytab)",
			       t->info.label, t->info.slot);
	snprintf(who, sizeof(who), "%s/%s", t->info.label, t->info.serial);
	err = pin_get(&t->uri, t->info.label, &pin);
	if (err)
		return err;
	if (pin && pin_was_refused(who, pin))
		err = refused(t, " before, so it was not tried again");
	else if (pin || flags & CKF_PROTECTED_AUTHENTICATION_PATH)
		err = login_with(t, who, pin, transient);
	else
		err = err_set(ERR_PIN_MISSING, "token \"%s\" (slot %lu) needs a PIN: write it "
			      "into a file of mode 0600 and add pin-source=file:/path to the "
			      "URI's query", t->info.label, t->info.slot);
	secret_free(&pin);
	return err;
}

err_t login_holder(struct tok *t, bool *transient)
{
	CK_TOKEN_INFO info;
	bool logged_in;
	CK_RV rv;
	err_t err;

	if (login_state(t, &logged_in) && logged_in)
		return 0;
	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetTokenInfo", t->f->C_GetTokenInfo(t->slot, &info));
	if (rv != CKR_OK) {
		*transient = rv == CKR_TOKEN_NOT_RECOGNIZED || rv == CKR_GENERAL_ERROR;
		return tok_error(t, "C_GetTokenInfo", rv);
	}
	t->login_needed = (info.flags & CKF_LOGIN_REQUIRED) != 0;
	if (!t->login_needed)
		return 0;
	t->login_flags = info.flags;
	err = check_flags(t, info.flags);
	return err ? err : login_now(t, info.flags, transient);
}
