#include "tests/lib/initiating.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "mech/apmsg.h"
#include "mech/exchange.h"
#include "mech/frame.h"
#include "mech/message.h"
#include "tests/lib/show.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code encode_krb5_ap_rep_enc_part(const krb5_ap_rep_enc_part *in, krb5_data **out);
krb5_error_code encode_krb5_ap_rep(const krb5_ap_rep *in, krb5_data **out);

struct ini_stage ini;
static _Thread_local OM_uint32 ignored;

static void die(const char *what, long code)
{
	const char *text = err_text((err_t)code);

	fprintf(stderr, "initiating: %s: %ld %s\n", what, code, text ? text : "");
	exit(99);
}

static void must(long code, const char *what)
{
	if (code)
		die(what, code);
}

/* ---- the stage ---- */

static krb5_ccache cache_at(krb5_context k5, const char *path)
{
	char name[4200];
	krb5_ccache cc;

	snprintf(name, sizeof(name), "FILE:%s", path);
	must(krb5_cc_resolve(k5, name, &cc), path);
	return cc;
}

static void fill(krb5_context k5, const char *path, krb5_creds *c, struct tok *mark)
{
	krb5_ccache cc = cache_at(k5, path);

	must(krb5_cc_initialize(k5, cc, c->client), path);
	if (mark)
		must(ks_ccache_mark(k5, cc, mark), "mark");
	must(krb5_cc_store_cred(k5, cc, c), path);
	krb5_cc_close(k5, cc);
}

/* The ticket with its key in the vault. */
static void fill_own(void)
{
	krb5_creds *copy;
	struct mech_exchange *x;
	krb5_context k5;

	must(krb5_init_context(&k5), "krb5_init_context");
	must(krb5_copy_creds(k5, &ini.creds, &copy), "copy");
	must(mech_exchange_open(k5, ini.tok, false, &x), "exchange");
	must(mech_exchange_move(x, copy), "moving the ticket's key");
	mech_exchange_keep(x, copy);
	fill(k5, ini.cc, copy, ini.tok);
	mech_exchange_close(&x);
	krb5_free_creds(k5, copy);
	krb5_free_context(k5);
}

static void make_initiator(void)
{
	struct mech_initiator *i = calloc(1, sizeof(*i));

	if (!i || asprintf(&i->ccache, "FILE:%s", ini.cc) < 0)
		die("no memory", 0);
	atomic_init(&i->refs, 1);
	i->tok = ks_token_ref(ini.tok);
	must(krb5_copy_principal(acc_krb5(), ini.creds.client, &i->client), "client");
	must(ks_conf_read(acc_krb5(), NULL, &i->conf), "settings");
	ini.i = i;
}

static gss_cred_id_t stock_cred(const char *path)
{
	char name[4200];
	gss_key_value_element_desc e = { "ccache", name };
	gss_key_value_set_desc store = { 1, &e };
	gss_OID_desc oids[3];
	gss_OID_set_desc mechs = { 3, oids };
	gss_cred_id_t cred;
	OM_uint32 minor;
	size_t i;

	for (i = 0; i < 3; i++)
		oids[i] = *mech_oid_stock(mech_oid_public(i));
	snprintf(name, sizeof(name), "FILE:%s", path);
	if (GSS_ERROR(gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs,
					    GSS_C_INITIATE, &store, &cred, NULL, NULL)))
		die("the stock initiator's credential", (int32_t)minor);
	return cred;
}

void ini_set(const struct box_token *box, const char *uri, const struct forge_ticket *t,
	     const struct forge_key *k)
{
	struct forge_ticket want = *t;
	struct ks_conf conf;
	char *path;

	ini_strike();
	if (!want.client)
		want.client = ACC_CLIENT;
	ini.box = box;
	ini.cc = box_path("ini.cc");
	must(ks_conf_read(acc_krb5(), NULL, &conf), "settings");
	must(ks_conf_open_token(&conf, uri ? uri : box->uri, true, &ini.tok), box->label);
	ks_conf_fini(&conf);
	forge_creds(acc_krb5(), &want, k, &ini.creds);
	fill_own();
	path = box_path("ini-stock.cc");
	fill(acc_krb5(), path, &ini.creds, NULL);
	make_initiator();
	ini.stock = stock_cred(path);
	free(path);
}

