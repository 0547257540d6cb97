/*
 * A hostile neighbourhood: objects that somebody without the PIN put on the
 * token, programs with closed descriptors and strange exits, forks amid
 * threads, tokens that go away, and memory that is searched for keys.
 *
 * Much of it needs a process of its own: "t_hostile PART BOX ..." is that.
 */
#include <CUnit/Basic.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include "keystore/keytab_id.h"
#include "keystore/keytab_int.h"
#include "mech/message.h"
#include "pkcs11/token.h"
#include "tests/lib/accepting.h"
#include "tests/lib/scan.h"

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
enum { CONTEXTS = 200, THREADS = 8, ROUNDS = 20, VICTIM_SECONDS = 60, CHILD_SECONDS = SANITIZED ? 3 : 30 };

static const struct box_token *boxes;
static size_t n_boxes;

static gss_buffer_desc token_for(const struct forge_key *k, const uint8_t *session_key)
{
	gss_buffer_desc cksum = acc_cksum(NULL, GSS_C_MUTUAL_FLAG, NULL, 0), token;
	struct acc_req r = { .key = k, .cksum = &cksum, .ticket = { .session_key = session_key },
			     .options = AP_OPTS_MUTUAL_REQUIRED };

	token = acc_token(&r, NULL);
	free(cksum.value);
	return token;
}

static bool talks(struct mech_ctx *c)
{
	gss_buffer_desc text = { 5, (void *)(uintptr_t)"hello" }, out = GSS_C_EMPTY_BUFFER;
	OM_uint32 mine, major = mech_wrap(&mine, c, 1, 0, &text, NULL, &out);

	free(out.value);
	return major == GSS_S_COMPLETE;
}

static bool accepts(struct mech_cred *cred, const gss_buffer_desc *token, struct acc_answer *a)
{
	acc_own(cred, token, NULL, a);
	return a->major == GSS_S_COMPLETE && talks(a->ctx);
}

/* ---- forged entries --------------------------------------------------------------- */

struct raw {
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session;
};

static void raw_open(const struct box_token *b, struct tok *t, struct raw *r)
{
	r->f = p11_kit_module_load(b->module, P11_KIT_MODULE_UNMANAGED);
	CU_ASSERT_FATAL(r->f != NULL);
	CU_ASSERT_FATAL(r->f->C_OpenSession(tok_info(t)->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
					    NULL, NULL, &r->session) == CKR_OK);
}

struct raw_key {
	CK_BBOOL private, used;
	CK_KEY_TYPE type;
	const char *label;
	const uint8_t *id, *value;
	size_t id_len, len;
};

static CK_OBJECT_HANDLE raw_make(const struct raw *r, const struct raw_key *k)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE, used = k->used, private = k->private;
	CK_KEY_TYPE type = k->type;
	CK_OBJECT_HANDLE out = 0;
	CK_ATTRIBUTE a[] = {
		{ CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &private, 1 }, { CKA_WRAP, &no, 1 },
		{ CKA_UNWRAP, &no, 1 }, { CKA_DERIVE, &no, 1 }, { CKA_ENCRYPT, &no, 1 },
		{ CKA_DECRYPT, &used, 1 }, { CKA_SIGN, &used, 1 },
		{ CKA_LABEL, (void *)(uintptr_t)k->label, strlen(k->label) },
		{ CKA_ID, (void *)(uintptr_t)k->id, k->id_len },
		{ CKA_VALUE, (void *)(uintptr_t)k->value, k->len },
	};

	return r->f->C_CreateObject(r->session, a, 13, &out) == CKR_OK ? out : 0;
}

static size_t entries(struct ks_keytab *kt, const char *principal)
{
	struct ks_entry *e = NULL;
	size_t n = 0, i, found = 0;

	ks_keytab_forget(kt);
	CU_ASSERT(ks_keytab_entries(kt, &e, &n) == 0);
	for (i = 0; i < n; i++)
		found += strcmp(e[i].principal, principal) == 0;
	ks_entries_free(&e, n);
	return found;
}

