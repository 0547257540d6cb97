/*
 * Each major status of RFC 2744 and RFC 5587, called forth through the
 * mechanism layer: on stock handles and on those whose keys are on a token.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static OM_uint32 m, ignored;
static const struct box_token *tokens;
static size_t n_tokens;

#define KRB5 ((gss_OID)(uintptr_t)gss_mech_krb5)
#define READ(x) ((OM_uint32)GSS_S_CALL_INACCESSIBLE_READ | (x))
#define WRITE(x) ((OM_uint32)GSS_S_CALL_INACCESSIBLE_WRITE | (x))

static gss_OID_desc stranger = { 3, (void *)(uintptr_t)"\x2a\x03\x04" };
static gss_OID_desc krb5_one = { 9, (void *)(uintptr_t)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02" };
static gss_OID_set_desc krb5_only = { 1, &krb5_one };

/* What a case may use. */
struct stage {
	const struct box_token *own;     /* NULL: stock */
	struct talk *up;                 /* established, both sides */
	struct talk_want want;
};

/* ---- names ---- */

static gss_name_t import(const char *text, gss_OID type)
{
	gss_buffer_desc b = show_text(text);
	gss_name_t n = GSS_C_NO_NAME;

	gss_import_name(&m, &b, type, &n);
	return n;
}

static OM_uint32 canonical(const char *text, gss_OID type, gss_OID mech)
{
	gss_name_t raw = import(text, type), n = GSS_C_NO_NAME;
	OM_uint32 major = gss_canonicalize_name(&m, raw, mech, &n);

	CU_ASSERT_EQUAL(n != GSS_C_NO_NAME, major == GSS_S_COMPLETE);
	gss_release_name(&ignored, &n);
	gss_release_name(&ignored, &raw);
	return major;
}

static OM_uint32 bad_mech(struct stage *s)
{
	return canonical("alice", GSS_C_NT_USER_NAME, &stranger);
}

/* An exported form whose name is longer than the octets that are there. */
static OM_uint32 bad_name(struct stage *s)
{
	static char octets[] = "\x04\x01\x00\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
			       "\x00\x00\x00\xff" "alice@TEST.ORG";
	gss_buffer_desc b = { sizeof(octets) - 1, octets };
	gss_name_t n = GSS_C_NO_NAME;

	return gss_import_name(&m, &b, GSS_C_NT_EXPORT_NAME, &n);
}

static OM_uint32 bad_nametype(struct stage *s)
{
	return canonical("alice", &stranger, KRB5);
}

static OM_uint32 name_not_mn(struct stage *s)
{
	gss_name_t raw = import("alice", GSS_C_NT_USER_NAME);
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major = gss_export_name(&m, raw, &b);

	gss_release_name(&ignored, &raw);
	gss_release_buffer(&ignored, &b);
	return major;
}

static OM_uint32 nothing_to_read(struct stage *s)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	return gss_display_name(&m, GSS_C_NO_NAME, &b, NULL);
}

static OM_uint32 nowhere_to_write(struct stage *s)
{
	return gss_inquire_context(NULL, s->up->a, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* ---- mechanisms ---- */

static OM_uint32 bad_mech_attr(struct stage *s)
{
	gss_buffer_desc a = GSS_C_EMPTY_BUFFER, b = a, c = a;
	OM_uint32 major = gss_display_mech_attr(&m, &stranger, &a, &b, &c);

	CU_ASSERT_PTR_NULL(a.value);
	return major;
}

static OM_uint32 bad_status(struct stage *s)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 context = 0;

	return gss_display_status(&m, 12345678, GSS_C_MECH_CODE, KRB5, &context, &b);
}

static OM_uint32 unavailable(struct stage *s)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;

	return gss_inquire_sec_context_by_oid(&m, s->up->a, &stranger, &set);
}

/* ---- credentials ---- */

