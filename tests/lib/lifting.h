/*
 * Messages with keys inside, as libkrb5 makes them, and keys that open them on
 * the token and in memory.
 */
#ifndef GSSP11_TESTS_LIFTING_H
#define GSSP11_TESTS_LIFTING_H

#include <krb5.h>

#include "keystore/key_int.h"
#include "keystore/sealed.h"

/* The token that can; GSSP11_LIFT_TOKEN names another of the box than "nss".  Its calls are seen. */
extern struct tok *lift_tok;
int lift_setup(void);

extern const int32_t lift_etypes[4];

struct wish {
	enum ks_part part;
	int32_t inner;           /* enctype of the key inside; 0: none */
	size_t inner_len;        /* 0: as the enctype has it */
	size_t name, realm;      /* octets */
	krb5_flags flags;
	uint32_t seq;
	size_t authdata;         /* octets; 0: none, nor other optional fields */
};

/* An everyday ticket and authenticator. */
extern const struct wish lift_usual[2];

struct made {
	struct wish w;
	uint32_t usage;
	uint8_t bytes[64];       /* the inner key */
	krb5_keyblock inner;
	krb5_data *der;
	uint8_t *cipher;
	size_t len;              /* of it */
};

void lift_make(const struct wish *w, const krb5_keyblock *under, struct made *m);
void lift_unmake(struct made *m);

/* A KRB-CRED's part as m's, with another of 32 octets behind it in the list.  krb5_free_data. */
krb5_data *lift_two_infos(const struct made *m, uint8_t *second);

/* libkrb5's encryption; malloc'ed. */
uint8_t *lift_encrypt(const krb5_keyblock *key, uint32_t usage, const krb5_data *plain,
		      size_t *len);

struct lift_pair {
	uint8_t bytes[32];
	krb5_keyblock block;
	struct ks_key *hidden, *plain;  /* the same one: of class on-token, and transient */
};

/* Prepared for all parts' usages. */
void lift_pair_make(int32_t etype, struct lift_pair *p);
void lift_pair_free(struct lift_pair *p);
/* Prepares any key so. */
err_t lift_prepare(struct ks_key *k);

err_t lift_open(struct ks_key *k, const struct made *m, struct ks_opened *o);

/* Tells which message, fails the test; false. */
bool lift_fail(const struct made *m, const char *what);

#endif
