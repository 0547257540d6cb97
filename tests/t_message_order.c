/* Sizes, numbers and token operations of messages. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>

#include "mech/message.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/msg.h"

/* ---- sizes ---- */

static void test_size_limit(void)
{
	static const OM_uint32 some[] = { 1000, 4096, 65535, 1 << 20, INT32_MAX - 400 };
	OM_uint32 minor, own, stock, limit;
	size_t c, k;
	int conf;

	for (c = 0; c < MSG_CONFIGS; c++) {
		for (k = 0; k <= 305; k++) {
			for (conf = 0; conf < 2; conf++) {
				limit = k <= 300 ? (OM_uint32)k : some[k - 301];
				own = stock = 77;
				mech_wrap_size_limit(&minor, &msg_pairs[c].i.own, conf, 0, limit, &own);
				gss_wrap_size_limit(&minor, msg_pairs[c].i.stock, conf, 0, limit,
						    &stock);
				msg_check(own == stock, "size limit", c, limit);
			}
		}
		mech_wrap_size_limit(&minor, &msg_pairs[c].i.own, 1, 0, UINT32_MAX, &own);
		msg_check(own < INT32_MAX, "largest size", c, own);
	}
}

/* ---- sequence ---- */

static struct pair ordered;
static gss_buffer_desc sent[200];

static void make_ordered(OM_uint32 flags)
{
	struct pair_want w = { 18, "aes256-cts", GSS_C_MUTUAL_FLAG | flags };
	gss_buffer_desc msg = msg_text(5);
	OM_uint32 minor;
	size_t i;

	pair_make(keys_token("softhsm"), &w, &ordered);
	for (i = 0; i < 200; i++) {
		if (i % 3)
			mech_wrap(&minor, &ordered.i.own, i % 2, 0, &msg, NULL, &sent[i]);
		else
			mech_get_mic(&minor, &ordered.i.own, 0, &msg, &sent[i]);
	}
}

static void free_ordered(void)
{
	size_t i;

	for (i = 0; i < 200; i++)
		free(sent[i].value);
	pair_free(&ordered);
}

static OM_uint32 receive(size_t i, bool stock)
{
	gss_buffer_desc in = pair_copy(&sent[i]), plain = GSS_C_EMPTY_BUFFER, msg = msg_text(5);
	OM_uint32 minor = 0, major;

	if (i % 3 == 0)
		major = stock ? gss_verify_mic(&minor, ordered.a.stock, &msg, &in, NULL)
			      : mech_verify_mic(&minor, &ordered.a.own, &msg, &in, NULL);
	else if (stock)
		major = gss_unwrap(&minor, ordered.a.stock, &in, &plain, NULL, NULL);
	else
		major = mech_unwrap(&minor, &ordered.a.own, &in, &plain, NULL, NULL);
	/* A supplementary status goes with the message, and with a minor that says why. */
	if (i % 3)
		CU_ASSERT(GSS_ERROR(major) || pair_same(&plain, &msg));
	if (!stock)
		CU_ASSERT(!major == !minor);
	free(plain.value);
	free(in.value);
	return major;
}

static void test_sequence(void)
{
	static const OM_uint32 flags[] = {
		0, GSS_C_REPLAY_FLAG, GSS_C_SEQUENCE_FLAG, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
	};
	static const size_t order[] = {  /* no jump of 64 or more: there stock errs */
		0, 1, 1, 3, 2, 2, 3, 10, 4, 9, 0, 60, 61, 62, 0, 1, 5, 100, 60, 59, 61, 30, 160,
		100, 97, 96, 95, 159, 160, 199, 140, 136, 135, 134,
	};
	size_t f, i;

	for (f = 0; f < 4; f++) {
		make_ordered(flags[f]);
		for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
			msg_check(receive(order[i], false) == receive(order[i], true), "sequence", f,
			      i);
		pair_reset(&ordered.a);
		receive(0, false);
		receive(2, false);
		receive(66, false);
		msg_check(receive(64, false) == (flags[f] & GSS_C_SEQUENCE_FLAG ? GSS_S_UNSEQ_TOKEN
									  : GSS_S_COMPLETE),
		      "after a jump of 64", f, 64);
		free_ordered();
	}
}

