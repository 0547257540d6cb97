/*
 * The KDC translation against a real KDC, one step a run:
 *
 *   exchange_probe TOKEN KEYTAB CCACHE COMMAND [ARGUMENT...]
 *
 * TOKEN is the URI of the token for session keys, KEYTAB that of the client's
 * keytab, CCACHE a cache's name.  Prints what came about, or on stderr why not
 * (exit 1).  libkrb5 itself, with the service's keys, is the judge.
 */
#include <com_err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

#include "keystore/ccache.h"
#include "keystore/conf.h"
#include "mech/exchange_int.h"
#include "tests/lib/probe_kdc.h"

static struct ks_conf conf;
static const char *keytab_uri;

static krb5_creds *from_kdc(const char *server, krb5_flags options)
{
	krb5_creds in = { 0 }, *out = NULL;

	probe_must("krb5_cc_get_principal", krb5_cc_get_principal(probe_k5, probe_cache, &in.client));
	in.server = probe_principal(server);
	probe_must("krb5_get_credentials", krb5_get_credentials(probe_k5, options, probe_cache, &in, &out));
	return out;
}

static void show_creds(const char *what, const krb5_creds *c)
{
	char *server;

	probe_must("krb5_unparse_name", krb5_unparse_name(probe_k5, c->server, &server));
	printf("%s: %s, session key of enctype %d\n", what, server, (int)c->keyblock.enctype);
	krb5_free_unparsed_name(probe_k5, server);
}

/* ---- commands ---------------------------------------------------------------- */

static void set_armor(krb5_get_init_creds_opt *opt, const char *ccache)
{
	probe_must("mech_exchange_armor", mech_exchange_armor(probe_exchange, ccache));
	probe_must("armor", krb5_get_init_creds_opt_set_fast_ccache_name(probe_k5, opt, ccache));
	probe_must("armor", krb5_get_init_creds_opt_set_fast_flags(probe_k5, opt, KRB5_FAST_REQUIRED));
}

/* as CLIENT [canonicalize] [forwardable] [renewable] [twice] [service NAME] [armor CCACHE]
 * [unarmored CCACHE: libkrb5 is not told of that armor] */
static void cmd_as(int argc, char **argv)
{
	krb5_get_init_creds_opt *opt;
	const char *service = NULL;
	int times = 1;
	struct ks_keytab *kt;
	krb5_principal client = probe_principal(argv[0]);
	krb5_keytab surrogates;
	krb5_creds creds;
	int i;

	probe_must("options", krb5_get_init_creds_opt_alloc(probe_k5, &opt));
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "canonicalize"))
			krb5_get_init_creds_opt_set_canonicalize(opt, 1);
		if (!strcmp(argv[i], "forwardable"))
			krb5_get_init_creds_opt_set_forwardable(opt, 1);
		if (!strcmp(argv[i], "renewable"))
			krb5_get_init_creds_opt_set_renew_life(opt, 7200);
		if (!strcmp(argv[i], "twice"))
			times = 2;
		if (!strcmp(argv[i], "service") && i + 1 < argc)
			service = argv[++i];
		if (!strcmp(argv[i], "armor") && i + 1 < argc)
			set_armor(opt, argv[++i]);
		if (!strcmp(argv[i], "unarmored") && i + 1 < argc)
			probe_must("mech_exchange_armor", mech_exchange_armor(probe_exchange, argv[++i]));
	}
	probe_must("ks_keytab_open", ks_keytab_open(&conf, keytab_uri, false, &kt));
	probe_must("mech_exchange_client", mech_exchange_client(probe_exchange, kt, client, &surrogates));
	while (times-- > 0)
		probe_must("krb5_get_init_creds_keytab",
		     krb5_get_init_creds_keytab(probe_k5, &creds, client, surrogates, 0, service, opt));
	probe_must("krb5_cc_initialize", krb5_cc_initialize(probe_k5, probe_cache, creds.client));
	probe_must("mark", ks_ccache_mark(probe_k5, probe_cache, probe_token));
	probe_must("krb5_cc_store_cred", krb5_cc_store_cred(probe_k5, probe_cache, &creds));
	mech_exchange_keep(probe_exchange, &creds);
	show_creds("as", &creds);
	krb5_get_init_creds_opt_free(probe_k5, opt);
}

/* tgs SERVER: as krb5_get_credentials, with referrals when the realm is empty */
static void cmd_tgs(int argc, char **argv)
{
	krb5_creds *c = from_kdc(argv[0], argc > 1 ? KRB5_GC_CANONICALIZE : 0);

	show_creds("tgs", c);
	krb5_free_creds(probe_k5, c);
}

static void cmd_renew(int argc, char **argv)
{
	krb5_principal client;
	krb5_creds c;

	(void)argc;
	(void)argv;
	probe_must("krb5_cc_get_principal", krb5_cc_get_principal(probe_k5, probe_cache, &client));
	probe_must("krb5_get_renewed_creds", krb5_get_renewed_creds(probe_k5, &c, client, probe_cache, NULL));
	probe_must("krb5_cc_initialize", krb5_cc_initialize(probe_k5, probe_cache, client));
	probe_must("mark", ks_ccache_mark(probe_k5, probe_cache, probe_token));
	probe_must("krb5_cc_store_cred", krb5_cc_store_cred(probe_k5, probe_cache, &c));
	mech_exchange_keep(probe_exchange, &c);
	show_creds("renew", &c);
}

