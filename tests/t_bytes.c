/* The shared four: byte cursors, errors, secrets, trace. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "pkcs11/bytes.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"
#include "tests/lib/box.h"

static void test_reader(void)
{
	static const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct rd r, sub;

	rd_init(&r, in, sizeof(in));
	CU_ASSERT(rd_u8(&r) == 0x01);
	CU_ASSERT(rd_be16(&r) == 0x0203);
	CU_ASSERT(rd_le16(&r) == 0x0504);
	CU_ASSERT(rd_be32(&r) == 0x06070809);
	sub = rd_sub(&r, 4);
	CU_ASSERT(rd_le32(&sub) == 0x0d0c0b0a);
	CU_ASSERT(rd_done(&sub));
	CU_ASSERT(!rd_done(&r) && !r.bad);
	CU_ASSERT(rd_bytes(&r, 2) == in + 13);
	CU_ASSERT(rd_done(&r));
	CU_ASSERT(rd_bytes(&r, 0) != NULL);
	CU_ASSERT(rd_u8(&r) == 0 && r.bad && !rd_done(&r));
	rd_init(&r, in, 8);
	CU_ASSERT(rd_be64(&r) == 0x0102030405060708ULL && rd_done(&r));
}

static void test_reader_sticks(void)
{
	static const uint8_t in[4] = { 1, 2, 3, 4 };
	struct rd r, sub;

	rd_init(&r, in, sizeof(in));
	sub = rd_sub(&r, 5);
	CU_ASSERT(sub.bad && r.bad && rd_u8(&sub) == 0);
	CU_ASSERT(rd_u8(&r) == 0 && rd_bytes(&r, 0) == NULL);
	rd_init(&r, in, sizeof(in));
	CU_ASSERT(rd_bytes(&r, SIZE_MAX) == NULL && r.bad);
	rd_init(&r, NULL, 0);
	CU_ASSERT(rd_done(&r) && rd_bytes(&r, 0) != NULL && rd_done(&r));
	rd_init(&r, NULL, 3);
	CU_ASSERT(r.bad && !rd_done(&r));
}

static void test_writer(void)
{
	static const uint8_t want[] = { 1, 2, 3, 5, 4, 6, 7, 8, 9, 13, 12, 11, 10, 'a', 'b', 0, 0 };
	uint8_t buf[17];
	struct wr w;
	uint8_t *p;

	wr_init(&w, buf, sizeof(buf));
	wr_u8(&w, 1);
	wr_be16(&w, 0x0203);
	wr_le16(&w, 0x0405);
	wr_be32(&w, 0x06070809);
	wr_le32(&w, 0x0a0b0c0d);
	wr_bytes(&w, "ab", 2);
	p = wr_space(&w, 2);
	CU_ASSERT(p == buf + 15);
	CU_ASSERT(!w.bad && w.len == 17 && memcmp(buf, want, 17) == 0);
	wr_u8(&w, 1);
	CU_ASSERT(w.bad && w.len == 17);
	CU_ASSERT(wr_space(&w, 0) == NULL);
	wr_init(&w, buf, 8);
	wr_be64(&w, 0x0102030405060708ULL);
	CU_ASSERT(!w.bad && buf[0] == 1 && buf[7] == 8);
}

static void test_writer_grows(void)
{
	uint8_t *out;
	size_t len, i;
	struct wr w;

	wr_init_grow(&w, 100000);
	for (i = 0; i < 25000; i++)
		wr_be32(&w, (uint32_t)i);
	CU_ASSERT(wr_take(&w, &out, &len) == 0 && len == 100000);
	CU_ASSERT(out && out[4 * 258 + 2] == 1 && out[4 * 258 + 3] == 2);
	free(out);
	wr_init_grow(&w, 3);
	wr_be32(&w, 1);
	CU_ASSERT(wr_take(&w, &out, &len) == E2BIG && !out && !len);
	wr_init_grow(&w, 300);
	CU_ASSERT(wr_space(&w, 300) != NULL && wr_space(&w, 1) == NULL);
	wr_free(&w);
	wr_init_grow(&w, 10);
	CU_ASSERT(wr_take(&w, &out, &len) == 0 && out && !len);
	free(out);
}

static void test_hex(void)
{
	static const char *const bad[] = { "", "0", "012", "0g12", " 012", "0x12", "+112", "01 2" };
	uint8_t all[256], back[256];
	char text[513];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(hex_get(bad[i], back, 2));
	for (i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	hex_put(all, sizeof(all), text);
	CU_ASSERT(strlen(text) == 512 && !memcmp(text + 2 * 0x9a, "9a9b9c", 6));
	CU_ASSERT(hex_get(text, back, sizeof(back)) && !memcmp(all, back, sizeof(all)));
	CU_ASSERT(hex_get("aBCd and more", back, 2) && back[0] == 0xab && back[1] == 0xcd);
	hex_put(NULL, 0, text);
	CU_ASSERT_STRING_EQUAL(text, "");
	CU_ASSERT(hex_get("", back, 0));
}

static void test_errors(void)
{
	int i;

	CU_ASSERT(err_set(0, "x") == 0);
	CU_ASSERT(err_text(EBADF) == NULL);
	CU_ASSERT_STRING_EQUAL(err_text(ERR_URI), err_fixed_text(ERR_URI));
	for (i = ERR_BASE; i < ERR_END; i++)
		CU_ASSERT(err_fixed_text(i) != NULL);
	CU_ASSERT(err_fixed_text(ERR_END) == NULL && err_fixed_text(0) == NULL);
	CU_ASSERT(err_set(ERR_URI, "number %d", 1) == ERR_URI);
	CU_ASSERT_STRING_EQUAL(err_text(ERR_URI), "number 1");
	CU_ASSERT(err_prefix(ERR_URI, "while %s", "testing") == ERR_URI);
	CU_ASSERT_STRING_EQUAL(err_text(ERR_URI), "while testing: number 1");
	CU_ASSERT(err_set(ERR_URI, "again %s", err_text(ERR_URI)) == ERR_URI);
	CU_ASSERT_STRING_EQUAL(err_text(ERR_URI), "again while testing: number 1");
	CU_ASSERT(err_prefix(ENOENT, "file") == ENOENT);
	CU_ASSERT_STRING_EQUAL(err_text(ENOENT), "file");
	for (i = 0; i < 8; i++)
		err_set(100000 + i, "%0600d", i);
	CU_ASSERT(strlen(err_text(100007)) == 511 && err_text(100000) != NULL);
	CU_ASSERT_STRING_EQUAL(err_text(ERR_URI), err_fixed_text(ERR_URI));
}

static void *other_thread(void *arg)
{
	(void)arg;
	CU_ASSERT_STRING_EQUAL(err_text(ERR_PIN_WRONG), err_fixed_text(ERR_PIN_WRONG));
	return NULL;
}

static void test_errors_per_thread(void)
{
	pthread_t t;

	err_set(ERR_PIN_WRONG, "mine");
	CU_ASSERT_FATAL(pthread_create(&t, NULL, other_thread, NULL) == 0);
	pthread_join(t, NULL);
	CU_ASSERT_STRING_EQUAL(err_text(ERR_PIN_WRONG), "mine");
}

static void test_secrets(void)
{
	static struct secret *s[3000];
	static const size_t sizes[] = { 0, 1, 16, 32, 64, 96, 97, 4096, 100000 };
	size_t i;

	for (i = 0; i < 3000; i++) {
		size_t len = sizes[i % 9];

		CU_ASSERT_FATAL(secret_new(len, &s[i]) == 0);
		CU_ASSERT(s[i]->len == len && ((uintptr_t)s[i]->data & 15) == 0);
		CU_ASSERT(len == 0 || (s[i]->data[0] == 0 && s[i]->data[len - 1] == 0));
		memset(s[i]->data, 0xa5, len);
	}
	for (i = 0; i < 3000; i += 2)
		secret_free(&s[i]);
	for (i = 1; i < 3000; i += 2) {
		size_t len = s[i]->len;

		CU_ASSERT(len == 0 || (s[i]->data[0] == 0xa5 && s[i]->data[len - 1] == 0xa5));
		s[i]->len = len / 2;
		secret_free(&s[i]);
		CU_ASSERT(s[i] == NULL);
	}
	secret_free(&s[0]);
	secret_free(NULL);
	CU_ASSERT(secret_new(SIZE_MAX, &s[0]) == ENOMEM && s[0] == NULL);
}

static void test_secret_reuse_is_zero(void)
{
	struct secret *s;
	size_t i, j;

	for (i = 0; i < 200; i++) {
		CU_ASSERT_FATAL(secret_new(96, &s) == 0);
		for (j = 0; j < 96 && s->data[j] == 0; j++)
			;
		CU_ASSERT(j == 96);
		memset(s->data, 0xff, 96);
		secret_free(&s);
	}
	CU_ASSERT(secret_equal("abc", "abc", 3) && !secret_equal("abc", "abd", 3));
	CU_ASSERT(secret_equal(NULL, NULL, 0));
}

static void *churn(void *arg)
{
	struct secret *s[20];
	int i, round;

	for (round = 0; round < 300; round++) {
		for (i = 0; i < 20; i++) {
			if (secret_new(32, &s[i]))
				return NULL;
			memset(s[i]->data, (int)(uintptr_t)arg, 32);
		}
		for (i = 0; i < 20; i++) {
			if (s[i]->data[0] != (uint8_t)(uintptr_t)arg)
				return NULL;
			secret_free(&s[i]);
		}
	}
	return arg;
}

static void test_secret_threads(void)
{
	pthread_t t[8];
	uintptr_t i;
	void *ret;

	for (i = 0; i < 8; i++)
		CU_ASSERT_FATAL(pthread_create(&t[i], NULL, churn, (void *)(i + 1)) == 0);
	for (i = 0; i < 8; i++) {
		pthread_join(t[i], &ret);
		CU_ASSERT(ret == (void *)(i + 1));
	}
}

/* Traces in a child, for the decision is made once a process. */
static int trace_in_child(const char *file)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("GSSP11_TRACE", file, 1);
		if (!trace_on())
			_exit(1);
		trace("first %d", 1);
		trace("second\nline %s", "x");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void test_trace(void)
{
	char *file = box_path("trace"), *link = box_path("link"), text[512];
	struct stat st;
	FILE *f;
	size_t n;

	CU_ASSERT(trace_in_child(file) == 0);
	CU_ASSERT(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600);
	f = fopen(file, "r");
	CU_ASSERT_FATAL(f != NULL);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	CU_ASSERT(strstr(text, ": first 1\n") != NULL);
	CU_ASSERT(strstr(text, ": second?line x\n") != NULL);
	CU_ASSERT(symlink(file, link) == 0 && trace_in_child(link) == 0);
	CU_ASSERT(stat(file, &st) == 0 && st.st_size == (off_t)n);
	free(file);
	free(link);
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	s = CU_add_suite("bytes", NULL, NULL);
	CU_ADD_TEST(s, test_reader);
	CU_ADD_TEST(s, test_reader_sticks);
	CU_ADD_TEST(s, test_writer);
	CU_ADD_TEST(s, test_writer_grows);
	CU_ADD_TEST(s, test_hex);
	CU_ADD_TEST(s, test_errors);
	CU_ADD_TEST(s, test_errors_per_thread);
	CU_ADD_TEST(s, test_secrets);
	CU_ADD_TEST(s, test_secret_reuse_is_zero);
	CU_ADD_TEST(s, test_secret_threads);
	CU_ADD_TEST(s, test_trace);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
