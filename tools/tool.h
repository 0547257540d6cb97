/*
 * gssp11: what its subcommands share.
 *
 * Results go to stdout, everything else to stderr.  Exit codes: 0 done, 1
 * failed, 2 wrong usage.
 */
#ifndef GSSP11_TOOL_H
#define GSSP11_TOOL_H

#include <krb5.h>
#include <stdbool.h>
#include <stdint.h>

#include "keystore/conf.h"
#include "keystore/keytab.h"
#include "pkcs11/err.h"

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

/* What a command accepts, and what was given. */
enum {
	OPT_TOKEN = 1, OPT_DRY_RUN = 2, OPT_JSON = 4, OPT_USE = 8, OPT_OWNER = 16,
	OPT_YES = 32, OPT_REMOVE_FILE = 64, OPT_KVNO = 128, OPT_ENCTYPE = 256,
	OPT_HELP = 512, OPT_VERSION = 1024, OPT_OLDER_THAN = 2048, OPT_CCACHE = 4096,
	OPT_KEYTAB = 8192, OPT_K = 16384,
	OPT_LIFE = 1 << 21, OPT_RENEW_LIFE = 1 << 22, OPT_FORWARD = 1 << 23,
	OPT_NO_FORWARD = 1 << 24, OPT_PROXY = 1 << 25, OPT_NO_PROXY = 1 << 26,
	OPT_RENEW = 1 << 27, OPT_VALIDATE = 1 << 28,
	OPT_IDENTITY = 524288,
	OPT_AS = 65536, OPT_CSV = 131072,
	OPT_URI = 262144,        /* no option: the first argument is the token */
	OPT_MAYBE = 1048576,     /* no option: there may be no token */
	OPT_SESSION = 32768      /* no option: session_token comes before the default keytab */
};

struct options {
	unsigned given;          /* OPT_ bits */
	const char *token, *owner, *as, *ccache, *keytab, *identity, *life, *renew_life;
	unsigned use;            /* KS_USE_ bits */
	uint32_t kvno;
	krb5_enctype etype;
	int64_t older_than;      /* seconds */
	char **args;             /* what is no option */
	int n_args;
};

struct tool;

struct command {
	const char *group, *name; /* two words, or one and "" */
	const char *args;        /* for the usage line */
	const char *about;       /* one line */
	const char *notes;       /* further lines of --help; NULL: none */
	unsigned options;        /* OPT_ bits that it takes */
	int min_args, max_args;
	int (*run)(struct tool *t);
};

struct tool {
	const struct command *cmd;
	struct options o;
	krb5_context ctx;
	struct ks_conf conf;
	char *uri;               /* of the token */
	struct ks_keytab *kt;    /* NULL until tool_open */
	unsigned reported;       /* results so far */
};

/* ---- options.c ---- */

/* Parses argv[1..] into t->o; TOOL_USAGE with a message, or TOOL_OK. */
int options_parse(struct tool *t, int argc, char **argv);
/* The option lines of a command's --help, on stdout. */
void options_help(unsigned options);

/* ---- tool.c ---- */

/* libkrb5, settings, and the token's URI (--token, session_token, the default keytab name).  TOOL_ code. */
int tool_init(struct tool *t);
/*
 * Becomes --owner's USER if given, then opens the keytab on the token;
 * messages name the cure.  TOOL_ code.
 */
int tool_open(struct tool *t, bool write);
/* The same for reading; where no token was named, t->kt stays NULL (OPT_MAYBE). */
int tool_open_if_any(struct tool *t);
void tool_fini(struct tool *t);

/* "gssp11: ..." on stderr. */
void say(const char *fmt, ...) PRINTF(1, 2);
/* The same with the text of err behind it; gives TOOL_FAILED. */
int fail(const struct tool *t, err_t err, const char *fmt, ...) PRINTF(3, 4);

/* The enctype's name as klist prints it, in a buffer of the caller. */
const char *etype_name(krb5_enctype etype, char *buf, size_t size);

/* ---- print.c ---- */

/* The name with control characters as '?', for terminals; valid until the next call but one. */
const char *printable(const char *name);
/* A JSON string with its quotes; octets that are no UTF-8 become U+FFFD. */
void json_string(const char *s);
/* The separator before, and the end after, the objects of a JSON array. */
void json_next(struct tool *t);
void json_end(struct tool *t);
/* One line or JSON object: what became of an entry.  note may be NULL. */
void report(struct tool *t, const char *result, const struct ks_entry *e, const char *note);

/* ---- prompt.c ---- */

/* Asks for PINs on the terminal where the URI has no pin-source. */
void prompt_register(void);
/* A principal's password, without echo; NULL without a terminal.  Caller frees. */
struct secret *prompt_password(const char *principal);
/* A question to be answered with y; false without a terminal. */
bool prompt_yes(const char *question);
bool prompt_possible(void);

/* ---- owner.c ---- */

/* The process becomes USER, whom this option named, for good.  TOOL_ code, with a message. */
int owner_become(const char *option, const char *user);
/* After USER failed to open the token: what to do. */
void owner_hint(const char *user, err_t err);

/* ---- audit.c ---- */

/* Logs what became of an entry.  TOOL_FAILED, with a message, where that is required and fails. */
int audit_entry(struct tool *t, const char *event, const struct ks_entry *e, err_t result);
/* The same of a command; local is a principal, detail says what it is about; either may be NULL. */
int audit_command(struct tool *t, const char *event, const char *local, const char *detail,
		  err_t result);

/* ---- the commands ---- */
int keytab_import(struct tool *t);
int keytab_list(struct tool *t);
int keytab_delete(struct tool *t);
int keytab_sweep(struct tool *t);
int selftest(struct tool *t);
int sweep(struct tool *t);
int kinit(struct tool *t);
int adopt(struct tool *t);
int destroy(struct tool *t);
int doctor(struct tool *t);
int inventory(struct tool *t);
int audit_verify(struct tool *t);
int audit_sign(struct tool *t);

#endif
