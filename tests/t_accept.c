/*
 * What an acceptor refuses, and how: every token goes to this module's
 * acceptor and to the stock one, which must agree on the major status, on the
 * minor where the stock one has a real one, and on the error token.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mech/apmsg.h"
#include "mech/codes.h"
#include "mech/frame.h"
#include "mech/settings.h"
#include "tests/lib/accepting.h"

#define MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | \
		GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define OTHER "host/www.test.org@TEST.ORG"

static const struct box_token *box;
static struct forge_key key, other, *strange;
static struct mech_cred *any;
static gss_cred_id_t stock_any;

/* A minor status that the stock mechanism has instead of a real one. */
static bool vague(OM_uint32 minor)
{
	return minor == 0 || minor >= 100001;
}

static bool asn1(OM_uint32 minor)
{
	return (err_t)minor >= ASN1_BAD_TIMEFORMAT && (err_t)minor <= ASN1_OMITTED;
}

static void compare(const struct acc_answer *own, const struct acc_answer *stock)
{
	bool ok = own->major == stock->major;

	if (own->major != GSS_S_COMPLETE && own->minor == 0 && own->major != GSS_S_CONTINUE_NEEDED)
		ok = false;
	if (!vague(stock->minor) && !(asn1(stock->minor) && asn1(own->minor)))
		ok = ok && own->minor == stock->minor;
	ok = ok && (own->out.length != 0) == (stock->out.length != 0);
	if (stock->out.length && GSS_ERROR(stock->major))
		ok = ok && acc_error_code(&own->out) == acc_error_code(&stock->out);
	ok = ok && !strcmp(own->src ? own->src : "", stock->src ? stock->src : "");
	if (own->major == GSS_S_COMPLETE)
		ok = ok && own->flags == stock->flags && own->time_rec <= stock->time_rec + 1 &&
		     own->time_rec + 1 >= stock->time_rec && own->mech && stock->mech &&
		     own->mech->length == stock->mech->length;
	if (GSS_ERROR(own->major))
		ok = ok && !own->ctx;
	CU_ASSERT_TRUE(ok);
	if (!ok)
		printf("\n own %08x %d (%s) flags %x out %zu(%d) src %s\n stock %08x %d flags %x "
		       "out %zu(%d) src %s\n", own->major, (int)own->minor,
		       err_text((err_t)own->minor) ? err_text((err_t)own->minor) : "?", own->flags,
		       own->out.length, acc_error_code(&own->out), own->src ? own->src : "-",
		       stock->major, (int)stock->minor, stock->flags, stock->out.length,
		       acc_error_code(&stock->out), stock->src ? stock->src : "-");
}

/* Both acceptors' answer to the token; gives this module's minor status, 0 for success. */
static err_t both(struct mech_cred *c, gss_cred_id_t s, const gss_buffer_desc *token,
		  const gss_channel_bindings_t cb, OM_uint32 *major)
{
	struct acc_answer own, stock;
	err_t err;

	acc_own(c, token, cb, &own);
	acc_stock(s, token, cb, &stock);
	compare(&own, &stock);
	err = (err_t)own.minor;
	if (major)
		*major = own.major;
	acc_answer_fini(&own);
	acc_answer_fini(&stock);
	return err;
}

static err_t both_any(const gss_buffer_desc *token)
{
	return both(any, stock_any, token, NULL, NULL);
}

/* A token with the usual mutual checksum. */
static gss_buffer_desc usual(struct acc_req *r, uint32_t flags)
{
	gss_buffer_desc cksum = acc_cksum(NULL, flags, NULL, 0), token;

	if (!r->key)
		r->key = &key;
	r->options |= AP_OPTS_USE_SUBKEY |
		      (flags & GSS_C_MUTUAL_FLAG ? AP_OPTS_MUTUAL_REQUIRED : 0);
	r->cksum = &cksum;
	token = acc_token(r, NULL);
	r->cksum = NULL;
	free(cksum.value);
	return token;
}

static err_t try(struct acc_req *r)
{
	gss_buffer_desc token = usual(r, MUTUAL);
	err_t err = both_any(&token);

	free(token.value);
	return err;
}

/* ---- the token's octets ---- */

static void truncations(void)
{
	struct acc_req r = { 0 };
	gss_buffer_desc whole = usual(&r, MUTUAL), cut;
	size_t i;

	for (i = 0; i < whole.length; i++) {
		struct acc_answer own;

		cut.value = memcpy(malloc(i ? i : 1), whole.value, i);
		cut.length = i;
		acc_own(any, &cut, NULL, &own);
		CU_ASSERT_TRUE(GSS_ERROR(own.major) && own.minor && !own.ctx && !own.out.length);
		acc_answer_fini(&own);
		free(cut.value);
	}
	free(whole.value);
}

