/* Accepting: what ticket and authenticator say (RFC 4120 3.2.3). */
#include "mech/accept_steps.h"

#include <string.h>

#include "mech/negotiate.h"
#include "mech/rcache.h"
#include "mech/transited.h"

#define TR_X500_COMPRESS 1       /* DOMAIN-X500-COMPRESS, the only encoding there is */
#define ADDR_INET 2
#define ADDR_NETBIOS 20

err_t mech_accept_client(struct accept *a)
{
	if (mech_ap_princ_equal(&a->au.client, &a->tkt.client))
		return 0;
	return err_set(KRB5KRB_AP_ERR_BADMATCH, "the client's name in the authenticator is not the "
		       "one in the ticket");
}

/* The ticket's addresses contain this one, or do not count. */
static bool has_address(const struct accept *a, const gss_buffer_desc *addr)
{
	struct der_str list = a->tkt.caddr;
	struct ap_pair pair;
	unsigned n = 0;
	bool found = false, netbios = false;

	for (; mech_ap_next(&list, &pair); n++) {
		netbios = pair.type == ADDR_NETBIOS;
		found |= pair.type == ADDR_INET && pair.value.len == addr->length &&
			 memcmp(pair.value.p, addr->value, addr->length) == 0;
	}
	/* A NetBIOS name alone says nothing about the connection. */
	return found || (n == 1 && netbios);
}

err_t mech_accept_address(struct accept *a)
{
	if (!a->cb || a->cb->initiator_addrtype != GSS_C_AF_INET || !a->tkt.has_caddr ||
	    has_address(a, &a->cb->initiator_address))
		return 0;
	return err_set(KRB5KRB_AP_ERR_BADADDR, "the ticket is for other addresses than the one in "
		       "the channel bindings");
}

err_t mech_accept_transited(struct accept *a)
{
	const struct ap_princ *server = &a->req.ticket.server;
	const char *at = strrchr(a->server, '@');
	struct der_str realm = server->realm;

	if (a->tkt.flags & TKT_FLG_TRANSIT_POLICY_CHECKED || !a->tkt.transited.len ||
	    !a->tkt.transited.p[0])
		return 0;
	if (a->tkt.tr_type != TR_X500_COMPRESS)
		return err_set(KRB5KRB_AP_ERR_ILL_CR_TKT, "the ticket lists the realms it passed "
			       "through in an encoding %d that nobody knows", (int)a->tkt.tr_type);
	/* The keytab's realm counts: the name in the ticket is not protected. */
	if (at)
		realm = (struct der_str){ (const uint8_t *)at + 1, strlen(at + 1) };
	return mech_transited_check(a->k5, a->tkt.transited, a->tkt.client.realm, realm);
}

err_t mech_accept_replay(struct accept *a)
{
	const struct ap_encrypted *enc = &a->req.auth;
	uint8_t tag[RCACHE_TAG_LEN];
	err_t err;

	err = mech_rcache_tag(ks_key_etype(a->ticket.key), enc->cipher.p, enc->cipher.len, tag);
	if (err)
		return err;
	return mech_rcache_store(a->rcache, a->set->rcache[0] ? a->set->rcache : NULL, tag,
				 (uint32_t)a->now, a->set->skew);
}

/* Timestamps count from 1970 to 2106, unsigned, as libkrb5 has them. */
err_t mech_accept_ticket_times(struct accept *a)
{
	krb5_timestamp from = a->tkt.starttime ? a->tkt.starttime : a->tkt.authtime;
	uint64_t now = (uint32_t)a->now, start = (uint32_t)from, end = (uint32_t)a->tkt.endtime;

	if (start > now + a->set->skew)
		return err_set(KRB5KRB_AP_ERR_TKT_NYV, "the ticket is not valid before %llu seconds "
			       "from now: set the clocks", (unsigned long long)(start - now));
	if (now > end + a->set->skew)
		return err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "the ticket expired %llu seconds ago",
			       (unsigned long long)(now - end));
	return 0;
}

err_t mech_accept_clock(struct accept *a)
{
	uint64_t now = (uint32_t)a->now, then = (uint32_t)a->au.ctime;
	uint64_t off = now > then ? now - then : then - now;

	if (off <= a->set->skew)
		return 0;
	return err_set(KRB5KRB_AP_ERR_SKEW, "the client's clock is %llu seconds %s this host's "
		       "(clockskew is %u): set the clocks", (unsigned long long)off,
		       now > then ? "behind" : "ahead of", (unsigned)a->set->skew);
}

err_t mech_accept_valid(struct accept *a)
{
	if (!(a->tkt.flags & TKT_FLG_INVALID))
		return 0;
	return err_set(KRB5KRB_AP_ERR_TKT_INVALID, "the ticket is postdated and has not been "
		       "validated by the KDC");
}

err_t mech_accept_etypes(struct accept *a)
{
	int32_t session = ks_key_etype(a->ticket.key)->id;
	err_t err = 0;

	ks_fips_order(a->policy.fips, a->etypes);
	if (a->au.subkey_etype)
		err = ks_fips_check(a->policy.fips, a->au.subkey_etype, "the initiator's subkey");
	if (err)
		return err;
	err = mech_negotiate(a->etypes, a->au.authdata, a->au.subkey_etype, session, &a->etype);
	if (!err && a->au.subkey_etype && !a->auth.key)
		err = err_set(KRB5_NOPERM_ETYPE, "the initiator's subkey has enctype %d, which this "
			      "module does not do: let the client use AES",
			      (int)a->au.subkey_etype);
	return err;
}