#define FORGED "HTTP/forged.test.org@TEST.ORG"

/* What no PIN is needed for must make no key that tickets are opened with. */
static void forge_entry(const struct box_token *b, struct ks_keytab *kt, bool private)
{
	struct ks_id id = { .record = KS_REC_COMMIT, .kvno = 1, .etype = 18, .use = KS_USE_ACCEPT,
			    .ordinal = 1, .instance = { 1, 2, 3, private } };
	static const uint8_t known[32] = { 7 };
	uint8_t buf[KS_ID_MAX];
	struct raw_key k = { .private = private, .type = CKK_GENERIC_SECRET, .label = FORGED,
			     .id = buf, .value = known, .len = 32 };
	CK_OBJECT_HANDLE made;
	struct raw r;
	size_t before = entries(kt, FORGED);

	k.id_len = ks_id_encode(&id, buf);
	raw_open(b, ks_keytab_token(kt), &r);
	made = raw_make(&r, &k);
	CU_ASSERT(made || !private);    /* a token may refuse public keys altogether */
	CU_ASSERT_EQUAL(entries(kt, FORGED), before + private);
	if (made)
		r.f->C_DestroyObject(r.session, made);
	r.f->C_CloseSession(r.session);
}

/* IDs and labels that are no records, next to a proper entry. */
static void litter(const struct box_token *b, struct ks_keytab *kt)
{
	static const uint8_t value[16] = { 1 };
	uint8_t id[64];
	CK_OBJECT_HANDLE made[64];
	struct raw r;
	size_t i, k;

	raw_open(b, ks_keytab_token(kt), &r);
	for (i = 0; i < 64; i++) {
		struct raw_key key = { .private = CK_TRUE, .type = CKK_GENERIC_SECRET, .id = id,
				       .label = i % 3 ? "x\033[2J\n" : "", .id_len = i + 1,
				       .value = value, .len = 16 };

		for (k = 0; k < sizeof(id); k++)
			id[k] = (uint8_t)(i * 37 + k * 11);
		memcpy(id, "gp11\1\1", i % 2 ? 6 : 3);
		made[i] = raw_make(&r, &key);
	}
	CU_ASSERT_EQUAL(entries(kt, ACC_SERVICE), 1);
	for (i = 0; i < 64; i++) {
		if (made[i])
			r.f->C_DestroyObject(r.session, made[i]);
	}
	r.f->C_CloseSession(r.session);
}

static void test_forged(void)
{
	struct ks_keytab *kt;
	struct forge_key k;
	struct ks_conf conf;
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		acc_new_key(&boxes[i], ACC_SERVICE, 18, 1, &k);
		CU_ASSERT_FATAL(ks_conf_read(acc_krb5(), NULL, &conf) == 0);
		CU_ASSERT_FATAL(ks_keytab_open(&conf, boxes[i].uri, true, &kt) == 0);
		forge_entry(&boxes[i], kt, true);       /* the forger's hand is steady */
		forge_entry(&boxes[i], kt, false);
		litter(&boxes[i], kt);
		acc_key_remove(&boxes[i], &k);
		ks_keytab_unref(&kt);
		ks_conf_fini(&conf);
	}
}

/* ---- what a program must not notice ------------------------------------------------- */

static size_t open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static size_t session_objects(struct tok *t, const struct box_token *b)
{
	CK_BBOOL no = CK_FALSE;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_ATTRIBUTE a[] = { { CKA_TOKEN, &no, 1 }, { CKA_CLASS, &class, sizeof(class) } };
	CK_OBJECT_HANDLE found[8192];
	CK_ULONG n = 0;
	struct raw r;

	raw_open(b, t, &r);
	CU_ASSERT(r.f->C_FindObjectsInit(r.session, a, 2) == CKR_OK);
	CU_ASSERT(r.f->C_FindObjects(r.session, found, 8192, &n) == CKR_OK);
	r.f->C_FindObjectsFinal(r.session);
	r.f->C_CloseSession(r.session);
	return n;
}

