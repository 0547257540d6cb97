/* The audit log: settings, events, signatures. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "keystore/audit_int.h"
#include "keystore/conf.h"
#include "keystore/ref_int.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

#define SOCKET "/dev/log"
enum { MAX_AGE = 5 };           /* seconds until changed settings are noticed */

/* ---- settings --------------------------------------------------------------------- */

/* Of the default realm; "" where it is not set. */
static err_t setting(krb5_context ctx, const krb5_data *realm, const char *name, char *out,
		     size_t size)
{
	char *value;
	err_t err;

	err = ks_conf_string(ctx, realm, name, &value);
	if (err)
		return err;
	if ((size_t)snprintf(out, size, "%s", value ? value : "") >= size)
		err = err_set(ERR_CONFIG, "%s in krb5.conf section [appdefaults] gssp11 is too long",
			      name);
	free(value);
	return err;
}

static err_t read_where(const char *value, struct audit_conf *out)
{
	const char *path = strchr(value, ':');

	if (!value[0] || strcasecmp(value, "off") == 0)
		return 0;
	out->where = strncasecmp(value, "file:", 5) == 0 ? AUDIT_FILE :
		     strcasecmp(value, "syslog") == 0 || strncasecmp(value, "syslog:", 7) == 0 ?
		     AUDIT_SYSLOG : AUDIT_OFF;
	snprintf(out->path, sizeof(out->path), "%s", path ? path + 1 : SOCKET);
	if (out->where == AUDIT_OFF || out->path[0] != '/' ||
	    (out->where == AUDIT_SYSLOG && strlen(out->path) > 100))
		return err_set(ERR_CONFIG, "\"%.200s\" is not a value of audit in krb5.conf section "
			       "[appdefaults] gssp11: write off, syslog or file:/path", value);
	return 0;
}

static err_t read_required(const char *value, struct audit_conf *out)
{
	static const char *const yes[] = { "true", "yes", "y", "t", "1", "on" };
	static const char *const no[] = { "false", "no", "n", "nil", "0", "off", "f", "" };
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		out->required = out->required || strcasecmp(value, yes[i]) == 0;
	for (i = 0; i < sizeof(no) / sizeof(no[0]) && !out->required; i++) {
		if (strcasecmp(value, no[i]) == 0)
			return 0;
	}
	return out->required ? 0 : err_set(ERR_CONFIG, "\"%.64s\" is not a value of "
		"audit_required in krb5.conf section [appdefaults] gssp11: write true or false",
		value);
}

static err_t read_all(krb5_context ctx, const krb5_data *realm, struct audit_conf *out)
{
	char value[512];
	err_t err;

	err = setting(ctx, realm, "audit_required", value, sizeof(value));
	if (!err)
		err = read_required(value, out);
	if (!err)
		err = setting(ctx, realm, "audit", value, sizeof(value));
	if (!err)
		err = read_where(value, out);
	if (!err)
		err = setting(ctx, realm, "state_dir", out->state_dir, sizeof(out->state_dir));
	if (!err && out->required && out->where == AUDIT_OFF)
		err = err_set(ERR_CONFIG, "audit_required = true in krb5.conf section [appdefaults] "
			      "gssp11, and no audit log: set audit");
	return err;
}

static err_t read_conf(krb5_context ctx, struct audit_conf *out)
{
	char *realm = NULL;
	krb5_data data = { 0 };
	err_t err;

	memset(out, 0, sizeof(*out));
	if (krb5_get_default_realm(ctx, &realm) == 0) {
		data.data = realm;
		data.length = (unsigned)strlen(realm);
	}
	err = read_all(ctx, realm ? &data : NULL, out);
	krb5_free_default_realm(ctx, realm);
	return err;
}

/* What this thread read last, for a few seconds: every accept asks. */
static _Thread_local struct {
	krb5_context ctx;
	time_t at;               /* CLOCK_MONOTONIC */
	struct audit_conf conf;
} kept;

void ks_audit_forget(void)
{
	kept.ctx = NULL;
}

err_t audit_conf_read(krb5_context ctx, struct audit_conf *out)
{
	struct timespec now = { 0 };
	err_t err;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (kept.ctx == ctx && now.tv_sec - kept.at < MAX_AGE) {
		*out = kept.conf;
		return 0;
	}
	err = read_conf(ctx, out);
	kept.ctx = err ? NULL : ctx;
	kept.at = now.tv_sec;
	kept.conf = *out;
	return err;
}

bool ks_audit_on(krb5_context ctx)
{
	struct audit_conf c;

	return audit_conf_read(ctx, &c) != 0 || c.where != AUDIT_OFF;
}

/* ---- events ------------------------------------------------------------------------- */

static err_t append(const struct audit_conf *c, const char *body, struct audit_end *end,
		    bool *due)
{
	return c->where == AUDIT_FILE ? audit_append_file(c, body, end, due) :
	       audit_append_syslog(c, body, end, due);
}

