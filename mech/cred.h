/*
 * Credentials: a stock credential, a keytab on a token, or both.
 *
 * keytab == NULL: pass-through, everything goes to stock.  keytab != NULL:
 * acceptor on the token; stock then holds the initiator half of a GSS_C_BOTH
 * credential, if any.  Immutable once published, but for fields under lock.
 */
#ifndef GSSP11_CRED_H
#define GSSP11_CRED_H

#include <pthread.h>
#include <stdatomic.h>

#include "keystore/conf.h"
#include "keystore/keytab.h"
#include "mech/terms.h"
#include "mech/name.h"

struct mech_cred {
	atomic_uint refs;
	gss_cred_id_t stock;
	gss_cred_usage_t usage;
	struct ks_keytab *keytab;
	struct tok *session_token;   /* where session keys go; NULL: the keytab's token */
	struct ks_conf conf;
	char *realm;                 /* whose settings conf has; NULL: of none */
	struct mech_name *name;      /* desired acceptor name; NULL = any */
	krb5_principal princ;        /* exact principal wanted (non-host-based name); NULL otherwise */
	krb5_principal pattern;      /* for krb5_sname_match (host-based name); NULL otherwise */
	char *rcache;                /* "type:residual"; NULL = libkrb5's choice; under lock */
	krb5_enctype *etypes;        /* allowable ones, zero-terminated; NULL = all; under lock */

	/* the initiator's half, as far as keys on a token have to do with it (initiator.h) */
	struct ks_keytab *client_keytab;  /* on a token: gets initial tickets; NULL: none */
	bool keytab_shut;            /* there is such a default keytab, but it did not open */
	char *identity;              /* URI of a card to get tickets with; NULL: none */
	struct mech_terms terms;     /* of such tickets, also when they are renewed */
	struct mech_initiator *initiator; /* own tickets in a private cache, or NULL */
	char *ccache;                /* chosen, "TYPE:residual"; NULL = by stock; under lock */
	bool deferred;               /* not chosen until the target is known; under lock */
	bool private_keys;           /* stock's tickets are its own: a password's */
	bool no_ci_flags;            /* GSS_KRB5_CRED_NO_CI_FLAGS_X was set; under lock */
	pthread_mutex_t lock;
};

/* What gss_acquire_cred and its kin ask for.  Nothing is owned. */
struct mech_wish {
	gss_const_OID mech;                /* any identity of a mechanism */
	const struct mech_name *name;      /* NULL: any */
	OM_uint32 time_req;
	gss_cred_usage_t usage;
	gss_const_key_value_set_t store;   /* may be NULL */
	gss_buffer_t password;             /* may be NULL */
	struct mech_terms terms;           /* what the store says of tickets: mech_cred_acquire reads it */
};

/* gss_acquire_cred: on the token if the keytab is there, else pass-through.  time_rec may be NULL. */
OM_uint32 mech_cred_acquire(OM_uint32 *minor, const struct mech_wish *w, struct mech_cred **out,
			    OM_uint32 *time_rec);

/*
 * The acceptor credential that a NULL verifier handle means: on the token
 * when the default keytab name (register_acceptor_identity, KRB5_KTNAME,
 * default_keytab_name) is a pkcs11: URI, else *out = NULL (pass-through).
 * Kept for the process and shared; give back with mech_cred_free.
 */
MUST err_t mech_cred_default_acceptor(struct mech_cred **out);

/* Usage ACCEPT, any name, on the keytab that uri names. Used by the above and by tests. */
MUST err_t mech_cred_open_acceptor(const char *uri, struct mech_cred **out);
/* The same for one name, for which there must be a key: KG_KEYTAB_NOMATCH. */
MUST err_t mech_cred_open_named(const char *uri, const struct mech_name *name,
				struct mech_cred **out);
/* There is a key that it may accept with: KG_KEYTAB_NOMATCH, for any name KRB5_KT_NOTFOUND. */
MUST err_t mech_cred_check_keys(krb5_context k5, struct mech_cred *c);
/* For an imported credential: the same on a keytab that is open (one more reference). */
MUST err_t mech_cred_reopen(struct ks_keytab *kt, const struct mech_name *name,
			    struct mech_cred **out);

/* An empty credential, ENOMEM; one more reference; one less, and the end with the last. */
MUST err_t mech_cred_new(gss_cred_usage_t usage, struct mech_cred **out);
struct mech_cred *mech_cred_ref(struct mech_cred *c);
void mech_cred_free(struct mech_cred **c);

/* Wraps a stock credential (takes ownership, even on failure) for pass-through. */
MUST err_t mech_cred_from_stock(gss_cred_id_t stock, gss_cred_usage_t usage, struct mech_cred **out);

/* krb5_gss_register_acceptor_identity; NULL forgets it. */
MUST err_t mech_cred_register_identity(const char *keytab_name);

/*
 * The keytabs that this process has opened, by ks_keytab_name: a credential
 * that is copied by export and import finds its own again, though the blob
 * says nothing of module and PIN.  A new reference, or NULL.
 */
void mech_keytab_note(struct ks_keytab *kt);
struct ks_keytab *mech_keytab_find(const char *name);
/* The i-th of them, the latest first (not a new reference), or NULL past the end. */
struct ks_keytab *mech_keytab_nth(size_t i);

/* malloc'ed: the keytab's URI when the default keytab is on a token, else NULL. */
MUST err_t mech_cred_default_uri(krb5_context k5, char **out);
/* The same without krb5_gss_register_acceptor_identity: what libkrb5 takes for the default. */
MUST err_t mech_cred_configured_uri(krb5_context k5, char **out);

/*
 * That the KDC which gave this credential its tickets is the genuine one
 * (krb5_verify_init_creds): it must give a ticket that a key on the token
 * opens.  principal: whose key; "": any host service's in the keytab.
 */
MUST err_t mech_cred_verify(gss_cred_id_t stock, const char *uri, const char *principal);

/* gss_inquire_cred on an own credential; unwanted results are NULL. */
OM_uint32 mech_cred_inquire(OM_uint32 *minor, struct mech_cred *c, struct mech_name **name,
			    OM_uint32 *lifetime, gss_cred_usage_t *usage);
/* gss_set_cred_option on a credential of either kind. */
OM_uint32 mech_cred_set_option(OM_uint32 *minor, struct mech_cred *c, gss_const_OID option,
			       gss_buffer_t value);

/* gss_export_cred, gss_import_cred for own credentials: a reference to the keytab, no key. */
OM_uint32 mech_cred_export(OM_uint32 *minor, struct mech_cred *c, gss_buffer_t token);
bool mech_cred_is_exported(const gss_buffer_desc *token);
OM_uint32 mech_cred_import(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t token,
			   struct mech_cred **out);

#endif
