/* The negotiation loop with everything that can happen to its tokens. */
#include "tests/lib/loop_case.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/probe_use.h"

static OM_uint32 minor, ignored;
static char spnego_der[] = "\x2b\x06\x01\x05\x05\x02";
gss_OID_desc loop_spnego = { sizeof(spnego_der) - 1, spnego_der };

/* ---- on the wire ---- */

/* l->at: which token, times 1000, and how far from its end. */
static bool is_turn(const struct loop *l)
{
	return l->legs == l->at / 1000;
}

static bool flip(struct loop *l, gss_buffer_t token)
{
	size_t back = l->at % 1000;

	if (is_turn(l) && back && back <= token->length)
		((unsigned char *)token->value)[token->length - back] ^= 0x55;
	return true;
}

static bool cut(struct loop *l, gss_buffer_t token)
{
	if (is_turn(l) && l->at % 1000 < token->length)
		token->length -= l->at % 1000;
	return true;
}

static bool empty(struct loop *l, gss_buffer_t token)
{
	if (is_turn(l))
		gss_release_buffer(&ignored, token);
	return true;
}

static bool lose(struct loop *l, gss_buffer_t token)
{
	return !is_turn(l);
}

static void replace(gss_buffer_t token, gss_buffer_desc by)
{
	gss_release_buffer(&ignored, token);
	*token = by;
}

static bool rubbish(struct loop *l, gss_buffer_t token)
{
	if (is_turn(l))
		memset(token->value, l->at % 1000 ? (int)(l->at % 1000) : 'x', token->length);
	return true;
}

/* The first octet behind the OID is the token's type: 1, 2 and 3, and then a 0. */
static bool retype(struct loop *l, gss_buffer_t token)
{
	static const char oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
	unsigned char *p = token->value, *end = p + token->length;

	if (!is_turn(l))
		return true;
	p = memmem(p, token->length, oid, 9);
	/* In SPNEGO the first one is that of the list. */
	while (p && p + 10 < end && p[10])
		p = memmem(p + 9, (size_t)(end - p - 9), oid, 9);
	if (p && p + 10 < end)
		p[9] = l->at % 1000;
	return true;
}

