#include "tests/lib/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/tokpriv.h"

enum { OBJECTS = 4096, BLOCK = 16, BLOCKS = 8192, OUTPUTS = 65536 };
/* Octets of a key in a row: four would be met by chance in one run of these tests out of fifty. */
enum { RUN = 5 };

/* Octets of the message that an object is made of. */
struct piece {
	CK_OBJECT_HANDLE h;
	size_t from, to;
	bool cut;                /* out of a larger one */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CK_FUNCTION_LIST *real, mine;
static bool on;
static unsigned fail_at;
static long objects;             /* made, and not destroyed */
static struct recorded seen;
static uint8_t cipher[BLOCKS * BLOCK], key[64];
static size_t n_cipher, key_at, key_len;
static struct piece pieces[OBJECTS];
static size_t n_pieces;
static size_t in_digest;         /* pieces and other inputs of the digest under way */
static struct piece digested;

static struct { size_t n; uint8_t *p; } outputs[OUTPUTS];
static size_t n_outputs;

/* ---- what is looked for ---- */

static void keep(const void *p, size_t n)
{
	if (n_outputs == OUTPUTS || !(outputs[n_outputs].p = malloc(n + 1)))
		abort();
	memcpy(outputs[n_outputs].p, p, n);
	outputs[n_outputs++].n = n;
}

static void given(const void *p, size_t n)
{
	const uint8_t *at = p;
	size_t i, j;

	if (!on || !p)
		return;
	keep(p, n);
	seen.given += (unsigned)n;
	for (i = 0; i + RUN <= key_len; i++) {
		for (j = 0; j + RUN <= n; j++) {
			if (memcmp(at + j, key + i, RUN))
				continue;
			seen.key_octets++;
			return;
		}
	}
}

/* Where this ciphertext block's plaintext is in the message: stealing exchanged the last two. */
static bool place(const uint8_t *block, size_t *at)
{
	const size_t blocks = (n_cipher + BLOCK - 1) / BLOCK;
	size_t i, n;

	for (i = 0; i < blocks; i++) {
		n = i + 1 < blocks ? BLOCK : n_cipher - i * BLOCK;
		if (memcmp(cipher + i * BLOCK, block, n))
			continue;
		if (i + 2 >= blocks && blocks > 1)
			i = i + 1 == blocks ? i - 1 : i + 1;
		*at = i * BLOCK;
		return true;
	}
	return false;
}

static bool touches(size_t from, size_t to)
{
	return key_len && from < key_at + key_len && key_at < to;
}

static struct piece *find(CK_OBJECT_HANDLE h)
{
	size_t i;

	for (i = n_pieces; i > 0; i--) {
		if (pieces[i - 1].h == h)
			return &pieces[i - 1];
	}
	return NULL;
}

static void add(CK_OBJECT_HANDLE h, size_t from, size_t to, bool cut)
{
	if (n_pieces < OBJECTS)
		pieces[n_pieces++] = (struct piece){ h, from, to, cut };
}

/* True: this call is to fail. */
static bool enter(void)
{
	pthread_mutex_lock(&lock);
	if (on)
		seen.calls++;
	return on && fail_at && seen.calls == fail_at;
}

static CK_RV made(CK_RV rv)
{
	objects += on && rv == CKR_OK;
	return rv;
}

static CK_RV leave(CK_RV rv)
{
	pthread_mutex_unlock(&lock);
	return rv;
}

/* ---- the calls ---- */

static CK_RV decrypt(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
		     CK_ULONG_PTR n)
{
	size_t i, at;
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	for (i = 0; on && i + BLOCK <= len; i += BLOCK) {
		if (place(in + i, &at) && touches(at, at + BLOCK)) {
			seen.key_blocks++;
			break;
		}
	}
	rv = real->C_Decrypt(s, in, len, out, n);
	if (rv == CKR_OK)
		given(out, *n);
	return leave(rv);
}

static CK_RV unwrap(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE h, CK_BYTE_PTR in,
		    CK_ULONG len, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	size_t at;
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = made(real->C_UnwrapKey(s, m, h, in, len, a, n, out));
	if (on && rv == CKR_OK && place(in, &at))
		add(*out, at, at + len, false);
	return leave(rv);
}

static size_t value_len(const CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_ULONG i, len = 0;

	for (i = 0; i < n; i++) {
		if (a[i].type == CKA_VALUE_LEN)
			memcpy(&len, a[i].pValue, sizeof(len));
	}
	return len;
}

static CK_RV derive(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE h,
		    CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	struct piece *from;
	CK_ULONG bits;
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = made(real->C_DeriveKey(s, m, h, a, n, out));
	from = on && rv == CKR_OK && m->mechanism == CKM_EXTRACT_KEY_FROM_KEY ? find(h) : NULL;
	if (from) {
		memcpy(&bits, m->pParameter, sizeof(bits));
		add(*out, from->from + bits / 8, from->from + bits / 8 + value_len(a, n), true);
	} else if (on && rv == CKR_OK) {
		add(*out, 0, 0, true);  /* the handle may have been another's */
	}
	return leave(rv);
}

static CK_RV digest_init(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m)
{
	if (enter())
		return leave(CKR_GENERAL_ERROR);
	in_digest = 0;
	return leave(real->C_DigestInit(s, m));
}

static CK_RV digest_key(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE h)
{
	const struct piece *p;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	p = find(h);
	in_digest++;
	digested = p ? *p : (struct piece){ 0 };
	return leave(real->C_DigestKey(s, h));
}

static CK_RV digest_update(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG len)
{
	if (enter())
		return leave(CKR_GENERAL_ERROR);
	in_digest++;
	return leave(real->C_DigestUpdate(s, in, len));
}

static CK_RV digest_final(CK_SESSION_HANDLE s, CK_BYTE_PTR out, CK_ULONG_PTR n)
{
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	if (on && in_digest == 1 && touches(digested.from, digested.to))
		seen.key_read++;
	rv = real->C_DigestFinal(s, out, n);
	if (rv == CKR_OK)
		given(out, *n);
	return leave(rv);
}

static CK_RV get_attributes(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_PTR a,
			    CK_ULONG n)
{
	CK_ULONG i;
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = real->C_GetAttributeValue(s, h, a, n);
	for (i = 0; i < n; i++) {
		if (a[i].ulValueLen != CK_UNAVAILABLE_INFORMATION)
			given(a[i].pValue, a[i].ulValueLen);
	}
	return leave(rv);
}

static CK_RV sign(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
		  CK_ULONG_PTR n)
{
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = real->C_Sign(s, in, len, out, n);
	if (rv == CKR_OK)
		given(out, *n);
	return leave(rv);
}

static CK_RV encrypt(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
		     CK_ULONG_PTR n)
{
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = real->C_Encrypt(s, in, len, out, n);
	if (rv == CKR_OK)
		given(out, *n);
	return leave(rv);
}

/* Calls that only count. */
static CK_RV decrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE h)
{
	if (enter())
		return leave(CKR_GENERAL_ERROR);
	return leave(real->C_DecryptInit(s, m, h));
}

