/* Accepting: the authenticator's checksum (RFC 4121 4.1.1) and what stands in for it. */
#include "mech/accept_steps.h"

#include <string.h>

#include "mech/cksum8003.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* The flags that an initiator may set; the others are this side's to say. */
#define INITIATOR_FLAGS (GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG | GSS_C_MUTUAL_FLAG | \
			 GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_DCE_STYLE | \
			 GSS_C_IDENTIFY_FLAG | GSS_C_EXTENDED_ERROR_FLAG)
#define AD_AP_OPTIONS 143        /* MS-KILE 3.3.5.6.1 */
#define AP_OPTIONS_CBT 0x4000

static err_t bad_bindings(struct accept *a, const char *why)
{
	a->major = GSS_S_BAD_BINDINGS;
	return err_set(KRB5KRB_ERR_GENERIC, "channel bindings: %s", why);
}

/* Both sides' bindings; the acceptor that gives none takes any. */
static err_t check_bindings(struct accept *a, const struct mech_cksum *c)
{
	static const uint8_t none[CKSUM_BINDINGS_LEN];
	uint8_t own[CKSUM_BINDINGS_LEN];
	err_t err;

	if (!a->cb)
		return 0;
	err = mech_cksum_bindings(a->cb, own);
	if (err) {
		a->major = GSS_S_BAD_BINDINGS;
		return err;
	}
	if (secret_equal(c->bindings, own, sizeof(own)))
		a->flags |= GSS_C_CHANNEL_BOUND_FLAG;
	else if (!secret_equal(c->bindings, none, sizeof(none)))
		return bad_bindings(a, "the initiator's are other ones: it talks through another "
				    "connection than this one");
	return 0;
}

static err_t rfc4121(struct accept *a)
{
	struct mech_cksum c;
	err_t err;

	err = mech_cksum_read(a->au.cksum, &c);
	if (err == KRB5KRB_ERR_GENERIC)
		a->major = GSS_S_BAD_BINDINGS;
	if (!err)
		err = check_bindings(a, &c);
	if (err)
		return err;
	a->flags |= c.flags & INITIATOR_FLAGS;
	err = mech_cksum_deleg(&c, &a->krb_cred);
	if (!err)
		err = mech_cksum_extensions(&c);
	return err;
}

/* A keyed checksum over nothing, with the session key: Samba's way. */
static err_t keyed(struct accept *a)
{
	static const struct ks_use use = { USAGE_AP_REQ_CKSUM, KS_CHECKSUM };
	const struct ks_etype *e = ks_key_etype(a->ticket.key);
	err_t err;

	a->major = GSS_S_BAD_SIG;
	if (a->au.cksumtype != e->cksumtype)
		return err_set(KRB5KRB_AP_ERR_INAPP_CKSUM, "the authenticator has a checksum of type "
			       "%d; enctype %s makes type %d", (int)a->au.cksumtype, e->name,
			       (int)e->cksumtype);
	err = ks_key_prepare(a->ticket.key, &use, 1);
	if (!err)
		err = ks_checksum_verify(a->ticket.key, USAGE_AP_REQ_CKSUM, NULL, 0,
					 a->au.cksum.p, a->au.cksum.len);
	if (err)
		return err;
	a->major = GSS_S_FAILURE;
	a->flags |= GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG;
	if (a->req.options & AP_OPT_MUTUAL)
		a->flags |= GSS_C_MUTUAL_FLAG;
	return 0;
}

/* A client that says "I know of channel bindings" must have sent matching ones. */
static err_t check_cbt(struct accept *a)
{
	struct der_str options;
	struct rd r;
	unsigned n;
	err_t err;

	err = mech_ap_authdata_find(a->au.authdata, AD_AP_OPTIONS, &options, &n);
	if (err)
		return err_set(err, "the authorization data in the authenticator is malformed");
	if (!n)
		return 0;
	if (n > 1 || options.len != 4)
		return err_set(KRB5KRB_AP_ERR_MSG_TYPE, "the authenticator's AD-AP-OPTIONS is "
			       "malformed");
	rd_init(&r, options.p, options.len);
	if (rd_le32(&r) & AP_OPTIONS_CBT && a->cb && !(a->flags & GSS_C_CHANNEL_BOUND_FLAG))
		return bad_bindings(a, "the initiator knows of them and sent none");
	return 0;
}

err_t mech_accept_checksum(struct accept *a)
{
	err_t err = 0;

	if (a->au.has_cksum)
		err = a->au.cksumtype == CKSUM_8003 ? rfc4121(a) : keyed(a);
	if (!err)
		err = check_cbt(a);
	if (err)
		return err;
	trace("accept: flags %x%s%s", (unsigned)a->flags, a->krb_cred.p ? ", with delegation" : "",
	      a->au.has_cksum ? "" : ", no checksum");
	/* Raw tokens are the DCE style's, and its only ones. */
	if (!a->frame.mech != ((a->flags & GSS_C_DCE_STYLE) != 0)) {
		a->major = GSS_S_DEFECTIVE_TOKEN;
		return err_set(ERR_FORMAT, a->frame.mech ? "a DCE style token must have no frame"
			       : "a token without frame must be DCE style");
	}
	return 0;
}
