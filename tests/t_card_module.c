/*
 * Cards below Kerberos: URIs that name a certificate, finding it, and the
 * module that shows it to libraries: what they get through it and what not.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "pkcs11/card.h"
#include "pkcs11/ck.h"
#include "tests/lib/box.h"

static struct tok *tok;
static CK_FUNCTION_LIST *real, *shown;   /* the token's own module, and the card's */
static CK_SESSION_HANDLE direct;
static CK_OBJECT_HANDLE key_one;

/* ---- the card ------------------------------------------------------------------ */

static CK_FUNCTION_LIST *load(const char *path)
{
	CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *symbol = lib ? dlsym(lib, "C_GetFunctionList") : NULL;
	CK_FUNCTION_LIST *list = NULL;

	memcpy(&get, &symbol, sizeof(get));
	return get && get(&list) == CKR_OK ? list : NULL;
}

static bool make_key(CK_BYTE id, CK_OBJECT_HANDLE *key)
{
	CK_MECHANISM m = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_BBOOL yes = CK_TRUE;
	CK_ULONG bits = 2048;
	CK_BYTE e[] = { 1, 0, 1 };
	CK_ATTRIBUTE pub[] = { { CKA_MODULUS_BITS, &bits, sizeof(bits) },
			       { CKA_PUBLIC_EXPONENT, e, sizeof(e) } };
	CK_ATTRIBUTE priv[] = { { CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &yes, 1 },
				{ CKA_SIGN, &yes, 1 }, { CKA_ID, &id, 1 } };
	CK_OBJECT_HANDLE p;

	return real->C_GenerateKeyPair(direct, &m, pub, 2, priv, 4, &p, key) == CKR_OK;
}

static bool make_cert(CK_BYTE id, const char *label)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_BBOOL yes = CK_TRUE;
	char text[32];
	CK_ATTRIBUTE a[] = { { CKA_CLASS, &class, sizeof(class) },
			     { CKA_CERTIFICATE_TYPE, &type, sizeof(type) },
			     { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 },
			     { CKA_LABEL, text, strlen(label) }, { CKA_SUBJECT, text, 1 },
			     { CKA_VALUE, text, strlen(label) } };
	CK_OBJECT_HANDLE o;

	snprintf(text, sizeof(text), "%s", label);
	return real->C_CreateObject(direct, a, 7, &o) == CKR_OK;
}

static int setup(void)
{
	const struct box_token *b = box_token("softhsm");
	const struct tok_config cfg = { .state_dir = box_dir() };
	CK_OBJECT_HANDLE other;

	if (tok_open(b->uri, &cfg, &tok) || !(real = load(b->module)) ||
	    real->C_OpenSession(tok_info(tok)->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
				&direct))
		box_unmet("softhsm", "opening", "a session", __LINE__);
	if (C_GetFunctionList(&shown) || !make_key(1, &key_one) || !make_key(2, &other) ||
	    !make_cert(1, "one") || !make_cert(2, "two") || !make_cert(3, "lonely"))
		box_unmet("softhsm", "making", "a card", __LINE__);
	return 0;
}

static int teardown(void)
{
	real->C_CloseSession(direct);
	tok_unref(&tok);
	return 0;
}

/* ---- URIs ------------------------------------------------------------------------- */

static void test_uri(void)
{
	struct tok_card_want w;
	char *t;

	CU_ASSERT(!tok_card_uri("pkcs11:id=%01%ff;token=a%3bb;object=x%20y;type=cert?pin-source=/p", &t, &w));
	CU_ASSERT_STRING_EQUAL(t, "pkcs11:token=a%3bb?pin-source=/p");
	CU_ASSERT_STRING_EQUAL(w.label, "x y");
	CU_ASSERT(w.id_len == 2 && w.id[0] == 1 && w.id[1] == 0xff);
	free(t);
	tok_card_want_fini(&w);
	CU_ASSERT(!tok_card_uri("pkcs11:serial=12", &t, &w));
	CU_ASSERT_STRING_EQUAL(t, "pkcs11:serial=12");
	CU_ASSERT(!w.label && !w.id);
	free(t);
	CU_ASSERT(tok_card_unattended("pkcs11:token=a?pin-source=file:/p"));
	CU_ASSERT(tok_card_unattended("pkcs11:token=a?pin-source=/p"));
	CU_ASSERT_FALSE(tok_card_unattended("pkcs11:token=a?pin-source=ask"));
	CU_ASSERT_FALSE(tok_card_unattended("pkcs11:token=a"));
}

