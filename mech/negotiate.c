/* Which enctype the acceptor's subkey gets (RFC 4537). */
#include "mech/negotiate.h"

#include "keystore/etype.h"
#include "pkcs11/trace.h"

/*
 * The first EtypeList in the authorization data: at the top or directly
 * inside AD-IF-RELEVANT, where RFC 4537 puts it.
 */
static bool find_list(struct der_str authdata, struct der_str *out)
{
	struct ap_pair pair, inner;
	struct der_str list;

	while (mech_ap_next(&authdata, &pair)) {
		if (pair.type == KRB5_AUTHDATA_ETYPE_NEGOTIATION) {
			*out = pair.value;
			return true;
		}
		/* What is wrong inside AD-IF-RELEVANT is of no concern here. */
		if (pair.type != KRB5_AUTHDATA_IF_RELEVANT ||
		    mech_ap_list_enter(pair.value, &list))
			continue;
		while (mech_ap_next(&list, &inner)) {
			if (inner.type == KRB5_AUTHDATA_ETYPE_NEGOTIATION) {
				*out = inner.value;
				return true;
			}
		}
	}
	return false;
}

/* EtypeList ::= SEQUENCE OF Int32; gives its elements after checking all of them. */
static err_t enter_list(struct der_str whole, struct der_str *list)
{
	struct der d, in;
	err_t err;

	der_init(&d, whole.p, whole.len, &err);
	in = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	*list = (struct der_str){ in.rd.p, in.rd.left };
	while (der_more(&in))
		der_int32(&in);
	return err;
}

static bool in_list(struct der_str list, int32_t etype)
{
	struct der d;
	err_t err;

	der_init(&d, list.p, list.len, &err);
	while (der_more(&d)) {
		if (der_int32(&d) == etype && !err)
			return true;
	}
	return false;
}

static err_t must_permit(const krb5_enctype *permitted, int32_t etype, const char *what)
{
	const struct ks_etype *row = ks_etype_find(etype);

	for (; *permitted; permitted++) {
		if (*permitted == etype)
			return 0;
	}
	return err_set(KRB5_NOPERM_ETYPE, "the %s has enctype %d (%s), which this host does not "
		       "permit: see permitted_enctypes in krb5.conf", what, (int)etype,
		       row ? row->name : "not one of this module's");
}

err_t mech_negotiate(const krb5_enctype *permitted, struct der_str authdata,
		     int32_t subkey_etype, int32_t session_etype, int32_t *out)
{
	struct der_str whole, list = { NULL, 0 };
	err_t err;

	*out = 0;
	if (find_list(authdata, &whole)) {
		err = enter_list(whole, &list);
		if (err)
			return err_set(err, "the initiator's list of enctypes (RFC 4537) is malformed");
	}
	err = subkey_etype ? must_permit(permitted, subkey_etype, "initiator's subkey") : 0;
	if (!err)
		err = must_permit(permitted, session_etype, "ticket's session key");
	for (; !err && *permitted && !*out; permitted++) {
		if (ks_etype_find(*permitted) &&
		    (*permitted == subkey_etype || *permitted == session_etype ||
		     in_list(list, *permitted)))
			*out = *permitted;
	}
	if (!err && !*out)
		err = err_set(KRB5_NOPERM_ETYPE, "no enctype that both sides and the token can do");
	if (!err)
		trace("accept: session key enctype %d, subkey %d, negotiated %d",
		      (int)session_etype, (int)subkey_etype, (int)*out);
	return err;
}
