/*
 * gss_display_status: a text for every minor status that this module can
 * return, with what led to it and without, and the stock mechanism's answers
 * to bad questions.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "tests/lib/show.h"
#include "tests/lib/talk.h"

static OM_uint32 ignored;

/* ---- numbers without a story: a thread that has seen none of them ---- */

static const int32_t numbers[] = {
	EINVAL, ENOMEM, ENOENT, EIO, EAGAIN, EBUSY, EEXIST, ENOSPC, EOVERFLOW, ERANGE, E2BIG, ELOOP,
	EMLINK, ENAMETOOLONG, ENOTUNIQ, EPERM, EACCES, EINTR, EROFS,
	KRB5_BAD_ENCTYPE, KRB5_BAD_MSIZE, KRB5_BAD_KEYSIZE, KRB5_NOPERM_ETYPE, KRB5_CRYPTO_INTERNAL,
	KRB5_PROG_ETYPE_NOSUPP, KRB5_MUTUAL_FAILED, KRB5_KDCREP_MODIFIED, KRB5_KT_NOTFOUND,
	KRB5_KT_UNKNOWN_TYPE, KRB5_RC_TYPE_NOTFOUND, KRB5_RC_PARSE, KRB5_PARSE_MALFORMED,
	KRB5_NO_TKT_IN_RLM, KRB5_CC_NOTFOUND, KRB5_FCC_NOFILE, KRB5_NOCREDS_SUPPLIED,
	KRB5_KDC_UNREACH, KRB5_REALM_UNKNOWN, KRB5_SNAME_UNSUPP_NAMETYPE, KRB5_PRINC_NOMATCH,
	KRB5KRB_AP_ERR_BAD_INTEGRITY, KRB5KRB_AP_ERR_TKT_EXPIRED, KRB5KRB_AP_ERR_ILL_CR_TKT,
	KRB5KRB_AP_ERR_MSG_TYPE, KRB5KRB_AP_ERR_REPEAT, KRB5KRB_AP_ERR_NOT_US,
	KRB5KRB_AP_ERR_INAPP_CKSUM, KRB5KRB_AP_ERR_TKT_NYV, KRB5KRB_AP_ERR_TKT_INVALID,
	KRB5KRB_AP_ERR_SKEW, KRB5KRB_AP_ERR_NOKEY, KRB5KRB_AP_ERR_BADORDER,
	KRB5KRB_AP_ERR_BADMATCH, KRB5KRB_AP_ERR_BADKEYVER, KRB5KRB_AP_ERR_BADADDR,
	KRB5KRB_AP_ERR_BADVERSION, KRB5KRB_AP_ERR_MODIFIED, KRB5KRB_ERR_GENERIC,
	KRB5KRB_ERR_FIELD_TOOLONG,
	ASN1_BAD_ID, ASN1_BAD_LENGTH, ASN1_OVERRUN, ASN1_OVERFLOW, ASN1_MISSING_FIELD,
	ASN1_MISPLACED_FIELD, ASN1_BAD_FORMAT, ASN1_BAD_TIMEFORMAT, ASN1_TYPE_MISMATCH,
};

static bool printable(const gss_buffer_desc *b)
{
	const unsigned char *p = b->value;

	for (size_t i = 0; i < b->length; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
	return b->length > 8;
}

/* Through the very function that the mechanism layer calls. */
static void has_text(int32_t code)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, context = 0, major;
	bool ok;

	major = mech_display_minor(&minor, (OM_uint32)code, &context, &b);
	ok = major == GSS_S_COMPLETE && !context && printable(&b)
		&& !memmem(b.value, b.length, "Unknown code", 12);
	CU_ASSERT_TRUE(ok);
	if (!ok)
		printf("\n %d: %x %.*s\n", (int)code, (unsigned)major, (int)b.length,
		       (char *)b.value);
	gss_release_buffer(&ignored, &b);
}

