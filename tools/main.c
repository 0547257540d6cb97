/* gssp11: the administrator's tool.  One table says which commands there are. */
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/tool.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "(built without a version)"
#endif

#define COMMON (OPT_TOKEN | OPT_OWNER | OPT_JSON | OPT_HELP)

static const struct command commands[] = {
	{ "keytab", "import", "FILE [PRINCIPAL...]",
	  "put the keys of a keytab file on a token",
	  "Each key becomes a bundle of derived keys that never leave the token; the\n"
	  "long-term key itself is not kept.  Only PRINCIPALs are imported if given, and\n"
	  "entries of enctypes other than AES are skipped.  Every entry is tried before\n"
	  "it counts.  An entry that is there already is left as it is.\n",
	  COMMON | OPT_DRY_RUN | OPT_USE | OPT_YES | OPT_REMOVE_FILE, 1, 1000, keytab_import },
	{ "keytab", "list", "",
	  "show the keytab on a token", NULL,
	  COMMON, 0, 0, keytab_list },
	{ "keytab", "delete", "PRINCIPAL",
	  "remove a principal's keys from a token",
	  "All kvnos and enctypes, unless --kvno or --enctype say which.\n",
	  COMMON | OPT_DRY_RUN | OPT_KVNO | OPT_ENCTYPE | OPT_YES, 1, 1, keytab_delete },
	{ "keytab", "sweep", "",
	  "remove what interrupted imports left on a token",
	  "Do not run it while another user or host imports to the same token.\n",
	  COMMON, 0, 0, keytab_sweep },
	{ "kinit", "", "[PRINCIPAL]",
	  "get initial tickets with a client keytab on a token, a card or a password",
	  "The first principal that the keytab has to initiate with, or whom the card's\n"
	  "certificate names, unless PRINCIPAL is given.  With neither keytab nor card it is\n"
	  "PRINCIPAL's password that is asked for.  Session keys go to the session token, or\n"
	  "else the keytab's, and the cache holds references to them.  The GSS-API module does\n"
	  "it: it must be registered.\n"
	  "With --renew the ticket that is in the cache is renewed instead: the one of PRINCIPAL,\n"
	  "or of --ccache, or the usual one.\n",
	  OPT_CCACHE | OPT_KEYTAB | OPT_IDENTITY | OPT_K | OPT_HELP | OPT_LIFE | OPT_RENEW_LIFE |
	  OPT_FORWARD | OPT_NO_FORWARD | OPT_PROXY | OPT_NO_PROXY | OPT_RENEW | OPT_VALIDATE,
	  0, 1, kinit },
	{ "adopt", "", "[CCACHE]",
	  "move the keys of a credential cache to a token",
	  "The cache then holds references in their place.  On failure it is as it was.\n",
	  COMMON | OPT_CCACHE | OPT_SESSION, 0, 1, adopt },
	{ "destroy", "", "[CCACHE]",
	  "remove a credential cache and its keys on a token", NULL,
	  COMMON | OPT_CCACHE | OPT_SESSION | OPT_MAYBE, 0, 1, destroy },
	{ "doctor", "", "[URI]",
	  "say whether a token, this host and this user can do the job",
	  "Tries what the token can do, and whether a session can read keys on it, with keys\n"
	  "made for that alone; nothing stays on the token.  Then the configuration, the PIN\n"
	  "file, the keytab, the clock and the KDC.  Without URI: the default keytab's token.\n"
	  "Exit status: 0 all is well, 3 there are warnings, 1 it cannot work.\n",
	  OPT_AS | OPT_JSON | OPT_HELP, 0, 1, doctor },
	{ "audit", "verify", "FILE...",
	  "find lines of the audit log that were removed, changed or moved",
	  "Rotated files first, in the order in which they were written.  Run it as the user and\n"
	  "on the host that wrote the log, or else a cut tail is not found.  Exit status: 0 all is\n"
	  "as it was written, 3 the same, but not all could be checked, 1 something is not.\n",
	  COMMON | OPT_MAYBE, 1, 1000, audit_verify },
	{ "audit", "sign", "",
	  "sign the audit log now, and keep its end on the token", NULL,
	  COMMON, 0, 0, audit_sign },
	{ "inventory", "", "[URI]",
	  "list every key on a token with what an auditor asks about it",
	  "Whether a session can read the keys is tried on others, made for that alone.\n",
	  COMMON | OPT_CSV | OPT_URI, 0, 1, inventory },
	{ "selftest", "", "[URI]",
	  "run a token's self-tests now",
	  "The known answers of the RFCs, through the token.  Services run them before they\n"
	  "first use it and keep the result; what fails is not used until it passes.\n",
	  COMMON | OPT_URI, 0, 1, selftest },
	{ "sweep", "", "",
	  "remove keys that nobody will use any more",
	  "Those of exported security contexts that nobody imported: they stay for a day,\n"
	  "unless --older-than says otherwise.  And those of tickets that have expired.\n",
	  COMMON | OPT_DRY_RUN | OPT_OLDER_THAN, 0, 0, sweep },
	{ NULL }
};

