/*
 * Credentials that a client forwards: read in every form, usable, gone when
 * released, refused when altered or not wanted.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keystore/ccache.h"
#include "mech/initiator.h"
#include "pkcs11/bytes.h"
#include "tests/lib/accepting.h"

#define COMMON (GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t etypes[] = { 17, 18, 19, 20 };
static struct forge_key keys[4];         /* one principal for each enctype */
static struct mech_cred *cred;
static gss_cred_id_t stock_cred;

static const uint8_t session[32] = "a session key that both know ...";

/* A forwarded ticket for the service itself, so that it can be used without a KDC. */
static krb5_data *krb_cred(bool encrypted, const struct forge_key *k, krb5_timestamp endtime)
{
	struct forge_ticket t = { .client = "bob@TEST.ORG", .endtime = endtime };
	krb5_keyblock kb = { KV5M_KEYBLOCK, k->etype, (unsigned)k->len, (uint8_t *)(uintptr_t)session };
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

static gss_buffer_desc deleg_token(const struct forge_key *k, const krb5_data *msg, uint32_t flags)
{
	uint8_t tail[4096];
	gss_buffer_desc cksum, token;
	struct acc_req r = { .key = k, .cksum = &cksum, .ticket = { .session_key = session },
			     .options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
	struct wr w;

	wr_init(&w, tail, sizeof(tail));
	wr_le16(&w, 1);
	wr_le16(&w, (uint16_t)msg->length);
	wr_bytes(&w, msg->data, msg->length);
	CU_ASSERT_FALSE_FATAL(w.bad);
	cksum = acc_cksum(NULL, flags, tail, w.len);
	token = acc_token(&r, NULL);
	free(cksum.value);
	return token;
}

/* MEMORY ccaches in this process. */
static unsigned memory_caches(void)
{
	krb5_cccol_cursor cur;
	krb5_ccache cc;
	unsigned n = 0;

	CU_ASSERT_EQUAL_FATAL(krb5_cccol_cursor_new(acc_krb5(), &cur), 0);
	while (krb5_cccol_cursor_next(acc_krb5(), cur, &cc) == 0 && cc) {
		n += strcmp(krb5_cc_get_type(acc_krb5(), cc), "MEMORY") == 0;
		krb5_cc_close(acc_krb5(), cc);
	}
	krb5_cccol_cursor_free(acc_krb5(), &cur);
	return n;
}

/* The forwarded credential is the other client's, and works. */
static void use_delegated(gss_cred_id_t deleg, const struct forge_key *k)
{
	gss_name_t target = acc_target(k->principal), name = GSS_C_NO_NAME;
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER, text = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	OM_uint32 minor, major;
	struct acc_answer a;

	CU_ASSERT_EQUAL(gss_inquire_cred(&minor, deleg, &name, NULL, NULL, NULL), 0);
	CU_ASSERT_EQUAL(gss_display_name(&minor, name, &text, NULL), 0);
	CU_ASSERT_TRUE(text.length == 12 && !memcmp(text.value, "bob@TEST.ORG", 12));
	major = gss_init_sec_context(&minor, deleg, &ctx, target, mech_oid_stock(NULL), 0, 0,
				     GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &out, NULL, NULL);
	CU_ASSERT_EQUAL(major, GSS_S_COMPLETE);
	acc_own(cred, &out, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_STRING_EQUAL(a.src, "bob@TEST.ORG");
	acc_answer_fini(&a);
	gss_release_buffer(&minor, &text);
	gss_release_buffer(&minor, &out);
	gss_release_name(&minor, &name);
	gss_release_name(&minor, &target);
	gss_delete_sec_context(&minor, &ctx, NULL);
}

static void delegation(void)
{
	unsigned before = memory_caches(), i;
	struct acc_answer a, st;

	for (i = 0; i < 8; i++) {
		const struct forge_key *k = &keys[i / 2];
		krb5_data *msg = krb_cred(i & 1, k, 0);
		gss_buffer_desc token = deleg_token(k, msg, COMMON | GSS_C_MUTUAL_FLAG |
						    GSS_C_DELEG_FLAG);

		acc_own(cred, &token, NULL, &a);
		acc_stock(stock_cred, &token, NULL, &st);
		CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(st.major, GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(a.flags, st.flags);
		CU_ASSERT_TRUE(a.flags & GSS_C_DELEG_FLAG);
		CU_ASSERT_PTR_NOT_NULL(a.deleg);
		if (a.deleg)
			use_delegated(a.deleg, k);
		acc_answer_fini(&a);
		acc_answer_fini(&st);
		free(token.value);
		krb5_free_data(acc_krb5(), msg);
	}
	CU_ASSERT_EQUAL(memory_caches(), before);
}

/* ---- delegation = token ---- */

/* Session keys on the token, all of them whole. */
static size_t vault_keys(void)
{
	struct ks_vault_entry *list;
	size_t n, i;

	CU_ASSERT_EQUAL_FATAL(ks_vault_list(ks_keytab_token(cred->keytab), &list, &n), 0);
	for (i = 0; i < n; i++)
		CU_ASSERT_TRUE(list[i].whole);
	free(list);
	return n;
}

/* What the private cache holds finds a key on the token, and is none. */
static void expect_surrogate(const struct mech_initiator *i)
{
	struct ks_token_id id;
	krb5_cc_cursor cursor;
	krb5_creds c;
	krb5_ccache cc;
	unsigned n = 0;
	bool has;

	CU_ASSERT_EQUAL_FATAL(krb5_cc_resolve(acc_krb5(), i->ccache, &cc), 0);
	CU_ASSERT_TRUE(ks_ccache_marked(acc_krb5(), cc, &id) && ks_token_id_is(i->tok, &id));
	CU_ASSERT_EQUAL(ks_ccache_has_keys(acc_krb5(), cc, i->tok, &has), 0);
	CU_ASSERT_TRUE(has);
	CU_ASSERT_EQUAL_FATAL(krb5_cc_start_seq_get(acc_krb5(), cc, &cursor), 0);
	while (krb5_cc_next_cred(acc_krb5(), cc, &cursor, &c) == 0) {
		n += !krb5_is_config_principal(acc_krb5(), c.server);
		CU_ASSERT_TRUE(!c.keyblock.length || memcmp(c.keyblock.contents, session, 8));
		krb5_free_cred_contents(acc_krb5(), &c);
	}
	krb5_cc_end_seq_get(acc_krb5(), cc, &cursor);
	CU_ASSERT_EQUAL(n, 1);
	krb5_cc_close(acc_krb5(), cc);
}

static void delegation_on_token(void)
{
	const unsigned caches = memory_caches();
	const size_t keys_before = vault_keys();
	struct acc_answer a;
	unsigned i;

	cred->conf.delegation = KS_CONF_DELEG_TOKEN;
	for (i = 0; i < 8; i++) {
		const struct forge_key *k = &keys[i / 2];
		krb5_data *msg = krb_cred(i & 1, k, 0);
		gss_buffer_desc token = deleg_token(k, msg, COMMON | GSS_C_DELEG_FLAG);

		acc_own(cred, &token, NULL, &a);
		CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
		CU_ASSERT_TRUE(a.flags & GSS_C_DELEG_FLAG);
		CU_ASSERT_PTR_NULL(a.deleg);
		CU_ASSERT_TRUE_FATAL(a.own_deleg && a.own_deleg->initiator);
		CU_ASSERT_EQUAL(vault_keys(), keys_before + 1);
		expect_surrogate(a.own_deleg->initiator);
		acc_answer_fini(&a);
		CU_ASSERT_EQUAL(vault_keys(), keys_before);
		free(token.value);
		krb5_free_data(acc_krb5(), msg);
	}
	CU_ASSERT_EQUAL(memory_caches(), caches);
	cred->conf.delegation = KS_CONF_DELEG_PLAIN;
}

/* The expiry of the one session key on the token; 0 when there is not one. */
static int64_t vault_expiry(void)
{
	struct ks_vault_entry *list;
	int64_t expires = 0;
	size_t n;

	CU_ASSERT_EQUAL_FATAL(ks_vault_list(ks_keytab_token(cred->keytab), &list, &n), 0);
	if (n == 1)
		expires = list[0].expires;
	free(list);
	return expires;
}

/* The client's word for its ticket's end and name: no key stays longer than others, or for ever. */
static void delegation_told(void)
{
	struct forge_key config = keys[1];
	const size_t before = vault_keys();
	gss_buffer_desc token;
	struct acc_answer a;
	krb5_data *msg;
	bool plain;

	CU_ASSERT_EQUAL_FATAL(before, 0);
	cred->conf.delegation = KS_CONF_DELEG_TOKEN;
	msg = krb_cred(true, &keys[1], (krb5_timestamp)(uint32_t)0xfffffff0);
	token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_TRUE(vault_expiry() > (int64_t)time(NULL));
	CU_ASSERT_TRUE(vault_expiry() <= (int64_t)time(NULL) + 8 * 86400);
	acc_answer_fini(&a);
	CU_ASSERT_EQUAL(vault_keys(), before);
	free(token.value);
	krb5_free_data(acc_krb5(), msg);
	config.principal = "krb5_ccache_conf_data/gssp11_token@X-CACHECONF:";
	msg = krb_cred(true, &config, 0);
	token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
	for (plain = false;; plain = true) {
		acc_own(cred, &token, NULL, &a);
		CU_ASSERT_EQUAL(a.major, GSS_S_FAILURE);
		CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_AP_WRONG_PRINC);
		CU_ASSERT_TRUE(!a.deleg && !a.own_deleg);
		acc_answer_fini(&a);
		CU_ASSERT_EQUAL(vault_keys(), before);
		cred->conf.delegation = KS_CONF_DELEG_PLAIN;
		if (plain)
			break;
	}
	free(token.value);
	krb5_free_data(acc_krb5(), msg);
}

/* In a child that has a copy of the credential: what it gives back is its copy. */
static void delegation_forked(void)
{
	krb5_data *msg = krb_cred(true, &keys[1], 0);
	gss_buffer_desc token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
	struct acc_answer a;
	int status;
	pid_t pid;

	cred->conf.delegation = KS_CONF_DELEG_TOKEN;
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL_FATAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(vault_keys(), 1);
	pid = fork();
	if (!pid) {
		mech_cred_free(&a.own_deleg);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(vault_keys(), 1);
	acc_answer_fini(&a);
	CU_ASSERT_EQUAL(vault_keys(), 0);
	cred->conf.delegation = KS_CONF_DELEG_PLAIN;
	free(token.value);
	krb5_free_data(acc_krb5(), msg);
}

/* Altered, or against the policy: nothing is left on the token. */
static void delegation_on_token_refused(void)
{
	const unsigned caches = memory_caches();
	const size_t keys_before = vault_keys();
	unsigned i, encrypted;
	struct acc_answer a;

	cred->conf.delegation = KS_CONF_DELEG_TOKEN;
	for (encrypted = 0; encrypted < 2; encrypted++) {
		krb5_data *msg = krb_cred(encrypted, &keys[1], 0);

		for (i = 0; i < msg->length; i += 11) {
			gss_buffer_desc token;

			msg->data[i] ^= 0x10;
			token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
			acc_own(cred, &token, NULL, &a);
			CU_ASSERT_TRUE(a.major == GSS_S_COMPLETE || (a.minor && !a.own_deleg));
			acc_answer_fini(&a);
			free(token.value);
			msg->data[i] ^= 0x10;
		}
		krb5_free_data(acc_krb5(), msg);
	}
	CU_ASSERT_EQUAL(vault_keys(), keys_before);
	CU_ASSERT_EQUAL(memory_caches(), caches);
	cred->conf.delegation = KS_CONF_DELEG_PLAIN;
}

/* One that has expired is handed over like any other: the stock mechanism does so, too. */
static void delegation_expired(void)
{
	krb5_data *msg = krb_cred(true, &keys[1], (krb5_timestamp)(time(NULL) - 3600));
	gss_buffer_desc token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
	struct acc_answer a, st;

	acc_own(cred, &token, NULL, &a);
	acc_stock(stock_cred, &token, NULL, &st);
	CU_ASSERT_EQUAL(a.major, st.major);
	CU_ASSERT_EQUAL(a.flags, st.flags);
	CU_ASSERT_EQUAL(a.deleg != NULL, st.deleg != NULL);
	acc_answer_fini(&a);
	acc_answer_fini(&st);
	free(token.value);
	krb5_free_data(acc_krb5(), msg);
}

static void delegation_refused(void)
{
	krb5_data *msg = krb_cred(true, &keys[1], 0);
	gss_buffer_desc token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
	gss_buffer_desc in = token, out;
	struct mech_ctx *ctx = NULL;
	OM_uint32 minor, flags;
	struct acc_answer a;

	cred->conf.delegation = KS_CONF_DELEG_REFUSE;
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_FALSE(a.flags & GSS_C_DELEG_FLAG);
	CU_ASSERT_PTR_NULL(a.deleg);
	acc_answer_fini(&a);
	cred->conf.delegation = KS_CONF_DELEG_PLAIN;
	/* Not wanted: the flag is told, nothing is opened. */
	CU_ASSERT_EQUAL(mech_accept(&minor, &ctx, cred, &in, NULL, NULL, NULL, &out, &flags, NULL,
				    NULL), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(flags & GSS_C_DELEG_FLAG);
	gss_release_buffer(&minor, &out);
	mech_ctx_free(&ctx);
	free(token.value);
	/* No DELEG flag: what follows is taken for extensions. */
	token = deleg_token(&keys[1], msg, COMMON);
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_FAILURE);
	acc_answer_fini(&a);
	free(token.value);
	krb5_free_data(acc_krb5(), msg);
}

/* A credential for any realm's services: what the ticket's service is told counts. */
static void delegation_by_realm(void)
{
	krb5_data *msg = krb_cred(true, &keys[1], 0);
	gss_buffer_desc token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
	char *realm = cred->realm;
	struct acc_answer a;

	krb5_free_data(acc_krb5(), msg);
	acc_environment("[appdefaults]\n gssp11 = {\n  TEST.ORG = {\n   delegation = refuse\n"
			"  }\n }\n");
	cred->realm = NULL;
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_COMPLETE);
	CU_ASSERT_FALSE(a.flags & GSS_C_DELEG_FLAG);
	CU_ASSERT_PTR_NULL(a.deleg);
	acc_answer_fini(&a);
	cred->realm = realm;
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_TRUE(a.flags & GSS_C_DELEG_FLAG);
	acc_answer_fini(&a);
	free(token.value);
	acc_environment(NULL);
}

/* Altered credentials: refused like the stock mechanism does, and nothing is left behind. */
static void delegation_broken(void)
{
	unsigned before = memory_caches(), i, encrypted;
	struct acc_answer a, st;

	for (encrypted = 0; encrypted < 2; encrypted++) {
		krb5_data *msg = krb_cred(encrypted, &keys[1], 0);

		for (i = 0; i < msg->length; i += 7) {
			gss_buffer_desc token;

			msg->data[i] ^= 0x10;
			token = deleg_token(&keys[1], msg, COMMON | GSS_C_DELEG_FLAG);
			acc_own(cred, &token, NULL, &a);
			/* libkrb5 1.20's acceptor crashes on some of those that are refused here. */
			if (a.major == GSS_S_COMPLETE) {
				acc_stock(stock_cred, &token, NULL, &st);
				CU_ASSERT_EQUAL(st.major, GSS_S_COMPLETE);
				acc_answer_fini(&st);
			} else {
				CU_ASSERT_TRUE(a.major == GSS_S_FAILURE && a.minor && !a.deleg);
			}
			acc_answer_fini(&a);
			free(token.value);
			msg->data[i] ^= 0x10;
		}
		krb5_free_data(acc_krb5(), msg);
	}
	CU_ASSERT_EQUAL(memory_caches(), before);
}

static int setup(void)
{
	static char names[4][64];
	size_t i;

	for (i = 0; i < N(etypes); i++) {
		snprintf(names[i], sizeof(names[i]), "HTTP/e%d.test.org@TEST.ORG", (int)etypes[i]);
		acc_new_key(box_token("softhsm"), names[i], etypes[i], 5, &keys[i]);
	}
	cred = acc_cred(box_token("softhsm"), NULL, NULL);
	stock_cred = acc_stock_cred(NULL, NULL);
	return 0;
}

static int teardown(void)
{
	OM_uint32 ignored;

	mech_cred_free(&cred);
	gss_release_cred(&ignored, &stock_cred);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "delegation", delegation }, { "delegation refused", delegation_refused },
		{ "delegation by realm", delegation_by_realm },
		{ "delegation expired", delegation_expired },
		{ "delegation on the token", delegation_on_token },
		{ "what the client says of its ticket", delegation_told },
		{ "a copy after a fork", delegation_forked },
		{ "delegation on the token, refused", delegation_on_token_refused },
		{ "delegation broken", delegation_broken }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("delegation", setup, teardown, tests);
}
