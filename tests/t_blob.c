/*
 * Damaged and forged blobs: nothing but what the token signed gets in, and
 * what it signed must still be a credential.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/hide.h"
#include "mech/k5c1.h"
#include "pkcs11/token.h"
#include "tests/lib/exported.h"

#define NEED EXP_NEED
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the stock mechanism's tokens ------------------------------------------------------ */

#define HEAD "[\"K5C1\",[1,[\"a@R\",null,null],null,false,false,null,null,"
#define TAIL ",null,true,10,0,null,null]]"

static const struct {
	const char *text;
	bool reference;
} k5c1[] = {
	{ HEAD "\"FILE:/tmp/x\"" TAIL, true },
	{ HEAD "\"KCM:0:1\"" TAIL, true },
	{ HEAD "null" TAIL, true },
	{ " [ \"K5C1\" , [1,[\"a\\\"]@R\",null,null],null,false,false,null,null,\"FILE:x\"" TAIL, true },
	{ HEAD "\"MEMORY:x\"" TAIL, false },
	{ HEAD "[\"a@R\",[\"b\",[18,\"a2V5\"]]]" TAIL, false },
	{ HEAD "\"FILE:x\",null,true,10,0,null,\"password\"]]", false },
	{ HEAD "\"FILE:x\",null,true,10,0,null,null,1]]", false },
	{ HEAD "\"FILE:x\",null,true,10,0,null]]", false },
	{ HEAD "\"FILE:x\"" TAIL "x", false },
	{ HEAD "\"FILE:x" TAIL, false },
	{ HEAD "\"FILE:x\\", false },
	{ HEAD "{\"FILE:x\":1}" TAIL, false },
	{ "[\"K5C2\",[1,null,null,false,false,null,null,null,null,true,1,0,null,null]]", false },
	{ "[\"K5C1\"]", false }, { "[", false }, { "", false }, { "null", false },
};

static void stock_tokens(void)
{
	for (size_t i = 0; i < LEN(k5c1); i++) {
		size_t n = strlen(k5c1[i].text);
		gss_buffer_desc b = { n, malloc(n + 1) };

		b.value = realloc(b.value, n ? n : 1);
		memcpy(b.value, k5c1[i].text, n);
		CU_ASSERT_EQUAL(mech_k5c1_is_reference(&b), k5c1[i].reference);
		if (mech_k5c1_is_reference(&b) != k5c1[i].reference)
			fprintf(stderr, "K5C1 %zu\n", i);
		for (b.length = 0; k5c1[i].reference && b.length < n; b.length++)
			CU_ASSERT_FALSE(mech_k5c1_is_reference(&b));
		free(b.value);
	}
}

/* ---- damaged blobs ----------------------------------------------------------------- */

static void check_flip(const gss_buffer_desc *b, size_t at, size_t body)
{
	OM_uint32 major;
	err_t err = exp_try_import(b, &major);

	if (at < EXP_VERSION)
		NEED(err == ERR_FORMAT && strstr(err_text(err), "no exported credential"));
	else if (at < EXP_LENGTH)
		NEED(err == ERR_FORMAT && strstr(err_text(err), "version"));
	else if (at < EXP_LABEL)
		NEED(err == ERR_FORMAT && strstr(err_text(err), "octets"));
	else if (at < body)
		NEED(err == ERR_FORMAT || err == ERR_TOKEN_ABSENT || err == KRB5KRB_AP_ERR_BAD_INTEGRITY);
	else
		NEED(err == KRB5KRB_AP_ERR_BAD_INTEGRITY && strstr(err_text(err), "changed"));
	NEED(major == (err == ERR_TOKEN_ABSENT ? GSS_S_NO_CRED : GSS_S_DEFECTIVE_TOKEN));
}

static size_t head_length(const gss_buffer_desc *b)
{
	const uint8_t *p = b->value;
	size_t serial = EXP_LABEL + 1 + p[EXP_LABEL];

	return serial + 1 + p[serial];
}

