/*
 * What programs seldom call, through the mechanism layer: with keys on a token
 * the answers are those of the stock mechanism, line for line.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/mech.h"
#include "tests/lib/name_text.h"
#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static OM_uint32 major, m, ignored;
static const struct box_token *tokens;
static size_t n_tokens;
static FILE *out;                /* of the current answers */

#define KRB5 ((gss_OID)(uintptr_t)gss_mech_krb5)
#define MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

static gss_OID_desc spnego = { 6, (void *)(uintptr_t)"\x2b\x06\x01\x05\x05\x02" };
static gss_OID_desc stranger = { 3, (void *)(uintptr_t)"\x2a\x03\x04" };

static struct talk_want want(const struct box_token *own)
{
	return (struct talk_want){ .own_i = own, .own_a = own, .flags = MUTUAL };
}

/* Runs it on stock handles and on each token's; the lines must be the same, and at least so many. */
static void same(const char *what, void (*ask)(const struct box_token *own), size_t least)
{
	char *text[3] = { NULL, NULL, NULL };
	size_t size, lines = 0;

	for (size_t i = 0; i <= n_tokens; i++) {
		out = open_memstream(&text[i], &size);
		ask(i ? &tokens[i - 1] : NULL);
		fclose(out);
		CU_ASSERT_TRUE(name_text_same(what, text[i], text[0]));
	}
	for (const char *p = text[0]; *p; p++)
		lines += *p == '\n';
	CU_ASSERT_TRUE(lines >= least);
	if (lines < least)
		printf("\n%s: only %zu lines\n%s", what, lines, text[0]);
	for (size_t i = 0; i < 3; i++)
		free(text[i]);
}

static void tell(const char *what)
{
	fprintf(out, "%s: %08x\n", what, (unsigned)major);
}

/* ---- mechanisms and sets of OIDs: no token has a part in them ---- */

static const gss_const_OID *all_attrs(size_t *n)
{
	static gss_const_OID attrs[28];
	const gss_const_OID all[] = {
		GSS_C_MA_MECH_CONCRETE, GSS_C_MA_MECH_PSEUDO, GSS_C_MA_MECH_COMPOSITE,
		GSS_C_MA_MECH_NEGO, GSS_C_MA_MECH_GLUE, GSS_C_MA_NOT_MECH, GSS_C_MA_DEPRECATED,
		GSS_C_MA_NOT_DFLT_MECH, GSS_C_MA_ITOK_FRAMED, GSS_C_MA_AUTH_INIT,
		GSS_C_MA_AUTH_TARG, GSS_C_MA_AUTH_INIT_INIT, GSS_C_MA_AUTH_TARG_INIT,
		GSS_C_MA_AUTH_INIT_ANON, GSS_C_MA_AUTH_TARG_ANON, GSS_C_MA_DELEG_CRED,
		GSS_C_MA_INTEG_PROT, GSS_C_MA_CONF_PROT, GSS_C_MA_MIC, GSS_C_MA_WRAP,
		GSS_C_MA_PROT_READY, GSS_C_MA_REPLAY_DET, GSS_C_MA_OOS_DET, GSS_C_MA_CBINDINGS,
		GSS_C_MA_PFS, GSS_C_MA_COMPRESS, GSS_C_MA_CTX_TRANS, GSS_C_MA_NEGOEX_AND_SPNEGO,
	};

	*n = sizeof(all) / sizeof(all[0]);
	memcpy(attrs, all, sizeof(all));
	return attrs;
}