static OM_uint32 acquire(struct stage *s, const char *key, const char *value, const char *name)
{
	char *file = box_path("acc.kt");
	gss_key_value_element_desc e[] = { { "keytab", s->own ? s->own->uri : file }, { key, value } };
	gss_key_value_set_desc store = { key ? 2 : 1, e };
	gss_name_t n = name ? import(name, GSS_C_NT_HOSTBASED_SERVICE) : GSS_C_NO_NAME;
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 major;

	major = gss_acquire_cred_from(&m, n, 0, &krb5_only, GSS_C_ACCEPT, &store, &c, NULL, NULL);
	CU_ASSERT_EQUAL(c != GSS_C_NO_CREDENTIAL, major == GSS_S_COMPLETE);
	gss_release_cred(&ignored, &c);
	gss_release_name(&ignored, &n);
	free(file);
	return major;
}

static OM_uint32 no_cred(struct stage *s)
{
	return acquire(s, NULL, NULL, "imap@mail.test.org");
}

static OM_uint32 duplicate_element(struct stage *s)
{
	return acquire(s, "keytab", "again", NULL);
}

static OM_uint32 bad_structure(struct stage *s)
{
	gss_key_value_set_desc store = { 2, NULL };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	return gss_acquire_cred_from(&m, GSS_C_NO_NAME, 0, &krb5_only, GSS_C_ACCEPT, &store, &c, NULL,
				     NULL);
}

/* A credential for both with the tickets of this cache. */
static gss_cred_id_t both_with(struct stage *s, const char *ccache)
{
	char *file = box_path("acc.kt");
	gss_key_value_element_desc e[] = { { "keytab", s->own ? s->own->uri : file },
					   { "ccache", ccache } };
	gss_key_value_set_desc store = { 2, e };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	CU_ASSERT_EQUAL(gss_acquire_cred_from(&m, GSS_C_NO_NAME, 0, &krb5_only, GSS_C_BOTH, &store,
					      &c, NULL, NULL), GSS_S_COMPLETE);
	free(file);
	return c;
}

static OM_uint32 store_into(gss_cred_id_t c, const char *ccache)
{
	gss_key_value_element_desc e = { "ccache", ccache };
	gss_key_value_set_desc into = { 1, &e };

	return gss_store_cred_into(&m, c, GSS_C_INITIATE, KRB5, 1, 0, &into, NULL, NULL);
}

static void tickets_of(const char *path, const char *client, int life)
{
	struct forge_key k = { .principal = "krbtgt/TEST.ORG@TEST.ORG", .etype = 18, .kvno = 1, .len = 32 };
	struct forge_ticket t = { .client = client };

	if (life) {
		t.endtime = (krb5_timestamp)time(NULL) + life;
		t.authtime = t.endtime - 3600;
	}
	forge_ccache(path, &t, &k);
}

static OM_uint32 credentials_expired(struct stage *s)
{
	char *path = box_path("old.cc"), *to = box_path("to.cc");
	gss_cred_id_t c;
	OM_uint32 major;

	tickets_of(path, ACC_CLIENT, -600);
	c = both_with(s, path);
	major = store_into(c, to);
	gss_release_cred(&ignored, &c);
	unlink(to);
	free(path);
	free(to);
	return major;
}

/* AddressSanitizer's, where the test is built with it. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* The stock mechanism forgets a principal when it finds this. */
static OM_uint32 store_defective(gss_cred_id_t c, const char *ccache)
{
	OM_uint32 major;

	if (__lsan_disable)
		__lsan_disable();
	major = store_into(c, ccache);
	if (__lsan_enable)
		__lsan_enable();
	return major;
}

/* Somebody else's tickets have taken the place of those that it was made with. */
static OM_uint32 defective_credential(struct stage *s)
{
	char *path = box_path("mine.cc"), *to = box_path("to.cc");
	gss_cred_id_t c;
	OM_uint32 major;

	tickets_of(path, ACC_CLIENT, 0);
	c = both_with(s, path);
	tickets_of(path, "mallory@TEST.ORG", 0);
	major = store_defective(c, to);
	gss_release_cred(&ignored, &c);
	unlink(to);
	free(path);
	free(to);
	return major;
}

/* ---- contexts ---- */

static OM_uint32 bad_bindings(struct stage *s)
{
	struct talk_want w = s->want;
	struct talk t;
	OM_uint32 major;

	w.bind_i = "one";
	w.bind_a = "two";
	CU_ASSERT_FALSE(talk_make(&w, &t));
	major = t.major_a;
	talk_drop(&t);
	return major;
}

