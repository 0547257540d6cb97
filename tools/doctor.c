/* gssp11 doctor: can this token, on this host, as this user, do the job? */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "keystore/probe.h"
#include "tools/doctor.h"

/* ---- findings -------------------------------------------------------------------- */

void finding(struct doctor *d, enum level level, const char *check, const char *cure,
	     const char *fmt, ...)
{
	struct finding *f = &d->list[d->n];
	va_list ap;

	if (d->n == FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	if (vasprintf(&f->text, fmt, ap) < 0)
		f->text = NULL;
	va_end(ap);
	f->level = level;
	f->check = check;
	f->cure = cure ? strdup(cure) : NULL;
	d->n++;
}

void finding_cured(struct doctor *d, enum level level, const char *check, const char *cure,
		   const char *what, err_t err)
{
	const char *text = err_text(err), *own = NULL;

	if (!text && d->tool->ctx)
		text = own = krb5_get_error_message(d->tool->ctx, err);
	finding(d, level, check, cure, "%s: %s", what, text ? text : "unknown error");
	if (own)
		krb5_free_error_message(d->tool->ctx, own);
}

void finding_err(struct doctor *d, enum level level, const char *check, const char *what,
		 err_t err)
{
	finding_cured(d, level, check, NULL, what, err);
}

enum level doctor_worst(const struct doctor *d)
{
	enum level worst = LEVEL_OK;
	size_t i;

	for (i = 0; i < d->n; i++) {
		if (d->list[i].level > worst)
			worst = d->list[i].level;
	}
	return worst;
}

static void findings_free(struct doctor *d)
{
	while (d->n > 0) {
		free(d->list[--d->n].text);
		free(d->list[d->n].cure);
	}
}

/* ---- what the matrix means for this configuration ------------------------------------ */

static bool any_usable(const struct doctor *d)
{
	int32_t etype;
	size_t i;

	for (i = 0; (etype = ks_doc_etype(i)); i++) {
		if (ks_doc_cell(d->caps, etype, KS_DOC_LONG_TERM).class != KS_DOC_IMPOSSIBLE)
			return true;
	}
	return false;
}

static bool any_inside(const struct doctor *d)
{
	int32_t etype;
	size_t i;

	for (i = 0; (etype = ks_doc_etype(i)); i++) {
		if (ks_doc_cell(d->caps, etype, KS_DOC_TICKET).class == KS_DOC_ON_TOKEN)
			return true;
	}
	return false;
}

static void judge_matrix(struct doctor *d)
{
	const bool wanted = d->tool->conf.exposure == KS_CONF_ON_TOKEN;

	if (!any_usable(d))
		finding(d, LEVEL_PROBLEM, "mechanisms", "use another token",
			"the token can hold keys of no encryption type (see the table)");
	else if (wanted && !any_inside(d))
		finding(d, LEVEL_PROBLEM, "exposure", "use another session token, or exposure = "
			"transient", "exposure = on-token, and this token can keep session keys of "
			"no encryption type inside");
	else
		finding(d, LEVEL_OK, "exposure", NULL, "exposure = %s can be had",
			wanted ? "on-token" : "transient");
}

static void judge_readable(struct doctor *d)
{
	const struct ks_doc_readable *r = &d->readable;

	if (r->long_term || r->session)
		finding(d, LEVEL_WARNING, "readable", "keep the PIN and the token's files from "
			"everybody but the service, and do not call its keys non-exportable",
			"whoever is logged in can read keys on this token");
	else if (r->unknown)
		finding(d, LEVEL_WARNING, "readable", "look into the module's own log",
			"not every way to read a key could be tried");
	else
		finding(d, LEVEL_OK, "readable", NULL, "a session cannot read keys%s",
			r->special ? "; what keys that may derive or unwrap give out can be read (see "
			"above)" : "");
}

static void examine(struct doctor *d)
{
	err_t err;

	err = ks_caps_probe(d->tok, &d->caps);
	d->has_caps = !err;
	if (err)
		finding_err(d, LEVEL_PROBLEM, "mechanisms", "trying what the token can do", err);
	else
		judge_matrix(d);
	err = ks_doc_readable(d->tok, &d->readable);
	d->has_readable = !err;
	if (err)
		finding_err(d, LEVEL_PROBLEM, "readable", "trying to read keys", err);
	else
		judge_readable(d);
}

/* ---- the command ------------------------------------------------------------------------ */

int doctor(struct tool *t)
{
	struct doctor *d = calloc(1, sizeof(*d));
	enum level worst;

	if (!d)
		return DOCTOR_IMPOSSIBLE;
	d->tool = t;
	doctor_mech(d);
	if (doctor_conf(d)) {
		doctor_audit(d);
		doctor_kdc(d);
		if (doctor_uri(d))
			doctor_token(d);
	}
	if (d->tok)
		examine(d);
	if (t->o.given & OPT_JSON)
		doctor_json(d);
	else
		doctor_print(d);
	worst = doctor_worst(d);
	findings_free(d);
	ks_token_unref(&d->tok);
	free(d);
	return worst == LEVEL_PROBLEM ? DOCTOR_IMPOSSIBLE :
	       worst == LEVEL_WARNING ? DOCTOR_WARNINGS : TOOL_OK;
}
