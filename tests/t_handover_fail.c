/*
 * Handovers on tokens that fail, call by call (p11shim.so): nothing half done,
 * neither by who gives nor by who takes.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/hand.h"

static void rule(const char *call, unsigned skip, int count, const char *rv)
{
	static char text[64];

	snprintf(text, sizeof(text), "fail %s %u %d %s", call, skip, count, rv);
	hand_doing = text;
	box_shim_rules(text);
}

static void open_shimmed(const struct box_token *b)
{
	char *uri = box_shim_uri(b), *state = box_path("state");
	struct tok_config cfg = { .module_init = b->module_init, .state_dir = state };

	hand_name = b->name;
	NEED(tok_open(uri, &cfg, &hand_tok) == 0);
	free(uri);
	free(state);
}

/* Nothing left, and the key as good as before. */
static void give_failing(struct ks_key *a, const char *call, unsigned skip, const char *rv)
{
	uint8_t mac[64], again[64];
	struct ks_handover *h = NULL;
	err_t err;

	NEED(ks_checksum(a, 25, (const uint8_t *)"abc", 3, mac) == 0);
	rule(call, skip, 1, rv);
	err = ks_handover_give(&a, 1, &h);
	box_shim_rules("");
	NEED(!err == (h != NULL));
	if (err)
		NEED(err_text(err));
	else
		NEED(ks_handover_undo(&h, 0) == 0);
	NEED(hand_objects() == 0);
	NEED(ks_checksum(a, 25, (const uint8_t *)"abc", 3, again) == 0);
	NEED(memcmp(mac, again, 20) == 0);
}

static void gives_failing(void)
{
	struct ks_key *a = hand_key(18);
	unsigned i;

	for (i = 0; i < 2 * HAND_N; i++)
		give_failing(a, "C_CopyObject", i, "31");
	for (i = 0; i < HAND_N; i += 4) {
		give_failing(a, "C_GetAttributeValue", i, "31");
		give_failing(a, "C_OpenSession", i, "e2");       /* write-protected */
		give_failing(a, "C_OpenSession", i, "b5");
	}
	give_failing(a, "C_CopyObject", 0, "54");
	ks_key_unref(&a);
}

/* The first of HAND_N that a copy fails for good says what the token cannot do. */
static void give_unsupported(void)
{
	struct ks_key *a = hand_key(18);
	struct ks_handover *h = NULL;

	rule("C_CopyObject", 0, -1, "54");
	NEED(ks_handover_give(&a, 1, &h) == ERR_UNSUPPORTED);
	NEED(strstr(err_text(ERR_UNSUPPORTED), "C_CopyObject"));
	rule("C_OpenSession", 0, -1, "e2");
	NEED(ks_handover_give(&a, 1, &h) == ERR_TOKEN_FAILED);
	box_shim_rules("");
	NEED(hand_objects() == 0);
	ks_key_unref(&a);
}

/* Refused with everything in place, or taken for good. */
static bool take_failing(struct ks_key *a, const char *call, unsigned skip, const char *rv)
{
	struct ks_key *got[2] = { NULL, NULL };
	struct ks_handover *h = hand_give(a, NULL);
	err_t err;

	rule(call, skip, 1, rv);
	err = ks_handover_take(h, hand_tok, got);
	box_shim_rules("");
	NEED(!err == (got[0] != NULL));
	if (err) {
		NEED(hand_objects() == HAND_N && hand_claims() == 0);
		NEED(ks_handover_take(h, hand_tok, got) == 0);
	}
	NEED(hand_same(a, got[0]));
	ks_key_unref(&got[0]);
	NEED(ks_handover_take(h, hand_tok, got) != 0 && !got[0]);
	/* an object that resisted keeps its claim until the sweep */
	NEED((hand_objects() > 0) == (hand_claims() > 0));
	ks_handover_free(&h);
	return err != 0;
}

static void takes_failing(void)
{
	struct ks_key *a = hand_key(20);
	struct ks_swept s;
	unsigned i, refused = 0;

	for (i = 0; i < HAND_N; i += 3)
		NEED(take_failing(a, "C_CopyObject", i, "31"));
	NEED(take_failing(a, "C_DestroyObject", 0, "31"));
	NEED(hand_objects() == 0);
	NEED(!take_failing(a, "C_DestroyObject", 1, "31"));
	NEED(hand_objects() == 1 && hand_claims() == 1);
	NEED(ks_handover_sweep(hand_tok, 1000, false, &s) == 0 && !s.objects && !s.claims);
	NEED(ks_handover_sweep(hand_tok, 0, false, &s) == 0 && s.objects == 1 && s.claims == 1);
	/* searches for keys are tried again; the one before the first destruction is not */
	for (i = HAND_N - 1; i < HAND_N + 3; i++)
		refused += take_failing(a, "C_FindObjectsInit", i, "31");
	NEED(refused == 1);
	NEED(ks_handover_sweep(hand_tok, 0, false, &s) == 0 && s.objects == 2 && s.claims == 2);
	NEED(take_failing(a, "C_OpenSession", 0, "e2"));
	NEED(ks_handover_sweep(hand_tok, 0, false, &s) == 0);
	NEED(hand_objects() == 0 && hand_claims() == 0);
	ks_key_unref(&a);
}

static void shimmed(const struct box_token *b)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		open_shimmed(b);
		gives_failing();
		give_unsupported();
		takes_failing();
		_exit(0);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_failing(void)
{
	shimmed(box_token("softhsm"));
	shimmed(box_token("nss"));
}

/* An exporter that dies in the midst leaves what only the sweep removes. */
static void killed_giver(void)
{
	struct ks_key *a = hand_key(18);
	struct ks_handover *h = NULL;

	NEED(ks_handover_give(&a, 1, &h) == 0);
	_exit(0);
}

static void test_killed(void)
{
	struct ks_swept s;
	pid_t pid;
	int status;

	box_shim_rules("");
	pid = fork();
	if (!pid) {
		open_shimmed(box_token("softhsm"));
		killed_giver();
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	hand_open("softhsm");
	CU_ASSERT_EQUAL(hand_objects(), HAND_N);
	CU_ASSERT_EQUAL(ks_handover_sweep(hand_tok, 1000, false, &s), 0);
	CU_ASSERT_TRUE(!s.contexts && !s.objects && !s.claims);
	CU_ASSERT_EQUAL(ks_handover_sweep(hand_tok, 0, false, &s), 0);
	CU_ASSERT_TRUE(s.contexts == 1 && s.objects == HAND_N && !s.claims);
	CU_ASSERT_EQUAL(hand_objects(), 0);
}

int main(void)
{
	/* The tokens fail in children of their own: they inherit no session. */
	static const CU_TestInfo tests[] = {
		{ "tokens that fail", test_failing },
		{ "an exporter that died", test_killed },
		CU_TEST_INFO_NULL
	};

	box_shim_control();
	return box_suite("handover on failing tokens", NULL, NULL, tests);
}
