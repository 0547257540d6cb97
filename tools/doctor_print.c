/* The doctor's answer: tables for people, one JSON object for programs. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

static const char *const level_names[] = {
	[LEVEL_OK] = "ok", [LEVEL_INFO] = "info", [LEVEL_WARNING] = "warning",
	[LEVEL_PROBLEM] = "problem",
};

static const char *enctype(int32_t etype)
{
	static char buf[64];

	return etype_name(etype, buf, sizeof(buf));
}

static const char *user(void)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw ? pw->pw_name : "?";
}

static const char *verdict(const struct doctor *d)
{
	const enum level worst = doctor_worst(d);

	return worst == LEVEL_PROBLEM ? "impossible" : worst == LEVEL_WARNING ? "warnings" : "ok";
}

static const char *readable_verdict(const struct doctor *d)
{
	const struct ks_doc_readable *r = &d->readable;

	return r->long_term || r->session ? "yes" : r->unknown ? "unknown" : "no";
}

/* What a way was tried on. */
static const char *against(const struct ks_doc_way *w)
{
	return w->special ? "a key that may do this" : w->token_object ? "a token object" :
	       "a session object";
}

/* The cell of the plain matrix (fips < 0) or under a setting. */
static struct ks_doc_cell cell(const struct doctor *d, int fips, int32_t etype,
			       enum ks_doc_use use)
{
	return fips < 0 ? ks_doc_cell(d->caps, etype, use) :
	       ks_doc_fips_cell((size_t)fips, d->caps, etype, use);
}

/* ---- for people --------------------------------------------------------------------- */

static void print_token(const struct doctor *d)
{
	const struct ks_doc_token *i = &d->token;

	printf("As user %s (uid %lu).\n", user(), (unsigned long)geteuid());
	if (!d->tok)
		return;
	printf("Token \"%s\": %s", printable(i->label), printable(i->manufacturer));
	printf(" %s, serial %s", printable(i->model), printable(i->serial));
	printf(", firmware %s, slot %lu\n", i->firmware, i->slot);
	printf("Module %s; %zu secret keys on the token\n", printable(i->module), i->objects);
}

static void print_row(const struct doctor *d, int fips, int32_t etype)
{
	int use;

	printf("  %-27s", enctype(etype));
	for (use = 0; use < KS_DOC_USES; use++)
		printf(" %-11s", ks_doc_class_name(cell(d, fips, etype,
							(enum ks_doc_use)use).class));
	putchar('\n');
}

static void print_missing(const struct doctor *d, int32_t etype)
{
	const char *last = NULL;
	struct ks_doc_cell c;
	int use;

	for (use = 0; use < KS_DOC_USES; use++) {
		c = ks_doc_cell(d->caps, etype, (enum ks_doc_use)use);
		if (!c.missing || (last && strcmp(last, c.missing) == 0))
			continue;
		printf("  %s, %s: lacks %s\n", enctype(etype),
		       ks_doc_use_name((enum ks_doc_use)use), c.missing);
		last = c.missing;
	}
}

static void print_matrix(const struct doctor *d)
{
	int32_t etype;
	size_t i;
	int use;

	printf("\nWhat becomes of the keys here\n  %-27s", "");
	for (use = 0; use < KS_DOC_USES; use++)
		printf(" %-11s", ks_doc_use_name((enum ks_doc_use)use));
	putchar('\n');
	for (i = 0; (etype = ks_doc_etype(i)); i++)
		print_row(d, -1, etype);
	for (i = 0; (etype = ks_doc_etype(i)); i++)
		print_missing(d, etype);
}

static void print_fips(const struct doctor *d)
{
	const char *setting, *meaning;
	int32_t etype;
	size_t i, j;

	printf("\nWhat the settings of fips would mean here\n");
	for (i = 0; ks_doc_fips(i, &setting, &meaning); i++) {
		printf("  fips = %s: %s\n", setting, meaning);
		for (j = 0; i && (etype = ks_doc_etype(j)); j++)
			print_row(d, (int)i, etype);
	}
}

static void print_readable(const struct doctor *d)
{
	const struct ks_doc_readable *r = &d->readable;
	const struct ks_doc_way *w;
	size_t i;

	printf("\nCan a session read a key on this token?  %s\n",
	       !strcmp(readable_verdict(d), "yes") ? "YES" : readable_verdict(d));
	for (i = 0; i < r->n; i++) {
		w = &r->ways[i];
		printf("  %-3s %s, on %s (%s: %s)\n", !w->tried ? "-" : w->open ? "YES" : "no",
		       w->text, against(w), w->call, w->rv);
	}
}

static void print_findings(const struct doctor *d)
{
	size_t i;

	printf("\nChecks\n");
	for (i = 0; i < d->n; i++) {
		printf("  %-8s %s: %s\n", level_names[d->list[i].level], d->list[i].check,
		       printable(d->list[i].text ? d->list[i].text : ""));
		if (d->list[i].cure)
			printf("  %-8s   -> %s\n", "", printable(d->list[i].cure));
	}
}

void doctor_print(const struct doctor *d)
{
	print_token(d);
	if (d->has_caps) {
		print_matrix(d);
		print_fips(d);
	}
	if (d->has_readable)
		print_readable(d);
	print_findings(d);
	switch (doctor_worst(d)) {
	case LEVEL_PROBLEM:
		printf("\nThis cannot work as it is: see \"problem\" above.\n");
		break;
	case LEVEL_WARNING:
		printf("\nThis can work; read the warnings.\n");
		break;
	default:
		printf("\nAll is well.\n");
	}
}

