/* gss_pseudo_random: RFC 4402's construction over the enctype's PRF. */
#include "mech/codes.h"
#include "mech/ctx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "pkcs11/bytes.h"
#include "pkcs11/secret.h"

enum { PRF_MAX = 64, COUNTER = 4 };     /* octets: a PRF's output at most; the block number */

static err_t too_long(const char *what, size_t len)
{
	return err_set(KG_INPUT_TOO_LONG, "%zu octets of pseudo-random %s are too many: ask for less",
		       len, what);
}

/* Block n, in is COUNTER octets of room and the caller's input. */
static err_t block(struct ks_key *k, uint8_t *in, size_t len, uint32_t n, uint8_t *out)
{
	struct wr w;

	wr_init(&w, in, COUNTER);
	wr_be32(&w, n);
	return ks_prf(k, in, COUNTER + len, out);
}

static err_t fill(struct ks_key *k, const gss_buffer_desc *in, uint8_t *out, size_t len)
{
	const size_t step = ks_key_etype(k)->prf_len, room = COUNTER + in->length;
	uint8_t last[PRF_MAX], *input = malloc(room);
	uint32_t n = 0;
	err_t err = 0;

	if (!input)
		return err_set(ENOMEM, "no memory for %zu octets of pseudo-random input", in->length);
	if (in->length)
		memcpy(input + COUNTER, in->value, in->length);
	for (; !err && len >= step; len -= step, out += step)
		err = block(k, input, in->length, n++, out);
	if (!err && len) {
		err = block(k, input, in->length, n, last);
		if (!err)
			memcpy(out, last, len);
		secret_wipe(last, sizeof(last));
	}
	secret_wipe(input, room);
	free(input);
	return err;
}

static err_t give(struct ks_key *k, const gss_buffer_desc *in, ssize_t len, gss_buffer_t out)
{
	const uint64_t most = (uint64_t)ks_key_etype(k)->prf_len << 32;
	uint8_t *octets;
	err_t err;

	if (in->length > INT32_MAX - COUNTER)
		return too_long("input", in->length);
	if (in->length && !in->value)
		return err_set(EINVAL, "a buffer of %zu octets has none", in->length);
	if (len < 0 || (uint64_t)len > most)
		return too_long("output", (size_t)len);
	octets = malloc((size_t)len);
	if (!octets)
		return err_set(ENOMEM, "no memory for %zd octets of pseudo-random output", len);
	err = fill(k, in, octets, (size_t)len);
	if (err) {
		secret_wipe(octets, (size_t)len);
		free(octets);
		return err;
	}
	out->value = octets;
	out->length = (size_t)len;
	return 0;
}

static OM_uint32 refuse(OM_uint32 *minor, const struct ks_key *k)
{
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(ERR_POLICY, "no %s key for pseudo-random output was kept on token "
				 "\"%s\": RFC 8009 takes the key itself for that; set policy "
				 "prf = allow for whoever establishes the context, and for whoever "
				 "imports it",
				 ks_key_etype(k)->name, ks_token_label(ks_key_token(k))));
}

OM_uint32 mech_ctx_prf(OM_uint32 *minor, const struct mech_ctx *c, int which,
		       const gss_buffer_desc *in, ssize_t len, gss_buffer_t out)
{
	struct ks_key *k = c->initiator_key;
	err_t err;

	if (c->state != MECH_ESTABLISHED)
		return mech_fail(minor, GSS_S_NO_CONTEXT,
				 err_set(KG_CTX_INCOMPLETE, "the security context is not "
					 "established"));
	if (which != GSS_C_PRF_KEY_FULL && which != GSS_C_PRF_KEY_PARTIAL)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(EINVAL, "there is no pseudo-random key %d: use "
					 "GSS_C_PRF_KEY_FULL or GSS_C_PRF_KEY_PARTIAL", which));
	if (which == GSS_C_PRF_KEY_FULL)
		k = mech_ctx_send_key(c);
	if (!k)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(EINVAL, "the context has no such key"));
	if (!len)
		return GSS_S_COMPLETE;
	if (!ks_key_has_prf(k))
		return refuse(minor, k);
	err = give(k, in, len, out);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : GSS_S_COMPLETE;
}
