/*
 * TGS requests where no key may be in memory: without a subkey the KDC seals
 * its reply with the ticket's session key (RFC 4120 3.3.3, usage 8), which is
 * on the token and opens it there.  libkrb5 waits for a reply under the subkey
 * that it made, and gets one, with a surrogate inside.
 */
#include <errno.h>

#include "mech/exchange_s4u.h"
#include "pkcs11/trace.h"

err_t ex_hidden_check(const struct kdc_req *req, const struct ks_key *real, bool held)
{
	struct kdc_pa pa;

	if (ks_key_exposure(real) != KS_ON_TOKEN)
		return err_set(ERR_POLICY, "exposure = on-token: this ticket's session key came to "
			       "the token through memory, by an earlier policy: get new tickets with "
			       "\"gssp11 kinit -k\"");
	if (!held && (req->authdata.len || mech_kdc_pa_find(req->padata, KDC_PA_X509_USER, &pa)))
		return err_set(ERR_POLICY, "exposure = on-token: this ticket-granting ticket's key was "
			       "stored without what a request for another user, or one with authorization "
			       "data, takes: such requests need a ticket of their own");
	return 0;
}

err_t ex_hidden_seal(struct ks_key *real, const struct ap_authenticator *in, uint8_t **cipher,
		     size_t *len)
{
	struct ap_authenticator a = *in;
	struct ks_plain plain = { .usage = 7 };
	struct wr w;
	err_t err;

	*cipher = NULL;
	*len = 0;
	a.subkey_etype = 0;
	wr_init_grow(&w, SIZE_MAX / 2);
	mech_ap_authenticator_write(&w, &a, 0, &plain.at);
	plain.p = w.base;
	plain.len = w.len;
	plain.at = 0;
	err = w.bad ? err_set(ENOMEM, "out of memory for a TGS request")
		    : ks_part_seal(real, &plain, cipher, len);
	wr_free(&w);
	if (!err)
		trace("kdc: the authenticator goes without a subkey: the reply is to be opened on "
		      "the token");
	return err;
}

err_t ex_hidden_write(const struct ap_req *in, const uint8_t *cipher, size_t len, struct wr *w)
{
	struct ap_req req = *in;

	req.auth.cipher = (struct der_str){ cipher, len };
	wr_init_grow(w, SIZE_MAX / 2);
	mech_ap_req_write(w, &req);
	return w->bad ? err_set(ENOMEM, "out of memory for a TGS request") : 0;
}
