/* gss_unwrap_iov: tokens spread over the caller's buffers, and STREAM. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/iov_layout.h"
#include "mech/message.h"
#include "mech/open.h"

static err_t wrong_length(const struct mech_layout *l)
{
	return err_set(KRB5_BAD_MSIZE, "token's header and trailer have %zu and %zu octets, "
		       "and should have %zu and %zu", l->header->buffer.length,
		       l->trailer ? l->trailer->buffer.length : 0, l->header_len,
		       l->trailer ? l->trailer_len : 0);
}

/* Puts the ciphertext together, opens it, and spreads the plaintext. */
static err_t open_buffers(const struct mech_text *t, const struct mech_layout *l,
			  const struct mech_guard *g)
{
	const uint8_t *header = l->header->buffer.value;
	size_t len = KS_CONFOUNDER + t->data_len + l->trailer_len;
	struct mech_scratch s;
	uint8_t *buf, *conf;
	err_t err;

	err = mech_scratch_get(&s, MECH_HEADER + len + KS_CONFOUNDER, &buf);
	if (err)
		return err;
	conf = buf + MECH_HEADER;
	memcpy(conf, header + l->header_len - KS_CONFOUNDER, KS_CONFOUNDER);
	mech_text_gather(t, conf + KS_CONFOUNDER);
	memcpy(conf + KS_CONFOUNDER + t->data_len, mech_layout_tail(l), l->trailer_len);
	err = mech_text_open(t, g, buf, len);
	if (!err)
		mech_text_scatter(t, conf + KS_CONFOUNDER);
	mech_scratch_put(&s);
	return err;
}

/* What the header says must fit the buffers before anything is verified. */
static OM_uint32 check_layout(OM_uint32 *minor, const struct mech_layout *l,
			      const struct mech_guard *g)
{
	bool sealed = g->h.flags & MECH_SEALED;

	if (g->h.rrc != l->rrc)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_BAD_TOK_HEADER, "token is rotated by %u where these "
					 "buffers need %zu", (unsigned)g->h.rrc, l->rrc));
	if (!sealed && g->h.ec != g->etype->mac_len)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_BAD_TOK_HEADER, "token has a checksum of %u octets "
					 "where %s has %zu", (unsigned)g->h.ec, g->etype->name,
					 g->etype->mac_len));
	if (!mech_layout_fits(l))
		return mech_fail(minor, GSS_S_BAD_SIG, wrong_length(l));
	return GSS_S_COMPLETE;
}

/* Finds the header and judges it. */
static OM_uint32 read_layout(OM_uint32 *minor, struct mech_ctx *c, gss_iov_buffer_desc *iov,
			     int n, struct mech_layout *l, struct mech_guard *g)
{
	gss_buffer_t h;
	OM_uint32 major;
	err_t err;

	err = mech_layout_find(l, iov, n, GSS_IOV_BUFFER_TYPE_HEADER);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	h = &l->header->buffer;
	major = mech_guard_receive(minor, c, MECH_TOK_WRAP, h->value, h->value ? h->length : 0, g);
	if (major != GSS_S_COMPLETE)
		return major;
	if (l->padding && l->padding->buffer.length)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_BAD_TOK_HEADER, "tokens of RFC 4121 have no padding"));
	mech_layout_plan(l, c, g);
	return check_layout(minor, l, g);
}

static OM_uint32 unwrap_header(OM_uint32 *minor, struct mech_ctx *c, int *conf_state,
			       gss_iov_buffer_desc *iov, int n)
{
	struct mech_text t = { .iov = iov, .n = n };
	struct mech_layout l;
	struct mech_guard g;
	OM_uint32 major;
	err_t err;

	major = read_layout(minor, c, iov, n, &l, &g);
	if (major != GSS_S_COMPLETE)
		return major;
	err = mech_text_measure(&t);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	if (g.h.flags & MECH_SEALED)
		err = open_buffers(&t, &l, &g);
	else
		err = mech_text_check(&t, &g, mech_layout_tail(&l), l.trailer_len);
	if (err)
		return mech_guard_failed(minor, err);
	if (conf_state)
		*conf_state = !!(g.h.flags & MECH_SEALED);
	return mech_guard_accept(minor, c, &g);
}

/* The data where it belongs: memory of its own, or its place in the stream. */
static void give_data(gss_iov_buffer_t data, const gss_buffer_desc *stream,
		      struct mech_opened *o)
{
	data->buffer.length = o->len;
	if (data->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) {
		data->buffer.value = o->data;
		data->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
		return;
	}
	data->buffer.value = (uint8_t *)stream->value + o->at;
	if (o->len)
		memcpy(data->buffer.value, o->data, o->len);
	free(o->data);
}

static err_t stream_buffers(const struct mech_ctx *c, gss_iov_buffer_desc *iov, int n,
			    gss_iov_buffer_t *data)
{
	*data = mech_iov_find(iov, n, GSS_IOV_BUFFER_TYPE_DATA);
	if (c->flags & GSS_C_DCE_STYLE)
		return err_set(EINVAL, "a STREAM buffer cannot be used in the DCE style");
	if (!*data)
		return err_set(EINVAL, "a STREAM buffer needs exactly one DATA buffer");
	return ERR_OK;
}

static OM_uint32 unwrap_stream(OM_uint32 *minor, struct mech_ctx *c, int *conf_state,
			       gss_iov_buffer_desc *iov, int n, const gss_buffer_desc *stream)
{
	/* What DATA and PADDING hold now is no part of the text. */
	struct mech_text t = { .iov = iov, .n = n, .stream = stream->value };
	gss_iov_buffer_t data;
	struct mech_opened o;
	OM_uint32 major;
	err_t err;

	err = stream_buffers(c, iov, n, &data);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	err = mech_text_measure(&t);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = mech_open_stream(minor, c, stream->value, stream->value ? stream->length : 0,
				 &t, &o);
	if (GSS_ERROR(major))
		return major;
	give_data(data, stream, &o);
	if (conf_state)
		*conf_state = o.sealed;
	return major;
}

OM_uint32 mech_unwrap_iov(OM_uint32 *minor, struct mech_ctx *c, int *conf_state,
			  gss_qop_t *qop, gss_iov_buffer_desc *iov, int n)
{
	gss_iov_buffer_t stream;
	OM_uint32 major;

	if (conf_state)
		*conf_state = 0;
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = mech_message_ready(minor, c, GSS_C_QOP_DEFAULT);
	if (major != GSS_S_COMPLETE)
		return major;
	stream = mech_iov_find(iov, n, GSS_IOV_BUFFER_TYPE_STREAM);
	if (stream)
		return unwrap_stream(minor, c, conf_state, iov, n, &stream->buffer);
	return unwrap_header(minor, c, conf_state, iov, n);
}
