/* Entry points for credentials. */
#include "mech/codes.h"
#include "mech/initiator.h"
#include "mech/k5c1.h"
#include "mech/passthrough.h"
#include "mech/s4u.h"
#include "mech/spi.h"

#include <errno.h>

static OM_uint32 acquire(OM_uint32 *minor, const struct mech_wish *w, gss_cred_id_t *out,
			 gss_OID_set *mechs, OM_uint32 *time_rec)
{
	struct mech_cred *c = NULL;
	OM_uint32 major;

	*minor = 0;
	*out = GSS_C_NO_CREDENTIAL;
	if (mechs)
		*mechs = GSS_C_NO_OID_SET;
	if (time_rec)
		*time_rec = 0;
	major = mech_cred_acquire(minor, w, &c, time_rec);
	*out = (gss_cred_id_t)c;
	return major;
}

static gss_const_OID first(const gss_OID_set_desc *mechs)
{
	return mechs && mechs->count ? &mechs->elements[0] : NULL;
}

OM_uint32 gssi_acquire_cred_from(OM_uint32 *minor, gss_name_t name, OM_uint32 time_req,
				 gss_OID_set desired, gss_cred_usage_t usage,
				 gss_const_key_value_set_t store, gss_cred_id_t *out,
				 gss_OID_set *mechs, OM_uint32 *time_rec)
{
	struct mech_wish w = {
		.mech = first(desired), .name = spi_name(name), .time_req = time_req,
		.usage = usage, .store = store,
	};

	return acquire(minor, &w, out, mechs, time_rec);
}

OM_uint32 gssi_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time_req,
			    gss_OID_set desired, int usage, gss_cred_id_t *out,
			    gss_OID_set *mechs, OM_uint32 *time_rec)
{
	return gssi_acquire_cred_from(minor, name, time_req, desired, usage, GSS_C_NO_CRED_STORE,
				      out, mechs, time_rec);
}

OM_uint32 gssi_acquire_cred_with_password(OM_uint32 *minor, const gss_name_t name,
					  const gss_buffer_t password, OM_uint32 time_req,
					  const gss_OID_set desired, int usage, gss_cred_id_t *out,
					  gss_OID_set *mechs, OM_uint32 *time_rec)
{
	struct mech_wish w = {
		.mech = first(desired), .name = spi_name(name), .time_req = time_req,
		.usage = usage, .password = password,
	};

	return acquire(minor, &w, out, mechs, time_rec);
}

static OM_uint32 no_initiator(OM_uint32 *minor, gss_cred_usage_t usage)
{
	if (usage != GSS_C_INITIATE)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "a credential for somebody else can only "
					 "initiate"));
	return mech_fail(minor, GSS_S_NO_CRED,
			 err_set(G_CRED_USAGE_MISMATCH, "a credential for accepting cannot "
				 "initiate"));
}

/* A copy of the first enctype that the credential is limited to. */
static krb5_enctype first_etype(struct mech_cred *c)
{
	krb5_enctype first;

	pthread_mutex_lock(&c->lock);
	first = c->etypes ? c->etypes[0] : 0;
	pthread_mutex_unlock(&c->lock);
	return first;
}

/* With the impersonator's keys on a token. */
static OM_uint32 impersonate(OM_uint32 *minor, struct mech_initiator *own,
			     const struct mech_s4u_wish *w, struct mech_cred **out,
			     OM_uint32 *time_rec)
{
	err_t err;

	if (w->usage != GSS_C_INITIATE)
		return no_initiator(minor, w->usage);
	if (!w->user)
		return mech_fail(minor, GSS_S_CALL_INACCESSIBLE_READ | GSS_S_BAD_NAME,
				 err_set(EINVAL, "no user was named"));
	err = mech_s4u_self(own, w, out, time_rec);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : GSS_S_COMPLETE;
}

