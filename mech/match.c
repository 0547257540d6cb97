/* Which entries of the keytab may open a ticket. */
#include "mech/match.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

void mech_target_fini(krb5_context k5, struct mech_target *t)
{
	free(t->exact);
	krb5_free_principal(k5, t->pattern);
	memset(t, 0, sizeof(*t));
}

static bool has_host(krb5_const_principal p)
{
	return p->length == 2 && p->data[1].length > 0;
}

/* The same pattern with another host. */
static err_t set_host(krb5_context k5, krb5_principal p, const char *host)
{
	char *copy = strdup(host);

	if (!copy)
		return err_set(ENOMEM, "out of memory looking for the service's key");
	krb5_free_data_contents(k5, &p->data[1]);
	p->data[1].data = copy;
	p->data[1].length = (unsigned)strlen(copy);
	return 0;
}

/* With dns_canonicalize_hostname = fallback the host is taken as it is first, without the DNS. */
static err_t expand_host(krb5_context k5, krb5_principal p)
{
	char *given = strndup(p->data[1].data, p->data[1].length), *host = NULL;
	err_t err = ENOMEM;

	if (given)
		err = krb5_expand_hostname(k5, given, &host);
	if (!err)
		err = set_host(k5, p, host);
	krb5_free_string(k5, host);
	free(given);
	return err;
}

err_t mech_target_init(krb5_context k5, const struct mech_cred *cred,
		       const struct mech_settings *set, struct mech_target *out)
{
	krb5_error_code code = 0;
	char *text = NULL;

	memset(out, 0, sizeof(*out));
	if (cred->pattern)
		code = krb5_copy_principal(k5, cred->pattern, &out->pattern);
	else if (cred->princ)
		code = krb5_unparse_name(k5, cred->princ, &text);
	if (code)
		return mech_krb5_err(k5, code);
	if (text) {
		out->exact = strdup(text);
		krb5_free_unparsed_name(k5, text);
		return out->exact ? 0 : ENOMEM;
	}
	out->dns_left = out->pattern && set->canon_fallback && !set->ignore_hostname &&
			has_host(out->pattern);
	return out->dns_left ? expand_host(k5, out->pattern) : 0;
}

/* Lower case, without the dot at the end. */
static void tidy(char *host)
{
	size_t n = strlen(host);

	for (char *p = host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (n && host[n - 1] == '.')
		host[n - 1] = '\0';
}

/* The host's canonical name in the DNS, malloc'ed; NULL where it has none. */
static char *dns_name(const krb5_data *host)
{
	struct addrinfo hint = { .ai_flags = AI_CANONNAME }, *ai = NULL;
	char *given = strndup(host->data, host->length), *name = NULL;

	if (given && getaddrinfo(given, NULL, &hint, &ai) == 0 && ai->ai_canonname)
		name = strdup(ai->ai_canonname);
	if (ai)
		freeaddrinfo(ai);
	free(given);
	if (name)
		tidy(name);
	return name;
}

bool mech_target_fallback(krb5_context k5, struct mech_target *t)
{
	krb5_data *host;
	char *name;
	bool other;

	if (!t->dns_left)
		return false;
	t->dns_left = false;
	host = &t->pattern->data[1];
	name = dns_name(host);
	other = name && (strlen(name) != host->length || memcmp(name, host->data, host->length)) &&
		set_host(k5, t->pattern, name) == 0;
	free(name);
	return other;
}

bool mech_target_matches(krb5_context k5, const struct mech_target *t, const struct ks_entry *e)
{
	krb5_principal p = NULL;
	bool ok;

	if (t->exact)
		return strcmp(t->exact, e->principal) == 0;
	if (!t->pattern)
		return true;
	if (krb5_parse_name(k5, e->principal, &p))
		return false;
	ok = krb5_sname_match(k5, t->pattern, p);
	krb5_free_principal(k5, p);
	return ok;
}

void mech_sight_note(struct mech_sight *s, const struct mech_asked *w, const struct ks_entry *e,
		     bool matches)
{
	bool server = strcmp(e->principal, w->server) == 0;

	if (!matches) {
		s->barred |= server;
		return;
	}
	s->matching = true;
	if (!server)
		return;
	s->server = true;
	if (e->kvno == w->kvno) {
		s->kvno = true;
		s->etype |= e->etype == w->etype;
	} else if (e->kvno > w->kvno) {
		s->higher_kvno = true;
	}
}

int mech_match_rank(const struct mech_asked *w, const struct ks_entry *e)
{
	bool server = strcmp(e->principal, w->server) == 0;

	if (e->etype != w->etype)
		return 4;
	if (server)
		return e->kvno == w->kvno ? 0 : 1;
	return e->kvno == w->kvno ? 2 : 3;
}

const struct ks_entry *mech_match_exact(const struct mech_target *t, const struct mech_asked *w,
					const struct ks_entry *e, size_t n)
{
	const struct ks_entry *best = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!(e[i].use & KS_USE_ACCEPT) || e[i].etype != w->etype ||
		    strcmp(e[i].principal, t->exact) != 0)
			continue;
		if (w->kvno && e[i].kvno == w->kvno)
			return &e[i];
		if ((!w->kvno || !e[i].kvno) && (!best || e[i].kvno > best->kvno))
			best = &e[i];
	}
	return best;
}