static void run_flips(void)
{
	gss_buffer_desc b;
	uint8_t *p;

	exp_doing = "changed octets";
	for (size_t i = 0; i < EXP_WISHES; i += EXP_WISHES - 1) {
		b = exp_load(i);
		p = b.value;
		exp_import(&b, &exp_wishes[i]);
		for (size_t at = 0; at < b.length; at++)
			for (int bit = 1; bit < 256; bit *= 16) {
				p[at] ^= (uint8_t)bit;
				check_flip(&b, at, head_length(&b));
				p[at] ^= (uint8_t)bit;
			}
		exp_import(&b, &exp_wishes[i]);
		free(b.value);
	}
}

static void run_cuts(void)
{
	gss_buffer_desc b = exp_load(2), part, more;
	OM_uint32 major;

	exp_doing = "cut off";
	for (size_t n = 0; n < b.length; n++) {
		part = (gss_buffer_desc){ n, malloc(n + 1) };
		part.value = realloc(part.value, n ? n : 1);
		memcpy(part.value, b.value, n);
		if (n <= EXP_VERSION)
			NEED(exp_try_import(&part, &major) == ERR_FORMAT);
		else
			exp_refused(&part, GSS_S_DEFECTIVE_TOKEN, ERR_FORMAT, "cut off");
		free(part.value);
	}
	more = (gss_buffer_desc){ b.length + 1, calloc(1, b.length + 1) };
	memcpy(more.value, b.value, b.length);
	exp_refused(&more, GSS_S_DEFECTIVE_TOKEN, ERR_FORMAT, "should have");
	free(more.value);
	free(b.value);
	part = (gss_buffer_desc){ 0, NULL };
	exp_refused(&part, GSS_S_DEFECTIVE_TOKEN, ERR_FORMAT, "no exported credential");
}

static void run_versions(void)
{
	static const int versions[] = { 0, 2, 255 };
	static uint8_t old[] = "GP1A\2\0\0\0\x10" "pkcs11:token=box\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	gss_buffer_desc b = exp_load(0), o = { sizeof(old), old };

	exp_doing = "versions";
	for (size_t i = 0; i < LEN(versions); i++) {
		((uint8_t *)b.value)[EXP_VERSION] = (uint8_t)versions[i];
		exp_refused(&b, GSS_S_DEFECTIVE_TOKEN, ERR_FORMAT, "reads version 1");
	}
	exp_refused(&o, GSS_S_DEFECTIVE_TOKEN, ERR_FORMAT, "reads version 1");
	free(b.value);
}

/* ---- bodies that are signed and wrong all the same ------------------------------------ */

struct forged {
	int usage;
	const char *keytab;
	int keytab_len;          /* -1: strlen */
	int name_form;
	const char *name, *rcache;
	int rcache_len;
	uint32_t n_etypes;
	int half_form;
	const char *half;
	int extra;               /* octets behind it all */
	const char *text;        /* NULL: another text will do */
};

/* Stands for the URI of the token that signs. */
#define GOOD "pkcs11:token=x"

static void put_keytab(struct wr *w, const struct forged *f)
{
	size_t n = strlen(GOOD);
	char *uri = NULL;

	if (f->keytab_len >= 0 || strncmp(f->keytab, GOOD, n)) {
		mech_blob_put(w, f->keytab, f->keytab_len < 0 ? strlen(f->keytab)
			      : (size_t)f->keytab_len);
		return;
	}
	NEED(asprintf(&uri, "%s%s", exp_box->bare, f->keytab + n) > 0);
	mech_blob_put(w, uri, strlen(uri));
	free(uri);
}

static gss_buffer_desc forge(struct tok *t, const struct forged *f)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	struct wr w;

	NEED(mech_blob_begin(&w, MECH_BLOB_CRED, t) == 0);
	wr_u8(&w, (uint8_t)f->usage);
	put_keytab(&w, f);
	wr_u8(&w, (uint8_t)f->name_form);
	mech_blob_put(&w, f->name, strlen(f->name));
	mech_blob_put(&w, f->rcache, f->rcache_len < 0 ? strlen(f->rcache) : (size_t)f->rcache_len);
	wr_be32(&w, f->n_etypes);
	for (uint32_t i = 0; i < f->n_etypes && i < 1000; i++)
		wr_be32(&w, 18);
	wr_u8(&w, (uint8_t)f->half_form);
	mech_blob_put(&w, f->half, strlen(f->half));
	for (int i = 0; i < f->extra; i++)
		wr_u8(&w, 0);
	NEED(mech_blob_finish(&w, t, &b) == 0);
	return b;
}

