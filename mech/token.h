/*
 * Per-message tokens of RFC 4121: the header's octets, and who protects a
 * token with which key, usage and number.  Private to the message calls.
 */
#ifndef GSSP11_TOKEN_4121_H
#define GSSP11_TOKEN_4121_H

#include "mech/codes.h"
#include "mech/ctx.h"
#include "mech/mech.h"

#define MECH_HEADER 16           /* octets (RFC 4121 4.2.6) */
#define MECH_TOKEN_MAX ((size_t)INT32_MAX)  /* octets: peers keep a token's length in an int */

enum { MECH_TOK_MIC = 0x0404, MECH_TOK_DELETE = 0x0405, MECH_TOK_WRAP = 0x0504 };

enum {                           /* flags of RFC 4121 4.2.2 */
	MECH_BY_ACCEPTOR = 1, MECH_SEALED = 2, MECH_ACCEPTOR_SUBKEY = 4
};

struct mech_header {
	uint16_t id;             /* MECH_TOK_ */
	uint8_t flags, filler;
	uint16_t ec, rrc;        /* extra count, right rotation count */
	uint64_t seq;
};

/* ---- octets (token.c) ---- */

void mech_header_write(const struct mech_header *h, uint8_t out[MECH_HEADER]);

/*
 * Reads the first 16 octets.  G_BAD_TOK_HEADER where they are missing or
 * begin with no token of RFC 4121; nothing else is judged.
 */
MUST err_t mech_header_read(const uint8_t *p, size_t len, struct mech_header *out);

/*
 * Steps over an optional frame of RFC 2743 3.1 (0x60, length, krb5's OID),
 * which must span all of the token.  G_BAD_TOK_HEADER, G_WRONG_MECH.
 */
MUST err_t mech_token_unframe(const uint8_t **p, size_t *len);

/* Copies len octets, undoing a right rotation by rrc (RFC 4121 4.2.5). */
void mech_rotate_copy(uint8_t *out, const uint8_t *in, size_t len, size_t rrc);

/* ---- protection (guard.c) ---- */

/* What one token is protected with. */
struct mech_guard {
	struct ks_key *key;
	const struct ks_etype *etype;
	uint32_t usage;          /* RFC 4121 2: 22 to 25, by the sender's role */
	struct mech_header h;
};

/*
 * Whether per-message calls may run: GSS_S_BAD_QOP, GSS_S_NO_CONTEXT, or
 * GSS_S_COMPLETE with *minor 0.
 */
OM_uint32 mech_message_ready(OM_uint32 *minor, const struct mech_ctx *c, gss_qop_t qop);

/* Key, usage and header (number still 0) of a token to send; id MECH_TOK_WRAP or MECH_TOK_MIC. */
void mech_guard_send(const struct mech_ctx *c, uint16_t id, bool sealed, struct mech_guard *g);

/*
 * Octets of filler that IOV and AEAD calls put in (EC): a block in the DCE
 * style, where Windows wants it so (MS-KILE 3.4.5.4.1), else none.
 */
uint16_t mech_guard_filler(const struct mech_ctx *c);

/* Takes the next number for a token; nobody else gets the same one. */
void mech_guard_number(struct mech_ctx *c, struct mech_guard *g);

/*
 * Gives the number back when the token failed, unless a later one has been
 * taken meanwhile: then a gap stays, as after a lost message.
 */
void mech_guard_unnumber(struct mech_ctx *c, const struct mech_guard *g);

/*
 * Key and usage for a token received: p is its header.  id is what the caller
 * expects.  GSS_S_DEFECTIVE_TOKEN, GSS_S_BAD_SIG (G_BAD_DIRECTION).
 */
OM_uint32 mech_guard_receive(OM_uint32 *minor, const struct mech_ctx *c, uint16_t id,
			     const uint8_t *p, size_t len, struct mech_guard *g);

/*
 * The status of a failed check or decryption: GSS_S_BAD_SIG,
 * GSS_S_DEFECTIVE_TOKEN (G_BAD_TOK_HEADER), or GSS_S_FAILURE when the key's
 * token or memory is at fault.
 */
OM_uint32 mech_guard_failed(OM_uint32 *minor, err_t err);

/* Enters a verified token's number: GSS_S_COMPLETE or a supplementary status. */
OM_uint32 mech_guard_accept(OM_uint32 *minor, struct mech_ctx *c, const struct mech_guard *g);

/* The header as it is signed, and as its encrypted copy: RRC 0, and EC 0 for checksums of wraps. */
void mech_guard_signed_header(const struct mech_guard *g, uint8_t out[MECH_HEADER]);

#endif
