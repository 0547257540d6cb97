/*
 * Security contexts: either a stock context that every call is handed to, or
 * one of this module's own, whose keys are on a token.
 */
#ifndef GSSP11_CTX_H
#define GSSP11_CTX_H

#include <pthread.h>

#include "keystore/fips.h"
#include "keystore/key.h"
#include "mech/name.h"
#include "mech/seq.h"
#include "pkcs11/bytes.h"

struct ks_handover;

enum mech_state {
	MECH_FRESH,              /* no token seen yet */
	MECH_WAIT_REP,           /* initiator waits for the AP-REP: initiator_key has its base yet */
	MECH_WAIT_DCE,           /* acceptor of the DCE style waits for the third leg */
	MECH_ESTABLISHED,
	MECH_DELETED             /* a delete token came, or a call failed for good */
};

struct mech_ctx {
	gss_ctx_id_t stock;      /* pass-through while set: all else is unused */
	struct tok *session_token; /* of a pass-through initiator: where its keys will go, or NULL */
	bool failed;             /* with stock: a later leg failed; stock 1.20 crashes on some questions */
	bool must_move;          /* with session_token: keys may not pass through host memory */
	bool keep_prf;           /* policy prf: RFC 8009 keys, too, give pseudo-random octets */
	bool keep_raw;           /* policy export: the keys themselves are given out on request */

	enum mech_state state;
	bool initiator;
	OM_uint32 flags;         /* as gss_inquire_context tells them */
	gss_OID mech;            /* by which OID it was made: a static one; NULL: krb5's */
	krb5_principal here, there;   /* own and peer's principal */
	struct mech_name *peer;       /* the initiator's name where it has attributes; else NULL */
	uint8_t *authdata;            /* elements of the ticket's and the authenticator's */
	size_t authdata_len;          /* AuthorizationData, one after the other; malloc'ed */
	krb5_timestamp start, end;    /* lifetime; the acceptor's end already has the clock skew added */
	krb5_timestamp ticket_end;    /* without it: for the lucid form alone */
	krb5_flags ticket_flags;
	krb5_timestamp authtime;

	/*
	 * Per-message keys: acceptor_key if it was asserted, else initiator_key, which is not
	 * there where the token could not send one (subkey = optional).
	 * session_key is there only while an AP-REP is awaited, and with an acceptor's keep_raw.
	 */
	struct ks_key *session_key, *initiator_key, *acceptor_key;

	pthread_mutex_t lock;    /* guards the two counters below */
	uint64_t send_seq;
	struct mech_seq recv;
	uint32_t dce_seq;        /* own number that the DCE third leg must echo */
	enum ks_conf_fips fips;  /* of an initiator: what the AP-REP may bring */
	krb5_timestamp ctime;    /* of the authenticator: what the AP-REP must echo */
	int32_t cusec;
};

/* A context with nothing in it; ENOMEM. */
MUST err_t mech_ctx_new(bool initiator, struct mech_ctx **out);
void mech_ctx_free(struct mech_ctx **c);

/* The key that protects messages which this side sends. */
struct ks_key *mech_ctx_send_key(const struct mech_ctx *c);

/* A new name for the peer's principal, with the attributes that were verified. */
MUST err_t mech_ctx_peer_name(const struct mech_ctx *c, struct mech_name **out);

/* Seconds that an own context has left; 0 once it has expired. */
OM_uint32 mech_ctx_lifetime(const struct mech_ctx *c);

/*
 * gss_inquire_context and gss_inquire_sec_context_by_oid on an own context:
 * ticket flags, authtime and SASL SSF are told; keys and lucid contexts are
 * GSS_S_UNAVAILABLE unless policy export allows them (ctx_raw.c).
 */
struct mech_ctx_facts {
	struct mech_name **initiator, **acceptor;  /* each NULL where not wanted */
	OM_uint32 *lifetime, *flags;
	int *local, *open;
};
OM_uint32 mech_ctx_inquire(OM_uint32 *minor, const struct mech_ctx *c,
			   const struct mech_ctx_facts *facts);
OM_uint32 mech_ctx_inquire_oid(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			       gss_buffer_set_t *set);

/*
 * gss_pseudo_random on an own context (RFC 4402), with the stock mechanism's
 * statuses; GSS_S_UNAVAILABLE with ERR_POLICY where the key was not kept for
 * it.  *out is malloc'ed octets, empty on failure.
 */
OM_uint32 mech_ctx_prf(OM_uint32 *minor, const struct mech_ctx *c, int which,
		       const gss_buffer_desc *in, ssize_t len, gss_buffer_t out);

/* A copy of these octets as the set's next member; the set is made where there is none. */
OM_uint32 mech_set_add(OM_uint32 *minor, const void *p, size_t len, gss_buffer_set_t *set);

/*
 * The context's keys in the clear, by policy export alone: the key that
 * protects messages and the ticket's session key, each as octets and an OID
 * that names the enctype; and the lucid form, for an OID with its version.
 */
OM_uint32 mech_ctx_raw_key(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			   gss_buffer_set_t *set);
OM_uint32 mech_ctx_raw_session_key(OM_uint32 *minor, const struct mech_ctx *c,
				   gss_const_OID what, gss_buffer_set_t *set);
OM_uint32 mech_ctx_lucid(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			 gss_buffer_set_t *set);

/*
 * gss_export_sec_context on an own, established context; *handle is the
 * mechanism layer's own slot for it.  On success the context is gone and the
 * token (malloc'ed, no key octet in it) can be imported once; on failure the
 * context is as it was, and nothing on the token.  GSS_S_UNAVAILABLE: not
 * established, or the token cannot copy keys.
 */
OM_uint32 mech_ctx_export(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token);
/*
 * gss_import_sec_context of such a token.  DEFECTIVE_TOKEN: changed;
 * NO_CONTEXT: imported already, or being imported; UNAUTHORIZED: by policy, or
 * exported with another state directory; UNAVAILABLE: no such token here.
 */
OM_uint32 mech_ctx_import(OM_uint32 *minor, const gss_buffer_desc *token, struct mech_ctx **out);
/* The body of one: a context without keys yet, and the references to them.  ERR_FORMAT. */
MUST err_t mech_ctx_read(struct rd *body, struct mech_ctx **out, struct ks_handover **keys);

/*
 * Puts the derived keys of an established context on the token: the sending
 * key's for both directions at once, the other's and those of the PRF parked;
 * forgets all bases.
 */
MUST err_t mech_ctx_settle_keys(struct mech_ctx *c);

#endif
