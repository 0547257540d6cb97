/* What exchange_probe does on behalf of others, and with authorization data. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/probe_kdc.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code decode_krb5_ticket(const krb5_data *in, krb5_ticket **out);
krb5_error_code krb5_get_credentials_for_user(krb5_context ctx, krb5_flags options,
					      krb5_ccache cc, krb5_creds *in,
					      krb5_data *cert, krb5_creds **out);
krb5_error_code krb5_get_credentials_for_proxy(krb5_context ctx, krb5_flags options,
					       krb5_ccache cc, krb5_creds *in,
					       krb5_ticket *evidence, krb5_creds **out);

/* To the cache that EXCHANGE_COPY names: tickets that are in no other, with their surrogates. */
static void copy_to(const krb5_creds *c)
{
	const char *name = getenv("EXCHANGE_COPY");
	krb5_creds copy = *c;
	krb5_principal p;
	krb5_ccache cc;

	if (!name)
		return;
	probe_must(name, krb5_cc_resolve(probe_k5, name, &cc));
	if (krb5_cc_get_principal(probe_k5, cc, &p))
		probe_must(name, krb5_cc_initialize(probe_k5, cc, c->client));
	probe_must(name, krb5_cc_store_cred(probe_k5, cc, &copy));
	krb5_cc_close(probe_k5, cc);
}

void probe_s4u(struct mech_exchange *x, const char *user, const char *target)
{
	krb5_creds self = { 0 }, proxy = { 0 }, *evidence, *out;
	krb5_ticket *t;
	char *name;

	probe_must("krb5_cc_get_principal", krb5_cc_get_principal(probe_k5, probe_cache, &self.server));
	self.client = probe_principal(user);
	probe_must("krb5_get_credentials_for_user",
	     krb5_get_credentials_for_user(probe_k5, KRB5_GC_NO_STORE, probe_cache, &self, NULL, &evidence));
	mech_exchange_keep(x, evidence);
	copy_to(evidence);
	probe_must("krb5_unparse_name", krb5_unparse_name(probe_k5, evidence->client, &name));
	printf("s4u: a ticket of %s\n", name);
	if (!target)
		return;
	proxy.client = self.server;
	proxy.server = probe_principal(target);
	probe_must("decode_krb5_ticket", decode_krb5_ticket(&evidence->ticket, &t));
	probe_must("krb5_get_credentials_for_proxy",
	     krb5_get_credentials_for_proxy(probe_k5, 0, probe_cache, &proxy, t, &out));
	mech_exchange_keep(x, out);
	probe_must("krb5_unparse_name", krb5_unparse_name(probe_k5, out->client, &name));
	printf("s4u: a ticket of %s for %s\n", name, target);
}

void probe_held(struct mech_exchange *x, bool for_user)
{
	krb5_cc_cursor cursor;
	krb5_ccache cc;
	krb5_creds c;

	probe_must("mech_exchange_held_tgt", mech_exchange_held_tgt(x, probe_cache, for_user, &cc));
	probe_cache = cc;        /* the exchange has the other still */
	probe_must("krb5_cc_start_seq_get", krb5_cc_start_seq_get(probe_k5, cc, &cursor));
	while (!krb5_cc_next_cred(probe_k5, cc, &cursor, &c)) {
		copy_to(&c);
		krb5_free_cred_contents(probe_k5, &c);
	}
	krb5_cc_end_seq_get(probe_k5, cc, &cursor);
}

/* ---- authorization data ---- */

static uint8_t said[] = "what the client wants the service to know";

static bool is_said(const krb5_authdata *ad)
{
	return ad->length == sizeof(said) && !memcmp(ad->contents, said, sizeof(said));
}

static bool ticket_says(const krb5_data *ticket, const char *keytab)
{
	krb5_authdata **found;
	krb5_ticket *t;
	krb5_keytab kt;
	size_t i;

	probe_must(keytab, krb5_kt_resolve(probe_k5, keytab, &kt));
	probe_must("decode_krb5_ticket", decode_krb5_ticket(ticket, &t));
	probe_must("the ticket", krb5_server_decrypt_ticket_keytab(probe_k5, kt, t));
	found = t->enc_part2->authorization_data;
	for (i = 0; found && found[i] && !is_said(found[i]); i++)
		;
	return found && found[i];
}

void probe_authdata(struct mech_exchange *x, const char *server, const char *keytab)
{
	krb5_authdata ad = { KV5M_AUTHDATA, 0x4711, sizeof(said), said }, *list[2] = { &ad, NULL };
	krb5_creds in = { .authdata = list }, *out;

	probe_must("krb5_cc_get_principal", krb5_cc_get_principal(probe_k5, probe_cache, &in.client));
	in.server = probe_principal(server);
	probe_must("krb5_get_credentials", krb5_get_credentials(probe_k5, KRB5_GC_NO_STORE, probe_cache, &in, &out));
	mech_exchange_keep(x, out);
	copy_to(out);
	if (!ticket_says(&out->ticket, keytab))
		probe_stop("the ticket lacks the authorization data", EINVAL);
	puts("authdata: the ticket has it");
}
