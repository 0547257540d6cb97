/* The stock half of a credential, for names, lifetimes, copies and exports. */
#include "mech/initiator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/passthrough.h"

bool mech_cred_is_own_initiator(const struct mech_cred *c)
{
	return c->initiator || (c->client_keytab && !c->stock);
}

/* The cache of tickets that are this module's, chosen now if it was not before. */
static err_t own_ccache(struct mech_cred *c, char **out)
{
	struct mech_initiator *i = NULL;
	err_t err = 0;

	*out = NULL;
	if (!c->initiator) {
		err = mech_initiator_of(c, NULL, &i);
		mech_initiator_free(&i);
		if (err)
			return err;
	}
	pthread_mutex_lock(&c->lock);
	if (c->initiator || c->ccache)
		*out = strdup(c->initiator ? c->initiator->ccache : c->ccache);
	pthread_mutex_unlock(&c->lock);
	return *out ? 0 : err_set(KG_EMPTY_CCACHE, "no credential cache has been chosen");
}

static OM_uint32 acquire(OM_uint32 *minor, struct mech_cred *c, struct mech_half *h)
{
	const struct mech_wish any = { .time_req = GSS_C_INDEFINITE };
	gss_key_value_element_desc elem = { "ccache", NULL };
	gss_key_value_set_desc store = { 1, &elem };
	OM_uint32 major;
	char *name;
	err_t err;

	err = own_ccache(c, &name);
	if (err)
		return mech_fail(minor, GSS_S_NO_CRED, err);
	elem.value = name;
	major = mech_stock_acquire(minor, &any, GSS_C_INITIATE, &store, &h->stock, NULL);
	h->own = !GSS_ERROR(major);
	free(name);
	return major;
}

void mech_cred_settled(struct mech_cred *c)
{
	pthread_mutex_lock(&c->lock);
	c->deferred = false;
	pthread_mutex_unlock(&c->lock);
}

/* Asking makes the stock mechanism choose without a target, and keep to that. */
static void choose(struct mech_cred *c)
{
	OM_uint32 minor, lifetime, major;
	bool deferred;

	pthread_mutex_lock(&c->lock);
	deferred = c->deferred;
	pthread_mutex_unlock(&c->lock);
	if (!deferred)
		return;
	major = gss_inquire_cred(&minor, c->stock, NULL, &lifetime, NULL, NULL);
	if (!GSS_ERROR(major) || major == GSS_S_CREDENTIALS_EXPIRED)
		mech_cred_settled(c);
}

OM_uint32 mech_half_get(OM_uint32 *minor, struct mech_cred *c, struct mech_half *h)
{
	*h = (struct mech_half){ .stock = c->stock };
	if (mech_cred_is_own_initiator(c))
		return acquire(minor, c, h);
	if (c->stock)
		choose(c);
	return GSS_S_COMPLETE;
}

OM_uint32 mech_half_for_init(OM_uint32 *minor, struct mech_cred *c, struct mech_half *h)
{
	*h = (struct mech_half){ .stock = c->stock };
	return mech_cred_is_own_initiator(c) ? acquire(minor, c, h) : GSS_S_COMPLETE;
}

void mech_half_put(struct mech_half *h)
{
	OM_uint32 ignored;

	if (h->own)
		gss_release_cred(&ignored, &h->stock);
	*h = (struct mech_half){ 0 };
}

void mech_cred_copied(struct mech_cred *c)
{
	if (c->initiator)
		atomic_store(&c->initiator->copied, true);
	/* what a proxy credential shares goes into the copy, too */
	if (c->initiator && c->initiator->parent)
		atomic_store(&c->initiator->parent->copied, true);
}
