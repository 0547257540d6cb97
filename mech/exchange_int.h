/* Inside the KDC translation: what the exchange*.c share. */
#ifndef GSSP11_EXCHANGE_INT_H
#define GSSP11_EXCHANGE_INT_H

#include "keystore/sealed.h"
#include "mech/exchange.h"
#include "mech/kdcmsg.h"

#define EX_DIGEST 32

/* One enctype's key of the client. */
struct ex_client_key {
	struct ks_key *real;             /* on the token: usages 1, 3, 56 */
	struct ks_key *surrogate;        /* what libkrb5 takes for it */
};

enum { EX_CLIENT_KEYS = 4, EX_CCACHES = 8 };

/* A ticket whose session key is in the vault. */
struct ex_ticket {
	struct ex_ticket *next;
	uint8_t digest[EX_DIGEST];       /* of the ticket's cipher: libkrb5 encodes tickets anew */
	struct ks_surrogate surrogate;
	bool made;                       /* here; else it is a cache's */
	bool keep;
	struct ks_key *key;              /* held here, and in no vault (exchange_held.c); or NULL */
};

/* Between a request and its reply. */
struct ex_pending {
	int32_t type;                    /* KDC_AS_REQ, KDC_TGS_REQ; 0: nothing to translate */
	krb5_context k5;
	uint32_t nonce, options;
	bool for_other;                  /* TGS: S4U2Self with PA-S4U-X509-USER */
	struct ks_key *subkey;           /* TGS: what the reply is sealed with, */
	struct ks_key *real;             /* or this, and libkrb5 waits for the other (on-token) */
	struct ks_key *armor;            /* AS in FAST: on the KDC's side, */
	struct ks_key *armor_as;         /* and libkrb5's (the same, for an ordinary cache's armor) */
	uint8_t *asked, *sent;           /* AS: as libkrb5 made it, and as it went */
	size_t asked_len, sent_len;
};

struct mech_exchange {
	krb5_context k5;
	struct tok *tok;
	bool on_token;
	enum ks_conf_fips fips;
	krb5_principal client;
	krb5_keytab keytab;              /* of surrogates */
	krb5_ccache armor;               /* what FAST takes its armor from; NULL: no FAST */
	bool armor_ours;                 /* that is a cache of surrogates */
	struct secret *password;         /* of a client whose tickets come in such armor, */
	uint8_t *salts;                  /* and ETYPE-INFO2, as the KDC said it last */
	size_t salts_len, salts_tried;   /* octets; entries whose keys were made */
	struct ex_client_key keys[EX_CLIENT_KEYS];
	size_t n_keys;
	krb5_ccache ccaches[EX_CCACHES];
	bool surrogates_only[EX_CCACHES];
	size_t n_ccaches;
	struct ex_ticket *tickets;
	struct ex_pending pending;
	enum { EX_STORE, EX_HOLD, EX_HOLD_FOR_USER } hold; /* what becomes of TGTs' keys */
	bool x509_ignored;               /* the KDC does not know PA-S4U-X509-USER */
	struct ks_key *forwarded;        /* of the ticket got last to be forwarded (on-token) */
	struct ks_surrogate forwarded_as;
};

void ex_pending_clear(struct ex_pending *p);

/* ---- exchange_tickets.c ---- */

/* The ticket with this cipher, from memory or a cache; NULL in *out: unknown, not ours. */
MUST err_t ex_ticket_find(struct mech_exchange *x, struct der_str cipher, struct ex_ticket **out);
MUST err_t ex_ticket_add(struct mech_exchange *x, struct der_str cipher,
			 const struct ks_surrogate *s);
/* The same for one whose key is held: a reference of its own is taken. */
MUST err_t ex_ticket_hold(struct mech_exchange *x, struct der_str cipher,
			  const struct ks_surrogate *s, struct ks_key *key);
void ex_tickets_free(struct mech_exchange *x);

/* ---- exchange_reply.c ---- */

/* One reply: where it is sealed again, and with which keys. */
struct ex_reply {
	const struct kdc_rep *rep;
	struct ks_key *from, *to;        /* the KDC's key, and that which libkrb5 has */
	uint32_t usage, to_usage;
	bool forward;                    /* the key goes on in a message, and into no vault */
	const void *original;            /* rep points into it */
	void *message;                   /* a copy, which is changed in place */
};

/*
 * Opens the reply, checks that it answers the pending request, moves the
 * session key to the vault and puts the surrogate into the message.  Nothing
 * is stored on failure.
 */
MUST err_t ex_reply_translate(struct mech_exchange *x, const struct ex_reply *r);

/* ---- exchange_as.c, exchange_tgs.c: NULL in *out: passes as it is ---- */

MUST err_t ex_as_send(struct mech_exchange *x, const struct kdc_req *req, const krb5_data *message,
		      krb5_data **out);
MUST err_t ex_as_recv(struct mech_exchange *x, const krb5_data *reply, krb5_data **out);
MUST err_t ex_as_error(struct mech_exchange *x, const krb5_data *reply, krb5_data **out);
MUST err_t ex_tgs_send(struct mech_exchange *x, const struct kdc_req *req,
		       const krb5_data *message, krb5_data **out);
MUST err_t ex_tgs_recv(struct mech_exchange *x, const krb5_data *reply, krb5_data **out);

/* The client's key of this enctype, or NULL. */
struct ex_client_key *ex_client_key(struct mech_exchange *x, int32_t etype);

/* A copy as libkrb5 frees it (krb5_free_data); and octets given away as such. */
MUST err_t ex_data_copy(const krb5_data *in, krb5_data **out);
MUST err_t ex_data_take(uint8_t **p, size_t len, krb5_data **out);

/* Writes n octets over a place of message, which is a copy of original; at points into the latter. */
void ex_overwrite(void *message, const void *original, struct der_str at, const void *with);

#endif