/* ---- for programs ---------------------------------------------------------------------- */

static void json_pair(const char *before, const char *name, const char *value)
{
	printf("%s\"%s\": ", before, name);
	if (value)
		json_string(value);
	else
		fputs("null", stdout);
}

/* A use's name as JSON has it: "long_term". */
static const char *json_use(enum ks_doc_use use)
{
	static const char *const names[] = { "long_term", "ticket_key", "subkey", "messages",
					     "delegation" };

	return names[use];
}

static void json_rows(const struct doctor *d, int fips, const char *indent)
{
	struct ks_doc_cell c;
	int32_t etype;
	size_t i;
	int use;

	for (i = 0; (etype = ks_doc_etype(i)); i++) {
		printf("%s\n%s{\"etype\": %d", i ? "," : "", indent, (int)etype);
		json_pair(", ", "enctype", enctype(etype));
		for (use = 0; use < KS_DOC_USES; use++) {
			c = cell(d, fips, etype, (enum ks_doc_use)use);
			printf(",\n%s \"%s\": {", indent, json_use((enum ks_doc_use)use));
			json_pair("", "class", ks_doc_class_name(c.class));
			json_pair(", ", "missing", c.missing);
			putchar('}');
		}
		putchar('}');
	}
}

static void json_fips(const struct doctor *d)
{
	const char *setting, *meaning;
	size_t i;

	fputs(",\n  \"fips\": [", stdout);
	for (i = 0; d->has_caps && ks_doc_fips(i, &setting, &meaning); i++) {
		json_pair(i ? ",\n    {" : "\n    {", "setting", setting);
		json_pair(", ", "meaning", meaning);
		fputs(", \"enctypes\": [", stdout);
		json_rows(d, (int)i, "      ");
		fputs("]}", stdout);
	}
	fputs("]", stdout);
}

static void json_token(const struct doctor *d)
{
	const struct ks_doc_token *i = &d->token;

	if (!d->tok) {
		fputs(",\n  \"token\": null", stdout);
		return;
	}
	json_pair(",\n  \"token\": {", "label", i->label);
	json_pair(", ", "manufacturer", i->manufacturer);
	json_pair(", ", "model", i->model);
	json_pair(", ", "serial", i->serial);
	json_pair(", ", "firmware", i->firmware);
	json_pair(", ", "module", i->module);
	printf(",\n    \"slot\": %lu, \"sessions\": %ld, \"sessions_max\": %ld, "
	       "\"rw_sessions_max\": %ld, \"memory_free\": %ld, \"objects\": %zu}", i->slot,
	       i->sessions, i->sessions_max, i->rw_sessions_max, i->memory_free, i->objects);
}

static void json_readable(const struct doctor *d)
{
	const struct ks_doc_readable *r = &d->readable;
	const struct ks_doc_way *w;
	size_t i;

	if (!d->has_readable) {
		fputs(",\n  \"readable\": null", stdout);
		return;
	}
	json_pair(",\n  \"readable\": {", "verdict", readable_verdict(d));
	printf(", \"long_term\": %s, \"session\": %s, \"special\": %s, \"ways\": [",
	       r->long_term ? "true" : "false", r->session ? "true" : "false",
	       r->special ? "true" : "false");
	for (i = 0; i < r->n; i++) {
		w = &r->ways[i];
		json_pair(i ? ",\n    {" : "\n    {", "way", w->name);
		json_pair(", ", "against", w->special ? "special" : w->token_object ?
			  "token-object" : "session-object");
		printf(", \"tried\": %s, \"open\": %s", w->tried ? "true" : "false",
		       w->open ? "true" : "false");
		json_pair(", ", "call", w->call);
		json_pair(", ", "result", w->rv);
		putchar('}');
	}
	fputs("]}", stdout);
}

static void json_findings(const struct doctor *d)
{
	size_t i;

	fputs(",\n  \"checks\": [", stdout);
	for (i = 0; i < d->n; i++) {
		json_pair(i ? ",\n    {" : "\n    {", "check", d->list[i].check);
		json_pair(", ", "level", level_names[d->list[i].level]);
		json_pair(", ", "text", d->list[i].text);
		json_pair(", ", "cure", d->list[i].cure);
		putchar('}');
	}
	fputs("]\n}\n", stdout);
}

void doctor_json(const struct doctor *d)
{
	char uri[512] = "";

	/* Without the query, which names files. */
	if (d->tool->uri)
		snprintf(uri, sizeof(uri), "%.*s", (int)strcspn(d->tool->uri, "?"), d->tool->uri);
	printf("{\n  \"schema\": 1");
	json_pair(", ", "verdict", verdict(d));
	json_pair(", ", "user", user());
	printf(", \"uid\": %lu", (unsigned long)geteuid());
	json_pair(", ", "uri", d->tool->uri ? uri : NULL);
	json_token(d);
	fputs(",\n  \"enctypes\": [", stdout);
	if (d->has_caps)
		json_rows(d, -1, "    ");
	fputs("]", stdout);
	json_fips(d);
	json_readable(d);
	json_findings(d);
}
