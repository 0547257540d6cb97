/*
 * The way in: which one a token takes, found at the first import that
 * C_CreateObject refuses, and kept for the process.
 */
#include "pkcs11/import.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <string.h>

enum { HMAC_PAD_MAX = 64, BLOCK = 16 };

static const char *const texts[TOK_IMPORT_WAYS] = {
	[TOK_IMPORT_UNKNOWN] = "a way not tried yet",
	[TOK_IMPORT_CREATE] = "C_CreateObject",
	[TOK_IMPORT_KW] = "C_UnwrapKey under a token-made AES key (CKM_AES_KEY_WRAP)",
	[TOK_IMPORT_CBC] = "C_UnwrapKey under a token-made AES key (CKM_AES_CBC)",
	[TOK_IMPORT_KW_BLOCKS] = "C_UnwrapKey under a token-made AES key (CKM_AES_KEY_WRAP, by blocks)",
	[TOK_IMPORT_OAEP] = "C_UnwrapKey under a token-made RSA key (CKM_RSA_PKCS_OAEP)",
};

const char *tok_import_text(enum tok_import_way way)
{
	return way < TOK_IMPORT_WAYS ? texts[way] : texts[TOK_IMPORT_UNKNOWN];
}

/* The token says "not like this", rather than that it is ill. */
static bool refused(CK_RV rv)
{
	switch (rv) {
	case CKR_ATTRIBUTE_VALUE_INVALID:
	case CKR_ATTRIBUTE_TYPE_INVALID:
	case CKR_ATTRIBUTE_READ_ONLY:
	case CKR_TEMPLATE_INCONSISTENT:
	case CKR_TEMPLATE_INCOMPLETE:
	case CKR_FUNCTION_NOT_SUPPORTED:
	case CKR_FUNCTION_REJECTED:
	case CKR_ACTION_PROHIBITED:
		return true;
	default:
		return false;
	}
}

/* FIPS 197, appendix C.3. */
static const uint8_t known_key[32] = {
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
	0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d,
	0x1e, 0x1f
};
static const uint8_t known_text[BLOCK] = {
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
	0xff
};
static const uint8_t known_cipher[BLOCK] = {
	0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf, 0xea, 0xfc, 0x49, 0x90, 0x4b, 0x49, 0x60,
	0x89
};

/* One way with the known key. */
static err_t try_way(struct tok *t, enum tok_import_way way)
{
	static const uint8_t iv[BLOCK];
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct import in = { .tok = t, .spec = &spec, .value = known_key,
			     .len = sizeof(known_key), .way = way };
	struct tok_key *k = NULL;
	uint8_t got[BLOCK];
	err_t err;

	err = make_imported(&in, &k);
	if (!err)
		err = tok_cbc_encrypt(k, iv, known_text, BLOCK, got);
	if (!err && memcmp(got, known_cipher, BLOCK))
		err = err_set(ERR_UNSUPPORTED, "%s gave another key", texts[way]);
	tok_key_unref(&k);
	return err;
}

static bool gone(err_t err)
{
	return err && err != ERR_UNSUPPORTED && err != ERR_TOKEN_FAILED;
}

/* Tries them all; what a token without any says is C_CreateObject's refusal. */
static err_t choose(struct tok *t, enum tok_import_way *out)
{
	err_t err;
	int way;

	*out = TOK_IMPORT_UNKNOWN;
	for (way = TOK_IMPORT_CREATE; way < TOK_IMPORT_WAYS; way++) {
		if (way == TOK_IMPORT_OAEP)
			import_forget(t);
		err = try_way(t, (enum tok_import_way)way);
		if (gone(err))
			return err;
		trace("import: token=%s %s: %s", t->info.label, texts[way],
		      !err ? "yes" : err_text(err) ? err_text(err) : "no");
		if (!err) {
			atomic_store(&t->import_way, way);
			*out = (enum tok_import_way)way;
			return 0;
		}
	}
	return err_set(ERR_UNSUPPORTED, "token \"%s\" takes no secret keys from outside: it refuses "
		       "C_CreateObject, and C_UnwrapKey with CKM_AES_KEY_WRAP, CKM_AES_CBC and "
		       "CKM_RSA_PKCS_OAEP under a key of its own; allow one of them (the trace has "
		       "each refusal)", t->info.label);
}

err_t tok_import_way(struct tok *t, enum tok_import_way *out)
{
	*out = (enum tok_import_way)atomic_load(&t->import_way);
	return *out == TOK_IMPORT_UNKNOWN ? choose(t, out) : 0;
}

/* By the known way, else by C_CreateObject and, where the token refuses that, as it likes. */
static err_t import(struct import *in, struct tok_key **out)
{
	struct tok *t = in->tok;
	const enum tok_import_way known = (enum tok_import_way)atomic_load(&t->import_way);
	err_t err;

	in->way = known == TOK_IMPORT_UNKNOWN ? TOK_IMPORT_CREATE : known;
	err = make_imported(in, out);
	if (known != TOK_IMPORT_UNKNOWN)
		return err;
	if (!err)
		atomic_store(&t->import_way, TOK_IMPORT_CREATE);
	if (!err || gone(err) || !refused(in->rv))
		return err;
	/* It may be these attributes alone: then C_CreateObject stays the way, and its answer holds. */
	err = choose(t, &in->way);
	if (err)
		return err;
	return make_imported(in, out);
}

err_t tok_key_import(struct tok *t, const struct tok_key_spec *spec,
		     const uint8_t *value, size_t len, size_t hash_len,
		     struct tok_key **out)
{
	struct import in = { .tok = t, .spec = spec, .value = value, .len = len,
			     .zeros = spec->type == TOK_GENERIC && hash_len };
	struct secret *padded = NULL;
	err_t err;

	if (out)
		*out = NULL;
	if (!value || len == 0 || hash_len > HMAC_PAD_MAX)
		return err_set(ERR_INTERNAL, "a key to import has a bad length");
	if (spec->type == TOK_GENERIC && hash_len > len) {
		err = secret_new(hash_len, &padded);
		if (err)
			return err;
		memcpy(padded->data, value, len);
		in.value = padded->data;
		in.len = hash_len;
	}
	err = import(&in, out);
	secret_free(&padded);
	return err;
}