/* Another mechanism's OID, as long as krb5's. */
static bool rename_mech(struct loop *l, gss_buffer_t token)
{
	static const char oid[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
	unsigned char *p = is_turn(l) ? memmem(token->value, token->length, oid, 9) : NULL;

	if (p)
		p[8] = 9;
	return true;
}

static bool error_instead(struct loop *l, gss_buffer_t token)
{
	if (is_turn(l))
		replace(token, loop_error_token((int)(l->at % 1000)));
	return true;
}

/* The second token is the first one again. */
static bool reflect(struct loop *l, gss_buffer_t token)
{
	if (is_turn(l))
		replace(token, loop_copy(&l->kept));
	else if (!l->kept.length)
		l->kept = loop_copy(token);
	return true;
}

/* ---- the parties ---- */

static gss_cred_id_t acquire(gss_name_t name, gss_cred_usage_t usage, gss_OID mech,
			     gss_key_value_element_desc e)
{
	gss_key_value_set_desc store = { 1, &e };
	gss_OID_set_desc mechs = { 1, mech };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 major;

	major = gss_acquire_cred_from(&minor, name, 0, &mechs, usage, &store, &c, NULL, NULL);
	show_status(usage == GSS_C_ACCEPT ? "acceptor's credential" : "initiator's credential", major,
		    minor);
	return c;
}

static gss_name_t host_name(const char *s)
{
	gss_name_t n = GSS_C_NO_NAME;
	gss_buffer_desc b;

	if (!s)
		return n;
	b = show_text(s);
	gss_import_name(&minor, &b, GSS_C_NT_HOSTBASED_SERVICE, &n);
	return n;
}

static gss_cred_id_t initiator(const struct loop_case *c, gss_OID mech)
{
	gss_key_value_element_desc e = { "ccache", loop_file(c->ccache ? c->ccache : "ccache") };
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t cred;

	if (!c->no_ci)
		return GSS_C_NO_CREDENTIAL;
	cred = acquire(GSS_C_NO_NAME, GSS_C_INITIATE, mech, e);
	gss_set_cred_option(&minor, &cred, (gss_OID)GSS_KRB5_CRED_NO_CI_FLAGS_X, &none);
	return cred;
}

static gss_cred_id_t acceptor(const struct loop_case *c, gss_OID mech)
{
	gss_key_value_element_desc e = { "keytab", getenv("KRB5_KTNAME") };
	gss_name_t name = host_name(c->acceptor);
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;

	if (!c->by_default)
		cred = acquire(name, GSS_C_ACCEPT, mech, e);
	gss_release_name(&ignored, &name);
	return cred;
}

void loop_ready(const struct loop_case *c, gss_OID mech, struct loop *l)
{
	memset(l, 0, sizeof(*l));
	setenv("KRB5CCNAME", loop_file(c->ccache ? c->ccache : "ccache"), 1);
	l->i = (struct loop_side){
		.initiator = true, .mech = mech, .ask = c->ask, .need = c->need, .never = c->never,
		.bind = c->bind_i, .bare = c->bare, .cred = initiator(c, mech),
		.target = host_name(c->target ? c->target : "HTTP@www.test.org"),
	};
	l->a = (struct loop_side){
		.need = c->need_a, .never = c->never_a, .peer = c->peer, .bind = c->bind_a,
		.bare = c->bare, .cred = acceptor(c, mech),
	};
	l->wire = c->wire;
	l->at = c->at;
	l->half = c->half;
}

void loop_talk(struct loop *l)
{
	for (int conf = 0; conf < 2; conf++) {
		probe_message(l->i.ctx, l->a.ctx, conf);
		probe_message(l->a.ctx, l->i.ctx, conf);
	}
}

void loop_over(struct loop *l)
{
	if (l->i.ctx)
		probe_inquire("initiator", l->i.ctx);
	if (l->a.ctx)
		probe_inquire("acceptor", l->a.ctx);
	if (l->i.ctx && l->a.ctx)
		loop_talk(l);
	loop_end(l);
	gss_release_name(&ignored, &l->i.target);
	gss_release_cred(&ignored, &l->i.cred);
	gss_release_cred(&ignored, &l->a.cred);
}

/* ---- the tables ---- */

static const struct loop_case flags[] = {
	{ .what = "no flags", .half = true },
	{ .what = "mutual", .ask = GSS_C_MUTUAL_FLAG, .need = GSS_C_MUTUAL_FLAG, .half = true },
	{ .what = "everything", .ask = LOOP_ALL | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG, .half = true,
	  .need = LOOP_ALL | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG,
	  .need_a = LOOP_ALL | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG },
	{ .what = "no optional outputs", .ask = LOOP_ALL, .need = LOOP_ALL, .need_a = LOOP_ALL,
	  .bare = true },
	{ .what = "replay alone", .ask = GSS_C_REPLAY_FLAG, .need = GSS_C_REPLAY_FLAG,
	  .never = GSS_C_SEQUENCE_FLAG, .never_a = GSS_C_SEQUENCE_FLAG },
	{ .what = "sequence alone", .ask = GSS_C_SEQUENCE_FLAG, .need = GSS_C_SEQUENCE_FLAG,
	  .never_a = GSS_C_REPLAY_FLAG },
	{ .what = "DCE style", .ask = LOOP_ALL | GSS_C_DCE_STYLE, .need = GSS_C_MUTUAL_FLAG,
	  .half = true },
	{ .what = "DCE style alone", .ask = GSS_C_DCE_STYLE, .need = GSS_C_MUTUAL_FLAG,
	  .need_a = GSS_C_MUTUAL_FLAG },
	{ .what = "identify", .ask = LOOP_ALL | GSS_C_IDENTIFY_FLAG },
	{ .what = "extended error", .ask = LOOP_ALL | GSS_C_EXTENDED_ERROR_FLAG },
	{ .what = "delegation", .ask = LOOP_ALL | GSS_C_DELEG_FLAG, .never = GSS_C_DELEG_FLAG,
	  .never_a = GSS_C_DELEG_FLAG, .ccache = "forwardable" },
	{ .what = "delegation by policy", .ask = LOOP_ALL | GSS_C_DELEG_POLICY_FLAG,
	  .ccache = "forwardable" },
	{ .what = "every flag", .ask = ~(OM_uint32)GSS_C_DCE_STYLE },
	{ .what = "transferable", .ask = LOOP_ALL | GSS_C_TRANS_FLAG, .need = GSS_C_TRANS_FLAG,
	  .need_a = GSS_C_TRANS_FLAG },
	{ .what = "ready acceptor", .ask = LOOP_ALL, .need_a = GSS_C_PROT_READY_FLAG },
	{ .what = "ready acceptor, not mutual", .need_a = GSS_C_PROT_READY_FLAG },
	{ .what = "ready initiator", .ask = LOOP_ALL, .need = GSS_C_PROT_READY_FLAG },
	{ .what = "acceptor without a credential", .ask = LOOP_ALL, .by_default = true },
	{ .what = "acceptor by name", .ask = LOOP_ALL, .acceptor = "HTTP@www.test.org" },
	{ .what = "acceptor of all hosts", .ask = LOOP_ALL, .acceptor = "HTTP" },
};

static const struct loop_case refused[] = {
	{ .what = "mutual authentication that was not asked for", .need = GSS_C_MUTUAL_FLAG },
	{ .what = "an acceptor that must authenticate itself", .need_a = GSS_C_MUTUAL_FLAG },
	{ .what = "no confidentiality", .ask = LOOP_ALL, .no_ci = true, .need = GSS_C_CONF_FLAG },
	{ .what = "no integrity, to the acceptor", .ask = LOOP_ALL, .no_ci = true,
	  .need_a = GSS_C_INTEG_FLAG },
	{ .what = "no confidentiality, and it is all right", .ask = LOOP_ALL, .no_ci = true },
	{ .what = "anonymity that is not granted", .ask = LOOP_ALL | GSS_C_ANON_FLAG,
	  .need = GSS_C_ANON_FLAG },
	{ .what = "anonymity that is given up", .ask = LOOP_ALL | GSS_C_ANON_FLAG },
	{ .what = "an anonymous ticket", .ask = LOOP_ALL, .ccache = "anonymous" },
	{ .what = "an anonymous ticket, and the flag", .ask = LOOP_ALL | GSS_C_ANON_FLAG,
	  .ccache = "anonymous", .need = GSS_C_ANON_FLAG },
	{ .what = "an anonymous initiator that is not wanted", .ask = LOOP_ALL, .ccache = "anonymous",
	  .peer = LOOP_NAMED },
	{ .what = "an anonymous initiator that is not wanted, no outputs", .ask = LOOP_ALL,
	  .ccache = "anonymous", .peer = LOOP_NAMED, .bare = true },
	{ .what = "an anonymous initiator that is wanted", .ask = LOOP_ALL, .ccache = "anonymous",
	  .peer = LOOP_NAMELESS },
	{ .what = "a named initiator where a nameless one is wanted", .ask = LOOP_ALL,
	  .peer = LOOP_NAMELESS },
	{ .what = "a named initiator where one is wanted", .ask = LOOP_ALL, .peer = LOOP_NAMED },
};

/* The initiator's first call fails. */
static const struct loop_case unable[] = {
	{ .what = "no credential cache", .ask = LOOP_ALL, .ccache = "missing" },
	{ .what = "an empty cache", .ask = LOOP_ALL, .ccache = "empty" },
	{ .what = "no ticket, and no KDC", .ask = LOOP_ALL, .target = "HTTP@nowhere.test.org" },
	{ .what = "an expired ticket", .ask = LOOP_ALL, .ccache = "expired" },
	{ .what = "a realm that is not known", .ask = LOOP_ALL, .target = "HTTP@www.elsewhere.org" },
};

/* The acceptor fails, and tells the initiator if that waits for an answer. */
static const struct loop_case accepting[] = {
	{ .what = "a ticket for another key", .ask = LOOP_ALL, .target = "HTTP@mail.test.org" },
	{ .what = "a ticket of another service", .ask = LOOP_ALL, .acceptor = "host@www.test.org" },
	{ .what = "an expired ticket that seemed good", .ask = LOOP_ALL, .ccache = "late" },
	{ .what = "a ticket that is not valid yet", .ask = LOOP_ALL, .ccache = "early" },
	{ .what = "a ticket that is invalid", .ask = LOOP_ALL, .ccache = "invalid" },
	{ .what = "an initiator whose clock is ahead", .ask = LOOP_ALL, .ccache = "ahead" },
	{ .what = "bindings that match", .ask = LOOP_ALL, .bind_i = "tls", .bind_a = "tls",
	  .need_a = GSS_C_CHANNEL_BOUND_FLAG },
	{ .what = "bindings that differ", .ask = LOOP_ALL, .bind_i = "tls", .bind_a = "other" },
	{ .what = "the initiator's bindings alone", .ask = LOOP_ALL, .bind_i = "tls",
	  .never_a = GSS_C_CHANNEL_BOUND_FLAG },
	{ .what = "the acceptor's bindings alone", .ask = LOOP_ALL, .bind_a = "tls" },
	{ .what = "bindings that the acceptor needs", .ask = LOOP_ALL, .bind_a = "tls",
	  .need_a = GSS_C_CHANNEL_BOUND_FLAG },
	{ .what = "a spoilt authenticator", .ask = LOOP_ALL, .wire = flip, .at = 1005 },
	{ .what = "a spoilt ticket", .ask = LOOP_ALL, .wire = flip, .at = 1500 },
	{ .what = "an error token to the acceptor", .ask = LOOP_ALL, .wire = error_instead,
	  .at = 1060 },
	{ .what = "an AP-REQ that says it is an AP-REP", .ask = LOOP_ALL, .wire = retype, .at = 1002 },
	{ .what = "an AP-REQ of an unknown kind", .ask = LOOP_ALL, .wire = retype, .at = 1009 },
	{ .what = "another mechanism's token", .ask = LOOP_ALL, .wire = rename_mech, .at = 1000 },
	{ .what = "rubbish for the acceptor", .ask = LOOP_ALL, .wire = rubbish, .at = 1000 },
	{ .what = "a frame of rubbish for the acceptor", .ask = LOOP_ALL, .wire = rubbish, .at = 1096 },
	{ .what = "an AP-REQ that is cut off", .ask = LOOP_ALL, .wire = cut, .at = 1001 },
	{ .what = "half an AP-REQ", .ask = LOOP_ALL, .wire = cut, .at = 1300 },
	{ .what = "an empty token for the acceptor", .ask = LOOP_ALL, .wire = empty, .at = 1000 },
	{ .what = "no token for the acceptor", .ask = LOOP_ALL, .wire = lose, .at = 1000 },
};

/* The initiator fails on the acceptor's answer; over SPNEGO it has something to say to that. */
static const struct loop_case answers[] = {
	{ .what = "a spoilt AP-REP", .ask = LOOP_ALL, .wire = flip, .at = 2005 },
	{ .what = "an AP-REP spoilt in the middle", .ask = LOOP_ALL, .wire = flip, .at = 2060 },
	{ .what = "an AP-REP that is cut off", .ask = LOOP_ALL, .wire = cut, .at = 2001 },
	{ .what = "half an AP-REP", .ask = LOOP_ALL, .wire = cut, .at = 2060 },
	{ .what = "an empty token for the initiator", .ask = LOOP_ALL, .wire = empty, .at = 2000 },
	{ .what = "no token for the initiator", .ask = LOOP_ALL, .wire = lose, .at = 2000 },
	{ .what = "rubbish for the initiator", .ask = LOOP_ALL, .wire = rubbish, .at = 2000 },
	{ .what = "a frame of rubbish for the initiator", .ask = LOOP_ALL, .wire = rubbish, .at = 2096 },
	{ .what = "the initiator's own token", .ask = LOOP_ALL, .wire = reflect, .at = 2000 },
	{ .what = "an AP-REP that says it is an error", .ask = LOOP_ALL, .wire = retype, .at = 2003 },
	{ .what = "an AP-REP that says it is an AP-REQ", .ask = LOOP_ALL, .wire = retype, .at = 2001 },
	{ .what = "an AP-REP of another mechanism", .ask = LOOP_ALL, .wire = rename_mech, .at = 2000 },
	{ .what = "an error without a reason", .ask = LOOP_ALL, .wire = error_instead, .at = 2000 },
	{ .what = "an error instead of the answer", .ask = LOOP_ALL, .wire = error_instead, .at = 2041 },
	{ .what = "an error of a number that is not known", .ask = LOOP_ALL, .wire = error_instead,
	  .at = 2127 },
	{ .what = "a lost token of an initiator that does not wait", .wire = lose, .at = 1000 },
	{ .what = "a spoilt token of an initiator that does not wait", .wire = flip, .at = 1005 },
	{ .what = "other bindings of an initiator that does not wait", .bind_i = "tls",
	  .bind_a = "other" },
};

/* The third leg. */
static const struct loop_case dce[] = {
	{ .what = "DCE style, a spoilt AP-REQ", .ask = GSS_C_DCE_STYLE, .wire = flip, .at = 1005 },
	{ .what = "DCE style, a spoilt AP-REP", .ask = GSS_C_DCE_STYLE, .wire = flip, .at = 2005 },
	{ .what = "DCE style, a spoilt third leg", .ask = GSS_C_DCE_STYLE, .wire = flip, .at = 3005 },
	{ .what = "DCE style, a third leg that is cut off", .ask = GSS_C_DCE_STYLE, .wire = cut,
	  .at = 3004 },
	{ .what = "DCE style, an empty third leg", .ask = GSS_C_DCE_STYLE, .wire = empty, .at = 3000 },
	{ .what = "DCE style, no third leg", .ask = GSS_C_DCE_STYLE, .wire = lose, .at = 3000 },
	{ .what = "DCE style, no AP-REP", .ask = GSS_C_DCE_STYLE, .wire = lose, .at = 2000 },
	{ .what = "DCE style, the AP-REQ as third leg", .ask = GSS_C_DCE_STYLE, .wire = reflect,
	  .at = 3000 },
	{ .what = "DCE style, an error as third leg", .ask = GSS_C_DCE_STYLE, .wire = error_instead,
	  .at = 3060 },
	{ .what = "DCE style, rubbish as third leg", .ask = GSS_C_DCE_STYLE, .wire = rubbish,
	  .at = 3000 },
	{ .what = "DCE style, an error instead of the AP-REP", .ask = GSS_C_DCE_STYLE,
	  .wire = error_instead, .at = 2041 },
	{ .what = "DCE style, bindings that differ", .ask = GSS_C_DCE_STYLE, .bind_i = "tls",
	  .bind_a = "other" },
	{ .what = "DCE style, an acceptor that is not satisfied", .ask = GSS_C_DCE_STYLE,
	  .need_a = GSS_C_REPLAY_FLAG },
	{ .what = "DCE style, no optional outputs", .ask = LOOP_ALL | GSS_C_DCE_STYLE, .bare = true,
	  .need_a = LOOP_ALL },
};

static void run(const struct loop_case *c, gss_OID mech)
{
	struct loop l;

	show("==== %s: %s", mech == &loop_spnego ? "SPNEGO" : "krb5", c->what);
	loop_ready(c, mech, &l);
	loop_run(&l);
	loop_over(&l);
}

static void table(const struct loop_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run(&c[i], (gss_OID)gss_mech_krb5);
		run(&c[i], &loop_spnego);
	}
}