/* The same with the frame's lengths made to fit: the AP-REQ itself is cut. */
static void inner_truncations(void)
{
	struct acc_req r = { .raw = true };
	gss_buffer_desc whole = usual(&r, MUTUAL), token;
	size_t i;

	for (i = 0; i < whole.length; i++) {
		CU_ASSERT_EQUAL_FATAL(mech_frame_make(mech_oid_public(0), FRAME_AP_REQ, whole.value,
						      i, &token), 0);
		CU_ASSERT_NOT_EQUAL(both_any(&token), 0);
		free(token.value);
	}
	free(whole.value);
}

/*
 * Each octet with one bit flipped.  Where libkrb5 is looser about DER this
 * module may refuse what the stock one takes, never the other way round.
 */
static void flipped_bits(void)
{
	struct acc_req r = { 0 };
	gss_buffer_desc token = usual(&r, MUTUAL);
	unsigned stricter = 0;
	size_t i;

	for (i = 0; i < token.length; i++) {
		uint8_t *p = (uint8_t *)token.value + i, bit = (uint8_t)(1 << (i * 5 % 8));
		struct acc_answer own, stock;

		*p ^= bit;
		acc_own(any, &token, NULL, &own);
		acc_stock(stock_any, &token, NULL, &stock);
		if (own.major == GSS_S_COMPLETE)
			CU_ASSERT_EQUAL(stock.major, GSS_S_COMPLETE)
		else
			CU_ASSERT_TRUE(own.minor != 0 && !own.ctx)
		stricter += own.major != GSS_S_COMPLETE && stock.major == GSS_S_COMPLETE;
		acc_answer_fini(&own);
		acc_answer_fini(&stock);
		*p ^= bit;
	}
	CU_ASSERT(stricter < 10);
	CU_ASSERT_EQUAL(both_any(&token), 0);
	free(token.value);
}

static void frames(void)
{
	static const uint8_t rubbish[] = "rubbish that is no token";
	struct acc_req r = { 0 };
	gss_buffer_desc token = usual(&r, MUTUAL), body = GSS_C_EMPTY_BUFFER, made;
	struct mech_frame f;
	struct acc_answer own;
	unsigned i;

	CU_ASSERT_EQUAL_FATAL(mech_frame_read(&token, &f), 0);
	body.value = memcpy(malloc(f.body.len), f.body.p, f.body.len);
	body.length = f.body.len;
	/* A frame around another kind of token. */
	for (i = 0x0200; i <= 0x0300; i += 0x100) {
		CU_ASSERT_EQUAL(mech_frame_make(f.mech, (uint16_t)i, body.value, body.length, &made), 0);
		acc_own(any, &made, NULL, &own);
		CU_ASSERT_EQUAL(own.major, GSS_S_CONTINUE_NEEDED);
		CU_ASSERT_EQUAL((err_t)own.minor, KRB5KRB_AP_ERR_MSG_TYPE);
		CU_ASSERT_EQUAL(own.out.length, 0);
		CU_ASSERT_PTR_NULL(own.ctx);
		acc_answer_fini(&own);
		free(made.value);
	}
	/* Another mechanism, no mechanism, nothing at all, rubbish inside. */
	CU_ASSERT_EQUAL(mech_frame_make(GSS_C_NT_USER_NAME, FRAME_AP_REQ, body.value, body.length,
					&made), 0);
	acc_own(any, &made, NULL, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL((err_t)own.minor, G_WRONG_MECH);
	acc_answer_fini(&own);
	free(made.value);
	CU_ASSERT_EQUAL(mech_frame_make(f.mech, FRAME_AP_REQ, rubbish, sizeof(rubbish), &made), 0);
	CU_ASSERT_TRUE(asn1((OM_uint32)both_any(&made)));
	free(made.value);
	/* All three names of the mechanism are good. */
	for (i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(mech_frame_make(mech_oid_public(i), FRAME_AP_REQ, body.value,
						body.length, &made), 0);
		acc_own(any, &made, NULL, &own);
		CU_ASSERT_EQUAL(own.major, GSS_S_COMPLETE);
		CU_ASSERT_TRUE(mech_oid_equal(own.mech, mech_oid_public(i)));
		acc_answer_fini(&own);
		free(made.value);
	}
	free(body.value);
	free(token.value);
}

/* ---- keys ---- */

static void wrong_keys(void)
{
	struct forge_key k = key;
	struct acc_req r = { .key = &k };

	k.kvno = key.kvno + 1;           /* newer than the keytab, another key */
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	k.kvno = 1;                      /* older */
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	k.kvno = key.kvno;               /* the right version, another key */
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	k = key;
	k.principal = "HTTP/nobody@TEST.ORG";    /* another name, the right key: an alias */
	CU_ASSERT_EQUAL(try(&r), 0);
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_NOT_US);
	forge_random_key(&k, ACC_SERVICE, 17, key.kvno); /* no key of that enctype */
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	forge_random_key(&k, ACC_SERVICE, 23, key.kvno);
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_BADKEYVER);
}

