/*
 * gssp11 kinit: initial tickets with a client keytab on a token, with a card,
 * or with a password whose tickets' keys go to a token.
 *
 * The exchange with the KDC is the module's, which this program drives as any
 * other does, through GSS-API: what works here works for services, too.
 */
#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keystore/card.h"
#include "keystore/ccache.h"
#include "pkcs11/secret.h"
#include "tools/kinit.h"

/* What gets the tickets. */
struct source {
	const char *key;         /* of the credential store, for t->uri; NULL: the password */
	struct secret *password;
};

static void add(gss_key_value_set_desc *store, const char *key, const char *value)
{
	if (value)
		store->elements[store->count++] = (gss_key_value_element_desc){ key, value };
}

static const char *answer(const struct tool *t, unsigned yes, unsigned no)
{
	return t->o.given & yes ? "true" : t->o.given & no ? "false" : NULL;
}

/* Into a private cache, so that a failure leaves what is there as it is. */
static OM_uint32 acquire(const struct tool *t, OM_uint32 *minor, const struct source *s,
			 gss_name_t name, gss_cred_id_t *cred)
{
	char ccache[64];
	gss_key_value_element_desc elems[8];
	gss_key_value_set_desc store = { 0, elems };

	/* a password's tickets come into a cache of their own anyway */
	if (s->password)
		add(&store, "password", (const char *)s->password->data);
	snprintf(ccache, sizeof(ccache), "MEMORY:gssp11-kinit-%ld", (long)getpid());
	if (!s->password) {
		add(&store, s->key, t->uri);
		add(&store, "ccache", ccache);
	}
	add(&store, "ticket_lifetime", t->o.life);
	add(&store, "renew_lifetime", t->o.renew_life);
	add(&store, "forwardable", answer(t, OPT_FORWARD, OPT_NO_FORWARD));
	add(&store, "proxiable", answer(t, OPT_PROXY, OPT_NO_PROXY));
	return gss_acquire_cred_from(minor, name, 0, (gss_OID_set)gss_mech_set_krb5,
				     GSS_C_INITIATE, &store, cred, NULL, NULL);
}

static OM_uint32 get_tickets(const struct tool *t, OM_uint32 *minor, const struct source *s,
			     gss_cred_id_t *cred)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major = GSS_S_COMPLETE, ignored;

	if (t->o.n_args) {
		text.value = t->o.args[0];
		text.length = strlen(t->o.args[0]);
		major = gss_import_name(minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
	}
	if (!GSS_ERROR(major))
		major = acquire(t, minor, s, name, cred);
	gss_release_name(&ignored, &name);
	return major;
}

/* In a collection: the principal's own cache, else a new one unless the default one is free. */
static krb5_error_code of_collection(krb5_context k5, krb5_principal client, krb5_ccache *cc)
{
	krb5_ccache own = NULL;
	krb5_principal holder = NULL;
	krb5_error_code code;

	code = krb5_cc_cache_match(k5, client, &own);
	if (code == KRB5_CC_NOTFOUND) {
		code = krb5_cc_get_principal(k5, *cc, &holder);
		krb5_free_principal(k5, holder);
		if (code)
			return 0;
		code = krb5_cc_new_unique(k5, krb5_cc_get_type(k5, *cc), NULL, &own);
	}
	if (!code) {
		krb5_cc_close(k5, *cc);
		*cc = own;
	}
	return code;
}

/* The cache that kinit(1) would take, too. */
static krb5_error_code choose_cache(const struct tool *t, krb5_principal client, krb5_ccache *cc)
{
	krb5_error_code code;

	*cc = NULL;
	if (t->o.ccache)
		return krb5_cc_resolve(t->ctx, t->o.ccache, cc);
	code = krb5_cc_default(t->ctx, cc);
	if (!code && krb5_cc_support_switch(t->ctx, krb5_cc_get_type(t->ctx, *cc)))
		code = of_collection(t->ctx, client, cc);
	return code;
}