static void test_bad_uri(void)
{
	static const struct { const char *uri, *says; } bad[] = {
		{ "", "starts with" }, { "PKCS11:token=a", "starts with" },
		{ "pkcs11:", "names no card" }, { "pkcs11:id=%01", "names no card" },
		{ "pkcs11:model=m;id=%01", "names no card" }, { "pkcs11:slot-id=1", "names no card" },
		{ "pkcs11:token=a;id=%01;id=%02", "id twice" }, { "pkcs11:token=a;object=x;object=x", "object twice" },
		{ "pkcs11:token=a;token=b", "token twice" }, { "pkcs11:token=a;", "empty attribute" },
		{ "pkcs11:token=a;;id=%01", "empty attribute" }, { "pkcs11:token=a;id=", "does not name" },
		{ "pkcs11:token=a;id=%0", "does not name" }, { "pkcs11:token=a;id=%zz", "does not name" },
		{ "pkcs11:token=a;object=", "does not name" }, { "pkcs11:token=a;object=x%00y", "does not name" },
		{ "pkcs11:token=a;type=secret-key", "does not name" }, { "pkcs11:token=a;type=public", "does not name" },
		{ "pkcs11:token=a;x-y=1", "unknown" }, { "pkcs11:token=a?id=%01", "unknown" },
		{ "pkcs11:token=a?pin-value=1", "pin-source" },
	};
	struct tok_card_want w;
	char *t;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(tok_card_uri(bad[i].uri, &t, &w), ERR_URI);
		CU_ASSERT(!t && !w.id && !w.label);
		if (!strstr(err_text(ERR_URI), bad[i].says)) {
			printf("%s: %s\n", bad[i].uri, err_text(ERR_URI));
			CU_FAIL("the text says something else");
		}
	}
}

/* ---- finding ------------------------------------------------------------------------- */

static err_t find(const char *id, const char *label, struct tok_card **c)
{
	char text[16];
	uint8_t octet = id ? (uint8_t)*id : 0;
	struct tok_card_want w = { label ? text : NULL, id ? &octet : NULL, id ? 1 : 0 };

	if (label)
		snprintf(text, sizeof(text), "%s", label);
	return tok_card_open(tok, &w, c);
}

static void test_find(void)
{
	struct tok_card *c;
	size_t len;

	CU_ASSERT_EQUAL(find(NULL, NULL, &c), ERR_TOKEN_AMBIGUOUS);
	CU_ASSERT_PTR_NULL(c);
	CU_ASSERT(strstr(err_text(ERR_TOKEN_AMBIGUOUS), "2 certificates") != NULL);
	CU_ASSERT_PTR_NULL(strstr(err_text(ERR_TOKEN_AMBIGUOUS), "lonely"));
	CU_ASSERT_EQUAL(find("\3", NULL, &c), ERR_KEY_ABSENT);
	CU_ASSERT(strstr(err_text(ERR_KEY_ABSENT), "private key") != NULL);
	CU_ASSERT_EQUAL(find("\4", NULL, &c), ERR_KEY_ABSENT);
	CU_ASSERT_EQUAL(find("\1", "two", &c), ERR_KEY_ABSENT);
	CU_ASSERT_EQUAL(find(NULL, "tw", &c), ERR_KEY_ABSENT);
	CU_ASSERT_EQUAL(find(NULL, "two", &c), 0);
	CU_ASSERT(!memcmp(tok_card_cert(c, &len), "two", 3) && len == 3);
	tok_card_free(&c);
	CU_ASSERT_PTR_NULL(c);
	tok_card_free(&c);
	CU_ASSERT_EQUAL(find("\1", NULL, &c), 0);
	CU_ASSERT(strstr(tok_card_name(c), "\"one\" (id 01) of token") != NULL);
	tok_card_free(&c);
}

/* ---- the module ------------------------------------------------------------------------ */

