/* The token: PIN file, login, state, and the keytab on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

enum { FEW_SESSIONS = 16 };

/* The file that a URI's pin-source names, unescaped; cut to size. */
static void pin_path(const char *uri, char *out, size_t size)
{
	const char *s = strstr(uri, "pin-source=");
	size_t n = 0;
	unsigned c;

	s = s ? s + strlen("pin-source=") : "";
	if (strncmp(s, "file:", 5) == 0)
		s += 5;
	for (; *s && *s != '&' && n + 1 < size; s++) {
		if (*s == '%' && sscanf(s + 1, "%2x", &c) == 1 && s[1] && s[2]) {
			out[n++] = (char)c;
			s += 2;
		} else {
			out[n++] = *s;
		}
	}
	out[n] = '\0';
}

static void bad_pin_file(struct doctor *d, bool file, err_t err)
{
	char path[512], cure[1024];

	pin_path(d->tool->uri, path, sizeof(path));
	snprintf(cure, sizeof(cure), file ? "write the PIN into %s: a regular file of mode 0600 that "
		 "belongs to the service's user; \"gssp11 doctor --as USER\" looks as that user" :
		 "write the PIN into a file of mode 0600 that belongs to the service's user, and name "
		 "it in the URI: ?pin-source=file:/path", path);
	finding_cured(d, LEVEL_PROBLEM, "pin-file", cure, "the PIN", err);
}

static void check_pin_file(struct doctor *d)
{
	bool file;
	err_t err = ks_doc_pin_file(d->tool->uri, &file);

	if (err == ERR_URI)
		finding_cured(d, LEVEL_PROBLEM, "uri", "write it as pkcs11:token=LABEL?pin-source="
			      "file:/path", "the URI", err);
	else if (err)
		bad_pin_file(d, file, err);
	else if (file)
		finding(d, LEVEL_OK, "pin-file", NULL, "the PIN file is there, and nobody else has "
			"it");
	else
		finding(d, LEVEL_WARNING, "pin-file", "write the PIN into a file of mode 0600 and add "
			"?pin-source=file:/path to the URI", "the URI names no PIN file: a service, "
			"which has no terminal, cannot log in");
}

static void check_pin(struct doctor *d)
{
	const struct ks_doc_token *i = &d->token;

	if (i->login_required && !i->pin_initialized)
		finding(d, LEVEL_PROBLEM, "pin", "set the user PIN with the token's own tool",
			"the token has no user PIN yet");
	else if (i->pin_locked)
		finding(d, LEVEL_PROBLEM, "pin", "have the security officer unlock it",
			"the PIN is locked");
	else if (i->pin_final_try || i->pin_count_low)
		finding(d, LEVEL_WARNING, "pin", "find out which program has the wrong PIN: a few "
			"more lock the token", "a wrong PIN was tried before the last login%s",
			i->pin_final_try ? ", and one try was left" : "");
	else if (i->pin_to_be_changed)
		finding(d, LEVEL_WARNING, "pin", "change the PIN with the token's own tool, then the "
			"PIN file", "the token wants its PIN changed");
	else
		finding(d, LEVEL_OK, "pin", NULL, "%s", i->login_required ?
			"the PIN is right, and no wrong one was tried before" :
			"the token needs no login");
}

static void check_limits(struct doctor *d)
{
	const struct ks_doc_token *i = &d->token;

	if (i->sessions_max > 0 && i->sessions_max < FEW_SESSIONS)
		finding(d, LEVEL_WARNING, "sessions", "raise the limit, or run fewer processes and "
			"threads", "the token has %ld sessions for all: each process takes one, and "
			"one more for each thread that works at once", i->sessions_max);
	else if (i->sessions_max > 0)
		finding(d, LEVEL_OK, "sessions", NULL, "%ld sessions at most", i->sessions_max);
	else
		finding(d, LEVEL_OK, "sessions", NULL, "no limit of sessions is told");
	if (i->write_protected)
		finding(d, LEVEL_WARNING, "writable", "have write protection lifted for imports",
			"the token is write-protected: nothing can be imported");
	if (i->memory_free == 0)
		finding(d, LEVEL_WARNING, "memory", "destroy objects that nobody needs",
			"the token has no memory left for private objects");
	if (!i->state_dir[0])
		finding(d, LEVEL_WARNING, "state-dir", "set state_dir in krb5.conf section "
			"[appdefaults] gssp11 to a directory that is this user's alone (mode 0700)",
			"uid %lu has no state directory: nothing can be imported or exported, and "
			"probes are run again by each process", (unsigned long)geteuid());
	else
		finding(d, LEVEL_OK, "state-dir", NULL, "the state directory is %s", i->state_dir);
}

static void check_import(struct doctor *d)
{
	const char *way = ks_token_import_way(d->tok);

	if (way)
		finding(d, LEVEL_OK, "import", NULL, "keys get onto the token by %s", way);
	else
		finding(d, LEVEL_PROBLEM, "import", "use another token",
			"no way was found to bring keys onto the token");
}

