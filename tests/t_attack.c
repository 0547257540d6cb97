/*
 * A hostile peer: what it can leave behind, use up or learn.  Token objects,
 * key octets in this process's memory, work for strangers' tickets, one token
 * in many threads at once.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include "keystore/derive.h"
#include "mech/message.h"
#include "pkcs11/token.h"
#include "tests/lib/accepting.h"

#define COMMON (GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)
#define MUTUAL (COMMON | GSS_C_MUTUAL_FLAG)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t etypes[] = { 18, 20 };

static struct side {
	const struct box_token *box;
	struct forge_key key[N(etypes)];
	struct mech_cred *cred;
} sides[2];

/* ---- what stays on the token ---- */

/* Session objects on the token, whoever made them; a session of its own sees them all. */
static unsigned long session_objects(const struct side *s)
{
	CK_FUNCTION_LIST *f = p11_kit_module_load(s->box->module, P11_KIT_MODULE_UNMANAGED);
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE wish = { CKA_TOKEN, &no, sizeof(no) };
	CK_OBJECT_HANDLE found[64];
	CK_SLOT_ID slot = tok_info(ks_keytab_token(s->cred->keytab))->slot;
	CK_SESSION_HANDLE h = 0;
	CK_ULONG n, all = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL_FATAL(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_OK);
	CU_ASSERT_EQUAL_FATAL(f->C_FindObjectsInit(h, &wish, 1), CKR_OK);
	do {
		CU_ASSERT_EQUAL_FATAL(f->C_FindObjects(h, found, N(found), &n), CKR_OK);
		all += n;
	} while (n);
	f->C_FindObjectsFinal(h);
	f->C_CloseSession(h);
	p11_kit_module_release(f);
	return all;
}

/* One AP-REQ that gets as far as kind says before it is refused; the last kinds are accepted. */
static void request(struct side *s, unsigned kind, bool *accepted)
{
	static const uint8_t no_cred[] = { 1, 0, 3, 0, 0x76, 1, 0x30 };
	struct gss_channel_bindings_struct cb = { .application_data = { 1, (void *)(uintptr_t)"b" } };
	struct gss_channel_bindings_struct ours = { .application_data = { 1, (void *)(uintptr_t)"a" } };
	struct forge_key k = s->key[kind & 1];
	struct acc_req r = { .key = &k, .options = AP_OPTS_USE_SUBKEY | AP_OPTS_MUTUAL_REQUIRED };
	bool deleg = kind / 2 == 4;
	gss_buffer_desc cksum = acc_cksum(&cb, MUTUAL | (deleg ? GSS_C_DELEG_FLAG : 0),
					  deleg ? no_cred : NULL, deleg ? sizeof(no_cred) : 0);
	gss_buffer_desc token;
	struct acc_answer a;

	r.cksum = &cksum;
	k.bytes[0] ^= kind / 2 == 0;                     /* wrong ticket key */
	r.offset = kind / 2 == 1 ? 4000 : 0;             /* clock, after the replay cache */
	r.ticket.session_etype = kind / 2 == 2 ? 23 : 0; /* no key of this module's */
	token = acc_token(&r, NULL);
	if (kind / 2 == 3)
		((uint8_t *)token.value)[token.length - 1] ^= 1; /* the authenticator's MAC */
	acc_own(s->cred, &token, kind / 2 == 5 ? &ours : NULL, &a);
	*accepted = a.major == GSS_S_COMPLETE;
	CU_ASSERT_EQUAL(a.ctx != NULL, *accepted);
	acc_answer_fini(&a);
	free(cksum.value);
	free(token.value);
}

static void nothing_left(void)
{
	unsigned long before;
	unsigned side, kind, i;
	bool ok;

	for (side = 0; side < N(sides); side++) {
		for (kind = 0; kind < 16; kind++)
			request(&sides[side], kind, &ok);        /* what is made once */
		before = session_objects(&sides[side]);
		CU_ASSERT(before > 0);
		for (i = 0; i < 25 * 16; i++) {
			request(&sides[side], i % 16, &ok);
			CU_ASSERT_EQUAL(ok, i % 16 / 2 > 5);
		}
		CU_ASSERT_EQUAL(session_objects(&sides[side]), before);
	}
}

