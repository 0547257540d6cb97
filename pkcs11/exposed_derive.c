/* Ways to read keys that go by deriving and unwrapping; and what a token says of itself. */
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "pkcs11/digest.h"
#include "pkcs11/exposed.h"
#include "pkcs11/exposed_int.h"

enum { MD = 32, BLOCK = 16 };

/* ---- octet by octet -------------------------------------------------------------- */

/* The at-th octet as a key of its own. */
static CK_RV cut(struct lab *l, size_t at, CK_OBJECT_HANDLE *out)
{
	static const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	CK_ULONG bit = at * CHAR_BIT;            /* CK_EXTRACT_PARAMS */
	CK_MECHANISM mech = { CKM_EXTRACT_KEY_FROM_KEY, &bit, sizeof(bit) };
	struct tmpl m;
	CK_RV rv;

	tmpl_new_key(&m, &spec, false, 1);
	rv = l->f->C_DeriveKey(l->session, &mech, l->key, m.attr, m.n, out);
	if (rv == CKR_OK || rv == CKR_MECHANISM_INVALID)
		return lab_note(l, "C_DeriveKey", rv);
	tmpl_new_key(&m, &spec, true, 1);
	return lab_note(l, "C_DeriveKey",
		    l->f->C_DeriveKey(l->session, &mech, l->key, m.attr, m.n, out));
}

/* A digest of a key of one octet: C_DigestKey. */
static CK_RV digest(struct lab *l, CK_OBJECT_HANDLE key, uint8_t md[MD])
{
	CK_MECHANISM mech = { CKM_SHA256, NULL, 0 };
	CK_ULONG n = MD;
	CK_RV rv;

	rv = lab_note(l, "C_DigestInit", l->f->C_DigestInit(l->session, &mech));
	if (rv == CKR_OK)
		rv = lab_note(l, "C_DigestKey", l->f->C_DigestKey(l->session, key));
	if (rv == CKR_OK)
		rv = lab_note(l, "C_DigestFinal", l->f->C_DigestFinal(l->session, md, &n));
	return rv;
}

/* HMAC of nothing much with a key of one octet. */
static CK_RV sign(struct lab *l, CK_OBJECT_HANDLE key, uint8_t md[MD])
{
	CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
	CK_BYTE in = 0;
	CK_ULONG n = MD;
	CK_RV rv;

	rv = lab_note(l, "C_SignInit", l->f->C_SignInit(l->session, &mech, key));
	if (rv == CKR_OK)
		rv = lab_note(l, "C_Sign", l->f->C_Sign(l->session, &in, 1, md, &n));
	return rv;
}

/* Which octet it is: of 256, the one with this digest or HMAC. */
static bool look_up(const uint8_t md[MD], bool hmac, uint8_t *out)
{
	const uint8_t in = 0;
	uint8_t own[MD], octet;
	unsigned i;

	for (i = 0; i < 256; i++) {
		octet = (uint8_t)i;
		if (hmac ? !HMAC(EVP_sha256(), &octet, 1, &in, 1, own, NULL)
			 : !tok_plain_sha256(&octet, 1, own))
			return false;
		if (memcmp(own, md, MD) == 0) {
			*out = octet;
			return true;
		}
	}
	return false;
}

static bool read_octet(struct lab *l, size_t at, uint8_t *out)
{
	CK_OBJECT_HANDLE one;
	uint8_t md[MD];
	bool open;

	if (cut(l, at, &one) != CKR_OK)
		return false;
	open = (digest(l, one, md) == CKR_OK && look_up(md, false, out)) ||
	       (sign(l, one, md) == CKR_OK && look_up(md, true, out));
	traced(l->tok, "C_DestroyObject", l->f->C_DestroyObject(l->session, one));
	return open;
}

bool lab_extract(struct lab *l)
{
	uint8_t octets[LAB_KEY] = { 0 };
	bool open = true;
	size_t i;

	for (i = 0; i < LAB_KEY && open; i++)
		open = read_octet(l, i, &octets[i]);
	open = open && lab_proves(l, octets);
	OPENSSL_cleanse(octets, sizeof(octets));
	return open;
}

/* ---- children, and what is unwrapped ------------------------------------------------ */

static CK_RV encrypt(struct lab *l, CK_OBJECT_HANDLE key, CK_BYTE in[LAB_KEY],
		     uint8_t out[LAB_KEY])
{
	CK_BYTE iv[BLOCK] = { 0 };
	CK_MECHANISM mech = { CKM_AES_CBC, iv, sizeof(iv) };
	CK_ULONG n = LAB_KEY;
	CK_RV rv;

	rv = lab_note(l, "C_EncryptInit", l->f->C_EncryptInit(l->session, &mech, key));
	if (rv == CKR_OK)
		rv = lab_note(l, "C_Encrypt", l->f->C_Encrypt(l->session, in, LAB_KEY, out, &n));
	return rv;
}