/* The setting fips of the entry's service and realm; off where that cannot be read. */
static enum ks_conf_fips fips_of(krb5_context ctx, const struct ks_entry *e)
{
	enum ks_conf_fips fips = KS_FIPS_OFF;
	krb5_principal princ = NULL;
	struct ks_conf conf;
	char *service;

	if (krb5_parse_name(ctx, e->principal, &princ))
		return fips;
	service = princ->length ? strndup(princ->data[0].data, princ->data[0].length) : strdup("");
	if (service && !ks_conf_read_service(ctx, princ->realm.data, service, &conf)) {
		fips = conf.fips;
		ks_conf_fini(&conf);
	}
	free(service);
	krb5_free_principal(ctx, princ);
	return fips;
}

/* Whether the principal has another entry that the setting lets in. */
static bool has_better(const struct ks_entry *all, size_t n, const char *principal,
		       enum ks_conf_fips fips)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(all[i].principal, principal) == 0 && ks_fips_allows(fips, all[i].etype))
			return true;
	}
	return false;
}

static const char fips_cure[] = "on the KDC, have keys made that the setting takes (kadmin: ktadd -k "
	"FILE -e aes256-sha2:normal PRINCIPAL), and import FILE again";

/* Does the setting fips refuse all that a principal has? */
static void check_fips(struct doctor *d, const struct ks_entry *all, size_t n)
{
	const struct ks_entry *first = NULL;
	enum ks_conf_fips fips, which = KS_FIPS_OFF;
	size_t i, refused = 0, old = 0;

	for (i = 0; i < n; i++) {
		fips = fips_of(d->tool->ctx, &all[i]);
		old += fips == KS_FIPS_TRANSITIONAL &&
		       !ks_fips_allows(KS_FIPS_STRICT_MECHANISMS, all[i].etype);
		if (has_better(all, n, all[i].principal, fips))
			continue;
		refused++;
		if (!first) {
			first = &all[i];
			which = fips;
		}
	}
	if (first)
		finding(d, refused == n ? LEVEL_PROBLEM : LEVEL_WARNING, "keytab-fips", fips_cure,
			"fips = %s refuses %zu of %zu entries of the keytab, and all of %s",
			ks_fips_word(which), refused, n, first->principal);
	else if (n && old == n)
		finding(d, LEVEL_INFO, "keytab-fips", fips_cure, "fips = transitional, and the keytab "
			"has no key whose key derivation is approved");
}

static void check_keytab(struct doctor *d)
{
	struct ks_keytab *kt = NULL;
	struct ks_entry *all = NULL;
	size_t n = 0, i, bad = 0;
	struct ks_key *key;
	err_t err;

	err = ks_keytab_open(&d->tool->conf, d->tool->uri, false, &kt);
	if (!err)
		err = ks_keytab_entries(kt, &all, &n);
	for (i = 0; !err && i < n; i++) {
		bad += ks_keytab_key(kt, &all[i], &key) != 0;
		ks_key_unref(&key);
	}
	if (err)
		finding_err(d, LEVEL_PROBLEM, "keytab", "the keytab on the token", err);
	else if (bad)
		finding(d, LEVEL_PROBLEM, "keytab", "see \"gssp11 keytab list\"; delete and import "
			"them again", "%zu of %zu entries of the keytab cannot be used", bad, n);
	else if (!n)
		finding(d, LEVEL_INFO, "keytab", "gssp11 keytab import", "the keytab on the token is "
			"empty");
	else
		finding(d, LEVEL_OK, "keytab", NULL, "the keytab has %zu entries", n);
	if (!err)
		check_fips(d, all, n);
	ks_entries_free(&all, n);
	ks_keytab_unref(&kt);
}

static void check_session_token(struct doctor *d)
{
	struct tok *other = NULL;
	err_t err;

	if (!d->tool->conf.session_token)
		return;
	err = ks_conf_session_token(&d->tool->conf, &other);
	if (err)
		finding_err(d, LEVEL_PROBLEM, "session-token", "the session token", err);
	else
		finding(d, LEVEL_INFO, "session-token", other == d->tok ? NULL : "ask the doctor about "
			"that token too: session keys are there",
			"session keys go to token \"%s\"", ks_token_label(other));
	ks_token_unref(&other);
}

void doctor_token(struct doctor *d)
{
	const size_t before = d->n;
	err_t err;

	check_pin_file(d);
	/* With a PIN that is refused no token is bothered. */
	if (d->n > before && d->list[d->n - 1].level == LEVEL_PROBLEM)
		return;
	prompt_register();
	err = ks_conf_open_token(&d->tool->conf, d->tool->uri, false, &d->tok);
	if (!err)
		err = ks_doc_token(d->tok, &d->token);
	if (err) {
		finding_err(d, LEVEL_PROBLEM, err == ERR_PIN_WRONG || err == ERR_PIN_LOCKED ||
			    err == ERR_PIN_MISSING ? "pin" : "token", "the token", err);
		ks_token_unref(&d->tok);
		return;
	}
	check_pin(d);
	check_limits(d);
	check_import(d);
	check_keytab(d);
	check_session_token(d);
}
