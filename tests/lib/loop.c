#include "tests/lib/loop.h"

#include <string.h>

#include "tests/lib/probe_use.h"

static OM_uint32 minor, ignored;

/* ---- the calls ---- */

static gss_channel_bindings_t bindings(const char *data, gss_channel_bindings_t cb)
{
	if (!data)
		return GSS_C_NO_CHANNEL_BINDINGS;
	memset(cb, 0, sizeof(*cb));
	cb->application_data = show_text(data);
	return cb;
}

static void call_init(struct loop_side *s, gss_buffer_t in, gss_buffer_t out)
{
	struct gss_channel_bindings_struct cb;

	s->major = gss_init_sec_context(&s->minor, s->cred, &s->ctx, s->target, s->mech, s->ask, 0,
					bindings(s->bind, &cb), in, s->bare ? NULL : &s->actual, out,
					s->bare ? NULL : &s->flags, s->bare ? NULL : &s->life);
}

static void call_accept(struct loop_side *s, gss_buffer_t in, gss_buffer_t out)
{
	struct gss_channel_bindings_struct cb;

	gss_release_name(&ignored, &s->src);
	gss_release_cred(&ignored, &s->deleg);
	s->major = gss_accept_sec_context(&s->minor, &s->ctx, s->cred, in, bindings(s->bind, &cb),
					  s->bare ? NULL : &s->src, s->bare ? NULL : &s->actual, out,
					  s->bare ? NULL : &s->flags, s->bare ? NULL : &s->life,
					  s->bare ? NULL : &s->deleg);
}

static void show_source(gss_name_t name)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	gss_OID type = GSS_C_NO_OID;

	if (name == GSS_C_NO_NAME)
		return;
	gss_display_name(&minor, name, &b, &type);
	show("  source \"%.*s\" of type %s", (int)b.length, (char *)b.value, show_oid(type));
	gss_release_buffer(&ignored, &b);
}

static void show_answer(const struct loop_side *s, const gss_buffer_desc *out)
{
	if (!GSS_ERROR(s->major))
		show("  mech %s flags %#x life %s", show_oid(s->actual), (unsigned)s->flags,
		     show_life(s->life));
	show_source(s->src);
	show("  sends %s; context %s%s", loop_token(out), s->ctx ? "there" : "none",
	     s->deleg ? ", delegated" : "");
	/* What the initiator reports to its user is the acceptor's reason. */
	if (s->initiator && s->calls > 1 && GSS_ERROR(s->major))
		show_status("  reason", GSS_S_FAILURE, s->minor);
}

OM_uint32 loop_call(struct loop_side *s, gss_buffer_t in, gss_buffer_t out)
{
	*out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	s->flags = s->life = 7;
	s->minor = 7;
	s->actual = GSS_C_NO_OID;
	s->calls++;
	if (s->initiator)
		call_init(s, in, out);
	else
		call_accept(s, in, out);
	show_status(s->initiator ? "init_sec_context" : "accept_sec_context", s->major, s->minor);
	show_answer(s, out);
	return s->major;
}

/* ---- one party ---- */

static void delete_context(gss_ctx_id_t *c)
{
	OM_uint32 major = GSS_S_COMPLETE;

	if (*c != GSS_C_NO_CONTEXT)
		major = gss_delete_sec_context(&minor, c, GSS_C_NO_BUFFER);
	if (major != GSS_S_COMPLETE || *c != GSS_C_NO_CONTEXT)
		show_status("  BAD: delete_sec_context", major, minor);
}

static void give_up(struct loop_side *s, const char *why)
{
	s->state = LOOP_FAILED;
	s->why = why;
	show("  the %s gives up: %s", s->initiator ? "initiator" : "acceptor", why);
	delete_context(&s->ctx);
}

/* Who asked to stay unnamed must not even send what would name him (RFC 2743 2.2.1). */
static bool would_name(const struct loop_side *s)
{
	return s->initiator && (s->need & GSS_C_ANON_FLAG) && !GSS_ERROR(s->major) &&
	       !(s->flags & GSS_C_ANON_FLAG);
}

static OM_uint32 final_flags(const struct loop_side *s)
{
	OM_uint32 flags = s->flags;

	if (s->bare)
		gss_inquire_context(&minor, s->ctx, NULL, NULL, NULL, NULL, &flags, NULL, NULL);
	return flags;
}

