/* gss_wrap_iov and gss_wrap_iov_length: tokens spread over the caller's buffers. */
#include <errno.h>
#include <string.h>

#include "mech/iov_layout.h"
#include "mech/message.h"
#include "mech/text.h"

/* Without a DATA buffer there is nothing to encrypt, and wrapping signs only. */
static bool may_seal(gss_iov_buffer_desc *iov, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (GSS_IOV_BUFFER_TYPE(iov[i].type) == GSS_IOV_BUFFER_TYPE_DATA)
			return true;
	}
	return false;
}

/* Guard and lengths of the token that these buffers get. */
static err_t plan(const struct mech_ctx *c, bool conf, gss_iov_buffer_desc *iov, int n,
		  struct mech_layout *l, struct mech_guard *g)
{
	err_t err = mech_layout_find(l, iov, n, GSS_IOV_BUFFER_TYPE_HEADER);

	if (err)
		return err;
	mech_guard_send(c, MECH_TOK_WRAP, conf, g);
	if (conf)
		g->h.ec = mech_guard_filler(c);
	mech_layout_plan(l, c, g);
	if (l->padding)
		l->padding->buffer.length = 0;
	return ERR_OK;
}

/* Seals in memory of our own and spreads the ciphertext. */
static err_t seal(const struct mech_text *t, const struct mech_layout *l, struct mech_guard *g)
{
	uint8_t *header = l->header->buffer.value, *buf;
	struct mech_scratch s;
	const uint8_t *conf;
	err_t err;

	err = mech_scratch_get(&s, mech_text_room(t, g), &buf);
	if (err)
		return err;
	err = mech_text_seal(t, g, buf);
	if (err)
		goto out;
	conf = buf + MECH_HEADER;
	memcpy(header + l->header_len - KS_CONFOUNDER, conf, KS_CONFOUNDER);
	mech_text_scatter(t, conf + KS_CONFOUNDER);
	memcpy(mech_layout_tail(l), conf + KS_CONFOUNDER + t->data_len, l->trailer_len);
out:
	mech_scratch_put(&s);
	return err;
}

static err_t sign(const struct mech_text *t, const struct mech_layout *l, struct mech_guard *g)
{
	uint8_t mac[64];
	err_t err;

	err = mech_text_sign(t, g, mac);
	if (err)
		return err;
	memcpy(mech_layout_tail(l), mac, g->etype->mac_len);
	g->h.ec = (uint16_t)g->etype->mac_len;
	return ERR_OK;
}

static err_t wrap_buffers(struct mech_ctx *c, bool conf, gss_iov_buffer_desc *iov, int n)
{
	struct mech_text t = { .iov = iov, .n = n };
	struct mech_layout l;
	struct mech_guard g;
	err_t err;

	err = plan(c, conf, iov, n, &l, &g);
	if (!err)
		err = mech_text_measure(&t);
	if (!err)
		err = mech_layout_place(&l);
	if (err)
		return err;

	mech_guard_number(c, &g);
	err = conf ? seal(&t, &l, &g) : sign(&t, &l, &g);
	if (err) {
		mech_guard_unnumber(c, &g);
		return err;
	}
	g.h.rrc = (uint16_t)l.rrc;
	mech_header_write(&g.h, l.header->buffer.value);
	return ERR_OK;
}

OM_uint32 mech_wrap_iov(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			int *conf_state, gss_iov_buffer_desc *iov, int n)
{
	OM_uint32 major;
	err_t err;

	if (conf_state)
		*conf_state = 0;
	major = mech_message_ready(minor, c, qop);
	if (major != GSS_S_COMPLETE)
		return major;
	conf = conf && may_seal(iov, n);
	err = wrap_buffers(c, conf, iov, n);
	if (err) {
		mech_iov_release(iov, n);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	if (conf_state)
		*conf_state = conf;
	return GSS_S_COMPLETE;
}

static void set_length(gss_iov_buffer_t b, size_t len)
{
	if (!b)
		return;
	b->buffer.value = NULL;
	b->buffer.length = len;
}

OM_uint32 mech_wrap_iov_length(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			       int *conf_state, gss_iov_buffer_desc *iov, int n)
{
	OM_uint32 major = mech_message_ready(minor, c, qop);
	struct mech_layout l;
	struct mech_guard g;
	err_t err;

	if (conf_state)
		*conf_state = 0;
	if (major != GSS_S_COMPLETE)
		return major;
	conf = conf && may_seal(iov, n);
	err = plan(c, conf, iov, n, &l, &g);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	set_length(l.header, l.header_len);
	set_length(l.padding, 0);
	set_length(l.trailer, l.trailer_len);
	if (conf_state)
		*conf_state = conf;
	return GSS_S_COMPLETE;
}
