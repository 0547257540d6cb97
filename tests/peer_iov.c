/* What two peers say to each other in IOVs: every layout, opened in every way that it allows. */
#include "tests/peer.h"

#include <stdlib.h>
#include <string.h>

#define ASSOC_LEN 37

/*
 * Letters: H header, D data, S sign-only, P padding, T trailer.  How the other
 * side may open it: as one buffer, as a stream, in the layout it was made in.
 */
enum { AS_BUFFER = 1, AS_STREAM = 2, AS_LAYOUT = 4, AS_AEAD = 8 };

struct layout {
	const char *spec;
	bool dce;
	unsigned ways;
};

static const struct layout layouts[] = {
	{ "HDPT", false, AS_BUFFER | AS_STREAM | AS_LAYOUT },
	{ "HDDDPT", false, AS_BUFFER | AS_LAYOUT },
	{ "HSDPT", false, AS_STREAM | AS_LAYOUT | AS_AEAD },
	{ "HDSPT", false, AS_STREAM | AS_LAYOUT },
	{ "SHSDSDPT", false, AS_LAYOUT },
	{ "HD", true, AS_LAYOUT },
	{ "SDSH", true, AS_LAYOUT },
	{ "HSDS", true, AS_LAYOUT },
};
#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))
#define IOV_MAX_N 10

static OM_uint32 iov_type(char c)
{
	switch (c) {
	case 'H': return GSS_IOV_BUFFER_TYPE_HEADER;
	case 'D': return GSS_IOV_BUFFER_TYPE_DATA;
	case 'S': return GSS_IOV_BUFFER_TYPE_SIGN_ONLY;
	case 'P': return GSS_IOV_BUFFER_TYPE_PADDING;
	default: return GSS_IOV_BUFFER_TYPE_TRAILER;
	}
}

static bool holds_text(const gss_iov_buffer_desc *b)
{
	OM_uint32 type = GSS_IOV_BUFFER_TYPE(b->type);

	return type == GSS_IOV_BUFFER_TYPE_DATA || type == GSS_IOV_BUFFER_TYPE_SIGN_ONLY;
}

/* The i-th buffer's share of the text: the last data buffer takes what is left. */
static size_t share(const char *spec, size_t i, size_t n)
{
	size_t k, before = 0;

	if (spec[i] == 'S')
		return ASSOC_LEN;
	if (spec[i] != 'D')
		return 0;
	for (k = 0; k < i; k++)
		before += spec[k] == 'D';
	return strchr(spec + i + 1, 'D') ? n / 3 : n - before * (n / 3);
}

static int iov_fill(const char *spec, size_t n, gss_iov_buffer_desc *iov)
{
	int i;

	memset(iov, 0, IOV_MAX_N * sizeof(*iov));
	for (i = 0; spec[i]; i++) {
		iov[i].type = iov_type(spec[i]);
		if (holds_text(&iov[i])) {
			iov[i].buffer.length = share(spec, (size_t)i, n);
			iov[i].buffer.value = pattern(iov[i].buffer.length, 10 + (unsigned)i);
		}
	}
	return i;
}

static void iov_free(gss_iov_buffer_desc *iov, int n)
{
	while (n-- > 0)
		free(iov[n].buffer.value);
}

/* Either the mechanism allocates, or the caller asks for lengths first and they must hold. */
static void iov_make_room(struct side *s, gss_iov_buffer_desc *iov, int n, int conf, bool alloc)
{
	OM_uint32 minor, major;
	int i, state = -1;

	if (alloc) {
		for (i = 0; i < n; i++) {
			if (!holds_text(&iov[i]))
				iov[i].type |= GSS_IOV_BUFFER_FLAG_ALLOCATE;
		}
		return;
	}
	major = gss_wrap_iov_length(&minor, s->ctx, conf, GSS_C_QOP_DEFAULT, &state, iov, n);
	want(s, "gss_wrap_iov_length", major, minor, GSS_S_COMPLETE);
	for (i = 0; i < n; i++) {
		if (!holds_text(&iov[i]))
			iov[i].buffer.value = pattern(iov[i].buffer.length, 99);
	}
}

