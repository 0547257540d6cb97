/*
 * Byte cursors with a sticky failure: code runs top to bottom like the RFC's
 * diagram and asks once, at the end, whether everything was there.
 *
 * A reader never owns its bytes.  A writer fills a caller's buffer (wr_init)
 * or grows its own up to a ceiling (wr_init_grow), and refuses, never
 * truncates.  Integers are unsigned; be = big-endian, le = little-endian.
 */
#ifndef GSSP11_BYTES_H
#define GSSP11_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct rd {
	const uint8_t *p;
	size_t left;
	bool bad;       /* a read went past the end; all later reads give 0 / NULL */
};

void rd_init(struct rd *r, const void *p, size_t len);
uint8_t rd_u8(struct rd *r);
uint16_t rd_be16(struct rd *r);
uint32_t rd_be32(struct rd *r);
uint64_t rd_be64(struct rd *r);
uint16_t rd_le16(struct rd *r);
uint32_t rd_le32(struct rd *r);
/* n octets in place (not copied), or NULL when fewer are left. */
const uint8_t *rd_bytes(struct rd *r, size_t n);
/* n octets as a reader of their own. */
struct rd rd_sub(struct rd *r, size_t n);
/* True when nothing failed and nothing is left. */
bool rd_done(const struct rd *r);

struct wr {
	uint8_t *base;
	size_t len, cap, max;
	bool own, bad;
};

void wr_init(struct wr *w, void *buf, size_t cap);
/* Grows with malloc up to max octets; the caller takes base with wr_take or calls wr_free. */
void wr_init_grow(struct wr *w, size_t max);
void wr_u8(struct wr *w, uint8_t v);
void wr_be16(struct wr *w, uint16_t v);
void wr_be32(struct wr *w, uint32_t v);
void wr_be64(struct wr *w, uint64_t v);
void wr_le16(struct wr *w, uint16_t v);
void wr_le32(struct wr *w, uint32_t v);
void wr_bytes(struct wr *w, const void *p, size_t n);

/* A struct secret * is refused when it is compiled: secrets are never written as such. */
struct secret;
void wr_refuse_secret(void);            /* declared only: makes the argument a void */
#define wr_bytes(w, p, n) wr_bytes((w), _Generic((p), \
	struct secret *: wr_refuse_secret(), const struct secret *: wr_refuse_secret(), \
	default: (p)), (n))

/* n zeroed octets in place, for later filling; NULL when they do not fit. */
uint8_t *wr_space(struct wr *w, size_t n);
/* Gives the grown buffer away (caller: free) or ENOMEM / E2BIG when the writer failed. */
MUST err_t wr_take(struct wr *w, uint8_t **out, size_t *len);
/* Wipes and frees what was grown. */
void wr_free(struct wr *w);

/* 2n lower-case digits and a NUL.  Nothing secret: the digits stay where they are put. */
void hex_put(const void *p, size_t n, char *out);
/* n octets from 2n digits, whatever follows them; false: there are fewer. */
MUST bool hex_get(const char *hex, uint8_t *out, size_t n);

#endif