OM_uint32 gssi_acquire_cred_impersonate_name(OM_uint32 *minor, const gss_cred_id_t impersonator,
					     const gss_name_t name, OM_uint32 time_req,
					     const gss_OID_set desired, gss_cred_usage_t usage,
					     gss_cred_id_t *out, gss_OID_set *mechs,
					     OM_uint32 *time_rec)
{
	gss_OID_set_desc stock_mechs = { 1, mech_oid_stock(first(desired)) };
	struct mech_cred *i = spi_cred(impersonator), *c = NULL;
	struct mech_initiator *own = NULL;
	gss_cred_id_t stock = GSS_C_NO_CREDENTIAL;
	struct mech_s4u_wish w;
	OM_uint32 major;
	err_t err;

	*minor = 0;
	*out = GSS_C_NO_CREDENTIAL;
	if (mechs)
		*mechs = GSS_C_NO_OID_SET;
	if (time_rec)
		*time_rec = 0;
	if (i && !i->stock && !mech_cred_is_own_initiator(i))
		return no_initiator(minor, usage);
	err = mech_initiator_of(i, NULL, &own);
	if (err)
		return mech_fail(minor, mech_major(err), err);
	if (own) {
		w = (struct mech_s4u_wish){ spi_name(name), usage, i ? first_etype(i) : 0 };
		major = impersonate(minor, own, &w, &c, time_rec);
		mech_initiator_free(&own);
		*out = (gss_cred_id_t)c;
		return major;
	}
	major = gss_acquire_cred_impersonate_name(minor, i ? i->stock : GSS_C_NO_CREDENTIAL,
						  name ? spi_name(name)->stock : GSS_C_NO_NAME,
						  time_req, &stock_mechs,
						  usage, &stock, NULL, time_rec);
	if (GSS_ERROR(major))
		return mech_stock_done(minor, major);
	err = mech_cred_from_stock(stock, usage, &c);
	if (!err)
		c->private_keys = true;
	*out = (gss_cred_id_t)c;
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

OM_uint32 gssi_release_cred(OM_uint32 *minor, gss_cred_id_t *cred)
{
	struct mech_cred *c = cred ? spi_cred(*cred) : NULL;

	*minor = 0;
	mech_cred_free(&c);
	if (cred)
		*cred = GSS_C_NO_CREDENTIAL;
	return GSS_S_COMPLETE;
}

static OM_uint32 give_stock_name(OM_uint32 *minor, OM_uint32 major, gss_name_t stock,
				 gss_name_t *out)
{
	struct mech_name *n = NULL;
	err_t err;

	if (GSS_ERROR(major) || !out)
		return mech_stock_done(minor, major);
	err = mech_name_wrap(stock, &n);
	*out = (gss_name_t)n;
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

OM_uint32 gssi_inquire_cred(OM_uint32 *minor, gss_cred_id_t cred, gss_name_t *name,
			    OM_uint32 *lifetime, int *usage, gss_OID_set *mechs)
{
	struct mech_cred *c = spi_cred(cred);
	gss_name_t stock = GSS_C_NO_NAME;
	struct mech_name *n = NULL;
	OM_uint32 major, unused;
	struct mech_half h;

	*minor = 0;
	spi_give_name(NULL, name);
	if (mechs)
		*mechs = GSS_C_NO_OID_SET;
	if (!c)
		return gssi_inquire_cred_by_mech(minor, cred, NULL, name, lifetime, NULL, usage);
	if (c->keytab) {
		major = mech_cred_inquire(minor, c, name ? &n : NULL, lifetime, usage);
		spi_give_name(n, name);
		return major;
	}
	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	/* the layer loses the name of a credential that has expired: so it is asked for last */
	major = gss_inquire_cred(minor, h.stock, NULL, lifetime ? lifetime : &unused, usage, mechs);
	if (major == GSS_S_COMPLETE && name)
		major = gss_inquire_cred(minor, h.stock, &stock, NULL, NULL, NULL);
	major = give_stock_name(minor, major, stock, name);
	mech_half_put(&h);
	return major;
}

static OM_uint32 inquire_own(OM_uint32 *minor, struct mech_cred *c, gss_name_t *name,
			     OM_uint32 *init_time, OM_uint32 *accept_time, int *usage)
{
	struct mech_name *n = NULL;
	OM_uint32 major, lifetime;

	major = mech_cred_inquire(minor, c, name ? &n : NULL, &lifetime, usage);
	spi_give_name(n, name);
	if (GSS_ERROR(major))
		return major;
	if (init_time && c->usage == GSS_C_BOTH)
		*init_time = lifetime;
	if (accept_time)
		*accept_time = lifetime;
	return major;
}

/* A NULL credential does come this far: the stock mechanism's default. */
OM_uint32 gssi_inquire_cred_by_mech(OM_uint32 *minor, gss_cred_id_t cred, gss_OID mech,
				    gss_name_t *name, OM_uint32 *init_time, OM_uint32 *accept_time,
				    int *usage)
{
	struct mech_cred *c = spi_cred(cred), *standard = NULL;
	gss_name_t stock = GSS_C_NO_NAME;
	struct mech_half h = { 0 };
	OM_uint32 major;

	*minor = 0;
	spi_give_name(NULL, name);
	if (c && c->keytab)
		return inquire_own(minor, c, name, init_time, accept_time, usage);
	major = c ? GSS_S_COMPLETE : mech_cred_default_client(minor, &standard);
	if (!GSS_ERROR(major) && (c || standard))
		major = mech_half_get(minor, c ? c : standard, &h);
	if (GSS_ERROR(major))
		goto out;
	major = gss_inquire_cred_by_mech(minor, h.stock, mech_oid_stock(mech), NULL, init_time,
					 accept_time, usage);
	if (major == GSS_S_COMPLETE && name)
		major = gss_inquire_cred_by_mech(minor, h.stock, mech_oid_stock(mech), &stock, NULL,
						 NULL, NULL);
	major = give_stock_name(minor, major, stock, name);
out:
	mech_half_put(&h);
	mech_cred_free(&standard);
	return major;
}

OM_uint32 gssi_inquire_cred_by_oid(OM_uint32 *minor, const gss_cred_id_t cred, const gss_OID what,
				   gss_buffer_set_t *set)
{
	struct mech_cred *c = spi_cred(cred);
	struct mech_half h;
	OM_uint32 major;

	*minor = 0;
	*set = GSS_C_NO_BUFFER_SET;
	if (!c || !what)
		return mech_fail(minor, GSS_S_NO_CRED, KRB5_NOCREDS_SUPPLIED);
	major = mech_half_get(minor, c, &h);
	if (!GSS_ERROR(major) && h.stock)
		major = mech_stock_done(minor, gss_inquire_cred_by_oid(minor, h.stock, what, set));
	if (GSS_ERROR(major) || h.stock) {
		mech_half_put(&h);
		return major;
	}
	/* nobody stands behind a credential for accepting */
	if (mech_oid_equal(what, GSS_KRB5_GET_CRED_IMPERSONATOR))
		return gss_create_empty_buffer_set(minor, set);
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(EINVAL, "this question to a credential is not known"));
}

OM_uint32 gssi_set_cred_option(OM_uint32 *minor, gss_cred_id_t *cred, const gss_OID option,
			       const gss_buffer_t value)
{
	struct mech_cred *c = cred ? spi_cred(*cred) : NULL;

	*minor = 0;
	if (!c || !option)
		return mech_fail(minor, GSS_S_UNAVAILABLE,
				 err_set(EINVAL, "an option without a credential"));
	return mech_cred_set_option(minor, c, option, value);
}

/* The stock mechanism gives no reason with these two. */
static OM_uint32 stored_own(OM_uint32 *minor, OM_uint32 major)
{
	if (major == GSS_S_DUPLICATE_ELEMENT)
		return mech_fail(minor, major, err_set(EEXIST, "there are credentials in that cache "
						       "already: ask for them to be overwritten"));
	if (major == GSS_S_CREDENTIALS_EXPIRED)
		return mech_fail(minor, major, err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "the credential's "
						       "tickets have expired"));
	return mech_stock_done(minor, major);
}

