/* The negotiation loop's calls out of turn, and with tokens of other contexts. */
#include "tests/lib/loop_case.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/probe_use.h"

static OM_uint32 major, minor, ignored;

static const struct loop_case plain = { .ask = LOOP_ALL };
static const struct loop_case one_way = { .ask = GSS_C_REPLAY_FLAG };
static const struct loop_case dce = { .ask = LOOP_ALL | GSS_C_DCE_STYLE };

static bool keep_first(struct loop *l, gss_buffer_t token)
{
	if (!l->kept.length)
		l->kept = loop_copy(token);
	return true;
}

static void ready(const char *what, const struct loop_case *c, gss_OID mech, struct loop *l)
{
	show("==== %s: %s", mech == &loop_spnego ? "SPNEGO" : "krb5", what);
	loop_ready(c, mech, l);
}

/* Up, with the first token kept. */
static void up(const char *what, const struct loop_case *c, gss_OID mech, struct loop *l)
{
	ready(what, c, mech, l);
	l->wire = keep_first;
	loop_run(l);
}

/* Not by OID, nor for octets: there the stock mechanism looks at what it has deleted.  Nor is it exported. */
static void ask_failed(const char *who, gss_ctx_id_t c)
{
	gss_buffer_desc in = show_text("hello"), out;
	OM_uint32 max;

	probe_inquire(who, c);
	probe_message(c, c, 1);
	major = gss_get_mic(&minor, c, 0, &in, &out);
	show_status("get_mic", major, minor);
	major = gss_verify_mic(&minor, c, &in, &in, NULL);
	show_status("verify_mic", major, minor);
	major = gss_unwrap(&minor, c, &in, &out, NULL, NULL);
	show_status("unwrap", major, minor);
	major = gss_wrap_size_limit(&minor, c, 1, 0, 1000, &max);
	show_status("wrap_size_limit", major, minor);
	major = gss_process_context_token(&minor, c, &in);
	show_status("process_context_token", major, minor);
}

/* ---- tokens after the end ---- */

static void late(gss_ctx_id_t c, const gss_buffer_desc *token)
{
	gss_buffer_desc copy = loop_copy(token);

	major = gss_process_context_token(&minor, c, &copy);
	show_status("process_context_token", major, minor);
	gss_release_buffer(&ignored, &copy);
}

/* Every kind of token, to both sides; the contexts go on. */
static void tokens_late(const struct loop_case *c, gss_OID mech)
{
	gss_buffer_desc in = show_text("hello"), set[5];
	struct loop l;

	up("context tokens after the end", c, mech, &l);
	set[0] = loop_copy(&l.kept);
	set[1] = loop_error_token(60);
	set[2] = loop_copy(&in);
	gss_wrap(&minor, l.i.ctx, 1, 0, &in, NULL, &set[3]);
	gss_get_mic(&minor, l.a.ctx, 0, &in, &set[4]);
	for (size_t i = 0; i < 5; i++) {
		show("  %zu", i);
		late(l.i.ctx, &set[i]);
		late(l.a.ctx, &set[i]);
		gss_release_buffer(&ignored, &set[i]);
	}
	loop_over(&l);
}

/* A further call of the loop; what is left of the context, and the call again. */
static void call_late(const struct loop_case *c, gss_OID mech, bool initiator)
{
	gss_buffer_desc token, out;
	struct loop l;
	struct loop_side *s = initiator ? &l.i : &l.a;

	up(initiator ? "init_sec_context after the end" : "accept_sec_context after the end", c, mech,
	   &l);
	for (int i = 0; i < 4; i++) {
		token = i == 1 ? loop_error_token(60) : loop_copy(&l.kept);
		if (i == 2)
			gss_release_buffer(&ignored, &token);
		loop_call(s, &token, &out);
		gss_release_buffer(&ignored, &token);
		gss_release_buffer(&ignored, &out);
		probe_inquire("after it", s->ctx);
	}
	loop_over(&l);
}

/* ---- other arguments in the second call ---- */

static void second(struct loop *l, gss_buffer_t token)
{
	gss_buffer_desc out;

	loop_call(&l->i, token, &out);
	gss_release_buffer(&ignored, &out);
	if (!GSS_ERROR(l->i.major))
		return;
	/* The answer that was meant comes too late. */
	loop_call(&l->i, token, &out);
	gss_release_buffer(&ignored, &out);
	if (l->i.ctx)
		ask_failed("an initiator that failed", l->i.ctx);
}

/* Not another mechanism: the layer hands one's context to the other, which reads it as its own. */
enum change { TARGET, CRED, FLAGS, BINDINGS, NO_TOKEN, EMPTY_TOKEN, CHANGES };

static const char *const changes[CHANGES] = {
	"another target", "another credential", "other flags", "other bindings", "no token",
	"an empty token"
};

