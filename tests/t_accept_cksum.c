/*
 * The authenticator's checksum, channel bindings, addresses and realms: this
 * module's acceptor and the stock one must agree on every token.
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

/* ---- checksums and bindings ---- */

static err_t try_cksum(const gss_buffer_desc *cksum, const gss_channel_bindings_t cb,
		       OM_uint32 *major)
{
	struct acc_req r = { .key = &acc_fix.key, .cksum = cksum, .options = AP_OPTS_USE_SUBKEY };
	gss_buffer_desc token;
	err_t err;

	token = acc_token(&r, NULL);
	err = acc_fix_both(&token, cb, major);
	free(token.value);
	r.options |= AP_OPTS_MUTUAL_REQUIRED;
	token = acc_token(&r, NULL);
	CU_ASSERT_EQUAL(acc_fix_both(&token, cb, NULL), err);
	free(token.value);
	return err;
}

static void checksum_lengths(void)
{
	gss_buffer_desc c = acc_cksum(NULL, ACC_MUTUAL, "\0\0\0\7\0\0\0\2xyz", 11);
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
		c = acc_cksum(NULL, ACC_MUTUAL | t[i].flags, t[i].tail, t[i].len);
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
	gss_buffer_desc with = acc_cksum(&a, ACC_MUTUAL, NULL, 0);
	gss_buffer_desc without = acc_cksum(NULL, ACC_MUTUAL, NULL, 0);
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
	gss_buffer_desc none = acc_cksum(NULL, ACC_MUTUAL, NULL, 0);
	gss_buffer_desc with = acc_cksum(&cb, ACC_MUTUAL, NULL, 0);
	struct acc_req r = { .key = &acc_fix.key, .cksum = &none, .authdata = list,
			     .options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
	gss_buffer_desc token;
	OM_uint32 major;

	token = acc_token(&r, NULL);     /* five octets: malformed */
	CU_ASSERT_EQUAL(acc_fix_both(&token, &cb, NULL), KRB5KRB_AP_ERR_MSG_TYPE);
	free(token.value);
	cbt[1] = 0x10; cbt[3] = 0x0e; cbt[11] = 6; cbt[13] = 4;
	ad.length--;
	token = acc_token(&r, NULL);
	CU_ASSERT_NOT_EQUAL(acc_fix_both(&token, &cb, &major), 0);
	CU_ASSERT_EQUAL(major, GSS_S_BAD_BINDINGS);
	CU_ASSERT_EQUAL(acc_fix_both(&token, NULL, NULL), 0);
	free(token.value);
	r.cksum = &with;
	token = acc_token(&r, NULL);
	CU_ASSERT_EQUAL(acc_fix_both(&token, &cb, NULL), 0);
	free(token.value);
	ad.length -= 2;                  /* no DER */
	token = acc_token(&r, NULL);
	CU_ASSERT_NOT_EQUAL(acc_fix_both(&token, &cb, NULL), 0);
	free(token.value);
	free(none.value);
	free(with.value);
}

/* No checksum; an ordinary one; an ordinary one that is wrong for the message. */
static void other_checksums(void)
{
	struct acc_req r = { .key = &acc_fix.key };
	gss_buffer_desc token;
	unsigned i;

	for (i = 0; i < 8; i++) {
		r.plain_cksum = i & 1;
		r.options = (i & 2 ? AP_OPTS_USE_SUBKEY : 0) | (i & 4 ? AP_OPTS_MUTUAL_REQUIRED : 0);
		token = acc_token(&r, NULL);
		CU_ASSERT_EQUAL(acc_fix_both(&token, NULL, NULL), 0);
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
	struct acc_req r = { .key = &acc_fix.key, .cksum = &cksum };
	unsigned i;

	for (i = 0; i < 6; i++) {
		cb.initiator_address.value = i & 1 ? here : there;
		cb.initiator_address.length = 4;
		r.ticket.caddrs = i / 2 == 0 ? of_here : i / 2 == 1 ? netbios : NULL;
		cksum = acc_cksum(&cb, ACC_MUTUAL, NULL, 0);
		token = acc_token(&r, NULL);
		CU_ASSERT_EQUAL(acc_fix_both(&token, &cb, NULL),
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
		CU_ASSERT_EQUAL(acc_fix_try(&r), t[i].err);
		r.ticket.trans_flag_off = 0;
		CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	}
}

/* ---- forms ---- */

static void frame_and_style(void)
{
	struct acc_req r = { .key = &acc_fix.key, .raw = true };
	gss_buffer_desc token = acc_fix_token(&r, ACC_MUTUAL);
	OM_uint32 major;

	acc_fix_both(&token, NULL, &major);
	CU_ASSERT_EQUAL(major, GSS_S_DEFECTIVE_TOKEN);
	free(token.value);
	r.raw = false;
	token = acc_fix_token(&r, ACC_MUTUAL | GSS_C_DCE_STYLE);
	acc_fix_both(&token, NULL, &major);
	CU_ASSERT_EQUAL(major, GSS_S_DEFECTIVE_TOKEN);
	free(token.value);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "checksum lengths", checksum_lengths }, { "options", options },
		{ "channel bindings", channel_bindings }, { "aware client", aware_client },
		{ "other checksums", other_checksums }, { "addresses", addresses },
		{ "transited", transited }, { "frame and style", frame_and_style },
		CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("accept: checksums", acc_fix_setup, acc_fix_teardown, tests);
}
