/*
 * The frame around context tokens (RFC 2743 3.1, RFC 4121 4.1):
 * 60 length 06 length OID | TOK_ID | body.
 */
#ifndef GSSP11_FRAME_H
#define GSSP11_FRAME_H

#include "mech/der.h"
#include "mech/mech.h"

#define FRAME_AP_REQ 0x0100
#define FRAME_AP_REP 0x0200
#define FRAME_ERROR 0x0300

struct mech_frame {
	gss_OID mech;            /* one of the public OIDs, static; NULL: raw, no frame */
	uint16_t tok_id;
	struct der_str body;
};

/*
 * Takes a token apart.  A token without the frame's first octet is raw (DCE
 * style): all of it is body.  G_BAD_TOK_HEADER for a broken frame,
 * G_WRONG_MECH for an OID that is not one of Kerberos 5's three.
 */
MUST err_t mech_frame_read(const gss_buffer_t token, struct mech_frame *out);

/* A framed token; out->value is malloc'ed. */
MUST err_t mech_frame_make(gss_const_OID mech, uint16_t tok_id, const void *body, size_t len,
			   gss_buffer_t out);

#endif
