/*
 * Operations: two PKCS#11 calls each, in a worker session, nothing else on the
 * way; only a failure takes the slow path of recovery and one retry.
 */
#include "pkcs11/digest.h"
#include "pkcs11/result.h"
#include "pkcs11/secret.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <string.h>


/* One operation on one key. */
struct op {
	CK_RV (*run)(struct op *op, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key);
	struct tok *tok;
	const char *call;       /* the call that gave the result */
	CK_MECHANISM mech;
	const uint8_t *in;
	size_t len;
	uint8_t *out;
	size_t out_len;         /* expected; in C_Sign's case also what must come */
};

static CK_RV run_encrypt(struct op *op, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_FUNCTION_LIST *f = op->tok->f;
	CK_ULONG n = op->len;
	CK_RV rv;

	op->call = "C_EncryptInit";
	rv = traced_mech(op->tok, op->call, op->mech.mechanism,
			 f->C_EncryptInit(session, &op->mech, key));
	if (rv != CKR_OK)
		return rv;
	op->call = "C_Encrypt";
	rv = traced(op->tok, op->call,
		    f->C_Encrypt(session, ck_unconst(op->in), op->len, op->out, &n));
	op->out_len = n;
	return rv;
}

static CK_RV run_decrypt(struct op *op, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_FUNCTION_LIST *f = op->tok->f;
	CK_ULONG n = op->len;
	CK_RV rv;

	op->call = "C_DecryptInit";
	rv = traced_mech(op->tok, op->call, op->mech.mechanism,
			 f->C_DecryptInit(session, &op->mech, key));
	if (rv != CKR_OK)
		return rv;
	op->call = "C_Decrypt";
	rv = traced(op->tok, op->call,
		    f->C_Decrypt(session, ck_unconst(op->in), op->len, op->out, &n));
	op->out_len = n;
	return rv;
}

static CK_RV run_sign(struct op *op, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_FUNCTION_LIST *f = op->tok->f;
	CK_ULONG n = TOK_MAC_MAX;
	CK_RV rv;

	op->call = "C_SignInit";
	rv = traced_mech(op->tok, op->call, op->mech.mechanism,
			 f->C_SignInit(session, &op->mech, key));
	if (rv != CKR_OK)
		return rv;
	op->call = "C_Sign";
	rv = traced(op->tok, op->call,
		    f->C_Sign(session, ck_unconst(op->in), op->len, op->out, &n));
	op->out_len = n;
	return rv;
}

static CK_RV run_once(struct op *op, struct tok_key *k)
{
	struct worker w;
	CK_RV rv;

	op->call = "C_OpenSession";
	rv = worker_get(op->tok, &w);
	if (rv != CKR_OK)
		return rv;
	/* Connected again meanwhile: the same number could now be another key. */
	if (w.generation != atomic_load_explicit(&k->generation, memory_order_relaxed))
		rv = CKR_SESSION_HANDLE_INVALID;
	else
		rv = op->run(op, w.session, atomic_load_explicit(&k->handle, memory_order_relaxed));
	if (__builtin_expect(rv == CKR_OK, 1))
		worker_put(op->tok, &w);
	else
		worker_drop(op->tok, &w);
	return rv;
}

static err_t run_op(struct op *op, struct tok_key *k)
{
	unsigned generation;
	err_t err;
	CK_RV rv;

	op->tok = k->tok;
	err = key_refresh(k);
	if (err)
		return err;
	generation = atomic_load_explicit(&k->generation, memory_order_relaxed);
	rv = run_once(op, k);
	if (__builtin_expect(rv == CKR_OK, 1))
		return 0;
	if (!tok_rv_lost(rv))
		return tok_error(op->tok, op->call, rv);
	err = key_recover(k, generation, rv);
	if (err)
		return err;
	rv = run_once(op, k);
	return rv == CKR_OK ? 0 : tok_error(op->tok, op->call, rv);
}

static err_t bad_length(const char *what)
{
	return err_set(ERR_INTERNAL, "%s: bad length", what);
}

