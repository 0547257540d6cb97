/*
 * One side of a GSS conversation, in plain GSS-API: nothing of this project is
 * linked, so the same program is the stock peer and the module's.
 *
 *   peer accept SOCKET [options]     waits for one initiator
 *   peer init SOCKET NAME [options]  speaks to it as a client of NAME
 *
 *   -f WORDS  flags, parted by commas: mutual, dce, noreplay, noseq, deleg, spnego
 *   -b TEXT   channel bindings
 *   -e N      the per-message keys are of this enctype
 *   -x NAME   context establishment must fail with this major status
 *   -q        establish only, no messages
 *   -s        short messages, and no others
 *   -d        this side's library looks at a token's number before its MIC (Heimdal's does)
 *   -k FILE   at the end the context's keys go to FILE, as enctype and hex (stock only)
 *   -t FILE   the delegated credential's tickets go to the ccache FILE
 *   -p        both sides make pseudo-random octets, which must agree
 *   -o        this side exports the context and imports it again, once it is established
 *
 * Both sides run the same plan: every message that one protects the other
 * opens and compares with the pattern that both know.  Exit 0: all was right.
 */
#include "tests/peer.h"

#include <errno.h>
#include <gssapi/gssapi_krb5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_MAX (4u << 20)

static char krb5_oid[] = "\052\206\110\206\367\022\001\002\002";
static char spnego_oid[] = "\053\006\001\005\005\002";
static gss_OID_desc mech_krb5 = { sizeof(krb5_oid) - 1, krb5_oid };
static gss_OID_desc mech_spnego = { sizeof(spnego_oid) - 1, spnego_oid };

static const struct { OM_uint32 code; const char *name; } majors[] = {
	{ GSS_S_BAD_BINDINGS, "BAD_BINDINGS" }, { GSS_S_BAD_SIG, "BAD_SIG" },
	{ GSS_S_DEFECTIVE_TOKEN, "DEFECTIVE_TOKEN" }, { GSS_S_FAILURE, "FAILURE" },
	{ GSS_S_NO_CRED, "NO_CRED" }, { GSS_S_DUPLICATE_TOKEN, "DUPLICATE_TOKEN" },
	{ GSS_S_CREDENTIALS_EXPIRED, "CREDENTIALS_EXPIRED" },
	{ GSS_S_UNAVAILABLE, "UNAVAILABLE" }, { GSS_S_BAD_NAME, "BAD_NAME" },
	{ GSS_S_DEFECTIVE_CREDENTIAL, "DEFECTIVE_CREDENTIAL" },
};

void fail(const struct side *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", s->name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void print_status(OM_uint32 value, int type)
{
	OM_uint32 minor, more = 0;
	gss_buffer_desc text;

	do {
		if (gss_display_status(&minor, value, type, &mech_krb5, &more, &text))
			return;
		fprintf(stderr, "  %.*s\n", (int)text.length, (char *)text.value);
		gss_release_buffer(&minor, &text);
	} while (more);
}

void want(const struct side *s, const char *what, OM_uint32 major, OM_uint32 minor,
		 OM_uint32 expected)
{
	if (major == expected)
		return;
	print_status(major, GSS_C_GSS_CODE);
	print_status(minor, GSS_C_MECH_CODE);
	fail(s, "%s gave major status %08x, not %08x", what, major, expected);
}

/* ---- frames --------------------------------------------------------- */

static void io_all(const struct side *s, void *p, size_t n, bool out)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t k = out ? write(s->fd, at, n) : read(s->fd, at, n);

		if (k <= 0)
			fail(s, "the other side is gone");
		at += k;
		n -= (size_t)k;
	}
}