/* ---- keys in this process's memory ---- */

#define MASK 0x5a
#define MAPPING_MAX (1ul << 26)  /* greater ones are a sanitizer's bookkeeping */
#define UNWATCHED __attribute__((no_sanitize("address", "undefined")))

/*
 * An AP-REQ, and its keys in a form that is not theirs: session key, subkey,
 * and those derived from them for the authenticator and the first messages.
 */
struct secret_req {
	uint8_t keys[4][32];
	size_t key_len[4], len;
	uint8_t token[4096];
};

static void put_key(struct secret_req *r, unsigned i, const uint8_t *key, size_t n)
{
	r->key_len[i] = n;
	while (n-- > 0)
		r->keys[i][n] = key[n] ^ MASK;
}

static void put_derived(struct secret_req *r, unsigned i, const krb5_keyblock *k, uint32_t usage)
{
	struct secret *s;

	if (ks_derive_bytes(ks_etype_find(k->enctype), k->contents, usage, KS_KE, &s))
		_exit(1);
	put_key(r, i, s->data, s->len);
}

/* In a process of its own: libkrb5 as a client leaves keys behind. */
static void make_secret_req(const struct forge_key *k, bool mutual, int fd)
{
	gss_buffer_desc cksum = acc_cksum(NULL, mutual ? MUTUAL : COMMON, NULL, 0), token;
	struct acc_req r = { .key = k, .cksum = &cksum, .options = AP_OPTS_USE_SUBKEY |
			     (mutual ? AP_OPTS_MUTUAL_REQUIRED : 0) };
	struct secret_req out = { 0 };
	krb5_keyblock *session, *sub;
	krb5_auth_context ac;

	token = acc_token(&r, &ac);
	if (token.length > sizeof(out.token) || krb5_auth_con_getkey(acc_krb5(), ac, &session) ||
	    krb5_auth_con_getsendsubkey(acc_krb5(), ac, &sub) || !session || !sub)
		_exit(1);
	memcpy(out.token, token.value, out.len = token.length);
	put_key(&out, 0, session->contents, session->length);
	put_key(&out, 1, sub->contents, sub->length);
	put_derived(&out, 2, session, 11);
	put_derived(&out, 3, sub, 24);
	_exit(write(fd, &out, sizeof(out)) != (ssize_t)sizeof(out));
}

static void get_secret_req(const struct forge_key *k, bool mutual, struct secret_req *out)
{
	int fds[2], status;
	size_t got = 0;
	ssize_t n = 1;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		make_secret_req(k, mutual, fds[1]);
	close(fds[1]);
	for (; n > 0 && got < sizeof(*out); got += (size_t)(n > 0 ? n : 0))
		n = read(fds[0], (uint8_t *)out + got, sizeof(*out) - got);
	close(fds[0]);
	CU_ASSERT_FATAL(waitpid(pid, &status, 0) == pid && status == 0 && got == sizeof(*out));
}

static inline UNWATCHED bool is_key(const volatile uint8_t *p, const uint8_t *masked, size_t n)
{
	while (n && (uint8_t)(p[n - 1] ^ MASK) == masked[n - 1])
		n--;
	return n == 0;
}

/* Half a key is a find, too: memory that was freed is partly written over. */
static UNWATCHED unsigned count_in(const uint8_t *p, size_t size, const struct secret_req *r,
				   unsigned keys)
{
	size_t half, i;
	unsigned k, n = 0;

	for (k = 0; k < keys; k++) {
		half = r->key_len[k] / 2;
		for (i = 0; i + half <= size; i++)
			n += is_key(p + i, r->keys[k], half) + is_key(p + i, r->keys[k] + half, half);
	}
	return n;
}

/* How often one of the first keys is found in all writable memory of this process. */
static unsigned count_keys(const struct secret_req *r, unsigned keys)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512], mode[5];
	unsigned all = 0;

	CU_ASSERT_FATAL(maps != NULL);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) == 3 && !strstr(line, "[v") &&
		    strncmp(mode, "rw", 2) == 0 && to - from < MAPPING_MAX)
			all += count_in((const uint8_t *)from, to - from, r, keys);
	}
	fclose(maps);
	return all;
}

