/* What exchange_probe does with credentials. */
#include "tests/lib/probe_kdc.h"

#include <com_err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/ccache.h"
#include "keystore/sealed.h"
#include "mech/kdcmsg_s4u.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code encode_krb5_authenticator(const krb5_authenticator *in, krb5_data **out);
krb5_error_code encode_krb5_ap_req(const krb5_ap_req *in, krb5_data **out);
krb5_error_code decode_krb5_ticket(const krb5_data *in, krb5_ticket **out);

krb5_context probe_k5;
krb5_ccache probe_cache;
struct tok *probe_token;
struct mech_exchange *probe_exchange;

void probe_stop(const char *what, err_t err)
{
	const char *text = err_text(err);

	if (!text && probe_k5)
		text = krb5_get_error_message(probe_k5, err);
	fprintf(stderr, "%s: %d %s\n", what, (int)err, text ? text : error_message(err));
	mech_exchange_close(&probe_exchange);
	exit(1);
}

void probe_must(const char *what, err_t err)
{
	if (err)
		probe_stop(what, err);
}

krb5_principal probe_principal(const char *name)
{
	krb5_principal p;

	probe_must(name, krb5_parse_name(probe_k5, name, &p));
	return p;
}

/* ---- AP-REQ ---------------------------------------------------------------------- */

static krb5_data seal_authenticator(const krb5_creds *c, struct ks_key *key)
{
	krb5_authenticator a = { .client = c->client, .ctime = (krb5_timestamp)time(NULL) };
	struct ks_plain plain = { .usage = 11 };
	krb5_data *der, out = { 0 };
	uint8_t *cipher;
	size_t len;

	probe_must("encode_krb5_authenticator", encode_krb5_authenticator(&a, &der));
	plain.p = (uint8_t *)der->data;
	plain.len = der->length;
	probe_must("ks_part_seal", ks_part_seal(key, &plain, &cipher, &len));
	out.data = (char *)cipher;
	out.length = (unsigned)len;
	krb5_free_data(probe_k5, der);
	return out;
}

/* The key that a cache has, used as if it were one. */
static struct ks_key *as_it_is(const krb5_keyblock *kb)
{
	static const struct ks_use use = { 11, KS_SEAL };
	struct ks_key *key;

	probe_must("ks_key_from_bytes", ks_key_from_bytes(probe_token, kb->enctype, kb->contents, kb->length,
						    &key));
	probe_must("ks_key_prepare", ks_key_prepare(key, &use, 1));
	return key;
}

static krb5_keytab keytab_at(const char *name)
{
	krb5_keytab kt;

	probe_must(name, krb5_kt_resolve(probe_k5, name, &kt));
	return kt;
}

krb5_error_code probe_ap_req(const krb5_creds *c, const char *keytab, bool vault)
{
	krb5_keytab kt = keytab_at(keytab);
	krb5_auth_context ac = NULL;
	struct ks_key *key = NULL;
	krb5_ap_req req = { 0 };
	krb5_error_code code;
	krb5_data *der;

	if (vault)
		probe_must("mech_exchange_key", mech_exchange_key(probe_token, &c->keyblock, &key));
	else
		key = as_it_is(&c->keyblock);
	probe_must("decode_krb5_ticket", decode_krb5_ticket(&c->ticket, &req.ticket));
	req.authenticator.enctype = c->keyblock.enctype;
	req.authenticator.ciphertext = seal_authenticator(c, key);
	probe_must("encode_krb5_ap_req", encode_krb5_ap_req(&req, &der));
	probe_must("krb5_auth_con_init", krb5_auth_con_init(probe_k5, &ac));
	krb5_auth_con_setflags(probe_k5, ac, 0);
	code = krb5_rd_req(probe_k5, &ac, der, NULL, kt, NULL, NULL);
	krb5_auth_con_free(probe_k5, ac);
	krb5_free_data(probe_k5, der);
	krb5_free_ticket(probe_k5, req.ticket);
	free(req.authenticator.ciphertext.data);
	ks_key_unref(&key);
	krb5_kt_close(probe_k5, kt);
	return code;
}