/* Many contexts at once work, and leave neither objects nor descriptors nor handlers behind. */
static void many_contexts(const struct box_token *b, struct mech_cred *cred,
			  const gss_buffer_desc *token)
{
	static struct acc_answer a[CONTEXTS];
	struct tok *t = ks_keytab_token(cred->keytab);
	struct sigaction now, before[NSIG];
	size_t objects, fds, i;
	sigset_t mask[2] = { { { 0 } } };

	CU_ASSERT(accepts(cred, token, &a[0]));
	acc_answer_fini(&a[0]);
	objects = session_objects(t, b);
	fds = open_fds();
	sigprocmask(SIG_BLOCK, NULL, &mask[0]);
	for (i = 1; i < NSIG; i++)
		sigaction((int)i, NULL, &before[i]);
	for (i = 0; i < CONTEXTS; i++)
		CU_ASSERT(accepts(cred, token, &a[i]));
	for (i = 0; i < CONTEXTS; i++)
		CU_ASSERT(talks(a[i].ctx));
	CU_ASSERT(session_objects(t, b) > objects);
	for (i = 0; i < CONTEXTS; i++)
		acc_answer_fini(&a[i]);
	CU_ASSERT_EQUAL(session_objects(t, b), objects);
	CU_ASSERT_EQUAL(open_fds(), fds);
	sigprocmask(SIG_BLOCK, NULL, &mask[1]);
	CU_ASSERT(memcmp(&mask[0], &mask[1], sizeof(mask[0])) == 0);
	for (i = 1; i < NSIG; i++) {
		if (sigaction((int)i, NULL, &now) == 0)
			CU_ASSERT(now.sa_handler == before[i].sa_handler);
	}
}

struct load {
	struct mech_cred *cred;
	const gss_buffer_desc *token;
	_Atomic bool stop;
	_Atomic unsigned bad, done;
};

/* Accepts and lets go, each thread with a reference that it was given. */
static void *accept_many(void *arg)
{
	struct load *l = arg;
	struct mech_cred *mine = l->cred;
	struct acc_answer a;
	int i;

	for (i = 0; i < ROUNDS || !l->stop; i++) {
		l->bad += !accepts(mine, l->token, &a);
		acc_answer_fini(&a);
		l->done++;
	}
	mech_cred_free(&mine);
	return NULL;
}

/* In a child that was forked amid the other threads' calls. */
static int child(struct load *l, struct mech_ctx *inherited)
{
	struct acc_answer a;
	bool fine;

	alarm(CHILD_SECONDS);
	(void)talks(inherited);         /* keys lost or not: no crash */
	fine = accepts(l->cred, l->token, &a);
	if (!fine)
		fprintf(stderr, "accept in a child: %08x %s\n", a.major,
			err_text((err_t)a.minor) ? err_text((err_t)a.minor) : "");
	acc_answer_fini(&a);
	return fine ? 0 : 1;
}

static void start(struct load *l, pthread_t *t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		mech_cred_ref(l->cred);
		if (pthread_create(&t[i], NULL, accept_many, l))
			abort();
	}
}