/* A damaged token leaves no trace in the window. */
static void test_damaged_then_good(void)
{
	uint8_t *last;

	make_ordered(GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG);
	last = (uint8_t *)sent[1].value + sent[1].length - 1;
	CU_ASSERT_EQUAL(receive(0, false), GSS_S_COMPLETE);
	*last ^= 1;
	CU_ASSERT_EQUAL(receive(1, false), GSS_S_BAD_SIG);
	*last ^= 1;
	CU_ASSERT_EQUAL(receive(1, false), GSS_S_COMPLETE);
	free_ordered();
}

/* ---- threads ---- */

#define THREADS 4
#define EACH 50

static void *wrap_many(void *arg)
{
	gss_buffer_desc *out = arg, msg = msg_text(33);
	OM_uint32 minor;
	size_t i;

	for (i = 0; i < EACH; i++) {
		if (mech_wrap(&minor, &msg_pairs[1].i.own, 1, 0, &msg, NULL, &out[i]))
			out[i].value = NULL;
	}
	return NULL;
}

static int by_seq(const void *a, const void *b)
{
	const gss_buffer_desc *x = a, *y = b;

	return memcmp((uint8_t *)x->value + 8, (uint8_t *)y->value + 8, 8);
}

static void test_threads(void)
{
	static gss_buffer_desc out[THREADS * EACH];
	pthread_t t[THREADS];
	gss_buffer_desc plain;
	OM_uint32 minor;
	size_t i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, wrap_many, &out[i * EACH]);
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	qsort(out, THREADS * EACH, sizeof(out[0]), by_seq);
	for (i = 0; i < THREADS * EACH; i++) {
		msg_check(!i || by_seq(&out[i - 1], &out[i]) < 0, "a number twice", 1, i);
		msg_check(!mech_unwrap(&minor, &msg_pairs[1].a.own, &out[i], &plain, NULL, NULL),
		      "from a thread", 1, i);
		free(plain.value);
	}
	for (i = 0; i < THREADS * EACH; i++)
		free(out[i].value);
}

/* ---- after fork() ---- */

/* A call that succeeded, or lost its key with the token and left nothing behind. */
static bool lost_or_good(struct mech_ctx *c, OM_uint32 major, OM_uint32 minor,
			 gss_buffer_t token, uint64_t seq)
{
	bool good = major == GSS_S_COMPLETE && token->value && c->send_seq == seq + 1;
	bool lost = major == GSS_S_FAILURE && (err_t)minor == ERR_KEY_LOST && !token->value
		    && !token->length && c->send_seq == seq;

	free(token->value);
	return good || lost;
}

static int use_in_child(struct mech_ctx *c)
{
	gss_buffer_desc msg = msg_text(10), token = { 1, msg_octets };
	uint64_t seq = c->send_seq;
	OM_uint32 minor, major;
	bool ok;

	major = mech_wrap(&minor, c, 1, 0, &msg, NULL, &token);
	ok = lost_or_good(c, major, minor, &token, seq);
	seq = c->send_seq;
	major = mech_wrap(&minor, c, 0, 0, &msg, NULL, &token);
	ok = lost_or_good(c, major, minor, &token, seq) && ok;
	seq = c->send_seq;
	major = mech_get_mic(&minor, c, 0, &msg, &token);
	return lost_or_good(c, major, minor, &token, seq) && ok ? 0 : 1;
}