void send_frame(const struct side *s, const void *p, size_t n)
{
	uint8_t head[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

	io_all(s, head, 4, true);
	io_all(s, (void *)(uintptr_t)p, n, true);
}

uint8_t *recv_frame(const struct side *s, size_t *n)
{
	uint8_t head[4], *p;

	io_all(s, head, 4, false);
	*n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (*n > FRAME_MAX)
		fail(s, "a frame of %zu octets", *n);
	p = malloc(*n ? *n : 1);
	if (!p)
		fail(s, "out of memory");
	io_all(s, p, *n, false);
	return p;
}

static void send_number(const struct side *s, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	send_frame(s, b, 4);
}

static uint32_t recv_number(const struct side *s)
{
	size_t n;
	uint8_t *p = recv_frame(s, &n);
	uint32_t v;

	if (n != 4)
		fail(s, "the other side lost the thread");
	v = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	free(p);
	return v;
}

/* ---- establishment ---------------------------------------------------------- */

static const char *major_name(OM_uint32 major)
{
	size_t i;

	for (i = 0; i < sizeof(majors) / sizeof(majors[0]); i++) {
		if (GSS_ROUTINE_ERROR(major) == majors[i].code)
			return majors[i].name;
	}
	return "another";
}

/* One line for the log, as display_status has it: what an administrator would read. */
static void failed(struct side *s, OM_uint32 major, OM_uint32 minor)
{
	if (!s->expect || strcmp(s->expect, major_name(major)) != 0)
		want(s, s->init ? "gss_init_sec_context" : "gss_accept_sec_context", major, minor,
		     GSS_S_COMPLETE);
	print_status(minor, GSS_C_MECH_CODE);
	if (s->ctx != GSS_C_NO_CONTEXT)
		gss_delete_sec_context(&minor, &s->ctx, GSS_C_NO_BUFFER);
	exit(0);
}

static void *bindings(const struct side *s, struct gss_channel_bindings_struct *cb)
{
	memset(cb, 0, sizeof(*cb));
	if (!s->binding)
		return GSS_C_NO_CHANNEL_BINDINGS;
	cb->application_data.value = (void *)(uintptr_t)s->binding;
	cb->application_data.length = strlen(s->binding);
	return cb;
}

static OM_uint32 wanted_flags(const struct side *s)
{
	return GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | (s->mutual ? GSS_C_MUTUAL_FLAG : 0) |
	       (s->dce ? GSS_C_DCE_STYLE : 0) | (s->replay ? GSS_C_REPLAY_FLAG : 0) |
	       (s->sequence ? GSS_C_SEQUENCE_FLAG : 0) | (s->deleg ? GSS_C_DELEG_FLAG : 0);
}

static void check_flags(const struct side *s, OM_uint32 flags)
{
	OM_uint32 mask = GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE |
			 GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_DELEG_FLAG;

	if ((flags & mask) != wanted_flags(s))
		fail(s, "context flags are %x, not %x", flags & mask, wanted_flags(s));
}

/* Every leg says whether this side is done: a failure must not leave the other one waiting. */
static void establish_init(struct side *s, const char *service)
{
	gss_buffer_desc text = { strlen(service), (void *)(uintptr_t)service };
	gss_buffer_desc in = { 0, NULL }, out = { 0, NULL };
	struct gss_channel_bindings_struct cb;
	OM_uint32 minor, major, flags = 0;
	gss_name_t name;

	major = gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
	want(s, "gss_import_name", major, minor, GSS_S_COMPLETE);
	do {
		major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &s->ctx, name,
					     s->spnego ? &mech_spnego : &mech_krb5, wanted_flags(s),
					     0, bindings(s, &cb), &in, NULL, &out, &flags, NULL);
		free(in.value);
		in.value = NULL;
		if (GSS_ERROR(major)) {
			OM_uint32 again = minor;

			send_number(s, 0);
			gss_release_name(&minor, &name);
			failed(s, major, again);
		}
		if (out.length) {
			send_number(s, 1);
			send_frame(s, out.value, out.length);
			gss_release_buffer(&minor, &out);
			if (recv_number(s) == 0)
				exit(s->expect ? 0 : 1);
			in.value = recv_frame(s, &in.length);
		}
	} while (major == GSS_S_CONTINUE_NEEDED);
	send_number(s, 1);
	free(in.value);
	gss_release_name(&minor, &name);
	check_flags(s, flags);
}

