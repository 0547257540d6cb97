/* Life of a context, and its keys' way onto the token. */
#include "mech/ctx.h"

#include <errno.h>
#include <stdlib.h>

#include "keystore/conf.h"

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

/* Only what the peer sent before it knew the acceptor's subkey comes under this key. */
static err_t park_secondary(struct mech_ctx *c, const struct roles *r)
{
	const struct ks_use uses[] = {
		{ r->recv_seal, KS_OPEN }, { r->recv_sign, KS_CHECKSUM },
		{ r->recv_seal, KS_CHECKSUM },
	};

	return ks_key_park(c->initiator_key, uses, sizeof(uses) / sizeof(uses[0]));
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
	if (!err && c->acceptor_key && c->initiator_key)
		err = park_secondary(c, &r);

	forget(c->initiator_key);
	forget(c->acceptor_key);
	forget(c->session_key);
	if (c->state != MECH_WAIT_DCE)
		ks_key_unref(&c->session_key);
	return err;
}