/* accept SERVER KEYTAB: an AP-REQ with the real key is accepted, one with the surrogate is not */
static void cmd_accept(int argc, char **argv)
{
	krb5_creds *c = from_kdc(argv[0], 0);

	(void)argc;
	probe_must("AP-REQ with the token's key", probe_ap_req(c, argv[1], true));
	if (probe_ap_req(c, argv[1], false) != KRB5KRB_AP_ERR_BAD_INTEGRITY)
		probe_stop("an AP-REQ with the surrogate was not refused", 0);
	puts("accept: the token's key is accepted, the surrogate is refused");
	krb5_free_creds(probe_k5, c);
}

/* forward SERVER KEYTAB: the service gets a TGT that works with stock libkrb5 */
static void cmd_forward(int argc, char **argv)
{
	krb5_creds *c = from_kdc(argv[0], 0);

	(void)argc;
	probe_forward(probe_exchange, c, argv[1]);
	krb5_free_creds(probe_k5, c);
}

/* self USER: S4U2Self for another user, to this cache's own principal; proxy USER TARGET: and on */
static void cmd_self(int argc, char **argv)
{
	probe_s4u(probe_exchange, argv[0], argc > 1 ? argv[1] : NULL);
}

/* authdata SERVER KEYTAB: with enc-authorization-data in the request */
static void cmd_authdata(int argc, char **argv)
{
	(void)argc;
	probe_authdata(probe_exchange, argv[0], argv[1]);
}

/* held COMMAND..., held_for_user COMMAND...: the step with a ticket-granting ticket of its own */
static void cmd_held(int argc, char **argv);
static void cmd_held_for_user(int argc, char **argv);

/* adopt: the cache's ordinary keys move to the token */
static void cmd_adopt(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	probe_adopt(probe_exchange);
}

/* scan FILE KEYTAB...: the session keys in the cache's tickets stand nowhere in the file */
static void cmd_scan(int argc, char **argv)
{
	unsigned n = probe_scan(argv[0], argc - 1, argv + 1);

	printf("scan: %u tickets, no key of theirs in the file\n", n);
}

/* alter WHAT COMMAND...: the step, with a KDC that sends something else */
static void cmd_alter(int argc, char **argv);
/* plain COMMAND...: the step without hooks */
static void cmd_plain(int argc, char **argv);

static void cmd_list(int argc, char **argv)
{
	struct ks_vault_entry *list;
	size_t n, i, whole = 0;

	(void)argc;
	(void)argv;
	probe_must("ks_vault_list", ks_vault_list(probe_token, &list, &n));
	for (i = 0; i < n; i++)
		whole += list[i].whole;
	printf("list: %zu keys, %zu whole\n", n, whole);
	free(list);
}

static const struct {
	const char *name;
	int args;
	void (*run)(int argc, char **argv);
} commands[] = {
	{ "as", 1, cmd_as },
	{ "tgs", 1, cmd_tgs },
	{ "renew", 0, cmd_renew },
	{ "accept", 2, cmd_accept },
	{ "forward", 2, cmd_forward },
	{ "s4u", 1, cmd_self },
	{ "authdata", 2, cmd_authdata },
	{ "held", 1, cmd_held },
	{ "held_for_user", 1, cmd_held_for_user },
	{ "adopt", 0, cmd_adopt },
	{ "scan", 2, cmd_scan },
	{ "alter", 2, cmd_alter },
	{ "plain", 1, cmd_plain },
	{ "list", 0, cmd_list },
};

static void run(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (argc > commands[i].args && !strcmp(argv[0], commands[i].name)) {
			commands[i].run(argc - 1, argv + 1);
			return;
		}
	}
	probe_stop("unknown command", EINVAL);
}

static void cmd_held(int argc, char **argv)
{
	probe_held(probe_exchange, false);
	run(argc, argv);
}

static void cmd_held_for_user(int argc, char **argv)
{
	probe_held(probe_exchange, true);
	run(argc, argv);
}

static void cmd_plain(int argc, char **argv)
{
	krb5_set_kdc_send_hook(probe_k5, NULL, NULL);
	krb5_set_kdc_recv_hook(probe_k5, NULL, NULL);
	run(argc, argv);
}

static void cmd_alter(int argc, char **argv)
{
	probe_alter(probe_exchange, argv[0]);
	run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: %s TOKEN KEYTAB CCACHE COMMAND [ARGUMENT...]\n", argv[0]);
		return 2;
	}
	if (krb5_init_context(&probe_k5))
		return 1;
	probe_must("ks_conf_read", ks_conf_read(probe_k5, NULL, &conf));
	probe_must("token", ks_conf_open_token(&conf, argv[1], true, &probe_token));
	keytab_uri = argv[2];
	probe_must(argv[3], krb5_cc_resolve(probe_k5, argv[3], &probe_cache));
	probe_must("mech_exchange_open",
	     mech_exchange_open(probe_k5, probe_token, conf.exposure == KS_CONF_ON_TOKEN, &probe_exchange));
	probe_must("mech_exchange_ccache", mech_exchange_ccache(probe_exchange, probe_cache));
	run(argc - 4, argv + 4);
	mech_exchange_close(&probe_exchange);
	ks_token_unref(&probe_token);
	ks_conf_fini(&conf);
	krb5_cc_close(probe_k5, probe_cache);
	krb5_free_context(probe_k5);
	return 0;
}
