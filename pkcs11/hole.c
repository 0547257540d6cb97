/*
 * Keys on their way out of a message: ciphertext blocks become a hidden value,
 * the key is cut out of it, and what is beside the key is read octet by octet
 * through digests.  Part of hole.h's interface.
 */
#include "pkcs11/hole.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/sha.h>

#include "pkcs11/digest.h"
#include "pkcs11/make.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

enum { OCTETS = 256, NAME = 8 };        /* of a digest, enough to tell the octets apart */

static err_t unwrap(struct tok_key *aes, const uint8_t iv[16], const uint8_t *blocks, size_t len,
		    unsigned use, struct tok_key **out)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = use };
	uint8_t copy[16];
	const CK_MECHANISM mech = { CKM_AES_CBC, copy, sizeof(copy) };

	*out = NULL;
	if (len == 0 || len % 16 || len > TOK_HIDDEN_MAX)
		return err_set(ERR_INTERNAL, "a hidden value of %zu octets", len);
	memcpy(copy, iv, sizeof(copy));
	return make_unwrapped(aes, &mech, blocks, len, &spec, out);
}

err_t tok_hidden_unwrap(struct tok_key *aes, const uint8_t iv[16], const uint8_t *blocks,
			size_t len, struct tok_key **out)
{
	return unwrap(aes, iv, blocks, len, TOK_DERIVE, out);
}

err_t tok_hidden_unwrap_to_send(struct tok_key *aes, const uint8_t iv[16], const uint8_t *blocks,
				size_t len, struct tok_key **out)
{
	return unwrap(aes, iv, blocks, len, TOK_DERIVE | TOK_EXTRACTABLE, out);
}

err_t tok_hidden_extract(struct tok_key *hidden, size_t at, size_t len,
			 const struct tok_key_spec *spec, struct tok_key **out)
{
	CK_ULONG bits = at * 8;         /* CK_EXTRACT_PARAMS */
	const CK_MECHANISM mech = { CKM_EXTRACT_KEY_FROM_KEY, &bits, sizeof(bits) };

	*out = NULL;
	if (len == 0)
		return err_set(ERR_INTERNAL, "nothing to extract from a hidden value");
	return make_derived(hidden, &mech, spec, len, out);
}

err_t tok_hidden_xor(struct tok_key *hidden, const uint8_t *data, size_t len,
		     const struct tok_key_spec *spec, struct tok_key **out)
{
	CK_KEY_DERIVATION_STRING_DATA p = { ck_unconst(data), len };
	const CK_MECHANISM mech = { CKM_XOR_BASE_AND_DATA, &p, sizeof(p) };

	*out = NULL;
	if (len == 0)
		return err_set(ERR_INTERNAL, "nothing to xor a hidden value with");
	return make_derived(hidden, &mech, spec, len, out);
}

err_t tok_hidden_md5(struct tok_key *hidden, const struct tok_key_spec *spec,
		     struct tok_key **out)
{
	const CK_MECHANISM mech = { CKM_MD5_KEY_DERIVATION, NULL, 0 };

	*out = NULL;
	return make_derived(hidden, &mech, spec, 16, out);
}

/* ---- digests ---- */

struct digest {
	struct tok *tok;
	CK_MECHANISM mech;
	const struct tok_piece *pieces;
	size_t n;
	uint8_t *md;
	CK_ULONG len;
	const char *call;
};

static CK_RV update(struct digest *d, CK_SESSION_HANDLE session, const struct tok_piece *p)
{
	CK_FUNCTION_LIST *f = d->tok->f;

	if (p->key) {
		d->call = "C_DigestKey";
		return traced(d->tok, d->call, f->C_DigestKey(session, p->key->handle));
	}
	if (!p->len)
		return CKR_OK;
	d->call = "C_DigestUpdate";
	return traced(d->tok, d->call, f->C_DigestUpdate(session, ck_unconst(p->data), p->len));
}

static CK_RV digest_in(struct digest *d, CK_SESSION_HANDLE session)
{
	CK_FUNCTION_LIST *f = d->tok->f;
	CK_RV rv;
	size_t i;

	d->call = "C_DigestInit";
	rv = traced_mech(d->tok, d->call, d->mech.mechanism, f->C_DigestInit(session, &d->mech));
	for (i = 0; i < d->n && rv == CKR_OK; i++)
		rv = update(d, session, &d->pieces[i]);
	if (rv != CKR_OK)
		return rv;
	d->call = "C_DigestFinal";
	d->len = TOK_MAC_MAX;
	return traced(d->tok, d->call, f->C_DigestFinal(session, d->md, &d->len));
}

/* Connected again meanwhile: the same numbers could now be other keys. */
static bool all_of(const struct digest *d, unsigned generation)
{
	size_t i;

	for (i = 0; i < d->n; i++) {
		if (d->pieces[i].key && atomic_load(&d->pieces[i].key->generation) != generation)
			return false;
	}
	return true;
}

static CK_RV digest_once(struct digest *d)
{
	struct worker w;
	CK_RV rv;

	d->call = "C_OpenSession";
	rv = worker_get(d->tok, &w);
	if (rv != CKR_OK)
		return rv;
	rv = all_of(d, w.generation) ? digest_in(d, w.session) : CKR_SESSION_HANDLE_INVALID;
	if (rv == CKR_OK)
		worker_put(d->tok, &w);
	else
		worker_drop(d->tok, &w);
	return rv;
}

static err_t refresh(const struct digest *d)
{
	err_t err = tok_ready(d->tok);
	size_t i;

	for (i = 0; i < d->n && !err; i++) {
		if (d->pieces[i].key)
			err = key_refresh(d->pieces[i].key);
	}
	return err;
}