/* Cause and cure: two parts. */
static void has_cure(int32_t code)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, context = 0;

	CU_ASSERT_EQUAL(mech_display_minor(&minor, (OM_uint32)code, &context, &b), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(memchr(b.value, ':', b.length) || memchr(b.value, ';', b.length));
	gss_release_buffer(&ignored, &b);
}

static void *strangers(void *arg)
{
	krb5_context k5;
	int32_t code;

	CU_ASSERT_EQUAL(mech_krb5(&k5), 0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		has_text(numbers[i]);
	for (code = G_BAD_SERVICE_NAME; code <= G_STORE_NON_DEFAULT_CRED_NOSUPP; code++)
		has_text(code);
	for (code = KG_CCACHE_NOMATCH; code <= KG_IAKERB_CONTEXT; code++)
		has_text(code);
	for (code = ERR_BASE; code < ERR_END; code++) {
		has_text(code);
		has_cure(code);
	}
	return NULL;
}

static void every_number(void)
{
	pthread_t t;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, strangers, NULL), 0);
	pthread_join(t, NULL);
}

/* ---- failures, as a program meets them ---- */

/* The text, taken with each OID that the program may name; one text, and no more after it. */
static void shows(OM_uint32 minor, const char *word)
{
	const gss_OID mechs[] = { GSS_C_NO_OID, (gss_OID)gss_mech_krb5, (gss_OID)gss_mech_krb5_old };
	gss_buffer_desc b;
	OM_uint32 context, m;
	bool ok;

	for (size_t i = 0; i < sizeof(mechs) / sizeof(mechs[0]); i++) {
		context = 0;
		ok = gss_display_status(&m, minor, GSS_C_MECH_CODE, mechs[i], &context, &b)
			== GSS_S_COMPLETE && !context && memmem(b.value, b.length, word,
								strlen(word));
		CU_ASSERT_TRUE(ok);
		if (!ok)
			printf("\n no \"%s\": %.*s\n", word, (int)b.length, (char *)b.value);
		gss_release_buffer(&ignored, &b);
	}
}

static void no_cred(const char *keytab, const char *word)
{
	gss_key_value_element_desc e = { "keytab", keytab };
	gss_key_value_set_desc store = { 1, &e };
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor;

	CU_ASSERT_EQUAL(gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_ACCEPT, &store,
					      &c, NULL, NULL), GSS_S_NO_CRED);
	CU_ASSERT_PTR_NULL(c);
	shows(minor, word);
}

static void credentials(void)
{
	const struct box_token *t = box_token("softhsm");
	char *uri = NULL;

	acc_environment(NULL);
	no_cred("pkcs11:tokn=x", "tokn");
	no_cred("pkcs11:token=nowhere", "nowhere");
	no_cred("pkcs11:token=x?module-path=/nowhere.so", "/nowhere.so");
	if (asprintf(&uri, "%s?module-path=%s&pin-source=file:/nonexistent", t->bare, t->module) < 0)
		exit(99);
	no_cred(uri, "/nonexistent");
	free(uri);
}

static OM_uint32 minor_of_prf(const struct talk *t)
{
	gss_buffer_desc in = show_text("x"), out;
	OM_uint32 minor;

	gss_pseudo_random(&minor, t->a, GSS_C_PRF_KEY_FULL, &in, 20, &out);
	return minor;
}

static OM_uint32 minor_of_session_key(const struct talk *t)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 minor;

	gss_inquire_sec_context_by_oid(&minor, t->a, GSS_C_INQ_SSPI_SESSION_KEY, &set);
	return minor;
}

static OM_uint32 minor_of_question(const struct talk *t)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 minor;

	gss_inquire_sec_context_by_oid(&minor, t->a, GSS_C_NT_USER_NAME, &set);
	return minor;
}

static OM_uint32 minor_of_qop(const struct talk *t)
{
	gss_buffer_desc in = show_text("x"), out;
	OM_uint32 minor;

	gss_get_mic(&minor, t->a, 9, &in, &out);
	return minor;
}

