/* What a handover says in a blob and in CKA_ID. */
#include "keystore/handover_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ID_VERSION 1

static const uint8_t magic[4] = { 'g', 'p', '1', 'h' };

void ks_hand_id_encode(const struct ks_hand_id *id, uint8_t buf[KS_HAND_ID])
{
	struct wr w;

	wr_init(&w, buf, KS_HAND_ID);
	wr_bytes(&w, magic, sizeof(magic));
	wr_u8(&w, ID_VERSION);
	wr_be64(&w, (uint64_t)id->time);
	wr_bytes(&w, id->nonce, KS_HAND_NONCE);
	wr_be16(&w, id->index);
}

bool ks_hand_id_decode(const void *p, size_t len, struct ks_hand_id *out)
{
	const uint8_t *m, *nonce;
	bool known;
	struct rd r;

	memset(out, 0, sizeof(*out));
	rd_init(&r, p, len);
	m = rd_bytes(&r, sizeof(magic));
	known = m && memcmp(m, magic, sizeof(magic)) == 0 && rd_u8(&r) == ID_VERSION;
	out->time = (int64_t)rd_be64(&r);
	nonce = rd_bytes(&r, KS_HAND_NONCE);
	if (nonce)
		memcpy(out->nonce, nonce, KS_HAND_NONCE);
	out->index = rd_be16(&r);
	return known && rd_done(&r);
}

/* ---- in a blob ---- */

static void write_key(const struct ks_hand_key *k, struct wr *w)
{
	size_t i;

	wr_be32(w, (uint32_t)k->etype);
	wr_u8(w, (uint8_t)k->exposure);
	wr_be16(w, (uint16_t)k->n);
	for (i = 0; i < k->n; i++) {
		wr_be32(w, k->slots[i].usage);
		wr_u8(w, (uint8_t)k->slots[i].role);
		wr_u8(w, (uint8_t)k->slots[i].kind);
	}
}

void ks_handover_write(const struct ks_handover *h, struct wr *w)
{
	size_t i;

	wr_bytes(w, h->state, KS_STATE_ID);
	wr_bytes(w, h->id.nonce, KS_HAND_NONCE);
	wr_be64(w, (uint64_t)h->id.time);
	for (i = 0; i < h->n; i++)
		write_key(&h->keys[i], w);
}

static bool read_slot(struct rd *r, struct ks_hand_slot *s)
{
	uint8_t role, kind;

	s->usage = rd_be32(r);
	role = rd_u8(r);
	kind = rd_u8(r);
	if (r->bad || role > KS_KP || kind > KS_PRF)
		return false;
	s->role = (enum ks_role)role;
	s->kind = (enum ks_kind)kind;
	return true;
}

static bool read_key(struct rd *r, struct ks_hand_key *k)
{
	uint8_t exposure;
	size_t i, n;

	k->etype = (int32_t)rd_be32(r);
	exposure = rd_u8(r);
	n = rd_be16(r);
	if (r->bad || exposure > KS_TRANSIENT || n > KS_HANDOVER_SLOTS || !k->etype != !n)
		return false;
	k->exposure = (enum ks_exposure)exposure;
	for (i = 0; i < n; i++) {
		if (!read_slot(r, &k->slots[i]))
			return false;
	}
	k->n = n;
	return true;
}

static bool read_all(struct rd *r, struct ks_handover *h)
{
	const uint8_t *state = rd_bytes(r, KS_STATE_ID), *nonce = rd_bytes(r, KS_HAND_NONCE);
	size_t i;

	h->id.time = (int64_t)rd_be64(r);
	if (r->bad)
		return false;
	memcpy(h->state, state, KS_STATE_ID);
	memcpy(h->id.nonce, nonce, KS_HAND_NONCE);
	for (i = 0; i < h->n; i++) {
		if (!read_key(r, &h->keys[i]))
			return false;
		h->id.index = (uint16_t)(h->id.index + h->keys[i].n);
	}
	return h->id.index > 0;
}

err_t ks_handover_read(struct rd *r, size_t n, struct ks_handover **out)
{
	struct ks_handover *h;

	*out = NULL;
	if (n > KS_HANDOVER_KEYS)
		return err_set(ERR_INTERNAL, "a handover of %zu keys", n);
	h = calloc(1, sizeof(*h));
	if (!h)
		return ENOMEM;
	h->n = n;
	if (!read_all(r, h)) {
		ks_handover_free(&h);
		return err_set(ERR_FORMAT, "the references to keys in this token are malformed");
	}
	*out = h;
	return 0;
}

enum ks_exposure ks_handover_exposure(const struct ks_handover *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		if (h->keys[i].n && h->keys[i].exposure != KS_ON_TOKEN)
			return KS_TRANSIENT;
	}
	return KS_ON_TOKEN;
}

int32_t ks_handover_etype(const struct ks_handover *h, size_t i)
{
	return i < h->n ? h->keys[i].etype : 0;
}
