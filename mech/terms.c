/* The keys of a credential store that ask for lifetimes and flags. */
#include "mech/terms.h"

#include <errno.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/store.h"

static OM_uint32 bad_value(OM_uint32 *minor, const char *key, const char *what)
{
	return mech_fail(minor, GSS_S_FAILURE,
			 err_set(EINVAL, "credential store: the value of \"%s\" is not %s", key, what));
}

static OM_uint32 read_time(OM_uint32 *minor, gss_const_key_value_set_t store, const char *key,
			   krb5_deltat *out)
{
	const char *value;
	char copy[64];
	OM_uint32 major;

	major = mech_store_find(minor, store, key, &value);
	if (GSS_ERROR(major) || !value)
		return major;
	if (strlen(value) >= sizeof(copy))
		return bad_value(minor, key, "a time");
	memcpy(copy, value, strlen(value) + 1);
	if (krb5_string_to_deltat(copy, out) || *out <= 0)
		return bad_value(minor, key, "a time such as 10h or 1d12h");
	return major;
}

static OM_uint32 read_answer(OM_uint32 *minor, gss_const_key_value_set_t store, const char *key,
			     enum mech_answer *out)
{
	const char *value;
	OM_uint32 major = mech_store_find(minor, store, key, &value);

	if (GSS_ERROR(major) || !value)
		return major;
	if (!strcmp(value, "true"))
		*out = MECH_YES;
	else if (!strcmp(value, "false"))
		*out = MECH_NO;
	else
		return bad_value(minor, key, "true or false");
	return major;
}

static OM_uint32 read_again(OM_uint32 *minor, gss_const_key_value_set_t store,
			    enum mech_again *out)
{
	const char *value;
	OM_uint32 major = mech_store_find(minor, store, "renew", &value);

	if (GSS_ERROR(major) || !value || !strcmp(value, "false"))
		return major;
	if (!strcmp(value, "true"))
		*out = MECH_RENEW;
	else if (!strcmp(value, "validate"))
		*out = MECH_VALIDATE;
	else
		return bad_value(minor, "renew", "true, false or validate");
	return major;
}

OM_uint32 mech_terms_read(OM_uint32 *minor, gss_const_key_value_set_t store,
			  struct mech_terms *out)
{
	OM_uint32 major;

	memset(out, 0, sizeof(*out));
	major = read_time(minor, store, "ticket_lifetime", &out->life);
	if (!GSS_ERROR(major))
		major = read_time(minor, store, "renew_lifetime", &out->renew);
	if (!GSS_ERROR(major))
		major = read_answer(minor, store, "forwardable", &out->forwardable);
	if (!GSS_ERROR(major))
		major = read_answer(minor, store, "proxiable", &out->proxiable);
	if (!GSS_ERROR(major))
		major = read_again(minor, store, &out->again);
	out->any = out->life || out->renew || out->forwardable || out->proxiable;
	return major;
}

void mech_terms_apply(const struct mech_terms *a, krb5_get_init_creds_opt *opt)
{
	if (a->life)
		krb5_get_init_creds_opt_set_tkt_life(opt, a->life);
	if (a->renew)
		krb5_get_init_creds_opt_set_renew_life(opt, a->renew);
	if (a->forwardable)
		krb5_get_init_creds_opt_set_forwardable(opt, a->forwardable == MECH_YES);
	if (a->proxiable)
		krb5_get_init_creds_opt_set_proxiable(opt, a->proxiable == MECH_YES);
}
