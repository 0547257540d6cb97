/*
 * Kerberos without a KDC: tickets made from nothing but a service key, in an
 * ordinary credential cache, and ordinary keytabs.  gss_init_sec_context and
 * gss_accept_sec_context then work with no network at all.
 *
 * Everything here ends the program (message on stderr, exit 99) when it
 * fails: a ticket that cannot be made is a broken test, never a skip.
 */
#ifndef GSSP11_TESTS_FORGE_H
#define GSSP11_TESTS_FORGE_H

#include <krb5.h>
#include <stddef.h>
#include <stdint.h>

/* The [libdefaults] that offline tests need; realm TEST.ORG. */
#define FORGE_CONF \
	"[libdefaults]\n" \
	" default_realm = TEST.ORG\n" \
	" dns_lookup_kdc = false\n" \
	" dns_lookup_realm = false\n" \
	" dns_canonicalize_hostname = false\n" \
	" rdns = false\n" \
	" qualify_shortname = \"\"\n" \
	"[realms]\n" \
	" TEST.ORG = {\n  kdc = 127.0.0.1:1\n }\n" \
	"[domain_realm]\n" \
	" .test.org = TEST.ORG\n test.org = TEST.ORG\n"

/* One long-term key of a service. */
struct forge_key {
	const char *principal;   /* "HTTP/www.test.org@TEST.ORG" */
	krb5_enctype etype;
	krb5_kvno kvno;
	uint8_t bytes[32];
	size_t len;
};

/* A ticket's wishes; zero in a field means the usual thing. */
struct forge_ticket {
	const char *client;          /* "alice@TEST.ORG" */
	const char *server;          /* name in the ticket and in the cache; NULL: the key's principal */
	krb5_enctype session_etype;  /* 0: the service key's */
	const uint8_t *session_key;  /* NULL: random */
	krb5_timestamp authtime, starttime, endtime;   /* 0: now-60, =authtime, now+36000 */
	krb5_flags flags;            /* 0: TKT_FLG_INITIAL | TKT_FLG_PRE_AUTH */
	krb5_authdata **authdata;    /* of the ticket's encrypted part */
	krb5_address **caddrs;
	krb5_flags trans_flag_off;   /* set: the KDC's "transit checked" flag is left out */
	const char *transited;       /* realms passed through, encoded; NULL: none */
};

/* A key with random bytes of the enctype's length. */
void forge_random_key(struct forge_key *k, const char *principal, krb5_enctype etype,
		      krb5_kvno kvno);

/* One credential for the ticket; caller: krb5_free_cred_contents. */
void forge_creds(krb5_context ctx, const struct forge_ticket *t, const struct forge_key *k,
		 krb5_creds *out);

/* (Re)creates a FILE ccache at path that belongs to t->client, with this one ticket. */
void forge_ccache(const char *path, const struct forge_ticket *t, const struct forge_key *k);

/* Adds a further ticket to a ccache that is there. */
void forge_ccache_add(const char *path, const struct forge_ticket *t, const struct forge_key *k);

/* Appends keys to the FILE keytab at path, making it if need be. */
void forge_keytab(const char *path, const struct forge_key *keys, size_t n);

#endif
