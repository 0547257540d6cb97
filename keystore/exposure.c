/* What a token's verdicts mean for an enctype: which keys may be used, and where. */
#include <krb5.h>

#include "keystore/etype.h"
#include "keystore/probe.h"
#include "keystore/probe_int.h"
#include "pkcs11/token.h"

/* The bits that an enctype cannot do without. */
static unsigned caps_needed(int32_t etype)
{
	return KS_CAP_CBC | (etype == 19 ? KS_CAP_HMAC_SHA256 :
			     etype == 20 ? KS_CAP_HMAC_SHA384 : KS_CAP_HMAC_SHA1);
}

/* The mechanism of the first of these bits that is missing, or NULL. */
static const char *missing(unsigned caps, unsigned need)
{
	const unsigned lack = need & ~caps;

	return ks_cap_mechanism(lack & -lack);
}

/* The bits that keep an enctype's session keys on the token: made there, or lifted out of messages. */
static unsigned caps_on_token(int32_t etype)
{
	return ks_cap_derive(etype) | KS_CAP_LIFT |
	       (etype == 17 || etype == 18 ? KS_CAP_LIFT_SHA1 : 0);
}

err_t ks_exposure_check(struct tok *t, int32_t etype, bool on_token_required)
{
	const struct ks_etype *e = ks_etype_find(etype);
	const char *label = tok_info(t)->label, *what;
	const unsigned need = caps_needed(etype), hidden = caps_on_token(etype);
	unsigned caps;
	err_t err;

	if (!e)
		return err_set(KRB5_BAD_ENCTYPE, "encryption type %d is not supported", etype);
	err = ks_caps_need(t, need | (on_token_required ? hidden : 0), &caps);
	if (err)
		return err;
	what = missing(caps, need);
	if (what)
		return err_set(ERR_UNSUPPORTED, "token \"%s\" cannot hold %s keys: it lacks %s",
			       label, e->name, what);
	what = on_token_required ? missing(caps, hidden) : NULL;
	if (what)
		return err_set(ERR_POLICY, "exposure = on-token: token \"%s\" cannot keep %s "
			       "session keys inside: it lacks %s; use another session token or "
			       "exposure = transient", label, e->name, what);
	return 0;
}

err_t ks_exposure_check_adopted(struct tok *t, bool on_token_required)
{
	if (!on_token_required)
		return 0;
	return err_set(ERR_POLICY, "exposure = on-token: these keys were made in memory by the stock "
		       "mechanism, before they could come to token \"%s\"; use a client keytab on the "
		       "token, exposure = transient, or no session_token", tok_info(t)->label);
}

err_t ks_exposure_check_initiator(struct tok *t, bool on_token_required, bool sends)
{
	const unsigned need = KS_CAP_LIFT | (sends ? KS_CAP_SEND | KS_CAP_GENERATE : 0);
	const struct ks_etype *e;
	unsigned caps;
	const char *what;
	err_t err;
	size_t i;

	if (!on_token_required)
		return 0;
	err = ks_caps_need(t, need, &caps);
	if (err)
		return err;
	for (i = 0; (e = ks_etype_at(i)) && (caps_on_token(e->id) & ~caps); i++)
		;
	what = missing(caps, need);
	if (!what && !e)
		what = missing(caps, caps_on_token(20));
	if (!what)
		return 0;
	return err_set(ERR_POLICY, "exposure = on-token: token \"%s\" cannot keep an initiator's keys "
		       "inside, from the KDC's messages%s: it lacks %s; use another session token or "
		       "exposure = transient", tok_info(t)->label,
		       sends ? " and in those to services" : "", what);
}
