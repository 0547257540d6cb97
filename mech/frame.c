/* The frame around context tokens (RFC 2743 3.1). */
#include "mech/frame.h"

#include <errno.h>
#include <string.h>

#include "mech/codes.h"

#define FRAME_TAG 0x60
#define OID_TAG 0x06

static gss_OID find_mech(struct der_str oid)
{
	gss_OID m;
	size_t i;

	for (i = 0; (m = mech_oid_public(i)) != NULL; i++) {
		if (m->length == oid.len && memcmp(m->elements, oid.p, oid.len) == 0)
			return m;
	}
	return NULL;
}

err_t mech_frame_read(const gss_buffer_t token, struct mech_frame *out)
{
	struct der d, in;
	struct der_str oid;
	err_t err;

	memset(out, 0, sizeof(*out));
	out->body = (struct der_str){ token->value, token->length };
	der_init(&d, token->value, token->length, &err);
	if (!der_is(&d, FRAME_TAG))
		return 0;
	in = der_in(&d, FRAME_TAG);
	der_end(&d);
	oid = der_content(&in, OID_TAG);
	out->tok_id = rd_be16(&in.rd);
	if (err || in.rd.bad)
		return err_set(G_BAD_TOK_HEADER, "the token's frame (RFC 2743 3.1) is malformed");
	out->mech = find_mech(oid);
	if (!out->mech)
		return err_set(G_WRONG_MECH, "the token is for another mechanism than Kerberos 5");
	out->body = (struct der_str){ in.rd.p, in.rd.left };
	return 0;
}

err_t mech_frame_make(gss_const_OID mech, uint16_t tok_id, const void *body, size_t len,
		      gss_buffer_t out)
{
	size_t inner = der_head_len(mech->length) + mech->length + 2 + len;
	uint8_t *p = NULL;
	struct wr w;
	size_t n;
	err_t err;

	out->length = 0;
	out->value = NULL;
	wr_init_grow(&w, der_head_len(inner) + inner);
	der_put_head(&w, FRAME_TAG, inner);
	der_put(&w, OID_TAG, mech->elements, mech->length);
	wr_be16(&w, tok_id);
	wr_bytes(&w, body, len);
	err = wr_take(&w, &p, &n);
	if (err)
		return err_set(err, "out of memory making a token");
	out->value = p;
	out->length = n;
	return 0;
}
