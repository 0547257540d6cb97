/*
 * The key for references: made once whoever races for it, never a planted one,
 * alive after forks and token loss, and what it signs is nobody else's.
 *
 * Each part has a process of its own, which opens the token itself.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keystore/conf.h"
#include "keystore/keytab_int.h"
#include "keystore/ref.h"
#include "tests/lib/accepting.h"
#include "tests/lib/plant.h"

#define NEED(cond) ((cond) ? (void)0 : box_unmet(box->name, doing, #cond, __LINE__))

#define LABEL "gssp11 reference MAC"
#define CLAIM "gssp11 reference claim"
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { RACERS = 12, ID_LEN = 22 };

static const struct box_token *box;
static const char *doing;
static struct ks_keytab *kt;
static struct tok *tok;
static const uint8_t text[] = "what is signed";

/* By the URI's module, or through p11shim.so. */
static void open_token(const char *state_dir, bool shim)
{
	char *uri = shim ? box_shim_uri(box) : strdup(box->uri);
	struct ks_conf conf = { .module_init = box->module_init ? strdup(box->module_init) : NULL,
				.state_dir = box_path(state_dir) };

	NEED(ks_keytab_open(&conf, uri, true, &kt) == 0);
	tok = ks_keytab_token(kt);
	ks_conf_fini(&conf);
	free(uri);
}

static size_t objects(struct tok_object **out)
{
	size_t n = 0;

	NEED(tok_objects_list(tok, LABEL, out, &n) == 0);
	return n;
}

static size_t count(void)
{
	struct tok_object *objs;
	size_t n = objects(&objs);

	tok_objects_free(&objs, n);
	return n;
}

static void destroy_all(void)
{
	struct tok_object *objs;
	size_t n = objects(&objs), i;

	for (i = 0; i < n; i++)
		NEED(tok_object_destroy(tok, LABEL, objs[i].id, objs[i].id_len) == 0);
	tok_objects_free(&objs, n);
	NEED(count() == 0);
	NEED(tok_objects_list(tok, CLAIM, &objs, &n) == 0 && n == 0);
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, KS_REF_MAC);
}

/* ---- one key, and what it does --------------------------------------------- */

static bool is_key(const struct tok_object *o)
{
	return o->id_len == ID_LEN && !memcmp(o->id, "gp11\1\20", 6);
}

/* The key and its commit object, and nothing more. */
static void check_object(void)
{
	struct tok_object *objs, *key;
	const char *why;
	bool readable = true;

	NEED(objects(&objs) == 2);
	key = &objs[is_key(&objs[0]) ? 0 : 1];
	NEED(is_key(key) && key->sensitive && !key->extractable);
	NEED(key->local || strcmp(box->name, "softhsm"));   /* NSS forgets where token keys came from */
	NEED(tok_object_readable(tok, LABEL, key->id, ID_LEN, &readable, &why) == 0);
	NEED(!readable);
	tok_objects_free(&objs, 2);
}

static void check_refusals(const uint8_t *mac)
{
	uint8_t bad[KS_REF_MAC], other[sizeof(text)];
	size_t i;

	for (i = 0; i < KS_REF_MAC; i++) {
		memcpy(bad, mac, KS_REF_MAC);
		bad[i] ^= (uint8_t)(1 << i % 8);
		NEED(ks_ref_check(tok, text, sizeof(text), bad) == KRB5KRB_AP_ERR_BAD_INTEGRITY);
	}
	NEED(strstr(err_text(KRB5KRB_AP_ERR_BAD_INTEGRITY), box->label));
	for (i = 0; i < sizeof(text); i++) {
		memcpy(other, text, sizeof(text));
		other[i] ^= 0x20;
		NEED(ks_ref_check(tok, other, sizeof(text), mac) == KRB5KRB_AP_ERR_BAD_INTEGRITY);
	}
	NEED(ks_ref_check(tok, text, sizeof(text) - 1, mac) == KRB5KRB_AP_ERR_BAD_INTEGRITY);
	memset(bad, 0, sizeof(bad));
	NEED(ks_ref_check(tok, text, sizeof(text), bad) == KRB5KRB_AP_ERR_BAD_INTEGRITY);
}

static void run_use(void)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 1 << 20 };
	static uint8_t big[1 << 20];
	uint8_t mac[KS_REF_MAC] = { 0 }, again[KS_REF_MAC];
	size_t i;

	doing = "use";
	open_token("state", false);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == ERR_KEY_ABSENT);
	NEED(strstr(err_text(ERR_KEY_ABSENT), "keytab import") &&
	     strstr(err_text(ERR_KEY_ABSENT), box->label));
	NEED(count() == 0);
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == 0);     /* the first export makes it */
	check_object();
	NEED(ks_ref_mac(tok, text, sizeof(text), again) == 0 && same(mac, again));
	NEED(ks_ref_ready(tok) == 0 && ks_ref_ready(tok) == 0 && count() == 2);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
	check_refusals(mac);
	for (i = 0; i < LEN(sizes); i++) {
		NEED(ks_ref_mac(tok, big, sizes[i], mac) == 0);
		NEED(ks_ref_check(tok, big, sizes[i], mac) == 0);
	}
	destroy_all();
}

