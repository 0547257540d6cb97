/*
 * The KDC translation: libkrb5 runs the AS and TGS exchanges with surrogates,
 * the KDC sees the keys that are on the token.
 *
 * An exchange sets the send and receive hooks of one libkrb5 context and
 * rewrites what passes: requests are sealed again with the real keys, replies
 * are checked, their session keys go to the vault (keystore/vault.h), and
 * libkrb5 reads them sealed under the surrogate that it knows.  A credential
 * cache so filled holds no key.  Reply keys of TGS exchanges are libkrb5's own
 * subkeys, in host memory; what they carry is of class transient.
 *
 * One thread uses the context and the exchange; others have their own.
 * Requests for clients and with tickets that are not ours pass unchanged.
 */
#ifndef GSSP11_EXCHANGE_H
#define GSSP11_EXCHANGE_H

#include <krb5.h>
#include <stdbool.h>

#include "keystore/fips.h"
#include "keystore/key.h"
#include "keystore/keytab.h"
#include "keystore/vault.h"
#include "pkcs11/err.h"

struct mech_exchange;

/*
 * Sets the hooks of k5.  Session keys go to tok; on_token_required refuses
 * them (ERR_POLICY) before anything is asked of a KDC.
 */
MUST err_t mech_exchange_open(krb5_context k5, struct tok *tok, bool on_token_required,
			      struct mech_exchange **out);

/*
 * Under this setting: what libkrb5 asks for, which of the client's keys are
 * used, and which session keys may be used and taken.  ERR_POLICY.
 */
MUST err_t mech_exchange_fips(struct mech_exchange *x, enum ks_conf_fips fips);

/*
 * Takes the hooks away, and destroys the session keys that came and are neither
 * kept nor in one of the exchange's caches (referrals, failures).  Call it
 * before those are closed.  Accepts NULL.
 */
void mech_exchange_close(struct mech_exchange **x);

/*
 * AS exchanges go in FAST, with a ticket of this cache as armor, or not at all;
 * call it before mech_exchange_client, which then takes only keys that can.
 * ERR_POLICY with on_token_required; ERR_KEY_ABSENT for a cache of another
 * token's surrogates.
 */
MUST err_t mech_exchange_armor(struct mech_exchange *x, const char *ccache);
/* May a card's tickets have that armor?  ERR_UNSUPPORTED for a cache of surrogates. */
MUST err_t mech_exchange_armor_card(const struct mech_exchange *x);
/* libkrb5's side of it: this is the armor, and nothing goes without. */
MUST err_t mech_exchange_armor_opt(krb5_context k5, const char *ccache,
				   krb5_get_init_creds_opt *opt);

/*
 * In armor of a cache of surrogates: the password with which libkrb5 gets this
 * client's tickets, whose key makes the encrypted challenge.  Copied.
 */
MUST err_t mech_exchange_password(struct mech_exchange *x, krb5_const_principal client,
				  const char *password);

/*
 * The client whose AS exchanges are translated, with its keys of the keytab on
 * the token (use initiate; the newest of each enctype).  *out is a MEMORY
 * keytab of surrogates for krb5_get_init_creds_keytab, closed with x.
 * ERR_KEY_ABSENT: the keytab has no key to initiate with.
 */
MUST err_t mech_exchange_client(struct mech_exchange *x, struct ks_keytab *kt,
				krb5_const_principal client, krb5_keytab *out);

/*
 * Tickets of this cache, too, are known in TGS requests, and what is in it at
 * the end is kept; borrowed until x is closed.  ERR_KEY_ABSENT for a cache that
 * says it belongs to another token.
 */
MUST err_t mech_exchange_ccache(struct mech_exchange *x, krb5_ccache cc);

/* The session key of these credentials stays when x is closed. */
void mech_exchange_keep(struct mech_exchange *x, const krb5_creds *creds);

/*
 * Moves the key of credentials that libkrb5 got by itself (password, PKINIT,
 * an ordinary cache) to the vault, not kept yet (mech_exchange_keep), and puts
 * its surrogate in its place.  Nothing happens to credentials that have one.
 */
MUST err_t mech_exchange_move(struct mech_exchange *x, krb5_creds *creds);

/* The session key behind a surrogate, as libkrb5 has it.  ERR_KEY_ABSENT; ks_key_unref. */
MUST err_t mech_exchange_key(struct tok *tok, const krb5_keyblock *surrogate, struct ks_key **out);
MUST err_t mech_exchange_has(struct tok *tok, const krb5_keyblock *block, bool *has);

/*
 * A new ticket-granting ticket, got with the one in cc, in a new MEMORY cache
 * (*out, to be destroyed before x is closed).  Its key, and those of the tickets
 * got with it for other realms, are held by x alone, stored nowhere, and do
 * what stored ones cannot: under exposure = on-token S4U2Self and
 * authorization data, with for_user PA-FOR-USER.  ERR_POLICY under fips
 * settings, and where the token cannot make PA-FOR-USER's key.
 */
MUST err_t mech_exchange_held_tgt(struct mech_exchange *x, krb5_ccache cc, bool for_user,
				  krb5_ccache *out);

/* True once a KDC has shown that it does not know PA-S4U-X509-USER, and perhaps PA-FOR-USER alone. */
bool mech_exchange_wants_for_user(const struct mech_exchange *x);

/*
 * A KRB-CRED that libkrb5 made without a key (krb5_fwd_tgt_creds with an auth
 * context that has none), sealed with a service ticket's session key, usage 14
 * (RFC 4121 4.1.1).  Free with krb5_free_data_contents.
 */
MUST err_t mech_exchange_seal_cred(struct ks_key *key, const krb5_data *plain, krb5_data *out);

/*
 * The same where no key may be in memory: libkrb5 wrote a stand-in, of the
 * ticket that it forwarded last through x; the key's own octets go from the
 * KDC's message into this one on the token.  plain's stand-in is overwritten.
 */
MUST err_t mech_exchange_seal_forwarded(struct mech_exchange *x, struct ks_key *key,
					krb5_data *plain, krb5_data *out);

/* The hooks themselves; data is the exchange. */
krb5_error_code mech_exchange_send(krb5_context k5, void *data, const krb5_data *realm,
				   const krb5_data *message, krb5_data **new_message,
				   krb5_data **reply);
krb5_error_code mech_exchange_recv(krb5_context k5, void *data, krb5_error_code code,
				   const krb5_data *realm, const krb5_data *message,
				   const krb5_data *reply, krb5_data **new_reply);

#endif
