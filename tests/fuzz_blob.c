/*
 * Fuzz target: exported credentials.  Every token is the right one and every
 * MAC fits, so that all of the parsing behind it is reached; no keytab may be
 * opened by a name that could load a module, read a PIN or name a file.
 *
 *   octet 0: as it is, with a proper head put before it, or as the stock
 *   mechanism's token    rest: the blob
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mech/blob.h"
#include "mech/cred.h"
#include "mech/initiator.h"
#include "mech/k5c1.h"
#include "mech/passthrough.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fake;                 /* stands for token, keytab and credential's parts */

static void must(int ok)
{
	if (!ok)
		abort();
}

static void touch(const void *p, size_t n)
{
	const uint8_t *q = p;
	volatile uint8_t sink = 0;

	while (n--)
		sink ^= *q++;
	(void)sink;
}

/* ---- the keystore --------------------------------------------------------- */

void ks_token_id(const struct tok *t, struct ks_token_id *out)
{
	memset(out, 0, sizeof(*out));
}

bool ks_token_id_is(const struct tok *t, const struct ks_token_id *id)
{
	must(memchr(id->label, 0, sizeof(id->label)) && memchr(id->serial, 0, sizeof(id->serial)));
	return true;
}

err_t ks_ref_mac(struct tok *t, const uint8_t *p, size_t len, uint8_t mac[KS_REF_MAC])
{
	memset(mac, 0, KS_REF_MAC);
	return 0;
}

err_t ks_ref_check(struct tok *t, const uint8_t *p, size_t len, const uint8_t mac[KS_REF_MAC])
{
	touch(p, len);
	touch(mac, KS_REF_MAC);
	must(mac == p + len);
	return 0;
}

struct ks_keytab *mech_keytab_nth(size_t i)
{
	return i ? NULL : (struct ks_keytab *)(void *)&fake;
}

struct tok *ks_keytab_token(const struct ks_keytab *kt)
{
	return (struct tok *)(void *)&fake;
}

const char *ks_keytab_name(const struct ks_keytab *kt)
{
	return "pkcs11:token=x";
}

err_t ks_keytab_on(struct tok *t, const char *uri, struct ks_keytab **out)
{
	must(!strchr(uri, '?') && !strncasecmp(uri, "pkcs11:", 7));
	*out = mech_keytab_nth(0);
	return 0;
}

void ks_keytab_unref(struct ks_keytab **kt)
{
	*kt = NULL;
}

bool ks_conf_is_uri(const char *name)
{
	return name && !strncasecmp(name, "pkcs11:", 7);
}

struct tok *ks_token_ref(struct tok *t)
{
	return t;
}

void ks_token_unref(struct tok **t)
{
	*t = NULL;
}

/* Of no use here: the first token that is tried is the right one. */
err_t ks_conf_read(krb5_context k5, const char *realm, struct ks_conf *out)
{
	abort();
}

void ks_conf_fini(struct ks_conf *c)
{
}

err_t ks_conf_open_token(const struct ks_conf *c, const char *uri, bool write, struct tok **out)
{
	abort();
}

err_t ks_conf_session_token(const struct ks_conf *c, struct tok **out)
{
	abort();
}

err_t mech_cred_default_uri(krb5_context k5, char **out)
{
	abort();
}

err_t ks_conf_client_uri(krb5_context k5, char **out)
{
	abort();
}

err_t mech_krb5(krb5_context *out)
{
	*out = NULL;
	return 0;
}

/* ---- the mechanism -------------------------------------------------------- */

err_t mech_cred_reopen(struct ks_keytab *kt, const struct mech_name *name, struct mech_cred **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : ENOMEM;
}

err_t mech_cred_new(gss_cred_usage_t usage, struct mech_cred **out)
{
	must(usage == GSS_C_INITIATE);
	return mech_cred_reopen(NULL, NULL, out);
}

struct ks_keytab *mech_keytab_find(const char *name)
{
	must(!strchr(name, '?') && !strncasecmp(name, "pkcs11:", 7));
	return NULL;
}

/* Of tickets with surrogates only what libkrb5 has read itself is used. */
err_t mech_initiator_copy(gss_cred_id_t stock, struct mech_initiator **out)
{
	*out = (struct mech_initiator *)(void *)&fake;
	return 0;
}

void mech_initiator_free(struct mech_initiator **i)
{
	*i = NULL;
}

OM_uint32 mech_half_get(OM_uint32 *minor, struct mech_cred *c, struct mech_half *h)
{
	abort();
}

void mech_half_put(struct mech_half *h)
{
	abort();
}

void mech_cred_copied(struct mech_cred *c)
{
	abort();
}

bool mech_cred_is_own_initiator(const struct mech_cred *c)
{
	abort();
}

void mech_cred_free(struct mech_cred **c)
{
	if (*c) {
		free((*c)->ccache);
		free((*c)->rcache);
		free((*c)->etypes);
	}
	free(*c);
	*c = NULL;
}

OM_uint32 mech_name_import(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t text, gss_OID type,
			   struct mech_name **out)
{
	touch(text->value, text->length);
	*out = NULL;
	return GSS_S_COMPLETE;
}

void mech_name_free(struct mech_name **n)
{
}

OM_uint32 mech_stock_import_cred(OM_uint32 *minor, gss_const_OID mech, const gss_buffer_desc *token,
				 gss_cred_id_t *out)
{
	must(token->length);
	touch(token->value, token->length);
	*out = GSS_C_NO_CREDENTIAL;
	return GSS_S_COMPLETE;
}

OM_uint32 mech_stock_export_cred(OM_uint32 *minor, gss_cred_id_t stock, gss_buffer_t token)
{
	abort();
}

OM_uint32 mech_stock_done(OM_uint32 *minor, OM_uint32 major)
{
	return major;
}

OM_uint32 mech_major(err_t err)
{
	return err ? GSS_S_FAILURE : GSS_S_COMPLETE;
}

OM_uint32 mech_fail(OM_uint32 *minor, OM_uint32 major, err_t err)
{
	*minor = (OM_uint32)err;
	must(err && major);
	return major;
}

/* ---- the target ----------------------------------------------------------- */

/* The octets as body of a proper blob. */
static gss_buffer_desc mended(const uint8_t *p, size_t n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	struct wr w;

	must(mech_blob_begin(&w, MECH_BLOB_CRED, (struct tok *)(void *)&fake) == 0);
	wr_bytes(&w, n ? p : (const uint8_t *)"", n);
	if (mech_blob_finish(&w, (struct tok *)(void *)&fake, &b))
		return b;
	b.value = realloc(b.value, b.length);
	return b;
}

static gss_buffer_desc copied(const uint8_t *p, size_t n)
{
	gss_buffer_desc b = { n, malloc(n ? n : 1) };     /* reads past the end are seen */

	must(b.value != NULL);
	if (n)
		memcpy(b.value, p, n);
	return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mech_cred *c = NULL;
	gss_buffer_desc b;
	OM_uint32 minor, major;

	if (!size)
		return 0;
	b = data[0] % 3 == 1 ? mended(data + 1, size - 1) : copied(data + 1, size - 1);
	if (data[0] % 3 == 2) {
		(void)mech_k5c1_is_reference(&b);
		(void)mech_k5c1_has_surrogates(&b);
		free(mech_k5c1_ccache(&b));
	} else if (b.value) {
		major = mech_cred_import(&minor, NULL, &b, &c);
		must(GSS_ERROR(major) ? !c : c != NULL);
		mech_cred_free(&c);
	}
	free(b.value);
	return 0;
}
