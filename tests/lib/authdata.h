/*
 * Authorization data as a KDC makes it, from nothing but a service's key: PAC,
 * CAMMAC, authentication indicators.  Checksums are libkrb5's.
 *
 * Everything here ends the program (message on stderr, exit 99) when it fails.
 */
#ifndef GSSP11_TESTS_AUTHDATA_H
#define GSSP11_TESTS_AUTHDATA_H

#include <gssapi/gssapi.h>
#include <krb5.h>
#include <stdbool.h>

#include "tests/lib/forge.h"

#define AD_LIST_MAX 600

/* A list that owns its elements; list.v is what libkrb5 and forge_ticket take. */
struct ad_list {
	krb5_authdata *v[AD_LIST_MAX + 1];
	size_t n;
};

/* Copies the octets; ad_take frees them afterwards. */
void ad_add(struct ad_list *l, krb5_authdatatype type, const void *p, size_t len);
void ad_take(struct ad_list *l, krb5_authdatatype type, gss_buffer_desc octets);
/* All that is in the list goes into one AD-IF-RELEVANT. */
void ad_wrap(struct ad_list *l);
void ad_free(struct ad_list *l);
/* AuthorizationData in DER; malloc'ed. */
gss_buffer_desc ad_der(const struct ad_list *l);

/* A PAC's wishes; zero means the usual thing. */
struct ad_pac {
	const struct forge_key *key;     /* of the service */
	const char *client;
	krb5_timestamp authtime;
	size_t bulk;                     /* octets of a further buffer, type 2222 */
};
/* Signed, with logon info of 20 octets; malloc'ed. */
gss_buffer_desc ad_pac(const struct ad_pac *w);
/* Octets of the one buffer of a type inside; NULL when there is none. */
unsigned char *ad_pac_find(const gss_buffer_desc *pac, krb5_ui_4 type, size_t *len);
/* Signs again, with any checksum type: both signatures are made zero first. */
void ad_pac_resign(gss_buffer_desc *pac, const struct forge_key *key, krb5_cksumtype type);

/* SEQUENCE OF UTF8String; names end with NULL. */
gss_buffer_desc ad_indicators(const char *const *names);

struct ad_cammac {
	const struct ad_list *elements;
	const struct forge_key *key;
	krb5_cksumtype type;             /* 0: the one of the key */
	krb5_keyusage usage;             /* 0: 64 */
	bool no_service;                 /* without verifier for the service */
	bool hints;                      /* name, kvno 99 and enctype 17 in the verifiers */
	bool others;                     /* verifiers of the KDC and of others as well */
	size_t cut;                      /* octets that the checksum is short of */
};
gss_buffer_desc ad_cammac(const struct ad_cammac *w);

#endif