static void known(CK_BYTE data[LAB_KEY])
{
	size_t i;

	for (i = 0; i < LAB_KEY; i++)
		data[i] = (CK_BYTE)(i * 11 + 3);
}

/* An AES key with one more use, and what it makes of known octets. */
static bool prepare(struct lab *l, unsigned use, CK_OBJECT_HANDLE *key, uint8_t out[LAB_KEY])
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | use };
	CK_BYTE data[LAB_KEY];

	known(data);
	l->impossible = lab_generate(l, &spec, key) != CKR_OK ||
			encrypt(l, *key, data, out) != CKR_OK;
	return !l->impossible;
}

static const struct tok_key_spec readable = { .type = TOK_GENERIC, .use = TOK_READABLE };

bool lab_derive(struct lab *l)
{
	CK_BYTE data[LAB_KEY];
	CK_KEY_DERIVATION_STRING_DATA p = { data, BLOCK * 2 };
	CK_MECHANISM mech = { CKM_AES_ECB_ENCRYPT_DATA, &p, sizeof(p) };
	uint8_t want[LAB_KEY], got[LAB_KEY] = { 0 };
	CK_OBJECT_HANDLE base, child;
	struct tmpl m;
	bool open;

	if (!prepare(l, TOK_DERIVE, &base, want))
		return false;
	known(data);
	tmpl_new_key(&m, &readable, false, LAB_KEY);
	/* The first block is the same in both modes, for the IV is zero. */
	open = lab_note(l, "C_DeriveKey", l->f->C_DeriveKey(l->session, &mech, base, m.attr, m.n,
							&child)) == CKR_OK &&
	       lab_value(l, child, got) == CKR_OK && memcmp(got, want, BLOCK) == 0;
	if (open)
		l->call = "C_DeriveKey";
	return open;
}

bool lab_unwrap(struct lab *l)
{
	CK_BYTE data[LAB_KEY], iv[BLOCK] = { 0 };
	CK_MECHANISM mech = { CKM_AES_CBC, iv, sizeof(iv) };
	uint8_t wrapped[LAB_KEY], got[LAB_KEY] = { 0 };
	CK_OBJECT_HANDLE kek, child;
	struct tmpl m;
	bool open;

	if (!prepare(l, TOK_UNWRAP, &kek, wrapped))
		return false;
	known(data);
	tmpl_new_key(&m, &readable, false, 0);
	open = lab_note(l, "C_UnwrapKey", l->f->C_UnwrapKey(l->session, &mech, kek, wrapped, LAB_KEY,
							m.attr, m.n, &child)) == CKR_OK &&
	       lab_value(l, child, got) == CKR_OK && memcmp(got, data, LAB_KEY) == 0;
	if (open)
		l->call = "C_UnwrapKey";
	return open;
}

/* ---- what the token says ------------------------------------------------------------- */

/* -1 where it does not say; "as many as there are" is 0. */
static long number(CK_ULONG v)
{
	if (v == CK_UNAVAILABLE_INFORMATION || v > LONG_MAX)
		return -1;
	return (long)v;
}

static void fill(const CK_TOKEN_INFO *i, CK_FLAGS before, struct tok_facts *out)
{
	const CK_FLAGS pin = i->flags | before;

	out->sessions = number(i->ulSessionCount);
	out->sessions_max = number(i->ulMaxSessionCount);
	out->rw_sessions = number(i->ulRwSessionCount);
	out->rw_sessions_max = number(i->ulMaxRwSessionCount);
	out->public_free = number(i->ulFreePublicMemory);
	out->private_free = number(i->ulFreePrivateMemory);
	out->write_protected = i->flags & CKF_WRITE_PROTECTED;
	out->login_required = i->flags & CKF_LOGIN_REQUIRED;
	out->pin_initialized = i->flags & CKF_USER_PIN_INITIALIZED;
	out->key_pad = i->flags & CKF_PROTECTED_AUTHENTICATION_PATH;
	out->rng = i->flags & CKF_RNG;
	out->pin_count_low = pin & CKF_USER_PIN_COUNT_LOW;
	out->pin_final_try = pin & CKF_USER_PIN_FINAL_TRY;
	out->pin_locked = pin & CKF_USER_PIN_LOCKED;
	out->pin_to_be_changed = pin & CKF_USER_PIN_TO_BE_CHANGED;
}

err_t tok_facts(struct tok *t, struct tok_facts *out)
{
	CK_TOKEN_INFO info;
	CK_RV rv;
	err_t err;

	memset(out, 0, sizeof(*out));
	err = tok_ready(t);
	if (err)
		return err;
	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetTokenInfo", t->f->C_GetTokenInfo(t->slot, &info));
	if (rv != CKR_OK)
		return tok_error(t, "C_GetTokenInfo", rv);
	fill(&info, t->login_flags, out);
	return 0;
}