/* Told by this module of its mechanism, and by the stock one of the same. */
static void attributes_of(const gss_OID own, const gss_OID stock, size_t least)
{
	gss_OID_set a = GSS_C_NO_OID_SET, b = GSS_C_NO_OID_SET;
	size_t n, held = 0;
	const gss_const_OID *attrs = all_attrs(&n);
	int x, y;

	CU_ASSERT_EQUAL(gss_inquire_attrs_for_mech(&m, own, &a, NULL), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_inquire_attrs_for_mech(&m, stock, &b, NULL), GSS_S_COMPLETE);
	for (size_t i = 0; i < n; i++) {
		gss_OID attr = (gss_OID)(uintptr_t)attrs[i];

		CU_ASSERT_EQUAL(gss_test_oid_set_member(&m, attr, a, &x), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(gss_test_oid_set_member(&m, attr, b, &y), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(x, y);
		held += (size_t)x;
	}
	CU_ASSERT_TRUE(held >= least);
	CU_ASSERT_EQUAL(a->count, b->count);
	gss_release_oid_set(&ignored, &a);
	gss_release_oid_set(&ignored, &b);
}

static void described(gss_const_OID attr)
{
	gss_buffer_desc name, brief, whole;

	CU_ASSERT_EQUAL(gss_display_mech_attr(&m, attr, &name, &brief, &whole), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(name.length > 8 && !memcmp(name.value, "GSS_C_MA", 8));
	gss_release_buffer(&ignored, &name);
	gss_release_buffer(&ignored, &brief);
	gss_release_buffer(&ignored, &whole);
}

static void mechanism_attributes(void)
{
	size_t n;
	const gss_const_OID *attrs = all_attrs(&n);

	for (size_t i = 0; i < n; i++)
		described(attrs[i]);
	attributes_of(KRB5, mech_oid_stock(KRB5), 14);
	attributes_of((gss_OID)(uintptr_t)gss_mech_krb5_old,
		      mech_oid_stock((gss_OID)(uintptr_t)gss_mech_krb5_old), 14);
	attributes_of((gss_OID)(uintptr_t)gss_mech_krb5_wrong,
		      mech_oid_stock((gss_OID)(uintptr_t)gss_mech_krb5_wrong), 14);
}

/* The layer's own helpers do with this module's answers what they do with others'. */
static void oid_sets(void)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_buffer_set_t buffers = GSS_C_NO_BUFFER_SET;
	gss_OID_set set = GSS_C_NO_OID_SET;
	gss_OID oid = GSS_C_NO_OID;
	int there = 0;

	CU_ASSERT_EQUAL(gss_oid_to_str(&m, KRB5, &text), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_str_to_oid(&m, &text, &oid), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(gss_oid_equal(oid, KRB5));
	CU_ASSERT_FALSE(gss_oid_equal(oid, (gss_OID)(uintptr_t)gss_mech_krb5_old));
	CU_ASSERT_EQUAL(gss_create_empty_oid_set(&m, &set), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_add_oid_set_member(&m, oid, &set), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_test_oid_set_member(&m, KRB5, set, &there), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(there);
	CU_ASSERT_EQUAL(gss_create_empty_buffer_set(&m, &buffers), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_add_buffer_set_member(&m, &text, &buffers), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(buffers->count, 1);
	gss_release_buffer_set(&ignored, &buffers);
	gss_release_oid_set(&ignored, &set);
	gss_release_oid(&ignored, &oid);
	gss_release_buffer(&ignored, &text);
}

static void mechs_for_name(void)
{
	const gss_OID types[] = {
		GSS_C_NT_USER_NAME, GSS_C_NT_HOSTBASED_SERVICE, GSS_C_NT_STRING_UID_NAME,
		GSS_C_NT_EXPORT_NAME, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME,
	};
	gss_buffer_desc b = show_text("0");
	gss_OID_set set;
	gss_name_t n;
	int there;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (gss_oid_equal(types[i], GSS_C_NT_EXPORT_NAME))
			b = (gss_buffer_desc){ 33, (void *)(uintptr_t)
				"\x04\x01\x00\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
				"\x00\x00\x00\x0e" "alice@TEST.ORG" };
		CU_ASSERT_EQUAL_FATAL(gss_import_name(&m, &b, types[i], &n), GSS_S_COMPLETE);
		set = GSS_C_NO_OID_SET;
		CU_ASSERT_EQUAL(gss_inquire_mechs_for_name(&m, n, &set), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(gss_test_oid_set_member(&m, KRB5, set, &there), GSS_S_COMPLETE);
		CU_ASSERT_TRUE(there);
		gss_release_oid_set(&ignored, &set);
		gss_release_name(&ignored, &n);
		b = show_text("0");
	}
}

/* ---- tokens and their frame ---- */

static void frames(const struct box_token *own)
{
	struct talk_want w = want(own);
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, token, body, again;
	struct talk t;

	talk_ready(&w, &t);
	CU_ASSERT_EQUAL(talk_init(&w, &t, &none, &token), GSS_S_CONTINUE_NEEDED);
	major = gss_decapsulate_token(&token, &stranger, &body);
	tell("of another mechanism");
	major = gss_decapsulate_token(&token, KRB5, &body);
	tell("decapsulated");
	major = gss_encapsulate_token(&body, KRB5, &again);
	fprintf(out, "again: %08x %d\n", (unsigned)major, again.length == token.length
		&& !memcmp(again.value, token.value, token.length));
	CU_ASSERT_EQUAL(talk_accept(&w, &t, &again, &none), GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &none);
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &body);
	gss_release_buffer(&ignored, &again);
	talk_drop(&t);
}

static void encapsulated(void)
{
	same("frames", frames, 3);
}

/* ---- SPNEGO's wishes ---- */

/* One mechanism that an acceptor may negotiate; the initiator offers krb5. */
static void negotiate(const struct box_token *own, gss_OID allowed)
{
	gss_OID_set_desc set = { 1, allowed };
	struct talk_want w = want(own);
	gss_buffer_desc to_i = GSS_C_EMPTY_BUFFER, to_a = GSS_C_EMPTY_BUFFER;
	struct talk t;

	w.mech = &spnego;
	talk_ready(&w, &t);
	major = gss_set_neg_mechs(&m, t.cred, &set);
	tell("set_neg_mechs");
	talk_init(&w, &t, &to_i, &to_a);
	talk_accept(&w, &t, &to_a, &to_i);
	gss_release_buffer(&ignored, &to_a);
	if (!GSS_ERROR(t.major_a))
		talk_init(&w, &t, &to_i, &to_a);
	fprintf(out, "initiator %x acceptor %x\n", (unsigned)t.major_i, (unsigned)t.major_a);
	gss_release_buffer(&ignored, &to_a);
	gss_release_buffer(&ignored, &to_i);
	talk_drop(&t);
}

static void negotiates(const struct box_token *own)
{
	gss_cred_id_t c;
	struct talk_want w = want(own);
	gss_OID_set_desc set = { 1, KRB5 };
	struct talk t;

	negotiate(own, KRB5);
	negotiate(own, (gss_OID)(uintptr_t)gss_mech_iakerb);
	talk_ready(&w, &t);
	c = t.cred;
	major = gss_set_neg_mechs(&m, c, &set);
	tell("set_neg_mechs of krb5 alone");
	talk_drop(&t);
}

static void negotiable(void)
{
	same("SPNEGO", negotiates, 5);
}

/* ---- contexts ---- */

static void iov_types(struct talk *t, int conf)
{
	char data[] = "some data", params[] = "params", empty[] = "empty";
	gss_iov_buffer_desc v[] = {
		{ GSS_IOV_BUFFER_TYPE_EMPTY, { sizeof(empty), empty } },
		{ GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_MECH_PARAMS, { sizeof(params), params } },
		{ GSS_IOV_BUFFER_TYPE_DATA, { sizeof(data), data } },
		{ GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
	};
	int state = -1;

	major = gss_wrap_iov_length(&m, t->i, conf, 0, &state, v, 6);
	tell("wrap_iov_length");
	for (int i = 0; i < 6; i++)
		fprintf(out, " %x %zu\n", (unsigned)v[i].type, v[i].buffer.length);
	major = gss_wrap_iov(&m, t->i, conf, 0, &state, v, 6);
	tell("wrap_iov");
	for (int i = 0; i < 6; i++)
		fprintf(out, " %x %zu\n", (unsigned)v[i].type, v[i].buffer.length);
	major = gss_unwrap_iov(&m, t->a, &state, NULL, v, 6);
	fprintf(out, "unwrap_iov: %x %d %s %s %s\n", (unsigned)major, state, data, params, empty);
	major = gss_release_iov_buffer(&m, v, 6);
	tell("release_iov_buffer");
	for (int i = 0; i < 6; i++)
		fprintf(out, " %x %zu\n", (unsigned)v[i].type, v[i].buffer.length);
	major = gss_release_iov_buffer(&m, GSS_C_NO_IOV_BUFFER, 0);
	tell("release_iov_buffer of none");
}

static void of_context(const struct box_token *own)
{
	const gss_OID questions[] = { GSS_C_INQ_NEGOEX_KEY, GSS_C_INQ_NEGOEX_VERIFY_KEY };
	struct talk_want w = want(own);
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_buffer_desc b = show_text("token");
	struct talk t;

	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	iov_types(&t, 0);
	iov_types(&t, 1);
	major = gss_complete_auth_token(&m, t.a, &b);
	tell("complete_auth_token");
	major = gss_complete_auth_token(&m, t.i, &b);
	tell("complete_auth_token, initiator");
	major = gss_complete_auth_token(&m, GSS_C_NO_CONTEXT, &b);
	tell("complete_auth_token of none");
	for (size_t i = 0; i < 2; i++) {
		major = gss_inquire_sec_context_by_oid(&m, t.a, questions[i], &set);
		tell("NegoEx key");
		gss_release_buffer_set(&ignored, &set);
	}
	talk_drop(&t);
}

static void of_contexts(void)
{
	same("contexts", of_context, 50);
}

/* ---- credentials ---- */

static gss_name_t import(const char *text, gss_OID type)
{
	gss_buffer_desc b = show_text(text);
	gss_name_t n = GSS_C_NO_NAME;

	CU_ASSERT_EQUAL(gss_import_name(&m, &b, type, &n), GSS_S_COMPLETE);
	return n;
}

static gss_cred_id_t acquire(gss_cred_usage_t usage)
{
	gss_OID_set_desc mechs = { 1, KRB5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	CU_ASSERT_EQUAL(gss_acquire_cred(&m, GSS_C_NO_NAME, 0, &mechs, usage, &c, NULL, NULL),
			GSS_S_COMPLETE);
	return c;
}

/* There is no KDC: all fail, and in the same way. */
static void add(gss_cred_id_t self, gss_name_t user, gss_cred_usage_t usage)
{
	const gss_OID mechs[] = { KRB5, (gss_OID)(uintptr_t)gss_mech_krb5_old };
	gss_buffer_desc password = show_text("secret");
	gss_cred_id_t sum = GSS_C_NO_CREDENTIAL;

	for (size_t i = 0; i < 2; i++) {
		major = gss_add_cred_with_password(&m, GSS_C_NO_CREDENTIAL, user, mechs[i], &password,
						   usage, 0, 0, &sum, NULL, NULL, NULL);
		tell("add_cred_with_password");
		gss_release_cred(&ignored, &sum);
	}
	major = gss_add_cred_impersonate_name(&m, GSS_C_NO_CREDENTIAL, self, user, KRB5, usage, 0, 0,
					      &sum, NULL, NULL, NULL);
	tell("add_cred_impersonate_name");
	gss_release_cred(&ignored, &sum);
	major = gss_add_cred_impersonate_name(&m, self, self, user, KRB5, usage, 0, 0, &sum, NULL,
					      NULL, NULL);
	tell("add_cred_impersonate_name to what has it");
	gss_release_cred(&ignored, &sum);
}

static void keytab_for(const struct box_token *own)
{
	char *file = box_path("acc.kt");

	setenv("KRB5_KTNAME", own ? own->uri : file, 1);
	free(file);
}

static void add_creds(const struct box_token *own)
{
	gss_name_t user = import(ACC_CLIENT, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME);
	struct talk_want w = want(NULL);
	gss_cred_id_t self;
	struct talk t;

	talk_ready(&w, &t);
	keytab_for(own);
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		self = acquire(usage);
		add(self, user, GSS_C_INITIATE);
		add(self, user, usage);
		gss_release_cred(&ignored, &self);
	}
	gss_release_name(&ignored, &user);
	talk_drop(&t);
	unsetenv("KRB5_KTNAME");
}

static void adding(void)
{
	same("adding", add_creds, 24);
}

/* A cache of requests of the program's own choice: the second time is a replay. */
static void rcache(const struct box_token *own)
{
	struct talk_want w = want(own);
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, token, reply;
	krb5_data piece = { .length = 1, .data = (char *)(uintptr_t)"x" };
	char *path = box_path("own.rcache"), *name = NULL;
	krb5_rcache rc = NULL;
	struct talk t;

	if (asprintf(&name, "file2:%s", path) < 0)
		exit(99);
	talk_ready(&w, &t);
	setenv("KRB5RCACHENAME", name, 1);
	CU_ASSERT_EQUAL(krb5_get_server_rcache(acc_krb5(), &piece, &rc), 0);
	major = gss_krb5_set_cred_rcache(&m, t.cred, rc);
	tell("set_cred_rcache");
	setenv("KRB5RCACHENAME", "none:", 1);
	talk_init(&w, &t, &none, &token);
	for (int i = 0; i < 2; i++) {
		major = talk_accept(&w, &t, &token, &reply);
		tell("accept");
		gss_release_buffer(&ignored, &reply);
		gss_delete_sec_context(&ignored, &t.a, GSS_C_NO_BUFFER);
	}
	gss_release_buffer(&ignored, &token);
	remove(path);
	free(path);
	free(name);
	talk_drop(&t);
}

static void rcaches(void)
{
	same("replay cache", rcache, 3);
}

/* The keytab and the ccache that the program names, by the calls that programs use for it. */
static void identity(const struct box_token *own)
{
	struct talk_want w = want(NULL);
	char *file = box_path("acc.kt"), *ccache = box_path("talk.cc");
	const char *old = "unset";
	gss_cred_id_t c;
	struct talk t;

	talk_ready(&w, &t);
	unsetenv("KRB5_KTNAME");
	major = krb5_gss_register_acceptor_identity(own ? own->uri : file);
	tell("register_acceptor_identity");
	c = acquire(GSS_C_ACCEPT);
	gss_release_cred(&ignored, &c);
	setenv("KRB5CCNAME", "FILE:/nonexistent", 1);
	major = gss_krb5_ccache_name(&m, ccache, &old);
	tell("ccache_name");
	c = acquire(GSS_C_BOTH);
	gss_release_cred(&ignored, &c);
	major = gss_krb5_ccache_name(&m, NULL, &old);
	fprintf(out, "ccache_name: %x, before %d\n", (unsigned)major, old && !strcmp(old, ccache));
	major = krb5_gss_register_acceptor_identity(NULL);
	tell("register_acceptor_identity NULL");
	free(file);
	free(ccache);
	talk_drop(&t);
}

static void identities(void)
{
	same("identities", identity, 4);
}

/* A credential is made up for a client that forwarded none, where the acceptor can initiate. */
static void proxy(void)
{
	for (size_t i = 0; i <= n_tokens; i++) {
		const struct box_token *own = i ? &tokens[i - 1] : NULL;
		struct talk_want w = want(own);
		gss_buffer_desc none = GSS_C_EMPTY_BUFFER, token, reply;
		struct talk t;

		talk_ready(&w, &t);
		gss_release_cred(&ignored, &t.cred);
		keytab_for(own);
		t.cred = acquire(GSS_C_BOTH);
		talk_init(&w, &t, &none, &token);
		CU_ASSERT_EQUAL(talk_accept(&w, &t, &token, &reply), GSS_S_COMPLETE);
		CU_ASSERT_PTR_NOT_EQUAL(t.deleg, GSS_C_NO_CREDENTIAL);
		CU_ASSERT(t.flags_a & GSS_C_DELEG_FLAG);
		gss_release_buffer(&ignored, &token);
		gss_release_buffer(&ignored, &reply);
		talk_drop(&t);
	}
	unsetenv("KRB5_KTNAME");
}

static int setup(void)
{
	tokens = box_tokens(&n_tokens);
	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	return n_tokens == 2 ? 0 : 1;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "attributes of mechanisms", mechanism_attributes }, { "sets of OIDs", oid_sets },
		{ "mechanisms for a name", mechs_for_name }, { "tokens and their frame", encapsulated },
		{ "mechanisms to negotiate", negotiable }, { "calls on contexts", of_contexts },
		{ "elements added", adding }, { "replay cache of the program's", rcaches },
		{ "keytab and ccache of the program's", identities },
		{ "proxy credential", proxy }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("the rest", setup, NULL, tests);
}
