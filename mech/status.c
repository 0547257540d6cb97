/* Major and minor statuses, and the texts for them. */
#include "mech/codes.h"
#include "mech/mech.h"

#include <com_err.h>
#include <errno.h>
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

OM_uint32 mech_display_minor(OM_uint32 *minor, OM_uint32 value, OM_uint32 *context,
			     gss_buffer_t text)
{
	const char *own = err_text((err_t)value);

	if (*context)
		return mech_fail(minor, GSS_S_FAILURE, G_BAD_MSG_CTX);
	if (!value)
		return give_text(minor, "Unknown error", text);
	if (own)
		return give_text(minor, own, text);
	if (ask_stock(value, text))
		return GSS_S_COMPLETE;
	return give_text(minor, error_message((err_t)value), text);
}