static void send_layout(struct side *s, const struct layout *l, size_t n, int conf, bool alloc)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	OM_uint32 minor, major;
	size_t before[IOV_MAX_N];
	int i, state = -1, count = iov_fill(l->spec, n, iov);

	iov_make_room(s, iov, count, conf, alloc);
	for (i = 0; i < count; i++)
		before[i] = iov[i].buffer.length;
	major = gss_wrap_iov(&minor, s->ctx, conf, GSS_C_QOP_DEFAULT, &state, iov, count);
	want(s, l->spec, major, minor, GSS_S_COMPLETE);
	if (state != conf)
		fail(s, "gss_wrap_iov %s: conf_state is %d", l->spec, state);
	for (i = 0; i < count; i++) {
		if (!alloc && iov[i].buffer.length != before[i])
			fail(s, "gss_wrap_iov %s: buffer %d has %zu octets, not the %zu that "
			     "gss_wrap_iov_length said", l->spec, i, iov[i].buffer.length, before[i]);
		if (l->spec[i] == 'S')
			compare(s, "SIGN_ONLY", iov[i].buffer.value, iov[i].buffer.length, ASSOC_LEN,
				10 + (unsigned)i);
		send_frame(s, iov[i].buffer.value, iov[i].buffer.length);
		if (iov[i].type & GSS_IOV_BUFFER_FLAG_ALLOCATED)
			gss_release_buffer(&minor, &iov[i].buffer);
	}
	iov_free(iov, count);
}

/* The frames of a message, as they came. */
static int recv_iov(struct side *s, const char *spec, gss_iov_buffer_desc *iov)
{
	int i;

	memset(iov, 0, IOV_MAX_N * sizeof(*iov));
	for (i = 0; spec[i]; i++) {
		iov[i].type = iov_type(spec[i]);
		iov[i].buffer.value = recv_frame(s, &iov[i].buffer.length);
	}
	return i;
}

/* Header, data, padding and trailer in one malloc'ed piece, sign-only left out. */
static gss_buffer_desc joined(const gss_iov_buffer_desc *iov, int n, bool text_only)
{
	gss_buffer_desc out = { 0, NULL };
	uint8_t *at;
	int i;

	for (i = 0; i < n; i++)
		out.length += iov[i].buffer.length;
	at = out.value = malloc(out.length ? out.length : 1);
	if (!at)
		exit(99);
	for (i = 0; i < n; i++) {
		OM_uint32 type = GSS_IOV_BUFFER_TYPE(iov[i].type);

		if (type == GSS_IOV_BUFFER_TYPE_SIGN_ONLY ||
		    (text_only && type != GSS_IOV_BUFFER_TYPE_DATA))
			continue;
		memcpy(at, iov[i].buffer.value, iov[i].buffer.length);
		at += iov[i].buffer.length;
	}
	out.length = (size_t)(at - (uint8_t *)out.value);
	return out;
}

/* What a joined text must be: the data buffers' patterns, one behind the other. */
static void compare_joined(struct side *s, const struct layout *l, size_t n, const void *got,
			   size_t got_len)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	int count = iov_fill(l->spec, n, iov);
	gss_buffer_desc text = joined(iov, count, true);

	if (text.length != got_len || (got_len && memcmp(text.value, got, got_len) != 0))
		fail(s, "%s: %zu octets came back other than the %zu that were sent", l->spec,
		     got_len, text.length);
	free(text.value);
	iov_free(iov, count);
}

static void open_layout(struct side *s, const struct layout *l, size_t n, int conf)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	OM_uint32 minor, major;
	gss_buffer_desc text;
	int i, state = -1, count = recv_iov(s, l->spec, iov);

	major = gss_unwrap_iov(&minor, s->ctx, &state, NULL, iov, count);
	want(s, l->spec, major, minor, GSS_S_COMPLETE);
	if (state != conf)
		fail(s, "gss_unwrap_iov %s: conf_state is %d", l->spec, state);
	for (i = 0; i < count; i++) {
		if (l->spec[i] == 'S')
			compare(s, "SIGN_ONLY", iov[i].buffer.value, iov[i].buffer.length, ASSOC_LEN,
				10 + (unsigned)i);
	}
	text = joined(iov, count, true);
	compare_joined(s, l, n, text.value, text.length);
	free(text.value);
	iov_free(iov, count);
}

