/*
 * Fuzz target: tokens that arrive (gss_unwrap, _aead, _iov, gss_verify_mic,
 * _iov).  The keystore is replaced by a cipher that does nothing and a MAC
 * that always fits, so that all of the parsing behind the MAC is reached; what
 * comes out must be the octets that RFC 4121's rotation says.
 *
 *   octet 0: which call, and what the context is like    octet 1: enctype, mending
 *   octets 2, 3: where an IOV is cut                     rest: the token
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/message.h"
#include "mech/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the keystore ---- */

static const struct ks_etype rows[4] = {
	{ .id = 17, .name = "a", .family = KS_RFC3962, .key_len = 16, .mac_len = 12 },
	{ .id = 18, .name = "b", .family = KS_RFC3962, .key_len = 32, .mac_len = 12 },
	{ .id = 19, .name = "c", .family = KS_RFC8009, .key_len = 16, .mac_len = 16 },
	{ .id = 20, .name = "d", .family = KS_RFC8009, .key_len = 32, .mac_len = 24 },
};

struct ks_key {
	const struct ks_etype *e;
};

const struct ks_etype *ks_key_etype(const struct ks_key *k)
{
	return k->e;
}

struct ks_key *mech_ctx_send_key(const struct mech_ctx *c)
{
	return c->acceptor_key ? c->acceptor_key : c->initiator_key;
}

/* Touches what the real one touches: head, text, and the room behind. */
err_t ks_open(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len)
{
	memset(buf, 0, KS_HEAD);
	memset(buf + KS_HEAD + len, 0, KS_CONFOUNDER);
	if (len < KS_CONFOUNDER + k->e->mac_len)
		return KRB5_BAD_MSIZE;
	return 0;
}

err_t ks_open_with(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len,
		   const struct ks_extra *x, size_t nx)
{
	err_t err = ks_open(k, usage, buf, len);
	size_t i, j, last = 0;
	volatile uint8_t sink;

	for (i = 0; !err && i < nx; i++) {
		if (x[i].at < last || x[i].at > len - KS_CONFOUNDER - k->e->mac_len)
			abort();
		last = x[i].at;
		for (j = 0; j < x[i].len; j++)
			sink = x[i].data[j];
	}
	(void)sink;
	return err;
}

err_t ks_checksum_verify(struct ks_key *k, uint32_t usage, const uint8_t *data, size_t len,
			 const uint8_t *mac, size_t mac_len)
{
	volatile uint8_t sink = mac[mac_len - 1];
	size_t i;

	for (i = 0; i < len; i++)
		sink = data[i];
	(void)sink;
	if (mac_len != k->e->mac_len || len < MECH_HEADER)
		abort();
	return 0;
}

/* Sending is not what is tried here. */
err_t ks_checksum(struct ks_key *k, uint32_t usage, const uint8_t *data, size_t len,
		  uint8_t mac[64])
{
	return ERR_INTERNAL;
}

err_t ks_seal(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n)
{
	return ERR_INTERNAL;
}

err_t ks_seal_with(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n,
		   const struct ks_extra *x, size_t nx)
{
	return ERR_INTERNAL;
}

size_t ks_sealed_len(const struct ks_etype *e, size_t n)
{
	return KS_CONFOUNDER + n + e->mac_len;
}

OM_uint32 mech_fail(OM_uint32 *minor, OM_uint32 major, err_t err)
{
	*minor = (OM_uint32)err;
	if (!err || !major)
		abort();
	return major;
}

/* ---- the target ---- */

struct input {
	struct mech_ctx c;
	struct ks_key key;
	unsigned call, cut[2];
	uint8_t *token;          /* a copy of its exact length, to be read by all */
	size_t len;
};

static size_t at_rotated(const struct input *in, size_t i)
{
	size_t body = in->len - MECH_HEADER, rrc = (size_t)in->token[6] << 8 | in->token[7];

	return MECH_HEADER + (i + rrc) % body;
}

/* Puts a true copy of the header where the sealed one is looked for. */
static void mend(struct input *in)
{
	size_t mac_len = in->key.e->mac_len, body = in->len - MECH_HEADER, i;

	if (in->len < 2 * MECH_HEADER + mac_len)
		return;
	for (i = 0; i < MECH_HEADER; i++)
		in->token[at_rotated(in, body - mac_len - MECH_HEADER + i)] =
			i == 6 || i == 7 ? 0 : in->token[i];
}

static void check_octets(const struct input *in, const uint8_t *out, size_t n, bool sealed)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (out[i] != in->token[at_rotated(in, i + (sealed ? KS_CONFOUNDER : 0))])
			abort();
	}
}

