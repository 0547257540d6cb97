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
#include "pkcs11/token.h"
#include "tests/lib/accepting.h"

/* ---- the token's octets ---- */

static void truncations(void)
{
	struct acc_req r = { 0 };
	gss_buffer_desc whole = acc_fix_token(&r, ACC_MUTUAL), cut;
	size_t i;

	for (i = 0; i < whole.length; i++) {
		struct acc_answer own;

		cut.value = memcpy(malloc(i ? i : 1), whole.value, i);
		cut.length = i;
		acc_own(acc_fix.any, &cut, NULL, &own);
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
	gss_buffer_desc whole = acc_fix_token(&r, ACC_MUTUAL), token;
	size_t i;

	for (i = 0; i < whole.length; i++) {
		CU_ASSERT_EQUAL_FATAL(mech_frame_make(mech_oid_public(0), FRAME_AP_REQ, whole.value,
						      i, &token), 0);
		CU_ASSERT_NOT_EQUAL(acc_fix_both(&token, NULL, NULL), 0);
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
	gss_buffer_desc token = acc_fix_token(&r, ACC_MUTUAL);
	unsigned stricter = 0;
	size_t i;

	for (i = 0; i < token.length; i++) {
		uint8_t *p = (uint8_t *)token.value + i, bit = (uint8_t)(1 << (i * 5 % 8));
		struct acc_answer own, stock;

		*p ^= bit;
		acc_own(acc_fix.any, &token, NULL, &own);
		acc_stock(acc_fix.stock_any, &token, NULL, &stock);
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
	CU_ASSERT_EQUAL(acc_fix_both(&token, NULL, NULL), 0);
	free(token.value);
}

static void frames(void)
{
	static const uint8_t rubbish[] = "rubbish that is no token";
	struct acc_req r = { 0 };
	gss_buffer_desc token = acc_fix_token(&r, ACC_MUTUAL), body = GSS_C_EMPTY_BUFFER, made;
	struct mech_frame f;
	struct acc_answer own;
	unsigned i;

	CU_ASSERT_EQUAL_FATAL(mech_frame_read(&token, &f), 0);
	body.value = memcpy(malloc(f.body.len), f.body.p, f.body.len);
	body.length = f.body.len;
	/* A frame around another kind of token. */
	for (i = 0x0200; i <= 0x0300; i += 0x100) {
		CU_ASSERT_EQUAL(mech_frame_make(f.mech, (uint16_t)i, body.value, body.length, &made), 0);
		acc_own(acc_fix.any, &made, NULL, &own);
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
	acc_own(acc_fix.any, &made, NULL, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL((err_t)own.minor, G_WRONG_MECH);
	acc_answer_fini(&own);
	free(made.value);
	CU_ASSERT_EQUAL(mech_frame_make(f.mech, FRAME_AP_REQ, rubbish, sizeof(rubbish), &made), 0);
	CU_ASSERT_TRUE(acc_is_asn1((OM_uint32)acc_fix_both(&made, NULL, NULL)));
	free(made.value);
	/* All three names of the mechanism are good. */
	for (i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(mech_frame_make(mech_oid_public(i), FRAME_AP_REQ, body.value,
						body.length, &made), 0);
		acc_own(acc_fix.any, &made, NULL, &own);
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
	struct forge_key k = acc_fix.key;
	struct acc_req r = { .key = &k };

	k.kvno = acc_fix.key.kvno + 1;           /* newer than the keytab, another key */
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	k.kvno = 1;                      /* older */
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	k.kvno = acc_fix.key.kvno;               /* the right version, another key */
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	k = acc_fix.key;
	k.principal = "HTTP/nobody@TEST.ORG";    /* another name, the right key: an alias */
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_NOT_US);
	forge_random_key(&k, ACC_SERVICE, 17, acc_fix.key.kvno); /* no key of that enctype */
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_BADKEYVER);
	forge_random_key(&k, ACC_SERVICE, 23, acc_fix.key.kvno);
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_BADKEYVER);
}

/* The answers name what the ticket wants and what the keytab has. */
static void texts(void)
{
	struct forge_key k = acc_fix.key;
	struct acc_req r = { .key = &k };
	const char *text;

	k.kvno = 77;
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_BADKEYVER);
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
	struct mech_cred *c = acc_cred(acc_fix.box, name, type);
	gss_cred_id_t s = acc_stock_cred(name, type);
	gss_buffer_desc token = acc_fix_token(r, ACC_MUTUAL);
	err_t err = acc_both(c, s, &token, NULL, NULL);
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
	struct forge_key k = acc_fix.key;
	struct acc_req r = { .key = &k };

	CU_ASSERT_EQUAL(try_named(ACC_OTHER, princ, &r), KRB5KRB_AP_ERR_NOT_US);
	CU_ASSERT_EQUAL(try_named("host@www.test.org", host, &r), KRB5KRB_AP_ERR_NOT_US);
	CU_ASSERT_EQUAL(try_named("host", host, &r), KRB5KRB_AP_ERR_NOT_US);
	k.kvno++;
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), KRB5KRB_AP_ERR_BADKEYVER);
	CU_ASSERT_EQUAL(try_named(ACC_OTHER, princ, &r), KRB5KRB_AP_ERR_NOT_US);
	k.bytes[0] ^= 1;
	CU_ASSERT_EQUAL(try_named("HTTP@www.test.org", host, &r), KRB5KRB_AP_ERR_BADKEYVER);
	k.kvno--;
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	CU_ASSERT_EQUAL(try_named("HTTP", host, &r), KRB5KRB_AP_ERR_BAD_INTEGRITY);
	forge_random_key(&k, ACC_SERVICE, 17, acc_fix.key.kvno);
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), KRB5KRB_AP_ERR_NOKEY);
	k = acc_fix.key;
	CU_ASSERT_EQUAL(try_named(ACC_SERVICE, princ, &r), 0);
	CU_ASSERT_EQUAL(try_named("HTTP@www.test.org", host, &r), 0);
	CU_ASSERT_EQUAL(try_named("HTTP@", host, &r), 0);
}