static void open_buffer(struct side *s, const struct layout *l, size_t n, int conf)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	OM_uint32 minor, major;
	gss_buffer_desc in, out;
	int state = -1, count = recv_iov(s, l->spec, iov);

	in = joined(iov, count, false);
	major = gss_unwrap(&minor, s->ctx, &in, &out, &state, NULL);
	want(s, "gss_unwrap of gss_wrap_iov", major, minor, GSS_S_COMPLETE);
	if (state != conf)
		fail(s, "gss_unwrap of %s: conf_state is %d", l->spec, state);
	compare_joined(s, l, n, out.value, out.length);
	gss_release_buffer(&minor, &out);
	free(in.value);
	iov_free(iov, count);
}

static void open_stream(struct side *s, const struct layout *l, size_t n, int conf)
{
	gss_iov_buffer_desc iov[IOV_MAX_N], st[IOV_MAX_N];
	OM_uint32 minor, major;
	gss_buffer_desc in;
	int i, k = 1, data = 0, state = -1, count = recv_iov(s, l->spec, iov);

	in = joined(iov, count, false);
	memset(st, 0, sizeof(st));
	st[0].type = GSS_IOV_BUFFER_TYPE_STREAM;
	st[0].buffer = in;
	for (i = 0; i < count; i++) {
		if (!holds_text(&iov[i]))
			continue;
		st[k].type = iov[i].type;
		if (l->spec[i] == 'S')
			st[k].buffer = iov[i].buffer;
		else
			data = k;
		k++;
	}
	major = gss_unwrap_iov(&minor, s->ctx, &state, NULL, st, k);
	want(s, "gss_unwrap_iov of a stream", major, minor, GSS_S_COMPLETE);
	if (state != conf)
		fail(s, "stream of %s: conf_state is %d", l->spec, state);
	compare_joined(s, l, n, st[data].buffer.value, st[data].buffer.length);
	free(in.value);
	iov_free(iov, count);
}

static void open_aead(struct side *s, const struct layout *l, size_t n, int conf)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	OM_uint32 minor, major;
	gss_buffer_desc in, assoc, out;
	int state = -1, count = recv_iov(s, l->spec, iov);

	in = joined(iov, count, false);
	assoc = iov[1].buffer;
	major = gss_unwrap_aead(&minor, s->ctx, &in, &assoc, &out, &state, NULL);
	want(s, "gss_unwrap_aead", major, minor, GSS_S_COMPLETE);
	if (state != conf)
		fail(s, "gss_unwrap_aead: conf_state is %d", state);
	compare_joined(s, l, n, out.value, out.length);
	gss_release_buffer(&minor, &out);
	free(in.value);
	iov_free(iov, count);
}

static void one_layout(struct side *s, const struct layout *l, size_t n, int conf, bool sending)
{
	static void (*const open[])(struct side *, const struct layout *, size_t, int) = {
		open_buffer, open_stream, open_layout, open_aead
	};
	unsigned way;

	for (way = 0; way < 4; way++) {
		if (!(l->ways & 1u << way))
			continue;
		if (sending)
			send_layout(s, l, n, conf, (way + (unsigned)conf) % 2);
		else
			open[way](s, l, n, conf);
	}
}

static void plan_layouts(struct side *s, bool sending)
{
	static const size_t ns[] = { 0, 5, 16, 47, 48, 1000, 65537 };
	size_t i, k;

	for (i = 0; i < N_LAYOUTS; i++) {
		if (layouts[i].dce != s->dce)
			continue;
		for (k = 0; k < sizeof(ns) / sizeof(ns[0]); k++) {
			one_layout(s, &layouts[i], ns[k], 1, sending);
			one_layout(s, &layouts[i], ns[k], 0, sending);
		}
	}
}

static void send_aead(struct side *s, size_t n, int conf)
{
	gss_buffer_desc in = { n, pattern(n, 11) }, assoc = { ASSOC_LEN, pattern(ASSOC_LEN, 3) }, out;
	OM_uint32 minor, major;
	int state = -1;

	major = gss_wrap_aead(&minor, s->ctx, conf, GSS_C_QOP_DEFAULT, &assoc, &in, &state, &out);
	want(s, "gss_wrap_aead", major, minor, GSS_S_COMPLETE);
	send_frame(s, out.value, out.length);
	gss_release_buffer(&minor, &out);
	free(in.value);
	free(assoc.value);
}

static void open_aead_copy(struct side *s, const gss_buffer_desc *token, gss_buffer_t assoc,
			   OM_uint32 expected, gss_buffer_t out)
{
	gss_buffer_desc in = { token->length, malloc(token->length) };
	OM_uint32 minor, major;

	if (!in.value)
		exit(99);
	memcpy(in.value, token->value, token->length);
	major = gss_unwrap_aead(&minor, s->ctx, &in, assoc, out, NULL, NULL);
	want(s, "gss_unwrap_aead", major, minor, expected);
	free(in.value);
}

