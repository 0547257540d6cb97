/* The options of all commands, as one table. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

struct option_row {
	const char *name, *arg;
	char letter;             /* 0: none */
	unsigned bit;
	const char *about;
};

static const struct option_row rows[] = {
	{ "token", "URI", 0, OPT_TOKEN, "the token (default: see gssp11(1))" },
	{ "use", "accept|initiate|both", 0, OPT_USE, "what the keys are for (default: accept)" },
	{ "kvno", "N", 0, OPT_KVNO, "only this key version" },
	{ "enctype", "E", 0, OPT_ENCTYPE, "only this encryption type" },
	{ "owner", "USER", 0, OPT_OWNER, "work on the token as USER (needs root)" },
	{ "as", "USER", 0, OPT_AS, "look as USER does (needs root)" },
	{ "older-than", "SECONDS", 0, OPT_OLDER_THAN, "only what is that old (default: 86400)" },
	{ "ccache", "NAME", 'c', OPT_CCACHE, "the credential cache (default: the usual one)" },
	{ "keytab", "URI", 't', OPT_KEYTAB, "the client keytab (default: the usual one)" },
	{ "identity", "URI", 'X', OPT_IDENTITY, "a certificate on a card: pkcs11:token=LABEL;id=%01" },
	{ "use-keytab", NULL, 'k', OPT_K, "with a client keytab, and nothing else" },
	{ "lifetime", "TIME", 'l', OPT_LIFE, "of the tickets, such as 8h" },
	{ "renewable-life", "TIME", 'r', OPT_RENEW_LIFE, "how long they can be renewed, such as 7d" },
	{ "forwardable", NULL, 'f', OPT_FORWARD, "tickets that may be forwarded" },
	{ "not-forwardable", NULL, 'F', OPT_NO_FORWARD, "tickets that may not" },
	{ "proxiable", NULL, 'p', OPT_PROXY, "proxiable tickets" },
	{ "not-proxiable", NULL, 'P', OPT_NO_PROXY, "tickets that are not" },
	{ "renew", NULL, 'R', OPT_RENEW, "renew the ticket in the cache" },
	{ "validate", NULL, 'v', OPT_VALIDATE, "validate the postdated ticket in the cache" },
	{ "remove-file", NULL, 0, OPT_REMOVE_FILE, "overwrite and remove FILE afterwards" },
	{ "dry-run", NULL, 0, OPT_DRY_RUN, "only say what would be done" },
	{ "yes", NULL, 0, OPT_YES, "do not ask" },
	{ "json", NULL, 0, OPT_JSON, "print JSON" },
	{ "csv", NULL, 0, OPT_CSV, "print CSV" },
	{ "help", NULL, 'h', OPT_HELP, "this text" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void options_help(unsigned options)
{
	char head[64];
	size_t i;

	for (i = 0; i < N_ROWS; i++) {
		if (!(rows[i].bit & options))
			continue;
		snprintf(head, sizeof(head), "%c%c%s--%s%s%s", rows[i].letter ? '-' : ' ',
			 rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? ", " : "  ",
			 rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		printf("  %-28s %s\n", head, rows[i].about);
	}
}

static int parse_use(struct options *o, const char *arg)
{
	static const char *const names[] = { NULL, "accept", "initiate", "both" };
	unsigned i;

	for (i = KS_USE_ACCEPT; i <= (KS_USE_ACCEPT | KS_USE_INITIATE); i++) {
		if (strcmp(arg, names[i]) == 0) {
			o->use = i;
			return TOOL_OK;
		}
	}
	say("--use %s: write accept, initiate or both", printable(arg));
	return TOOL_USAGE;
}

static int parse_kvno(struct options *o, const char *arg)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(arg, &end, 10);
	if (arg[0] < '0' || arg[0] > '9' || *end || errno || v > UINT32_MAX) {
		say("--kvno %s: write a number from 0 to 4294967295", printable(arg));
		return TOOL_USAGE;
	}
	o->kvno = (uint32_t)v;
	return TOOL_OK;
}

static int parse_enctype(struct options *o, const char *arg)
{
	char *name = strdup(arg);
	krb5_error_code err = name ? krb5_string_to_enctype(name, &o->etype) : ENOMEM;

	free(name);
	if (!err)
		return TOOL_OK;
	say("--enctype %s: no such encryption type; write its name as \"klist -e\" does, "
	    "such as aes256-cts-hmac-sha1-96", printable(arg));
	return TOOL_USAGE;
}

static int parse_age(struct options *o, const char *arg)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(arg, &end, 10);
	if (arg[0] < '0' || arg[0] > '9' || *end || errno || v > INT32_MAX) {
		say("--older-than %s: write a number of seconds from 0 to 2147483647",
		    printable(arg));
		return TOOL_USAGE;
	}
	o->older_than = (int64_t)v;
	return TOOL_OK;
}

/* As libkrb5 reads it. */
static int parse_time(const struct option_row *row, const char *arg, const char **out)
{
	char *copy = strdup(arg);
	krb5_deltat t = 0;
	bool good = copy && !krb5_string_to_deltat(copy, &t) && t > 0;

	free(copy);
	*out = arg;
	if (good)
		return TOOL_OK;
	say("--%s %s: write a time such as 90m, 10h or 7d", row->name, printable(arg));
	return TOOL_USAGE;
}

static int take(struct options *o, const struct option_row *row, const char *arg)
{
	if (o->given & row->bit & (OPT_TOKEN | OPT_USE | OPT_KVNO | OPT_ENCTYPE | OPT_OWNER |
				   OPT_OLDER_THAN | OPT_CCACHE | OPT_KEYTAB | OPT_AS | OPT_IDENTITY |
				   OPT_LIFE | OPT_RENEW_LIFE)) {
		say("--%s is given twice", row->name);
		return TOOL_USAGE;
	}
	o->given |= row->bit;
	switch (row->bit) {
	case OPT_TOKEN:
		o->token = arg;
		return TOOL_OK;
	case OPT_OWNER:
		o->owner = arg;
		return TOOL_OK;
	case OPT_AS:
		o->as = arg;
		return TOOL_OK;
	case OPT_CCACHE:
		o->ccache = arg;
		return TOOL_OK;
	case OPT_IDENTITY:
		o->identity = arg;
		return TOOL_OK;
	case OPT_KEYTAB:
		o->keytab = arg;
		return TOOL_OK;
	case OPT_USE:
		return parse_use(o, arg);
	case OPT_KVNO:
		return parse_kvno(o, arg);
	case OPT_ENCTYPE:
		return parse_enctype(o, arg);
	case OPT_OLDER_THAN:
		return parse_age(o, arg);
	case OPT_LIFE:
		return parse_time(row, arg, &o->life);
	case OPT_RENEW_LIFE:
		return parse_time(row, arg, &o->renew_life);
	default:
		return TOOL_OK;
	}
}

/* getopt's two lists of what this command takes. */
static void accepted(unsigned options, struct option longs[N_ROWS + 1], char letters[2 * N_ROWS + 2])
{
	size_t i, n = 0;
	char *p = letters;

	*p++ = ':';
	for (i = 0; i < N_ROWS; i++) {
		if (!(rows[i].bit & options))
			continue;
		longs[n++] = (struct option){ rows[i].name, rows[i].arg ? required_argument
							: no_argument, NULL, (int)i + 256 };
		if (rows[i].letter)
			*p++ = rows[i].letter;
		if (rows[i].letter && rows[i].arg)
			*p++ = ':';
	}
	*p = '\0';
}

/* The row of what getopt_long gave, or NULL. */
static const struct option_row *row_of(int c)
{
	size_t i;

	if (c >= 256)
		return &rows[c - 256];
	for (i = 0; i < N_ROWS; i++) {
		if (rows[i].letter && rows[i].letter == c)
			return &rows[i];
	}
	return NULL;
}

int options_parse(struct tool *t, int argc, char **argv)
{
	struct option longs[N_ROWS + 1] = { { 0 } };
	const struct option_row *row;
	char letters[2 * N_ROWS + 2];
	int c, status = TOOL_OK;

	accepted(t->cmd->options, longs, letters);
	t->o.use = KS_USE_ACCEPT;
	opterr = 0;
	while (status == TOOL_OK && (c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		row = row_of(c);
		if (row) {
			status = take(&t->o, row, optarg);
		} else {
			say(c == ':' ? "%s needs a value" : "%s is not an option of this command",
			    printable(argv[optind - 1]));
			status = TOOL_USAGE;
		}
	}
	t->o.args = argv + optind;
	t->o.n_args = argc - optind;
	return status;
}