/* Hosts by other rules: not compared at all; canonical by the DNS only as a last resort. */
static void hosts(void)
{
	gss_OID host = GSS_C_NT_HOSTBASED_SERVICE;
	struct acc_req r = { .key = &acc_fix.key };

	acc_environment("[libdefaults]\n ignore_acceptor_hostname = true\n");
	CU_ASSERT_EQUAL(try_named("HTTP@elsewhere.test.org", host, &r), 0);
	CU_ASSERT_EQUAL(try_named("host@www.test.org", host, &r), KRB5KRB_AP_ERR_NOT_US);
	acc_environment("[libdefaults]\n dns_canonicalize_hostname = fallback\n");
	CU_ASSERT_EQUAL(try_named("HTTP@www.test.org", host, &r), 0);
	CU_ASSERT_EQUAL(try_named("HTTP@WWW.Test.Org.", host, &r), 0);
	CU_ASSERT_EQUAL(try_named("host@www.test.org", host, &r), KRB5KRB_AP_ERR_NOT_US);
	acc_environment(NULL);
}

/* ---- times ---- */

static void ticket_times(void)
{
	krb5_timestamp now = (krb5_timestamp)time(NULL);
	struct acc_req r = { 0 };

	r.ticket.authtime = now - 7200;
	r.ticket.endtime = now - 310;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_TKT_EXPIRED);
	r.ticket.endtime = now - 290;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	r.ticket.endtime = now + 7200;
	r.ticket.starttime = now + 310;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_TKT_NYV);
	r.ticket.starttime = now + 290;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	r.ticket.starttime = 0;
	r.ticket.authtime = now + 310;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_TKT_NYV);
	/* After 2038. */
	r.ticket.authtime = now - 60;
	r.ticket.endtime = (krb5_timestamp)4200000000u;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	r.ticket.authtime = r.ticket.starttime = (krb5_timestamp)4100000000u;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_TKT_NYV);
}

static void clocks(void)
{
	struct acc_req r = { 0 };

	r.offset = 310;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_SKEW);
	r.offset = -310;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_SKEW);
	r.offset = 290;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	r.offset = -290;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
}

static void ticket_flags(void)
{
	struct acc_req r = { 0 };

	r.ticket.flags = TKT_FLG_INVALID;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5KRB_AP_ERR_TKT_INVALID);
}

/* ---- enctypes ---- */

static void enctypes(void)
{
	struct acc_req r = { 0 };

	acc_environment("[libdefaults]\n permitted_enctypes = aes256-cts-hmac-sha1-96\n");
	r.ticket.session_etype = 17;
	CU_ASSERT_EQUAL(acc_fix_try(&r), KRB5_NOPERM_ETYPE);
	r.ticket.session_etype = 18;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
	acc_environment(NULL);
	r.ticket.session_etype = 17;
	CU_ASSERT_EQUAL(acc_fix_try(&r), 0);
}

