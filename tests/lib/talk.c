#include "tests/lib/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/show.h"

static OM_uint32 minor, ignored;

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void die(const char *what, long code)
{
	fprintf(stderr, "talk: %s: %ld\n", what, code);
	exit(99);
}

char *talk_text(OM_uint32 status)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 context = 0;
	char *s;

	gss_display_status(&ignored, status, GSS_C_MECH_CODE, GSS_C_NO_OID, &context, &b);
	s = strndup(b.value ? b.value : "", b.length);
	gss_release_buffer(&ignored, &b);
	return s;
}

/* ---- the stage ---- */

/*
 * One key for each enctype, on both tokens and in the FILE keytab: all of them
 * at once, for a keytab that is open is not read again for every ticket.
 */
static const struct forge_key *service_key(krb5_enctype etype)
{
	static struct forge_key keys[4];
	const struct box_token *t;
	krb5_enctype e;
	size_t n, i;

	if (etype < 17 || etype > 20)
		die("no key of this enctype", etype);
	t = box_tokens(&n);
	for (e = 17; !keys[3].len && e <= 20; e++) {
		acc_new_key(t, ACC_SERVICE, e, (krb5_kvno)e, &keys[e - 17]);
		for (i = 1; i < n; i++)
			acc_key_to_token(t + i, &keys[e - 17]);
	}
	return &keys[etype - 17];
}

static void settings(const struct talk_want *w)
{
	char *text = NULL;

	if (asprintf(&text, "[libdefaults]\n permitted_enctypes = %s\n[appdefaults]\n gssp11 = {\n"
		     "%s%s\n%s\n }\n", w->permitted ? w->permitted : "aes sha2",
		     w->own_i ? "  session_token = " : "", w->own_i ? w->own_i->uri : "",
		     w->policy ? w->policy : "") < 0)
		die("no memory", 0);
	acc_environment(text);
	free(text);
}

static void ticket(const struct talk_want *w)
{
	const struct forge_key *k = service_key(w->etype ? w->etype : 18);
	struct forge_ticket t = { .client = ACC_CLIENT, .session_key = w->session_key };
	static const struct forge_key tgs = {
		.principal = "krbtgt/TEST.ORG@TEST.ORG", .etype = 18, .kvno = 1, .len = 32
	};
	char *path = box_path("talk.cc");

	if (w->life) {
		t.endtime = (krb5_timestamp)time(NULL) + w->life;
		t.authtime = t.endtime - 3600;
	}
	if (w->principal)
		t.server = w->principal;
	forge_ccache(path, &t, k);
	if (w->forwardable) {
		t.flags = TKT_FLG_INITIAL | TKT_FLG_FORWARDABLE;
		forge_ccache_add(path, &t, &tgs);
	}
	setenv("KRB5CCNAME", path, 1);
	free(path);
}

static gss_cred_id_t acceptor(const struct talk_want *w)
{
	char *file = box_path("acc.kt");
	gss_key_value_element_desc e = { "keytab", w->own_a ? w->own_a->uri : file };
	gss_key_value_set_desc store = { 1, &e };
	gss_OID_set_desc mechs = { 1, w->mech ? w->mech : (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 major;

	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0,
				      w->acceptor_mechs ? w->acceptor_mechs : &mechs, GSS_C_ACCEPT,
				      &store, &c, NULL, NULL);
	if (GSS_ERROR(major)) {
		fprintf(stderr, "talk: acceptor: %s\n", talk_text(minor));
		exit(99);
	}
	free(file);
	return c;
}

void talk_ready(const struct talk_want *w, struct talk *t)
{
	*t = (struct talk){ .major_i = GSS_S_CONTINUE_NEEDED, .major_a = GSS_S_CONTINUE_NEEDED };
	settings(w);
	ticket(w);
	t->cred = acceptor(w);
	t->target = acc_target(w->principal ? w->principal : ACC_SERVICE);
	t->text = strdup("");
}

/* ---- the calls ---- */

static gss_channel_bindings_t bindings(const char *data, gss_channel_bindings_t cb)
{
	if (!data)
		return GSS_C_NO_CHANNEL_BINDINGS;
	memset(cb, 0, sizeof(*cb));
	cb->application_data = show_text(data);
	return cb;
}

static void keep_text(struct talk *t, OM_uint32 status)
{
	free(t->text);
	t->text = talk_text(status);
}

OM_uint32 talk_init(const struct talk_want *w, struct talk *t, gss_buffer_t in, gss_buffer_t out)
{
	struct gss_channel_bindings_struct cb;

	t->major_i = gss_init_sec_context(&t->minor_i, GSS_C_NO_CREDENTIAL, &t->i, t->target,
					  w->mech ? w->mech : (gss_OID)gss_mech_krb5, w->flags, 0,
					  bindings(w->bind_i, &cb), in, &t->mech_i, out,
					  &t->flags_i, NULL);
	if (GSS_ERROR(t->major_i))
		keep_text(t, t->minor_i);
	return t->major_i;
}

OM_uint32 talk_accept(const struct talk_want *w, struct talk *t, gss_buffer_t in,
		      gss_buffer_t out)
{
	struct gss_channel_bindings_struct cb;

	gss_release_name(&ignored, &t->src);
	gss_release_cred(&ignored, &t->deleg);
	t->major_a = gss_accept_sec_context(&t->minor_a, &t->a, t->cred, in,
					    bindings(w->bind_a, &cb), &t->src, &t->mech_a, out,
					    &t->flags_a, NULL, &t->deleg);
	if (GSS_ERROR(t->major_a))
		keep_text(t, t->minor_a);
	return t->major_a;
}

static void spoil(gss_buffer_t b, size_t at, unsigned leg)
{
	if (at && leg < 2 && at < b->length)
		((uint8_t *)b->value)[at] ^= 0x55;
}

bool talk_make(const struct talk_want *w, struct talk *t)
{
	gss_buffer_desc to_i = GSS_C_EMPTY_BUFFER, to_a = GSS_C_EMPTY_BUFFER;

	talk_ready(w, t);
	do {
		talk_init(w, t, &to_i, &to_a);
		gss_release_buffer(&ignored, &to_i);
		if (GSS_ERROR(t->major_i) || !to_a.length)
			break;
		spoil(&to_a, w->spoil_a, t->legs++);
		talk_accept(w, t, &to_a, &to_i);
		gss_release_buffer(&ignored, &to_a);
		if (GSS_ERROR(t->major_a))
			break;
		if (to_i.length)
			spoil(&to_i, w->spoil_i, t->legs++);
	} while (to_i.length);
	gss_release_buffer(&ignored, &to_i);
	gss_release_buffer(&ignored, &to_a);
	return t->major_i == GSS_S_COMPLETE && t->major_a == GSS_S_COMPLETE;
}

void talk_drop(struct talk *t)
{
	gss_delete_sec_context(&ignored, &t->i, GSS_C_NO_BUFFER);
	gss_delete_sec_context(&ignored, &t->a, GSS_C_NO_BUFFER);
	gss_release_name(&ignored, &t->src);
	gss_release_name(&ignored, &t->target);
	gss_release_cred(&ignored, &t->cred);
	gss_release_cred(&ignored, &t->deleg);
	free(t->text);
	t->text = NULL;
}
