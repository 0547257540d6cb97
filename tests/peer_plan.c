/* What two peers say to each other: whole messages, MICs, damaged and disordered tokens. */
#include "tests/peer.h"

#include <stdlib.h>
#include <string.h>

uint8_t *pattern(size_t n, unsigned seed)
{
	uint8_t *p = malloc(n ? n : 1);
	size_t i;

	if (!p)
		exit(99);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 31 + seed * 13);
	return p;
}

void compare(const struct side *s, const char *what, const void *got, size_t got_len,
		    size_t n, unsigned seed)
{
	uint8_t *p = pattern(n, seed);

	if (got_len != n || (n && memcmp(p, got, n) != 0))
		fail(s, "%s: %zu octets came back other than the %zu that were sent", what,
		     got_len, n);
	free(p);
}

/* ---- whole messages ----------------------------------------------------- */

static const size_t sizes[] = { 0, 1, 15, 16, 17, 31, 32, 33, 48, 255, 1000, 4096, 65535,
				65536, 65537, 1048576 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void send_wrap(struct side *s, size_t n, int conf)
{
	OM_uint32 minor, major;
	uint8_t *msg = pattern(n, 1);
	gss_buffer_desc in = { n, msg }, out;
	int state = -1;

	major = gss_wrap(&minor, s->ctx, conf, GSS_C_QOP_DEFAULT, &in, &state, &out);
	want(s, "gss_wrap", major, minor, GSS_S_COMPLETE);
	if (state != conf)
		fail(s, "gss_wrap: conf_state is %d", state);
	compare(s, "gss_wrap's input", msg, n, n, 1);
	send_frame(s, out.value, out.length);
	gss_release_buffer(&minor, &out);
	free(msg);
}

static void recv_wrap(struct side *s, size_t n, int conf)
{
	OM_uint32 minor, major;
	gss_buffer_desc in, out;
	gss_qop_t qop = 77;
	int state = -1;

	in.value = recv_frame(s, &in.length);
	major = gss_unwrap(&minor, s->ctx, &in, &out, &state, &qop);
	want(s, "gss_unwrap", major, minor, GSS_S_COMPLETE);
	if (state != conf || qop != GSS_C_QOP_DEFAULT)
		fail(s, "gss_unwrap: conf_state %d, qop %u", state, qop);
	compare(s, "gss_unwrap", out.value, out.length, n, 1);
	gss_release_buffer(&minor, &out);
	free(in.value);
}

static size_t mac_len(int etype)
{
	return etype == 19 ? 16 : etype == 20 ? 24 : 12;
}

static void send_mic(struct side *s, size_t n)
{
	OM_uint32 minor, major;
	gss_buffer_desc msg = { n, pattern(n, 2) }, mic;

	major = gss_get_mic(&minor, s->ctx, GSS_C_QOP_DEFAULT, &msg, &mic);
	want(s, "gss_get_mic", major, minor, GSS_S_COMPLETE);
	if (s->etype && mic.length != 16 + mac_len(s->etype))
		fail(s, "a MIC of %zu octets is not of enctype %d", mic.length, s->etype);
	send_frame(s, mic.value, mic.length);
	gss_release_buffer(&minor, &mic);
	free(msg.value);
}

static void recv_mic(struct side *s, size_t n)
{
	OM_uint32 minor, major;
	gss_buffer_desc msg = { n, pattern(n, 2) }, mic;

	mic.value = recv_frame(s, &mic.length);
	major = gss_verify_mic(&minor, s->ctx, &msg, &mic, NULL);
	want(s, "gss_verify_mic", major, minor, GSS_S_COMPLETE);
	((uint8_t *)mic.value)[mic.length - 1] ^= 1;
	major = gss_verify_mic(&minor, s->ctx, &msg, &mic, NULL);
	if (!s->counts_first || major != GSS_S_DUPLICATE_TOKEN)
		want(s, "gss_verify_mic of a changed MIC", major, minor, GSS_S_BAD_SIG);
	free(mic.value);
	free(msg.value);
}

static void plan_messages(struct side *s, bool sending)
{
	size_t i;
	int conf;

	for (i = 0; i < N_SIZES && (!s->brief || sizes[i] <= 1000); i++) {
		for (conf = 0; conf < 2; conf++) {
			if (sending)
				send_wrap(s, sizes[i], conf);
			else
				recv_wrap(s, sizes[i], conf);
		}
		if (sending)
			send_mic(s, sizes[i]);
		else
			recv_mic(s, sizes[i]);
	}
}

/* ---- limits, damage, order ------------------------------------------------ */

static void check_limits(struct side *s)
{
	static const OM_uint32 limits[] = { 61, 128, 1000, 1500, 65536 };
	OM_uint32 minor, major, max;
	size_t i;
	int conf;

	for (i = 0; i < 2 * sizeof(limits) / sizeof(limits[0]); i++) {
		gss_buffer_desc in, out;

		conf = i % 2;
		major = gss_wrap_size_limit(&minor, s->ctx, conf, GSS_C_QOP_DEFAULT,
					    limits[i / 2], &max);
		want(s, "gss_wrap_size_limit", major, minor, GSS_S_COMPLETE);
		in.length = max;
		in.value = pattern(max, 1);
		major = gss_wrap(&minor, s->ctx, conf, GSS_C_QOP_DEFAULT, &in, NULL, &out);
		want(s, "gss_wrap", major, minor, GSS_S_COMPLETE);
		if (max && out.length > limits[i / 2])
			fail(s, "gss_wrap_size_limit said %u for %u, the token has %zu octets", max,
			     limits[i / 2], out.length);
		gss_release_buffer(&minor, &out);
		free(in.value);
	}
}

/* gss_unwrap of a copy: stock turns and decrypts some tokens in place. */
static OM_uint32 unwrap_copy(struct side *s, const uint8_t *token, size_t n, OM_uint32 *minor,
			     gss_buffer_t out)
{
	gss_buffer_desc in = { n, malloc(n ? n : 1) };
	OM_uint32 major;

	if (!in.value)
		exit(99);
	memcpy(in.value, token, n);
	major = gss_unwrap(minor, s->ctx, &in, out, NULL, NULL);
	free(in.value);
	return major;
}

/* Any changed octet and any missing end must be refused, and harm nothing that follows. */
static void recv_damaged(struct side *s, int conf)
{
	OM_uint32 minor, major;
	gss_buffer_desc out;
	size_t i, n;
	uint8_t *token = recv_frame(s, &n);

	for (i = 0; i < n; i++) {
		token[i] ^= 0x41;
		major = unwrap_copy(s, token, n, &minor, &out);
		if (GSS_ROUTINE_ERROR(major) != GSS_S_BAD_SIG &&
		    GSS_ROUTINE_ERROR(major) != GSS_S_DEFECTIVE_TOKEN)
			fail(s, "conf %d: octet %zu changed: status %08x", conf, i, major);
		token[i] ^= 0x41;
	}
	for (i = 0; i < n; i++) {
		if (!GSS_ERROR(unwrap_copy(s, token, i, &minor, &out)))
			fail(s, "conf %d: cut to %zu octets and not refused", conf, i);
	}
	major = unwrap_copy(s, token, n, &minor, &out);
	want(s, "gss_unwrap after damaged tokens", major, minor, GSS_S_COMPLETE);
	compare(s, "gss_unwrap after damaged tokens", out.value, out.length, 33, 1);
	gss_release_buffer(&minor, &out);
	free(token);
}

static OM_uint32 order_status(const struct side *s, int step)
{
	static const OM_uint32 both[4] = { 0, GSS_S_GAP_TOKEN, GSS_S_UNSEQ_TOKEN,
					   GSS_S_DUPLICATE_TOKEN };
	static const OM_uint32 replay[4] = { 0, 0, 0, GSS_S_DUPLICATE_TOKEN };
	static const OM_uint32 sequence[4] = { 0, GSS_S_GAP_TOKEN, GSS_S_UNSEQ_TOKEN,
					       GSS_S_UNSEQ_TOKEN };

	if (s->replay && s->sequence)
		return both[step];
	if (s->replay)
		return replay[step];
	return s->sequence ? sequence[step] : 0;
}

/* Three messages: the first, the third, the second, and the second again. */
static void plan_order(struct side *s, bool sending)
{
	gss_buffer_desc in = { 5, pattern(5, 4) }, out[3];
	static const int order[4] = { 0, 2, 1, 1 };
	OM_uint32 minor, major;
	int i;

	for (i = 0; sending && i < 3; i++) {
		major = gss_wrap(&minor, s->ctx, 1, GSS_C_QOP_DEFAULT, &in, NULL, &out[i]);
		want(s, "gss_wrap", major, minor, GSS_S_COMPLETE);
	}
	for (i = 0; sending && i < 4; i++)
		send_frame(s, out[order[i]].value, out[order[i]].length);
	for (i = 0; sending && i < 3; i++)
		gss_release_buffer(&minor, &out[i]);
	for (i = 0; !sending && i < 4; i++) {
		gss_buffer_desc token, text;

		token.value = recv_frame(s, &token.length);
		major = gss_unwrap(&minor, s->ctx, &token, &text, NULL, NULL);
		want(s, "gss_unwrap out of order", major, minor, order_status(s, i));
		compare(s, "gss_unwrap out of order", text.value, text.length, 5, 4);
		gss_release_buffer(&minor, &text);
		free(token.value);
	}
	free(in.value);
}

void plan(struct side *s, bool sending)
{
	int conf;

	plan_messages(s, sending);
	if (s->brief)
		return;
	plan_iov(s, sending);
	for (conf = 0; conf < 2; conf++) {
		if (sending)
			send_wrap(s, 33, conf);
		else
			recv_damaged(s, conf);
	}
	plan_order(s, sending);
	/* These tokens go nowhere: afterwards the numbers would show a gap. */
	if (sending)
		check_limits(s);
}