static void write_tickets(const struct side *s, gss_cred_id_t deleg)
{
	gss_key_value_element_desc ccache = { "ccache", s->tickets };
	gss_key_value_set_desc store = { 1, &ccache };
	OM_uint32 minor, major;

	major = gss_store_cred_into(&minor, deleg, GSS_C_INITIATE, &mech_krb5, 1, 1, &store, NULL,
				    NULL);
	want(s, "gss_store_cred_into", major, minor, GSS_S_COMPLETE);
}

static void check_deleg(struct side *s, gss_cred_id_t *deleg)
{
	OM_uint32 minor, major;
	gss_name_t name;

	if (s->deleg != (*deleg != GSS_C_NO_CREDENTIAL))
		fail(s, s->deleg ? "no delegated credential" : "a delegated credential");
	if (!s->deleg)
		return;
	major = gss_inquire_cred(&minor, *deleg, &name, NULL, NULL, NULL);
	want(s, "gss_inquire_cred of the delegated credential", major, minor, GSS_S_COMPLETE);
	gss_release_name(&minor, &name);
	if (s->tickets)
		write_tickets(s, *deleg);
	gss_release_cred(&minor, deleg);
}

static void establish_accept(struct side *s)
{
	gss_buffer_desc in, out = { 0, NULL };
	struct gss_channel_bindings_struct cb;
	gss_cred_id_t deleg = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor, major, flags = 0;

	do {
		if (recv_number(s) == 0)
			exit(s->expect ? 0 : 1);
		in.value = recv_frame(s, &in.length);
		major = gss_accept_sec_context(&minor, &s->ctx, GSS_C_NO_CREDENTIAL, &in,
					       bindings(s, &cb), NULL, NULL, &out, &flags, NULL,
					       &deleg);
		if (!s->first) {
			s->first = in.value;
			s->first_len = in.length;
		} else {
			free(in.value);
		}
		if (GSS_ERROR(major)) {
			OM_uint32 again = minor;

			send_number(s, 0);
			gss_release_buffer(&minor, &out);
			free(s->first);
			failed(s, major, again);
		}
		send_number(s, 1);
		send_frame(s, out.value, out.length);
		gss_release_buffer(&minor, &out);
	} while (major == GSS_S_CONTINUE_NEEDED);
	/* The initiator's word on the last leg. */
	if (recv_number(s) == 0)
		exit(s->expect ? 0 : 1);
	check_flags(s, flags);
	check_deleg(s, &deleg);
}

/* The same AP-REQ a second time: refused, with nothing left behind. */
static void check_replay(struct side *s)
{
	struct gss_channel_bindings_struct cb;
	gss_buffer_desc in = { s->first_len, s->first }, out = { 0, NULL };
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	OM_uint32 minor, major;

	major = gss_accept_sec_context(&minor, &ctx, GSS_C_NO_CREDENTIAL, &in, bindings(s, &cb),
				       NULL, NULL, &out, NULL, NULL, NULL);
	if (!GSS_ERROR(major) || ctx != GSS_C_NO_CONTEXT)
		fail(s, "a replayed first token gave status %08x", major);
	/* As stock has it: "Request is a replay" is the minor status's text. */
	if (!s->spnego && GSS_ROUTINE_ERROR(major) != GSS_S_FAILURE)
		want(s, "accepting a replayed token", major, minor, GSS_S_FAILURE);
	gss_release_buffer(&minor, &out);
	free(s->first);
}

static void send_name(struct side *s, gss_name_t name)
{
	OM_uint32 minor, major;
	gss_buffer_desc text;

	major = gss_display_name(&minor, name, &text, NULL);
	want(s, "gss_display_name", major, minor, GSS_S_COMPLETE);
	send_frame(s, text.value, text.length);
	gss_release_buffer(&minor, &text);
	gss_release_name(&minor, &name);
}

