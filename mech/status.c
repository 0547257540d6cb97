/* Major and minor statuses, and the texts for them. */
#include "mech/codes.h"
#include "mech/mech.h"

#include <com_err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/trace.h"

/* Codes that mean the same major status wherever they come up; all others are GSS_S_FAILURE. */
static const struct {
	err_t err;
	OM_uint32 major;
} majors[] = {
	{ ERR_URI, GSS_S_NO_CRED },
	{ ERR_CONFIG, GSS_S_NO_CRED },
	{ ERR_MODULE, GSS_S_NO_CRED },
	{ ERR_TOKEN_ABSENT, GSS_S_NO_CRED },
	{ ERR_TOKEN_AMBIGUOUS, GSS_S_NO_CRED },
	{ ERR_PIN_MISSING, GSS_S_NO_CRED },
	{ ERR_PIN_SOURCE, GSS_S_NO_CRED },
	{ ERR_PIN_WRONG, GSS_S_NO_CRED },
	{ ERR_PIN_LOCKED, GSS_S_NO_CRED },
	{ ERR_KEY_ABSENT, GSS_S_NO_CRED },
	{ KRB5_KT_NOTFOUND, GSS_S_NO_CRED },
	{ KG_CCACHE_NOMATCH, GSS_S_NO_CRED },
	{ KG_KEYTAB_NOMATCH, GSS_S_NO_CRED },
	{ KG_CTX_INCOMPLETE, GSS_S_NO_CONTEXT },
	{ G_UNKNOWN_QOP, GSS_S_BAD_QOP },
};

OM_uint32 mech_major(err_t err)
{
	for (size_t i = 0; i < sizeof(majors) / sizeof(majors[0]); i++)
		if (majors[i].err == err)
			return majors[i].major;
	return err ? GSS_S_FAILURE : GSS_S_COMPLETE;
}

OM_uint32 mech_fail(OM_uint32 *minor, OM_uint32 major, err_t err)
{
	if (!err)
		err = err_set(ERR_INTERNAL, "a failure without a reason (major status %#x)",
			      (unsigned)major);
	trace("call ends with %#x, %d: %s", (unsigned)major, (int)err,
	      err_text(err) ? err_text(err) : error_message(err));
	*minor = (OM_uint32)err;
	return major;
}

/*
 * Set while this thread asks the mechanism layer for a text: it may hand the
 * question straight back, for a number that it has on this module's account.
 */
static _Thread_local bool asking;

static bool ask_stock(OM_uint32 value, gss_buffer_t text)
{
	OM_uint32 minor, context = 0, major;

	text->length = 0;
	text->value = NULL;
	if (asking)
		return false;
	asking = true;
	major = gss_display_status(&minor, value, GSS_C_MECH_CODE, mech_oid_real(NULL), &context,
				   text);
	asking = false;
	return major == GSS_S_COMPLETE;
}

OM_uint32 mech_stock_done(OM_uint32 *minor, OM_uint32 major)
{
	gss_buffer_desc text;
	OM_uint32 ignored;

	if (!GSS_ERROR(major) || !*minor || !ask_stock(*minor, &text))
		return major;
	(void)err_set((err_t)*minor, "%.*s", (int)text.length, (const char *)text.value);
	gss_release_buffer(&ignored, &text);
	return major;
}

static OM_uint32 give_text(OM_uint32 *minor, const char *s, gss_buffer_t text)
{
	text->value = strdup(s);
	if (!text->value)
		return mech_fail(minor, GSS_S_FAILURE, ENOMEM);
	text->length = strlen(s);
	return GSS_S_COMPLETE;
}

/* What to do about a code whose own text is no longer at hand: it is kept per thread, for a while. */
static const struct {
	err_t err;
	const char *cure;
} cures[] = {
	{ ERR_URI, "see gss-pkcs11(7) for what it may have" },
	{ ERR_CONFIG, "check [appdefaults] gssp11 in krb5.conf" },
	{ ERR_MODULE, "check module-path and that the file can be loaded" },
	{ ERR_TOKEN_ABSENT, "plug it in, or correct the URI" },
	{ ERR_TOKEN_AMBIGUOUS, "add serial= to the URI" },
	{ ERR_TOKEN_FAILED, "check the device" },
	{ ERR_PIN_MISSING, "add pin-source=file:... to the URI" },
	{ ERR_PIN_SOURCE, "give the file to the service's user, mode 0600" },
	{ ERR_PIN_WRONG, "correct the PIN file and start the program again" },
	{ ERR_PIN_LOCKED, "unlock it with the token's own tool" },
	{ ERR_UNSUPPORTED, "a trace (GSSP11_TRACE) says what is missing" },
	{ ERR_KEY_ABSENT, "import it with gssp11 keytab import" },
	{ ERR_POLICY, "see [appdefaults] gssp11 in krb5.conf" },
	{ ERR_FORMAT, "the sender's data is not what it should be" },
};

static OM_uint32 give_fixed(OM_uint32 *minor, const char *fixed, err_t err, gss_buffer_t text)
{
	char s[256];

	for (size_t i = 0; i < sizeof(cures) / sizeof(cures[0]); i++) {
		if (cures[i].err != err)
			continue;
		snprintf(s, sizeof(s), "%s: %s", fixed, cures[i].cure);
		return give_text(minor, s, text);
	}
	return give_text(minor, fixed, text);
}

OM_uint32 mech_display_minor(OM_uint32 *minor, OM_uint32 value, OM_uint32 *context,
			     gss_buffer_t text)
{
	const char *own = err_text((err_t)value);

	if (*context)
		return mech_fail(minor, GSS_S_FAILURE, G_BAD_MSG_CTX);
	if (!value)
		return give_text(minor, "Unknown error", text);
	if (own && own == err_fixed_text((err_t)value))
		return give_fixed(minor, own, (err_t)value, text);
	if (own)
		return give_text(minor, own, text);
	if (ask_stock(value, text))
		return GSS_S_COMPLETE;
	return give_text(minor, error_message((err_t)value), text);
}