void ini_strike(void)
{
	if (ini.i) {
		krb5_free_principal(acc_krb5(), ini.i->client);
		ks_token_unref(&ini.i->tok);
		ks_conf_fini(&ini.i->conf);
		free(ini.i->ccache);
		free(ini.i);
		krb5_free_cred_contents(acc_krb5(), &ini.creds);
	}
	ks_token_unref(&ini.tok);
	gss_release_cred(&ignored, &ini.stock);
	free(ini.cc);
	memset(&ini, 0, sizeof(ini));
}

/* ---- calls ---- */

static void own_call(struct ini_side *s, const struct ini_ask *ask, gss_buffer_t in, gss_buffer_t n,
		     gss_OID type)
{
	struct mech_init_args a = {
		.mech = ask->mech, .req_flags = ask->flags, .time_req = ask->time_req,
		.cb = ask->cb, .in = in, .out = &s->out, .mech_type = &s->mech,
		.flags = &s->flags, .time_rec = &s->time_rec, .cred = ask->cred,
	};
	struct mech_name *target;

	if (GSS_ERROR(mech_name_import(&s->minor, NULL, n, type, &target)))
		die("target", (int32_t)s->minor);
	a.target = target;
	s->major = mech_initiate(&s->minor, &s->ctx, ini.i, &a);
	mech_name_free(&target);
}

static void stock_call(struct ini_side *s, const struct ini_ask *ask, gss_buffer_t in,
		       gss_buffer_t n, gss_OID type)
{
	gss_name_t target;

	if (GSS_ERROR(gss_import_name(&s->minor, n, type, &target)))
		die("target", (int32_t)s->minor);
	s->major = gss_init_sec_context(&s->minor, ini.stock, &s->stock, target,
					mech_oid_stock(ask->mech), ask->flags, ask->time_req,
					ask->cb, in, &s->mech, &s->out, &s->flags, &s->time_rec);
	gss_release_name(&ignored, &target);
}

OM_uint32 ini_call(struct ini_side *s, const struct ini_ask *ask, const gss_buffer_desc *in)
{
	gss_buffer_desc name = show_text(ask->target ? ask->target : ACC_SERVICE), copy;
	gss_OID type = ask->target_type ? ask->target_type
					: (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME;

	gss_release_buffer(&ignored, &s->out);
	s->minor = s->flags = s->time_rec = 0;
	s->mech = NULL;
	if (in)
		copy = *in;
	if (s->own)
		own_call(s, ask, in ? &copy : NULL, &name, type);
	else
		stock_call(s, ask, in ? &copy : NULL, &name, type);
	return s->major;
}

void ini_fini(struct ini_side *s)
{
	gss_release_buffer(&ignored, &s->out);
	mech_ctx_free(&s->ctx);
	if (s->stock)
		gss_delete_sec_context(&ignored, &s->stock, NULL);
	*s = (struct ini_side){ .own = s->own };
}

/* ---- messages ---- */

bool ini_talk(struct ini_end from, struct ini_end to)
{
	gss_buffer_desc in = show_text("what is said"), token = GSS_C_EMPTY_BUFFER;
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, major;
	int conf = 0;
	bool ok;

	major = from.own ? mech_wrap(&minor, from.own, 1, 0, &in, &conf, &token)
			 : gss_wrap(&minor, from.stock, 1, 0, &in, &conf, &token);
	ok = major == GSS_S_COMPLETE && conf;
	conf = 0;
	if (ok)
		major = to.own ? mech_unwrap(&minor, to.own, &token, &out, &conf, NULL)
			       : gss_unwrap(&minor, to.stock, &token, &out, &conf, NULL);
	ok = ok && major == GSS_S_COMPLETE && conf && out.length == in.length &&
	     !memcmp(out.value, in.value, in.length);
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &out);
	return ok;
}

