/* Gathering, signing, sealing and opening what a token protects. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mech/text.h"

_Static_assert(KS_HEAD == MECH_HEADER, "ks_seal's room in front is the token header's place");

/* Where the data begins in a sealed token. */
#define DATA_AT (MECH_HEADER + KS_CONFOUNDER)

/*
 * Each thread keeps its last large buffer.  Given back, it would go to the
 * system: glibc returns the heap's end whenever 128 KiB are free there, a soft
 * token's own buffers bring it over that, and then every message pays for
 * fresh pages (measured: a third of a 64 KiB wrap on SoftHSM2).
 */
struct kept {
	size_t room;
	bool lent;
	alignas(16) uint8_t octets[];
};

static pthread_key_t kept_key;
static bool kept_works;

static void kept_start(void)
{
	kept_works = pthread_key_create(&kept_key, free) == 0;
}

/* This thread's buffer if it is free, grown to n octets; NULL: do without. */
static struct kept *kept_borrow(size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kept *k;

	pthread_once(&once, kept_start);
	if (!kept_works || n > MECH_SCRATCH_KEPT)
		return NULL;
	k = pthread_getspecific(kept_key);
	if (k && (k->lent || k->room >= n))
		return k->lent ? NULL : k;
	if (k && pthread_setspecific(kept_key, NULL))
		return NULL;
	free(k);
	k = malloc(sizeof(*k) + n);
	if (!k)
		return NULL;
	*k = (struct kept){ .room = n };
	if (pthread_setspecific(kept_key, k)) {
		free(k);
		k = NULL;
	}
	return k;
}

err_t mech_scratch_get(struct mech_scratch *s, size_t n, uint8_t **out)
{
	s->heap = NULL;
	s->kept = NULL;
	*out = s->stack;
	if (n <= sizeof(s->stack))
		return ERR_OK;
	s->kept = kept_borrow(n);
	if (s->kept) {
		s->kept->lent = true;
		*out = s->kept->octets;
		return ERR_OK;
	}
	*out = s->heap = malloc(n);
	return *out ? ERR_OK : err_set(ENOMEM, "no memory for %zu octets of a message", n);
}

void mech_scratch_put(struct mech_scratch *s)
{
	if (s->kept)
		s->kept->lent = false;
	s->kept = NULL;
	free(s->heap);
	s->heap = NULL;
}

static bool is_data(const gss_iov_buffer_desc *b)
{
	OM_uint32 type = GSS_IOV_BUFFER_TYPE(b->type);

	return type == GSS_IOV_BUFFER_TYPE_DATA || type == GSS_IOV_BUFFER_TYPE_PADDING;
}

static bool is_extra(const gss_iov_buffer_desc *b)
{
	return GSS_IOV_BUFFER_TYPE(b->type) == GSS_IOV_BUFFER_TYPE_SIGN_ONLY;
}

/* The octets that a piece adds; nothing for buffers that are no part of the text. */
static gss_buffer_desc piece(const struct mech_text *t, int i)
{
	const gss_iov_buffer_desc *b = &t->iov[i];

	if (is_extra(b))
		return b->buffer;
	if (!is_data(b))
		return (gss_buffer_desc){ 0, NULL };
	if (!t->stream)
		return b->buffer;
	if (GSS_IOV_BUFFER_TYPE(b->type) == GSS_IOV_BUFFER_TYPE_DATA)
		return (gss_buffer_desc){ t->data_len, t->stream };
	return (gss_buffer_desc){ 0, NULL };
}

err_t mech_text_measure(struct mech_text *t)
{
	size_t data = 0, extra = 0;
	const gss_iov_buffer_desc *b;
	int i;

	for (i = 0; i < t->n; i++) {
		b = &t->iov[i];
		if (!is_extra(b) && (t->stream || !is_data(b)))
			continue;
		if (b->buffer.length && !b->buffer.value)
			return err_set(EINVAL, "message buffer %d has a length but no octets", i);
		if (b->buffer.length > MECH_TEXT_MAX - data - extra)
			return err_set(KRB5_BAD_MSIZE, "message is too long for one token: "
				       "more than %zu octets", MECH_TEXT_MAX);
		*(is_extra(b) ? &extra : &data) += b->buffer.length;
	}
	if (!t->stream)
		t->data_len = data;
	t->signed_len = extra;
	return ERR_OK;
}

void mech_text_gather(const struct mech_text *t, uint8_t *out)
{
	gss_buffer_desc p;
	int i;

	for (i = 0; i < t->n; i++) {
		p = piece(t, i);
		if (!p.length || is_extra(&t->iov[i]))
			continue;
		memcpy(out, p.value, p.length);
		out += p.length;
	}
}

void mech_text_scatter(const struct mech_text *t, const uint8_t *in)
{
	gss_buffer_desc p;
	int i;

	for (i = 0; i < t->n; i++) {
		p = piece(t, i);
		if (!p.length || is_extra(&t->iov[i]))
			continue;
		memcpy(p.value, in, p.length);
		in += p.length;
	}
}