#define REST 0, "", "", -1, 0, 0, "", 0

static const struct forged forgeries[] = {
	{ 2, GOOD "?module-path=/tmp/evil.so", -1, REST, "query" },
	{ 2, GOOD "?pin-source=file:/etc/passwd", -1, REST, "query" },
	{ 2, GOOD "?pin-value=1234", -1, REST, "query" },
	{ 2, GOOD "?", -1, REST, "query" },
	{ 2, "?", -1, REST, "query" },
	{ 2, "FILE:/etc/krb5.keytab", -1, REST, "on no token" },
	{ 2, "/etc/krb5.keytab", -1, REST, "on no token" },
	{ 2, "", -1, REST, "on no token" },
	{ 2, "pkcs11:token=other", -1, REST, "another token" },
	{ 2, GOOD ";serial=other", -1, REST, "another token" },
	{ 2, "pkcs11:token=x\0?module-path=/tmp/evil.so", 40, REST, "malformed" },
	{ 1, GOOD, -1, REST, "malformed" },             /* GSS_C_INITIATE */
	{ 7, GOOD, -1, REST, "malformed" },
	{ 2, GOOD, -1, 3, "x", "", -1, 0, 0, "", 0, "malformed" },
	{ 2, GOOD, -1, 2, "no exported name", "", -1, 0, 0, "", 0, NULL },
	{ 2, GOOD, -1, 0, "", "a\0b", 3, 0, 0, "", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "01234567890123456789", -1, 0, 0, "", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "01234567890123456789a\0b", 23, 0, 0, "", 0, "malformed" },
	{ 0, GOOD, -1, REST, "malformed" },             /* GSS_C_BOTH and no initiator's half */
	{ 2, GOOD, -1, 0, "", "", -1, 0, 4, "x", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 257, 0, "", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 0xffffffff, 0, "", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 0, 3, "x", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 0, 0, "x", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 0, 1, "", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 0, 1, "no JSON", 0, "malformed" },
	{ 0, GOOD, -1, 0, "", "", -1, 0, 1, "no JSON", 0, NULL },
	{ 0, GOOD, -1, 0, "", "", -1, 0, 2, "0123456789", 0, "malformed" },
	{ 2, GOOD, -1, 0, "", "", -1, 0, 0, "", 1, "malformed" },
	{ 2, GOOD, -1, 1, "imap@www.test.org", "", -1, 0, 0, "", 0, "no key on token" },
};

static void run_forged(void)
{
	static const struct forged good = { 2, GOOD, -1, REST, NULL };
	static const struct forged foreign = {
		2, GOOD, -1, 0, "", "01234567890123456789none:", -1, 0, 0, "", 0, NULL
	};
	struct mech_cred *c = acc_cred(exp_box, NULL, NULL), *got = NULL;
	struct tok *t = ks_keytab_token(c->keytab);
	gss_buffer_desc b;
	OM_uint32 major;

	b = forge(t, &good);
	exp_doing = "the forger's hand is steady";
	NEED(exp_try_import(&b, &major) == 0);
	free(b.value);
	b = forge(t, &foreign);
	exp_doing = "another process's replay cache";
	NEED(mech_cred_import(&exp_minor, NULL, &b, &got) == GSS_S_COMPLETE && !got->rcache);
	mech_cred_free(&got);
	free(b.value);
	for (size_t i = 0; i < LEN(forgeries); i++) {
		exp_doing = forgeries[i].text ? forgeries[i].text : "forged body";
		b = forge(t, &forgeries[i]);
		NEED(exp_try_import(&b, &major) != 0);
		if (forgeries[i].text && !strstr(err_text((err_t)exp_minor), forgeries[i].text))
			fprintf(stderr, "forgery %zu: %s\n", i, err_text((err_t)exp_minor));
		NEED(!forgeries[i].text || strstr(err_text((err_t)exp_minor), forgeries[i].text));
		free(b.value);
	}
	mech_cred_free(&c);
}