static err_t run_cbc(struct op *op, struct tok_key *k, const uint8_t iv[16])
{
	uint8_t copy[16];
	err_t err;

	if (op->len == 0 || op->len % 16)
		return bad_length("AES-CBC");
	memcpy(copy, iv, sizeof(copy));         /* mechanism parameters are not const */
	op->mech.mechanism = CKM_AES_CBC;
	op->mech.pParameter = copy;
	op->mech.ulParameterLen = sizeof(copy);
	err = run_op(op, k);
	if (!err && op->out_len != op->len)
		err = bad_length("the token's AES-CBC result");
	return err;
}

err_t tok_cbc_encrypt(struct tok_key *k, const uint8_t iv[16],
		      const uint8_t *in, size_t len, uint8_t *out)
{
	struct op op = { .run = run_encrypt, .in = in, .len = len, .out = out };

	return run_cbc(&op, k, iv);
}

err_t tok_cbc_decrypt(struct tok_key *k, const uint8_t iv[16],
		      const uint8_t *in, size_t len, uint8_t *out)
{
	struct op op = { .run = run_decrypt, .in = in, .len = len, .out = out };

	return run_cbc(&op, k, iv);
}

static const struct {
	CK_MECHANISM_TYPE mech;
	size_t len;
} hashes[] = {
	[TOK_SHA1] = { CKM_SHA_1_HMAC, 20 },
	[TOK_SHA256] = { CKM_SHA256_HMAC, 32 },
	[TOK_SHA384] = { CKM_SHA384_HMAC, 48 },
	[TOK_MD5] = { CKM_MD5_HMAC, 16 },
};

/* The buffer is always TOK_MAC_MAX octets: into a short one NSS truncates in silence. */
err_t tok_hmac(struct tok_key *k, enum tok_hash hash,
	       const uint8_t *in, size_t len, uint8_t mac[TOK_MAC_MAX])
{
	static const uint8_t empty[1];
	struct op op = { .run = run_sign, .in = len ? in : empty, .len = len, .out = mac,
			 .mech = { hashes[hash].mech, NULL, 0 } };
	err_t err = run_op(&op, k);

	if (!err && op.out_len != hashes[hash].len)
		err = bad_length("the token's HMAC");
	return err;
}

static CK_RV random_once(struct tok *t, uint8_t *out, size_t len)
{
	struct worker w;
	CK_RV rv = worker_get(t, &w);

	if (rv != CKR_OK)
		return rv;
	rv = traced(t, "C_GenerateRandom", t->f->C_GenerateRandom(w.session, out, len));
	if (rv == CKR_OK)
		worker_put(t, &w);
	else
		worker_drop(t, &w);
	return rv;
}

static err_t no_random(const struct tok *t)
{
	return err_set(ERR_TOKEN_FAILED, "neither token \"%s\" nor libcrypto gives random octets",
		       t->info.label);
}

/*
 * The conditional test of a generator: no output equals the one before.  A
 * digest of that is kept, for the octets may become a key.
 */
static err_t check_fresh(const struct tok *t, const uint8_t *out, size_t len)
{
	static _Atomic uint64_t last;
	uint8_t md[32];
	uint64_t now;

	if (len < 16 || !tok_plain_sha256(out, len, md))
		return 0;
	memcpy(&now, md, sizeof(now));
	if (atomic_exchange_explicit(&last, now, memory_order_relaxed) != now)
		return 0;
	return err_set(ERR_TOKEN_FAILED, "token \"%s\" gave the same random octets twice: its "
		       "generator is not used until it passes (gssp11 selftest)", t->info.label);
}

err_t tok_random(struct tok *t, uint8_t *out, size_t len)
{
	unsigned generation;
	err_t err;
	CK_RV rv;

	if (len == 0)
		return 0;
	err = tok_ready(t);
	if (err)
		return err;
	generation = atomic_load(&t->generation);
	rv = random_once(t, out, len);
	if (tok_rv_lost(rv)) {
		err = tok_recover(t, generation);
		if (err)
			return err;
		rv = random_once(t, out, len);
	}
	if (rv == CKR_RANDOM_NO_RNG || rv == CKR_FUNCTION_NOT_SUPPORTED)
		return secret_random(out, len) ? 0 : no_random(t);
	if (rv != CKR_OK)
		return tok_error(t, "C_GenerateRandom", rv);
	err = check_fresh(t, out, len);
	if (err)
		return err;
	return tok_mix(t, out, len) ? 0 : no_random(t);
}