/* The answers name what the ticket wants and what the keytab has. */
static void texts(void)
{
	struct forge_key k = key;
	struct acc_req r = { .key = &k };
	const char *text;

	k.kvno = 77;
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	text = err_text(KRB5KRB_AP_ERR_BADKEYVER);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ACC_SERVICE " kvno 77 aes256-cts-hmac-sha1-96"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "kvno 3 aes256-cts-hmac-sha1-96"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "gssp11 keytab import"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "pkcs11:"));
	CU_ASSERT_PTR_NULL(strstr(text, "pin-source"));
}

static err_t try_named(const char *name, gss_OID type, struct acc_req *r)
{
	struct mech_cred *c = acc_cred(box, name, type);
	gss_cred_id_t s = acc_stock_cred(name, type);
	gss_buffer_desc token = usual(r, MUTUAL);
	err_t err = both(c, s, &token, NULL, NULL);
	OM_uint32 ignored;

	free(token.value);
	mech_cred_free(&c);
	gss_release_cred(&ignored, &s);
	return err;
}

static void wrong_names(void)
{
	gss_OID princ = (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME;
	gss_OID host = GSS_C_NT_HOSTBASED_SERVICE;
	struct forge_key k = key;
	struct acc_req r = { .key = &k };

	CU_ASSERT_EQUAL(try_named(OTHER, princ, &r), KRB5KRB_AP_ERR_NOT_US);
	CU_ASSERT_EQUAL(try_named("host@www.test.org", host, &r), KRB5KRB_AP_ERR_NOT_US);
	CU_ASSERT_EQUAL(try_named("host", host, &r), KRB5KRB_AP_ERR_NOT_US);
	k.kvno++;
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), KRB5KRB_AP_ERR_BADKEYVER);
	CU_ASSERT_EQUAL(try_named(OTHER, princ, &r), KRB5KRB_AP_ERR_NOT_US);
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(try_named("HTTP@www.test.org", host, &r), KRB5KRB_AP_ERR_BADKEYVER);
	k.kvno--;
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	CU_ASSERT_EQUAL(try_named("HTTP", host, &r), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	forge_random_key(&k, ACC_SERVICE, 17, key.kvno);
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), KRB5KRB_AP_ERR_NOKEY);
	k = key;
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), 0);
	CU_ASSERT_EQUAL(try_named("HTTP@www.test.org", host, &r), 0);
	CU_ASSERT_EQUAL(try_named("HTTP@", host, &r), 0);
}

/* ---- times ---- */

static void ticket_times(void)
{
	krb5_timestamp now = (krb5_timestamp)time(NULL);
	struct acc_req r = { 0 };

	r.ticket.authtime = now - 7200;
	r.ticket.endtime = now - 310;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_TKT_EXPIRED);
	r.ticket.endtime = now - 290;
	CU_ASSERT_EQUAL(try(&r), 0);
	r.ticket.endtime = now + 7200;
	r.ticket.starttime = now + 310;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_TKT_NYV);
	r.ticket.starttime = now + 290;
	CU_ASSERT_EQUAL(try(&r), 0);
	r.ticket.starttime = 0;
	r.ticket.authtime = now + 310;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_TKT_NYV);
	/* After 2038. */
	r.ticket.authtime = now - 60;
	r.ticket.endtime = (krb5_timestamp)4200000000u;
	CU_ASSERT_EQUAL(try(&r), 0);
	r.ticket.authtime = r.ticket.starttime = (krb5_timestamp)4100000000u;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_TKT_NYV);
}

static void clocks(void)
{
	struct acc_req r = { 0 };

	r.offset = 310;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_SKEW);
	r.offset = -310;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_SKEW);
	r.offset = 290;
	CU_ASSERT_EQUAL(try(&r), 0);
	r.offset = -290;
	CU_ASSERT_EQUAL(try(&r), 0);
}

