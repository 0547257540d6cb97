/* gssp11 keytab import */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keystore/ktfile.h"
#include "keystore/ref.h"
#include "tools/tool.h"

struct plan {
	struct tool *t;
	struct ks_ktfile *file;
	bool *wanted;            /* by entry: selected, and of an enctype that the module does */
	size_t n, usable, other, left_out;   /* entries; of other enctypes; not selected */
	size_t written;          /* onto the token, by this run */
};

/* ---- what to import ---- */

/* The names on the command line as unparsed principals; NULL-terminated, or NULL. */
static char **parse_names(struct tool *t, char **args, int n)
{
	char **names = calloc((size_t)n + 1, sizeof(*names));
	krb5_principal princ;
	krb5_error_code code = 0;
	int i;

	for (i = 0; names && i < n && !code; i++) {
		code = krb5_parse_name(t->ctx, args[i], &princ);
		if (code)
			break;
		code = krb5_unparse_name(t->ctx, princ, &names[i]);
		krb5_free_principal(t->ctx, princ);
	}
	if (!code)
		return names;
	fail(t, code, "\"%.200s\" is not a principal", args[i]);
	return NULL;    /* the process ends soon */
}

static bool is_in(const char *name, char *const *names, bool *hit)
{
	size_t i;
	bool found = false;

	for (i = 0; names[i]; i++) {
		if (strcmp(names[i], name) == 0)
			hit[i] = found = true;
	}
	return found;
}

/* Every PRINCIPAL must have an entry: a misspelt one is not passed over. */
static int select_names(struct plan *p, char *const *names, int n)
{
	bool *hit = calloc((size_t)n + 1, sizeof(*hit));
	int missing = 0;
	size_t i;
	int k;

	for (i = 0; hit && i < p->n; i++)
		p->wanted[i] = !n || is_in(ks_ktfile_entry(p->file, i)->principal, names, hit);
	for (k = 0; hit && k < n; k++) {
		if (hit[k])
			continue;
		say("%s has no entry for %s (\"klist -k\" shows what it has)",
		    ks_ktfile_path(p->file), printable(names[k]));
		missing++;
	}
	free(hit);
	return missing ? TOOL_FAILED : TOOL_OK;
}

/* The setting fips of the entry's service and realm; off where that cannot be read. */
static enum ks_conf_fips fips_of(struct tool *t, const struct ks_entry *e)
{
	enum ks_conf_fips fips = KS_FIPS_OFF;
	krb5_principal princ = NULL;
	struct ks_conf conf;
	const char *service;

	if (krb5_parse_name(t->ctx, e->principal, &princ))
		return fips;
	service = princ->length > 0 ? princ->data[0].data : NULL;
	if (!ks_conf_read_service(t->ctx, princ->realm.data, service, &conf)) {
		fips = conf.fips;
		ks_conf_fini(&conf);
	}
	krb5_free_principal(t->ctx, princ);
	return fips;
}

/* Why an entry cannot be used, or NULL. */
static const char *unusable(struct tool *t, const struct ks_entry *e)
{
	static char text[80];
	const enum ks_conf_fips fips = fips_of(t, e);

	if (!ks_etype_find(e->etype))
		return "not an AES encryption type";
	if (ks_fips_allows(fips, e->etype))
		return NULL;
	snprintf(text, sizeof(text), "fips = %s refuses this encryption type", ks_fips_word(fips));
	return text;
}

/* Entries of other enctypes are named, so that nobody looks for them later. */
static void skip_others(struct plan *p)
{
	const struct ks_entry *e;
	const char *why;
	size_t i;

	for (i = 0; i < p->n; i++) {
		e = ks_ktfile_entry(p->file, i);
		if (!p->wanted[i]) {
			p->left_out++;
			continue;
		}
		why = unusable(p->t, e);
		p->wanted[i] = !why;
		p->usable += !why;
		p->other += why != NULL;
		if (why)
			report(p->t, "skipped", e, why);
	}
}

static int make_plan(struct plan *p)
{
	struct tool *t = p->t;
	char **names;
	err_t err;
	int status;

	err = ks_ktfile_read(t->ctx, t->o.args[0], &p->file);
	if (err)
		return fail(t, err, "nothing imported");
	p->n = ks_ktfile_count(p->file);
	p->wanted = calloc(p->n + 1, sizeof(*p->wanted));
	names = parse_names(t, t->o.args + 1, t->o.n_args - 1);
	if (!p->wanted || !names)
		return TOOL_FAILED;
	status = select_names(p, names, t->o.n_args - 1);
	for (char **s = names; *s; s++)
		krb5_free_unparsed_name(t->ctx, *s);
	free(names);
	if (status != TOOL_OK)
		return status;
	skip_others(p);
	if (p->usable)
		return TOOL_OK;
	say("%s has no entry that can be imported: it needs keys of an AES encryption type "
	    "(17, 18, 19, 20); on the KDC, \"ktadd -e aes256-cts:normal\" writes one, and where "
	    "fips is strict \"ktadd -e aes256-sha2:normal\"",
	    ks_ktfile_path(p->file));
	return TOOL_FAILED;
}

/* ---- doing it ---- */

