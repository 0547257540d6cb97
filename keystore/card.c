/* Smart cards for PKINIT: found, judged, and shown to libkrb5. */
#include "keystore/card.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <krb5.h>
#include <openssl/x509v3.h>

#include "pkcs11/card.h"

struct ks_card {
	struct tok_card *card;
	X509 *cert;
	GENERAL_NAMES *names;            /* its subjectAltName; NULL: it has none */
	char *identity;
};

#define PKINIT_SAN "1.3.6.1.5.2.2"

err_t ks_card_check_uri(const char *uri)
{
	struct tok_card_want want;
	char *token;
	err_t err = tok_card_uri(uri, &token, &want);

	if (err)
		return err;
	free(token);
	tok_card_want_fini(&want);
	return 0;
}

bool ks_card_unattended(const char *uri)
{
	struct tok_card_want want;
	char *token;
	bool is;

	if (tok_card_uri(uri, &token, &want))
		return false;
	is = tok_card_unattended(token);
	free(token);
	tok_card_want_fini(&want);
	return is;
}

/* ---- the certificate ---------------------------------------------------------- */

static void text_of(const ASN1_TIME *t, char out[32])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1 || !strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(out, 32, "an unknown time");
}

/* The KDC will say the same, but not which certificate it was. */
static err_t check_dates(const struct ks_card *c)
{
	const ASN1_TIME *from = X509_get0_notBefore(c->cert), *to = X509_get0_notAfter(c->cert);
	char text[32];

	if (X509_cmp_current_time(to) < 0) {
		text_of(to, text);
		return err_set(KRB5KDC_ERR_INVALID_CERTIFICATE, "%s has expired (%s): have it renewed",
			       ks_card_name(c), text);
	}
	if (X509_cmp_current_time(from) > 0) {
		text_of(from, text);
		return err_set(KRB5KDC_ERR_INVALID_CERTIFICATE, "%s is not valid yet (from %s on): is this "
			       "host's clock right?", ks_card_name(c), text);
	}
	return 0;
}

static err_t read_cert(struct ks_card *c)
{
	const unsigned char *p;
	size_t len;

	p = tok_card_cert(c->card, &len);
	c->cert = d2i_X509(NULL, &p, (long)len);
	if (!c->cert)
		return err_set(ERR_FORMAT, "%s is not an X.509 certificate", ks_card_name(c));
	c->names = X509_get_ext_d2i(c->cert, NID_subject_alt_name, NULL, NULL);
	return check_dates(c);
}

/* The KRB5PrincipalName in one of the names, or NULL. */
static const ASN1_STRING *principal_of(const GENERAL_NAME *n, const ASN1_OBJECT *san)
{
	ASN1_OBJECT *type;
	ASN1_TYPE *value;

	if (!GENERAL_NAME_get0_otherName(n, &type, &value) || OBJ_cmp(type, san) ||
	    value->type != V_ASN1_SEQUENCE)
		return NULL;
	return value->value.sequence;
}

const uint8_t *ks_card_san(const struct ks_card *c, size_t *len)
{
	ASN1_OBJECT *san = OBJ_txt2obj(PKINIT_SAN, 1);
	const ASN1_STRING *found = NULL, *here;
	unsigned n = 0;
	int i;

	*len = 0;
	for (i = 0; san && i < sk_GENERAL_NAME_num(c->names); i++) {
		here = principal_of(sk_GENERAL_NAME_value(c->names, i), san);
		n += here != NULL;
		found = here ? here : found;
	}
	ASN1_OBJECT_free(san);
	if (n != 1)
		return NULL;
	*len = (size_t)ASN1_STRING_length(found);
	return ASN1_STRING_get0_data(found);
}

/* ---- opening -------------------------------------------------------------------- */

static err_t name_identity(struct ks_card *c)
{
	char *path;
	err_t err = tok_card_module(&path);

	if (!err && asprintf(&c->identity, "PKCS11:module_name=%s", path) < 0) {
		c->identity = NULL;
		err = ENOMEM;
	}
	free(path);
	return err;
}

static err_t open_parts(const struct ks_conf *conf, const char *token,
			const struct tok_card_want *want, struct ks_card *c)
{
	struct tok *t;
	err_t err;

	err = ks_conf_open_token(conf, token, false, &t);
	if (err)
		return err;
	err = tok_card_open(t, want, &c->card);
	tok_unref(&t);
	if (!err)
		err = read_cert(c);
	return err ? err : name_identity(c);
}

err_t ks_card_open(const struct ks_conf *conf, const char *uri, struct ks_card **out)
{
	struct tok_card_want want;
	struct ks_card *c;
	char *token;
	err_t err;

	*out = NULL;
	err = tok_card_uri(uri, &token, &want);
	if (err)
		return err;
	c = calloc(1, sizeof(*c));
	err = c ? open_parts(conf, token, &want, c) : ENOMEM;
	free(token);
	tok_card_want_fini(&want);
	if (err)
		ks_card_free(&c);
	*out = c;
	return err;
}

void ks_card_free(struct ks_card **cp)
{
	struct ks_card *c = cp ? *cp : NULL;

	if (!c)
		return;
	*cp = NULL;
	tok_card_free(&c->card);
	GENERAL_NAMES_free(c->names);
	X509_free(c->cert);
	free(c->identity);
	free(c);
}

const char *ks_card_name(const struct ks_card *c)
{
	return tok_card_name(c->card);
}

const char *ks_card_identity(const struct ks_card *c)
{
	return c->identity;
}

void ks_card_show(struct ks_card *c)
{
	tok_card_show(c->card);
}

err_t ks_card_hide(struct ks_card *c)
{
	tok_card_show(NULL);
	return tok_card_why(c->card);
}

bool ks_card_asked(const struct ks_card *c)
{
	return tok_card_asked(c->card);
}
