/* gssp11 keytab list */
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

#define TIME_ROOM 20     /* klist's: libkrb5 picks the longest form that fits */

static const char *use_name(unsigned use)
{
	return use == KS_USE_ACCEPT ? "accept" : use == KS_USE_INITIATE ? "initiate" :
		"accept+initiate";
}

/* The time as klist shows it, blank where the entry has none; gives its width. */
static int time_text(int64_t timestamp, char buf[TIME_ROOM])
{
	if (krb5_timestamp_to_sfstring((krb5_timestamp)(uint32_t)timestamp, buf, TIME_ROOM, NULL))
		snprintf(buf, TIME_ROOM, "%lld", (long long)timestamp);
	if (!timestamp)
		memset(buf, ' ', strlen(buf));
	return (int)strlen(buf);
}

static void list_heading(const struct tool *t)
{
	static const char dashes[] = "------------------------------------"
				     "-------------------------------------";
	char when[TIME_ROOM];
	int width = time_text(1, when);

	printf("Keytab name: %s\n", ks_keytab_name(t->kt));
	printf("KVNO %-*s Principal\n", width, "Timestamp");
	printf("---- %.*s %.*s\n", width, dashes, 73 - width, dashes);
}

/* What the entry's keys are: found by opening them, so that a broken entry shows. */
static const char *exposure_of(struct tool *t, const struct ks_entry *e, int *status)
{
	const char *text;
	struct ks_key *key;
	err_t err = ks_keytab_key(t->kt, e, &key);

	if (err) {
		*status = fail(t, err, "%s kvno %u cannot be used", printable(e->principal),
			       (unsigned)e->kvno);
		return "unusable";
	}
	text = ks_key_exposure(key) == KS_ON_TOKEN ? "on-token" : "transient";
	ks_key_unref(&key);
	return text;
}

static void list_text(const struct ks_entry *e, const char *exposure)
{
	char when[TIME_ROOM], etype[64];

	(void)time_text(e->timestamp, when);
	printf("%4u %s %s (%s) %s %s\n", (unsigned)e->kvno, when, printable(e->principal),
	       etype_name(e->etype, etype, sizeof(etype)), exposure, use_name(e->use));
}

static void list_json(struct tool *t, const struct ks_entry *e, const char *exposure)
{
	char etype[64];

	json_next(t);
	fputs("{\"principal\": ", stdout);
	json_string(e->principal);
	printf(", \"kvno\": %u, \"etype\": %d, \"enctype\": ", (unsigned)e->kvno, (int)e->etype);
	json_string(etype_name(e->etype, etype, sizeof(etype)));
	printf(", \"timestamp\": %lld, \"use\": [%s%s%s], \"exposure\": ",
	       (long long)e->timestamp, e->use & KS_USE_ACCEPT ? "\"accept\"" : "",
	       e->use == (KS_USE_ACCEPT | KS_USE_INITIATE) ? ", " : "",
	       e->use & KS_USE_INITIATE ? "\"initiate\"" : "");
	json_string(exposure);
	fputs(", \"token\": ", stdout);
	json_string(ks_token_label(ks_keytab_token(t->kt)));
	putchar('}');
}

int keytab_list(struct tool *t)
{
	const bool json = t->o.given & OPT_JSON;
	int status = tool_open(t, false);
	struct ks_entry *all;
	const char *exposure;
	size_t n, i;
	err_t err;

	if (status != TOOL_OK)
		return status;
	err = ks_keytab_entries(t->kt, &all, &n);
	if (err)
		return fail(t, err, "reading the keytab");
	if (!json)
		list_heading(t);
	for (i = 0; i < n; i++) {
		exposure = exposure_of(t, &all[i], &status);
		if (json)
			list_json(t, &all[i], exposure);
		else
			list_text(&all[i], exposure);
	}
	if (json)
		json_end(t);
	ks_entries_free(&all, n);
	return status;
}
