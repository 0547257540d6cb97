/* gssp11 inventory: every key on a token, for an auditor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/inventory.h"
#include "pkcs11/bytes.h"
#include "tools/tool.h"

enum { DAY = 86400 };

static const char *answer(int v)
{
	return v < 0 ? "unknown" : v ? "yes" : "no";
}

/*
 * A keytab's keys came from outside, whatever the token says.  That a key is
 * not local says little: derived ones are not, and NSS softoken says it of keys
 * that it made.
 */
static const char *origin(const struct ks_inv_item *it)
{
	return it->kind == KS_INV_KEYTAB ? "imported" :
	       it->local == 1 ? "made on the token" : "unknown";
}

static const char *enctype(const struct ks_inv_item *it)
{
	static char buf[64];

	return it->etype ? etype_name(it->etype, buf, sizeof(buf)) : "";
}

/* "2023-11-14T22:13:20Z", or "" where it is not known. */
static const char *when(int64_t t, char buf[32])
{
	time_t v = (time_t)t;
	struct tm tm;

	buf[0] = '\0';
	if (t && gmtime_r(&v, &tm))
		strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}

static long long age_days(const struct ks_inv_item *it)
{
	return it->created ? ((long long)time(NULL) - (long long)it->created) / DAY : -1;
}

static const char *uses(const struct ks_inv_item *it)
{
	static char buf[64];

	snprintf(buf, sizeof(buf), "%s%s%s%s%s%s", it->may_encrypt ? " encrypt" : "",
		 it->may_decrypt ? " decrypt" : "", it->may_sign ? " sign" : "",
		 it->may_derive ? " derive" : "", it->may_wrap ? " wrap" : "",
		 it->may_unwrap ? " unwrap" : "");
	return buf[0] ? buf + 1 : "";
}

static const char *hex(const struct ks_inv_item *it)
{
	static char buf[2 * 64 + 1];

	hex_put(it->id, it->id_len < 64 ? it->id_len : 64, buf);
	return buf;
}

/* ---- for people ----------------------------------------------------------------------- */

/* Same entry as the one before: its heading stands. */
static bool same_entry(const struct ks_inv_item *a, const struct ks_inv_item *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0 && a->kvno == b->kvno &&
	       a->etype == b->etype;
}

static void heading(const struct ks_inv_item *it)
{
	char made[32], gone[32];

	printf("\n%s: %s", ks_inv_kind_name(it->kind), printable(it->name));
	if (it->kind == KS_INV_KEYTAB)
		printf(" kvno %u", (unsigned)it->kvno);
	if (it->etype)
		printf(" (%s)", enctype(it));
	if (it->role[0])
		printf(", %s", it->role);
	if (it->created)
		printf(", of %s (%lld days)", when(it->created, made), age_days(it));
	else
		printf(", age unknown");
	if (it->expires)
		printf(", expires %s", when(it->expires, gone));
	printf("%s\n", it->complete || it->kind == KS_INV_OTHER ? "" : ", INCOMPLETE: it does not count");
}

static void line(const struct ks_inv_item *it)
{
	char usage[16] = "-";

	if (it->usage)
		snprintf(usage, sizeof(usage), "%u", (unsigned)it->usage);
	printf("  usage %-3s %-13s may %-16s %s; sensitive %s, extractable %s, local %s, "
	       "always sensitive %s, never extractable %s; readable by a session: %s%s%s\n", usage,
	       it->part, uses(it)[0] ? uses(it) : "nothing", origin(it), answer(it->sensitive),
	       answer(it->extractable), answer(it->local), answer(it->always_sensitive),
	       answer(it->never_extractable), it->readable == 1 ? "YES" : answer(it->readable),
	       it->how[0] ? ", by " : "", it->how);
}

static void print_all(const struct ks_inv_token *t, const struct ks_inv_item *items, size_t n)
{
	size_t i, marks = 0;

	printf("Token \"%s\": %s", printable(t->label), printable(t->manufacturer));
	printf(" %s, serial %s", printable(t->model), printable(t->serial));
	printf(", firmware %s, module %s\n", t->firmware, printable(t->module));
	for (i = 0; i < n; i++) {
		if (items[i].kind == KS_INV_MARK) {
			marks++;
			continue;
		}
		if (i == 0 || !same_entry(&items[i - 1], &items[i]))
			heading(&items[i]);
		line(&items[i]);
	}
	printf("\n%zu keys, and %zu marks, which hold none\n", n - marks, marks);
}

