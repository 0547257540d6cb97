/*
 * exposure = on-token: whoever would let a key pass through host memory is
 * refused, by the name of the missing mechanism, before anything is opened.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/probe.h"
#include "tests/lib/accepting.h"
#include "tests/lib/keys.h"

#define ON_TOKEN "[appdefaults]\n gssp11 = {\n  exposure = on-token\n }\n"
#define ON_TOKEN_REALM "[appdefaults]\n gssp11 = {\n  TEST.ORG = {\n   exposure = on-token\n  }\n }\n"

static const struct box_token *softhsm, *nss;
static char *trace_file;

/* Lines of the trace that have this in them. */
static unsigned traced(const char *what)
{
	FILE *f = fopen(trace_file, "r");
	char line[2048];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

static gss_buffer_desc token_for(const struct forge_key *k, OM_uint32 flags)
{
	gss_buffer_desc cksum = acc_cksum(NULL, flags, NULL, 0), token;
	struct acc_req r = {
		.key = k, .cksum = &cksum,
		.options = AP_OPTS_USE_SUBKEY |
			   (flags & GSS_C_MUTUAL_FLAG ? AP_OPTS_MUTUAL_REQUIRED : 0),
	};

	token = acc_token(&r, NULL);
	free(cksum.value);
	return token;
}

/* What the acceptor says to a good token; mechanism NULL: it accepts. */
static void accepts(const struct box_token *t, const struct forge_key *k, const char *mechanism)
{
	gss_buffer_desc token = token_for(k, GSS_C_MUTUAL_FLAG);
	struct mech_cred *cred = acc_cred(t, NULL, NULL);
	unsigned before = traced("C_DecryptInit");
	struct acc_answer a;
	const char *text;

	acc_own(cred, &token, NULL, &a);
	text = a.minor ? err_text((err_t)a.minor) : "";
	CU_ASSERT_EQUAL(a.major, mechanism ? GSS_S_FAILURE : GSS_S_COMPLETE);
	CU_ASSERT_EQUAL((err_t)a.minor, mechanism ? ERR_POLICY : 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	if (mechanism) {
		CU_ASSERT_PTR_NULL(a.ctx);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "exposure = on-token"));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, mechanism));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, t->label));
		CU_ASSERT_PTR_NOT_NULL(strstr(text, k->principal));
		CU_ASSERT_EQUAL(traced("C_DecryptInit"), before);
	} else {
		CU_ASSERT(traced("C_DecryptInit") > before);
	}
	acc_answer_fini(&a);
	mech_cred_free(&cred);
	free(token.value);
}

static void acceptors(void)
{
	struct forge_key k;
	int32_t etype;
	bool lacks;

	for (etype = 17; etype <= 20; etype++) {
		lacks = etype > 18;     /* SoftHSM2 has no SP 800-108; NSS softoken has */
		acc_environment(NULL);
		acc_new_key(softhsm, ACC_SERVICE, etype, (krb5_kvno)etype, &k);
		acc_key_to_token(nss, &k);
		accepts(softhsm, &k, NULL);
		accepts(nss, &k, NULL);
		acc_environment(ON_TOKEN);
		accepts(softhsm, &k, lacks ? "CKM_SP800_108_COUNTER_KDF" : "CKM_EXTRACT_KEY_FROM_KEY");
		accepts(nss, &k, NULL);
		acc_environment(ON_TOKEN_REALM);
		accepts(softhsm, &k, lacks ? "CKM_SP800_108_COUNTER_KDF" : "CKM_EXTRACT_KEY_FROM_KEY");
		accepts(nss, &k, NULL);
	}
}

/* With a default realm that is not the service's: what the service's realm has counts. */
#define OTHER(settings) "[libdefaults]\n default_realm = OTHER.ORG\n" \
	"[appdefaults]\n gssp11 = {\n" settings " }\n"
#define REALM(name, settings) "  " name " = {\n" settings "  }\n"

static const struct {
	const char *conf;
	bool refused, prf, raw;
} realms[] = {
	{ OTHER(REALM("TEST.ORG", "exposure = on-token\n")), true, false, false },
	{ OTHER(REALM("OTHER.ORG", "exposure = on-token\n")), false, false, false },
	{ OTHER("exposure = on-token\n"), true, false, false },
	{ OTHER("exposure = on-token\n" REALM("TEST.ORG", "exposure = transient\n")), false, false,
	  false },
	{ OTHER("prf = allow\nexport = allow\n"), false, true, true },
	{ OTHER("prf = allow\nexport = allow\n"
		REALM("TEST.ORG", "prf = refuse\nexport = refuse\n")), false, false, false },
	{ OTHER(REALM("TEST.ORG", "prf = allow\nexport = allow\n")), false, true, true },
	{ OTHER(REALM("OTHER.ORG", "prf = allow\nexport = allow\n")), false, false, false },
	{ OTHER(REALM("TEST.ORG", "exposure = no-such-word\n")), true, false, false },
	/* the service's own group comes first, another service's does not count */
	{ OTHER(REALM("HTTP", "exposure = on-token\n")), true, false, false },
	{ OTHER(REALM("imap", "exposure = on-token\n")), false, false, false },
	{ OTHER("exposure = on-token\n" REALM("HTTP", "exposure = transient\n")), false, false, false },
	{ OTHER(REALM("TEST.ORG", "exposure = on-token\n") REALM("HTTP", "exposure = transient\n")),
	  false, false, false },
	{ OTHER(REALM("TEST.ORG", "prf = allow\nexport = allow\n") REALM("HTTP", "prf = refuse\n")),
	  false, false, true },
	{ OTHER(REALM("TEST.ORG", "prf = allow\n") REALM("HTTP", "export = allow\n")), false, true, true },
	{ OTHER(REALM("HTTP", "exposure = no-such-word\n")), true, false, false },
};

