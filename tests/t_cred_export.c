/*
 * Exported credentials: what another process of the same token makes of them,
 * who cannot read them and why, and what is in them.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/pin.h>

#include "mech/passthrough.h"
#include "tests/lib/exported.h"

#define NEED EXP_NEED
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- round trips ---------------------------------------------------------------- */

/* By the default keytab. */
static void run_importer(void)
{
	exp_doing = "importing with the default keytab";
	exp_import_all();
}

static void settings(const char *name, const char *value)
{
	char text[1200];

	snprintf(text, sizeof(text), "[appdefaults]\n gssp11 = {\n  %s = %s\n }\n", name, value);
	acc_environment(text);
	setenv("KRB5_KTNAME", "FILE:/nonexistent", 1);
}

/* The keytab's token is the one for session keys. */
static void run_by_session_token(void)
{
	exp_doing = "importing with a session token";
	settings("session_token", exp_box->uri);
	exp_import_all();
}

/* The application has opened it by a store. */
static void run_by_store(void)
{
	struct mech_cred *c = acc_cred(exp_box, NULL, NULL);

	exp_doing = "importing with the keytab open";
	setenv("KRB5_KTNAME", "FILE:/nonexistent", 1);
	exp_import_all();
	mech_cred_free(&c);
}

/* ---- a process that cannot open the token ------------------------------------------ */

static void check_absent(const char *text)
{
	gss_buffer_desc b = exp_load(0);

	exp_refused(&b, GSS_S_NO_CRED, ERR_TOKEN_ABSENT, exp_box->label);
	exp_refused(&b, GSS_S_NO_CRED, ERR_TOKEN_ABSENT, "exported credential belongs to token");
	exp_refused(&b, GSS_S_NO_CRED, ERR_TOKEN_ABSENT, text);
	free(b.value);
}

static void run_without(void)
{
	exp_doing = "no way to the token";
	setenv("KRB5_KTNAME", "FILE:/nonexistent", 1);
	check_absent("serial number");
}

static unsigned asked;

static P11KitPin *answer(const char *source, P11KitUri *uri, const char *description,
			 P11KitPinFlags flags, void *data)
{
	asked++;
	return p11_kit_pin_new_for_string(exp_box->pin);
}

/*
 * The module alone opens no token that wants a PIN, and a blob's word is not
 * enough to have anybody asked for one.
 */
static void run_module_only(void)
{
	exp_doing = "a module without a PIN";
	settings("module", exp_box->module);
	p11_kit_pin_register_callback(P11_KIT_PIN_FALLBACK, answer, NULL, NULL);
	check_absent("PIN");
	NEED(asked == 0);
}

static void run_no_pin(void)
{
	char *uri = NULL, *pin = box_file("world.pin", "1234\n", 0644);

	exp_doing = "a PIN file that everybody can read";
	NEED(asprintf(&uri, "%s?module-path=%s&pin-source=file:%s", exp_box->bare, exp_box->module, pin) > 0);
	setenv("KRB5_KTNAME", uri, 1);
	check_absent(pin);
	free(uri);
	free(pin);
}

/* Only the other token is to be had. */
static void run_foreign(void)
{
	const struct box_token *mine = exp_box, *other;

	exp_doing = "another token";
	other = box_token(strcmp(exp_box->name, "nss") ? "nss" : "softhsm");
	setenv("KRB5_KTNAME", other->uri, 1);
	check_absent(mine->label);
}

/* Names of tokens that blobs bring along are not kept without end. */
static void run_many_names(void)
{
	gss_buffer_desc b = exp_load(0);
	uint8_t *p = b.value;
	OM_uint32 major;

	exp_doing = "many names";
	setenv("KRB5_KTNAME", "FILE:/nonexistent", 1);
	for (int i = 0; i < 64; i++) {
		p[EXP_LABEL + 1] = (uint8_t)('0' + i);
		NEED(exp_try_import(&b, &major) == ERR_TOKEN_ABSENT && major == GSS_S_NO_CRED);
	}
	free(b.value);
}

/* ---- what is in them ------------------------------------------------------------------ */

static bool holds(const gss_buffer_desc *b, const void *p, size_t n)
{
	return memmem(b->value, b->length, p, n) != NULL;
}

static void check_no_base64(const gss_buffer_desc *b, const uint8_t *p, size_t n)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[64];
	size_t i, at = 0;

	for (i = 0; i + 3 <= n; i += 3) {
		uint32_t v = (uint32_t)(p[i] << 16 | p[i + 1] << 8 | p[i + 2]);

		for (int k = 18; k >= 0; k -= 6)
			text[at++] = abc[v >> k & 63];
	}
	NEED(!holds(b, text, 8) && !holds(b, text + 12, 8));
}

