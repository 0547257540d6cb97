/*
 * The generator of a forked child: seeded afresh, and what becomes of a child
 * where the token refuses that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "pkcs11/token.h"
#include "tests/lib/box.h"

#define NEED(cond) ((cond) ? (void)0 : box_unmet(box->name, "", #cond, __LINE__))

static const struct box_token *box;
static struct tok *tok;

static void open_box(void)
{
	struct tok_config cfg = { .module_init = box->module_init };
	char *uri = box_shim_uri(box);

	NEED(tok_open(uri, &cfg, &tok) == 0);
	free(uri);
}

static struct tok_key *made(err_t *err)
{
	struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT };
	struct tok_key *k = NULL;

	*err = tok_key_generate(tok, &spec, 16, &k);
	return k;
}

static void draw(uint8_t out[32])
{
	err_t err;
	struct tok_key *k = made(&err);
	const uint8_t iv[16] = { 0 };

	NEED(tok_random(tok, out, 16) == 0);
	if (err) {
		NEED(err == ERR_TOKEN_FAILED && !k);
		NEED(strstr(err_text(err), "C_SeedRandom failed with CKR_FUNCTION_FAILED"));
		memset(out + 16, 0, 16);
	} else {
		NEED(tok_cbc_encrypt(k, iv, iv, 16, out + 16) == 0);
	}
	tok_key_unref(&k);
}

/* What a child of this process draws: random octets and a key's first block, or zeros. */
static void draw_in_child(uint8_t out[32])
{
	int pipe_fd[2], status = -1;
	pid_t pid;

	NEED(pipe(pipe_fd) == 0);
	pid = fork();
	if (pid == 0) {
		draw(out);
		_exit(write(pipe_fd[1], out, 32) == 32 ? 0 : 1);
	}
	NEED(waitpid(pid, &status, 0) == pid && status == 0);
	NEED(read(pipe_fd[0], out, 32) == 32);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void seed_refused(void)
{
	const uint8_t zero[16] = { 0 };
	uint8_t a[32], b[32], own[32];

	open_box();
	draw(own);
	box_shim_rules("fail C_SeedRandom 0 -1 6\n");
	draw_in_child(a);
	draw_in_child(b);
	NEED(memcmp(a, b, 16) != 0);
	NEED(memcmp(a + 16, zero, 16) == 0 && memcmp(b + 16, zero, 16) == 0);
	draw(own);              /* nobody has copied this process's generator but its children */
	NEED(memcmp(own + 16, zero, 16) != 0 && memcmp(own, a, 16) != 0);
	box_shim_rules("fail C_SeedRandom 0 1 6\n");
	draw_in_child(a);       /* at the second attempt it is */
	NEED(memcmp(a + 16, zero, 16) != 0);
	box_shim_rules("fail C_SeedRandom 0 -1 120\n");
	draw_in_child(a);       /* a generator of its own */
	draw_in_child(b);
	NEED(memcmp(a, b, 16) != 0 && memcmp(a + 16, zero, 16) != 0);
}

static void seeded(void)
{
	uint8_t a[32], b[32], own[32];

	open_box();
	draw_in_child(a);
	draw_in_child(b);
	draw(own);
	NEED(memcmp(a, b, 16) != 0 && memcmp(a, own, 16) != 0 && memcmp(b, own, 16) != 0);
	NEED(memcmp(a + 16, b + 16, 16) != 0 && memcmp(a + 16, own + 16, 16) != 0);
}

static void run(const char *name, void (*f)(void))
{
	box = box_token(name);
	box_shim_rules("");
	CU_ASSERT(box_child(f));
}

static void test_refused(void)
{
	run("softhsm", seed_refused);
	run("nss", seed_refused);
}

static void test_seeded(void)
{
	run("softhsm", seeded);
	run("nss", seeded);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "refused", test_refused }, { "seeded", test_seeded }, CU_TEST_INFO_NULL
	};

	box_shim_control();
	return box_suite("seed", NULL, NULL, tests);
}
