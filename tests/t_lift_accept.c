/*
 * Accepting with exposure = on-token: stock initiators, all enctypes, messages
 * both ways, and nothing of a session key, a subkey or a key derived from them
 * in what the token gives to this process.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/key_int.h"
#include "mech/message.h"
#include "pkcs11/bytes.h"
#include "tests/lib/accepting.h"
#include "tests/lib/record.h"
#include "tests/lib/talk.h"

#define ON_TOKEN "[appdefaults]\n gssp11 = {\n  exposure = on-token\n"
#define COMMON (GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t etypes[] = { 17, 18, 19, 20 };
static const uint8_t session[] = "a session key, of any enctype...";
static struct forge_key keys[4];         /* one principal for each enctype */
static const struct box_token *box;
static struct mech_cred *cred;
static unsigned calls, accepts;

/* A credential keeps the settings that it was acquired with. */
static void settings(const char *conf)
{
	acc_environment(conf);
	mech_cred_free(&cred);
	cred = acc_cred(box, NULL, NULL);
}

/* ---- this process alone: what comes to the host ---- */

/* Neither the key nor what is derived from it for any message. */
static void unseen(const uint8_t *bytes, int32_t etype, const char *what)
{
	static const uint32_t usages[] = { 2, 11, 12, 14, 22, 23, 24, 25 };
	const struct ks_etype *e = ks_etype_find(etype);
	struct secret *derived;
	enum ks_role role;
	unsigned i, n = record_outputs_with(bytes, e->key_len);

	for (i = 0; i < N(usages); i++) for (role = KS_KE; role <= KS_KC; role++) {
		CU_ASSERT_EQUAL_FATAL(ks_derive_bytes(e, bytes, usages[i], role, &derived), 0);
		n += record_outputs_with(derived->data, derived->len);
		secret_free(&derived);
	}
	if (n)
		fprintf(stderr, "%s, enctype %d: %u times in what the token gave\n", what, (int)etype,
			n);
	CU_ASSERT_EQUAL(n, 0);
}

static void unseen_block(const krb5_keyblock *k, const char *what)
{
	if (!k)
		return;
	unseen(k->contents, k->enctype, what);
	krb5_free_keyblock(acc_krb5(), (krb5_keyblock *)(uintptr_t)k);
}