/* The key goes, and another comes: an open handle does not hide it. */
static void run_replaced(void)
{
	uint8_t old[KS_REF_MAC], mac[KS_REF_MAC];
	int status = -1;
	pid_t pid;

	doing = "replaced";
	open_token("state", false);
	NEED(ks_ref_mac(tok, text, sizeof(text), old) == 0);
	destroy_all();
	NEED(ks_ref_ready(tok) == 0 && count() == 2);
	pid = fork();
	if (!pid)
		_exit(ks_ref_check(tok, text, sizeof(text), old) == 0);  /* its handle may be a copy */
	NEED(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	memset(mac, 1, sizeof(mac));
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == KRB5KRB_AP_ERR_BAD_INTEGRITY);
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == 0 && !same(mac, old));
	NEED(ks_ref_check(tok, text, sizeof(text), old) == KRB5KRB_AP_ERR_BAD_INTEGRITY);
	destroy_all();
}

/* The keytab's list, sweep and import do not see it, nor does it see them. */
static void run_keytab(void)
{
	struct ks_entry *all;
	struct forge_key key;
	size_t n;

	doing = "keytab";
	acc_environment(NULL);
	acc_new_key(box, ACC_SERVICE, 18, 1, &key);
	open_token("state", false);
	NEED(ks_ref_ready(tok) == 0);
	NEED(ks_keytab_sweep(kt, &n) == 0 && n == 0);
	NEED(ks_keytab_entries(kt, &all, &n) == 0 && n == 1);
	NEED(!strcmp(all[0].principal, ACC_SERVICE));
	ks_entries_free(&all, n);
	check_object();
	acc_key_remove(box, &key);
	check_object();
	destroy_all();
}

/* ---- racing for it ---------------------------------------------------------- */

static void need_ok(err_t err)
{
	if (err)
		box_unmet(box->name, doing, err_text(err) ? err_text(err) : "an error", (int)err);
}

static void racer(int go, int out, int i, bool lock)
{
	uint8_t mac[KS_REF_MAC];
	char dir[32], c;

	snprintf(dir, sizeof(dir), "state-%d", lock ? 0 : i);
	open_token(dir, false);
	NEED(write(out, "", 1) == 1);
	NEED(read(go, &c, 1) == 1);
	need_ok(ks_ref_ready(tok));
	need_ok(ks_ref_mac(tok, text, sizeof(text), mac));
	NEED(write(out, mac, sizeof(mac)) == sizeof(mac));
	_exit(0);
}

static void racers_end(const pid_t *pid)
{
	int status = -1, i;

	for (i = 0; i < RACERS; i++)
		NEED(waitpid(pid[i], &status, 0) == pid[i] && !status);
}

static void start(int go, int in)
{
	char c;
	int i;

	for (i = 0; i < RACERS; i++)
		NEED(read(in, &c, 1) == 1);
	for (i = 0; i < RACERS; i++)
		NEED(write(go, "", 1) == 1);
}

static void race(bool lock)
{
	uint8_t macs[RACERS][KS_REF_MAC];
	pid_t pid[RACERS];
	int go[2], out[2], i;

	NEED(!pipe(go) && !pipe(out));
	for (i = 0; i < RACERS; i++) {
		pid[i] = fork();
		if (!pid[i])
			racer(go[0], out[1], i, lock);
	}
	close(out[1]);                  /* a racer's death is the end of the pipe */
	start(go[1], out[0]);
	for (i = 0; i < RACERS; i++)
		NEED(read(out[0], macs[i], KS_REF_MAC) == KS_REF_MAC);
	racers_end(pid);
	close(out[0]);
	close(go[0]);
	close(go[1]);
	for (i = 1; i < RACERS; i++)
		NEED(same(macs[0], macs[i]));
	pid[0] = fork();
	if (!pid[0]) {
		open_token("state", false);
		check_object();
		NEED(ks_ref_check(tok, text, sizeof(text), macs[0]) == 0);
		destroy_all();
		_exit(0);
	}
	NEED(waitpid(pid[0], &i, 0) == pid[0] && !i);
}

static void run_race(void)
{
	doing = "race with the lock";
	race(true);
	doing = "race without a lock";
	race(false);
	race(false);
}

/* ---- what others left ----------------------------------------------------------- */