static void ticket_flags(void)
{
	struct acc_req r = { 0 };

	r.ticket.flags = TKT_FLG_INVALID;
	CU_ASSERT_EQUAL(try(&r), KRB5KRB_AP_ERR_TKT_INVALID);
}

/* ---- enctypes ---- */

static void enctypes(void)
{
	struct acc_req r = { 0 };

	acc_environment("[libdefaults]\n permitted_enctypes = aes256-cts-hmac-sha1-96\n");
	r.ticket.session_etype = 17;
	CU_ASSERT_EQUAL(try(&r), KRB5_NOPERM_ETYPE);
	r.ticket.session_etype = 18;
	CU_ASSERT_EQUAL(try(&r), 0);
	acc_environment(NULL);
	r.ticket.session_etype = 17;
	CU_ASSERT_EQUAL(try(&r), 0);
}

static void set_allowable(void)
{
	krb5_enctype list[] = { 18, 0 };
	struct acc_req r = { .ticket = { .session_etype = 17 }, .key = &key };
	gss_buffer_desc token = usual(&r, MUTUAL);
	struct mech_cred *c = acc_cred(box, NULL, NULL);
	struct acc_answer own;

	c->etypes = list;
	acc_own(c, &token, NULL, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)own.minor, KRB5_NOPERM_ETYPE);
	acc_answer_fini(&own);
	c->etypes = NULL;
	mech_cred_free(&c);
	free(token.value);
}

/* ---- checksums and bindings ---- */

static err_t try_cksum(const gss_buffer_desc *cksum, const gss_channel_bindings_t cb,
		       OM_uint32 *major)
{
	struct acc_req r = { .key = &key, .cksum = cksum, .options = AP_OPTS_USE_SUBKEY };
	gss_buffer_desc token;
	err_t err;

	token = acc_token(&r, NULL);
	err = both(any, stock_any, &token, cb, major);
	free(token.value);
	r.options |= AP_OPTS_MUTUAL_REQUIRED;
	token = acc_token(&r, NULL);
	CU_ASSERT_EQUAL(both(any, stock_any, &token, cb, NULL), err);
	free(token.value);
	return err;
}

static void checksum_lengths(void)
{
	gss_buffer_desc c = acc_cksum(NULL, MUTUAL, "\0\0\0\7\0\0\0\2xyz", 11);
	OM_uint32 major;
	size_t n;

	for (n = 1; n < 35; n++) {
		gss_buffer_desc cut = { n, c.value };
		err_t err = try_cksum(&cut, NULL, &major);

		if (n < 24)
			CU_ASSERT_EQUAL(major, GSS_S_BAD_BINDINGS)
		else if (n == 24 || n == 34)
			CU_ASSERT_EQUAL(err, 0)
		else
			CU_ASSERT_EQUAL(err, KG_BAD_LENGTH)
	}
	((uint8_t *)c.value)[0] = 15;
	c.length = 24;
	CU_ASSERT_EQUAL(try_cksum(&c, NULL, &major), KG_BAD_LENGTH);
	CU_ASSERT_EQUAL(major, GSS_S_FAILURE);
	free(c.value);
}

static void options(void)
{
	static const struct { const char *tail; size_t len; uint32_t flags; err_t err; } t[] = {
		{ "\1\0\5\0abc", 7, GSS_C_DELEG_FLAG, KG_BAD_LENGTH },
		{ "\2\0\0\0", 4, GSS_C_DELEG_FLAG, ERR_FORMAT },
		{ "\0\0\0\1\0\0\0\1x", 9, 0, KRB5KRB_AP_ERR_MSG_TYPE },
		{ "\0\0\0\7\0\0\0\1x", 9, 0, 0 },
		{ "\0\0\0\7\xff\xff\xff\xffx", 9, 0, KG_BAD_LENGTH },
		{ "\0\0\0", 3, GSS_C_DELEG_FLAG, KG_BAD_LENGTH },
	};
	gss_buffer_desc c;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		c = acc_cksum(NULL, MUTUAL | t[i].flags, t[i].tail, t[i].len);
		CU_ASSERT_EQUAL(try_cksum(&c, NULL, NULL), t[i].err);
		free(c.value);
	}
}

static struct gss_channel_bindings_struct bindings(const char *data)
{
	struct gss_channel_bindings_struct cb = { 0 };