static OM_uint32 minor_of_rubbish(const struct talk *t)
{
	gss_buffer_desc in = show_text("x"), out;
	OM_uint32 minor;

	gss_unwrap(&minor, t->a, &in, &out, NULL, NULL);
	return minor;
}

static OM_uint32 minor_of_reflection(const struct talk *t)
{
	gss_buffer_desc in = show_text("x"), token, out;
	OM_uint32 minor;

	gss_wrap(&minor, t->a, 1, 0, &in, NULL, &token);
	gss_unwrap(&minor, t->a, &token, &out, NULL, NULL);
	gss_release_buffer(&ignored, &token);
	return minor;
}

static OM_uint32 minor_of_change(const struct talk *t)
{
	gss_buffer_desc in = show_text("x"), token, out;
	OM_uint32 minor;

	gss_wrap(&minor, t->i, 1, 0, &in, NULL, &token);
	((uint8_t *)token.value)[token.length - 1] ^= 1;
	gss_unwrap(&minor, t->a, &token, &out, NULL, NULL);
	gss_release_buffer(&ignored, &token);
	return minor;
}

static OM_uint32 minor_of_context_token(const struct talk *t)
{
	gss_buffer_desc in = show_text("x");
	OM_uint32 minor;

	gss_process_context_token(&minor, t->a, &in);
	return minor;
}

static const struct {
	OM_uint32 (*minor)(const struct talk *t);
	const char *word;
} failures[] = {
	{ minor_of_prf, "prf = allow" }, { minor_of_session_key, "export = allow" },
	{ minor_of_question, "question" }, { minor_of_qop, "GSS_C_QOP_DEFAULT" },
	{ minor_of_rubbish, "token" }, { minor_of_reflection, "reflected" },
	{ minor_of_change, "altered" }, { minor_of_context_token, "context tokens" },
};

static void contexts(void)
{
	struct talk_want w = { .own_a = box_token("softhsm"), .etype = 20,
			       .permitted = "aes256-sha2", .flags = GSS_C_MUTUAL_FLAG };
	OM_uint32 minor[8];
	struct talk t;

	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	for (size_t i = 0; i < 8; i++) {
		minor[i] = failures[i].minor(&t);
		shows(minor[i], failures[i].word);
	}
	talk_drop(&t);
}

static void refused_accept(void)
{
	struct talk_want w = { .own_a = box_token("softhsm"), .flags = GSS_C_MUTUAL_FLAG };
	struct talk t;

	w.spoil_a = 30;
	CU_ASSERT_FALSE(talk_make(&w, &t));
	shows(t.minor_a, "AP-REQ");
	talk_drop(&t);
}

/* In a thread that saw nothing of it, the number alone still says something. */
static void *elsewhere(void *arg)
{
	OM_uint32 minor = *(OM_uint32 *)arg;

	shows(minor, "policy");
	return NULL;
}

static void other_thread(void)
{
	struct talk_want w = { .own_a = box_token("nss"), .flags = GSS_C_MUTUAL_FLAG };
	OM_uint32 minor;
	struct talk t;
	pthread_t p;

	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	minor = minor_of_session_key(&t);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&p, NULL, elsewhere, &minor), 0);
	pthread_join(p, NULL);
	talk_drop(&t);
}

/* ---- bad questions ---- */

/* What gss_display_status says of a minor that the stock context, and an own one, gave. */
static void same_answer(const OM_uint32 minors[2], int type, OM_uint32 first)
{
	OM_uint32 major[2], minor, context;
	gss_buffer_desc b;

	for (int i = 0; i < 2; i++) {
		context = first;
		major[i] = gss_display_status(&minor, minors[i], type, GSS_C_NO_OID, &context, &b);
		CU_ASSERT_EQUAL(b.length != 0, major[i] == GSS_S_COMPLETE);
		gss_release_buffer(&ignored, &b);
	}
	CU_ASSERT_EQUAL(major[0], major[1]);
}

