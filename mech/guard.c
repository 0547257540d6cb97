/* Which key, usage and number protect a per-message token. */
#include "mech/token.h"

enum { SEAL_BY_ACCEPTOR = 22, SIGN_BY_ACCEPTOR, SEAL_BY_INITIATOR, SIGN_BY_INITIATOR };

static uint32_t usage_of(uint16_t id, bool by_acceptor)
{
	if (id == MECH_TOK_WRAP)
		return by_acceptor ? SEAL_BY_ACCEPTOR : SEAL_BY_INITIATOR;
	return by_acceptor ? SIGN_BY_ACCEPTOR : SIGN_BY_INITIATOR;
}

OM_uint32 mech_message_ready(OM_uint32 *minor, const struct mech_ctx *c, gss_qop_t qop)
{
	*minor = 0;
	if (qop != GSS_C_QOP_DEFAULT)
		return mech_fail(minor, GSS_S_BAD_QOP,
				 err_set(G_UNKNOWN_QOP, "quality of protection %u is not known: "
					 "use GSS_C_QOP_DEFAULT", (unsigned)qop));
	if (c->state != MECH_ESTABLISHED)
		return mech_fail(minor, GSS_S_NO_CONTEXT,
				 err_set(KG_CTX_INCOMPLETE, "the security context is not "
					 "established"));
	return GSS_S_COMPLETE;
}

void mech_guard_send(const struct mech_ctx *c, uint16_t id, bool sealed, struct mech_guard *g)
{
	g->key = mech_ctx_send_key(c);
	g->etype = ks_key_etype(g->key);
	g->usage = usage_of(id, !c->initiator);
	g->h = (struct mech_header){
		.id = id,
		.flags = (c->initiator ? 0 : MECH_BY_ACCEPTOR) | (sealed ? MECH_SEALED : 0)
			 | (c->acceptor_key ? MECH_ACCEPTOR_SUBKEY : 0),
		.filler = 0xff,
	};
	if (id == MECH_TOK_MIC)
		g->h.ec = g->h.rrc = 0xffff;
}

uint16_t mech_guard_filler(const struct mech_ctx *c)
{
	return c->flags & GSS_C_DCE_STYLE ? KS_CONFOUNDER : 0;
}

/* ctx->lock is a mutex of the default kind: locking it cannot fail. */
void mech_guard_number(struct mech_ctx *c, struct mech_guard *g)
{
	pthread_mutex_lock(&c->lock);
	g->h.seq = c->send_seq++;
	pthread_mutex_unlock(&c->lock);
}

void mech_guard_unnumber(struct mech_ctx *c, const struct mech_guard *g)
{
	pthread_mutex_lock(&c->lock);
	if (c->send_seq == g->h.seq + 1)
		c->send_seq = g->h.seq;
	pthread_mutex_unlock(&c->lock);
}

OM_uint32 mech_guard_receive(OM_uint32 *minor, const struct mech_ctx *c, uint16_t id,
			     const uint8_t *p, size_t len, struct mech_guard *g)
{
	err_t err = mech_header_read(p, len, &g->h);
	bool by_acceptor = g->h.flags & MECH_BY_ACCEPTOR;

	if (err)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN, err);
	if (by_acceptor != c->initiator)
		return mech_fail(minor, GSS_S_BAD_SIG,
				 err_set(G_BAD_DIRECTION, "message token was sent by this side: "
					 "it was reflected"));
	if (g->h.id != id)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_WRONG_TOKID, "token of type %04x where %04x belongs",
					 (unsigned)g->h.id, (unsigned)id));
	if (g->h.filler != 0xff)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(G_BAD_TOK_HEADER, "message token's filler is %02x, not ff",
					 g->h.filler));

	/* An initiator may have sent before it had the acceptor's subkey: the flag decides. */
	g->key = g->h.flags & MECH_ACCEPTOR_SUBKEY && c->acceptor_key ? c->acceptor_key
									: c->initiator_key;
	if (!g->key)
		return mech_fail(minor, GSS_S_BAD_SIG,
				 err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "message token is not under the "
					 "acceptor's subkey, and this context has no other"));
	g->etype = ks_key_etype(g->key);
	g->usage = usage_of(id, by_acceptor);
	return GSS_S_COMPLETE;
}

OM_uint32 mech_guard_failed(OM_uint32 *minor, err_t err)
{
	if (err == (err_t)KRB5KRB_AP_ERR_BAD_INTEGRITY || err == (err_t)KRB5_BAD_MSIZE)
		return mech_fail(minor, GSS_S_BAD_SIG, err);
	if (err == G_BAD_TOK_HEADER)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN, err);
	return mech_fail(minor, GSS_S_FAILURE, err);
}

OM_uint32 mech_guard_accept(OM_uint32 *minor, struct mech_ctx *c, const struct mech_guard *g)
{
	OM_uint32 major;

	pthread_mutex_lock(&c->lock);
	major = mech_seq_check(&c->recv, g->h.seq);
	pthread_mutex_unlock(&c->lock);

	*minor = 0;
	if (major == GSS_S_COMPLETE)
		return major;
	if (major == GSS_S_DUPLICATE_TOKEN)
		return mech_fail(minor, major, err_set(KRB5KRB_AP_ERR_REPEAT, "message token was "
						       "received before"));
	return mech_fail(minor, major, err_set(KRB5KRB_AP_ERR_BADORDER, "message token does not "
					       "follow the one before"));
}

void mech_guard_signed_header(const struct mech_guard *g, uint8_t out[MECH_HEADER])
{
	struct mech_header h = g->h;

	if (h.id == MECH_TOK_WRAP) {
		h.rrc = 0;
		if (!(h.flags & MECH_SEALED))
			h.ec = 0;
	}
	mech_header_write(&h, out);
}
