/*
 * What a token protects, piece by piece in the caller's order: DATA (and
 * PADDING, empty as a rule) is carried and perhaps encrypted, SIGN_ONLY is
 * signed and stays outside the token.  Private to the message calls.
 */
#ifndef GSSP11_TEXT_H
#define GSSP11_TEXT_H

#include <stdalign.h>

#include "mech/token.h"

#define MECH_TEXT_MAX (MECH_TOKEN_MAX - 256)  /* octets that one token protects at most */
#define MECH_SCRATCH 2048                     /* octets that need no malloc */
#define MECH_SCRATCH_KEPT (1025 * 1024)       /* octets that a thread keeps at most */

struct mech_text {
	gss_iov_buffer_desc *iov;
	int n;
	uint8_t *stream;         /* stands in for the DATA buffer's octets; NULL: they are its own */
	size_t data_len;         /* octets carried; with a stream the caller says how many */
	size_t signed_len;       /* octets of SIGN_ONLY */
};

/* Memory of one call: on the stack while it is small, else the thread's own or malloc's. */
struct mech_scratch {
	struct kept *kept;
	void *heap;
	alignas(16) uint8_t stack[MECH_SCRATCH];
};

/* n octets, not zeroed; ENOMEM.  Give back with mech_scratch_put. */
MUST err_t mech_scratch_get(struct mech_scratch *s, size_t n, uint8_t **out);
void mech_scratch_put(struct mech_scratch *s);

/*
 * Sums up data_len (unless there is a stream) and signed_len.  KRB5_BAD_MSIZE
 * past MECH_TEXT_MAX, EINVAL for a length without octets.
 */
MUST err_t mech_text_measure(struct mech_text *t);

/* Copies the carried octets: out of the buffers, or back into them. */
void mech_text_gather(const struct mech_text *t, uint8_t *out);
void mech_text_scatter(const struct mech_text *t, const uint8_t *in);

/*
 * Checksum over all octets in order, then the header (RFC 4121 4.2.4), at the
 * start of mac; and the same compared.  Errors of ks_checksum.
 */
MUST err_t mech_text_sign(const struct mech_text *t, const struct mech_guard *g,
			  uint8_t mac[64]);
MUST err_t mech_text_check(const struct mech_text *t, const struct mech_guard *g,
			   const uint8_t *mac, size_t mac_len);

/* Octets of memory that mech_text_seal works in. */
size_t mech_text_room(const struct mech_text *t, const struct mech_guard *g);

/*
 * Makes in buf the whole sealed token but for its header, RRC 0:
 *   MECH_HEADER octets, destroyed | confounder | data | EC filler | header copy | MAC
 */
MUST err_t mech_text_seal(const struct mech_text *t, const struct mech_guard *g, uint8_t *buf);

/*
 * The reverse, in place; len octets of ciphertext stand at buf + MECH_HEADER
 * with KS_CONFOUNDER octets of room behind.  Afterwards the data is where
 * mech_text_seal takes it, and the header copy has been checked.
 * KRB5KRB_AP_ERR_BAD_INTEGRITY, KRB5_BAD_MSIZE; G_BAD_TOK_HEADER where a
 * genuine ciphertext has no room for EC and header, or another header in it.
 */
MUST err_t mech_text_open(const struct mech_text *t, const struct mech_guard *g,
			  uint8_t *buf, size_t len);

#endif
