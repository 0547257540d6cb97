/* What to say when no entry of the keytab opens a ticket. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "keystore/etype.h"
#include "mech/match.h"

#define HAS_MAX 220              /* octets of "what the keytab has" */

struct text {
	char s[HAS_MAX];
	size_t len;
};

static void add(struct text *t, const char *fmt, ...) PRINTF(2, 3);
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n;
	if (t->len >= sizeof(t->s))
		t->len = sizeof(t->s) - 1;
}

static void add_key(struct text *t, const struct ks_entry *e)
{
	const struct ks_etype *row = ks_etype_find(e->etype);

	if (e->kvno)
		add(t, "kvno %u ", (unsigned)e->kvno);
	if (row)
		add(t, "%s", row->name);
	else
		add(t, "enctype %d", (int)e->etype);
}

/* "kvno 3 aes256-..., kvno 4 aes256-...": the keys of one principal. */
static void keys_of(struct text *t, const char *principal, const struct ks_entry *e, size_t n)
{
	size_t i;

	*t = (struct text){ .len = 0 };
	for (i = 0; i < n; i++) {
		if (!(e[i].use & KS_USE_ACCEPT) || strcmp(e[i].principal, principal))
			continue;
		add(t, "%s", t->len ? ", " : "");
		add_key(t, &e[i]);
	}
	if (!t->len)
		add(t, "no key of it");
}

/* "a@R, b@R": the principals, each once. */
static void principals(struct text *t, const struct ks_entry *e, size_t n)
{
	size_t i, j;

	*t = (struct text){ .len = 0 };
	for (i = 0; i < n && t->len < sizeof(t->s) - 1; i++) {
		for (j = 0; j < i && strcmp(e[j].principal, e[i].principal); j++)
			;
		if (j == i && (e[i].use & KS_USE_ACCEPT))
			add(t, "%s%s", t->len ? ", " : "", e[i].principal);
	}
	if (!t->len)
		add(t, "no key to accept with");
}

/* "HTTP/www@R kvno 5 aes256-...": what the ticket wants. */
static void wanted(struct text *t, const struct mech_asked *w)
{
	const struct ks_entry e = { .kvno = w->kvno, .etype = w->etype };

	*t = (struct text){ .len = 0 };
	add(t, "%s ", w->server);
	add_key(t, &e);
}

static void own_name(struct text *t, const struct mech_target *target)
{
	*t = (struct text){ .len = 0 };
	if (target->exact)
		add(t, "%s", target->exact);
	else if (target->pattern && target->pattern->length == 2)
		add(t, "%.*s@%.*s", (int)target->pattern->data[0].length,
		    target->pattern->data[0].data, (int)target->pattern->data[1].length,
		    target->pattern->data[1].data);
	else
		add(t, "any name");
}

static err_t no_match(const struct mech_target *t, const char *keytab, const char *want,
		      const struct text *has)
{
	struct text own;

	own_name(&own, t);
	return err_set(KRB5KRB_AP_ERR_NOKEY, "no key on %s matches %s (the ticket is for %s; "
		       "the keytab has %s): import it with gssp11 keytab import",
		       keytab, own.s, want, has->s);
}

static err_t not_us(const struct mech_target *t, const char *keytab, const char *want,
		    const struct text *has, bool barred)
{
	struct text own;

	own_name(&own, t);
	if (barred)
		return err_set(KRB5KRB_AP_ERR_NOT_US, "the ticket is for %s, whose key %s has, but "
			       "this server accepts as %s alone", want, keytab, own.s);
	return err_set(KRB5KRB_AP_ERR_NOT_US, "the ticket is for %s and %s has %s: import the key, "
		       "or correct the name that clients use", want, keytab, has->s);
}

/* The key's version or enctype is missing. */
static err_t bad_version(const struct mech_sight *s, const char *keytab, const char *want,
			 const struct text *has)
{
	const char *cure = s->kvno ? "import the key of that enctype, or take it from the "
				     "principal in the KDC"
			 : s->higher_kvno ? "the client's ticket is likely out of date: it needs "
					    "a new one"
			 : "the keytab is likely out of date: import the new key with "
			   "gssp11 keytab import";

	return err_set(KRB5KRB_AP_ERR_BADKEYVER, "the ticket is for %s and %s has %s; %s", want,
		       keytab, has->s, cure);
}

err_t mech_match_error(const struct mech_target *t, const struct mech_asked *w,
		       const struct mech_sight *s, const char *keytab,
		       const struct ks_entry *e, size_t n)
{
	struct text want, has;

	wanted(&want, w);
	if (!s->matching || !s->server)
		principals(&has, e, n);
	else
		keys_of(&has, w->server, e, n);
	if (!s->matching)
		return no_match(t, keytab, want.s, &has);
	if (s->barred || !s->server)
		return not_us(t, keytab, want.s, &has, s->barred);
	if (!s->kvno || !s->etype)
		return bad_version(s, keytab, want.s, &has);
	return err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "the ticket is for %s, which %s has, but that "
		       "key does not open it: the KDC has another key, or the ticket was altered",
		       want.s, keytab);
}

err_t mech_match_exact_error(const struct mech_target *t, const struct mech_asked *w, bool tried,
			     const char *keytab, const struct ks_entry *e, size_t n)
{
	struct mech_sight sight = { 0 };
	bool same = strcmp(t->exact, w->server) == 0;
	struct text want, has;
	size_t i;

	wanted(&want, w);
	keys_of(&has, t->exact, e, n);
	if (tried)
		return err_set(same ? KRB5KRB_AP_ERR_BAD_INTEGRITY : KRB5KRB_AP_ERR_NOT_US,
			       "the ticket is for %s and the key of %s on %s does not open it",
			       want.s, t->exact, keytab);
	for (i = 0; i < n; i++) {
		if ((e[i].use & KS_USE_ACCEPT) && e[i].etype == w->etype &&
		    strcmp(e[i].principal, t->exact) == 0)
			mech_sight_note(&sight, w, &e[i], true);
	}
	if (!sight.matching)
		return no_match(t, keytab, want.s, &has);
	return same ? bad_version(&sight, keytab, want.s, &has)
		    : not_us(t, keytab, want.s, &has, false);
}