static void same_name(struct side *s, gss_name_t name)
{
	OM_uint32 minor, major;
	gss_buffer_desc text;
	size_t n;
	uint8_t *other = recv_frame(s, &n);

	major = gss_display_name(&minor, name, &text, NULL);
	want(s, "gss_display_name", major, minor, GSS_S_COMPLETE);
	if (n != text.length || memcmp(other, text.value, n) != 0)
		fail(s, "the other side calls %.*s %.*s", (int)text.length, (char *)text.value,
		     (int)n, (char *)other);
	gss_release_buffer(&minor, &text);
	gss_release_name(&minor, &name);
	free(other);
}

/* What each side says of the context must agree with the other. */
static void check_inquiry(struct side *s)
{
	gss_name_t src, targ;
	OM_uint32 minor, major, flags, lifetime, time_left;
	gss_OID mech;
	int local, open;

	major = gss_inquire_context(&minor, s->ctx, &src, &targ, &lifetime, &mech, &flags, &local,
				    &open);
	want(s, "gss_inquire_context", major, minor, GSS_S_COMPLETE);
	check_flags(s, flags);
	if (mech->length != mech_krb5.length ||
	    memcmp(mech->elements, mech_krb5.elements, mech_krb5.length) != 0)
		fail(s, "the context's mechanism is not krb5");
	if (!open || local != s->init)
		fail(s, "gss_inquire_context: open %d, locally initiated %d", open, local);
	major = gss_context_time(&minor, s->ctx, &time_left);
	want(s, "gss_context_time", major, minor, GSS_S_COMPLETE);
	if (lifetime < 60 || time_left > lifetime || time_left + 60 < lifetime)
		fail(s, "lifetime %u, context time %u", lifetime, time_left);
	if (s->init) {
		send_name(s, src);
		send_name(s, targ);
	} else {
		same_name(s, src);
		same_name(s, targ);
	}
}

/* Where the mechanism gives the session key away (stock does), its enctype is the one wanted. */
static void check_etype(struct side *s)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 minor;
	const uint8_t *oid;

	if (!s->etype || gss_inquire_sec_context_by_oid(&minor, s->ctx,
							(gss_OID)GSS_C_INQ_SSPI_SESSION_KEY,
							&set) != GSS_S_COMPLETE)
		return;
	oid = set->elements[1].value;
	if (oid[set->elements[1].length - 1] != s->etype)
		fail(s, "the per-message key is of enctype %d, not %d",
		     oid[set->elements[1].length - 1], s->etype);
	gss_release_buffer_set(&minor, &set);
}

/* The same octets on both sides, from the keys of both kinds. */
static void check_prf(const struct side *s)
{
	static const int kinds[] = { GSS_C_PRF_KEY_FULL, GSS_C_PRF_KEY_PARTIAL };
	gss_buffer_desc seed = { 5, (void *)(uintptr_t)"seed " }, out;
	OM_uint32 minor, major;
	uint8_t *other;
	size_t i, n;

	for (i = 0; i < 2; i++) {
		major = gss_pseudo_random(&minor, s->ctx, kinds[i], &seed, 70, &out);
		want(s, "gss_pseudo_random", major, minor, GSS_S_COMPLETE);
		send_frame(s, out.value, out.length);
		other = recv_frame(s, &n);
		if (n != out.length || memcmp(other, out.value, n) != 0)
			fail(s, "gss_pseudo_random: the other side has other octets");
		free(other);
		gss_release_buffer(&minor, &out);
	}
}

static void move(struct side *s)
{
	gss_buffer_desc blob;
	OM_uint32 minor, major;

	major = gss_export_sec_context(&minor, &s->ctx, &blob);
	want(s, "gss_export_sec_context", major, minor, GSS_S_COMPLETE);
	major = gss_import_sec_context(&minor, &blob, &s->ctx);
	want(s, "gss_import_sec_context", major, minor, GSS_S_COMPLETE);
	gss_release_buffer(&minor, &blob);
}