/* The mechanism's other OIDs. */
static void other_oids(void)
{
	static const struct loop_case c[] = {
		{ .what = "another OID", .ask = LOOP_ALL, .half = true },
		{ .what = "another OID, DCE style", .ask = LOOP_ALL | GSS_C_DCE_STYLE },
		{ .what = "another OID, bindings that differ", .ask = LOOP_ALL, .bind_i = "tls",
		  .bind_a = "other" },
		{ .what = "another OID, a spoilt AP-REP", .ask = LOOP_ALL, .wire = flip, .at = 2005 },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		run(&c[i], (gss_OID)gss_mech_krb5_old);
		run(&c[i], (gss_OID)gss_mech_krb5_wrong);
	}
}

#define TABLE(t) table(t, sizeof(t) / sizeof((t)[0]))

/* A token whose end is spoilt anywhere: it is encrypted that far, whatever its length is. */
static void spoil_all(void)
{
	struct loop_case c = { .what = "spoilt", .wire = flip };

	for (size_t back = 1; back < 150; back += 1 + back / 8) {
		c.ask = LOOP_ALL;
		c.at = 1000 + back;
		run(&c, (gss_OID)gss_mech_krb5);
		c.at = 2000 + back;
		if (back < 90)
			run(&c, (gss_OID)gss_mech_krb5);
		c.ask |= GSS_C_DCE_STYLE;
		c.at = 3000 + back;
		if (back < 50)
			run(&c, (gss_OID)gss_mech_krb5);
	}
}

void loop_cases(void)
{
	TABLE(unable);
	TABLE(accepting);
	TABLE(answers);
	TABLE(dce);
	TABLE(refused);
	TABLE(flags);
	other_oids();
	spoil_all();
}
