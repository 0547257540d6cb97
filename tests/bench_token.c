/*
 * The bare token: C_Encrypt and C_Sign (or C_Decrypt and C_Sign) of the octets
 * that a wrap of the same message encrypts and signs, with session keys of the
 * same attributes, called straight in the PKCS#11 module.
 */
#include "tests/bench.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static CK_FUNCTION_LIST_PTR f;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE cipher_key, mac_key;
static CK_MECHANISM_TYPE mac_mech;
static int sha2;                 /* RFC 8009: signs the IV and the ciphertext */
static uint8_t *room;

static void check(CK_RV rv, const char *call)
{
	if (rv != CKR_OK)
		bench_die("%s: 0x%lx", call, rv);
}

static void start_module(void)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR);
	const char *init = bench_env("BENCH_INIT");
	void *lib = dlopen(bench_env("BENCH_MODULE"), RTLD_NOW | RTLD_LOCAL);
	void *sym = lib ? dlsym(lib, "C_GetFunctionList") : NULL;

	if (!sym)
		bench_die("%s", dlerror());
	memcpy(&get, &sym, sizeof(get));
	check(get(&f), "C_GetFunctionList");
	if (*init)
		args.pReserved = strdup(init);
	check(f->C_Initialize(&args), "C_Initialize");
}

static void open_session(void)
{
	const char *label = bench_env("BENCH_LABEL"), *pin = bench_env("BENCH_PIN");
	CK_SLOT_ID slots[16];
	CK_TOKEN_INFO info;
	CK_ULONG n = 16, i;

	check(f->C_GetSlotList(CK_TRUE, slots, &n), "C_GetSlotList");
	for (i = 0; i < n; i++) {
		if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
		    memcmp(info.label, label, strlen(label)) == 0)
			break;
	}
	if (i == n)
		bench_die("no token %s", label);
	check(f->C_OpenSession(slots[i], CKF_SERIAL_SESSION, NULL, NULL, &session),
	      "C_OpenSession");
	check(f->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)(uintptr_t)pin, strlen(pin)),
	      "C_Login");
}

/*
 * A session key as the module makes them: sensitive, not extractable, with only
 * the uses it needs, and public, so that a token that encrypts what is private
 * need not decrypt it for each operation.
 */
static CK_OBJECT_HANDLE make_key(CK_KEY_TYPE type, size_t len, bool cipher)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_BBOOL enc = cipher, mac = !cipher;
	uint8_t value[64];
	CK_OBJECT_HANDLE key;
	CK_ATTRIBUTE t[] = {
		{ CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) }, { CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) }, { CKA_EXTRACTABLE, &no, sizeof(no) },
		{ CKA_ENCRYPT, &enc, sizeof(enc) }, { CKA_DECRYPT, &enc, sizeof(enc) },
		{ CKA_SIGN, &mac, sizeof(mac) }, { CKA_VERIFY, &no, sizeof(no) },
		{ CKA_WRAP, &no, sizeof(no) }, { CKA_UNWRAP, &no, sizeof(no) },
		{ CKA_DERIVE, &no, sizeof(no) }, { CKA_VALUE, value, len },
	};

	memset(value, 0x5a, sizeof(value));
	check(f->C_CreateObject(session, t, sizeof(t) / sizeof(t[0]), &key), "C_CreateObject");
	return key;
}

void bench_token_open(int etype)
{
	start_module();
	open_session();
	if (!etype)
		return;
	sha2 = etype == 20;
	cipher_key = make_key(CKK_AES, 32, true);
	/* SoftHSM2 asks for keys as long as the hash: what is shorter is padded with zeros. */
	mac_key = make_key(CKK_GENERIC_SECRET, sha2 ? 48 : 32, false);
	mac_mech = sha2 ? CKM_SHA384_HMAC : CKM_SHA_1_HMAC;
	room = malloc((1u << 20) + 256);
	if (!room)
		bench_die("out of memory");
}

static void sign(const uint8_t *p, size_t n)
{
	CK_MECHANISM m = { mac_mech, NULL, 0 };
	CK_ULONG len = 64;
	uint8_t mac[64];

	check(f->C_SignInit(session, &m, mac_key), "C_SignInit");
	check(f->C_Sign(session, (CK_BYTE_PTR)(uintptr_t)p, n, mac, &len), "C_Sign");
}

/* Confounder, message and header: 32 octets more than the message, and for CBC whole blocks. */
static void wrap(struct bench_job *j)
{
	uint8_t iv[16] = { 0 };
	CK_MECHANISM m = { CKM_AES_CBC, iv, sizeof(iv) };
	size_t n = j->size + 32, whole = (n + 15) & ~(size_t)15;
	CK_ULONG len = whole;

	check(f->C_EncryptInit(session, &m, cipher_key), "C_EncryptInit");
	check(f->C_Encrypt(session, j->msg, whole, room, &len), "C_Encrypt");
	sign(sha2 ? room : j->msg, sha2 ? n + 16 : n);
}

static void unwrap(struct bench_job *j)
{
	uint8_t iv[16] = { 0 };
	CK_MECHANISM m = { CKM_AES_CBC, iv, sizeof(iv) };
	size_t n = j->size + 32, whole = (n + 15) & ~(size_t)15;
	CK_ULONG len = whole;

	if (sha2)
		sign(j->msg, n + 16);
	check(f->C_DecryptInit(session, &m, cipher_key), "C_DecryptInit");
	check(f->C_Decrypt(session, j->msg, whole, room, &len), "C_Decrypt");
	if (!sha2)
		sign(room, n);
}

static void mic(struct bench_job *j)
{
	sign(j->msg, j->size + 16);
}

void bench_token_job(struct bench_job *j)
{
	static void (*const runs[BENCH_N_OPS])(struct bench_job *) = { wrap, unwrap, mic, mic };

	j->run = runs[j->op];
}
