/* The octets of RFC 4121 tokens. */
#include <string.h>

#include "mech/token.h"
#include "pkcs11/bytes.h"

/* 1.2.840.113554.1.2.2 with its DER tag and length */
static const uint8_t oid_der[] = {
	0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02,
};

void mech_header_write(const struct mech_header *h, uint8_t out[MECH_HEADER])
{
	struct wr w;

	wr_init(&w, out, MECH_HEADER);
	wr_be16(&w, h->id);
	wr_u8(&w, h->flags);
	wr_u8(&w, h->filler);
	wr_be16(&w, h->ec);
	wr_be16(&w, h->rrc);
	wr_be64(&w, h->seq);
}

err_t mech_header_read(const uint8_t *p, size_t len, struct mech_header *out)
{
	struct rd r;

	rd_init(&r, p, len);
	out->id = rd_be16(&r);
	out->flags = rd_u8(&r);
	out->filler = rd_u8(&r);
	out->ec = rd_be16(&r);
	out->rrc = rd_be16(&r);
	out->seq = rd_be64(&r);
	if (r.bad)
		return err_set(G_BAD_TOK_HEADER, "message token is cut off: %zu of its header's "
			       "%d octets are there", len, MECH_HEADER);
	if (out->id != MECH_TOK_WRAP && out->id != MECH_TOK_MIC && out->id != MECH_TOK_DELETE)
		return err_set(G_BAD_TOK_HEADER, "token of type %04x is no per-message token "
			       "of RFC 4121", (unsigned)out->id);
	return ERR_OK;
}

/* A DER length of at most four octets after its first. */
static size_t read_length(struct rd *r)
{
	size_t len = rd_u8(r), n;

	if (len < 0x80)
		return len;
	n = len & 0x7f;
	if (n > 4)
		r->bad = true;
	for (len = 0; n && !r->bad; n--)
		len = len << 8 | rd_u8(r);
	return len;
}

err_t mech_token_unframe(const uint8_t **p, size_t *len)
{
	const uint8_t *oid;
	struct rd r;
	size_t body;

	if (*len > MECH_TOKEN_MAX)
		return err_set(G_BAD_TOK_HEADER, "message token of %zu octets is too long", *len);
	if (!*p)
		*len = 0;
	if (!*len || **p != 0x60)
		return ERR_OK;

	rd_init(&r, *p, *len);
	(void)rd_u8(&r);
	body = read_length(&r);
	if (r.bad || body != r.left)
		return err_set(G_BAD_TOK_HEADER, "message token's frame names another length");
	oid = rd_bytes(&r, sizeof(oid_der));
	if (!oid)
		return err_set(G_BAD_TOK_HEADER, "message token's frame is cut off");
	if (memcmp(oid, oid_der, sizeof(oid_der)))
		return err_set(G_WRONG_MECH, "message token's frame names another mechanism");
	*p = r.p;
	*len = r.left;
	return ERR_OK;
}

void mech_rotate_copy(uint8_t *out, const uint8_t *in, size_t len, size_t rrc)
{
	size_t cut;

	if (!len)
		return;
	cut = rrc % len;
	memcpy(out, in + cut, len - cut);
	memcpy(out + len - cut, in, cut);
}