static void test_shared(void)
{
	pthread_t t[THREADS];
	struct mech_cred *cred;
	struct forge_key k;
	size_t i, n;

	for (n = 0; n < n_boxes; n++) {
		gss_buffer_desc token;
		struct load l = { .stop = false };

		acc_new_key(&boxes[n], ACC_SERVICE, 18, 1, &k);
		token = token_for(&k, NULL);
		l.cred = cred = acc_cred(&boxes[n], NULL, NULL);
		l.token = &token;
		many_contexts(&boxes[n], l.cred, &token);
		l.stop = true;
		start(&l, t, THREADS);
		mech_cred_free(&cred);          /* released under their hands */
		for (i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		CU_ASSERT_EQUAL(l.bad, 0);
		acc_key_remove(&boxes[n], &k);
		free(token.value);
	}
}

/* ---- a process of its own ------------------------------------------------------------ */

struct victim {
	const struct box_token *box;
	const char *part, *uri;
	const char *secret[3];  /* hex, masked */
	bool closed;            /* starts without stdin, stdout, stderr */
};

/* Runs it; true when it ends with 0 in time. */
static bool run_victim(const struct victim *v)
{
	char *argv[] = { (char *)(uintptr_t)"t_hostile", (char *)(uintptr_t)v->part, (char *)(uintptr_t)v->uri,
			 box_path("token"), (char *)(uintptr_t)v->secret[0],
			 (char *)(uintptr_t)v->secret[1], (char *)(uintptr_t)v->secret[2], NULL };
	posix_spawn_file_actions_t acts;
	int status = -1, fd;
	pid_t pid;

	posix_spawn_file_actions_init(&acts);
	for (fd = 0; v->closed && fd < 3; fd++)
		posix_spawn_file_actions_addclose(&acts, fd);
	if (posix_spawn(&pid, "/proc/self/exe", &acts, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid)
		status = -1;
	posix_spawn_file_actions_destroy(&acts);
	free(argv[3]);
	if (status)
		fprintf(stderr, "%s on %s: status %#x\n", v->part, v->box->name, (unsigned)status);
	return status == 0;
}

static gss_buffer_desc read_token(const char *path)
{
	static uint8_t buf[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (n <= 0)
		_exit(50);
	close(fd);
	return (gss_buffer_desc){ (size_t)n, buf };
}

static int victim_residue(char **argv)
{
	gss_buffer_desc token = read_token(argv[3]);
	struct mech_cred *cred = NULL;
	struct scan s;
	struct acc_answer a;
	size_t found = 0;
	int i;

	if (mech_cred_open_acceptor(argv[2], &cred) || !accepts(cred, &token, &a))
		return 2;
	acc_answer_fini(&a);
	mech_cred_free(&cred);
	s.n = 32;
	for (i = 0; i < 32; i++)        /* what is there must be found */
		s.masked[i] = ((const uint8_t *)token.value)[100 + i] ^ SCAN_MASK;
	if (!scan_memory(&s))
		return 4;
	for (i = 4; argv[i]; i++) {
		scan_unhex(argv[i], &s);
		found += scan_memory(&s);
	}
	return found ? 3 : 0;
}

/* Nothing may be found in the descriptors' place afterwards. */
static int victim_closed(char **argv)
{
	gss_buffer_desc token = read_token(argv[3]);
	struct mech_cred *cred = NULL;
	struct acc_answer a;
	int fd;

	if (mech_cred_open_acceptor(argv[2], &cred) || !accepts(cred, &token, &a))
		return 2;
	acc_answer_fini(&a);
	mech_cred_free(&cred);
	for (fd = 0; fd < 3; fd++) {
		if (strstr(argv[2], "softhsm") && fcntl(fd, F_GETFD) >= 0)
			return 3;
	}
	return 0;
}

static void *exit_here(void *arg)
{
	(void)arg;
	exit(0);
}

/* exit() in another thread, with a context open and the token logged in. */
static int victim_exit(char **argv)
{
	gss_buffer_desc token = read_token(argv[3]);
	struct mech_cred *cred = NULL;
	struct acc_answer a;
	pthread_t t;

	if (mech_cred_open_acceptor(argv[2], &cred) || !accepts(cred, &token, &a) ||
	    pthread_create(&t, NULL, exit_here, NULL))
		return 2;
	pthread_join(t, NULL);
	return 4;
}

struct talk {
	struct mech_ctx *ctx;
	struct tok *tok;
	_Atomic bool stop, bad;
};

/* Calls of workers and of the holder, none of libkrb5, whose own locks no child can mend. */
static void *talk_on(void *arg)
{
	const struct ks_use use = { 22, KS_SEAL };
	static const uint8_t value[32] = { 9 };
	struct talk *t = arg;
	struct ks_key *k = NULL;

	while (!t->stop && !t->bad) {
		t->bad = !talks(t->ctx) || ks_key_from_bytes(t->tok, 18, value, 32, &k) ||
			 ks_key_prepare(k, &use, 1);
		ks_key_unref(&k);
	}
	return NULL;
}

/*
 * AddressSanitizer keeps its allocator's locks over fork() (seen with gcc 12):
 * there a child that hangs says nothing about us.
 */
static bool hung_in_sanitizer(int status)
{
	return SANITIZED && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
}

/* Forks while other threads use the token: the child must not wait for them for ever. */
static int victim_fork(char **argv)
{
	gss_buffer_desc token = read_token(argv[3]);
	struct load l = { .token = &token };
	struct talk talk = { .stop = false };
	struct acc_answer a, still;     /* still: no thread is in it at the fork */
	pthread_t t[2];
	int i, status, bad = 0;
	pid_t pid;

	if (mech_cred_open_acceptor(argv[2], &l.cred) || !accepts(l.cred, &token, &a) ||
	    !accepts(l.cred, &token, &still))
		return 2;
	talk.ctx = a.ctx;
	talk.tok = ks_keytab_token(l.cred->keytab);
	for (i = 0; i < 2; i++) {
		if (pthread_create(&t[i], NULL, talk_on, &talk))
			return 2;
	}
	for (i = 0; i < ROUNDS; i++) {
		pid = fork();
		if (pid == 0)
			_exit(child(&l, still.ctx));
		if (waitpid(pid, &status, 0) == pid && (!status || hung_in_sanitizer(status)))
			continue;
		fprintf(stderr, "child %d: status 0x%x\n", i, (unsigned)status);
		bad++;
	}
	talk.stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	acc_answer_fini(&a);
	acc_answer_fini(&still);
	mech_cred_free(&l.cred);
	if (bad)
		fprintf(stderr, "%d of %d children failed\n", bad, ROUNDS);
	return bad || talk.bad ? 3 : 0;
}

static const struct {
	const char *name;
	int (*run)(char **argv);
	bool closed;
} parts[] = {
	{ "residue", victim_residue, false }, { "closed", victim_closed, true },
	{ "exit", victim_exit, false }, { "fork", victim_fork, false },
};

static int victim(char **argv)
{
	size_t i;

	alarm(VICTIM_SECONDS);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(argv[1], parts[i].name) == 0)
			return parts[i].run(argv);
	}
	return 51;
}

static void write_token(const gss_buffer_desc *token)
{
	char *path = box_path("token");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, token->value, token->length) ==
			(ssize_t)token->length);
	close(fd);
	free(path);
}