static void write_key(FILE *f, const gss_krb5_lucid_key_t *k)
{
	OM_uint32 i;

	if (!k->length)
		return;
	fprintf(f, "%u ", k->type);
	for (i = 0; i < k->length; i++)
		fprintf(f, "%02x", ((const uint8_t *)k->data)[i]);
	fputc('\n', f);
}

/* What the stock mechanism holds in memory; the context is gone afterwards. */
static void write_keys(struct side *s)
{
	gss_krb5_lucid_context_v1_t *lucid;
	OM_uint32 minor, major;
	void *p;
	FILE *f = fopen(s->keys, "we");

	major = gss_krb5_export_lucid_sec_context(&minor, &s->ctx, 1, &p);
	want(s, "gss_krb5_export_lucid_sec_context", major, minor, GSS_S_COMPLETE);
	if (!f)
		fail(s, "%s: %s", s->keys, strerror(errno));
	lucid = p;
	write_key(f, &lucid->cfx_kd.ctx_key);
	write_key(f, &lucid->cfx_kd.acceptor_subkey);
	fclose(f);
	gss_krb5_free_lucid_sec_context(&minor, lucid);
}

/* ---- main ------------------------------------------------------------------- */

static int open_socket(struct side *s, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), i, conn = -1;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0)
		fail(s, "socket: %s", strerror(errno));
	if (!s->init) {
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1))
			fail(s, "%s: %s", path, strerror(errno));
		conn = accept(fd, NULL, NULL);
		close(fd);
		return conn;
	}
	for (i = 0; i < 1000; i++) {
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		usleep(10000);
	}
	fail(s, "%s: %s", path, strerror(errno));
}

static void parse_flags(struct side *s, char *words)
{
	char *save = NULL, *w;

	for (w = strtok_r(words, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		s->mutual |= strcmp(w, "mutual") == 0 || strcmp(w, "dce") == 0;
		s->dce |= strcmp(w, "dce") == 0;
		s->deleg |= strcmp(w, "deleg") == 0;
		s->spnego |= strcmp(w, "spnego") == 0;
		s->replay &= strcmp(w, "noreplay") != 0;
		s->sequence &= strcmp(w, "noseq") != 0;
	}
}

static void parse(struct side *s, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "f:b:e:x:k:t:qspod")) != -1) {
		switch (c) {
		case 'f': parse_flags(s, optarg); break;
		case 'b': s->binding = optarg; break;
		case 'e': s->etype = atoi(optarg); break;
		case 'x': s->expect = optarg; break;
		case 'k': s->keys = optarg; break;
		case 't': s->tickets = optarg; break;
		case 'p': s->prf = true; break;
		case 'o': s->move = true; break;
		case 'q': s->quiet = true; break;
		case 's': s->brief = true; break;
		case 'd': s->counts_first = true; break;
		default: exit(2);
		}
	}
}

int peer_main(int argc, char **argv)
{
	struct side s = { .replay = true, .sequence = true };
	OM_uint32 minor;
	int skip;

	if (argc < 3)
		return 2;
	s.name = argv[1];
	s.init = strcmp(argv[1], "init") == 0;
	skip = s.init ? 3 : 2;
	parse(&s, argc - skip, argv + skip);
	s.fd = open_socket(&s, argv[2]);
	if (s.init)
		establish_init(&s, argv[3]);
	else
		establish_accept(&s);
	if (s.expect)
		fail(&s, "the context was established, %s was expected", s.expect);
	check_inquiry(&s);
	check_etype(&s);
	if (s.move)
		move(&s);
	if (s.prf)
		check_prf(&s);
	if (!s.quiet) {
		plan(&s, s.init);
		plan(&s, !s.init);
	}
	if (!s.init)
		check_replay(&s);
	if (s.keys)
		write_keys(&s);
	else if (gss_delete_sec_context(&minor, &s.ctx, GSS_C_NO_BUFFER) || s.ctx)
		fail(&s, "gss_delete_sec_context");
	close(s.fd);
	return 0;
}