/* A context's blob is no credential, whatever its MAC says. */
static void run_kinds(void)
{
	struct mech_cred *c = acc_cred(exp_box, NULL, NULL);
	struct tok *t = ks_keytab_token(c->keytab), *found;
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	struct wr w;
	struct rd r;

	exp_doing = "kinds";
	NEED(mech_blob_begin(&w, MECH_BLOB_CTX, t) == 0);
	wr_u8(&w, 2);
	NEED(mech_blob_finish(&w, t, &b) == 0);
	NEED(mech_blob_is(&b, MECH_BLOB_CTX) && !mech_blob_is(&b, MECH_BLOB_CRED));
	NEED(mech_blob_open(&b, MECH_BLOB_CTX, &found, &r) == 0 && rd_u8(&r) == 2 && rd_done(&r));
	ks_token_unref(&found);
	exp_refused(&b, GSS_S_DEFECTIVE_TOKEN, ERR_FORMAT, "no exported credential");
	((uint8_t *)b.value)[3] = MECH_BLOB_CRED;
	exp_refused(&b, GSS_S_DEFECTIVE_TOKEN, KRB5KRB_AP_ERR_BAD_INTEGRITY, "changed");
	free(b.value);
	mech_cred_free(&c);
}

static void run_hide(void)
{
	struct mech_cred *c = acc_cred(exp_box, NULL, NULL);
	static const size_t sizes[] = { 0, 1, 11, 12, 13, 28, 4096, 100000 };
	static uint8_t text[100000];
	struct secret *s;
	struct wr w;

	exp_doing = "hiding";
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < LEN(sizes); i++) {
		wr_init_grow(&w, 1 << 20);
		NEED(ks_hide(ks_keytab_token(c->keytab), text, sizes[i], &w) == 0 && !w.bad);
		NEED(sizes[i] < 12 || !memmem(w.base, w.len, text, 12));
		NEED(ks_unhide(w.base, w.len, &s) == 0 && s->len == sizes[i]);
		NEED(!memcmp(s->data, text, sizes[i]));
		secret_free(&s);
		NEED(ks_unhide(w.base, w.len - 16, &s) == ERR_FORMAT && !s);
		NEED(ks_unhide(w.base, w.len - 1, &s) == ERR_FORMAT && !s);
		w.base[0] ^= 1;
		NEED(ks_unhide(w.base, w.len, &s) == ERR_KEY_ABSENT && !s);
		wr_free(&w);
	}
	NEED(ks_unhide(text, 0, &s) == ERR_FORMAT);
	mech_cred_free(&c);
}

/* ---- the token's own key goes ------------------------------------------------------------ */

static void run_no_key(void)
{
	struct mech_cred *c = acc_cred(exp_box, NULL, NULL);
	struct tok *t = ks_keytab_token(c->keytab);
	struct tok_object *objs;
	gss_buffer_desc b = exp_load(0);
	size_t n;

	exp_doing = "no key for references";
	NEED(tok_objects_list(t, "gssp11 reference MAC", &objs, &n) == 0 && n == 2);
	for (size_t i = 0; i < n; i++)
		NEED(!tok_object_destroy(t, objs[i].label, objs[i].id, objs[i].id_len));
	tok_objects_free(&objs, n);
	exp_refused(&b, GSS_S_NO_CRED, ERR_KEY_ABSENT, "no key for references");
	NEED(ks_ref_ready(t) == 0);
	exp_refused(&b, GSS_S_DEFECTIVE_TOKEN, KRB5KRB_AP_ERR_BAD_INTEGRITY, "was not written with");
	free(b.value);
	mech_cred_free(&c);
}

/* ---- ---------------------------------------------------------------------------------- */

/* Each for both tokens; the first writes what the others read, the last spoils it. */
static void (*const parts[])(void) = {
	exp_write_all, run_flips, run_cuts, run_versions, run_forged, run_kinds, run_hide, run_no_key,
};

static void with(const char *name)
{
	exp_box = box_token(name);
	acc_environment(NULL);
	exp_fixture();
	for (size_t i = 0; i < LEN(parts); i++)
		exp_in_child(parts[i]);
}

static void softhsm(void)
{
	with("softhsm");
}

static void nss(void)
{
	with("nss");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the stock mechanism's tokens", stock_tokens }, { "SoftHSM2", softhsm },
		{ "NSS softoken", nss }, CU_TEST_INFO_NULL,
	};

	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	box_tokens(NULL);
	acc_environment(NULL);
	return box_suite("damaged blobs", NULL, NULL, tests);
}
