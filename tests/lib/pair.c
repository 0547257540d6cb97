#include "tests/lib/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/box.h"
#include "tests/lib/forge.h"

#define SERVICE "HTTP/www.test.org@TEST.ORG"

static void die(const char *what, long code)
{
	fprintf(stderr, "pair: %s: %ld\n", what, code);
	exit(99);
}

static void must(OM_uint32 major, const OM_uint32 *minor, const char *what)
{
	if (!GSS_ERROR(major))
		return;
	fprintf(stderr, "pair: %s: major %x minor %d\n", what, (unsigned)major, (int)*minor);
	exit(99);
}

/* The environment of stock contexts: no interposer, no replay cache, no network. */
static void environment(const struct pair_want *w)
{
	char text[1024];
	char *conf, *none = box_file("no-mechs.conf", "", 0600);
	char *cc = box_path("pair.cc"), *kt = box_path("pair.kt");
	struct forge_ticket t = { .client = "alice@TEST.ORG" };
	struct forge_key k;

	snprintf(text, sizeof(text), "[libdefaults]\n permitted_enctypes = %s\n%s", w->permitted,
		 FORGE_CONF);
	conf = box_file("pair.conf", text, 0600);
	setenv("KRB5_CONFIG", conf, 1);
	setenv("GSS_MECH_CONFIG", none, 1);
	setenv("KRB5RCACHENAME", "none:", 1);
	setenv("KRB5CCNAME", cc, 1);
	setenv("KRB5_KTNAME", kt, 1);
	remove(kt);
	forge_random_key(&k, SERVICE, w->etype, 1);
	forge_ccache(cc, &t, &k);
	forge_keytab(kt, &k, 1);
	free(conf);
	free(none);
	free(cc);
	free(kt);
}

static void establish(OM_uint32 flags, gss_ctx_id_t *i, gss_ctx_id_t *a)
{
	gss_buffer_desc name = { sizeof(SERVICE) - 1, (void *)(uintptr_t)SERVICE };
	gss_buffer_desc to_a = GSS_C_EMPTY_BUFFER, to_i = GSS_C_EMPTY_BUFFER;
	OM_uint32 mi = GSS_S_CONTINUE_NEEDED, ma = GSS_S_CONTINUE_NEEDED, minor, ignored;
	gss_name_t target;

	*i = *a = GSS_C_NO_CONTEXT;
	must(gss_import_name(&minor, &name, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME,
			     &target), &minor, "name");
	while (mi == GSS_S_CONTINUE_NEEDED || ma == GSS_S_CONTINUE_NEEDED) {
		if (mi == GSS_S_CONTINUE_NEEDED) {
			mi = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, i, target,
						  (gss_OID)(uintptr_t)gss_mech_krb5, flags, 0,
						  GSS_C_NO_CHANNEL_BINDINGS, &to_i, NULL, &to_a,
						  NULL, NULL);
			must(mi, &minor, "init");
		}
		gss_release_buffer(&ignored, &to_i);
		if (ma == GSS_S_CONTINUE_NEEDED) {
			ma = gss_accept_sec_context(&minor, a, GSS_C_NO_CREDENTIAL, &to_a,
						    GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &to_i,
						    NULL, NULL, NULL);
			must(ma, &minor, "accept");
		}
		gss_release_buffer(&ignored, &to_a);
	}
	gss_release_buffer(&ignored, &to_i);
	gss_release_name(&ignored, &target);
}

static gss_ctx_id_t import(const struct pair_side *s)
{
	gss_buffer_desc copy = s->exported;
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	OM_uint32 minor, major = gss_import_sec_context(&minor, &copy, &ctx);

	must(major, &minor, "import");
	return ctx;
}

static struct ks_key *make_key(struct tok *t, const gss_krb5_lucid_key_t *k)
{
	static const struct ks_use uses[] = {
		{ 22, KS_SEAL_OPEN }, { 24, KS_SEAL_OPEN }, { 22, KS_CHECKSUM },
		{ 23, KS_CHECKSUM }, { 24, KS_CHECKSUM }, { 25, KS_CHECKSUM },
	};
	struct ks_key *key = NULL;
	err_t err = ks_key_from_bytes(t, (int32_t)k->type, k->data, k->length, &key);

