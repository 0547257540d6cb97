/* Byte cursors with a sticky failure. */
#include "pkcs11/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/secret.h"

void rd_init(struct rd *r, const void *p, size_t len)
{
	r->p = p;
	r->left = p ? len : 0;
	r->bad = !p && len;
}

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	static const uint8_t nothing[1];
	const uint8_t *p = r->p ? r->p : nothing;

	if (r->bad || n > r->left) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	r->p = p + n;
	r->left -= n;
	return p;
}

/* n octets, most significant first. */
static uint64_t rd_be(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	uint64_t v = 0;
	size_t i;

	for (i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* n octets, least significant first. */
static uint64_t rd_le(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	uint64_t v = 0;
	size_t i;

	for (i = n; p && i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

uint8_t rd_u8(struct rd *r) { return (uint8_t)rd_be(r, 1); }
uint16_t rd_be16(struct rd *r) { return (uint16_t)rd_be(r, 2); }
uint32_t rd_be32(struct rd *r) { return (uint32_t)rd_be(r, 4); }
uint64_t rd_be64(struct rd *r) { return rd_be(r, 8); }
uint16_t rd_le16(struct rd *r) { return (uint16_t)rd_le(r, 2); }
uint32_t rd_le32(struct rd *r) { return (uint32_t)rd_le(r, 4); }

struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);
	struct rd sub = { p, p ? n : 0, !p };

	return sub;
}

bool rd_done(const struct rd *r)
{
	return !r->bad && r->left == 0;
}

void wr_init(struct wr *w, void *buf, size_t cap)
{
	memset(w, 0, sizeof(*w));
	w->base = buf;
	w->cap = w->max = buf ? cap : 0;
}

void wr_init_grow(struct wr *w, size_t max)
{
	memset(w, 0, sizeof(*w));
	w->max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4;
	w->own = true;
}

/* Makes room for n more; the old buffer is wiped, for what it holds may be private. */
static void grow(struct wr *w, size_t n)
{
	size_t want = w->cap ? w->cap * 2 : 256;
	uint8_t *p;

	while (want - w->len < n)
		want *= 2;
	if (want > w->max)
		want = w->max;
	p = malloc(want);
	if (!p) {
		w->bad = true;
		w->max = 0;     /* tells wr_take that memory, not the ceiling, was the limit */
		return;
	}
	if (w->len)
		memcpy(p, w->base, w->len);
	secret_wipe(w->base, w->cap);
	free(w->base);
	w->base = p;
	w->cap = want;
}

uint8_t *wr_space(struct wr *w, size_t n)
{
	uint8_t *p;

	if (w->bad || n > w->max - w->len) {
		w->bad = true;
		return NULL;
	}
	if (w->own && (!w->base || n > w->cap - w->len))
		grow(w, n);
	if (w->bad || !w->base)
		return NULL;
	p = w->base + w->len;
	memset(p, 0, n);
	w->len += n;
	return p;
}

void (wr_bytes)(struct wr *w, const void *src, size_t n)
{
	uint8_t *p = wr_space(w, n);

	if (p && n)
		memcpy(p, src, n);
}

static void wr_be(struct wr *w, uint64_t v, size_t n)
{
	uint8_t *p = wr_space(w, n);
	size_t i;

	for (i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static void wr_le(struct wr *w, uint64_t v, size_t n)
{
	uint8_t *p = wr_space(w, n);
	size_t i;

	for (i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void wr_u8(struct wr *w, uint8_t v) { wr_be(w, v, 1); }
void wr_be16(struct wr *w, uint16_t v) { wr_be(w, v, 2); }
void wr_be32(struct wr *w, uint32_t v) { wr_be(w, v, 4); }
void wr_be64(struct wr *w, uint64_t v) { wr_be(w, v, 8); }
void wr_le16(struct wr *w, uint16_t v) { wr_le(w, v, 2); }
void wr_le32(struct wr *w, uint32_t v) { wr_le(w, v, 4); }

err_t wr_take(struct wr *w, uint8_t **out, size_t *len)
{
	err_t err;

	*out = NULL;
	*len = 0;
	if (!w->own)
		return err_set(ERR_INTERNAL, "wr_take: the writer does not own its buffer");
	/* An empty result is still an allocation, so that callers need no special case. */
	if (!w->bad && !w->base)
		w->base = calloc(1, 1);
	if (w->bad || !w->base) {
		err = w->bad && w->max ? E2BIG : ENOMEM;
		wr_free(w);
		return err;
	}
	*out = w->base;
	*len = w->len;
	memset(w, 0, sizeof(*w));
	return 0;
}

void wr_free(struct wr *w)
{
	if (w->own) {
		secret_wipe(w->base, w->cap);
		free(w->base);
	}
	memset(w, 0, sizeof(*w));
}

/* ---- hex digits --------------------------------------------------------------------- */

static const char digits[] = "0123456789abcdef";

void hex_put(const void *p, size_t n, char *out)
{
	const uint8_t *in = p;
	size_t i;

	for (i = 0; i < n; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	*out = '\0';
}

static bool digit_get(char c, uint8_t *out)
{
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	*out = (uint8_t)(*out << 4 | (at ? at - digits : 0));
	return at != NULL;
}

bool hex_get(const char *hex, uint8_t *out, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!digit_get(hex[2 * i], &out[i]) || !digit_get(hex[2 * i + 1], &out[i]))
			return false;
	}
	return true;
}