static OM_uint32 defective_token(struct stage *s)
{
	gss_buffer_desc in = show_text("\x60\x02\x06\x09"), out = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t c = GSS_C_NO_CONTEXT;
	OM_uint32 major;

	major = gss_accept_sec_context(&m, &c, s->up->cred, &in, NULL, NULL, NULL, &out, NULL, NULL,
				       NULL);
	CU_ASSERT_PTR_NULL(c);
	gss_release_buffer(&ignored, &out);
	return major;
}

static OM_uint32 failure(struct stage *s)
{
	gss_buffer_desc in = show_text("again"), out = GSS_C_EMPTY_BUFFER;

	return gss_accept_sec_context(&m, &s->up->a, s->up->cred, &in, NULL, NULL, NULL, &out, NULL,
				      NULL, NULL);
}

/* The first leg of the DCE style: asked for more, and not to be used yet. */
static OM_uint32 half(struct stage *s, bool use)
{
	struct talk_want w = s->want;
	gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = in, msg = show_text("x");
	OM_uint32 major;
	struct talk t;

	w.flags |= GSS_C_DCE_STYLE;
	talk_ready(&w, &t);
	talk_init(&w, &t, &in, &out);
	major = talk_accept(&w, &t, &out, &in);
	gss_release_buffer(&ignored, &out);
	gss_release_buffer(&ignored, &in);
	if (use)
		major = gss_wrap(&m, t.a, 1, 0, &msg, NULL, &out);
	talk_drop(&t);
	return major;
}

static OM_uint32 continue_needed(struct stage *s)
{
	return half(s, false);
}

static OM_uint32 no_context(struct stage *s)
{
	return half(s, true);
}

/* The ticket ends while the context is up: on both sides, as no skew is allowed. */
static void make_short(const struct box_token *own, struct talk *t)
{
	struct talk_want w = { .own_i = own, .own_a = own, .flags = GSS_C_MUTUAL_FLAG, .life = 2,
			       .permitted = "aes sha2\n clockskew = 1" };

	CU_ASSERT_TRUE(talk_make(&w, t));
}