/* Signs what stands; the lines that come meanwhile are for the next signature. */
static err_t sign(const struct audit_conf *c, struct tok *t, const struct audit_end *end,
		  bool make_key)
{
	const struct ks_audit_event e = { .event = "checkpoint" };
	uint8_t mac[KS_REF_MAC], id[REF_ID];
	char text[256], body[AUDIT_LINE], hex[2 * KS_REF_MAC + 1];
	struct audit_end ignored;
	bool due = false;
	size_t n;
	err_t err;

	/* Nobody who authenticates waits until a key is made. */
	err = make_key ? 0 : ref_choose(t, id);
	if (err)
		return err;
	audit_signed_text(end->chain, end->seq, end->hash, text, sizeof(text));
	err = ks_ref_mac(t, (const uint8_t *)text, strlen(text), mac);
	if (err)
		return err;
	hex_put(mac, sizeof(mac), hex);
	audit_compose(t, &e, body, sizeof(body));
	n = strlen(body);
	snprintf(body + n, sizeof(body) - n, " covers=%" PRIu64 " hash=%s mac=%s", end->seq,
		 end->hash, hex);
	return append(c, body, &ignored, &due);
}

/* t: whose key it is about; signer: the same where it may sign now, else NULL. */
static err_t log_event(const struct audit_conf *c, const struct tok *t, struct tok *signer,
		       const struct ks_audit_event *e)
{
	char body[AUDIT_LINE - 512];
	struct audit_end end;
	bool due = signer != NULL;
	err_t err;

	audit_compose(t, e, body, sizeof(body));
	err = append(c, body, &end, &due);
	if (!err && due && sign(c, signer, &end, false))
		trace("audit: no signature this time");
	return err;
}

err_t ks_audit(krb5_context ctx, struct tok *t, const struct ks_audit_event *e)
{
	struct audit_conf c;
	const char *why;
	err_t err;

	err = audit_conf_read(ctx, &c);
	if (err == ERR_CONFIG)
		return err;
	if (!err && c.where != AUDIT_OFF)
		err = log_event(&c, t, t, e);
	if (!err)
		return 0;
	why = err_text(err);
	trace("audit: %s is not in the log: %s", e->event, why ? why : strerror(err));
	if (!c.required)
		return 0;
	return err == ERR_CONFIG ? err : err_set(ERR_POLICY, "audit_required: %.300s",
						 why ? why : strerror(err));
}

void ks_audit_selftest(const struct tok *t, const char *test, err_t result)
{
	const char *text = result ? err_text(result) : NULL;
	char *why = text ? strdup(text) : NULL;
	const struct ks_audit_event e = {
		.event = "selftest", .result = ks_audit_result_of(result), .detail = test,
		.reason = why
	};
	krb5_context ctx = NULL;
	struct audit_conf c;

	if (krb5_init_context(&ctx) || audit_conf_read(ctx, &c) ||
	    (c.where != AUDIT_OFF && log_event(&c, t, NULL, &e)))
		trace("audit: selftest is not in the log");
	/* The next context may be at the same address. */
	ks_audit_forget();
	krb5_free_context(ctx);
	if (why)
		(void)err_set(result, "%s", why);
	free(why);
}

enum ks_audit_result ks_audit_result_of(err_t err)
{
	return !err ? KS_AUDIT_OK : err == ERR_POLICY ? KS_AUDIT_REFUSED : KS_AUDIT_FAILED;
}

/* ---- gssp11 audit sign ---------------------------------------------------------------- */

static err_t mark_id(const struct audit_end *end, uint8_t id[AUDIT_ID])
{
	uint8_t chain[8], hash[16];
	struct wr w;

	if (!hex_get(end->chain, chain, sizeof(chain)) || !hex_get(end->hash, hash, sizeof(hash)))
		return err_set(ERR_FORMAT, "the audit log's end is not known");
	wr_init(&w, id, AUDIT_ID);
	wr_bytes(&w, "gp11\1", 5);
	wr_u8(&w, AUDIT_RECORD);
	wr_bytes(&w, chain, sizeof(chain));
	wr_be64(&w, end->seq);
	wr_bytes(&w, hash, sizeof(hash));
	return 0;
}

/* The new mark first: there is always one. */
static err_t leave_mark(struct tok *t, const struct audit_end *end)
{
	struct tok_object *objs = NULL;
	uint8_t id[AUDIT_ID];
	size_t n = 0, i;
	err_t err;

	err = mark_id(end, id);
	if (!err)
		err = tok_mark_create(t, AUDIT_MARK, id, AUDIT_ID);
	if (!err)
		err = tok_objects_list(t, AUDIT_MARK, &objs, &n);
	for (i = 0; !err && i < n; i++) {
		if (objs[i].id_len == AUDIT_ID && memcmp(objs[i].id, id, 14) == 0 &&
		    memcmp(objs[i].id, id, AUDIT_ID) < 0)
			err = tok_object_destroy(t, AUDIT_MARK, objs[i].id, AUDIT_ID);
		if (err == ERR_KEY_ABSENT)
			err = 0;
	}
	tok_objects_free(&objs, n);
	return err;
}

err_t ks_audit_sign(krb5_context ctx, struct tok *t, uint64_t *seq)
{
	const struct ks_audit_event e = { .event = "sign" };
	char body[AUDIT_LINE];
	struct audit_conf c;
	struct audit_end end;
	bool due = true;
	err_t err;

	*seq = 0;
	err = audit_conf_read(ctx, &c);
	if (!err && c.where == AUDIT_OFF)
		err = err_set(ERR_CONFIG, "there is no audit log: set audit in krb5.conf section "
			      "[appdefaults] gssp11");
	if (err)
		return err;
	audit_compose(t, &e, body, sizeof(body));
	err = append(&c, body, &end, &due);
	if (!err)
		err = sign(&c, t, &end, true);
	if (!err)
		err = leave_mark(t, &end);
	if (!err)
		*seq = end.seq;
	return err;
}