static int import_one(struct plan *p, size_t i)
{
	const struct ks_entry *e = ks_ktfile_entry(p->file, i);
	err_t err = ks_ktfile_import(p->file, i, p->t->kt, p->t->o.use);

	if (err != EEXIST && audit_entry(p->t, "import", e, err) != TOOL_OK)
		return TOOL_FAILED;
	p->written += !err;
	if (!err) {
		report(p->t, "imported", e, NULL);
		return TOOL_OK;
	}
	if (err == EEXIST) {
		report(p->t, "present", e, "on the token already, with this key");
		return TOOL_OK;
	}
	if (err == ENOTUNIQ)
		report(p->t, "refused", e, err_text(err));
	else
		report(p->t, "failed", e, NULL);
	return fail(p->t, err, "%s kvno %u not imported", printable(e->principal),
		    (unsigned)e->kvno);
}

static int would_import(struct plan *p)
{
	const struct ks_entry *e;
	struct ks_entry there, *snap;
	size_t i;
	err_t err;

	for (i = 0; i < p->n; i++) {
		if (!p->wanted[i])
			continue;
		e = ks_ktfile_entry(p->file, i);
		err = ks_keytab_find(p->t->kt, e->principal, e->kvno, e->etype, &there, &snap);
		ks_entries_free(&snap, 0);
		if (err && err != ERR_KEY_ABSENT)
			return fail(p->t, err, "reading the token");
		report(p->t, err ? "would import" : "present", e,
		       err ? NULL : "on the token already; the keys were not compared");
	}
	return TOOL_OK;
}

/* Remains of an interrupted import are in nobody's way, so failing to sweep is not fatal. */
static void sweep_first(struct tool *t)
{
	size_t gone;
	err_t err = ks_keytab_sweep(t->kt, &gone);

	if (err)
		fail(t, err, "cleaning up after interrupted imports");
	else if (gone)
		say("removed %zu objects that an interrupted import had left", gone);
}

/* Services may not be able to make it later.  Accepting works without, so failing is not fatal. */
static void ready_to_export(struct tool *t)
{
	err_t err = ks_ref_ready(ks_keytab_token(t->kt));

	if (err)
		fail(t, err, "exported credentials and contexts of this token will not work");
}

/* Which octets went which way is the auditor's question. */
static void say_way(struct tool *t)
{
	const char *way = ks_token_import_way(ks_keytab_token(t->kt));

	if (way)
		say("the keys went onto the token by %s", way);
}

static int import_all(struct plan *p)
{
	int status = tool_open(p->t, !(p->t->o.given & OPT_DRY_RUN));
	size_t i;

	if (status != TOOL_OK)
		return status;
	if (p->t->o.given & OPT_DRY_RUN)
		return would_import(p);
	sweep_first(p->t);
	ready_to_export(p->t);
	for (i = 0; i < p->n; i++) {
		if (p->wanted[i] && import_one(p, i) != TOOL_OK)
			status = TOOL_FAILED;
	}
	if (p->written)
		say_way(p->t);
	return status;
}

/*
 * As --owner in a child, so that this process can still remove FILE, which
 * USER need not be able to do.
 */
static int import_as_owner(struct plan *p)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return fail(p->t, errno, "starting a process for --owner");
	if (pid == 0) {
		status = import_all(p);
		ks_ktfile_free(&p->file);
		if (p->t->o.given & OPT_JSON)
			json_end(p->t);
		status = fflush(stdout) ? TOOL_FAILED : status;
		_exit(status);
	}
	ks_ktfile_wipe(p->file);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : TOOL_FAILED;
}

/* ---- afterwards ---- */

/* The file still holds keys that are nowhere else. */
static bool keeps_more(const struct plan *p)
{
	return p->left_out || p->other;
}

static int remove_file(const struct plan *p)
{
	err_t err = ks_ktfile_remove(p->file);

	if (err)
		return fail(p->t, err, "the keys are on the token, but the file is still there");
	say("%s was overwritten and removed; copies in backups and snapshots are not",
	    ks_ktfile_path(p->file));
	return TOOL_OK;
}

static int finish(const struct plan *p)
{
	const unsigned given = p->t->o.given;
	const char *path = ks_ktfile_path(p->file);
	char question[512];

	if ((given & OPT_REMOVE_FILE) && keeps_more(p) && !(given & OPT_YES)) {
		say("%s is not removed: %zu of its entries are not on the token (--yes removes it "
		    "all the same)", path, p->left_out + p->other);
		return TOOL_FAILED;
	}
	if (given & OPT_REMOVE_FILE)
		return remove_file(p);
	snprintf(question, sizeof(question), "The keys are on the token. Overwrite and remove "
		 "%.300s?", printable(path));
	if (!(given & (OPT_YES | OPT_JSON)) && !keeps_more(p) && isatty(0) &&
	    prompt_yes(question))
		return remove_file(p);
	say("%s still holds the keys in clear: remove it (shred -u, or --remove-file) once the "
	    "services use the token", path);
	return TOOL_OK;
}

static int run_plan(struct plan *p)
{
	struct tool *t = p->t;
	bool child_ends = false;
	int status;

	status = make_plan(p);
	if (status == TOOL_OK && t->o.owner) {
		child_ends = true;
		status = import_as_owner(p);
	} else if (status == TOOL_OK) {
		status = import_all(p);
	}
	if ((t->o.given & OPT_JSON) && !child_ends)
		json_end(t);
	if (status == TOOL_OK && !(t->o.given & OPT_DRY_RUN))
		status = finish(p);
	return status;
}

int keytab_import(struct tool *t)
{
	struct plan p = { .t = t };
	int status = run_plan(&p);

	ks_ktfile_free(&p.file);
	free(p.wanted);
	return status;
}