static void change(enum change what, struct loop *l, gss_buffer_t token)
{
	gss_buffer_desc name = show_text("HTTP@mail.test.org");

	if (what == TARGET) {
		gss_release_name(&ignored, &l->i.target);
		gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &l->i.target);
	}
	if (what == CRED)
		l->i.cred = l->a.cred;
	if (what == FLAGS)
		l->i.ask = 0;
	if (what == BINDINGS)
		l->i.bind = "tls";
	if (what == EMPTY_TOKEN)
		gss_release_buffer(&ignored, token);
}

static void changed(enum change what, gss_OID mech)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, req, rep;
	struct loop l;

	ready(changes[what], &plain, mech, &l);
	loop_call(&l.i, &none, &req);
	loop_call(&l.a, &req, &rep);
	change(what, &l, &rep);
	second(&l, what == NO_TOKEN ? GSS_C_NO_BUFFER : &rep);
	if (l.i.cred == l.a.cred)
		l.i.cred = GSS_C_NO_CREDENTIAL;
	gss_release_buffer(&ignored, &req);
	gss_release_buffer(&ignored, &rep);
	loop_over(&l);
}

/* ---- wrong first calls ---- */

static gss_OID_desc unknown_mech = { 4, (void *)(uintptr_t)"\x2a\x03\x04\x05" };

static void first_init(const char *what, struct loop *l)
{
	gss_buffer_desc in = show_text("left over"), out;

	show("-- %s", what);
	loop_call(&l->i, &in, &out);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&minor, &l->i.ctx, GSS_C_NO_BUFFER);
}

static void wrong_init(gss_OID mech)
{
	struct loop l;
	gss_name_t target;

	ready("wrong first calls of an initiator", &plain, mech, &l);
	first_init("a token that was not there", &l);
	target = l.i.target;
	l.i.target = GSS_C_NO_NAME;
	first_init("no target", &l);
	l.i.target = target;
	l.i.mech = &unknown_mech;
	first_init("an unknown mechanism", &l);
	l.i.mech = mech;
	l.i.cred = l.a.cred;
	first_init("a credential for accepting", &l);
	l.i.cred = GSS_C_NO_CREDENTIAL;
	loop_over(&l);
}

static void first_accept(const char *what, struct loop *l, gss_buffer_t in)
{
	gss_buffer_desc out;

	show("-- %s", what);
	loop_call(&l->a, in, &out);
	gss_release_buffer(&ignored, &out);
	show("  again");
	if (l->a.ctx)
		loop_call(&l->a, in, &out);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&minor, &l->a.ctx, GSS_C_NO_BUFFER);
}

static void wrong_accept(gss_OID mech)
{
	static const char *const tokens[] = {
		"", "x", "\x60", "\x60\x01", "\x60\x80", "\x60\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02",
		"\x60\x0d\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01", "\x6e\x03xyz", "\x7e\x03xyz",
		"\x60\x06\x06\x04\x2a\x03\x04\x05", "\xa1\x03\x30\x01\xa0", "NTLMSSP",
	};
	struct loop l;
	gss_buffer_desc b;

	ready("wrong first tokens of an acceptor", &plain, mech, &l);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		b = show_text(tokens[i]);
		first_accept("a token", &l, &b);
	}
	b = show_text("NTLMSSP");
	b.length++;
	first_accept("another mechanism's", &l, &b);
	first_accept("no token", &l, GSS_C_NO_BUFFER);
	loop_over(&l);
}

/* A credential that can only initiate; with a token that is good. */
static void wrong_cred(gss_OID mech)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, req;
	gss_OID_set_desc mechs = { 1, mech };
	gss_cred_id_t good;
	struct loop l;

	ready("an acceptor with an initiator's credential", &plain, mech, &l);
	loop_call(&l.i, &none, &req);
	good = l.a.cred;
	l.a.cred = GSS_C_NO_CREDENTIAL;
	major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_INITIATE, &l.a.cred, NULL,
				 NULL);
	show_status("acquire_cred", major, minor);
	first_accept("a good token", &l, &req);
	gss_release_cred(&ignored, &good);
	gss_release_buffer(&ignored, &req);
	loop_over(&l);
}

/* ---- tokens twice, and of others ---- */

/* The same first token for two acceptors that remember. */
static void replayed(const struct loop_case *c, gss_OID mech)
{
	gss_buffer_desc token, out, none;
	struct loop l, again;

	setenv("KRB5RCACHENAME", loop_file("rcache"), 1);
	up("a first token twice", c, mech, &l);
	ready("and the second time", c, mech, &again);
	token = loop_copy(&l.kept);
	loop_call(&again.a, &token, &out);
	show("-- its answer, to the initiator that is done");
	if (out.length) {
		late(l.i.ctx, &out);
		loop_call(&l.i, &out, &none);
		gss_release_buffer(&ignored, &none);
	}
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &out);
	loop_over(&l);
	loop_over(&again);
	setenv("KRB5RCACHENAME", "none:", 1);
}