/* All at once, where the cache's type can: from is gone then. */
static krb5_error_code move_tickets(struct tool *t, const char *name, krb5_ccache *from)
{
	krb5_principal client = NULL;
	krb5_ccache to = NULL;
	krb5_error_code code;
	bool several;

	/* What cannot be logged is not kept. */
	if (audit_command(t, "kinit", name, NULL, 0) != TOOL_OK)
		return ERR_POLICY;
	code = krb5_cc_get_principal(t->ctx, *from, &client);
	if (!code)
		code = choose_cache(t, client, &to);
	several = !code && krb5_cc_support_switch(t->ctx, krb5_cc_get_type(t->ctx, to));
	if (!code)
		code = krb5_cc_move(t->ctx, *from, to);
	if (!code) {
		*from = NULL;
		/* the default now, as with kinit(1); it serves by its name where it cannot be */
		if (several && !t->o.ccache)
			(void)krb5_cc_switch(t->ctx, to);
	}
	if (to)
		krb5_cc_close(t->ctx, to);
	krb5_free_principal(t->ctx, client);
	return code;
}

static int keep_tickets(struct tool *t, gss_cred_id_t cred)
{
	gss_name_t name = GSS_C_NO_NAME;
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	krb5_principal client = NULL;
	krb5_ccache cc = NULL;
	OM_uint32 minor = 0, ignored;
	struct ks_token_id id;
	krb5_error_code code;
	bool failed, plain = false;

	failed = GSS_ERROR(gss_inquire_cred(&minor, cred, &name, NULL, NULL, NULL)) ||
		 GSS_ERROR(gss_display_name(&minor, name, &text, NULL));
	code = failed ? 0 : krb5_parse_name(t->ctx, text.value, &client);
	if (!failed && !code)
		code = krb5_cc_new_unique(t->ctx, "MEMORY", NULL, &cc);
	if (cc && !code)
		code = krb5_cc_initialize(t->ctx, cc, client);
	if (cc && !code)
		failed = GSS_ERROR(gss_krb5_copy_ccache(&minor, cred, cc));
	if (cc && !code && !failed && !ks_ccache_marked(t->ctx, cc, &id))
		plain = true;
	else if (cc && !code && !failed)
		code = move_tickets(t, text.value, &cc);
	if (cc)
		krb5_cc_destroy(t->ctx, cc);
	krb5_free_principal(t->ctx, client);
	gss_release_buffer(&ignored, &text);
	gss_release_name(&ignored, &name);
	if (plain)
		say("these tickets' keys are on no token, and are not kept: is the GSS-API module "
		    "registered (see gss-pkcs11(7), or set GSS_MECH_CONFIG)?");
	if (plain)
		return TOOL_FAILED;
	if (failed)
		return gss_failed("the tickets cannot be kept", minor);
	return code ? fail(t, code, "the credential cache cannot be written") : TOOL_OK;
}

/* ---- with what ---- */

static int which_keytab(void)
{
	say("which client keytab? Give --keytab pkcs11:token=LABEL, or make the URI the default "
	    "(KRB5_CLIENT_KTNAME, or default_client_keytab_name in krb5.conf; files are for "
	    "kinit(1)); for tickets by a password, name the principal and leave out --use-keytab");
	return TOOL_USAGE;
}

/* Leaves t->uri NULL where the default is not on a token. */
static int find_keytab(struct tool *t)
{
	err_t err;

	if (t->o.keytab && !ks_conf_is_uri(t->o.keytab)) {
		say("--keytab %s is not a URI: write pkcs11:token=LABEL; kinit -k reads files",
		    printable(t->o.keytab));
		return TOOL_USAGE;
	}
	if (t->o.keytab)
		t->uri = strdup(t->o.keytab);
	else if ((err = ks_conf_client_uri(t->ctx, &t->uri)))
		return fail(t, err, "the default client keytab name");
	return t->uri || !(t->o.given & OPT_K) ? TOOL_OK : which_keytab();
}

static int take_identity(struct tool *t, const char *uri)
{
	err_t err = ks_card_check_uri(uri);

	if (t->o.given & (OPT_KEYTAB | OPT_K)) {
		say("--identity and --keytab: which shall get the tickets?");
		return TOOL_USAGE;
	}
	if (err) {
		fail(t, err, "--identity %s", printable(uri));
		return TOOL_USAGE;
	}
	t->uri = strdup(uri);
	return t->uri ? TOOL_OK : fail(t, ENOMEM, "--identity");
}

