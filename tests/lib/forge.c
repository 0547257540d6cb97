#include "tests/lib/forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* In libkrb5's symbol table, in no installed header. */
krb5_error_code encode_krb5_enc_tkt_part(const krb5_enc_tkt_part *rep, krb5_data **code);
krb5_error_code encode_krb5_ticket(const krb5_ticket *rep, krb5_data **code);

static void check(krb5_context ctx, krb5_error_code code, const char *what)
{
	if (!code)
		return;
	fprintf(stderr, "forge: %s: %s\n", what, krb5_get_error_message(ctx, code));
	exit(99);
}

static krb5_context context(void)
{
	krb5_context ctx = NULL;

	check(NULL, krb5_init_context(&ctx), "krb5_init_context");
	return ctx;
}

static krb5_principal principal(krb5_context ctx, const char *name)
{
	krb5_principal p = NULL;

	check(ctx, krb5_parse_name(ctx, name, &p), name);
	return p;
}

void forge_random_key(struct forge_key *k, const char *name, krb5_enctype etype, krb5_kvno kvno)
{
	krb5_context ctx = context();
	krb5_keyblock kb = { 0 };

	memset(k, 0, sizeof(*k));
	check(ctx, krb5_c_make_random_key(ctx, etype, &kb), "random key");
	k->principal = name;
	k->etype = etype;
	k->kvno = kvno;
	k->len = kb.length;
	memcpy(k->bytes, kb.contents, kb.length);
	krb5_free_keyblock_contents(ctx, &kb);
	krb5_free_context(ctx);
}

static void long_term(const struct forge_key *k, uint8_t *copy, krb5_keyblock *out)
{
	memcpy(copy, k->bytes, k->len);
	memset(out, 0, sizeof(*out));
	out->magic = KV5M_KEYBLOCK;
	out->enctype = k->etype;
	out->length = (unsigned)k->len;
	out->contents = copy;
}

static void seal(krb5_context ctx, const krb5_data *plain, const struct forge_key *k,
		 krb5_enc_data *out)
{
	uint8_t copy[sizeof(k->bytes)];
	krb5_keyblock kb;
	size_t len;

	long_term(k, copy, &kb);
	check(ctx, krb5_c_encrypt_length(ctx, k->etype, plain->length, &len), "encrypt length");
	memset(out, 0, sizeof(*out));
	out->enctype = k->etype;
	out->ciphertext.data = calloc(1, len);
	out->ciphertext.length = (unsigned)len;
	check(ctx, krb5_c_encrypt(ctx, &kb, KRB5_KEYUSAGE_KDC_REP_TICKET, NULL, plain, out),
	      "sealing the ticket");
	out->kvno = k->kvno;             /* encrypting cleared it */
}

static void session_key(krb5_context ctx, const struct forge_ticket *t,
			const struct forge_key *k, krb5_keyblock *out)
{
	krb5_enctype etype = t->session_etype ? t->session_etype : k->etype;

	check(ctx, krb5_c_make_random_key(ctx, etype, out), "session key");
	if (t->session_key)
		memcpy(out->contents, t->session_key, out->length);
}

static void times(const struct forge_ticket *t, krb5_ticket_times *out)
{
	krb5_timestamp now = (krb5_timestamp)time(NULL);

	memset(out, 0, sizeof(*out));
	out->authtime = t->authtime ? t->authtime : now - 60;
	out->starttime = t->starttime ? t->starttime : out->authtime;
	out->endtime = t->endtime ? t->endtime : now + 36000;
}

static void seal_ticket(krb5_context ctx, const struct forge_ticket *t,
			const struct forge_key *k, krb5_creds *c)
{
	krb5_data *plain = NULL, *ticket = NULL;
	krb5_enc_tkt_part part = { 0 };
	krb5_ticket outer = { 0 };

	part.flags = c->ticket_flags;
	part.session = &c->keyblock;
	part.client = c->client;
	part.transited.tr_type = KRB5_DOMAIN_X500_COMPRESS;
	part.transited.tr_contents.data = (char *)(uintptr_t)t->transited;
	part.transited.tr_contents.length = t->transited ? (unsigned)strlen(t->transited) : 0;
	part.times = c->times;
	part.caddrs = t->caddrs;
	part.authorization_data = t->authdata;
	check(ctx, encode_krb5_enc_tkt_part(&part, &plain), "encoding the ticket");
	outer.server = c->server;
	seal(ctx, plain, k, &outer.enc_part);
	check(ctx, encode_krb5_ticket(&outer, &ticket), "encoding the ticket");
	c->ticket = *ticket;
	free(ticket);
	free(outer.enc_part.ciphertext.data);
	krb5_free_data(ctx, plain);
}

void forge_creds(krb5_context ctx, const struct forge_ticket *t, const struct forge_key *k,
		 krb5_creds *out)
{
	memset(out, 0, sizeof(*out));
	out->client = principal(ctx, t->client);
	out->server = principal(ctx, t->server ? t->server : k->principal);
	out->ticket_flags = t->flags ? t->flags : (TKT_FLG_INITIAL | TKT_FLG_PRE_AUTH);
	if (!t->trans_flag_off)
		out->ticket_flags |= TKT_FLG_TRANSIT_POLICY_CHECKED;
	session_key(ctx, t, k, &out->keyblock);
	times(t, &out->times);
	seal_ticket(ctx, t, k, out);
}

static void store(krb5_context ctx, krb5_ccache cc, const struct forge_ticket *t,
		  const struct forge_key *k)
{
	krb5_creds c;

	forge_creds(ctx, t, k, &c);
	check(ctx, krb5_cc_store_cred(ctx, cc, &c), "storing the ticket");
	krb5_free_cred_contents(ctx, &c);
	krb5_cc_close(ctx, cc);
	krb5_free_context(ctx);
}

static krb5_ccache ccache(krb5_context ctx, const char *path)
{
	krb5_ccache cc = NULL;
	char name[4096];

	snprintf(name, sizeof(name), "FILE:%s", path);
	check(ctx, krb5_cc_resolve(ctx, name, &cc), name);
	return cc;
}

void forge_ccache(const char *path, const struct forge_ticket *t, const struct forge_key *k)
{
	krb5_context ctx = context();
	krb5_ccache cc = ccache(ctx, path);
	krb5_principal p = principal(ctx, t->client);

	check(ctx, krb5_cc_initialize(ctx, cc, p), path);
	krb5_free_principal(ctx, p);
	store(ctx, cc, t, k);
}

void forge_ccache_add(const char *path, const struct forge_ticket *t, const struct forge_key *k)
{
	krb5_context ctx = context();

	store(ctx, ccache(ctx, path), t, k);
}

void forge_keytab(const char *path, const struct forge_key *keys, size_t n)
{
	krb5_context ctx = context();
	krb5_keytab kt = NULL;
	char name[4096];

	snprintf(name, sizeof(name), "FILE:%s", path);
	check(ctx, krb5_kt_resolve(ctx, name, &kt), name);
	for (size_t i = 0; i < n; i++) {
		krb5_keytab_entry e = { 0 };
		uint8_t copy[sizeof(keys->bytes)];

		e.principal = principal(ctx, keys[i].principal);
		e.vno = keys[i].kvno;
		e.timestamp = 1;
		long_term(&keys[i], copy, &e.key);
		check(ctx, krb5_kt_add_entry(ctx, kt, &e), name);
		krb5_free_principal(ctx, e.principal);
	}
	krb5_kt_close(ctx, kt);
	krb5_free_context(ctx);
}