static void bad_questions(void)
{
	struct talk_want w = { .own_a = box_token("softhsm"), .flags = GSS_C_MUTUAL_FLAG };
	struct talk_want s = { .flags = GSS_C_MUTUAL_FLAG };
	OM_uint32 minors[2], context = 0, minor;
	gss_buffer_desc b;
	struct talk t;

	CU_ASSERT_TRUE_FATAL(talk_make(&s, &t));
	minors[0] = minor_of_change(&t);
	talk_drop(&t);
	CU_ASSERT_TRUE_FATAL(talk_make(&w, &t));
	minors[1] = minor_of_change(&t);
	talk_drop(&t);
	for (int type = -1; type < 10; type++)
		if (type != GSS_C_GSS_CODE)
			for (OM_uint32 first = 0; first < 3; first++)
				same_answer(minors, type, first);
	CU_ASSERT_EQUAL(gss_display_status(&minor, minors[1], GSS_C_MECH_CODE, NULL, NULL, &b),
			GSS_S_CALL_INACCESSIBLE_WRITE);
	CU_ASSERT_EQUAL(gss_display_status(&minor, minors[1], GSS_C_MECH_CODE, NULL, &context, NULL),
			GSS_S_CALL_INACCESSIBLE_WRITE);
	CU_ASSERT_EQUAL(gss_display_status(&minor, 12345678, GSS_C_MECH_CODE,
					   (gss_OID)gss_mech_krb5, &context, &b), GSS_S_BAD_STATUS);
	CU_ASSERT_EQUAL(gss_display_status(&minor, 0, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5,
					   &context, &b), GSS_S_COMPLETE);
	CU_ASSERT(b.length > 0);
	gss_release_buffer(&ignored, &b);
}

/* This module's own function, asked what the layer never asks. */
static void bad_to_own(void)
{
	OM_uint32 minor = 0, context = 1;
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	CU_ASSERT_EQUAL(mech_display_minor(&minor, EINVAL, &context, &b), GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)minor, G_BAD_MSG_CTX);
	CU_ASSERT_EQUAL(b.length, 0);
	context = 0;
	CU_ASSERT_EQUAL(mech_display_minor(&minor, 0, &context, &b), GSS_S_COMPLETE);
	CU_ASSERT(b.length > 0);
	gss_release_buffer(&ignored, &b);
	/* a number of nobody's gets what com_err says of it, as with the stock mechanism */
	CU_ASSERT_EQUAL(mech_display_minor(&minor, 12345678, &context, &b), GSS_S_COMPLETE);
	CU_ASSERT(b.length > 0);
	gss_release_buffer(&ignored, &b);
}

/* Calling error, routine error and each bit of information: one text each, then the end. */
static void majors(void)
{
	OM_uint32 value, minor, context, n, texts, routine, bits;
	gss_buffer_desc b;

	for (routine = 0; routine <= 18; routine++)
		for (bits = 0; bits < 32; bits++) {
			value = routine << GSS_C_ROUTINE_ERROR_OFFSET | bits;
			n = (routine != 0) + (OM_uint32)__builtin_popcount(bits);
			texts = context = 0;
			do {
				CU_ASSERT_EQUAL_FATAL(gss_display_status(&minor, value, GSS_C_GSS_CODE,
						(gss_OID)gss_mech_krb5, &context, &b),
						GSS_S_COMPLETE);
				CU_ASSERT(b.length > 5);
				gss_release_buffer(&ignored, &b);
				texts++;
			} while (context && texts < 10);
			CU_ASSERT_EQUAL(texts, n ? n : 1);
		}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "credentials", credentials },  /* while no token is open yet */
		{ "bad questions", bad_questions }, { "bad questions to this module", bad_to_own },
		{ "every number", every_number },
		{ "contexts", contexts }, { "a refused accept", refused_accept },
		{ "another thread", other_thread }, { "majors", majors }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("statuses", NULL, NULL, tests);
}