bool ini_converse(struct ini_end a, struct ini_end b)
{
	bool ok = true;
	int i;

	for (i = 0; i < 3; i++)
		ok = ini_talk(a, b) && ini_talk(b, a) && ok;
	return ok;
}

/* ---- the wire ---- */

gss_buffer_desc ini_authenticator(const gss_buffer_desc *token)
{
	gss_buffer_desc in = *token, out;
	krb5_enc_data sealed = { 0 };
	struct mech_frame f;
	struct ap_req req;
	krb5_data plain;

	must(mech_frame_read(&in, &f), "frame");
	must(mech_ap_req_read(f.body.p, f.body.len, &req), "AP-REQ");
	sealed.enctype = req.auth.etype;
	sealed.ciphertext.data = (char *)(uintptr_t)req.auth.cipher.p;
	sealed.ciphertext.length = (unsigned)req.auth.cipher.len;
	out = (gss_buffer_desc){ req.auth.cipher.len, malloc(req.auth.cipher.len) };
	plain = (krb5_data){ .data = out.value, .length = (unsigned)out.length };
	must(krb5_c_decrypt(acc_krb5(), &ini.creds.keyblock, 11, NULL, &sealed, &plain),
	     "authenticator");
	out.length = plain.length;
	return out;
}

gss_buffer_desc ini_frame(gss_const_OID mech, unsigned tok_id, const void *body, size_t len)
{
	gss_buffer_desc out;

	must(mech_frame_make(mech_oid_real(mech), (uint16_t)tok_id, body, len, &out), "frame");
	return out;
}

static void seal_rep(const krb5_data *der, const struct ini_rep *r, krb5_enc_data *out)
{
	const krb5_keyblock *key = r->key ? r->key : &ini.creds.keyblock;
	krb5_data plain = { .length = der->length + (unsigned)r->extra };
	size_t len;

	plain.data = calloc(1, plain.length);
	memcpy(plain.data, der->data, der->length);
	must(krb5_c_encrypt_length(acc_krb5(), key->enctype, plain.length, &len), "length");
	out->ciphertext.data = malloc(len);
	out->ciphertext.length = (unsigned)len;
	must(krb5_c_encrypt(acc_krb5(), key, 12, NULL, &plain, out), "AP-REP");
	if (r->outer_etype)
		out->enctype = r->outer_etype;
	free(plain.data);
}

gss_buffer_desc ini_forge_rep(const struct mech_ctx *c, const struct ini_rep *r)
{
	krb5_ap_rep_enc_part part = { .ctime = c->ctime + r->ctime_off,
				      .cusec = c->cusec + r->cusec_off, .seq_number = r->seq };
	krb5_ap_rep rep = { 0 };
	krb5_data *der, *whole;
	krb5_keyblock subkey;
	gss_buffer_desc out;

	if (r->subkey) {
		must(krb5_c_make_random_key(acc_krb5(), r->subkey, &subkey), "subkey");
		part.subkey = &subkey;
	}
	must(encode_krb5_ap_rep_enc_part(&part, &der), "EncAPRepPart");
	seal_rep(der, r, &rep.enc_part);
	must(encode_krb5_ap_rep(&rep, &whole), "AP-REP");
	out = ini_frame(NULL, FRAME_AP_REP, whole->data, whole->length);
	krb5_free_data(acc_krb5(), der);
	krb5_free_data(acc_krb5(), whole);
	free(rep.enc_part.ciphertext.data);
	if (r->subkey)
		krb5_free_keyblock_contents(acc_krb5(), &subkey);
	return out;
}
