/* Header, padding and trailer in an array of buffers. */
#include <errno.h>
#include <stdlib.h>

#include "mech/iov_layout.h"

gss_iov_buffer_t mech_iov_find(gss_iov_buffer_desc *iov, int n, OM_uint32 type)
{
	gss_iov_buffer_t found = NULL;
	int i;

	for (i = 0; i < n; i++) {
		if (GSS_IOV_BUFFER_TYPE(iov[i].type) != type)
			continue;
		if (found)
			return NULL;
		found = &iov[i];
	}
	return found;
}

err_t mech_layout_find(struct mech_layout *l, gss_iov_buffer_desc *iov, int n,
		       OM_uint32 header_type)
{
	*l = (struct mech_layout){
		.header = mech_iov_find(iov, n, header_type),
		.padding = mech_iov_find(iov, n, GSS_IOV_BUFFER_TYPE_PADDING),
	};
	if (header_type == GSS_IOV_BUFFER_TYPE_HEADER)
		l->trailer = mech_iov_find(iov, n, GSS_IOV_BUFFER_TYPE_TRAILER);
	if (!l->header)
		return err_set(EINVAL, "exactly one buffer of type %u is needed for the token",
			       (unsigned)header_type);
	return ERR_OK;
}

void mech_layout_plan(struct mech_layout *l, const struct mech_ctx *c,
		      const struct mech_guard *g)
{
	bool sealed = g->h.id == MECH_TOK_WRAP && g->h.flags & MECH_SEALED;

	l->mac_at = sealed ? g->h.ec + (size_t)MECH_HEADER : 0;
	l->header_len = MECH_HEADER + (sealed ? KS_CONFOUNDER : 0);
	l->trailer_len = l->mac_at + g->etype->mac_len;
	l->rrc = 0;
	if (l->trailer)
		return;
	l->header_len += l->trailer_len;
	l->rrc = l->trailer_len;
	/* Windows rotates by EC and RRC in the DCE style. */
	if (sealed && c->flags & GSS_C_DCE_STYLE)
		l->rrc -= g->h.ec;
}

static err_t place(gss_iov_buffer_t b, size_t len)
{
	if (b->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) {
		b->buffer.length = 0;
		b->buffer.value = malloc(len);
		if (!b->buffer.value)
			return err_set(ENOMEM, "no memory for a message token");
		b->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
	} else if (!b->buffer.value || b->buffer.length < len) {
		return err_set(KRB5_BAD_MSIZE, "buffer of type %u has %zu octets and needs %zu",
			       (unsigned)GSS_IOV_BUFFER_TYPE(b->type), b->buffer.length, len);
	}
	b->buffer.length = len;
	return ERR_OK;
}

err_t mech_layout_place(struct mech_layout *l)
{
	err_t err = place(l->header, l->header_len);

	if (!err && l->trailer)
		err = place(l->trailer, l->trailer_len);
	return err;
}

bool mech_layout_fits(const struct mech_layout *l)
{
	size_t header = l->header->buffer.length;
	bool sealed = l->mac_at;

	if (!l->trailer)
		return header == l->header_len;
	/* Where nothing but the token's header stands in it, stock lets the buffer be longer. */
	if (sealed ? header != l->header_len : header < l->header_len)
		return false;
	return l->trailer->buffer.value && l->trailer->buffer.length == l->trailer_len;
}

uint8_t *mech_layout_tail(const struct mech_layout *l)
{
	if (l->trailer)
		return l->trailer->buffer.value;
	return (uint8_t *)l->header->buffer.value + MECH_HEADER;
}

void mech_iov_release(gss_iov_buffer_desc *iov, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (!(iov[i].type & GSS_IOV_BUFFER_FLAG_ALLOCATED))
			continue;
		free(iov[i].buffer.value);
		iov[i].buffer.value = NULL;
		iov[i].buffer.length = 0;
		iov[i].type &= ~GSS_IOV_BUFFER_FLAG_ALLOCATED;
	}
}
