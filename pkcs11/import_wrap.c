/*
 * Values encrypted for C_UnwrapKey.  The key that encrypts and unwraps is made
 * on the token, a session object that can do nothing else; it is kept for the
 * process (or until the token is lost): what it encrypts never leaves this
 * process, and a key a value would cost each import a third call.
 */
#include "pkcs11/gate.h"
#include "pkcs11/import.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <string.h>

#include <openssl/rand.h>

enum { KEK_LEN = 32, HALF = 8, BLOCK = 16, RSA_BITS = 2048, UNWRAPS = 0, ENCRYPTS = 1 };

void wrapped_fini(struct wrapped *w)
{
	tok_key_unref(&w->by);
	secret_wipe(w, sizeof(*w));
}

/* ---- the key ------------------------------------------------------------- */

/* C_GenerateKeyPair in the holder; handles[UNWRAPS] is the private key's. t->lock held. */
static CK_RV make_pair(struct tok *t, CK_OBJECT_HANDLE handles[2])
{
	CK_MECHANISM mech = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	static uint8_t exponent[] = { 1, 0, 1 };
	CK_ULONG bits = RSA_BITS;
	struct tmpl pub = { .n = 0 }, priv = { .n = 0 };
	CK_RV rv;

	tmpl_add_bool(&pub, CKA_TOKEN, false);
	tmpl_add_bool(&pub, CKA_ENCRYPT, true);
	tmpl_add(&pub, CKA_MODULUS_BITS, &bits, sizeof(bits));
	tmpl_add(&pub, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	tmpl_add_bool(&priv, CKA_TOKEN, false);
	tmpl_add_bool(&priv, CKA_PRIVATE, true);
	tmpl_add_bool(&priv, CKA_SENSITIVE, true);
	tmpl_add_bool(&priv, CKA_EXTRACTABLE, false);
	tmpl_add_bool(&priv, CKA_UNWRAP, true);
	tmpl_add_bool(&priv, CKA_DECRYPT, false);
	tmpl_add_bool(&priv, CKA_SIGN, false);
	rv = t->f->C_GenerateKeyPair(t->holder, &mech, pub.attr, pub.n, priv.attr, priv.n,
				     &handles[ENCRYPTS], &handles[UNWRAPS]);
	return traced_mech(t, "C_GenerateKeyPair", mech.mechanism, rv);
}

static CK_RV rsa_make(struct tok *t, struct tok_key *out[2])
{
	CK_OBJECT_HANDLE handles[2] = { 0, 0 };
	unsigned generation = 0;
	CK_RV rv = CKR_SESSION_HANDLE_INVALID;
	int i;

	for (i = 0; i < 2; i++) {
		out[i] = key_new(t, NULL, NULL, 0);
		if (!out[i])
			return CKR_HOST_MEMORY;
	}
	pthread_mutex_lock(&t->lock);
	gate_enter();
	if (t->holder && t->up) {
		generation = atomic_load(&t->generation);
		rv = make_pair(t, handles);
	}
	gate_leave();
	pthread_mutex_unlock(&t->lock);
	for (i = 0; i < 2 && rv == CKR_OK; i++) {
		atomic_store(&out[i]->handle, handles[i]);
		atomic_store(&out[i]->generation, generation);
	}
	return rv;
}

static CK_RV aes_make(struct tok *t, struct tok_key *out[2])
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_UNWRAP };
	err_t err = tok_key_generate(t, &spec, KEK_LEN, &out[UNWRAPS]);

	out[ENCRYPTS] = tok_key_ref(out[UNWRAPS]);
	if (!err)
		return CKR_OK;
	return err == ENOMEM ? CKR_HOST_MEMORY :
	       err == ERR_TOKEN_ABSENT ? CKR_DEVICE_REMOVED : CKR_MECHANISM_INVALID;
}

/* References to the keys that are there, if they are not lost. */
static bool keys_there(struct tok *t, struct tok_key *out[2])
{
	bool there;
	int i;

	pthread_mutex_lock(&t->lock);
	there = t->import_key[UNWRAPS] && !tok_key_lost(t->import_key[UNWRAPS]);
	for (i = 0; i < 2 && there; i++)
		out[i] = tok_key_ref(t->import_key[i]);
	pthread_mutex_unlock(&t->lock);
	return there;
}

/* Keeps them instead of others; two threads that make some at once keep the later ones. */
static void keys_keep(struct tok *t, struct tok_key *const keys[2])
{
	struct tok_key *old[2];
	int i;

	pthread_mutex_lock(&t->lock);
	for (i = 0; i < 2; i++) {
		old[i] = t->import_key[i];
		t->import_key[i] = tok_key_ref(keys[i]);
	}
	pthread_mutex_unlock(&t->lock);
	for (i = 0; i < 2; i++)
		tok_key_unref(&old[i]);
}

