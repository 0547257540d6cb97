/*
 * Settings: krb5.conf [appdefaults] gssp11 = { ... }, per realm as usual
 * (krb5_appdefault_string).  Unknown settings and unknown words are refused
 * (ERR_CONFIG), not guessed.
 */
#ifndef GSSP11_CONF_H
#define GSSP11_CONF_H

#include <krb5.h>
#include <stdbool.h>

#include "keystore/fips.h"
#include "pkcs11/err.h"

struct tok;
struct secret;

enum ks_conf_exposure { KS_CONF_TRANSIENT, KS_CONF_ON_TOKEN };
enum ks_conf_delegation { KS_CONF_DELEG_PLAIN, KS_CONF_DELEG_REFUSE, KS_CONF_DELEG_TOKEN };

struct ks_conf {
	char *module;            /* PKCS#11 module path where the URI names none */
	char *module_init;       /* init string; "FILE.so: STRING" limits it to one module */
	char *session_token;     /* URI of the token for session keys; NULL: the keytab's token */
	char *state_dir;
	char *identity;          /* URI of a certificate on a card, for initial tickets; NULL: none */
	char *armor_ccache;      /* cache whose ticket armors AS exchanges (FAST); NULL: none */
	enum ks_conf_exposure exposure;      /* least protection that is allowed */
	enum ks_conf_delegation delegation;  /* what becomes of credentials that clients forward */
	enum ks_conf_fips fips;              /* strict-exposure implies exposure on-token */
	bool subkey_optional;    /* an initiator goes without where exposure on-token forbids to send one */
	bool pa_for_user;        /* S4U2Self at KDCs whose replies do not name the user under their seal */
	bool prf;                /* RFC 8009 keys may stay on the token to give pseudo-random output */
	bool export;             /* context keys may be extractable, and given out on request */
	unsigned vault_max;      /* tickets whose session keys a token takes; 0: the default */
	bool no_pin;             /* no setting: what is opened with it is given no PIN (tok_config) */
};

/* Reads all settings for a realm (NULL: the default realm).  Free with ks_conf_fini. */
MUST err_t ks_conf_read(krb5_context ctx, const char *realm, struct ks_conf *out);
void ks_conf_fini(struct ks_conf *c);

/*
 * The same for one service (the first component of its principal, "HTTP"): what its own group
 * says of exposure, delegation, prf, export and fips comes before the realm's.
 */
MUST err_t ks_conf_read_service(krb5_context ctx, const char *realm, const char *service,
				struct ks_conf *out);
/* True where krb5.conf has such a group. */
bool ks_conf_has_service(krb5_context ctx, const char *service);

/*
 * One setting's value as it stands, without surrounding blanks and unchecked, malloc'ed; NULL in
 * *out where it is not set or empty.  realm may be NULL.  ENOMEM.
 */
MUST err_t ks_conf_string(krb5_context ctx, const krb5_data *realm, const char *name, char **out);

/* Policy export, unless exposure = on-token overrules it: then no key is ever readable. */
bool ks_conf_gives_keys(const struct ks_conf *c);

/* True for a keytab name that belongs to this module ("pkcs11:" and what follows). */
bool ks_conf_is_uri(const char *keytab_name);

/*
 * The default client keytab's name (KRB5_CLIENT_KTNAME, default_client_keytab_name)
 * where it is a pkcs11: URI, malloc'ed; else NULL.  ENOMEM.
 */
MUST err_t ks_conf_client_uri(krb5_context ctx, char **out);

/* Opens the token that a URI names, with the local settings.  Give back with tok_unref. */
MUST err_t ks_conf_open_token(const struct ks_conf *c, const char *uri, bool write, struct tok **out);

/* The session token, or NULL in *out where none is configured. */
MUST err_t ks_conf_session_token(const struct ks_conf *c, struct tok **out);

/*
 * For programs with a terminal: ask gives the PIN of the token with this
 * label, or NULL, where the URI has no pin-source.  Process-wide, once.
 */
void ks_conf_ask_pin(struct secret *(*ask)(const char *label));

void ks_token_unref(struct tok **t);
struct tok *ks_token_ref(struct tok *t);
/* The token's label for texts. */
const char *ks_token_label(const struct tok *t);
/* How keys of memory get onto this token ("C_CreateObject"), tried if need be; NULL: not at all. */
const char *ks_token_import_way(struct tok *t);

#endif