static void test_victims(void)
{
	uint8_t session_key[32];
	char hex[3][129];
	struct forge_key k;
	size_t n, i;

	for (n = 0; n < n_boxes; n++) {
		const struct box_token *b = &boxes[n];
		gss_buffer_desc token;

		for (i = 0; i < sizeof(session_key); i++)
			session_key[i] = (uint8_t)(0xc3 ^ (i * 29 + n));
		acc_new_key(b, ACC_SERVICE, 18, 1, &k);
		token = token_for(&k, session_key);
		write_token(&token);
		scan_hex(session_key, 32, hex[0]);
		scan_hex(k.bytes, k.len, hex[1]);
		scan_hex(b->pin, strlen(b->pin), hex[2]);
		for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			struct victim v = { .box = b, .part = parts[i].name, .uri = b->uri,
					    .secret = { hex[0], hex[1], hex[2] },
					    .closed = parts[i].closed };

			CU_ASSERT(run_victim(&v));
		}
		acc_key_remove(b, &k);
		free(token.value);
	}
}

int main(int argc, char **argv)
{
	CU_pSuite s;
	unsigned bad;

	if (argc > 3)
		return victim(argv);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	boxes = box_tokens(&n_boxes);
	acc_environment(NULL);
	s = CU_add_suite("hostile", NULL, NULL);
	CU_ADD_TEST(s, test_forged);
	CU_ADD_TEST(s, test_shared);
	CU_ADD_TEST(s, test_victims);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	bad = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return bad ? 1 : 0;
}
