/*
 * Where the parts of a token go in a caller's array of buffers.  A type that
 * appears twice counts as absent.  Private to the message calls.
 */
#ifndef GSSP11_IOV_LAYOUT_H
#define GSSP11_IOV_LAYOUT_H

#include "mech/token.h"

struct mech_layout {
	gss_iov_buffer_t header, padding, trailer;   /* NULL: absent */
	size_t header_len;       /* octets */
	size_t trailer_len;      /* octets, also where they stand in the header */
	size_t mac_at;           /* offset of the MAC in what stands in the trailer */
	size_t rrc;              /* as the header must name it */
};

/* The one buffer of this type, or NULL. */
gss_iov_buffer_t mech_iov_find(gss_iov_buffer_desc *iov, int n, OM_uint32 type);

/* Finds the buffers of a token whose header has this type; EINVAL without header. */
MUST err_t mech_layout_find(struct mech_layout *l, gss_iov_buffer_desc *iov, int n,
			    OM_uint32 header_type);

/*
 * Lengths and RRC of a token with g's header (EC set where sealed): the
 * trailer's part follows the header where there is no TRAILER buffer.
 */
void mech_layout_plan(struct mech_layout *l, const struct mech_ctx *c,
		      const struct mech_guard *g);

/* Allocates header and trailer where asked, and sets their lengths.  KRB5_BAD_MSIZE, ENOMEM. */
MUST err_t mech_layout_place(struct mech_layout *l);

/* True when the buffers of a received token have the planned lengths. */
bool mech_layout_fits(const struct mech_layout *l);

/* What stands in the trailer, wherever it is: trailer_len octets. */
uint8_t *mech_layout_tail(const struct mech_layout *l);

/* Frees every buffer that has the flag ALLOCATED, and takes the flag away. */
void mech_iov_release(gss_iov_buffer_desc *iov, int n);

#endif
