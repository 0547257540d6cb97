/*
 * The keys of a conversation, for a test that searches memory for them: one
 * "hex name" a line, each protocol key and the keys derived from it.
 *
 *   memory_keys keytab FILE        long-term keys, with those for tickets and AS exchanges
 *   memory_keys ccache FILE        session keys as they stand there, with those for AP-REQ
 *                                  and AP-REP
 *   memory_keys tickets FILE       the true ones, from the tickets there: the keys that open
 *                                  them are in the default keytab
 *   memory_keys context FILE       per-message keys from `peer -k`
 */
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/key_int.h"

struct purpose {
	const char *name;
	uint32_t usage;
	enum ks_role role;
};

static const struct purpose ticket[] = {
	{ "Ke(2)", 2, KS_KE }, { "Ki(2)", 2, KS_KI }, { "Kc(17)", 17, KS_KC }, { NULL, 0, KS_KE }
}, client[] = {
	{ "Ke(1)", 1, KS_KE }, { "Ki(1)", 1, KS_KI }, { "Ke(3)", 3, KS_KE },
	{ "Ki(3)", 3, KS_KI }, { "Kc(56)", 56, KS_KC }, { NULL, 0, KS_KE }
}, ap[] = {
	{ "Kc(6)", 6, KS_KC }, { "Ke(7)", 7, KS_KE }, { "Ki(7)", 7, KS_KI },
	{ "Ke(8)", 8, KS_KE }, { "Ki(8)", 8, KS_KI }, { "Kc(10)", 10, KS_KC },
	{ "Ke(11)", 11, KS_KE }, { "Ki(11)", 11, KS_KI }, { "Ke(12)", 12, KS_KE },
	{ "Ki(12)", 12, KS_KI }, { "Ke(14)", 14, KS_KE }, { "Ki(14)", 14, KS_KI },
	{ "Ke(4)", 4, KS_KE }, { "Ki(4)", 4, KS_KI }, { "Kc(26)", 26, KS_KC },
	{ "Kc(27)", 27, KS_KC }, { "Ks(17)", 17, KS_KS },
	{ NULL, 0, KS_KE }
}, message[] = {
	{ "Ke(22)", 22, KS_KE }, { "Ki(22)", 22, KS_KI }, { "Ke(24)", 24, KS_KE },
	{ "Ki(24)", 24, KS_KI }, { "Kc(23)", 23, KS_KC }, { "Kc(25)", 25, KS_KC },
	{ "Kp", 0, KS_KP }, { NULL, 0, KS_KE }
};

static void print(const uint8_t *p, size_t n, const char *name, const char *of)
{
	size_t i;

	for (i = 0; i < n; i++)
		printf("%02x", p[i]);
	printf(" %s%s%s\n", name, *of ? " of " : "", of);
}

static int print_all(int32_t etype, const uint8_t *key, size_t len, const char *name,
		     const struct purpose *p)
{
	const struct ks_etype *e = ks_etype_find(etype);
	struct secret *derived;

	if (!e || len != e->key_len) {
		fprintf(stderr, "memory_keys: enctype %d, %zu octets\n", (int)etype, len);
		return 1;
	}
	print(key, len, name, "");
	for (; p->name; p++) {
		if (ks_derive_bytes(e, key, p->usage, p->role, &derived))
			return 1;
		print(derived->data, derived->len, p->name, name);
		secret_free(&derived);
	}
	return 0;
}

static int of_keytab(krb5_context k5, const char *name)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry e;
	krb5_keytab kt;
	char *who;
	int bad = 0;

	if (krb5_kt_resolve(k5, name, &kt) || krb5_kt_start_seq_get(k5, kt, &cursor))
		return 1;
	while (!bad && !krb5_kt_next_entry(k5, kt, &e, &cursor)) {
		bad = krb5_unparse_name(k5, e.principal, &who) ||
			print_all(e.key.enctype, e.key.contents, e.key.length, who, ticket) ||
			print_all(e.key.enctype, e.key.contents, e.key.length, who, client);
		krb5_free_keytab_entry_contents(k5, &e);
	}
	krb5_kt_end_seq_get(k5, kt, &cursor);
	return bad;
}

static int of_cred(krb5_context k5, krb5_creds *c, const char *who)
{
	return print_all(c->keyblock.enctype, c->keyblock.contents, c->keyblock.length, who, ap);
}

/* What the KDC put into the ticket. */
static int of_ticket(krb5_context k5, krb5_creds *c, const char *who)
{
	krb5_ticket *t;
	krb5_keyblock *k;
	krb5_keytab kt;
	int bad;

	if (krb5_kt_default(k5, &kt) || krb5_decode_ticket(&c->ticket, &t))
		return 1;
	bad = krb5_server_decrypt_ticket_keytab(k5, kt, t);
	if (bad) {
		fprintf(stderr, "memory_keys: the ticket for %s: %s\n", who,
			krb5_get_error_message(k5, bad));
		return 1;
	}
	k = t->enc_part2->session;
	bad = print_all(k->enctype, k->contents, k->length, who, ap);
	krb5_free_ticket(k5, t);
	return bad;
}

static int of_ccache(krb5_context k5, const char *name,
		     int (*of)(krb5_context k5, krb5_creds *c, const char *who))
{
	krb5_cc_cursor cursor;
	krb5_ccache cc;
	krb5_creds c;
	char *who;
	int bad = 0;

	if (krb5_cc_resolve(k5, name, &cc) || krb5_cc_start_seq_get(k5, cc, &cursor))
		return 1;
	while (!bad && !krb5_cc_next_cred(k5, cc, &cursor, &c)) {
		bad = krb5_unparse_name(k5, c.server, &who);
		if (!bad && !krb5_is_config_principal(k5, c.server))
			bad = of(k5, &c, who);
		krb5_free_cred_contents(k5, &c);
	}
	krb5_cc_end_seq_get(k5, cc, &cursor);
	return bad;
}

static int of_context(const char *name)
{
	char hex[2 * KS_KEY_MAX + 1], what[32];
	FILE *f = fopen(name, "re");
	uint8_t key[KS_KEY_MAX];
	int etype, n = 0, bad = !f;
	size_t i;

	while (!bad && fscanf(f, "%d %64s", &etype, hex) == 2) {
		for (i = 0; i < strlen(hex) / 2; i++)
			sscanf(hex + 2 * i, "%2hhx", &key[i]);
		snprintf(what, sizeof(what), "context key %d", ++n);
		bad = print_all(etype, key, i, what, message);
	}
	return bad || !n;
}

int main(int argc, char **argv)
{
	krb5_context k5;

	if (argc != 3 || krb5_init_context(&k5))
		return 2;
	if (!strcmp(argv[1], "keytab"))
		return of_keytab(k5, argv[2]);
	if (!strcmp(argv[1], "ccache"))
		return of_ccache(k5, argv[2], of_cred);
	if (!strcmp(argv[1], "tickets"))
		return of_ccache(k5, argv[2], of_ticket);
	return of_context(argv[2]);
}