static void one_realm(size_t i, const struct forge_key *k, const char *name)
{
	struct mech_cred *cred = acc_cred(softhsm, name, name ? GSS_C_NT_HOSTBASED_SERVICE : NULL);
	gss_buffer_desc token = token_for(k, GSS_C_MUTUAL_FLAG);
	struct acc_answer a;

	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major, realms[i].refused ? GSS_S_FAILURE : GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(!!a.ctx, !realms[i].refused);
	if ((a.ctx == NULL) != realms[i].refused)
		fprintf(stderr, "realms %zu: %s\n", i, a.minor ? err_text((err_t)a.minor) : "");
	if (a.ctx) {
		CU_ASSERT_EQUAL(a.ctx->keep_prf, realms[i].prf);
		CU_ASSERT_EQUAL(a.ctx->keep_raw, realms[i].raw);
	} else {
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text((err_t)a.minor), "exposure"));
	}
	acc_answer_fini(&a);
	mech_cred_free(&cred);
	free(token.value);
}

static void service_realm(void)
{
	struct forge_key k;

	acc_environment(NULL);
	acc_new_key(softhsm, ACC_SERVICE, 18, 50, &k);
	for (size_t i = 0; i < sizeof(realms) / sizeof(realms[0]); i++) {
		acc_environment(realms[i].conf);
		one_realm(i, &k, NULL);
		one_realm(i, &k, "HTTP@www.test.org");
	}
}

/* The token that counts is the one where the session keys would go. */
static void elsewhere(void)
{
	struct mech_cred *cred;
	gss_buffer_desc token;
	struct acc_answer a;
	struct forge_key k;
	char *conf = NULL;

	acc_environment(NULL);
	acc_new_key(nss, ACC_SERVICE, 20, 30, &k);
	CU_ASSERT_FATAL(asprintf(&conf, "[appdefaults]\n gssp11 = {\n  exposure = on-token\n"
				 "  session_token = %s\n }\n", softhsm->uri) > 0);
	acc_environment(conf);
	free(conf);
	cred = acc_cred(nss, NULL, NULL);
	token = token_for(&k, 0);
	acc_own(cred, &token, NULL, &a);
	CU_ASSERT_EQUAL((err_t)a.minor, ERR_POLICY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), "CKM_SP800_108_COUNTER_KDF"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), softhsm->label));
	acc_answer_fini(&a);
	mech_cred_free(&cred);
	free(token.value);
}

/* The first leg of an initiator with a ticket for the service; the minor status as text. */
static OM_uint32 initiate(const struct forge_key *k, gss_buffer_t text)
{
	const struct forge_ticket t = { .client = ACC_CLIENT };
	gss_name_t target = acc_target(ACC_SERVICE);
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	OM_uint32 major, minor, ignored, more = 0;
	char *path = box_path("policy.cc");

	forge_ccache(path, &t, k);
	setenv("KRB5CCNAME", path, 1);
	free(path);
	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &ctx, target,
				     (gss_OID)(uintptr_t)gss_mech_krb5, 0, 0, NULL, NULL, NULL,
				     &out, NULL, NULL);
	gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, text);
	CU_ASSERT_EQUAL(out.length, 0);
	CU_ASSERT_PTR_NULL(ctx);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&ignored, &ctx, NULL);
	gss_release_name(&ignored, &target);
	return major;
}

static bool says(const gss_buffer_desc *text, const char *what)
{
	return memmem(text->value, text->length, what, strlen(what)) != NULL;
}

/* An initiator's keys are made in memory: they may not move from there. */
static void initiators(void)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	struct forge_key k;
	char *conf = NULL;
	OM_uint32 ignored;

	forge_random_key(&k, ACC_SERVICE, 18, 40);
	CU_ASSERT_FATAL(asprintf(&conf, "[appdefaults]\n gssp11 = {\n  session_token = %s\n"
				 "  exposure = on-token\n }\n", softhsm->uri) > 0);
	acc_environment(conf);
	free(conf);
	CU_ASSERT_EQUAL(initiate(&k, &text), GSS_S_FAILURE);
	CU_ASSERT(says(&text, "exposure = on-token"));
	CU_ASSERT(says(&text, "made in memory by the stock mechanism"));
	gss_release_buffer(&ignored, &text);
}

static void adopted(void)
{
	struct tok *t = keys_token("softhsm");

	CU_ASSERT_EQUAL(ks_exposure_check_adopted(t, false), 0);
	CU_ASSERT_EQUAL(ks_exposure_check_adopted(t, true), ERR_POLICY);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "acceptors", acceptors },
		{ "the service's realm", service_realm },
		{ "keys on another token", elsewhere },
		{ "initiators", initiators },
		{ "keys that are taken over", adopted },
		CU_TEST_INFO_NULL
	};
	int status;

	trace_file = box_path("trace");
	setenv("GSSP11_TRACE", trace_file, 1);
	softhsm = box_token("softhsm");
	nss = box_token("nss");
	acc_environment(NULL);
	status = box_suite("exposure", NULL, NULL, tests);
	free(trace_file);
	return status;
}