OM_uint32 gssi_store_cred_into(OM_uint32 *minor, gss_cred_id_t cred, gss_cred_usage_t usage,
			       gss_OID mech, OM_uint32 overwrite, OM_uint32 deflt,
			       gss_const_key_value_set_t store, gss_OID_set *stored,
			       gss_cred_usage_t *usage_stored)
{
	struct mech_cred *c = spi_cred(cred);
	struct mech_half h;
	OM_uint32 major;

	*minor = 0;
	if (stored)
		*stored = GSS_C_NO_OID_SET;
	if (!c)
		return mech_fail(minor, GSS_S_NO_CRED, KRB5_NOCREDS_SUPPLIED);
	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	if (!h.stock)
		return mech_fail(minor, GSS_S_FAILURE, G_STORE_ACCEPTOR_CRED_NOSUPP);
	major = gss_store_cred_into(minor, h.stock, usage, mech_oid_stock(mech), overwrite, deflt,
				    store, stored, usage_stored);
	if (!GSS_ERROR(major))
		mech_cred_copied(c);
	major = c->keytab ? stored_own(minor, major) : mech_stock_done(minor, major);
	mech_half_put(&h);
	return major;
}

OM_uint32 gssi_store_cred(OM_uint32 *minor, const gss_cred_id_t cred, gss_cred_usage_t usage,
			  const gss_OID mech, OM_uint32 overwrite, OM_uint32 deflt,
			  gss_OID_set *stored, gss_cred_usage_t *usage_stored)
{
	return gssi_store_cred_into(minor, cred, usage, mech, overwrite, deflt, GSS_C_NO_CRED_STORE,
				    stored, usage_stored);
}