/* The acceptor's answer is good to libkrb5; the subkeys that it knows then have not been seen. */
static void check_answer(krb5_auth_context ac, const struct acc_answer *a)
{
	krb5_ap_rep_enc_part *part = NULL;
	krb5_keyblock *own = NULL, *peer = NULL;
	krb5_data rep = { 0, (unsigned)a->out.length, a->out.value };
	const uint8_t *body;

	CU_ASSERT_EQUAL(krb5_auth_con_getsendsubkey(acc_krb5(), ac, &own), 0);
	unseen_block(own, "the initiator's subkey");
	if (!a->out.length)
		return;
	/* behind the frame's tag, length, OID and TOK_ID */
	body = memmem(a->out.value, a->out.length, "\x02\x00\x6f", 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	rep.length -= (unsigned)(body + 2 - (const uint8_t *)a->out.value);
	rep.data = (char *)(uintptr_t)(body + 2);
	CU_ASSERT_EQUAL(krb5_rd_rep(acc_krb5(), ac, &rep, &part), 0);
	krb5_free_ap_rep_enc_part(acc_krb5(), part);
	CU_ASSERT_EQUAL(krb5_auth_con_getrecvsubkey(acc_krb5(), ac, &peer), 0);
	CU_ASSERT_PTR_NOT_NULL(peer);
	unseen_block(peer, "the acceptor's subkey");
}

static void try_messages(struct mech_ctx *c)
{
	gss_buffer_desc msg = { 6, (void *)(uintptr_t)"a text" }, out;
	OM_uint32 minor;

	CU_ASSERT_EQUAL(mech_wrap(&minor, c, 1, 0, &msg, NULL, &out), 0);
	gss_release_buffer(&minor, &out);
	CU_ASSERT_EQUAL(mech_get_mic(&minor, c, 0, &msg, &out), 0);
	gss_release_buffer(&minor, &out);
}

static void watched(const struct acc_req *r)
{
	gss_buffer_desc token;
	krb5_auth_context ac = NULL;
	struct acc_answer a;
	struct recorded seen;

	token = acc_token(r, &ac);
	record_begin(NULL, 0, NULL, 0, 0);
	acc_own(cred, &token, NULL, &a);
	if (a.major)
		fprintf(stderr, "%08x %s\n", a.major, err_text((err_t)a.minor));
	CU_ASSERT_EQUAL_FATAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(ks_key_exposure(a.ctx->initiator_key), KS_ON_TOKEN);
	CU_ASSERT_PTR_NULL(a.ctx->session_key);
	if (a.ctx->acceptor_key)
		CU_ASSERT_EQUAL(ks_key_exposure(a.ctx->acceptor_key), KS_ON_TOKEN);
	CU_ASSERT_EQUAL(!!a.ctx->acceptor_key, !!(r->options & AP_OPTS_MUTUAL_REQUIRED));
	seen = record_end();
	calls += seen.calls;
	accepts++;
	CU_ASSERT(seen.given > 0);
	unseen(session, r->ticket.session_etype, "the session key");
	check_answer(ac, &a);
	try_messages(a.ctx);
	krb5_auth_con_free(acc_krb5(), ac);
	acc_answer_fini(&a);
	free(token.value);
}

static void nothing_seen(void)
{
	gss_buffer_desc cksum;
	size_t i, j, k;

	for (i = 0; i < 4; i++) for (j = 0; j < 4; j++) for (k = 0; k < 3; k++) {
		struct acc_req r = { .key = &keys[i], .cksum = &cksum, .options =
			(k != 1 ? AP_OPTS_MUTUAL_REQUIRED : 0) | (k != 2 ? AP_OPTS_USE_SUBKEY : 0) };

		cksum = acc_cksum(NULL, COMMON | (k != 1 ? GSS_C_MUTUAL_FLAG : 0), NULL, 0);
		r.ticket.session_etype = etypes[j];
		r.ticket.session_key = session;
		watched(&r);
		free(cksum.value);
	}
	printf(" %u PKCS#11 calls per accept ", calls / accepts);
}

/* The watch sees what it should: with exposure = transient the keys do come by. */
static void seen_when_transient(void)
{
	gss_buffer_desc cksum = acc_cksum(NULL, COMMON, NULL, 0), token;
	struct acc_req r = { .key = &keys[1], .cksum = &cksum, .options = AP_OPTS_USE_SUBKEY };
	struct acc_answer a;

	settings(NULL);
	r.ticket.session_key = session;
	token = acc_token(&r, NULL);
	record_begin(NULL, 0, NULL, 0, 0);
	acc_own(cred, &token, NULL, &a);
	record_end();
	CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(ks_key_exposure(a.ctx->initiator_key), KS_TRANSIENT);
	CU_ASSERT(record_outputs_with(session, 32) > 0);
	acc_answer_fini(&a);
	free(token.value);
	free(cksum.value);
	settings(ON_TOKEN " }\n");
}

/* ---- altered requests ---- */

static void altered_one(const struct forge_key *k, size_t step)
{
	gss_buffer_desc cksum = acc_cksum(NULL, COMMON, NULL, 0), token;
	struct acc_req r = { .key = k, .cksum = &cksum, .options = AP_OPTS_USE_SUBKEY };
	struct acc_answer a;
	size_t i;

	r.ticket.session_key = session;
	token = acc_token(&r, NULL);
	for (i = step; i < token.length; i += step) {
		((uint8_t *)token.value)[i] ^= (uint8_t)(1 << i % 8);
		record_begin(NULL, 0, NULL, 0, 0);
		acc_own(cred, &token, NULL, &a);
		record_end();
		/* some octets are nobody's concern: ap-options, the ticket's name type */
		if (a.major == GSS_S_COMPLETE)
			CU_ASSERT(i < 160);
		CU_ASSERT_EQUAL(!!a.ctx, a.major == GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(record_outputs_with(session, k->len), 0);
		acc_answer_fini(&a);
		((uint8_t *)token.value)[i] ^= (uint8_t)(1 << i % 8);
	}
	free(token.value);
	free(cksum.value);
}

static void altered(void)
{
	size_t i;

	for (i = 0; i < 4; i++)
		altered_one(&keys[i], 3);
}

/* ---- with a stock initiator, as programs have it ---- */

static void messages(gss_ctx_id_t from, gss_ctx_id_t to)
{
	gss_buffer_desc msg = { 11, (void *)(uintptr_t)"hello there" }, tok, back;
	OM_uint32 minor;
	int conf;

	for (conf = 0; conf < 2; conf++) {
		CU_ASSERT_EQUAL_FATAL(gss_wrap(&minor, from, conf, 0, &msg, NULL, &tok), 0);
		CU_ASSERT_EQUAL_FATAL(gss_unwrap(&minor, to, &tok, &back, NULL, NULL), 0);
		CU_ASSERT(back.length == msg.length && !memcmp(back.value, msg.value, msg.length));
		gss_release_buffer(&minor, &tok);
		gss_release_buffer(&minor, &back);
	}
	CU_ASSERT_EQUAL(gss_get_mic(&minor, from, 0, &msg, &tok), 0);
	CU_ASSERT_EQUAL(gss_verify_mic(&minor, to, &msg, &tok, NULL), 0);
	gss_release_buffer(&minor, &tok);
}

static void same_prf(gss_ctx_id_t i, gss_ctx_id_t a)
{
	gss_buffer_desc in = { 5, (void *)(uintptr_t)"input" }, x = GSS_C_EMPTY_BUFFER, y = x;
	OM_uint32 minor;

	CU_ASSERT_EQUAL(gss_pseudo_random(&minor, i, GSS_C_PRF_KEY_FULL, &in, 40, &x), 0);
	CU_ASSERT_EQUAL(gss_pseudo_random(&minor, a, GSS_C_PRF_KEY_FULL, &in, 40, &y), 0);
	CU_ASSERT(x.length == 40 && y.length == 40 && !memcmp(x.value, y.value, 40));
	gss_release_buffer(&minor, &x);
	gss_release_buffer(&minor, &y);
}

static void talk_one(krb5_enctype etype, OM_uint32 flags, const char *policy)
{
	struct talk_want w = { .own_a = box, .etype = etype, .flags = flags, .policy = policy };
	struct talk t;

	if (!talk_make(&w, &t))
		fprintf(stderr, "enctype %d flags %x: %s\n", (int)etype, flags, t.text);
	CU_ASSERT_EQUAL_FATAL(t.major_a, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL_FATAL(t.major_i, GSS_S_COMPLETE);
	messages(t.i, t.a);
	messages(t.a, t.i);
	if (strstr(policy, "prf = allow"))
		same_prf(t.i, t.a);
	talk_drop(&t);
}

static void peers(void)
{
	static const OM_uint32 flags[] = {
		0, COMMON, COMMON | GSS_C_MUTUAL_FLAG,
		COMMON | GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE
	};
	size_t i, j;

	for (i = 0; i < 4; i++) for (j = 0; j < N(flags); j++) {
		talk_one(etypes[i], flags[j], "exposure = on-token\n");
		talk_one(etypes[i], flags[j], "exposure = on-token\nprf = allow\nexport = allow\n");
	}
	acc_environment(ON_TOKEN " }\n");
}

/* ---- forwarded credentials ---- */

static krb5_data *krb_cred(bool encrypted, const struct forge_key *k)
{
	struct forge_ticket t = { .client = "bob@TEST.ORG" };
	krb5_keyblock kb = { KV5M_KEYBLOCK, k->etype, (unsigned)k->len,
			     (uint8_t *)(uintptr_t)session };
	krb5_auth_context ac = NULL;
	krb5_data *out = NULL;
	krb5_creds c;

	forge_creds(acc_krb5(), &t, k, &c);
	CU_ASSERT_EQUAL_FATAL(krb5_auth_con_init(acc_krb5(), &ac), 0);
	krb5_auth_con_setflags(acc_krb5(), ac, 0);
	if (encrypted)
		CU_ASSERT_EQUAL_FATAL(krb5_auth_con_setuseruserkey(acc_krb5(), ac, &kb), 0);
	CU_ASSERT_EQUAL_FATAL(krb5_mk_1cred(acc_krb5(), ac, &c, &out, NULL), 0);
	krb5_auth_con_free(acc_krb5(), ac);
	krb5_free_cred_contents(acc_krb5(), &c);
	return out;
}

static void forward(const struct forge_key *k, bool encrypted, struct acc_answer *a)
{
	krb5_data *msg = krb_cred(encrypted, k);
	uint8_t tail[4096];
	gss_buffer_desc cksum, token;
	struct acc_req r = { .key = k, .cksum = &cksum, .ticket = { .session_key = session },
			     .options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
	struct wr w;

	wr_init(&w, tail, sizeof(tail));
	wr_le16(&w, 1);
	wr_le16(&w, (uint16_t)msg->length);
	wr_bytes(&w, msg->data, msg->length);
	cksum = acc_cksum(NULL, COMMON | GSS_C_MUTUAL_FLAG | GSS_C_DELEG_FLAG, tail, w.len);
	token = acc_token(&r, NULL);
	acc_own(cred, &token, NULL, a);
	free(cksum.value);
	free(token.value);
	krb5_free_data(acc_krb5(), msg);
}

static void delegated(void)
{
	struct acc_answer a;
	size_t i;

	for (i = 0; i < 4; i++) {
		settings(ON_TOKEN "  delegation = plain\n }\n");
		forward(&keys[i], true, &a);
		CU_ASSERT_EQUAL((err_t)a.minor, ERR_POLICY);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), "delegation = plain"));
		acc_answer_fini(&a);
		settings(ON_TOKEN "  delegation = refuse\n }\n");
		forward(&keys[i], true, &a);
		CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
		CU_ASSERT(!a.deleg && !a.own_deleg && !(a.flags & GSS_C_DELEG_FLAG));
		acc_answer_fini(&a);
		settings(ON_TOKEN "  delegation = token\n }\n");
		forward(&keys[i], false, &a);
		CU_ASSERT_EQUAL((err_t)a.minor, ERR_POLICY);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), "without encryption"));
		acc_answer_fini(&a);
		forward(&keys[i], true, &a);
		if (a.major)
			fprintf(stderr, "%s\n", err_text((err_t)a.minor));
		CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
		CU_ASSERT_PTR_NOT_NULL(a.own_deleg);
		acc_answer_fini(&a);
	}
	settings(ON_TOKEN " }\n");
}

