/*
 * Which entries of the keytab may open a ticket, and what to say when none
 * does.  The rules are the stock mechanism's: any name: every entry; a
 * host-based name: entries of that service and host in any realm; another
 * name: that principal with the ticket's kvno and enctype alone.
 */
#ifndef GSSP11_MATCH_H
#define GSSP11_MATCH_H

#include "mech/cred.h"
#include "mech/settings.h"

/* What the acceptor's credential is good for. */
struct mech_target {
	char *exact;             /* one principal, unparsed; else NULL */
	krb5_principal pattern;  /* host-based, for krb5_sname_match; NULL with exact NULL: any name */
	bool dns_left;           /* the host's DNS name may still be tried */
};

/* What the ticket asks for. */
struct mech_asked {
	const char *server;      /* unparsed, with realm */
	uint32_t kvno;           /* 0: the ticket does not say */
	int32_t etype;
};

/* What was seen while going through the entries. */
struct mech_sight {
	bool matching;           /* an entry that the credential is good for */
	bool barred;             /* the ticket's server, but not for this credential */
	bool server, kvno, higher_kvno, etype;   /* each includes those before it */
};

MUST err_t mech_target_init(krb5_context k5, const struct mech_cred *cred,
			    const struct mech_settings *set, struct mech_target *out);
void mech_target_fini(krb5_context k5, struct mech_target *t);
/*
 * The next form of the host's name (dns_canonicalize_hostname = fallback): true
 * when it differs and matching is worth another try.  May ask the DNS.
 */
bool mech_target_fallback(krb5_context k5, struct mech_target *t);

/* True if the credential is good for this entry. */
bool mech_target_matches(krb5_context k5, const struct mech_target *t, const struct ks_entry *e);

/* Notes what an entry contributes to the answer. */
void mech_sight_note(struct mech_sight *s, const struct mech_asked *w, const struct ks_entry *e,
		     bool matches);

/* 0 (try first) .. 3 (last): how likely an entry of the ticket's enctype opens it; 4: never. */
int mech_match_rank(const struct mech_asked *w, const struct ks_entry *e);

/* The entry that an exact principal's ticket needs, or NULL: kvno as asked, the newest for 0. */
const struct ks_entry *mech_match_exact(const struct mech_target *t, const struct mech_asked *w,
					const struct ks_entry *e, size_t n);

/*
 * The error for "no entry opened it", with a text that names what the ticket
 * wants and what the keytab has: KRB5KRB_AP_ERR_NOKEY, NOT_US, BADKEYVER or
 * BAD_INTEGRITY.  tried (exact principal): the entry was there and did not fit.
 */
err_t mech_match_error(const struct mech_target *t, const struct mech_asked *w,
		       const struct mech_sight *s, const char *keytab,
		       const struct ks_entry *e, size_t n);
err_t mech_match_exact_error(const struct mech_target *t, const struct mech_asked *w, bool tried,
			     const char *keytab, const struct ks_entry *e, size_t n);

#endif
