/* The default client keytab's name, as libkrb5 finds it: it does not tell one that it cannot open. */
#include <errno.h>
#include <profile.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"

err_t ks_conf_client_uri(krb5_context ctx, char **out)
{
	const char *env = secure_getenv("KRB5_CLIENT_KTNAME");
	profile_t profile = NULL;
	char *name = NULL;
	err_t err = 0;

	*out = NULL;
	if (!env) {
		/* settings that cannot be read are for libkrb5 to report */
		if (krb5_get_profile(ctx, &profile))
			return 0;
		if (profile_get_string(profile, "libdefaults", "default_client_keytab_name", NULL,
				       NULL, &name))
			name = NULL;
		env = name;
	}
	if (env && ks_conf_is_uri(env) && !(*out = strdup(env)))
		err = ENOMEM;
	if (name)
		profile_release_string(name);
	if (profile)
		profile_release(profile);
	return err;
}