/* First with other associated data than was signed, which must not pass. */
static void recv_aead(struct side *s, size_t n)
{
	gss_buffer_desc in, assoc = { ASSOC_LEN, pattern(ASSOC_LEN, 3) }, out;
	OM_uint32 minor;

	in.value = recv_frame(s, &in.length);
	((uint8_t *)assoc.value)[5] ^= 0x20;
	open_aead_copy(s, &in, &assoc, GSS_S_BAD_SIG, &out);
	((uint8_t *)assoc.value)[5] ^= 0x20;
	open_aead_copy(s, &in, &assoc, GSS_S_COMPLETE, &out);
	compare(s, "gss_unwrap_aead", out.value, out.length, n, 11);
	gss_release_buffer(&minor, &out);
	free(in.value);
	free(assoc.value);
}

static void plan_aead(struct side *s, bool sending)
{
	static const size_t ns[] = { 0, 1, 16, 33, 5000 };
	size_t i;
	int conf;

	/* The mechanism layer makes these from IOVs with padding and trailer, which DCE style lacks. */
	if (s->dce)
		return;
	for (i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		for (conf = 0; conf < 2; conf++) {
			if (sending)
				send_aead(s, ns[i], conf);
			else
				recv_aead(s, ns[i]);
		}
	}
}

/* MIC over several buffers: made as IOV and verified whole, and the other way round. */
static void send_mic_iov(struct side *s)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	OM_uint32 minor, major;
	gss_buffer_desc text, mic;
	int count = iov_fill("DDD", 3000, iov);

	text = joined(iov, count, true);
	iov[count].type = GSS_IOV_BUFFER_TYPE_MIC_TOKEN | GSS_IOV_BUFFER_FLAG_ALLOCATE;
	major = gss_get_mic_iov(&minor, s->ctx, GSS_C_QOP_DEFAULT, iov, count + 1);
	want(s, "gss_get_mic_iov", major, minor, GSS_S_COMPLETE);
	send_frame(s, iov[count].buffer.value, iov[count].buffer.length);
	gss_release_buffer(&minor, &iov[count].buffer);

	memset(&iov[count], 0, sizeof(iov[count]));
	iov[count].type = GSS_IOV_BUFFER_TYPE_MIC_TOKEN;
	major = gss_get_mic_iov_length(&minor, s->ctx, GSS_C_QOP_DEFAULT, iov, count + 1);
	want(s, "gss_get_mic_iov_length", major, minor, GSS_S_COMPLETE);
	major = gss_get_mic(&minor, s->ctx, GSS_C_QOP_DEFAULT, &text, &mic);
	want(s, "gss_get_mic", major, minor, GSS_S_COMPLETE);
	if (mic.length != iov[count].buffer.length)
		fail(s, "gss_get_mic_iov_length said %zu, a MIC has %zu",
		     iov[count].buffer.length, mic.length);
	send_frame(s, mic.value, mic.length);
	gss_release_buffer(&minor, &mic);
	free(text.value);
	iov_free(iov, count);
}

static void recv_mic_iov(struct side *s)
{
	gss_iov_buffer_desc iov[IOV_MAX_N];
	OM_uint32 minor, major;
	gss_buffer_desc text, mic;
	int count = iov_fill("DDD", 3000, iov);

	text = joined(iov, count, true);
	mic.value = recv_frame(s, &mic.length);
	major = gss_verify_mic(&minor, s->ctx, &text, &mic, NULL);
	want(s, "gss_verify_mic of gss_get_mic_iov", major, minor, GSS_S_COMPLETE);
	free(mic.value);
	iov[count].type = GSS_IOV_BUFFER_TYPE_MIC_TOKEN;
	iov[count].buffer.value = recv_frame(s, &iov[count].buffer.length);
	major = gss_verify_mic_iov(&minor, s->ctx, NULL, iov, count + 1);
	want(s, "gss_verify_mic_iov", major, minor, GSS_S_COMPLETE);
	free(text.value);
	iov_free(iov, count + 1);
}

void plan_iov(struct side *s, bool sending)
{
	plan_layouts(s, sending);
	plan_aead(s, sending);
	if (sending)
		send_mic_iov(s);
	else
		recv_mic_iov(s);
}