/* ---- forwarding --------------------------------------------------------------------- */

/* The session key as the service knows it: from its ticket. */
static krb5_ticket *open_ticket(const krb5_data *in, int keytabs, char **keytab)
{
	krb5_error_code code = KRB5_KT_NOTFOUND;
	krb5_ticket *t;
	krb5_keytab kt;
	int i;

	probe_must("decode_krb5_ticket", decode_krb5_ticket(in, &t));
	for (i = 0; code && i < keytabs; i++) {
		kt = keytab_at(keytab[i]);
		code = krb5_server_decrypt_ticket_keytab(probe_k5, kt, t);
		krb5_kt_close(probe_k5, kt);
	}
	probe_must("krb5_server_decrypt_ticket_keytab", code);
	return t;
}

static void use_forwarded(krb5_creds *tgt)
{
	krb5_creds in = { .client = tgt->client }, *out;
	krb5_context other;
	krb5_ccache cc;

	probe_must("krb5_init_context", krb5_init_context(&other));
	probe_must("krb5_cc_resolve", krb5_cc_resolve(other, "MEMORY:forwarded", &cc));
	probe_must("krb5_cc_initialize", krb5_cc_initialize(other, cc, tgt->client));
	probe_must("krb5_cc_store_cred", krb5_cc_store_cred(other, cc, tgt));
	in.server = probe_principal("host/localhost");
	probe_must("krb5_get_credentials with the forwarded ticket",
	     krb5_get_credentials(other, 0, cc, &in, &out));
	krb5_free_creds(other, out);
	krb5_cc_destroy(other, cc);
	krb5_free_context(other);
}

void probe_forward(struct mech_exchange *x, const krb5_creds *c, const char *keytab)
{
	krb5_auth_context sender = NULL, receiver = NULL;
	krb5_data plain, sealed;
	krb5_creds **got;
	char *name = strdup(keytab);
	struct ks_key *key;
	krb5_ticket *t = open_ticket(&c->ticket, 1, &name);

	(void)x;
	probe_must("krb5_auth_con_init", krb5_auth_con_init(probe_k5, &sender));
	krb5_auth_con_setflags(probe_k5, sender, KRB5_AUTH_CONTEXT_RET_TIME);
	probe_must("krb5_fwd_tgt_creds", krb5_fwd_tgt_creds(probe_k5, sender, "localhost", c->client, c->server,
						      probe_cache, 1, &plain));
	probe_must("mech_exchange_key", mech_exchange_key(probe_token, &c->keyblock, &key));
	probe_must("mech_exchange_seal_cred", mech_exchange_seal_cred(key, &plain, &sealed));
	probe_must("krb5_auth_con_init", krb5_auth_con_init(probe_k5, &receiver));
	krb5_auth_con_setflags(probe_k5, receiver, 0);
	probe_must("setuseruserkey", krb5_auth_con_setuseruserkey(probe_k5, receiver, t->enc_part2->session));
	probe_must("krb5_rd_cred", krb5_rd_cred(probe_k5, receiver, &sealed, &got, NULL));
	use_forwarded(got[0]);
	printf("forward: the service uses the ticket\n");
	krb5_free_tgt_creds(probe_k5, got);
	krb5_free_data_contents(probe_k5, &plain);
	krb5_free_data_contents(probe_k5, &sealed);
	krb5_auth_con_free(probe_k5, sender);
	krb5_auth_con_free(probe_k5, receiver);
	krb5_free_ticket(probe_k5, t);
	ks_key_unref(&key);
	free(name);
}

/* ---- caches --------------------------------------------------------------------------------- */