/* Everything that is signed, in order, and the header behind it. */
static void gather_signed(const struct mech_text *t, const struct mech_guard *g, uint8_t *out)
{
	gss_buffer_desc p;
	int i;

	for (i = 0; i < t->n; i++) {
		p = piece(t, i);
		if (!p.length)
			continue;
		memcpy(out, p.value, p.length);
		out += p.length;
	}
	mech_guard_signed_header(g, out);
}

err_t mech_text_sign(const struct mech_text *t, const struct mech_guard *g, uint8_t mac[64])
{
	size_t len = t->data_len + t->signed_len + MECH_HEADER;
	struct mech_scratch s;
	uint8_t *buf;
	err_t err;

	err = mech_scratch_get(&s, len, &buf);
	if (err)
		return err;
	gather_signed(t, g, buf);
	err = ks_checksum(g->key, g->usage, buf, len, mac);
	mech_scratch_put(&s);
	return err;
}

err_t mech_text_check(const struct mech_text *t, const struct mech_guard *g,
		      const uint8_t *mac, size_t mac_len)
{
	size_t len = t->data_len + t->signed_len + MECH_HEADER;
	struct mech_scratch s;
	uint8_t *buf;
	err_t err;

	if (mac_len != g->etype->mac_len)
		return err_set(KRB5_BAD_MSIZE, "checksum of %zu octets where %zu belong",
			       mac_len, g->etype->mac_len);
	err = mech_scratch_get(&s, len, &buf);
	if (err)
		return err;
	gather_signed(t, g, buf);
	err = ks_checksum_verify(g->key, g->usage, buf, len, mac, mac_len);
	mech_scratch_put(&s);
	return err;
}

/* Lists the associated data with its place among the data; gives their number. */
static size_t list_extras(const struct mech_text *t, struct ks_extra *x)
{
	size_t at = 0, nx = 0;
	gss_buffer_desc p;
	int i;

	for (i = 0; i < t->n; i++) {
		p = piece(t, i);
		if (!is_extra(&t->iov[i]))
			at += p.length;
		else if (p.length)
			x[nx++] = (struct ks_extra){ at, p.value, p.length };
	}
	return nx;
}

/* ks_seal_with or ks_open_with */
typedef err_t extra_op(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len,
		       const struct ks_extra *x, size_t nx);

/* Runs op with the text's associated data. */
static err_t with_extras(const struct mech_text *t, const struct mech_guard *g, extra_op *op,
			 uint8_t *buf, size_t len)
{
	struct mech_scratch s;
	struct ks_extra *x;
	uint8_t *mem;
	err_t err;

	err = mech_scratch_get(&s, (size_t)t->n * sizeof(*x), &mem);
	if (err)
		return err;
	x = (struct ks_extra *)(void *)mem;
	err = op(g->key, g->usage, buf, len, x, list_extras(t, x));
	mech_scratch_put(&s);
	return err;
}

size_t mech_text_room(const struct mech_text *t, const struct mech_guard *g)
{
	return DATA_AT + t->data_len + g->h.ec + MECH_HEADER + KS_TAIL;
}

err_t mech_text_seal(const struct mech_text *t, const struct mech_guard *g, uint8_t *buf)
{
	size_t n = t->data_len + g->h.ec + MECH_HEADER;
	uint8_t *end = buf + DATA_AT + t->data_len;

	mech_text_gather(t, buf + DATA_AT);
	memset(end, 0xff, g->h.ec);
	mech_guard_signed_header(g, end + g->h.ec);
	if (t->signed_len)
		return with_extras(t, g, ks_seal_with, buf, n);
	return ks_seal(g->key, g->usage, buf, n);
}

/* The encrypted copy of the header must be the header, but for RRC. */
static bool copy_fits(const struct mech_guard *g, uint8_t *copy)
{
	uint8_t want[MECH_HEADER];

	mech_guard_signed_header(g, want);
	copy[6] = copy[7] = 0;
	return secret_equal(copy, want, MECH_HEADER);
}

err_t mech_text_open(const struct mech_text *t, const struct mech_guard *g,
		     uint8_t *buf, size_t len)
{
	size_t rest = KS_CONFOUNDER + g->h.ec + MECH_HEADER + g->etype->mac_len;
	err_t err;

	if (t->signed_len)
		err = with_extras(t, g, ks_open_with, buf, len);
	else
		err = ks_open(g->key, g->usage, buf, len);
	if (err)
		return err;
	if (len < rest || t->data_len != len - rest)
		return err_set(G_BAD_TOK_HEADER, "message token names %u octets of filler and has "
			       "no room for them", (unsigned)g->h.ec);
	if (!copy_fits(g, buf + DATA_AT + t->data_len + g->h.ec))
		return err_set(G_BAD_TOK_HEADER, "message token's header differs from its "
			       "protected copy");
	return ERR_OK;
}
