/* Caches that share the keys of some of their tickets with another cache. */
#include <krb5.h>
#include <string.h>

#include "keystore/ccache_int.h"
#include "pkcs11/trace.h"

struct sharing {
	krb5_context k5;
	krb5_ccache to;
	krb5_const_principal client;
	struct tok *tok;
	size_t n;
};

static err_t copy_one(void *arg, krb5_creds *c, bool config)
{
	struct sharing *s = arg;

	if (config || !krb5_principal_compare(s->k5, c->client, s->client))
		return 0;
	return ks_krb5_err(s->k5, krb5_cc_store_cred(s->k5, s->to, c));
}

err_t ks_ccache_share(krb5_context k5, krb5_ccache from, struct tok *t,
		      krb5_const_principal client, krb5_ccache to)
{
	struct sharing s = { .k5 = k5, .to = to, .client = client };
	err_t err = ks_ccache_each(k5, from, copy_one, &s);

	return err ? err : ks_ccache_mark(k5, to, t);
}

static err_t destroy_one(void *arg, krb5_creds *c, bool config)
{
	struct sharing *s = arg;
	struct ks_surrogate sur;
	err_t err;

	if (config || krb5_principal_compare(s->k5, c->client, s->client) ||
	    !ks_ccache_surrogate(&c->keyblock, &sur))
		return 0;
	err = ks_vault_destroy(s->tok, &sur);
	if (!err)
		s->n++;
	return err == ERR_KEY_ABSENT ? 0 : err;
}

err_t ks_ccache_destroy_others(krb5_context k5, krb5_ccache cc, struct tok *t,
			       krb5_const_principal client, size_t *n)
{
	struct sharing s = { .k5 = k5, .tok = t, .client = client };
	err_t err = ks_ccache_each(k5, cc, destroy_one, &s);

	*n = s.n;
	trace("cache: %zu session keys of a proxy credential were destroyed", s.n);
	return err;
}