static void check_contents(const gss_buffer_desc *b)
{
	NEED(holds(b, exp_box->bare, strlen(exp_box->bare)) && holds(b, exp_box->label, strlen(exp_box->label)));
	NEED(!holds(b, exp_box->pin, strlen(exp_box->pin)) && !holds(b, exp_box->pin_file, strlen(exp_box->pin_file)));
	NEED(!holds(b, exp_box->module, strlen(exp_box->module)) && !holds(b, ".so", 3));
	NEED(!holds(b, "pin-", 4) && !holds(b, "module-", 7));
	for (size_t i = 0; i + 8 <= exp_key.len; i++)
		NEED(!holds(b, exp_key.bytes + i, 8));
	for (size_t i = 0; i + 8 <= sizeof(exp_session_key); i++)
		NEED(!holds(b, exp_session_key + i, 8));
	check_no_base64(b, exp_session_key, sizeof(exp_session_key));
	check_no_base64(b, exp_key.bytes, exp_key.len);
}

static void run_contents(void)
{
	gss_buffer_desc b;

	exp_doing = "contents";
	for (size_t i = 0; i < EXP_WISHES; i++) {
		b = exp_load(i);
		check_contents(&b);
		free(b.value);
	}
	b = exp_load(EXP_WISHES - 1);
	NEED(holds(&b, "export.cc", 9));         /* the cache's name */
	free(b.value);
}

/* ---- tickets in memory ------------------------------------------------------------------ */

static void tickets_to_memory(void)
{
	krb5_ccache from, to;

	exp_use_tickets();
	NEED(!krb5_cc_resolve(acc_krb5(), getenv("KRB5CCNAME"), &from));
	NEED(!krb5_cc_resolve(acc_krb5(), "MEMORY:export", &to));
	NEED(!krb5_cc_move(acc_krb5(), from, to));
	krb5_cc_close(acc_krb5(), to);
	setenv("KRB5CCNAME", "MEMORY:export", 1);
}

static bool initiates(gss_cred_id_t stock)
{
	gss_name_t target = acc_target(ACC_SERVICE);
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, ignored;

	major = gss_init_sec_context(&exp_minor, stock, &ctx, target, mech_oid_stock(NULL), 0, 0, NULL,
				     NULL, NULL, &out, NULL, NULL);
	gss_release_buffer(&ignored, &out);
	gss_release_name(&ignored, &target);
	gss_delete_sec_context(&ignored, &ctx, NULL);
	return !GSS_ERROR(major);
}

/* gss_add_cred copies by export and import; here done by hand. */
static void run_memory(void)
{
	gss_buffer_desc b;
	struct mech_cred *c = NULL;

	exp_doing = "tickets in memory";
	tickets_to_memory();
	b = exp_export(&exp_wishes[EXP_WISHES - 1]);
	check_contents(&b);
	NEED(mech_cred_import(&exp_minor, NULL, &b, &c) == GSS_S_COMPLETE);
	exp_same(c, &exp_wishes[EXP_WISHES - 1]);
	NEED(initiates(c->stock));
	exp_accepts(c);
	mech_cred_free(&c);
	exp_save(99, &b);
	free(b.value);
}

static void run_memory_elsewhere(void)
{
	gss_buffer_desc b = exp_load(99);

	exp_doing = "tickets in another process's memory";
	exp_refused(&b, GSS_S_NO_CRED, ERR_KEY_ABSENT, "only in the process that exported");
	free(b.value);
}

/* The layer's own copy. */
static void run_add_cred(void)
{
	gss_OID mech = (gss_OID)gss_mech_krb5;
	gss_OID_set_desc mechs = { 1, mech };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL, copy = GSS_C_NO_CREDENTIAL;
	gss_cred_usage_t usage = -1;
	OM_uint32 ignored;

	exp_doing = "gss_add_cred";
	tickets_to_memory();
	NEED(gss_acquire_cred(&exp_minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_BOTH, &c, NULL, NULL) == 0);
	NEED(gss_add_cred(&exp_minor, c, GSS_C_NO_NAME, (gss_OID)gss_mech_iakerb, GSS_C_INITIATE, 0, 0,
			  &copy, NULL, NULL, NULL) == GSS_S_COMPLETE);
	NEED(gss_inquire_cred_by_mech(&exp_minor, copy, mech, NULL, NULL, NULL, &usage) == 0);
	NEED(usage == GSS_C_BOTH);
	gss_release_cred(&ignored, &copy);
	gss_release_cred(&ignored, &c);
}

/* ---- ---------------------------------------------------------------------------------- */

/* Each way for both tokens; the first writes what the others read. */
static void (*const parts[])(void) = {
	exp_write_all, run_importer, run_by_session_token, run_by_store, run_without,
	run_module_only, run_no_pin, run_foreign, run_many_names, run_contents, run_memory,
	run_memory_elsewhere, run_add_cred,
};

static void with(const char *name)
{
	exp_box = box_token(name);
	acc_environment(NULL);
	exp_fixture();
	for (size_t i = 0; i < LEN(parts); i++)
		exp_in_child(parts[i]);
}

static void softhsm(void)
{
	with("softhsm");
}

static void nss(void)
{
	with("nss");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "SoftHSM2", softhsm }, { "NSS softoken", nss }, CU_TEST_INFO_NULL,
	};

	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	box_tokens(NULL);
	acc_environment(NULL);
	return box_suite("exported credentials", NULL, NULL, tests);
}