static void is_expired(gss_ctx_id_t c)
{
	OM_uint32 life = 7;

	CU_ASSERT_EQUAL(gss_inquire_context(&m, c, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
			GSS_S_CONTEXT_EXPIRED);
	CU_ASSERT_EQUAL(gss_context_time(&m, c, &life), GSS_S_CONTEXT_EXPIRED);
	CU_ASSERT_EQUAL(life, 0);
}

/* Stock and on each token; all wait together. */
static void expired(void)
{
	struct talk t[3];

	for (size_t i = 0; i < 3; i++)
		make_short(i ? &tokens[i - 1] : NULL, &t[i]);
	sleep(4);
	for (size_t i = 0; i < 3; i++) {
		is_expired(t[i].i);
		is_expired(t[i].a);
		talk_drop(&t[i]);
	}
}

/* ---- messages ---- */

static OM_uint32 bad_qop(struct stage *s)
{
	gss_buffer_desc in = show_text("x"), out = GSS_C_EMPTY_BUFFER;

	return gss_get_mic(&m, s->up->a, 9, &in, &out);
}

static OM_uint32 bad_sig(struct stage *s)
{
	gss_buffer_desc in = show_text("x"), mic = GSS_C_EMPTY_BUFFER;
	OM_uint32 major;

	CU_ASSERT_EQUAL(gss_get_mic(&m, s->up->i, 0, &in, &mic), GSS_S_COMPLETE);
	in = show_text("y");
	major = gss_verify_mic(&m, s->up->a, &in, &mic, NULL);
	gss_release_buffer(&ignored, &mic);
	return major;
}

/* Many messages of the initiator's, of which the acceptor reads these, in this order. */
static OM_uint32 disorder(struct stage *s, OM_uint32 flags, const int *order, size_t n)
{
	struct talk_want w = s->want;
	gss_buffer_desc in = show_text("x"), mic[100];
	OM_uint32 major = GSS_S_FAILURE;
	struct talk t;
	size_t i;

	w.flags = GSS_C_MUTUAL_FLAG | flags;
	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	for (i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(gss_get_mic(&m, t.i, 0, &in, &mic[i]), GSS_S_COMPLETE);
	for (i = 0; i < n; i++)
		major = gss_verify_mic(&m, t.a, &in, &mic[order[i]], NULL);
	for (i = 0; i < 100; i++)
		gss_release_buffer(&ignored, &mic[i]);
	talk_drop(&t);
	return major;
}

static OM_uint32 duplicate_token(struct stage *s)
{
	return disorder(s, GSS_C_REPLAY_FLAG, (const int[]){ 0, 0 }, 2);
}

static OM_uint32 old_token(struct stage *s)
{
	return disorder(s, GSS_C_REPLAY_FLAG, (const int[]){ 0, 99, 1 }, 3);
}

static OM_uint32 gap_token(struct stage *s)
{
	return disorder(s, GSS_C_SEQUENCE_FLAG, (const int[]){ 0, 7 }, 2);
}

static OM_uint32 unseq_token(struct stage *s)
{
	return disorder(s, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, (const int[]){ 0, 7, 3 }, 3);
}

/* ---- all of them ---- */

static const struct {
	OM_uint32 major;
	OM_uint32 (*call)(struct stage *s);
} cases[] = {
	{ GSS_S_BAD_MECH, bad_mech }, { GSS_S_BAD_NAME, bad_name },
	{ GSS_S_BAD_NAMETYPE, bad_nametype }, { GSS_S_BAD_BINDINGS, bad_bindings },
	{ GSS_S_BAD_STATUS, bad_status }, { GSS_S_BAD_MIC, bad_sig },
	{ GSS_S_NO_CRED, no_cred }, { GSS_S_NO_CONTEXT, no_context },
	{ GSS_S_DEFECTIVE_TOKEN, defective_token },
	{ GSS_S_DEFECTIVE_CREDENTIAL, defective_credential },
	{ GSS_S_CREDENTIALS_EXPIRED, credentials_expired },
	{ GSS_S_FAILURE, failure },
	{ GSS_S_BAD_QOP, bad_qop },
	{ GSS_S_UNAVAILABLE, unavailable }, { GSS_S_DUPLICATE_ELEMENT, duplicate_element },
	{ GSS_S_NAME_NOT_MN, name_not_mn }, { GSS_S_BAD_MECH_ATTR, bad_mech_attr },
	{ READ(GSS_S_BAD_NAME), nothing_to_read }, { WRITE(0), nowhere_to_write },
	{ GSS_S_CALL_BAD_STRUCTURE, bad_structure },
	{ GSS_S_CONTINUE_NEEDED, continue_needed }, { GSS_S_DUPLICATE_TOKEN, duplicate_token },
	{ GSS_S_OLD_TOKEN, old_token }, { GSS_S_UNSEQ_TOKEN, unseq_token },
	{ GSS_S_GAP_TOKEN, gap_token },
};

static void each_status(const struct box_token *own)
{
	struct stage s = { .own = own, .want = { .own_i = own, .own_a = own,
						 .flags = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG } };
	struct talk up;
	OM_uint32 major;

	CU_ASSERT_TRUE_FATAL(talk_make(&s.want, &up));
	s.up = &up;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		major = cases[i].call(&s);
		CU_ASSERT_EQUAL(major, cases[i].major);
		if (major != cases[i].major)
			printf("\n %s: case %zu: %x, not %x\n", own ? own->name : "stock", i,
			       (unsigned)major, (unsigned)cases[i].major);
	}
	talk_drop(&up);
}

static void on_stock(void)
{
	each_status(NULL);
}

static void on_tokens(void)
{
	for (size_t i = 0; i < n_tokens; i++)
		each_status(&tokens[i]);
}

static int setup(void)
{
	tokens = box_tokens(&n_tokens);
	return n_tokens == 2 ? 0 : 1;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "each major status, keys on tokens", on_tokens },
		{ "each major status, stock", on_stock },
		{ "contexts that expire", expired },
		CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("each status", setup, NULL, tests);
}