void probe_adopt(struct mech_exchange *x)
{
	krb5_creds all[32];
	krb5_principal client;
	krb5_cc_cursor cursor;
	unsigned n = 0, i, adopted = 0;

	probe_must("krb5_cc_get_principal", krb5_cc_get_principal(probe_k5, probe_cache, &client));
	probe_must("krb5_cc_start_seq_get", krb5_cc_start_seq_get(probe_k5, probe_cache, &cursor));
	while (n < 32 && krb5_cc_next_cred(probe_k5, probe_cache, &cursor, &all[n]) == 0)
		n++;
	krb5_cc_end_seq_get(probe_k5, probe_cache, &cursor);
	for (i = 0; i < n; i++) {
		if (krb5_is_config_principal(probe_k5, all[i].server))
			continue;
		probe_must("mech_exchange_move", mech_exchange_move(x, &all[i]));
		probe_must("mech_exchange_move, again", mech_exchange_move(x, &all[i]));
		mech_exchange_keep(x, &all[i]);
		adopted++;
	}
	probe_must("krb5_cc_initialize", krb5_cc_initialize(probe_k5, probe_cache, client));
	for (i = 0; i < n; i++)
		probe_must("krb5_cc_store_cred", krb5_cc_store_cred(probe_k5, probe_cache, &all[i]));
	probe_must("mark", ks_ccache_mark(probe_k5, probe_cache, probe_token));
	printf("adopt: %u tickets\n", adopted);
}

static uint8_t *read_file(const char *path, size_t *len)
{
	uint8_t *p = malloc(1 << 20);
	FILE *f = fopen(path, "rb");

	if (!p || !f)
		probe_stop(path, errno);
	*len = fread(p, 1, 1 << 20, f);
	fclose(f);
	return p;
}

unsigned probe_scan(const char *file, int keytabs, char **keytab)
{
	krb5_cc_cursor cursor;
	unsigned n = 0;
	krb5_ticket *t;
	krb5_creds c;
	uint8_t *p;
	size_t len;

	p = read_file(file, &len);
	probe_must("krb5_cc_start_seq_get", krb5_cc_start_seq_get(probe_k5, probe_cache, &cursor));
	while (krb5_cc_next_cred(probe_k5, probe_cache, &cursor, &c) == 0) {
		if (krb5_is_config_principal(probe_k5, c.server))
			continue;
		t = open_ticket(&c.ticket, keytabs, keytab);
		if (t->enc_part2->session->enctype != c.keyblock.enctype ||
		    !memmem(p, len, c.keyblock.contents, c.keyblock.length))
			probe_stop("this is not the cache's file", 0);
		if (memmem(p, len, t->enc_part2->session->contents, 8) ||
		    memmem(p, len, t->enc_part2->session->contents + 8, 8))
			probe_stop("a real key is in the file", 0);
		krb5_free_ticket(probe_k5, t);
		krb5_free_cred_contents(probe_k5, &c);
		n++;
	}
	krb5_cc_end_seq_get(probe_k5, probe_cache, &cursor);
	free(p);
	return n;
}

/* ---- a KDC that is not to be trusted --------------------------------------------------------- */

static struct mech_exchange *under;
static const char *how;                  /* request, first, middle, last, short, type, realm, replay,
                                          * signed, for_user; x509, user, hidden */
static krb5_data *earlier;               /* the first reply with a ticket */

static bool has_ticket(const krb5_data *d)
{
	const int32_t type = mech_kdc_type(d->data, d->length);

	return type == KDC_AS_REP || type == KDC_TGS_REP;
}

/* One octet of a padata value, counted from its end, or of its type. */
static void flip_pa(struct der_str list, int32_t type, size_t from_end)
{
	struct kdc_pa pa;

	if (!mech_kdc_pa_find(list, type, &pa))
		return;
	if (from_end)
		((uint8_t *)(uintptr_t)pa.value.p)[pa.value.len - from_end] ^= 1;
	else
		((uint8_t *)(uintptr_t)pa.number.p)[1] ^= 0x40;
}

