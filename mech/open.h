/* Opening a wrap token that lies in one piece.  Private to the message calls. */
#ifndef GSSP11_OPEN_H
#define GSSP11_OPEN_H

#include "mech/text.h"

struct mech_opened {
	uint8_t *data;           /* malloc'ed, caller frees; NULL when empty */
	size_t len;
	size_t at;               /* where a decryption in place would have put the data */
	bool sealed;
};

/*
 * Opens the token at p (an optional frame of RFC 2743 around it, any RRC).
 * t gives the SIGN_ONLY buffers around its DATA buffer; p is not changed.
 * Data is there unless GSS_ERROR(the status).
 */
OM_uint32 mech_open_stream(OM_uint32 *minor, struct mech_ctx *c, const uint8_t *p, size_t len,
			   struct mech_text *t, struct mech_opened *out);

#endif