static int read_settings(struct tool *t)
{
	krb5_principal p = NULL;
	krb5_error_code code = 0;
	err_t err;

	if (t->o.n_args)
		code = krb5_parse_name(t->ctx, t->o.args[0], &p);
	if (code)
		return fail(t, code, "%s", printable(t->o.args[0]));
	ks_conf_fini(&t->conf);
	err = ks_conf_read(t->ctx, p ? p->realm.data : NULL, &t->conf);
	krb5_free_principal(t->ctx, p);
	return err ? fail(t, err, "reading krb5.conf") : TOOL_OK;
}

static int ask_password(struct tool *t, struct source *s)
{
	char *name = NULL;
	krb5_principal p = NULL;

	if (!t->conf.session_token) {
		say("there is no token for the session keys of a password's tickets: set session_token in "
		    "krb5.conf section [appdefaults] gssp11, or use kinit(1)");
		return TOOL_FAILED;
	}
	/* read_settings has parsed it */
	if (!krb5_parse_name(t->ctx, t->o.args[0], &p) && !krb5_unparse_name(t->ctx, p, &name))
		s->password = prompt_password(name);
	krb5_free_unparsed_name(t->ctx, name);
	krb5_free_principal(t->ctx, p);
	if (s->password)
		return TOOL_OK;
	say("there is no terminal to ask for the password on, or no password came: run this in a "
	    "terminal, or use a client keytab on a token where nobody can be asked");
	return TOOL_FAILED;
}

/* Keytab, card, password: what is said, else the first of them that there is. */
static int find_source(struct tool *t, struct source *s)
{
	int status;

	s->key = "identity";
	if (t->o.identity)
		return take_identity(t, t->o.identity);
	status = find_keytab(t);
	if (status == TOOL_OK && t->uri)
		s->key = "client_keytab";
	if (status != TOOL_OK || t->uri)
		return status;
	status = read_settings(t);
	if (status == TOOL_OK && t->conf.identity)
		return take_identity(t, t->conf.identity);
	if (status != TOOL_OK)
		return status;
	s->key = NULL;
	return t->o.n_args ? ask_password(t, s) : which_keytab();
}

static int check_flags(const struct tool *t)
{
	const unsigned both[] = { OPT_FORWARD | OPT_NO_FORWARD, OPT_PROXY | OPT_NO_PROXY };
	size_t i;

	for (i = 0; i < 2; i++) {
		if ((t->o.given & both[i]) == both[i]) {
			say("--%s and --not-%s: which shall it be?", i ? "proxiable" : "forwardable",
			    i ? "proxiable" : "forwardable");
			return TOOL_USAGE;
		}
	}
	return TOOL_OK;
}

/* The KDC's and libkrb5's words for a wrong key name no cure. */
static void say_cure(const struct source *s, OM_uint32 minor)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 ignored, more = 0;
	const char *why;

	gss_display_status(&ignored, minor, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5, &more, &text);
	why = text.length ? text.value : "";
	if (strstr(why, "AP-REQ armor"))
		say("armor_ccache in krb5.conf must name a cache with a ticket-granting ticket that has "
		    "not expired: get one there (kinit -n -c, gssp11 kinit -c), with the setting left out");
	else if (!strstr(why, "Preauthentication failed") && !strstr(why, "integrity check failed"))
		;
	else if (s->password)
		say("is the password right?");
	else if (s->key && !strcmp(s->key, "client_keytab"))
		say("has the KDC a newer key than the token? Bring it in with \"gssp11 keytab import "
		    "--use initiate\"");
	gss_release_buffer(&ignored, &text);
}

int kinit(struct tool *t)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	struct source s = { NULL, NULL };
	OM_uint32 minor, ignored;
	int status;

	prompt_register();
	if (t->o.given & (OPT_RENEW | OPT_VALIDATE))
		return kinit_again(t);
	status = check_flags(t);
	if (status == TOOL_OK)
		status = find_source(t, &s);
	if (status != TOOL_OK)
		return status;
	if (GSS_ERROR(get_tickets(t, &minor, &s, &cred))) {
		status = gss_failed("no tickets", minor);
		say_cure(&s, minor);
		(void)audit_command(t, "kinit", t->o.n_args ? t->o.args[0] : NULL, NULL, EACCES);
	} else {
		status = keep_tickets(t, cred);
	}
	gss_release_cred(&ignored, &cred);
	secret_free(&s.password);
	return status;
}
