/* gss_get_mic and gss_verify_mic, plain (RFC 4121 4.2.6.1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/message.h"
#include "mech/text.h"

static err_t make_mic(struct mech_ctx *c, struct mech_text *t, gss_buffer_t token)
{
	struct mech_guard g;
	uint8_t mac[64], *buf;
	err_t err;

	err = mech_text_measure(t);
	if (err)
		return err;
	mech_guard_send(c, MECH_TOK_MIC, false, &g);
	buf = malloc(MECH_HEADER + g.etype->mac_len);
	if (!buf)
		return err_set(ENOMEM, "no memory for a MIC token");
	mech_guard_number(c, &g);
	err = mech_text_sign(t, &g, mac);
	if (err) {
		mech_guard_unnumber(c, &g);
		free(buf);
		return err;
	}
	mech_header_write(&g.h, buf);
	memcpy(buf + MECH_HEADER, mac, g.etype->mac_len);
	token->value = buf;
	token->length = MECH_HEADER + g.etype->mac_len;
	return ERR_OK;
}

OM_uint32 mech_get_mic(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t qop,
		       const gss_buffer_t msg, gss_buffer_t token)
{
	gss_iov_buffer_desc iov = { GSS_IOV_BUFFER_TYPE_DATA, *msg };
	struct mech_text t = { .iov = &iov, .n = 1 };
	OM_uint32 major;
	err_t err;

	token->value = NULL;
	token->length = 0;
	major = mech_message_ready(minor, c, qop);
	if (major != GSS_S_COMPLETE)
		return major;
	err = make_mic(c, &t, token);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : GSS_S_COMPLETE;
}

/* The token behind its frame, its checksum at p + MECH_HEADER. */
static OM_uint32 check_mic(OM_uint32 *minor, struct mech_ctx *c, struct mech_text *t,
			   const uint8_t *p, size_t len)
{
	struct mech_guard g;
	OM_uint32 major;
	err_t err;

	major = mech_guard_receive(minor, c, MECH_TOK_MIC, p, len, &g);
	if (major != GSS_S_COMPLETE)
		return major;
	if (g.h.ec != 0xffff || g.h.rrc != 0xffff)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_BAD_TOK_HEADER, "MIC token's filler is not ff"));
	err = mech_text_measure(t);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	err = mech_text_check(t, &g, p + MECH_HEADER, len - MECH_HEADER);
	if (err)
		return mech_guard_failed(minor, err);
	return mech_guard_accept(minor, c, &g);
}

OM_uint32 mech_verify_mic(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t msg,
			  const gss_buffer_t token, gss_qop_t *qop)
{
	gss_iov_buffer_desc iov = { GSS_IOV_BUFFER_TYPE_DATA, *msg };
	struct mech_text t = { .iov = &iov, .n = 1 };
	const uint8_t *p = token->value;
	size_t len = token->length;
	OM_uint32 major;
	err_t err;

	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = mech_message_ready(minor, c, GSS_C_QOP_DEFAULT);
	if (major != GSS_S_COMPLETE)
		return major;
	err = mech_token_unframe(&p, &len);
	if (err)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN, err);
	return check_mic(minor, c, &t, p, len);
}