	cb.application_data.value = (void *)(uintptr_t)data;
	cb.application_data.length = strlen(data);
	return cb;
}

static void channel_bindings(void)
{
	struct gss_channel_bindings_struct a = bindings("tls-exporter:a"), b = bindings("b");
	struct gss_channel_bindings_struct empty = bindings("");
	gss_buffer_desc with = acc_cksum(&a, MUTUAL, NULL, 0);
	gss_buffer_desc without = acc_cksum(NULL, MUTUAL, NULL, 0);
	OM_uint32 major;

	CU_ASSERT_NOT_EQUAL(try_cksum(&with, &b, &major), 0);
	CU_ASSERT_EQUAL(major, GSS_S_BAD_BINDINGS);
	CU_ASSERT_NOT_EQUAL(try_cksum(&with, &empty, &major), 0);
	CU_ASSERT_EQUAL(major, GSS_S_BAD_BINDINGS);
	CU_ASSERT_EQUAL(try_cksum(&with, &a, NULL), 0);
	CU_ASSERT_EQUAL(try_cksum(&with, NULL, NULL), 0);
	CU_ASSERT_EQUAL(try_cksum(&without, &a, NULL), 0);
	CU_ASSERT_EQUAL(try_cksum(&without, NULL, NULL), 0);
	free(with.value);
	free(without.value);
}

/* A client that knows of bindings and sends none. */
static void aware_client(void)
{
	uint8_t cbt[] = { 0x30, 0x11, 0x30, 0x0f, 0xa0, 4, 2, 2, 0, 143, 0xa1, 7, 4, 5, 0, 0x40, 0, 0, 0 };
	krb5_authdata ad = { KV5M_AUTHDATA, 1, sizeof(cbt), cbt }, *list[] = { &ad, NULL };
	struct gss_channel_bindings_struct cb = bindings("a");
	gss_buffer_desc none = acc_cksum(NULL, MUTUAL, NULL, 0), with = acc_cksum(&cb, MUTUAL, NULL, 0);
	struct acc_req r = { .key = &key, .cksum = &none, .authdata = list,
			     .options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
	gss_buffer_desc token;
	OM_uint32 major;

	token = acc_token(&r, NULL);     /* five octets: malformed */
	CU_ASSERT_EQUAL(both(any, stock_any, &token, &cb, NULL), KRB5KRB_AP_ERR_MSG_TYPE);
	free(token.value);
	cbt[1] = 0x10; cbt[3] = 0x0e; cbt[11] = 6; cbt[13] = 4;
	ad.length--;
	token = acc_token(&r, NULL);
	CU_ASSERT_NOT_EQUAL(both(any, stock_any, &token, &cb, &major), 0);
	CU_ASSERT_EQUAL(major, GSS_S_BAD_BINDINGS);
	CU_ASSERT_EQUAL(both(any, stock_any, &token, NULL, NULL), 0);
	free(token.value);
	r.cksum = &with;
	token = acc_token(&r, NULL);
	CU_ASSERT_EQUAL(both(any, stock_any, &token, &cb, NULL), 0);
	free(token.value);
	ad.length -= 2;                  /* no DER */
	token = acc_token(&r, NULL);
	CU_ASSERT_NOT_EQUAL(both(any, stock_any, &token, &cb, NULL), 0);
	free(token.value);
	free(none.value);
	free(with.value);
}

/* No checksum; an ordinary one; an ordinary one that is wrong for the message. */
static void other_checksums(void)
{
	struct acc_req r = { .key = &key };
	gss_buffer_desc token;
	unsigned i;

	for (i = 0; i < 8; i++) {
		r.plain_cksum = i & 1;
		r.options = (i & 2 ? AP_OPTS_USE_SUBKEY : 0) | (i & 4 ? AP_OPTS_MUTUAL_REQUIRED : 0);
		token = acc_token(&r, NULL);
		CU_ASSERT_EQUAL(both_any(&token), 0);
		free(token.value);
	}
}

/* ---- addresses, realms ---- */

static void addresses(void)
{
	uint8_t here[] = { 127, 0, 0, 1 }, there[] = { 10, 0, 0, 1 };
	krb5_address a = { KV5M_ADDRESS, 2, 4, here }, n = { KV5M_ADDRESS, 20, 4, here };
	krb5_address *of_here[] = { &a, NULL }, *netbios[] = { &n, NULL };
	struct gss_channel_bindings_struct cb = { .initiator_addrtype = GSS_C_AF_INET };
	gss_buffer_desc cksum, token;
	struct acc_req r = { .key = &key, .cksum = &cksum };
	unsigned i;

	for (i = 0; i < 6; i++) {
		cb.initiator_address.value = i & 1 ? here : there;
		cb.initiator_address.length = 4;
		r.ticket.caddrs = i / 2 == 0 ? of_here : i / 2 == 1 ? netbios : NULL;
		cksum = acc_cksum(&cb, MUTUAL, NULL, 0);
		token = acc_token(&r, NULL);
		CU_ASSERT_EQUAL(both(any, stock_any, &token, &cb, NULL),
				i == 0 ? KRB5KRB_AP_ERR_BADADDR : 0);
		free(token.value);
		free(cksum.value);
	}
}

static void transited(void)
{
	static const struct { const char *client, *via; err_t err; } t[] = {
		{ "alice@EVIL", "OTHER", KRB5KRB_AP_ERR_ILL_CR_TKT },
		{ "alice@A.ORG", "OTHER", KRB5KRB_AP_ERR_ILL_CR_TKT },
		{ "alice@A.ORG", "ORG", 0 },
		{ "alice@A.ORG", ",OTHER", KRB5KRB_AP_ERR_ILL_CR_TKT },
		{ "alice@TEST.ORG", "OTHER", KRB5_NO_TKT_IN_RLM },
		{ "alice@A.ORG", "", 0 },
	};
	struct acc_req r = { 0 };
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		r.ticket.client = t[i].client;
		r.ticket.transited = t[i].via;
		r.ticket.trans_flag_off = 1;
		CU_ASSERT_EQUAL(try(&r), t[i].err);
		r.ticket.trans_flag_off = 0;
		CU_ASSERT_EQUAL(try(&r), 0);
	}
}