static void set_allowable(void)
{
	krb5_enctype list[] = { 18, 0 };
	struct acc_req r = { .ticket = { .session_etype = 17 }, .key = &acc_fix.key };
	gss_buffer_desc token = acc_fix_token(&r, ACC_MUTUAL);
	struct mech_cred *c = acc_cred(acc_fix.box, NULL, NULL);
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

static void established_already(void)
{
	struct acc_req r = { 0 };
	gss_buffer_desc token = acc_fix_token(&r, ACC_MUTUAL);
	struct acc_answer own;

	acc_own(acc_fix.any, &token, NULL, &own);
	CU_ASSERT_EQUAL_FATAL(own.major, GSS_S_COMPLETE);
	free(own.src);
	own.src = NULL;
	acc_again(acc_fix.any, &token, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_FAILURE);
	CU_ASSERT_EQUAL(own.minor, EINVAL);
	CU_ASSERT_PTR_NOT_NULL(own.ctx);
	acc_answer_fini(&own);
	free(token.value);
}

/* ---- keys and tokens that go away ---- */

/* Behind the keytab's back: its index has the entry, the token has no object. */
static void destroy_objects(struct tok *t, const char *label)
{
	struct tok_object *objs;
	size_t i, n;

	CU_ASSERT_EQUAL_FATAL(tok_objects_list(t, label, &objs, &n), 0);
	CU_ASSERT_TRUE(n > 2);
	for (i = 0; i < n; i++)
		CU_ASSERT_EQUAL(tok_object_destroy(t, label, objs[i].id, objs[i].id_len), 0);
	tok_objects_free(&objs, n);
}

static void deleted(void)
{
	struct forge_key k;
	struct acc_req r = { .key = &k };
	struct acc_answer own;
	gss_buffer_desc token;

	acc_new_key(acc_fix.box, "HTTP/gone.test.org@TEST.ORG", 18, 5, &k);
	token = acc_usual(&r, ACC_MUTUAL);
	acc_own(acc_fix.any, &token, NULL, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_COMPLETE);
	acc_answer_fini(&own);
	destroy_objects(ks_keytab_token(acc_fix.any->keytab), k.principal);
	acc_own(acc_fix.any, &token, NULL, &own);
	CU_ASSERT_EQUAL(own.major, GSS_S_FAILURE);
	CU_ASSERT_EQUAL_FATAL((err_t)own.minor, KRB5KRB_AP_ERR_NOKEY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text((err_t)own.minor), "gone from the token"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text((err_t)own.minor), "HTTP/gone.test.org@TEST.ORG"));
	acc_answer_fini(&own);
	free(token.value);
}

/* The same token, behind the module that fails on request. */
static struct mech_cred *cred_behind_shim(void)
{
	struct box_token shim = *acc_fix.box;
	struct mech_cred *c;
	char *uri = box_shim_uri(&shim);

	box_shim_control();
	box_shim_rules("");
	shim.uri = uri;
	c = acc_cred(&shim, NULL, NULL);
	free(uri);
	return c;
}

/* The token's sessions are lost at any of its calls: what becomes of the request? */
static void lost_meanwhile(void)
{
	struct mech_cred *c = cred_behind_shim();
	struct acc_req r = { 0 };
	gss_buffer_desc token = acc_fix_token(&r, ACC_MUTUAL);
	unsigned i, lost = 0, good = 0;
	struct acc_answer own;
	char rules[128];

	for (i = 0; i < 40; i++) {
		snprintf(rules, sizeof(rules), "fail * %u 1 b3\nfail C_GetSessionInfo 0 1 b3\n", i);
		box_shim_rules(rules);
		acc_own(c, &token, NULL, &own);
		box_shim_rules("");
		good += own.major == GSS_S_COMPLETE;
		if ((err_t)own.minor == ERR_KEY_LOST) {
			lost++;
			CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_KEY_LOST), "try again"));
			CU_ASSERT_PTR_NULL(strstr(err_text(ERR_KEY_LOST), "authenticate again"));
		}
		acc_answer_fini(&own);
	}
	CU_ASSERT_TRUE(good > 0 && lost > 0);
	mech_cred_free(&c);
	free(token.value);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "truncations", truncations }, { "inner truncations", inner_truncations },
		{ "flipped bits", flipped_bits }, { "frames", frames },
		{ "wrong keys", wrong_keys }, { "texts", texts }, { "wrong names", wrong_names },
		{ "hosts", hosts }, { "ticket times", ticket_times }, { "clocks", clocks },
		{ "ticket flags", ticket_flags }, { "enctypes", enctypes },
		{ "allowable enctypes", set_allowable },
		{ "established already", established_already }, { "deleted", deleted },
		{ "lost meanwhile", lost_meanwhile }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("accept: refusals", acc_fix_setup, acc_fix_teardown, tests);
}