/* ---- for programs: one list of fields for JSON and CSV ------------------------------------ */

struct field {
	const char *name;
	const char *text;        /* or, where NULL: */
	long long number;
};

enum { FIELDS = 28 };

static size_t describe(const struct ks_inv_token *t, const struct ks_inv_item *it,
		       char made[32], char gone[32], struct field f[FIELDS])
{
	const struct field all[] = {
		{ "kind", ks_inv_kind_name(it->kind), 0 }, { "name", it->name, 0 },
		{ "kvno", NULL, it->kvno }, { "etype", NULL, it->etype },
		{ "enctype", enctype(it), 0 }, { "usage", NULL, it->usage },
		{ "part", it->part, 0 }, { "role", it->role, 0 },
		{ "complete", answer(it->complete), 0 }, { "origin", origin(it), 0 },
		{ "sensitive", answer(it->sensitive), 0 },
		{ "extractable", answer(it->extractable), 0 },
		{ "local", answer(it->local), 0 },
		{ "always_sensitive", answer(it->always_sensitive), 0 },
		{ "never_extractable", answer(it->never_extractable), 0 },
		{ "modifiable", answer(it->modifiable), 0 }, { "may", uses(it), 0 },
		{ "readable", answer(it->readable), 0 }, { "readable_by", it->how, 0 },
		{ "created", when(it->created, made), 0 }, { "age_days", NULL, age_days(it) },
		{ "expires", when(it->expires, gone), 0 }, { "id", hex(it), 0 },
		{ "token", t->label, 0 }, { "model", t->model, 0 }, { "serial", t->serial, 0 },
		{ "firmware", t->firmware, 0 }, { "module", t->module, 0 },
	};

	memcpy(f, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

static void json_item(struct tool *t, const struct field *f, size_t n)
{
	size_t i;

	json_next(t);
	for (i = 0; i < n; i++) {
		printf("%s\"%s\": ", i ? ", " : "{", f[i].name);
		if (f[i].text)
			json_string(f[i].text);
		else
			printf("%lld", f[i].number);
	}
	putchar('}');
}

/*
 * RFC 4180, every text in quotes, and without controls.  What a spreadsheet would take for a formula
 * gets an apostrophe in front; a principal may begin with any of these.
 */
static void csv_text(const char *s)
{
	putchar('"');
	if (s[0] && strchr("=+-@\t\r\n", s[0]))
		putchar('\'');
	for (; *s; s++) {
		if (*s == '"')
			putchar('"');
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
	}
	putchar('"');
}

static void csv_item(const struct field *f, size_t n, bool names)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i)
			putchar(',');
		if (names)
			fputs(f[i].name, stdout);
		else if (f[i].text)
			csv_text(f[i].text);
		else
			printf("%lld", f[i].number);
	}
	fputs("\r\n", stdout);
}

static void list_all(struct tool *t, const struct ks_inv_token *tok,
		     const struct ks_inv_item *items, size_t n)
{
	static const struct ks_inv_item none = { .name = NULL, .part = "", .role = "", .how = "" };
	const bool csv = t->o.given & OPT_CSV;
	struct field f[FIELDS];
	char made[32], gone[32];
	size_t i, count;

	if (csv)
		csv_item(f, describe(tok, &none, made, gone, f), true);
	for (i = 0; i < n; i++) {
		count = describe(tok, &items[i], made, gone, f);
		if (csv)
			csv_item(f, count, false);
		else
			json_item(t, f, count);
	}
	if (!csv)
		json_end(t);
}

int inventory(struct tool *t)
{
	struct ks_inv_item *items;
	struct ks_inv_token tok;
	int status;
	size_t n;
	err_t err;

	if (t->o.given & OPT_CSV && t->o.given & OPT_JSON) {
		say("--json and --csv are given: choose one");
		return TOOL_USAGE;
	}
	status = tool_open(t, false);
	if (status != TOOL_OK)
		return status;
	err = ks_inventory(ks_keytab_token(t->kt), &items, &n);
	if (err)
		return fail(t, err, "reading the keys of the token");
	ks_inventory_token(ks_keytab_token(t->kt), &tok);
	if (t->o.given & (OPT_CSV | OPT_JSON))
		list_all(t, &tok, items, n);
	else
		print_all(&tok, items, n);
	ks_inventory_free(&items, n);
	return TOOL_OK;
}