static CK_RV encrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE h)
{
	if (enter())
		return leave(CKR_GENERAL_ERROR);
	return leave(real->C_EncryptInit(s, m, h));
}

static CK_RV sign_init(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE h)
{
	if (enter())
		return leave(CKR_GENERAL_ERROR);
	return leave(real->C_SignInit(s, m, h));
}

static CK_RV destroy(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE h)
{
	CK_RV rv;

	/* This one is not made to fail: what it leaves behind is nobody's fault. */
	(void)enter();
	rv = real->C_DestroyObject(s, h);
	objects -= on && rv == CKR_OK;
	return leave(rv);
}

static CK_RV create(CK_SESSION_HANDLE s, CK_ATTRIBUTE_PTR a, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = made(real->C_CreateObject(s, a, n, out));
	if (on && rv == CKR_OK)
		add(*out, 0, 0, true);
	return leave(rv);
}

static CK_RV generate(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR a, CK_ULONG n,
		      CK_OBJECT_HANDLE_PTR out)
{
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = made(real->C_GenerateKey(s, m, a, n, out));
	if (on && rv == CKR_OK)
		add(*out, 0, 0, true);
	return leave(rv);
}

static CK_RV wrap(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE w, CK_OBJECT_HANDLE h,
		  CK_BYTE_PTR out, CK_ULONG_PTR n)
{
	CK_RV rv;

	if (enter())
		return leave(CKR_GENERAL_ERROR);
	rv = real->C_WrapKey(s, m, w, h, out, n);
	if (rv == CKR_OK)
		given(out, *n);
	return leave(rv);
}

void record_token(struct tok *t)
{
	real = t->f;
	mine = *real;
	mine.C_Decrypt = decrypt;
	mine.C_UnwrapKey = unwrap;
	mine.C_DeriveKey = derive;
	mine.C_DigestInit = digest_init;
	mine.C_DigestKey = digest_key;
	mine.C_DigestUpdate = digest_update;
	mine.C_DigestFinal = digest_final;
	mine.C_GetAttributeValue = get_attributes;
	mine.C_Sign = sign;
	mine.C_Encrypt = encrypt;
	mine.C_DecryptInit = decrypt_init;
	mine.C_EncryptInit = encrypt_init;
	mine.C_SignInit = sign_init;
	mine.C_DestroyObject = destroy;
	mine.C_CreateObject = create;
	mine.C_GenerateKey = generate;
	mine.C_WrapKey = wrap;
	t->f = &mine;
}

void record_begin(const uint8_t *c, size_t n, const uint8_t *k, size_t at, size_t len)
{
	pthread_mutex_lock(&lock);
	n_cipher = n < sizeof(cipher) ? n : sizeof(cipher);
	if (n_cipher)
		memcpy(cipher, c, n_cipher);
	key_len = len < sizeof(key) ? len : sizeof(key);
	if (key_len)
		memcpy(key, k, key_len);
	key_at = at;
	n_pieces = 0;
	objects = 0;
	while (n_outputs)
		free(outputs[--n_outputs].p);
	memset(&seen, 0, sizeof(seen));
	on = true;
	pthread_mutex_unlock(&lock);
}

struct recorded record_end(void)
{
	struct recorded r;

	pthread_mutex_lock(&lock);
	on = false;
	fail_at = 0;
	r = seen;
	r.objects = objects;
	pthread_mutex_unlock(&lock);
	return r;
}

void record_fail(unsigned n)
{
	fail_at = n;
}

unsigned record_outputs_with(const void *p, size_t n)
{
	const size_t run = n < 8 ? n : 8;
	unsigned with = 0;
	size_t i, j;

	for (i = 0; i < n_outputs; i++) {
		for (j = 0; j + run <= n; j++) {
			if (!memmem(outputs[i].p, outputs[i].n, (const uint8_t *)p + j, run))
				continue;
			with++;
			break;
		}
	}
	return with;
}