/* What PA-S4U-X509-USER says: its signature, the user's name; or that there is none. */
static void change_s4u(struct der_str padata)
{
	struct kdc_x509_user u;
	struct kdc_pa pa;

	if (!strcmp(how, "x509"))
		flip_pa(padata, KDC_PA_X509_USER, 1);
	if (!strcmp(how, "hidden"))
		flip_pa(padata, KDC_PA_X509_USER, 0);
	if (strcmp(how, "user") || !mech_kdc_pa_find(padata, KDC_PA_X509_USER, &pa))
		return;
	probe_must("PA-S4U-X509-USER", mech_kdc_x509_user_read(pa.value, &u));
	/* behind nonce and headers: the first letter of the name */
	((uint8_t *)memmem(u.id.p, u.id.len, "user", 4))[0] ^= 1;
}

/* What becomes of a reply. */
static krb5_data *changed(const krb5_data *reply)
{
	struct kdc_rep rep;
	krb5_data *copy;

	probe_must("krb5_copy_data", krb5_copy_data(probe_k5, reply, &copy));
	probe_must("mech_kdc_rep_read", mech_kdc_rep_read(copy->data, copy->length, &rep));
	if (!strcmp(how, "first"))
		((uint8_t *)(uintptr_t)rep.enc.cipher.p)[0] ^= 1;
	if (!strcmp(how, "middle"))
		((uint8_t *)(uintptr_t)rep.enc.cipher.p)[rep.enc.cipher.len / 2] ^= 0x80;
	if (!strcmp(how, "last"))
		((uint8_t *)(uintptr_t)rep.enc.cipher.p)[rep.enc.cipher.len - 1] ^= 1;
	if (!strcmp(how, "short"))
		copy->length--;
	if (!strcmp(how, "type"))
		copy->data[0] ^= 'k' ^ 'm';
	if (!strcmp(how, "realm"))
		((uint8_t *)(uintptr_t)rep.client.realm.p)[0] ^= 1;
	change_s4u(rep.padata);
	return copy;
}

static krb5_error_code alter_recv(krb5_context ctx, void *data, krb5_error_code code,
				  const krb5_data *realm, const krb5_data *message,
				  const krb5_data *reply, krb5_data **out)
{
	const krb5_data *in = reply;
	krb5_data *copy = NULL;
	krb5_error_code result;

	(void)data;
	if (!code && has_ticket(reply) && !strcmp(how, "replay")) {
		if (earlier)
			in = earlier;
		else
			probe_must("krb5_copy_data", krb5_copy_data(probe_k5, reply, &earlier));
	} else if (!code && has_ticket(reply)) {
		in = copy = changed(reply);
	}
	result = mech_exchange_recv(ctx, under, code, realm, message, in, out);
	/* What it passed on is what libkrb5 must judge. */
	if (!result && !*out && in != reply)
		probe_must("krb5_copy_data", krb5_copy_data(probe_k5, in, out));
	krb5_free_data(probe_k5, copy);
	return result;
}

/* What goes to the KDC is changed where only the reply's checksum shows it. */
static krb5_error_code alter_send(krb5_context ctx, void *data, const krb5_data *realm,
				  const krb5_data *message, krb5_data **out, krb5_data **reply)
{
	krb5_error_code code = mech_exchange_send(ctx, under, realm, message, out, reply);
	struct kdc_req req;
	uint8_t *body;

	(void)data;
	if (code || !*out || mech_kdc_req_read((*out)->data, (*out)->length, &req))
		return code;
	if (!strcmp(how, "signed"))
		flip_pa(req.padata, KDC_PA_X509_USER, 1);
	/* its checksum stands in front of the package's name, "Kerberos" */
	if (!strcmp(how, "for_user"))
		flip_pa(req.padata, KDC_PA_FOR_USER, 20);
	if (strcmp(how, "request"))
		return code;
	/* the first octet of kdc-options, behind the lengths: proxiable */
	body = (uint8_t *)(uintptr_t)req.body.p;
	body += body[1] < 0x80 ? 2 : 2 + (body[1] & 0x7f);
	body[5] ^= 0x10;
	return code;
}

void probe_alter(struct mech_exchange *x, const char *what)
{
	under = x;
	how = what;
	krb5_set_kdc_send_hook(probe_k5, alter_send, NULL);
	krb5_set_kdc_recv_hook(probe_k5, alter_recv, NULL);
}
