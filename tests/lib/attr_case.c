#include "tests/lib/attr_case.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/name_text.h"

struct forge_key attr_keys[4], attr_stranger;
gss_cred_id_t attr_own, attr_stock;
static const struct box_token *token;

/* ---- both acceptors ---- */

static gss_cred_id_t acquire(gss_OID mech, const char *keytab)
{
	gss_key_value_element_desc elem = { "keytab", keytab };
	gss_key_value_set_desc store = { 1, &elem };
	gss_OID_set_desc mechs = { 1, mech };
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	OM_uint32 major, minor;

	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_ACCEPT,
				      &store, &cred, NULL, NULL);
	if (GSS_ERROR(major)) {
		printf("no credential for %s: %x %d\n", keytab, major, (int)minor);
		exit(99);
	}
	return cred;
}

char *attr_inquired(gss_ctx_id_t ctx)
{
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major, minor, ignored;
	char *text;

	major = gss_inquire_context(&minor, ctx, &name, NULL, NULL, NULL, NULL, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(major, GSS_S_COMPLETE);
	text = name_text(name);
	gss_release_name(&ignored, &name);
	return text;
}

void attr_see(gss_cred_id_t cred, gss_buffer_t in, struct attr_seen *s)
{
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	OM_uint32 ignored;

	memset(s, 0, sizeof(*s));
	s->major = gss_accept_sec_context(&s->minor, &s->ctx, cred, in, NULL, &s->src, NULL, &out,
					  NULL, NULL, NULL);
	gss_release_buffer(&ignored, &out);
	if (s->major != GSS_S_COMPLETE)
		return;
	s->text = name_text(s->src);
	s->inquired = attr_inquired(s->ctx);
}

void attr_seen_fini(struct attr_seen *s)
{
	OM_uint32 ignored;

	if (s->ctx)
		gss_delete_sec_context(&ignored, &s->ctx, NULL);
	gss_release_name(&ignored, &s->src);
	free(s->text);
	free(s->inquired);
}

/* ---- what must be seen ---- */

static bool mentions(const struct attr_seen *s, const char *what)
{
	return strstr(s->text, what) != NULL;
}

unsigned attr_count(gss_name_t name, const char *attr, int *authenticated)
{
	gss_buffer_desc a = { strlen(attr), (void *)(uintptr_t)attr }, v;
	OM_uint32 major, minor, ignored;
	int more = -1, complete;
	unsigned n = 0;

	*authenticated = 1;
	while (more) {
		int one = 0;

		major = gss_get_name_attribute(&minor, name, &a, &one, &complete, &v, NULL, &more);
		if (GSS_ERROR(major))
			break;
		*authenticated = *authenticated && one && complete;
		n++;
		gss_release_buffer(&ignored, &v);
	}
	return n;
}

static void check_own(const struct attr_case *t, const struct attr_seen *s)
{
	int authenticated;

	CU_ASSERT_EQUAL(mentions(s, " attribute 10:urn:mspac:\n"), t->pac);
	CU_ASSERT_EQUAL(attr_count(s->src, "urn:mspac:", &authenticated), t->verified ? 1 : 0);
	CU_ASSERT_TRUE(!t->verified || authenticated);
	CU_ASSERT_EQUAL(attr_count(s->src, "auth-indicators", &authenticated), t->indicators);
	CU_ASSERT_TRUE(!t->indicators || authenticated);
	CU_ASSERT_STRING_EQUAL(s->text, s->inquired);
}

/* A number that stands for a minor status which another mechanism had first gives -1. */
static err_t real_minor(OM_uint32 minor)
{
	return minor >= 100001 && minor < 200000 ? -1 : (err_t)minor;
}

void attr_compare(const char *name, const struct attr_case *t, struct attr_seen *own, struct attr_seen *stock)
{
	bool ok;

	if (own->major != stock->major)
		printf("\n%s: own %08x %d stock %08x %d\n", name, own->major, (int)own->minor,
		       stock->major, (int)stock->minor);
	CU_ASSERT_EQUAL(own->major, stock->major);
	CU_ASSERT_EQUAL(own->major == GSS_S_COMPLETE, t->fails == 0);
	if (t->fails) {
		CU_ASSERT_TRUE(t->fails == -1 || real_minor(own->minor) == t->fails);
		CU_ASSERT_TRUE(t->fails == -1 || real_minor(stock->minor) == t->fails ||
			       real_minor(stock->minor) == -1);
		return;
	}
	CU_ASSERT_FATAL(own->text && stock->text);
	check_own(t, own);
	ok = name_text_same(t->stock_trusts ? NULL : name, own->text, stock->text);
	CU_ASSERT_EQUAL(ok, !t->stock_trusts);
}

gss_buffer_desc attr_message(const struct attr_case *t)
{
	struct acc_req r = { .key = t->key };

	r.ticket.client = t->client;
	r.ticket.authtime = t->authtime;
	r.ticket.authdata = t->ticket.n ? (krb5_authdata **)(uintptr_t)t->ticket.v : NULL;
	r.authdata = t->authenticator.n ? (krb5_authdata **)(uintptr_t)t->authenticator.v : NULL;
	return acc_usual(&r, ACC_MUTUAL);
}

struct attr_case attr_begin(void)
{
	struct attr_case t = { .key = &attr_keys[1], .authtime = (krb5_timestamp)time(NULL) - 77,
			   .client = ACC_CLIENT };

	return t;
}

/* Uses up t. */
void attr_try(const char *name, struct attr_case *t)
{
	gss_buffer_desc in = attr_message(t);
	struct attr_seen own, stock;

	attr_see(attr_own, &in, &own);
	attr_see(attr_stock, &in, &stock);
	attr_compare(name, t, &own, &stock);
	attr_seen_fini(&own);
	attr_seen_fini(&stock);
	free(in.value);
	ad_free(&t->ticket);
	ad_free(&t->authenticator);
}

/* ---- pieces ---- */

gss_buffer_desc attr_pac(const struct attr_case *t)
{
	struct ad_pac w = { .key = t->key, .client = t->client, .authtime = t->authtime };

	return ad_pac(&w);
}

void attr_put_pac(struct ad_list *l, gss_buffer_desc pac)
{
	ad_take(l, AD_PAC, pac);
	ad_wrap(l);
}

gss_buffer_desc attr_cammac(const struct attr_case *t, const char *const *names,
				   struct ad_cammac w)
{
	struct ad_list elements = { .n = 0 };
	gss_buffer_desc out;

	ad_take(&elements, AD_INDICATOR, ad_indicators(names));
	w.elements = &elements;
	if (!w.key)
		w.key = t->key;
	out = ad_cammac(&w);
	ad_free(&elements);
	return out;
}

const char *const attr_two[] = { "hardened", "passkey", NULL };
const char *const attr_one[] = { "otp", NULL };

/* ---- the program ---- */

static int setup(void)
{
	static const krb5_enctype etypes[] = { 17, 18, 19, 20 };
	static const char *const names[] = {
		"a17/www.test.org@TEST.ORG", ACC_SERVICE, "a19/www.test.org@TEST.ORG",
		"a20/www.test.org@TEST.ORG"
	};
	char *path = box_path("acc.kt"), file[4200];

	for (int i = 0; i < 4; i++)
		acc_new_key(token, names[i], etypes[i], 3, &attr_keys[i]);
	forge_random_key(&attr_stranger, ACC_OTHER, 18, 3);
	attr_own = acquire((gss_OID)(uintptr_t)gss_mech_krb5, token->uri);
	snprintf(file, sizeof(file), "FILE:%s", path);
	attr_stock = acquire(mech_oid_stock(NULL), file);
	free(path);
	return 0;
}

static int teardown(void)
{
	OM_uint32 ignored;

	gss_release_cred(&ignored, &attr_own);
	gss_release_cred(&ignored, &attr_stock);
	acc_file_clear();
	return 0;
}

int attr_run(struct CU_TestInfo *tests)
{
	const struct box_token *tokens;
	size_t n, i;
	int rc = 0;

	acc_environment(NULL);
	tokens = box_tokens(&n);
	for (i = 0; i < n && !rc; i++) {
		token = &tokens[i];
		rc = box_suite(token->name, setup, teardown, tests);
	}
	return rc;
}
