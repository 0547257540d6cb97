/* The KRB-ERROR that tells a waiting initiator why it was refused (RFC 4120 5.9.1). */
#include "mech/accept_steps.h"

#include <string.h>

#define CODE_MAX 127
#define CODE_GENERIC 60

/* The protocol's number of a libkrb5 code; "generic" for what is not one. */
static krb5_ui_4 wire_code(err_t minor)
{
	int64_t code = (int64_t)minor - ERROR_TABLE_BASE_krb5;

	return code < 0 || code > CODE_MAX ? CODE_GENERIC : (krb5_ui_4)code;
}

void mech_accept_error_token(const struct accept *a, err_t minor, gss_buffer_t out)
{
	krb5_error e = { .error = wire_code(minor) };
	krb5_data msg = { 0 };
	krb5_context k5;

	if (!a->decoded || !a->server ||
	    !(a->flags & GSS_C_MUTUAL_FLAG || a->req.options & AP_OPT_MUTUAL) || mech_krb5(&k5))
		return;
	/* Best effort: the caller gets the status in any case. */
	if (krb5_us_timeofday(k5, &e.stime, &e.susec) == 0 &&
	    krb5_parse_name(k5, a->server, &e.server) == 0 &&
	    krb5_mk_error(k5, &e, &msg) == 0 &&
	    mech_frame_make(mech_oid_real(a->frame.mech), FRAME_ERROR, msg.data, msg.length, out))
		*out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	krb5_free_principal(k5, e.server);
	krb5_free_data_contents(k5, &msg);
}