/*
 * The tokens are in this process, too, and hold the objects that there are in
 * the clear: the last key, of messages to come, is looked for when it must be gone.
 */
static void keys_after(struct side *s, const struct forge_key *k, unsigned kind)
{
	static struct secret_req r;
	gss_buffer_desc token;
	struct acc_answer a;

	get_secret_req(k, kind, &r);
	token = (gss_buffer_desc){ r.len, r.token };
	r.token[r.len - 1] ^= kind == 2;         /* to be refused */
	acc_own(s->cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major == GSS_S_COMPLETE, kind < 2);
	CU_ASSERT_EQUAL(count_keys(&r, 3), 0);
	acc_answer_fini(&a);
	CU_ASSERT_EQUAL(count_keys(&r, 4), 0);
}

static void no_keys_in_memory(void)
{
	unsigned side, e, kind;

	for (side = 0; side < N(sides); side++) {
		for (e = 0; e < N(etypes); e++) {
			for (kind = 0; kind < 3; kind++)
				keys_after(&sides[side], &sides[side].key[e], kind);
		}
	}
}

/* The search itself finds what is there: the service's key, which the test has. */
static void search_finds(void)
{
	static struct secret_req r;

	put_key(&r, 0, sides[0].key[0].bytes, sides[0].key[0].len);
	CU_ASSERT(count_keys(&r, 1) >= 2);
}

/* ---- work for strangers ---- */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The beginning of an AP-REQ, and very much behind it. */
static gss_buffer_desc huge(size_t n)
{
	gss_buffer_desc token = { n, calloc(1, n) };

	CU_ASSERT_PTR_NOT_NULL_FATAL(token.value);
	memset(token.value, 0x6e, 1);
	return token;
}

static void oversized(void)
{
	gss_buffer_desc token = huge(3 << 20);
	struct acc_answer a;

	acc_own(sides[0].cred, &token, NULL, &a);
	CU_ASSERT_EQUAL(a.major, GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_ERR_FIELD_TOOLONG);
	CU_ASSERT_EQUAL(a.out.length, 0);
	acc_answer_fini(&a);
	free(token.value);
}

/* A ticket for nobody: bounded in time, and the error's text is whole. */
static void strangers(void)
{
	struct forge_key k;
	struct acc_req r = { .key = &k };
	gss_buffer_desc token;
	struct acc_answer a;
	double began;
	unsigned i;

	forge_random_key(&k, "nobody/at.all@ELSEWHERE.ORG", 18, 3);
	token = acc_usual(&r, MUTUAL);
	began = now_ms();
	for (i = 0; i < 100; i++) {
		acc_own(sides[0].cred, &token, NULL, &a);
		CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_AP_ERR_NOT_US);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text((err_t)a.minor), "nobody/at.all"));
		acc_answer_fini(&a);
	}
	printf(" %.2f ms each ...", (now_ms() - began) / 100);
	free(token.value);
}

/* A name that would write to the terminal of whoever reads the log. */
static void terminal(void)
{
	struct forge_key k;
	struct acc_req r = { .key = &k };
	gss_buffer_desc token;
	struct acc_answer a;
	const char *p;

	forge_random_key(&k, "x\033[2J\r/evil\177@TEST.ORG", 18, 3);
	token = acc_usual(&r, MUTUAL);
	acc_own(sides[0].cred, &token, NULL, &a);
	CU_ASSERT_EQUAL((err_t)a.minor, KRB5KRB_AP_ERR_NOT_US);
	for (p = err_text((err_t)a.minor); *p; p++)
		CU_ASSERT((unsigned char)*p >= 0x20 && *p != 0x7f);
	acc_answer_fini(&a);
	free(token.value);
}

/* ---- one context, many threads ---- */

struct race {
	pthread_t thread;
	struct mech_ctx *ctx;
	const gss_buffer_desc *tokens;
	unsigned n, fresh, duplicate;
};