static const struct {
	CK_MECHANISM_TYPE mech;
	size_t len;
} hashes[] = {
	[TOK_SHA1] = { CKM_SHA_1, 20 }, [TOK_SHA256] = { CKM_SHA256, 32 },
	[TOK_SHA384] = { CKM_SHA384, 48 }, [TOK_MD5] = { CKM_MD5, 16 },
};

err_t tok_digest(struct tok *t, enum tok_hash hash, const struct tok_piece *pieces, size_t n,
		 uint8_t md[TOK_MAC_MAX])
{
	struct digest d = { .tok = t, .mech = { hashes[hash].mech, NULL, 0 }, .pieces = pieces,
			    .n = n, .md = md };
	unsigned generation;
	err_t err = refresh(&d);
	CK_RV rv;

	if (err)
		return err;
	generation = atomic_load(&t->generation);
	rv = digest_once(&d);
	if (tok_rv_lost(rv)) {
		/* Hidden values went with their session: that is what refresh says then. */
		err = tok_recover(t, generation);
		if (!err)
			err = refresh(&d);
		if (err)
			return err;
		rv = digest_once(&d);
	}
	if (rv != CKR_OK)
		return tok_error(t, d.call, rv);
	if (d.len != hashes[hash].len)
		return err_set(ERR_TOKEN_FAILED, "C_DigestFinal on token \"%s\" gave %lu octets "
			       "instead of %zu: use another token", t->info.label, d.len,
			       hashes[hash].len);
	return 0;
}

/* ---- reading ---- */

static uint8_t names[OCTETS][NAME];

/* Where libcrypto has no SHA-256 at all, all names are alike, and nothing is read. */
static void make_names(void)
{
	uint8_t octet, md[SHA256_DIGEST_LENGTH];
	unsigned i;

	for (i = 0; i < OCTETS; i++) {
		octet = (uint8_t)i;
		if (!tok_plain_sha256(&octet, 1, md))
			memset(md, 0, sizeof(md));
		memcpy(names[i], md, NAME);
	}
}

/* All octets are gone through, whichever it is: how long it takes tells a stranger nothing. */
static err_t look_up(const struct tok *t, const uint8_t *md, uint8_t *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	unsigned i, same, octet = 0, n = 0;

	pthread_once(&once, make_names);
	for (i = 0; i < OCTETS; i++) {
		same = secret_equal(names[i], md, NAME);
		octet |= i & (0u - same);
		n += same;
	}
	*out = (uint8_t)octet;
	if (n == 1)
		return 0;
	return err_set(ERR_UNSUPPORTED, "C_DigestKey on token \"%s\" gave no digest of one octet "
		       "cut out with CKM_EXTRACT_KEY_FROM_KEY: use another token", t->info.label);
}

/* SHA-256 of n octets from at on, n at least 1. */
static err_t digest_stretch(struct tok_key *hidden, size_t at, size_t n, uint8_t md[TOK_MAC_MAX])
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC };
	struct tok_piece piece = { NULL, NULL, 0 };
	err_t err;

	err = tok_hidden_extract(hidden, at, n, &spec, &piece.key);
	if (!err)
		err = tok_digest(hidden->tok, TOK_SHA256, &piece, 1, md);
	tok_key_unref(&piece.key);
	return err;
}

err_t tok_hidden_read(struct tok_key *hidden, size_t at, size_t n, uint8_t *out)
{
	uint8_t md[TOK_MAC_MAX];
	err_t err = 0;
	size_t i;

	for (i = 0; i < n && !err; i++) {
		err = digest_stretch(hidden, at + i, 1, md);
		if (!err)
			err = look_up(hidden->tok, md, &out[i]);
	}
	secret_wipe(md, sizeof(md));
	if (err)
		memset(out, 0, n);
	return err;
}

err_t tok_hidden_is(struct tok_key *hidden, size_t at, const uint8_t *guess, size_t n, bool *is)
{
	uint8_t md[TOK_MAC_MAX], want[SHA256_DIGEST_LENGTH];
	err_t err;

	*is = n == 0;
	if (n == 0)
		return 0;
	err = digest_stretch(hidden, at, n, md);
	if (!err && !tok_plain_sha256(guess, n, want))
		err = err_set(ENOMEM, "libcrypto gave no SHA-256 digest");
	if (!err)
		*is = memcmp(md, want, sizeof(want)) == 0;
	return err;
}

err_t tok_hidden_closed(struct tok_key *hidden, bool *closed)
{
	CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE;
	CK_ATTRIBUTE a[] = {
		{ CKA_SENSITIVE, &sensitive, sizeof(sensitive) },
		{ CKA_EXTRACTABLE, &extractable, sizeof(extractable) },
	};
	struct tok *t = hidden->tok;
	struct worker w;
	err_t err = key_refresh(hidden);
	CK_RV rv;

	*closed = false;
	if (err)
		return err;
	rv = worker_get(t, &w);
	if (rv != CKR_OK)
		return tok_error(t, "C_OpenSession", rv);
	rv = CKR_SESSION_HANDLE_INVALID;
	if (atomic_load(&hidden->generation) == w.generation)
		rv = traced(t, "C_GetAttributeValue",
			    t->f->C_GetAttributeValue(w.session, hidden->handle, a, 2));
	if (rv == CKR_OK)
		worker_put(t, &w);
	else
		worker_drop(t, &w);
	*closed = rv == CKR_OK && sensitive && !extractable;
	return rv == CKR_OK ? 0 : tok_error(t, "C_GetAttributeValue", rv);
}