static void try_unwrap(struct input *in, bool aead)
{
	gss_buffer_desc token = { in->len, in->token }, out = { 1, NULL };
	gss_buffer_desc assoc = { in->cut[0] & 7, in->cut };
	uint8_t *before = malloc(in->len + 1);
	OM_uint32 minor, major;
	int sealed = 7;

	memcpy(before, in->token, in->len);
	if (aead)
		major = mech_unwrap_aead(&minor, &in->c, &token, &assoc, &out, &sealed, NULL);
	else
		major = mech_unwrap(&minor, &in->c, &token, &out, &sealed, NULL);
	if (memcmp(before, in->token, in->len) || (sealed & ~1) || !out.length != !out.value)
		abort();
	if (GSS_ERROR(major) && (out.value || !minor))
		abort();
	if (!GSS_ERROR(major) && in->token[0] != 0x60)
		check_octets(in, out.value, out.length, sealed);
	free(out.value);
	free(before);
}

/* Cuts the token into header, data and trailer; each in memory of its own length. */
static void try_iov(struct input *in)
{
	size_t a = in->cut[0] < in->len ? in->cut[0] : in->len;
	size_t b = in->cut[1] < in->len - a ? in->cut[1] : in->len - a, left = in->len - a - b;
	gss_iov_buffer_desc v[5] = {
		{ GSS_IOV_BUFFER_TYPE_SIGN_ONLY, { 3, in->cut } },
		{ GSS_IOV_BUFFER_TYPE_HEADER, { a, malloc(a) } },
		{ GSS_IOV_BUFFER_TYPE_DATA, { left, malloc(left) } },
		{ GSS_IOV_BUFFER_TYPE_PADDING, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_TRAILER, { b, malloc(b) } },
	};
	OM_uint32 minor, major;
	int sealed;

	memcpy(v[1].buffer.value, in->token, a);
	memcpy(v[2].buffer.value, in->token + a, left);
	memcpy(v[4].buffer.value, in->token + a + left, b);
	major = mech_unwrap_iov(&minor, &in->c, &sealed, NULL, v, in->cut[1] ? 5 : 4);
	if (v[2].buffer.length != left || (!major) != (!minor))
		abort();
	free(v[1].buffer.value);
	free(v[2].buffer.value);
	free(v[4].buffer.value);
}

static void try_stream(struct input *in, bool allocate)
{
	gss_iov_buffer_desc v[2] = {
		{ GSS_IOV_BUFFER_TYPE_STREAM, { in->len, malloc(in->len) } },
		{ GSS_IOV_BUFFER_TYPE_DATA | (allocate ? GSS_IOV_BUFFER_FLAG_ALLOCATE : 0),
		  { 0, NULL } },
	};
	OM_uint32 minor, major;
	int sealed;

	memcpy(v[0].buffer.value, in->token, in->len);
	major = mech_unwrap_iov(&minor, &in->c, &sealed, NULL, v, 2);
	if (!GSS_ERROR(major) && in->token[0] != 0x60)
		check_octets(in, v[1].buffer.value, v[1].buffer.length, sealed);
	if (v[1].type & GSS_IOV_BUFFER_FLAG_ALLOCATED)
		free(v[1].buffer.value);
	free(v[0].buffer.value);
}

static void try_mic(struct input *in, bool iov)
{
	gss_buffer_desc msg = { in->cut[0] & 7, in->cut }, token = { in->len, in->token };
	gss_iov_buffer_desc v[2] = {
		{ GSS_IOV_BUFFER_TYPE_DATA, msg }, { GSS_IOV_BUFFER_TYPE_MIC_TOKEN, token },
	};
	OM_uint32 minor, major;

	if (iov)
		major = mech_verify_mic_iov(&minor, &in->c, NULL, v, 2);
	else
		major = mech_verify_mic(&minor, &in->c, &msg, &token, NULL);
	if (!major != !minor)
		abort();
}

static void context(struct input *in, const uint8_t *head)
{
	struct mech_ctx *c = &in->c;

	in->call = head[0] & 7;
	in->cut[0] = head[2];
	in->cut[1] = head[3];
	in->key.e = &rows[head[1] & 3];
	c->state = MECH_ESTABLISHED;
	c->initiator = head[0] & 8;
	c->flags = head[0] & 16 ? GSS_C_DCE_STYLE : 0;
	c->initiator_key = &in->key;
	c->acceptor_key = head[0] & 32 ? &in->key : NULL;
	mech_seq_init(&c->recv, 0, head[0] & 64, head[0] & 128);
	pthread_mutex_init(&c->lock, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .len = 0 };

	if (size < 4)
		return 0;
	context(&in, data);
	in.len = size - 4;
	in.token = malloc(in.len);
	memcpy(in.token, data + 4, in.len);
	if (data[1] & 4)
		mend(&in);
	if (in.call < 2)
		try_unwrap(&in, in.call);
	else if (in.call == 2)
		try_iov(&in);
	else if (in.call < 5)
		try_stream(&in, in.call == 3);
	else
		try_mic(&in, in.call == 5);
	free(in.token);
	return 0;
}