static void *unwrap_all(void *arg)
{
	struct race *r = arg;
	unsigned i;

	for (i = 0; i < r->n; i++) {
		gss_buffer_desc in = r->tokens[i], out;
		OM_uint32 major, minor;

		major = mech_unwrap(&minor, r->ctx, &in, &out, NULL, NULL);
		r->fresh += !GSS_ERROR(major) && !(major & GSS_S_DUPLICATE_TOKEN) && out.length == 3;
		r->duplicate += (major & GSS_S_DUPLICATE_TOKEN) != 0;
		gss_release_buffer(&minor, &out);
	}
	return NULL;
}

/* Messages of a stock initiator, parked keys (sent before the AP-REP) and the other ones. */
static void race_on(struct side *s, bool mutual)
{
	struct forge_ticket t = { .session_etype = 18 };
	gss_cred_id_t cred = acc_initiator(&t, &s->key[0]);
	gss_name_t target = acc_target(s->key[0].principal);
	gss_buffer_desc msg = { 3, (void *)(uintptr_t)"abc" }, first = GSS_C_EMPTY_BUFFER, tokens[20];
	struct race r[8] = { { 0 } };
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	unsigned i, fresh = 0, duplicate = 0;
	struct acc_answer a;
	OM_uint32 minor;

	gss_init_sec_context(&minor, cred, &ctx, target, mech_oid_stock(NULL), mutual ? MUTUAL : COMMON,
			     0, NULL, NULL, NULL, &first, NULL, NULL);
	acc_own(s->cred, &first, NULL, &a);
	CU_ASSERT_EQUAL_FATAL(a.major, GSS_S_COMPLETE);
	gss_release_buffer(&minor, &first);
	if (mutual)
		gss_init_sec_context(&minor, cred, &ctx, target, mech_oid_stock(NULL), MUTUAL, 0, NULL,
				     &a.out, NULL, &first, NULL, NULL);
	for (i = 0; i < N(tokens); i++)
		CU_ASSERT_EQUAL_FATAL(gss_wrap(&minor, ctx, 1, 0, &msg, NULL, &tokens[i]), 0);
	for (i = 0; i < N(r); i++) {
		r[i] = (struct race){ .ctx = a.ctx, .tokens = tokens, .n = N(tokens) };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&r[i].thread, NULL, unwrap_all, &r[i]), 0);
	}
	for (i = 0; i < N(r); i++) {
		pthread_join(r[i].thread, NULL);
		fresh += r[i].fresh;
		duplicate += r[i].duplicate;
	}
	CU_ASSERT_EQUAL(fresh, N(tokens));
	CU_ASSERT_EQUAL(duplicate, (N(r) - 1) * N(tokens));
	for (i = 0; i < N(tokens); i++)
		gss_release_buffer(&minor, &tokens[i]);
	gss_delete_sec_context(&minor, &ctx, NULL);
	gss_release_cred(&minor, &cred);
	gss_release_name(&minor, &target);
	acc_answer_fini(&a);
}

static void races(void)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		race_on(&sides[i / 2], i & 1);
}

/* ---- the program ---- */

static int setup(void)
{
	static const char *const names[] = { "softhsm", "nss" };
	static char principals[2][N(etypes)][40];
	unsigned i, e;

	for (i = 0; i < N(sides); i++) {
		sides[i].box = box_token(names[i]);
		for (e = 0; e < N(etypes); e++) {
			snprintf(principals[i][e], sizeof(principals[i][e]), "svc%d/%s@TEST.ORG",
				 (int)etypes[e], names[i]);
			acc_new_key(sides[i].box, principals[i][e], etypes[e], 3, &sides[i].key[e]);
		}
		sides[i].cred = acc_cred(sides[i].box, NULL, NULL);
	}
	return 0;
}

static int teardown(void)
{
	unsigned i;

	for (i = 0; i < N(sides); i++)
		mech_cred_free(&sides[i].cred);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "nothing left on the token", nothing_left },
		{ "the search finds", search_finds },
		{ "no keys in memory", no_keys_in_memory },
		{ "oversized", oversized }, { "strangers", strangers },
		{ "terminal", terminal }, { "races", races },
		CU_TEST_INFO_NULL,
	};

	acc_environment("[libdefaults]\n allow_weak_crypto = true\n allow_rc4 = true\n");
	return box_suite("attacks", setup, teardown, tests);
}