	if (!err)
		err = ks_key_prepare(key, uses, sizeof(uses) / sizeof(uses[0]));
	if (err)
		die("key", err);
	ks_key_forget(key);
	return key;
}

/* Keys and numbers, out of a copy of the stock context. */
static void take_lucid(struct tok *t, struct pair_side *s)
{
	gss_ctx_id_t copy = import(s);
	gss_krb5_lucid_context_v1_t *l;
	void *lucid = NULL;
	OM_uint32 minor;

	must(gss_krb5_export_lucid_sec_context(&minor, &copy, 1, &lucid), &minor, "lucid");
	l = lucid;
	if (l->protocol != 1)
		die("no RFC 4121 context", (long)l->protocol);
	s->initiator_key = make_key(t, &l->cfx_kd.ctx_key);
	if (l->cfx_kd.have_acceptor_subkey)
		s->acceptor_key = make_key(t, &l->cfx_kd.acceptor_subkey);
	s->send_seq = l->send_seq;
	s->recv_seq = l->recv_seq;
	gss_krb5_free_lucid_sec_context(&minor, lucid);
}

static void make_side(struct tok *t, gss_ctx_id_t *ctx, bool initiator, struct pair_side *s)
{
	OM_uint32 minor;

	must(gss_inquire_context(&minor, *ctx, NULL, NULL, NULL, NULL, &s->own.flags, NULL, NULL),
	     &minor, "inquire");
	must(gss_export_sec_context(&minor, ctx, &s->exported), &minor, "export");
	take_lucid(t, s);
	s->own.state = MECH_ESTABLISHED;
	s->own.initiator = initiator;
	s->own.initiator_key = s->initiator_key;
	s->own.acceptor_key = s->acceptor_key;
	pthread_mutex_init(&s->own.lock, NULL);
	pair_reset(s);
}

void pair_reset(struct pair_side *s)
{
	OM_uint32 ignored;

	gss_delete_sec_context(&ignored, &s->stock, GSS_C_NO_BUFFER);
	s->stock = import(s);
	s->own.send_seq = s->send_seq;
	s->own.recv = (struct mech_seq){
		.base = s->recv_seq,
		.replay = s->own.flags & GSS_C_REPLAY_FLAG,
		.sequence = s->own.flags & GSS_C_SEQUENCE_FLAG,
	};
}

void pair_make(struct tok *t, const struct pair_want *w, struct pair *p)
{
	gss_ctx_id_t i, a;

	memset(p, 0, sizeof(*p));
	environment(w);
	establish(w->flags, &i, &a);
	make_side(t, &i, true, &p->i);
	make_side(t, &a, false, &p->a);
}

static void free_side(struct pair_side *s)
{
	OM_uint32 ignored;

	gss_delete_sec_context(&ignored, &s->stock, GSS_C_NO_BUFFER);
	gss_release_buffer(&ignored, &s->exported);
	ks_key_unref(&s->initiator_key);
	ks_key_unref(&s->acceptor_key);
	pthread_mutex_destroy(&s->own.lock);
}

void pair_free(struct pair *p)
{
	free_side(&p->i);
	free_side(&p->a);
}

gss_buffer_desc pair_rotated(const gss_buffer_desc *token, size_t rrc)
{
	const uint8_t *in = token->value;
	size_t n = token->length - 16, r = n ? rrc % n : 0;
	uint8_t *out = malloc(token->length);

	if (!out)
		die("no memory", 0);
	memcpy(out, in, 16);
	out[6] = (uint8_t)(rrc >> 8);
	out[7] = (uint8_t)rrc;
	memcpy(out + 16, in + 16 + n - r, r);
	memcpy(out + 16 + r, in + 16, n - r);
	return (gss_buffer_desc){ token->length, out };
}

gss_buffer_desc pair_copy(const gss_buffer_desc *b)
{
	gss_buffer_desc c = { b->length, malloc(b->length + 1) };

	if (!c.value)
		die("no memory", 0);
	if (b->length)
		memcpy(c.value, b->value, b->length);
	return c;
}

bool pair_same(const gss_buffer_desc *a, const gss_buffer_desc *b)
{
	return a->length == b->length && (!a->length || !memcmp(a->value, b->value, a->length));
}