/* ---- */

static int setup(void)
{
	static char names[4][64];
	gss_buffer_desc token;
	gss_buffer_desc cksum = acc_cksum(NULL, COMMON, NULL, 0);
	struct acc_req r = { .key = &keys[0], .cksum = &cksum, .options = AP_OPTS_USE_SUBKEY };
	struct acc_answer a;
	size_t i;

	for (i = 0; i < 4; i++) {
		snprintf(names[i], sizeof(names[i]), "HTTP/e%d.test.org@TEST.ORG", (int)etypes[i]);
		acc_new_key(box, names[i], etypes[i], 5, &keys[i]);
	}
	cred = acc_cred(box, NULL, NULL);
	token = acc_token(&r, NULL);
	acc_own(cred, &token, NULL, &a);
	if (a.major != GSS_S_COMPLETE) {
		fprintf(stderr, "%s\n", err_text((err_t)a.minor));
		return 1;
	}
	record_token(ks_key_token(a.ctx->initiator_key));
	acc_answer_fini(&a);
	free(token.value);
	free(cksum.value);
	return 0;
}

static int teardown(void)
{
	mech_cred_free(&cred);
	return 0;
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "nothing seen", nothing_seen }, { "seen when transient", seen_when_transient },
		{ "altered", altered }, { "peers", peers }, { "delegated", delegated },
		CU_TEST_INFO_NULL
	};
	const char *name = getenv("GSSP11_LIFT_TOKEN");

	box = box_token(name ? name : "nss");
	acc_environment(ON_TOKEN " }\n");
	return box_suite("lift accept", setup, teardown, tests);
}
