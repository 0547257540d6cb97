/* Tokens of the negotiation loop: told, and made. */
#include "tests/lib/loop.h"

#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/nego.h"

static const unsigned char krb5_oid[] = { 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2 };
static OM_uint32 ignored;

gss_buffer_desc loop_copy(const gss_buffer_desc *b)
{
	gss_buffer_desc c = GSS_C_EMPTY_BUFFER;

	if (!b->length)
		return c;
	c.length = b->length;
	c.value = malloc(c.length);
	if (!c.value)
		exit(99);
	memcpy(c.value, b->value, c.length);
	return c;
}

static krb5_context k5(void)
{
	static krb5_context k;

	if (!k && krb5_init_context(&k))
		exit(99);
	return k;
}

static int error_code(const unsigned char *p, size_t len)
{
	krb5_data d = { .data = (char *)(uintptr_t)p, .length = (unsigned)len };
	krb5_error *e;
	int code;

	if (krb5_rd_error(k5(), &d, &e))
		return -1;
	code = (int)e->error;
	krb5_free_error(k5(), e);
	return code;
}

/* Where the OID of a framed token starts; 0: it has no frame. */
static size_t frame(const gss_buffer_desc *t)
{
	const unsigned char *p = t->value;
	size_t at;

	if (t->length < 4 || p[0] != 0x60)
		return 0;
	at = p[1] < 0x80 ? 2 : 2 + (p[1] & 0x7f);
	return at + 2 < t->length && at + 2 + p[at + 1] <= t->length && p[at] == 6 ? at : 0;
}

static void krb5_token(char *out, size_t size, const gss_buffer_desc *t, size_t at)
{
	const unsigned char *p = t->value;
	unsigned id;

	at += 2 + p[at + 1];
	if (at + 2 > t->length) {
		snprintf(out, size, "a frame alone");
		return;
	}
	id = (unsigned)p[at] << 8 | p[at + 1];
	if (id == 0x0300)
		snprintf(out, size, "KRB-ERROR %d", error_code(p + at + 2, t->length - at - 2));
	else
		snprintf(out, size, "%s", id == 0x0100 ? "AP-REQ" : id == 0x0200 ? "AP-REP" : "?");
}

static void answer(char *out, size_t size, const gss_buffer_desc *t)
{
	struct nego_resp r;

	memset(&r, 0, sizeof(r));
	if (!nego_resp_read(t, &r))
		snprintf(out, size, "octets %02x", *(unsigned char *)t->value);
	else
		snprintf(out, size, "NegTokenResp %d mech %d MIC %d with %s", r.state,
			 r.mech.length > 0, r.mic.length > 0, loop_token(&r.token));
	nego_resp_free(&r);
}

const char *loop_token(const gss_buffer_desc *t)
{
	static char turns[4][256];
	static unsigned turn;
	char *out = turns[turn++ % 4];
	gss_buffer_desc mechs, inner;
	size_t at = frame(t);

	if (!t->length)
		return "nothing";
	if (at && !memcmp((char *)t->value + at, krb5_oid, 3)) {
		krb5_token(out, sizeof(turns[0]), t, at);
	} else if (at && nego_init_read(t, &mechs, &inner)) {
		snprintf(out, sizeof(turns[0]), "NegTokenInit with %s", loop_token(&inner));
		gss_release_buffer(&ignored, &mechs);
		gss_release_buffer(&ignored, &inner);
	} else {
		answer(out, sizeof(turns[0]), t);
	}
	return out;
}

gss_buffer_desc loop_error_token(int code)
{
	krb5_error e = { .magic = KV5M_ERROR, .error = (krb5_ui_4)code, .stime = 1 };
	krb5_data body;
	gss_buffer_desc b;
	unsigned char *p;

	if (krb5_parse_name(k5(), "HTTP/www.test.org@TEST.ORG", &e.server) ||
	    krb5_mk_error(k5(), &e, &body) || body.length > 110)
		exit(99);
	b.length = 2 + sizeof(krb5_oid) + 2 + body.length;
	p = b.value = malloc(b.length);
	if (!p)
		exit(99);
	p[0] = 0x60;
	p[1] = (unsigned char)(b.length - 2);
	memcpy(p + 2, krb5_oid, sizeof(krb5_oid));
	p[13] = 3;
	p[14] = 0;
	memcpy(p + 15, body.data, body.length);
	krb5_free_principal(k5(), e.server);
	krb5_free_data_contents(k5(), &body);
	return b;
}