static void claim(int64_t age, uint8_t id[ID_LEN])
{
	const uint64_t made = (uint64_t)((int64_t)time(NULL) - age);

	memset(id, 0, ID_LEN);
	memcpy(id, "gp11\1\21", 6);
	for (int i = 0; i < 8; i++)
		id[6 + i] = (uint8_t)(made >> (56 - 8 * i));
	NEED(tok_mark_create(tok, CLAIM, id, ID_LEN) == 0);
}

/* A key whose maker was killed before it counted. */
static void remains(void)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
					   .label = LABEL, .id = "gp11\1\20................",
					   .id_len = ID_LEN };

	NEED(tok_key_generate(tok, &spec, 32, NULL) == 0);
}

/* Its maker is alive, and ends its claim after a while. */
static void run_rivals(void)
{
	uint8_t id[ID_LEN], mac[KS_REF_MAC] = { 0 };
	struct timespec begin, end;
	int status = -1;
	pid_t pid;

	doing = "rivals";
	open_token("state", false);
	claim(3600, id);                /* of long ago, and from the future */
	claim(-3600, id);
	remains();
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == ERR_KEY_ABSENT);
	NEED(ks_ref_ready(tok) == 0);
	check_object();
	destroy_all();
	claim(1, id);                   /* smaller than ours: ours is withdrawn */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid = fork();
	if (!pid) {
		usleep(600000);
		_exit(tok_object_destroy(tok, CLAIM, id, ID_LEN) != 0);
	}
	NEED(ks_ref_ready(tok) == 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	NEED(waitpid(pid, &status, 0) == pid && !status);
	NEED((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >= 500);
	check_object();
	destroy_all();
}

/* ---- planted keys ------------------------------------------------------------- */

struct planted {
	bool private, hidden;
	size_t id_len;
	unsigned long made[2];
};

/* The record with 32 octets that are known; its ID is smaller than any of ours. */
static unsigned long plant(struct planter *p, const struct planted *w, uint8_t record)
{
	const uint8_t id[64] = { 'g', 'p', '1', '1', 1, record };
	const struct plant_key k = { .private = w->private, .hidden = w->hidden, .label = LABEL,
				     .id = id, .id_len = w->id_len };

	return planter_plant(p, &k);
}

static void plant_both(struct planter *p, struct planted *w)
{
	w->made[0] = plant(p, w, 16);
	w->made[1] = plant(p, w, 18);
	/* a token may refuse public keys altogether */
	NEED((w->made[0] && w->made[1]) || !w->private);
}

/* Remains of our form may have been cleared away. */
static void unplant(struct planter *p, struct planted *w)
{
	for (size_t i = 0; i < 2; i++)
		if (w->made[i])
			NEED(planter_remove(p, w->made[i]) || w->id_len == ID_LEN);
}

static void plant_and_use(struct planter *p, struct planted w, bool before)
{
	uint8_t mac[KS_REF_MAC] = { 0 };

	if (before) {
		plant_both(p, &w);
		NEED(ks_ref_check(tok, text, sizeof(text), mac) == ERR_KEY_ABSENT);
		NEED(ks_ref_ready(tok) == 0);
	} else {
		NEED(ks_ref_ready(tok) == 0);
		plant_both(p, &w);
	}
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == 0);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
	unplant(p, &w);
	check_object();                 /* the planted one was not in use, ours is whole */
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
	destroy_all();
}

/* No PIN is needed for the first; the second can be read; the others are not of our form. */
static const struct planted weeds[] = {
	{ false, true, ID_LEN, { 0 } }, { true, false, ID_LEN, { 0 } },
	{ true, true, ID_LEN - 1, { 0 } }, { true, true, ID_LEN + 1, { 0 } },
};

static void run_planted(void)
{
	struct planter p;

	doing = "planted";
	open_token("state", false);
	NEED(planter_open(box, tok_info(tok)->slot, &p));
	for (size_t i = 0; i < 2 * LEN(weeds); i++)
		plant_and_use(&p, weeds[i / 2], i % 2);
}

/* ---- forks, loss, failure ------------------------------------------------------ */

static void run_fork(void)
{
	uint8_t mac[KS_REF_MAC];
	int status = -1;
	pid_t pid;

	doing = "fork";
	open_token("state", false);
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == 0);
	pid = fork();
	if (!pid) {
		uint8_t in_child[KS_REF_MAC];

		doing = "fork, child";
		NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
		NEED(ks_ref_mac(tok, text, sizeof(text), in_child) == 0 && same(mac, in_child));
		_exit(0);
	}
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
	NEED(waitpid(pid, &status, 0) == pid && !status);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
	destroy_all();
}

