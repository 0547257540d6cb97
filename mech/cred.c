/* Life of a credential, and the keytabs that credentials have opened. */
#include "mech/cred.h"
#include "mech/initiator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

err_t mech_cred_new(gss_cred_usage_t usage, struct mech_cred **out)
{
	struct mech_cred *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return ENOMEM;
	if (pthread_mutex_init(&c->lock, NULL)) {
		free(c);
		return ENOMEM;
	}
	atomic_init(&c->refs, 1);
	c->usage = usage;
	*out = c;
	return 0;
}

struct mech_cred *mech_cred_ref(struct mech_cred *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

static void free_principals(struct mech_cred *c)
{
	krb5_context k5;

	if (mech_krb5(&k5))
		k5 = NULL;
	krb5_free_principal(k5, c->princ);
	krb5_free_principal(k5, c->pattern);
}

void mech_cred_free(struct mech_cred **cp)
{
	struct mech_cred *c = cp ? *cp : NULL;
	OM_uint32 ignored;

	if (!c)
		return;
	*cp = NULL;
	if (atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	if (c->stock)
		gss_release_cred(&ignored, &c->stock);
	if (c->princ || c->pattern)
		free_principals(c);
	mech_name_free(&c->name);
	mech_initiator_free(&c->initiator);
	ks_keytab_unref(&c->keytab);
	ks_keytab_unref(&c->client_keytab);
	free(c->identity);
	ks_token_unref(&c->session_token);
	ks_conf_fini(&c->conf);
	free(c->realm);
	free(c->rcache);
	free(c->etypes);
	free(c->ccache);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

err_t mech_cred_from_stock(gss_cred_id_t stock, gss_cred_usage_t usage, struct mech_cred **out)
{
	OM_uint32 ignored;
	err_t err = mech_cred_new(usage, out);

	if (err)
		gss_release_cred(&ignored, &stock);
	else
		(*out)->stock = stock;
	return err;
}

/* ---- keytabs that are open ---- */

struct noted {
	struct noted *next;
	struct ks_keytab *kt;
};

static _Atomic(struct noted *) noted;   /* only ever grows, at the front */

struct ks_keytab *mech_keytab_find(const char *name)
{
	for (struct noted *n = atomic_load(&noted); n; n = n->next)
		if (!strcmp(ks_keytab_name(n->kt), name))
			return ks_keytab_ref(n->kt);
	return NULL;
}

struct ks_keytab *mech_keytab_nth(size_t i)
{
	struct noted *n = atomic_load(&noted);

	while (n && i--)
		n = n->next;
	return n ? n->kt : NULL;
}

/* Two tokens' keytabs may have one name: a token's open again after its settings changed. */
static bool is_noted(const struct ks_keytab *kt)
{
	for (struct noted *n = atomic_load(&noted); n; n = n->next)
		if (ks_keytab_token(n->kt) == ks_keytab_token(kt) &&
		    !strcmp(ks_keytab_name(n->kt), ks_keytab_name(kt)))
			return true;
	return false;
}

/* Nothing is lost when there is no memory, or when two threads note the same one. */
void mech_keytab_note(struct ks_keytab *kt)
{
	struct noted *n;

	if (is_noted(kt))
		return;
	n = malloc(sizeof(*n));
	if (!n)
		return;
	n->kt = ks_keytab_ref(kt);
	n->next = atomic_load(&noted);
	while (!atomic_compare_exchange_weak(&noted, &n->next, n))
		;
}