/* ---- forms ---- */

static void frame_and_style(void)
{
	struct acc_req r = { .key = &key, .raw = true };
	gss_buffer_desc token = usual(&r, MUTUAL);
	OM_uint32 major;

	both(any, stock_any, &token, NULL, &major);
	CU_ASSERT_EQUAL(major, GSS_S_DEFECTIVE_TOKEN);
	free(token.value);
	r.raw = false;
	token = usual(&r, MUTUAL | GSS_C_DCE_STYLE);
	both(any, stock_any, &token, NULL, &major);
	CU_ASSERT_EQUAL(major, GSS_S_DEFECTIVE_TOKEN);
	free(token.value);
}

static void established_already(void)
{
	struct acc_req r = { 0 };
	gss_buffer_desc token = usual(&r, MUTUAL);
	struct acc_answer own;

	acc_own(any, &token, NULL, &own);
	CU_ASSERT_EQUAL_FATAL(own.major, GSS_S_COMPLETE);
	free(own.src);
	own.src = NULL;
	acc_again(any, &token, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_FAILURE);
	CU_ASSERT_EQUAL(own.minor, EINVAL);
	CU_ASSERT_PTR_NOT_NULL(own.ctx);
	acc_answer_fini(&own);
	free(token.value);
}

static int setup(void)
{
	static struct forge_key s;

	box = box_token("softhsm");
	acc_new_key(box, OTHER, 18, 3, &other);
	acc_new_key(box, ACC_SERVICE, 18, 3, &key);
	strange = &s;
	any = acc_cred(box, NULL, NULL);
	stock_any = acc_stock_cred(NULL, NULL);
	return 0;
}

static int teardown(void)
{
	OM_uint32 ignored;

	mech_cred_free(&any);
	gss_release_cred(&ignored, &stock_any);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "truncations", truncations }, { "inner truncations", inner_truncations },
		{ "flipped bits", flipped_bits }, { "frames", frames },
		{ "wrong keys", wrong_keys }, { "texts", texts }, { "wrong names", wrong_names },
		{ "ticket times", ticket_times }, { "clocks", clocks },
		{ "ticket flags", ticket_flags }, { "enctypes", enctypes },
		{ "allowable enctypes", set_allowable },
		{ "checksum lengths", checksum_lengths }, { "options", options },
		{ "channel bindings", channel_bindings }, { "aware client", aware_client },
		{ "other checksums", other_checksums }, { "addresses", addresses },
		{ "transited", transited }, { "frame and style", frame_and_style },
		{ "established already", established_already }, CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "accept: refusals", setup, teardown, NULL, NULL, tests }, CU_SUITE_INFO_NULL,
	};
	unsigned failed;

	acc_environment(NULL);
	if (CU_initialize_registry() || CU_register_suites(suites))
		return 99;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
