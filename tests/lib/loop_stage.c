/* What the negotiation loop's cases need: settings, keys, and tickets good and bad, in a directory. */
#include "tests/lib/forge.h"
#include "tests/lib/loop_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HTTP "HTTP/www.test.org@TEST.ORG"
#define NOBODY "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS"

static const char *dir;

const char *loop_file(const char *name)
{
	static char turns[4][4096];
	static unsigned turn;
	char *p = turns[turn++ % 4];

	snprintf(p, sizeof(turns[0]), "%s%s/%s", strcmp(name, "rcache") ? "" : "file2:", dir, name);
	return p;
}

static void must(krb5_error_code code, const char *what)
{
	if (!code)
		return;
	fprintf(stderr, "loop_probe: %s: %d\n", what, (int)code);
	exit(99);
}

static void surroundings(void)
{
	FILE *f;

	if (access(loop_file("krb5.conf"), F_OK)) {
		f = fopen(loop_file("krb5.conf"), "w");
		if (!f || fputs(FORGE_CONF, f) < 0 || fclose(f))
			must(-1, "krb5.conf");
	}
	setenv("KRB5_CONFIG", loop_file("krb5.conf"), 1);
	setenv("KRB5_KTNAME", getenv("PROBE_KEYTAB") ? getenv("PROBE_KEYTAB") : loop_file("keytab"), 1);
	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	setenv("KRB5RCACHENAME", "none:", 1);
	unlink(loop_file("rcache") + strlen("file2:"));
}

/* A cache with nothing but an owner; made with a clock that is ahead. */
static void empty_cache(const char *name, int ahead)
{
	krb5_principal p;
	krb5_context k;
	krb5_ccache cc;

	must(krb5_init_context(&k), "krb5_init_context");
	if (ahead)
		must(krb5_set_real_time(k, (krb5_timestamp)time(NULL) + ahead, 0), "clock");
	must(krb5_parse_name(k, "alice@TEST.ORG", &p), "alice");
	must(krb5_cc_resolve(k, loop_file(name), &cc), name);
	must(krb5_cc_initialize(k, cc, p), name);
	krb5_free_principal(k, p);
	krb5_cc_close(k, cc);
	krb5_free_context(k);
}

/* The client is told other times than the ticket has inside. */
static void lie_about(const char *name, const struct forge_ticket *t, const struct forge_key *key)
{
	krb5_creds creds;
	krb5_context k;
	krb5_ccache cc;

	empty_cache(name, 0);
	must(krb5_init_context(&k), "krb5_init_context");
	forge_creds(k, t, key, &creds);
	creds.times.authtime = creds.times.starttime = (krb5_timestamp)time(NULL) - 60;
	creds.times.endtime = creds.times.authtime + 36000;
	must(krb5_cc_resolve(k, loop_file(name), &cc), name);
	must(krb5_cc_store_cred(k, cc, &creds), name);
	krb5_cc_close(k, cc);
	krb5_free_cred_contents(k, &creds);
	krb5_free_context(k);
}

static void odd_tickets(const struct forge_key *key)
{
	static const struct forge_key tgs = {
		.principal = "krbtgt/TEST.ORG@TEST.ORG", .etype = 18, .kvno = 1, .len = 32
	};
	krb5_timestamp now = (krb5_timestamp)time(NULL);
	struct forge_ticket t = { .client = "alice@TEST.ORG", .authtime = now - 7200,
				  .endtime = now - 3600 };

	forge_ccache(loop_file("expired"), &t, key);
	lie_about("late", &t, key);
	t = (struct forge_ticket){ .client = "alice@TEST.ORG", .authtime = now - 60,
				   .starttime = now + 3600, .endtime = now + 7200 };
	lie_about("early", &t, key);
	t = (struct forge_ticket){ .client = "alice@TEST.ORG",
				   .flags = TKT_FLG_INITIAL | TKT_FLG_INVALID };
	lie_about("invalid", &t, key);
	t = (struct forge_ticket){ .client = "alice@TEST.ORG",
				   .flags = TKT_FLG_INITIAL | TKT_FLG_FORWARDABLE };
	forge_ccache(loop_file("forwardable"), &t, key);
	forge_ccache_add(loop_file("forwardable"), &t, &tgs);
	t = (struct forge_ticket){ .client = NOBODY, .flags = TKT_FLG_INITIAL | TKT_FLG_ANONYMOUS };
	forge_ccache(loop_file("anonymous"), &t, key);
	t = (struct forge_ticket){ .client = "alice@TEST.ORG", .endtime = now + 36000 };
	empty_cache("ahead", 4000);
	forge_ccache_add(loop_file("ahead"), &t, key);
	empty_cache("empty", 0);
}

static void tickets(void)
{
	struct forge_ticket t = { .client = "alice@TEST.ORG" };
	struct forge_key key, other;

	if (!access(loop_file("keytab"), F_OK))
		return;
	forge_random_key(&key, HTTP, ENCTYPE_AES256_CTS_HMAC_SHA1_96, 3);
	forge_random_key(&other, "host/www.test.org@TEST.ORG", ENCTYPE_AES256_CTS_HMAC_SHA1_96, 3);
	forge_keytab(loop_file("keytab"), &key, 1);
	forge_keytab(loop_file("keytab"), &other, 1);
	forge_ccache(loop_file("ccache"), &t, &key);
	forge_random_key(&other, "HTTP/mail.test.org@TEST.ORG", ENCTYPE_AES256_CTS_HMAC_SHA1_96, 3);
	forge_ccache_add(loop_file("ccache"), &t, &other);
	odd_tickets(&key);
}

void loop_stage(const char *where)
{
	dir = where;
	/* Should a call crash, what was said before is there to read. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	surroundings();
	tickets();
}