void import_forget(struct tok *t)
{
	struct tok_key *none[2] = { NULL, NULL };

	keys_keep(t, none);
}

static CK_RV keys_get(struct tok *t, bool rsa, struct tok_key *out[2])
{
	CK_RV rv;

	out[0] = out[1] = NULL;
	if (keys_there(t, out))
		return CKR_OK;
	rv = rsa ? rsa_make(t, out) : aes_make(t, out);
	if (rv == CKR_OK)
		keys_keep(t, out);
	return rv;
}

/* ---- encrypting ------------------------------------------------------------ */

/* One C_EncryptInit and C_Encrypt in a worker; *out_len: room, then what came. */
struct sealing {
	struct tok *tok;
	struct tok_key *key;
	CK_MECHANISM *mech;
	const char *call;
};

static CK_RV encrypt(struct sealing *s, const uint8_t *in, size_t len, uint8_t *out,
		     size_t *out_len)
{
	CK_FUNCTION_LIST *f = s->tok->f;
	CK_ULONG n = *out_len;
	struct worker w;
	CK_RV rv;

	s->call = "C_OpenSession";
	rv = worker_get(s->tok, &w);
	if (rv != CKR_OK)
		return rv;
	s->call = "C_EncryptInit";
	rv = CKR_SESSION_HANDLE_INVALID;
	if (w.generation == atomic_load(&s->key->generation))
		rv = traced_mech(s->tok, s->call, s->mech->mechanism,
				 f->C_EncryptInit(w.session, s->mech, s->key->handle));
	if (rv == CKR_OK) {
		s->call = "C_Encrypt";
		rv = traced(s->tok, s->call, f->C_Encrypt(w.session, ck_unconst(in), len, out, &n));
	}
	*out_len = n;
	if (rv == CKR_OK)
		worker_put(s->tok, &w);
	else
		worker_drop(s->tok, &w);
	return rv;
}

/* RFC 3394 2.2.1 with the token's AES: one block of CBC, IV 0, is AES itself. */
static CK_RV key_wrap(struct sealing *s, const uint8_t *in, size_t len, uint8_t *out)
{
	uint8_t zero[BLOCK] = { 0 }, a[BLOCK], b[BLOCK];
	CK_MECHANISM cbc = { CKM_AES_CBC, zero, sizeof(zero) };
	const size_t n = len / HALF;
	size_t i, got;
	unsigned t;
	CK_RV rv = CKR_OK;

	s->mech = &cbc;
	memset(a, 0xa6, HALF);
	memmove(out + HALF, in, len);
	for (t = 1; t <= 6 * n && rv == CKR_OK; t++) {
		i = (t - 1) % n + 1;
		memcpy(a + HALF, out + i * HALF, HALF);
		got = sizeof(b);
		rv = encrypt(s, a, BLOCK, b, &got);
		if (rv == CKR_OK && got != BLOCK)
			rv = CKR_FUNCTION_FAILED;
		memcpy(a, b, HALF);
		a[HALF - 1] ^= (uint8_t)t;      /* t < 256: 6 * n, n <= 30 */
		memcpy(out + i * HALF, b + HALF, HALF);
	}
	memcpy(out, a, HALF);
	secret_wipe(a, sizeof(a));
	secret_wipe(b, sizeof(b));
	return rv;
}

static CK_RV by_kw(struct sealing *s, const uint8_t *in, size_t len, bool blocks,
		   struct wrapped *w)
{
	CK_RV rv;

	w->mech.mechanism = CKM_AES_KEY_WRAP;
	w->len = blocks ? len + HALF : sizeof(w->data);
	rv = blocks ? key_wrap(s, in, len, w->data) : encrypt(s, in, len, w->data, &w->len);
	return rv == CKR_OK && w->len != len + HALF ? CKR_FUNCTION_FAILED : rv;
}

static CK_RV by_cbc(struct sealing *s, const uint8_t *in, size_t len, struct wrapped *w)
{
	CK_RV rv;

	w->mech.mechanism = CKM_AES_CBC;
	w->mech.pParameter = w->iv;
	w->mech.ulParameterLen = sizeof(w->iv);
	if (RAND_bytes(w->iv, sizeof(w->iv)) != 1)
		return CKR_RANDOM_NO_RNG;
	w->len = sizeof(w->data);
	rv = encrypt(s, in, len, w->data, &w->len);
	return rv == CKR_OK && w->len != len ? CKR_FUNCTION_FAILED : rv;
}

