/* gss_get_mic_iov, gss_get_mic_iov_length and gss_verify_mic_iov. */
#include <string.h>

#include "mech/iov_layout.h"
#include "mech/message.h"
#include "mech/text.h"

/*
 * The token stands in the MIC_TOKEN buffer as a whole; a TRAILER buffer is not
 * looked at.
 */
static err_t plan(const struct mech_ctx *c, gss_iov_buffer_desc *iov, int n,
		  struct mech_layout *l, struct mech_guard *g)
{
	err_t err = mech_layout_find(l, iov, n, GSS_IOV_BUFFER_TYPE_MIC_TOKEN);

	if (err)
		return err;
	mech_guard_send(c, MECH_TOK_MIC, false, g);
	mech_layout_plan(l, c, g);
	if (l->padding)
		l->padding->buffer.length = 0;
	return ERR_OK;
}

static err_t sign_buffers(struct mech_ctx *c, gss_iov_buffer_desc *iov, int n)
{
	struct mech_text t = { .iov = iov, .n = n };
	struct mech_layout l;
	struct mech_guard g;
	uint8_t mac[64];
	err_t err;

	err = plan(c, iov, n, &l, &g);
	if (!err)
		err = mech_text_measure(&t);
	if (!err)
		err = mech_layout_place(&l);
	if (err)
		return err;

	mech_guard_number(c, &g);
	err = mech_text_sign(&t, &g, mac);
	if (err) {
		mech_guard_unnumber(c, &g);
		return err;
	}
	mech_header_write(&g.h, l.header->buffer.value);
	memcpy(mech_layout_tail(&l), mac, l.trailer_len);
	return ERR_OK;
}

OM_uint32 mech_get_mic_iov(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t qop,
			   gss_iov_buffer_desc *iov, int n)
{
	OM_uint32 major = mech_message_ready(minor, c, qop);
	err_t err;

	if (major != GSS_S_COMPLETE)
		return major;
	err = sign_buffers(c, iov, n);
	if (err) {
		mech_iov_release(iov, n);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	return GSS_S_COMPLETE;
}

OM_uint32 mech_get_mic_iov_length(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t qop,
				  gss_iov_buffer_desc *iov, int n)
{
	OM_uint32 major = mech_message_ready(minor, c, qop);
	struct mech_layout l;
	struct mech_guard g;
	err_t err;

	if (major != GSS_S_COMPLETE)
		return major;
	err = plan(c, iov, n, &l, &g);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	l.header->buffer = (gss_buffer_desc){ l.header_len, NULL };
	if (l.padding)
		l.padding->buffer.value = NULL;
	return GSS_S_COMPLETE;
}

static OM_uint32 check_buffers(OM_uint32 *minor, struct mech_ctx *c, struct mech_text *t,
			       const struct mech_layout *l)
{
	const gss_buffer_desc *h = &l->header->buffer;
	size_t len = h->value ? h->length : 0;
	struct mech_guard g;
	OM_uint32 major;
	err_t err;

	major = mech_guard_receive(minor, c, MECH_TOK_MIC, h->value, len, &g);
	if (major != GSS_S_COMPLETE)
		return major;
	if (l->padding && l->padding->buffer.length)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_BAD_TOK_HEADER, "tokens of RFC 4121 have no padding"));
	err = mech_text_check(t, &g, mech_layout_tail(l), len - MECH_HEADER);
	if (err)
		return mech_guard_failed(minor, err);
	return mech_guard_accept(minor, c, &g);
}

OM_uint32 mech_verify_mic_iov(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t *qop,
			      gss_iov_buffer_desc *iov, int n)
{
	struct mech_text t = { .iov = iov, .n = n };
	struct mech_layout l;
	OM_uint32 major;
	err_t err;

	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = mech_message_ready(minor, c, GSS_C_QOP_DEFAULT);
	if (major != GSS_S_COMPLETE)
		return major;
	err = mech_layout_find(&l, iov, n, GSS_IOV_BUFFER_TYPE_MIC_TOKEN);
	if (!err)
		err = mech_text_measure(&t);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	return check_buffers(minor, c, &t, &l);
}