/* Who waits for the answer gets the error of the second acceptor. */
static void replayed_waiting(gss_OID mech)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, req, rep;
	struct loop l;

	setenv("KRB5RCACHENAME", loop_file("rcache"), 1);
	ready("a replay's error instead of the answer", &plain, mech, &l);
	loop_call(&l.i, &none, &req);
	loop_call(&l.a, &req, &rep);
	gss_release_buffer(&ignored, &rep);
	gss_delete_sec_context(&minor, &l.a.ctx, GSS_C_NO_BUFFER);
	loop_call(&l.a, &req, &rep);
	second(&l, &rep);
	gss_release_buffer(&ignored, &req);
	gss_release_buffer(&ignored, &rep);
	loop_over(&l);
	setenv("KRB5RCACHENAME", "none:", 1);
}

/* Two contexts at once, each gets the other's answers. */
static void crossed(const struct loop_case *c, gss_OID mech)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, req[2], rep[2], third[2];
	struct loop l[2];

	ready("two contexts", c, mech, &l[0]);
	ready("and the other one's answer", c, mech, &l[1]);
	for (int i = 0; i < 2; i++) {
		loop_call(&l[i].i, &none, &req[i]);
		loop_call(&l[i].a, &req[i], &rep[i]);
	}
	second(&l[0], &rep[1]);
	/* The second initiator goes on, but its third leg goes to the first acceptor. */
	loop_call(&l[1].i, &rep[1], &third[1]);
	for (int i = 0; i < 2 && third[1].length; i++) {
		loop_call(&l[i].a, &third[1], &third[0]);
		gss_release_buffer(&ignored, &third[0]);
		probe_inquire("the acceptor", l[i].a.ctx);
	}
	gss_release_buffer(&ignored, &third[1]);
	for (int i = 0; i < 2; i++) {
		gss_release_buffer(&ignored, &req[i]);
		gss_release_buffer(&ignored, &rep[i]);
		loop_over(&l[i]);
	}
}

/* The acceptor's own AP-REP comes back as the third leg, then the right one. */
static void mirrored(gss_OID mech)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, req, rep, third, out;
	struct loop l;

	ready("DCE style, the AP-REP as third leg", &dce, mech, &l);
	loop_call(&l.i, &none, &req);
	loop_call(&l.a, &req, &rep);
	loop_call(&l.i, &rep, &third);
	loop_call(&l.a, &rep, &out);
	gss_release_buffer(&ignored, &out);
	loop_call(&l.a, &third, &out);
	gss_release_buffer(&ignored, &out);
	if (l.a.ctx)
		ask_failed("an acceptor that failed", l.a.ctx);
	gss_release_buffer(&ignored, &req);
	gss_release_buffer(&ignored, &rep);
	gss_release_buffer(&ignored, &third);
	loop_over(&l);
}

/* Deleted at every point of the way, with and without a token; then there is nothing to use. */
static void deleted(const struct loop_case *c, gss_OID mech, unsigned legs)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER, token, out;
	gss_buffer_desc gone = show_text("left over");
	struct loop l;

	ready("deleted on the way", c, mech, &l);
	loop_call(&l.i, &none, &token);
	for (unsigned i = 1; i < legs && token.length; i++) {
		loop_call(i % 2 ? &l.a : &l.i, &token, &out);
		gss_release_buffer(&ignored, &token);
		token = out;
	}
	gss_release_buffer(&ignored, &token);
	major = gss_delete_sec_context(&minor, &l.i.ctx, &gone);
	show_status("delete_sec_context", major, minor);
	show("  %zu octets, gone %d", gone.length, l.i.ctx == GSS_C_NO_CONTEXT);
	gss_release_buffer(&ignored, &gone);
	major = gss_delete_sec_context(&minor, &l.a.ctx, GSS_C_NO_BUFFER);
	show_status("delete_sec_context", major, minor);
	major = gss_delete_sec_context(&minor, &l.a.ctx, GSS_C_NO_BUFFER);
	show_status("delete_sec_context of none", major, minor);
	probe_half("no context", l.i.ctx);
	loop_over(&l);
}

void loop_late(void)
{
	const gss_OID mechs[] = { (gss_OID)gss_mech_krb5, &loop_spnego };

	for (size_t m = 0; m < 2; m++) {
		for (enum change c = 0; c < CHANGES; c++)
			/* Without one the stock SPNEGO crashes. */
			if (c != NO_TOKEN || m == 0)
				changed(c, mechs[m]);
		wrong_init(mechs[m]);
		wrong_accept(mechs[m]);
		wrong_cred(mechs[m]);
		replayed(&plain, mechs[m]);
		replayed(&one_way, mechs[m]);
		replayed(&dce, mechs[m]);
		replayed_waiting(mechs[m]);
		crossed(&plain, mechs[m]);
		crossed(&dce, mechs[m]);
		mirrored(mechs[m]);
		for (unsigned legs = 1; legs < 5; legs++) {
			deleted(&plain, mechs[m], legs);
			deleted(&dce, mechs[m], legs);
		}
		tokens_late(&plain, mechs[m]);
		tokens_late(&one_way, mechs[m]);
		tokens_late(&dce, mechs[m]);
		call_late(&plain, mechs[m], true);
		call_late(&plain, mechs[m], false);
		call_late(&one_way, mechs[m], true);
		call_late(&dce, mechs[m], true);
		call_late(&dce, mechs[m], false);
	}
}
