/* Whether the keytab has a key for the name that a credential is acquired for. */
#include "mech/codes.h"
#include "mech/cred.h"
#include "mech/match.h"

#include <stdio.h>
#include <string.h>

/* "a@R, b@R, ..." for a text; each principal once, as long as there is room. */
static void list_principals(const struct ks_entry *e, size_t n, char *buf, size_t cap)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		int len;

		if (i && !strcmp(e[i].principal, e[i - 1].principal))
			continue;
		len = snprintf(buf + at, cap - at, "%s%s", at ? ", " : "", e[i].principal);
		if (len < 0 || (size_t)len >= cap - at) {
			snprintf(buf + cap - 4, 4, "...");
			return;
		}
		at += (size_t)len;
	}
}

static err_t no_match(krb5_context k5, const struct mech_cred *c, const struct ks_entry *e, size_t n)
{
	const char *token = ks_token_label(ks_keytab_token(c->keytab));
	char has[240], *want = NULL;

	if (!n)
		return err_set(c->name ? KG_KEYTAB_NOMATCH : KRB5_KT_NOTFOUND, "token \"%s\" has no "
			       "keytab entry: put one there with 'gssp11 keytab import'", token);
	list_principals(e, n, has, sizeof(has));
	if (!c->princ && !c->pattern)
		return err_set(KRB5_KT_NOTFOUND, "token \"%s\" has no keytab entry for accepting; "
			       "it has %s", token, has);
	if (krb5_unparse_name(k5, c->pattern ? c->pattern : c->princ, &want))
		want = NULL;
	(void)err_set(KG_KEYTAB_NOMATCH, "no key on token \"%s\" is for %s; it has keys of %s", token,
		      want ? want : "the desired name", has);
	krb5_free_unparsed_name(k5, want);
	return KG_KEYTAB_NOMATCH;
}

static bool any_matches(krb5_context k5, const struct mech_target *t, const struct ks_entry *e,
			size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((e[i].use & KS_USE_ACCEPT) && mech_target_matches(k5, t, &e[i]))
			return true;
	return false;
}

static err_t check_keys(krb5_context k5, struct mech_cred *c)
{
	const struct mech_settings *set;
	struct mech_target t;
	struct ks_entry *e;
	bool found;
	size_t n;
	err_t err;

	err = mech_settings(k5, &set);
	if (!err)
		err = mech_target_init(k5, c, set, &t);
	if (err)
		return err;
	err = ks_keytab_entries(c->keytab, &e, &n);
	if (err)
		goto out;
	found = any_matches(k5, &t, e, n);
	while (!found && mech_target_fallback(k5, &t))
		found = any_matches(k5, &t, e, n);
	if (!found)
		err = no_match(k5, c, e, n);
	ks_entries_free(&e, n);
out:
	mech_target_fini(k5, &t);
	return err;
}

/* A key imported since the index was read counts, too. */
err_t mech_cred_check_keys(krb5_context k5, struct mech_cred *c)
{
	err_t err = check_keys(k5, c);

	if (err != KRB5_KT_NOTFOUND && err != KG_KEYTAB_NOMATCH)
		return err;
	err = ks_keytab_refresh(c->keytab);
	return err ? err : check_keys(k5, c);
}
