/* gss_unwrap and gss_unwrap_aead (RFC 4121 4.2.4, 4.2.5, 4.2.6.2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/message.h"
#include "mech/open.h"

/* What follows the header of a token. */
struct body {
	const uint8_t *p;
	size_t len;
};

static err_t body_room(size_t n, uint8_t **out)
{
	*out = malloc(n);
	return *out ? ERR_OK : err_set(ENOMEM, "no memory for a message token of %zu octets", n);
}

/* Moves the data to the start of its allocation, which is the caller's from now on. */
static void hand_over(uint8_t *buf, size_t at, size_t len, struct mech_opened *out)
{
	if (!len) {
		free(buf);
		return;
	}
	if (at)
		memmove(buf, buf + at, len);
	out->data = buf;
	out->len = len;
}

static err_t open_sealed(const struct mech_guard *g, const struct body *b,
			 struct mech_text *t, struct mech_opened *out)
{
	size_t rest = KS_CONFOUNDER + g->h.ec + MECH_HEADER + g->etype->mac_len;
	uint8_t *buf;
	err_t err;

	err = body_room(MECH_HEADER + b->len + KS_CONFOUNDER, &buf);
	if (err)
		return err;
	mech_rotate_copy(buf + MECH_HEADER, b->p, b->len, g->h.rrc);
	t->stream = buf;
	t->data_len = b->len < rest ? 0 : b->len - rest;
	err = mech_text_open(t, g, buf, b->len);
	if (err) {
		free(buf);
		return err;
	}
	out->sealed = true;
	out->at += KS_CONFOUNDER;
	hand_over(buf, MECH_HEADER + KS_CONFOUNDER, t->data_len, out);
	return ERR_OK;
}

/* The checksum of what stands at buf, data_len octets and room for a header. */
static err_t check_in_place(const struct mech_guard *g, const struct mech_text *t, uint8_t *buf,
			    const uint8_t *mac)
{
	size_t mac_len = g->etype->mac_len;

	if (t->signed_len)
		return mech_text_check(t, g, mac, mac_len);
	mech_guard_signed_header(g, buf + t->data_len);
	return ks_checksum_verify(g->key, g->usage, buf, t->data_len + MECH_HEADER, mac, mac_len);
}

static err_t open_signed(const struct mech_guard *g, const struct body *b,
			 struct mech_text *t, struct mech_opened *out)
{
	size_t mac_len = g->etype->mac_len;
	uint8_t mac[KS_MAC_MAX], *buf;
	err_t err;

	if (g->h.ec > b->len)
		return err_set(G_BAD_TOK_HEADER, "message token names a checksum of %u octets and "
			       "has %zu", (unsigned)g->h.ec, b->len);
	if (g->h.ec != mac_len)
		return err_set(KRB5_BAD_MSIZE, "message token has a checksum of %u octets where "
			       "%s has %zu", (unsigned)g->h.ec, g->etype->name, mac_len);
	err = body_room(b->len + MECH_HEADER, &buf);
	if (err)
		return err;
	mech_rotate_copy(buf, b->p, b->len, g->h.rrc);
	t->stream = buf;
	t->data_len = b->len - mac_len;
	memcpy(mac, buf + t->data_len, mac_len);
	err = check_in_place(g, t, buf, mac);
	if (err) {
		free(buf);
		return err;
	}
	hand_over(buf, 0, t->data_len, out);
	return ERR_OK;
}

OM_uint32 mech_open_stream(OM_uint32 *minor, struct mech_ctx *c, const uint8_t *p, size_t len,
			   struct mech_text *t, struct mech_opened *out)
{
	const uint8_t *start = p;
	struct mech_guard g;
	struct body b;
	OM_uint32 major;
	err_t err;

	*out = (struct mech_opened){ .data = NULL };
	err = mech_token_unframe(&p, &len);
	if (err)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN, err);
	major = mech_guard_receive(minor, c, MECH_TOK_WRAP, p, len, &g);
	if (major != GSS_S_COMPLETE)
		return major;

	b = (struct body){ p + MECH_HEADER, len - MECH_HEADER };
	out->at = (size_t)(b.p - start);
	if (g.h.flags & MECH_SEALED)
		err = open_sealed(&g, &b, t, out);
	else
		err = open_signed(&g, &b, t, out);
	t->stream = NULL;
	if (err)
		return mech_guard_failed(minor, err);
	return mech_guard_accept(minor, c, &g);
}

/* gss_unwrap with t's buffers: one DATA, perhaps SIGN_ONLY before it. */
static OM_uint32 unwrap_text(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t in,
			     struct mech_text *t, gss_buffer_t out, int *conf_state)
{
	struct mech_opened o;
	OM_uint32 major;
	err_t err;

	err = mech_text_measure(t);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = mech_open_stream(minor, c, in->value, in->length, t, &o);
	if (GSS_ERROR(major))
		return major;
	if (conf_state)
		*conf_state = o.sealed;
	out->value = o.data;
	out->length = o.len;
	return major;
}

OM_uint32 mech_unwrap(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t in,
		      gss_buffer_t out, int *conf_state, gss_qop_t *qop)
{
	return mech_unwrap_aead(minor, c, in, NULL, out, conf_state, qop);
}

OM_uint32 mech_unwrap_aead(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t in,
			   const gss_buffer_t assoc, gss_buffer_t out, int *conf_state,
			   gss_qop_t *qop)
{
	gss_iov_buffer_desc iov[2] = {
		{ GSS_IOV_BUFFER_TYPE_SIGN_ONLY, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_DATA, { 0, NULL } },
	};
	struct mech_text t = { .iov = iov, .n = 2 };
	OM_uint32 major;

	out->value = NULL;
	out->length = 0;
	if (conf_state)
		*conf_state = 0;
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = mech_message_ready(minor, c, GSS_C_QOP_DEFAULT);
	if (major != GSS_S_COMPLETE)
		return major;
	if (assoc)
		iov[0].buffer = *assoc;
	return unwrap_text(minor, c, in, &t, out, conf_state);
}