/* SHA-256 first: SoftHSM2 2.6.1 has SHA-1 alone. */
static CK_RV by_oaep(struct sealing *s, const uint8_t *in, size_t len, struct wrapped *w)
{
	CK_RV rv;
	int sha1;

	w->mech.mechanism = CKM_RSA_PKCS_OAEP;
	w->mech.pParameter = &w->oaep;
	w->mech.ulParameterLen = sizeof(w->oaep);
	w->oaep.source = CKZ_DATA_SPECIFIED;
	for (sha1 = 0; sha1 < 2; sha1++) {
		w->oaep.hashAlg = sha1 ? CKM_SHA_1 : CKM_SHA256;
		w->oaep.mgf = sha1 ? CKG_MGF1_SHA1 : CKG_MGF1_SHA256;
		w->len = sizeof(w->data);
		rv = encrypt(s, in, len, w->data, &w->len);
		if (rv != CKR_MECHANISM_PARAM_INVALID && rv != CKR_ARGUMENTS_BAD)
			break;
	}
	return rv;
}

/* A copy with zeros up to whole blocks; the caller frees it. */
static CK_RV whole_blocks(const struct import *in, struct secret **out)
{
	const size_t len = (in->len + BLOCK - 1) / BLOCK * BLOCK;

	if (secret_new(len, out))
		return CKR_HOST_MEMORY;
	memcpy((*out)->data, in->value, in->len);
	return CKR_OK;
}

static CK_RV wrap_by(const struct import *in, struct sealing *s, struct secret *whole,
		     struct wrapped *out)
{
	/* Zeros may stay behind an HMAC key; of another, C_UnwrapKey must cut them off. */
	const size_t len = in->zeros ? whole->len : in->len;
	const bool kw = in->way == TOK_IMPORT_KW || in->way == TOK_IMPORT_KW_BLOCKS;

	s->mech = &out->mech;
	if (in->way == TOK_IMPORT_OAEP)
		return by_oaep(s, whole->data, len, out);
	/* Nothing here has another length; RFC 5649's wrapping is rarer than AES-CBC. */
	if (kw && len % HALF == 0 && len >= 2 * HALF)
		return by_kw(s, whole->data, len, in->way == TOK_IMPORT_KW_BLOCKS, out);
	out->value_len = len % BLOCK ? len : 0;
	return by_cbc(s, whole->data, whole->len, out);
}

CK_RV import_wrap(const struct import *in, struct wrapped *out, const char **call)
{
	struct sealing s = { .tok = in->tok, .call = "C_GenerateKey" };
	struct tok_key *keys[2] = { NULL, NULL };
	struct secret *whole = NULL;
	CK_RV rv;

	memset(out, 0, sizeof(*out));
	rv = in->len > HALF * 30 ? CKR_KEY_SIZE_RANGE : whole_blocks(in, &whole);
	if (rv == CKR_OK)
		rv = keys_get(in->tok, in->way == TOK_IMPORT_OAEP, keys);
	if (rv == CKR_OK) {
		s.key = keys[ENCRYPTS];
		rv = wrap_by(in, &s, whole, out);
		out->by = tok_key_ref(keys[UNWRAPS]);
	}
	*call = s.call;
	secret_free(&whole);
	tok_key_unref(&keys[UNWRAPS]);
	tok_key_unref(&keys[ENCRYPTS]);
	return rv;
}

/* ---- what came out ----------------------------------------------------------- */

/* True for attributes that decide what a key may do, or who may read it. */
static bool matters(CK_ATTRIBUTE_TYPE type)
{
	switch (type) {
	case CKA_KEY_TYPE:
	case CKA_TOKEN:
	case CKA_SENSITIVE:
	case CKA_EXTRACTABLE:
	case CKA_ENCRYPT:
	case CKA_DECRYPT:
	case CKA_SIGN:
	case CKA_WRAP:
	case CKA_UNWRAP:
	case CKA_DERIVE:
		return true;
	default:
		return false;
	}
}

CK_RV import_check(struct tok *t, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
		   const CK_ATTRIBUTE *want, CK_ULONG n)
{
	CK_ATTRIBUTE got[TMPL_MAX];
	uint8_t values[TMPL_MAX][sizeof(CK_ULONG)];
	CK_ULONG i, m = 0;
	CK_RV rv;

	for (i = 0; i < n && i < TMPL_MAX; i++) {
		if (!matters(want[i].type))
			continue;
		got[m] = want[i];
		got[m].pValue = values[m];
		m++;
	}
	rv = traced(t, "C_GetAttributeValue", t->f->C_GetAttributeValue(session, key, got, m));
	for (i = m = 0; i < n && i < TMPL_MAX && rv == CKR_OK; i++) {
		if (!matters(want[i].type))
			continue;
		if (got[m].ulValueLen != want[i].ulValueLen ||
		    memcmp(values[m], want[i].pValue, want[i].ulValueLen)) {
			trace("import: token=%s: attribute 0x%lx is not what was asked for",
			      t->info.label, want[i].type);
			rv = CKR_TEMPLATE_INCONSISTENT;
		}
		m++;
	}
	return rv;
}