OM_uint32 gssi_export_cred(OM_uint32 *minor, gss_cred_id_t cred, gss_buffer_t token)
{
	struct mech_cred *c = spi_cred(cred);
	OM_uint32 major;

	*minor = 0;
	spi_empty(token);
	if (!c)
		return mech_fail(minor, GSS_S_NO_CRED, KRB5_NOCREDS_SUPPLIED);
	major = c->keytab || mech_cred_is_own_initiator(c) ? mech_cred_export(minor, c, token)
			  : mech_stock_export_cred(minor, c->stock, token);
	mech_copy_note(GSS_ERROR(major) ? GSS_C_NO_CREDENTIAL : c->stock, token);
	return major;
}

OM_uint32 gssi_import_cred_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t token,
				   gss_cred_id_t *out)
{
	gss_cred_id_t stock = GSS_C_NO_CREDENTIAL;
	struct mech_cred *c = NULL;
	OM_uint32 major;
	err_t err;

	*minor = 0;
	*out = GSS_C_NO_CREDENTIAL;
	if (mech_cred_is_exported(token)) {
		major = mech_cred_import(minor, mech, token, &c);
		*out = (gss_cred_id_t)c;
		return major;
	}
	major = mech_stock_import_cred(minor, mech, token, &stock);
	if (GSS_ERROR(major))
		return major;
	err = mech_cred_from_stock(stock, GSS_C_BOTH, &c);
	if (!err && mech_k5c1_has_surrogates(token))
		err = mech_initiator_copy(c->stock, &c->initiator);
	if (err)
		mech_cred_free(&c);
	*out = (gss_cred_id_t)c;
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

OM_uint32 gssi_import_cred(OM_uint32 *minor, gss_buffer_t token, gss_cred_id_t *out)
{
	return gssi_import_cred_by_mech(minor, mech_copy_mech(token), token, out);
}