/* Whether keys survive in a child is the token's affair; messages are whole either way. */
static void test_fork(void)
{
	gss_buffer_desc msg = msg_text(10), token, plain;
	OM_uint32 minor;
	int status = -1;
	size_t c;
	pid_t pid;

	for (c = 0; c < MSG_CONFIGS; c++) {
		pid = fork();
		if (pid == 0)
			_exit(use_in_child(&msg_pairs[c].i.own));
		waitpid(pid, &status, 0);
		msg_check(status == 0, "in a child", c, (size_t)status);
		CU_ASSERT(!mech_wrap(&minor, &msg_pairs[c].i.own, 1, 0, &msg, NULL, &token));
		CU_ASSERT(!mech_unwrap(&minor, &msg_pairs[c].a.own, &token, &plain, NULL, NULL));
		free(plain.value);
		free(token.value);
	}
}

/* ---- operations on the token, counted in the trace ---- */

/* A line of the trace that is a call of this function. */
static bool is_call(const char *line, const char *name)
{
	const char *at = strstr(line, ": C_");
	size_t n = strlen(name);

	return at && !strncmp(at + 2, name, n) && (at[2 + n] == ' ' || at[2 + n] == '(');
}

/* Bulk operations since the last call; anything else but their Inits counts 1000. */
static size_t operations(const char *file)
{
	char line[512];
	size_t n = 0;
	FILE *f = fopen(file, "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (is_call(line, "C_Encrypt") || is_call(line, "C_Decrypt")
		    || is_call(line, "C_Sign"))
			n++;
		else if (!is_call(line, "C_EncryptInit") && !is_call(line, "C_DecryptInit")
			 && !is_call(line, "C_SignInit"))
			n += 1000;
	}
	fclose(f);
	unlink(file);
	return n;
}

static size_t count_wrap(const char *file, struct pair *p, int conf, size_t len, size_t unwrap)
{
	gss_buffer_desc msg = msg_text(len), token, plain;
	OM_uint32 minor;
	size_t bad, n;

	operations(file);
	mech_wrap(&minor, &p->i.own, conf, 0, &msg, NULL, &token);
	n = operations(file);
	bad = n != (conf ? 2 : 1);
	mech_unwrap(&minor, &p->a.own, &token, &plain, NULL, NULL);
	bad += operations(file) != unwrap;
	free(plain.value);
	free(token.value);
	if (bad)
		printf("%zu octets, conf %d: %zu operations\n", len, conf, n);
	return bad;
}

static size_t count_mic(const char *file, struct pair *p)
{
	gss_buffer_desc msg = msg_text(77), token;
	OM_uint32 minor;
	size_t bad;

	operations(file);
	mech_get_mic(&minor, &p->i.own, 0, &msg, &token);
	bad = operations(file) != 1;
	mech_verify_mic(&minor, &p->a.own, &msg, &token, NULL);
	bad += operations(file) != 1;
	free(token.value);
	return bad;
}

/* Runs in a child of its own: the trace is decided once in a process. */
static int count_operations(void)
{
	char *file = box_path("trace");
	size_t c, bad = 0;

	setenv("GSSP11_TRACE", file, 1);
	msg_make();
	for (c = 0; c < MSG_CONFIGS; c++) {
		bad += count_wrap(file, &msg_pairs[c], 1, 40, 3);
		bad += count_wrap(file, &msg_pairs[c], 1, 48, 2);
		bad += count_wrap(file, &msg_pairs[c], 1, MSG_MEGABYTE, 2);
		bad += count_wrap(file, &msg_pairs[c], 0, 40, 1);
		bad += count_mic(file, &msg_pairs[c]);
	}
	msg_free();
	free(file);
	return bad ? 1 : 0;
}

static int counted;

static void test_operations(void)
{
	CU_ASSERT_EQUAL(counted, 0);
}

static int count_in_child(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		exit(count_operations());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "size limit", test_size_limit },
		{ "sequence", test_sequence },
		{ "damaged, then good", test_damaged_then_good },
		{ "threads", test_threads },
		{ "after fork", test_fork },
		{ "operations on the token", test_operations },
		CU_TEST_INFO_NULL,
	};

	counted = count_in_child();
	return msg_run("order of messages", tests);
}
