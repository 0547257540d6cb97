/* gss_wrap, gss_wrap_aead and their sizes (RFC 4121 4.2.4, 4.2.6.2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/message.h"
#include "mech/text.h"

enum { APART_MIN = 32 * 1024, APART_MAX = 128 * 1024 };

static err_t no_memory(size_t n)
{
	return err_set(ENOMEM, "no memory for a message token of %zu octets", n);
}

/* The token is built where it goes out: one allocation, one copy of the message. */
static err_t seal_in_place(const struct mech_text *t, const struct mech_guard *g, size_t room,
			   uint8_t **out)
{
	uint8_t *buf = malloc(room);
	err_t err;

	if (!buf)
		return no_memory(room);
	err = mech_text_seal(t, g, buf);
	if (err)
		free(buf);
	else
		*out = buf;
	return err;
}

/* Built in the thread's kept memory: a second copy costs less than fresh pages (see text.c). */
static err_t seal_apart(const struct mech_text *t, const struct mech_guard *g, size_t room,
			uint8_t **out)
{
	struct mech_scratch s;
	uint8_t *buf;
	err_t err;

	err = mech_scratch_get(&s, room, &buf);
	if (err)
		return err;
	err = mech_text_seal(t, g, buf);
	if (!err) {
		*out = malloc(room);
		if (*out)
			memcpy(*out, buf, room);
		else
			err = no_memory(room);
	}
	mech_scratch_put(&s);
	return err;
}

static err_t wrap_sealed(const struct mech_text *t, const struct mech_guard *g, gss_buffer_t out)
{
	const size_t room = mech_text_room(t, g);
	const bool apart = room > APART_MIN && room <= APART_MAX;
	uint8_t *buf = NULL;
	err_t err;

	err = apart ? seal_apart(t, g, room, &buf) : seal_in_place(t, g, room, &buf);
	if (err)
		return err;
	mech_header_write(&g->h, buf);
	out->value = buf;
	out->length = MECH_HEADER + ks_sealed_len(g->etype, t->data_len + g->h.ec + MECH_HEADER);
	return ERR_OK;
}

/* The checksum over text and header, data already at its place in the token. */
static err_t sign_in_place(const struct mech_text *t, const struct mech_guard *g,
			   uint8_t *data, uint8_t mac[64])
{
	if (t->signed_len)
		return mech_text_sign(t, g, mac);
	mech_guard_signed_header(g, data + t->data_len);
	return ks_checksum(g->key, g->usage, data, t->data_len + MECH_HEADER, mac);
}

static err_t wrap_signed(const struct mech_text *t, struct mech_guard *g, gss_buffer_t out)
{
	size_t room = MECH_HEADER + t->data_len + KS_MAC_MAX;
	uint8_t mac[64], *buf = malloc(room);
	err_t err;

	_Static_assert(KS_MAC_MAX >= MECH_HEADER, "the header is signed where the MAC goes");
	if (!buf)
		return no_memory(room);
	mech_text_gather(t, buf + MECH_HEADER);
	err = sign_in_place(t, g, buf + MECH_HEADER, mac);
	if (err) {
		free(buf);
		return err;
	}
	memcpy(buf + MECH_HEADER + t->data_len, mac, g->etype->mac_len);
	g->h.ec = (uint16_t)g->etype->mac_len;
	mech_header_write(&g->h, buf);
	out->value = buf;
	out->length = MECH_HEADER + t->data_len + g->etype->mac_len;
	return ERR_OK;
}

/* ec: octets of filler between the message and the header's copy. */
static err_t wrap_text(struct mech_ctx *c, bool conf, uint16_t ec, struct mech_text *t,
		       gss_buffer_t out)
{
	struct mech_guard g;
	err_t err;

	err = mech_text_measure(t);
	if (err)
		return err;
	mech_guard_send(c, MECH_TOK_WRAP, conf, &g);
	mech_guard_number(c, &g);
	if (conf) {
		g.h.ec = ec;
		err = wrap_sealed(t, &g, out);
	} else {
		err = wrap_signed(t, &g, out);
	}
	if (err)
		mech_guard_unnumber(c, &g);
	return err;
}

/* SIGN_ONLY before DATA; without associated data the first is empty and adds nothing. */
static err_t wrap_pieces(struct mech_ctx *c, bool conf, uint16_t ec, const gss_buffer_t assoc,
			 const gss_buffer_t in, gss_buffer_t out)
{
	gss_iov_buffer_desc iov[2] = {
		{ GSS_IOV_BUFFER_TYPE_SIGN_ONLY, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_DATA, *in },
	};
	struct mech_text t = { .iov = iov, .n = 2 };

	if (assoc)
		iov[0].buffer = *assoc;
	return wrap_text(c, conf, ec, &t, out);
}

static OM_uint32 wrap(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop, uint16_t ec,
		      const gss_buffer_t assoc, const gss_buffer_t in, int *conf_state,
		      gss_buffer_t out)
{
	OM_uint32 major;
	err_t err;

	out->value = NULL;
	out->length = 0;
	if (conf_state)
		*conf_state = 0;
	major = mech_message_ready(minor, c, qop);
	if (major != GSS_S_COMPLETE)
		return major;
	err = wrap_pieces(c, conf, ec, assoc, in, out);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	if (conf_state)
		*conf_state = !!conf;
	return GSS_S_COMPLETE;
}

OM_uint32 mech_wrap(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
		    const gss_buffer_t in, int *conf_state, gss_buffer_t out)
{
	return wrap(minor, c, conf, qop, 0, NULL, in, conf_state, out);
}

OM_uint32 mech_wrap_aead(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			 const gss_buffer_t assoc, const gss_buffer_t in, int *conf_state,
			 gss_buffer_t out)
{
	return wrap(minor, c, conf, qop, mech_guard_filler(c), assoc, in, conf_state, out);
}

OM_uint32 mech_wrap_size_limit(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			       OM_uint32 limit, OM_uint32 *max)
{
	OM_uint32 major = mech_message_ready(minor, c, qop);
	const struct ks_etype *e;
	size_t over;

	*max = 0;
	if (major != GSS_S_COMPLETE)
		return major;
	e = ks_key_etype(mech_ctx_send_key(c));
	over = MECH_HEADER + e->mac_len;
	if (conf)
		over += KS_CONFOUNDER + MECH_HEADER;
	if (limit > over)
		*max = limit - over < MECH_TEXT_MAX ? limit - over : MECH_TEXT_MAX;
	return GSS_S_COMPLETE;
}