static void run_lost(void)
{
	uint8_t mac[KS_REF_MAC], other[KS_REF_MAC];
	unsigned generation;

	doing = "lost";
	box_shim_rules("");
	open_token("state", true);
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == 0);
	generation = tok_generation(tok);
	box_shim_rules("removed\n");
	NEED(ks_ref_mac(tok, text, sizeof(text), other) == ERR_TOKEN_ABSENT);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == ERR_TOKEN_ABSENT);
	NEED(ks_ref_ready(tok) == ERR_TOKEN_ABSENT);
	box_shim_rules("");
	while (ks_ref_check(tok, text, sizeof(text), mac) == ERR_TOKEN_ABSENT)
		usleep(50000);           /* no new attempt is made at once */
	NEED(tok_generation(tok) > generation);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == 0);
	NEED(ks_ref_mac(tok, text, sizeof(text), other) == 0 && same(mac, other));
	destroy_all();
}

/* A token that cannot make it, and one that fails on the way: nothing stays half done. */
static void run_failing(void)
{
	uint8_t mac[KS_REF_MAC];

	doing = "failing";
	box_shim_rules("fail C_GenerateKey 0 -1 31\n");
	open_token("state", true);
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == ERR_TOKEN_FAILED);
	NEED(strstr(err_text(ERR_TOKEN_FAILED), "references") && count() == 0);
	box_shim_rules("mech 350\n");           /* CKM_GENERIC_SECRET_KEY_GEN */
	acc_environment("[appdefaults]\n gssp11 = {\n  exposure = on-token\n }\n");
	NEED(ks_ref_ready(tok) == ERR_POLICY && count() == 0);
	NEED(strstr(err_text(ERR_POLICY), "CKM_GENERIC_SECRET_KEY_GEN"));
	acc_environment(NULL);
	NEED(ks_ref_ready(tok) == 0 && count() == 2);
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == 0);
	box_shim_rules("fail C_Sign 0 -1 31\n");
	NEED(ks_ref_mac(tok, text, sizeof(text), mac) == ERR_TOKEN_FAILED);
	NEED(ks_ref_check(tok, text, sizeof(text), mac) == ERR_TOKEN_FAILED);
	box_shim_rules("");
	destroy_all();
}

/* ---- ----------------------------------------------------------------------------- */

/*
 * On all tokens; together, for much of the time goes into waiting, but where
 * there are rules for p11shim.so.
 */
static void in_child(void (*run)(void), bool together)
{
	const struct box_token *tokens;
	siginfo_t ended;
	int status = -1;
	pid_t pid[2];
	size_t n, i;

	tokens = box_tokens(&n);
	for (i = 0; i < n; i++) {
		box = &tokens[i];
		pid[i] = fork();
		if (!pid[i]) {
			run();
			_exit(0);
		}
		if (!together)
			waitid(P_PID, (id_t)pid[i], &ended, WEXITED | WNOWAIT);
	}
	for (i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(waitpid(pid[i], &status, 0), pid[i]);
		CU_ASSERT_EQUAL(status, 0);
	}
}

static void use(void)
{
	in_child(run_use, true);
}

static void replaced(void)
{
	in_child(run_replaced, true);
}

static void keytab(void)
{
	in_child(run_keytab, false);
}

static void races(void)
{
	in_child(run_race, true);
}

static void rivals(void)
{
	in_child(run_rivals, true);
}

static void planted(void)
{
	in_child(run_planted, true);
}

static void forks(void)
{
	in_child(run_fork, true);
}

static void loss(void)
{
	in_child(run_lost, false);
}

static void failures(void)
{
	in_child(run_failing, false);
}

static void names(void)
{
	struct ks_token_id id, other;
	const struct box_token *t = box_token("softhsm");
	struct ks_conf conf = { .state_dir = box_path("state") };
	struct tok *open;

	CU_ASSERT_EQUAL_FATAL(ks_conf_open_token(&conf, t->uri, false, &open), 0);
	ks_token_id(open, &id);
	CU_ASSERT_STRING_EQUAL(id.label, t->label);
	CU_ASSERT(id.serial[0] && ks_token_id_is(open, &id));
	other = id;
	other.label[0] ^= 1;
	CU_ASSERT_FALSE(ks_token_id_is(open, &other));
	other = id;
	other.serial[strlen(other.serial) - 1] = '\0';
	CU_ASSERT_FALSE(ks_token_id_is(open, &other));
	ks_conf_fini(&conf);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "one key and its use", use }, { "replaced", replaced },
		{ "beside the keytab", keytab }, { "races", races }, { "rivals and remains", rivals },
		{ "planted keys", planted },
		{ "forks", forks }, { "token loss", loss }, { "failures", failures },
		{ "names", names }, CU_TEST_INFO_NULL,
	};

	box_shim_control();
	acc_environment(NULL);
	return box_suite("references", NULL, NULL, tests);
}