static CK_ULONG slots(void)
{
	CK_SLOT_ID id[4];
	CK_ULONG n = 4;

	CU_ASSERT_EQUAL(shown->C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
	return n;
}

static void *count_slots(void *arg)
{
	*(CK_ULONG *)arg = slots();
	return NULL;
}

static void test_shown(void)
{
	CK_SESSION_HANDLE s;
	CK_ULONG elsewhere = 9;
	CK_TOKEN_INFO info;
	struct tok_card *c;
	pthread_t t;

	CU_ASSERT_EQUAL(slots(), 0);
	CU_ASSERT_EQUAL(shown->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_SLOT_ID_INVALID);
	CU_ASSERT_FATAL(find("\1", NULL, &c) == 0);
	tok_card_show(c);
	CU_ASSERT_FALSE(tok_card_asked(c));
	CU_ASSERT_EQUAL(slots(), 1);
	CU_ASSERT(tok_card_asked(c));
	CU_ASSERT(!pthread_create(&t, NULL, count_slots, &elsewhere) && !pthread_join(t, NULL));
	CU_ASSERT_EQUAL(elsewhere, 0);
	CU_ASSERT_EQUAL(shown->C_GetTokenInfo(1, &info), CKR_OK);
	CU_ASSERT_FALSE(info.flags & CKF_LOGIN_REQUIRED);
	CU_ASSERT_EQUAL(shown->C_GetTokenInfo(tok_info(tok)->slot, &info), CKR_SLOT_ID_INVALID);
	CU_ASSERT_EQUAL(shown->C_OpenSession(1, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s),
			CKR_TOKEN_WRITE_PROTECTED);
	CU_ASSERT_EQUAL(shown->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_OK);
	CU_ASSERT_EQUAL(shown->C_Login(s, CKU_USER, NULL, 0), CKR_USER_ALREADY_LOGGED_IN);
	CU_ASSERT_EQUAL(shown->C_DestroyObject(s, 1), CKR_FUNCTION_NOT_SUPPORTED);
	CU_ASSERT_EQUAL(shown->C_Decrypt(s, NULL, 0, NULL, NULL), CKR_FUNCTION_NOT_SUPPORTED);
	CU_ASSERT_EQUAL(shown->C_GetSessionInfo(s, NULL), CKR_FUNCTION_NOT_SUPPORTED);
	tok_card_show(NULL);
	CU_ASSERT_EQUAL(slots(), 0);
	CU_ASSERT_EQUAL(shown->C_CloseSession(s), CKR_SESSION_HANDLE_INVALID);
	CU_ASSERT_EQUAL(tok_card_why(c), 0);
	tok_card_free(&c);
}

/* What a host that loads the module for itself finds: nothing, and no crash where it asks for nowhere. */
static void test_host(void)
{
	CK_INFO info;

	CU_ASSERT_EQUAL(shown->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
	CU_ASSERT_EQUAL(shown->C_GetSlotList(CK_TRUE, NULL, NULL), CKR_ARGUMENTS_BAD);
	CU_ASSERT_EQUAL(shown->C_Initialize(NULL), CKR_OK);
	CU_ASSERT_EQUAL(shown->C_GetInfo(&info), CKR_OK);
	CU_ASSERT_EQUAL(slots(), 0);
	CU_ASSERT_EQUAL(shown->C_WaitForSlotEvent(0, NULL, NULL), CKR_FUNCTION_NOT_SUPPORTED);
}

/* All objects of a class, by the module. */
static CK_ULONG all_of(CK_SESSION_HANDLE s, CK_OBJECT_CLASS class, CK_ATTRIBUTE *more,
		       CK_OBJECT_HANDLE o[4])
{
	CK_ATTRIBUTE a[2] = { { CKA_CLASS, &class, sizeof(class) } };
	CK_ULONG n = 0;

	if (more)
		a[1] = *more;
	CU_ASSERT_EQUAL(shown->C_FindObjectsInit(s, a, more ? 2 : 1), CKR_OK);
	CU_ASSERT_EQUAL(shown->C_FindObjects(s, o, 4, &n), CKR_OK);
	CU_ASSERT_EQUAL(shown->C_FindObjectsFinal(s), CKR_OK);
	return n;
}

static void test_objects(void)
{
	CK_KEY_TYPE rsa = CKK_RSA, ec = CKK_EC;
	CK_BYTE two = 2, buf[2048];
	CK_ATTRIBUTE is_rsa = { CKA_KEY_TYPE, &rsa, sizeof(rsa) }, is_ec = { CKA_KEY_TYPE, &ec, sizeof(ec) };
	CK_ATTRIBUTE is_two = { CKA_ID, &two, 1 }, value = { CKA_VALUE, buf, sizeof(buf) };
	CK_ATTRIBUTE secret = { CKA_PRIVATE_EXPONENT, buf, sizeof(buf) };
	CK_OBJECT_HANDLE o[4], key, cert;
	struct tok_card *c;

	CU_ASSERT_FATAL(find("\1", NULL, &c) == 0);
	tok_card_show(c);
	CU_ASSERT_EQUAL(all_of(1, CKO_SECRET_KEY, NULL, o), 0);
	CU_ASSERT_EQUAL(all_of(1, CKO_CERTIFICATE, &is_two, o), 0);
	CU_ASSERT_EQUAL(all_of(1, CKO_CERTIFICATE, NULL, o), 1);
	cert = o[0];
	CU_ASSERT_EQUAL(all_of(1, CKO_PRIVATE_KEY, &is_rsa, o), 1);
	key = o[0];
	CU_ASSERT_EQUAL(tok_card_why(c), 0);
	CU_ASSERT_EQUAL(all_of(1, CKO_PRIVATE_KEY, &is_ec, o), 0);
	CU_ASSERT_EQUAL(tok_card_why(c), ERR_UNSUPPORTED);
	CU_ASSERT_EQUAL(shown->C_GetAttributeValue(1, cert, &value, 1), CKR_OK);
	CU_ASSERT(value.ulValueLen == 3 && !memcmp(buf, "one", 3));
	value.ulValueLen = 2;
	CU_ASSERT_EQUAL(shown->C_GetAttributeValue(1, cert, &value, 1), CKR_BUFFER_TOO_SMALL);
	value.ulValueLen = sizeof(buf);
	CU_ASSERT_EQUAL(shown->C_GetAttributeValue(1, key, &value, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	CU_ASSERT_EQUAL(shown->C_GetAttributeValue(1, key, &secret, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	CU_ASSERT_EQUAL(secret.ulValueLen, CK_UNAVAILABLE_INFORMATION);
	CU_ASSERT_EQUAL(shown->C_GetAttributeValue(1, key_one + 1000, &value, 1), CKR_OBJECT_HANDLE_INVALID);
	CU_ASSERT_EQUAL(shown->C_GetAttributeValue(2, cert, &value, 1), CKR_SESSION_HANDLE_INVALID);
	tok_card_show(NULL);
	tok_card_free(&c);
}

static void test_sign(void)
{
	CK_MECHANISM m = { CKM_RSA_PKCS, NULL, 0 };
	CK_BYTE data[32] = { 7 }, want[512], sig[512];
	CK_ULONG want_len = sizeof(want), len = sizeof(sig);
	CK_OBJECT_HANDLE o[4];
	struct tok_card *c;

	CU_ASSERT_FATAL(!real->C_SignInit(direct, &m, key_one));
	CU_ASSERT_FATAL(!real->C_Sign(direct, data, sizeof(data), want, &want_len));
	CU_ASSERT_FATAL(find("\1", NULL, &c) == 0);
	tok_card_show(c);
	CU_ASSERT_EQUAL(shown->C_Initialize(NULL), CKR_OK);
	CU_ASSERT_EQUAL(all_of(1, CKO_PRIVATE_KEY, NULL, o), 1);
	CU_ASSERT_EQUAL(shown->C_Sign(1, data, sizeof(data), sig, &len), CKR_OPERATION_NOT_INITIALIZED);
	CU_ASSERT_EQUAL(shown->C_SignInit(1, &m, key_one + 1000), CKR_KEY_HANDLE_INVALID);
	CU_ASSERT_EQUAL(shown->C_SignInit(1, &m, o[0]), CKR_OK);
	len = 10;
	CU_ASSERT_EQUAL(shown->C_Sign(1, data, sizeof(data), sig, &len), CKR_BUFFER_TOO_SMALL);
	CU_ASSERT_EQUAL(len, want_len);
	CU_ASSERT_EQUAL(shown->C_Sign(1, data, sizeof(data), sig, &len), CKR_OK);
	CU_ASSERT(len == want_len && !memcmp(sig, want, len));
	CU_ASSERT_EQUAL(shown->C_Sign(1, data, sizeof(data), sig, &len), CKR_OPERATION_NOT_INITIALIZED);
	m.mechanism = CKM_ECDSA;
	CU_ASSERT_EQUAL(shown->C_SignInit(1, &m, o[0]), CKR_OK);
	CU_ASSERT(shown->C_Sign(1, data, sizeof(data), sig, &len) != CKR_OK);
	CU_ASSERT(tok_card_why(c) != 0);
	/* ends nothing: the next card opens on the same token */
	CU_ASSERT_EQUAL(shown->C_Finalize(NULL), CKR_OK);
	tok_card_show(NULL);
	tok_card_free(&c);
	CU_ASSERT_EQUAL(find("\2", NULL, &c), 0);
	tok_card_free(&c);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "URIs", test_uri }, { "bad URIs", test_bad_uri }, { "finding", test_find },
		{ "shown to one thread", test_shown }, { "objects", test_objects },
		{ "signing", test_sign }, { "a host", test_host }, CU_TEST_INFO_NULL
	};

	return box_suite("cards", setup, teardown, tests);
}