/* "keytab import", or "sweep" alone. */
static const char *command_name(const struct command *c)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s%s%s", c->group, c->name[0] ? " " : "", c->name);
	return name;
}

static void help_all(FILE *f)
{
	const struct command *c;

	fprintf(f, "Usage: gssp11 COMMAND [OPTION...] [ARGUMENT...]\n\n"
		"Keeps Kerberos keys on PKCS#11 tokens.\n\nCommands:\n");
	for (c = commands; c->group; c++)
		fprintf(f, "  %-15s %s\n", command_name(c), c->about);
	fprintf(f, "\n\"gssp11 COMMAND --help\" says more about each, gssp11(1) everything.\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 done, with warnings.\n");
}

static void help_one(const struct command *c)
{
	printf("Usage: gssp11 %s [OPTION...]%s%s\n\n%c%s.\n", command_name(c),
	       c->args[0] ? " " : "", c->args, c->about[0] - 'a' + 'A', c->about + 1);
	if (c->notes)
		printf("%s", c->notes);
	printf("\nOptions:\n");
	options_help(c->options);
}

static const struct command *find(const char *group, const char *name)
{
	const struct command *c;

	for (c = commands; c->group; c++) {
		if (strcmp(c->group, group) == 0 &&
		    (!c->name[0] || (name && strcmp(c->name, name) == 0)))
			return c;
	}
	return NULL;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 || strcmp(arg, "help") == 0;
}

static int wrong_command(int argc, char **argv)
{
	if (argc < 2)
		say("a command is missing");
	else if (argc < 3 || argv[2][0] == '-')
		say("\"%s\" is not a command, or not all of one", printable(argv[1]));
	else
		say("\"%s %s\" is not a command", printable(argv[1]), printable(argv[2]));
	help_all(stderr);
	return TOOL_USAGE;
}

static int check_count(const struct tool *t)
{
	const struct command *c = t->cmd;

	if (t->o.n_args >= c->min_args && t->o.n_args <= c->max_args)
		return TOOL_OK;
	if (t->o.n_args < c->min_args)
		say("%s is missing: gssp11 %s %s", c->args, command_name(c), c->args);
	else
		say("too many arguments, from \"%s\" on", printable(t->o.args[c->max_args]));
	return TOOL_USAGE;
}

static int run(struct tool *t, int argc, char **argv)
{
	int status = options_parse(t, argc, argv);

	if (status == TOOL_OK && (t->o.given & OPT_HELP)) {
		help_one(t->cmd);
		return TOOL_OK;
	}
	if (status == TOOL_OK)
		status = check_count(t);
	if (status == TOOL_OK)
		status = tool_init(t);
	if (status == TOOL_OK)
		status = t->cmd->run(t);
	tool_fini(t);
	if (status == TOOL_USAGE)
		fprintf(stderr, "Try \"gssp11 %s --help\".\n", command_name(t->cmd));
	return status;
}

/* A full disk or a closed pipe must not look like success. */
static int flush(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	say("stdout cannot be written to");
	return status ? status : TOOL_FAILED;
}

/*
 * A descriptor that was closed would become a token's file, and our words go
 * into it.  What is opened here takes no words, so that flush() notices.
 */
static bool fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
	return fd > 2;
}

int main(int argc, char **argv)
{
	struct tool t = { 0 };
	int words;

	if (!fill_standard_fds())
		return TOOL_FAILED;
	setlocale(LC_TIME, "");
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("gssp11 (gss-pkcs11) %s\n", PACKAGE_VERSION);
		return flush(TOOL_OK);
	}
	if (argc > 1 && (is_help(argv[1]) || (argc > 2 && is_help(argv[2]) && !find(argv[1], NULL)))) {
		help_all(stdout);
		return flush(TOOL_OK);
	}
	t.cmd = argc > 1 ? find(argv[1], argc > 2 ? argv[2] : NULL) : NULL;
	if (!t.cmd)
		return wrong_command(argc, argv);
	words = t.cmd->name[0] ? 2 : 1;
	return flush(run(&t, argc - words, argv + words));
}