/* The flag need not be there: the stock mechanism tells it by the name's type alone. */
static bool is_nameless(gss_ctx_id_t c, OM_uint32 flags)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	gss_name_t name = GSS_C_NO_NAME;
	gss_OID type = GSS_C_NO_OID;

	gss_inquire_context(&minor, c, &name, NULL, NULL, NULL, NULL, NULL, NULL);
	gss_display_name(&minor, name, &b, &type);
	gss_release_buffer(&ignored, &b);
	gss_release_name(&ignored, &name);
	return (flags & GSS_C_ANON_FLAG) || gss_oid_equal(type, GSS_C_NT_ANONYMOUS);
}

static void finish(struct loop_side *s)
{
	OM_uint32 flags = final_flags(s);

	if (s->need & ~flags)
		give_up(s, "the context lacks a service that is needed");
	else if (s->never & flags)
		give_up(s, "the context has a flag that is not wanted");
	else if (s->peer && is_nameless(s->ctx, flags) != (s->peer == LOOP_NAMELESS))
		give_up(s, s->peer == LOOP_NAMED ? "the initiator has no name" :
			"the initiator has a name");
	else
		s->state = LOOP_DONE;
}

/* RFC 7546 3.3 and 3.6: what is to be sent after a call, and how it goes on. */
static bool settle(struct loop_side *s, gss_buffer_t out)
{
	if (GSS_ERROR(s->major)) {
		give_up(s, out->length ? "the call failed, and the peer is told" :
			"the call failed, with nothing for the peer");
		return out->length > 0;
	}
	if (would_name(s)) {
		gss_release_buffer(&ignored, out);
		give_up(s, "the token would tell who it is");
		return false;
	}
	if (s->major & GSS_S_CONTINUE_NEEDED) {
		if (!out->length)
			give_up(s, "both parties would wait");
		return out->length > 0;
	}
	finish(s);
	return out->length > 0;
}

/* RFC 7546 4.3: the mechanism may know what it is for; a context that is still good stays. */
static void late_token(struct loop_side *s, gss_buffer_t in)
{
	OM_uint32 major = gss_process_context_token(&minor, s->ctx, in);
	int open = -1;

	show_status("process_context_token", major, minor);
	major = gss_inquire_context(&minor, s->ctx, NULL, NULL, NULL, NULL, NULL, NULL, &open);
	show_status("inquire_context", major, minor);
	show("  open %d", open);
	give_up(s, "a token came after the end");
}

bool loop_step(struct loop_side *s, gss_buffer_t in, gss_buffer_t out)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER;

	*out = none;
	if (s->state == LOOP_FAILED) {
		show("  the %s is gone", s->initiator ? "initiator" : "acceptor");
		return false;
	}
	if (s->state == LOOP_DONE) {
		late_token(s, in);
		return false;
	}
	if (in && !in->length) {
		give_up(s, "an empty token came");
		return false;
	}
	loop_call(s, in ? in : &none, out);
	return settle(s, out);
}

/* ---- both ---- */

static void starve(struct loop_side *s)
{
	if (s->state == LOOP_GOING)
		give_up(s, "no token came");
}

static void ask_half(const struct loop *l, const struct loop_side *s)
{
	if (l->half && s->state == LOOP_GOING && s->ctx)
		probe_half(s->initiator ? "half an initiator" : "half an acceptor", s->ctx);
}

static bool on_wire(struct loop *l, gss_buffer_t token)
{
	l->legs++;
	return !l->wire || l->wire(l, token);
}

bool loop_run(struct loop *l)
{
	gss_buffer_desc token, answer;
	struct loop_side *s = &l->i;
	bool sent = loop_step(s, NULL, &token);

	ask_half(l, s);
	while (sent && on_wire(l, &token)) {
		s = s == &l->i ? &l->a : &l->i;
		sent = loop_step(s, &token, &answer);
		gss_release_buffer(&ignored, &token);
		token = answer;
		ask_half(l, s);
	}
	gss_release_buffer(&ignored, &token);
	starve(&l->i);
	starve(&l->a);
	show("  %u tokens; initiator %s, acceptor %s", l->legs,
	     l->i.state == LOOP_DONE ? "done" : "failed", l->a.state == LOOP_DONE ? "done" : "failed");
	return l->i.state == LOOP_DONE && l->a.state == LOOP_DONE;
}

static void end_side(struct loop_side *s)
{
	delete_context(&s->ctx);
	gss_release_name(&ignored, &s->src);
	gss_release_cred(&ignored, &s->deleg);
}

void loop_end(struct loop *l)
{
	end_side(&l->i);
	end_side(&l->a);
	gss_release_buffer(&ignored, &l->kept);
}
