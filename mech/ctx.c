/* Life of a context, and its keys' way onto the token. */
#include "mech/ctx.h"

#include <errno.h>
#include <stdlib.h>

#include "keystore/conf.h"
#include "keystore/reveal.h"

/* RFC 4121 2: key usages of per-message tokens */
enum { ACCEPTOR_SEAL = 22, ACCEPTOR_SIGN, INITIATOR_SEAL, INITIATOR_SIGN };

err_t mech_ctx_new(bool initiator, struct mech_ctx **out)
{
	struct mech_ctx *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return ENOMEM;
	if (pthread_mutex_init(&c->lock, NULL)) {
		free(c);
		return ENOMEM;
	}
	c->initiator = initiator;
	*out = c;
	return 0;
}

static void free_principals(struct mech_ctx *c)
{
	krb5_context k5;

	/* krb5_free_principal looks at no context, but wants one */
	if (mech_krb5(&k5))
		k5 = NULL;
	krb5_free_principal(k5, c->here);
	krb5_free_principal(k5, c->there);
	c->here = c->there = NULL;
}

void mech_ctx_free(struct mech_ctx **cp)
{
	struct mech_ctx *c = cp ? *cp : NULL;
	OM_uint32 ignored;

	if (!c)
		return;
	if (c->stock)
		gss_delete_sec_context(&ignored, &c->stock, GSS_C_NO_BUFFER);
	ks_token_unref(&c->session_token);
	if (c->here || c->there)
		free_principals(c);
	mech_name_free(&c->peer);
	free(c->authdata);
	ks_key_unref(&c->session_key);
	ks_key_unref(&c->initiator_key);
	ks_key_unref(&c->acceptor_key);
	pthread_mutex_destroy(&c->lock);
	free(c);
	*cp = NULL;
}

struct ks_key *mech_ctx_send_key(const struct mech_ctx *c)
{
	return c->acceptor_key ? c->acceptor_key : c->initiator_key;
}

struct roles {
	uint32_t send_seal, send_sign, recv_seal, recv_sign;
};

static struct roles roles_of(const struct mech_ctx *c)
{
	if (c->initiator)
		return (struct roles){ INITIATOR_SEAL, INITIATOR_SIGN, ACCEPTOR_SEAL, ACCEPTOR_SIGN };
	return (struct roles){ ACCEPTOR_SEAL, ACCEPTOR_SIGN, INITIATOR_SEAL, INITIATOR_SIGN };
}

/* Wrap without confidentiality makes its checksum under the seal usage (RFC 4121 4.2.4). */
static err_t prepare_primary(struct mech_ctx *c, const struct roles *r)
{
	const struct ks_use uses[] = {
		{ r->send_seal, KS_SEAL }, { r->recv_seal, KS_OPEN },
		{ r->send_sign, KS_CHECKSUM }, { r->recv_sign, KS_CHECKSUM },
		{ r->send_seal, KS_CHECKSUM }, { r->recv_seal, KS_CHECKSUM },
	};

	return ks_key_prepare(mech_ctx_send_key(c), uses, sizeof(uses) / sizeof(uses[0]));
}

/*
 * RFC 3961's PRF has a derived key of its own.  RFC 8009's takes the base,
 * from which all others follow: it is kept by policy alone.
 */
static bool keeps_prf(const struct mech_ctx *c, const struct ks_key *k)
{
	return c->keep_prf || ks_key_etype(k)->family == KS_RFC3962;
}

/* What is rarely wanted of a key: one C_Encrypt each, no object until it is. */
static err_t park(const struct mech_ctx *c, struct ks_key *k, bool receives)
{
	const struct roles r = roles_of(c);
	struct ks_use uses[4];
	size_t n = 0;

	if (keeps_prf(c, k))
		uses[n++] = (struct ks_use){ 0, KS_PRF };
	if (receives) {
		uses[n++] = (struct ks_use){ r.recv_seal, KS_OPEN };
		uses[n++] = (struct ks_use){ r.recv_sign, KS_CHECKSUM };
		uses[n++] = (struct ks_use){ r.recv_seal, KS_CHECKSUM };
	}
	return n ? ks_key_park(k, uses, n) : 0;
}

/* Under the initiator's comes only what the peer sent before it knew the acceptor's subkey. */
static err_t park_rest(struct mech_ctx *c)
{
	err_t err = park(c, mech_ctx_send_key(c), false);

	if (!err && c->acceptor_key && c->initiator_key)
		err = park(c, c->initiator_key, true);
	return err;
}

static err_t keep_raw(struct mech_ctx *c)
{
	struct ks_key *const keys[] = { c->initiator_key, c->acceptor_key, c->session_key };
	err_t err = 0;

	if (!c->keep_raw)
		return 0;
	for (size_t i = 0; !err && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i])
			err = ks_reveal_keep(keys[i]);
	return err;
}

static void forget(struct ks_key *k)
{
	if (k)
		ks_key_forget(k);
}

err_t mech_ctx_settle_keys(struct mech_ctx *c)
{
	struct roles r = roles_of(c);
	err_t err;

	if (!mech_ctx_send_key(c))
		return err_set(ERR_INTERNAL, "a context is settled without a key");
	err = prepare_primary(c, &r);
	if (!err)
		err = park_rest(c);
	if (!err)
		err = keep_raw(c);

	forget(c->initiator_key);
	forget(c->acceptor_key);
	forget(c->session_key);
	if (c->state != MECH_WAIT_DCE && !c->keep_raw)
		ks_key_unref(&c->session_key);
	return err;
}
