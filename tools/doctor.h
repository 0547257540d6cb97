/*
 * gssp11 doctor: what its files share.  Facts come from keystore/doctor.h and
 * from this host's configuration; a finding is one line of the answer.
 */
#ifndef GSSP11_TOOLS_DOCTOR_H
#define GSSP11_TOOLS_DOCTOR_H

#include "keystore/doctor.h"
#include "tools/tool.h"

/* Exit codes besides TOOL_OK (all is well) and TOOL_USAGE. */
enum { DOCTOR_IMPOSSIBLE = 1, DOCTOR_WARNINGS = 3 };

enum level { LEVEL_OK, LEVEL_INFO, LEVEL_WARNING, LEVEL_PROBLEM };

struct finding {
	enum level level;
	const char *check;       /* "mech-order": names that scripts may rely on; static */
	char *text;
	char *cure;              /* NULL: none needed */
};

enum { FINDINGS_MAX = 64 };

struct doctor {
	struct tool *tool;
	struct finding list[FINDINGS_MAX];
	size_t n;
	struct tok *tok;         /* NULL: it could not be opened */
	struct ks_doc_token token;
	unsigned caps;
	bool has_caps, has_readable;
	struct ks_doc_readable readable;
};

/* ---- doctor.c ---- */
void finding(struct doctor *d, enum level level, const char *check, const char *cure,
	     const char *fmt, ...) PRINTF(5, 6);
/* The same with the text of an error; cure NULL: it names that itself. */
void finding_cured(struct doctor *d, enum level level, const char *check, const char *cure,
		   const char *what, err_t err);
void finding_err(struct doctor *d, enum level level, const char *check, const char *what,
		 err_t err);
/* The worst level so far. */
enum level doctor_worst(const struct doctor *d);

/* ---- doctor_host.c: krb5.conf and the keytab's name ---- */
/* False where libkrb5 does not start: then there is nothing more to be found. */
bool doctor_conf(struct doctor *d);
/* t->uri from the argument or the default keytab name; false: there is none, which is a finding. */
bool doctor_uri(struct doctor *d);

/* Whether the audit log can be written. */
void doctor_audit(struct doctor *d);

/* ---- doctor_mech.c: the mechanism layer's configuration ---- */
void doctor_mech(struct doctor *d);

/* ---- doctor_kdc.c ---- */
/* Asks the default realm's KDC; waits ten seconds at most. */
void doctor_kdc(struct doctor *d);

/* ---- doctor_token.c: PIN file, login, token, keytab ---- */
void doctor_token(struct doctor *d);

/* ---- doctor_print.c ---- */
void doctor_print(const struct doctor *d);
void doctor_json(const struct doctor *d);

#endif
