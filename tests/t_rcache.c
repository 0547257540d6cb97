/*
 * The replay cache against the stock one: the same requests in the same file,
 * by turns, from both sides, with the same answers and the same octets; and
 * from many processes at once.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mech/apmsg.h"
#include "mech/rcache.h"
#include "mech/settings.h"
#include "tests/lib/box.h"
#include "tests/lib/forge.h"

#define SERVICE "HTTP/www.test.org@TEST.ORG"
#define SKEW 300

/* In libkrb5's symbol table, in no installed header. */
krb5_error_code k5_rc_resolve(krb5_context ctx, const char *name, krb5_rcache *out);
krb5_error_code k5_rc_store(krb5_context ctx, krb5_rcache rc, const krb5_enc_data *enc);
void k5_rc_close(krb5_context ctx, krb5_rcache rc);

static krb5_context k5;
static uint32_t seed = 1;

static uint32_t rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void fill(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)rnd();
}

static char *new_file(void)
{
	char *path = box_path("rc");

	remove(path);
	return path;
}

static char *name_of(const char *path)
{
	char *name;

	CU_ASSERT_FATAL(asprintf(&name, "file2:%s", path) > 0);
	return name;
}

static uint32_t now(void)
{
	return (uint32_t)time(NULL);
}

static err_t ours(const char *name, int32_t etype, const uint8_t *cipher, size_t len)
{
	uint8_t tag[RCACHE_TAG_LEN];
	err_t err = mech_rcache_tag(ks_etype_find(etype), cipher, len, tag);

	return err ? err : mech_rcache_store(name, NULL, tag, now(), SKEW);
}

static err_t stock(const char *name, int32_t etype, uint8_t *cipher, size_t len)
{
	krb5_enc_data enc = { .enctype = etype };
	krb5_rcache rc;
	err_t err;

	enc.ciphertext.data = (char *)cipher;
	enc.ciphertext.length = (unsigned)len;
	err = k5_rc_resolve(k5, name, &rc);
	if (err)
		return err;
	err = k5_rc_store(k5, rc, &enc);
	k5_rc_close(k5, rc);
	return err;
}

/* SipHash's reference vector: key 00..0f, input 00..0e. */
static void siphash(void)
{
	uint8_t key[16], in[15];
	unsigned i;

	for (i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	memcpy(in, key, sizeof(in));
	CU_ASSERT_EQUAL(mech_siphash(key, in, sizeof(in)), UINT64_C(0xa129ca6149be45e5));
	CU_ASSERT_EQUAL(mech_siphash(key, in, 0), UINT64_C(0x726fdb47dd0e0e31));
	CU_ASSERT_EQUAL(mech_siphash(key, in, 8), UINT64_C(0x93f5f5799a932462));
}

static void tags(void)
{
	static const uint8_t c[32] = "abcdefghijklmnopqrstuvwxyz012345";
	uint8_t tag[RCACHE_TAG_LEN];

	CU_ASSERT_EQUAL(mech_rcache_tag(ks_etype_find(18), c, 11, tag), EINVAL);
	CU_ASSERT_EQUAL(mech_rcache_tag(ks_etype_find(20), c, 23, tag), EINVAL);
	CU_ASSERT_EQUAL(mech_rcache_tag(ks_etype_find(18), c, 32, tag), 0);
	CU_ASSERT_EQUAL(memcmp(tag, "uvwxyz012345", 12), 0);
	CU_ASSERT_EQUAL(mech_rcache_tag(ks_etype_find(20), c, 32, tag), 0);
	CU_ASSERT_EQUAL(memcmp(tag, "ijklmnopqrst", 12), 0);
}

static void bad_names(void)
{
	static const uint8_t c[40];

	CU_ASSERT_EQUAL(ours("plain", 18, c, 40), KRB5_RC_PARSE);
	CU_ASSERT_EQUAL(ours("file3:/x", 18, c, 40), KRB5_RC_TYPE_NOTFOUND);
	CU_ASSERT_EQUAL(ours("file:/x", 18, c, 40), KRB5_RC_TYPE_NOTFOUND);
	CU_ASSERT_EQUAL(ours("file2:/nonexistent/x", 18, c, 40), ENOENT);
	CU_ASSERT_EQUAL(ours("none:", 18, c, 40), 0);
	CU_ASSERT_EQUAL(ours("none:", 18, c, 40), 0);
}

/* Each side sees what the other stored. */
static void both_ways(void)
{
	static const int32_t etypes[] = { 17, 18, 19, 20 };
	char *path = new_file(), *name = name_of(path);
	uint8_t c[64];
	unsigned i;

	for (i = 0; i < 40; i++) {
		int32_t e = etypes[i % 4];

		fill(c, sizeof(c));
		CU_ASSERT_EQUAL(i & 1 ? ours(name, e, c, 64) : stock(name, e, c, 64), 0);
		CU_ASSERT_EQUAL(ours(name, e, c, 64), KRB5KRB_AP_ERR_REPEAT);
		CU_ASSERT_EQUAL(stock(name, e, c, 64), KRB5KRB_AP_ERR_REPEAT);
	}
	free(path);
	free(name);
}

static uint8_t *slurp(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	p = malloc((size_t)st.st_size + 1);
	CU_ASSERT_FATAL(read(fd, p, (size_t)st.st_size) == (ssize_t)st.st_size);
	close(fd);
	*n = (size_t)st.st_size;
	return p;
}

static void copy_seed(const char *from, const char *to)
{
	size_t n;
	uint8_t *p = slurp(from, &n);
	int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && n >= 16 && write(fd, p, 16) == 16);
	close(fd);
	free(p);
}

/* Stamps may differ by a second between the two files. */
static bool same_records(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t i;

	for (i = 16; i + 16 <= n; i += 16) {
		bool empty = !a[i + 12] && !a[i + 13], other = !b[i + 12] && !b[i + 13];

		if (memcmp(a + i, b + i, 12) || empty != other)
			return false;
	}
	return true;
}

/* Enough requests to fill the first table and reach the second and third: the same file. */
static void same_octets(void)
{
	char *path = new_file(), *name = name_of(path), *twin = box_path("rc-twin");
	char *twin_name = name_of(twin);
	size_t n = 0, m = 0;
	uint8_t c[40], *a, *b;
	unsigned i;

	CU_ASSERT_EQUAL(ours(name, 18, memset(c, 7, 40), 40), 0);
	copy_seed(path, twin);
	CU_ASSERT_EQUAL(stock(twin_name, 18, c, 40), 0);
	for (i = 0; i < 6000; i++) {
		fill(c, sizeof(c));
		if (ours(name, 18, c, 40) || stock(twin_name, 18, c, 40))
			CU_FAIL("a new request is no replay");
	}
	a = slurp(path, &n);
	b = slurp(twin, &m);
	CU_ASSERT_EQUAL(n, m);
	CU_ASSERT(n > 49152);
	CU_ASSERT_TRUE(n == m && same_records(a, b, n));
	free(a);
	free(b);
	free(path);
	free(name);
	free(twin);
	free(twin_name);
}

/* Old records are written over; a tag that is found counts even when it is old. */
static void old_records(void)
{
	char *path = new_file(), *name = name_of(path);
	uint8_t tag[RCACHE_TAG_LEN];
	uint32_t t = now();
	size_t n;
	unsigned i;

	fill(tag, sizeof(tag));
	CU_ASSERT_EQUAL(mech_rcache_store(name, NULL, tag, t - 3600, SKEW), 0);
	CU_ASSERT_EQUAL(mech_rcache_store(name, NULL, tag, t, SKEW), KRB5KRB_AP_ERR_REPEAT);
	for (i = 0; i < 9000; i++) {
		fill(tag, sizeof(tag));
		CU_ASSERT_EQUAL(mech_rcache_store(name, NULL, tag, t + i, 0), 0);
	}
	/* With everything expired at once the file does not grow past its first tables. */
	free(slurp(path, &n));
	CU_ASSERT(n <= 49152 + 32);
	free(path);
	free(name);
}

/*
 * A request of a client whose clock is ahead by the skew is good for twice the
 * skew: until then no other request may take its place.
 */
static void early_requests(void)
{
	char *path = new_file(), *name = name_of(path);
	uint8_t tags[400][RCACHE_TAG_LEN], other[RCACHE_TAG_LEN];
	uint32_t t = now();
	unsigned i;

	for (i = 0; i < 400; i++) {
		fill(tags[i], RCACHE_TAG_LEN);
		CU_ASSERT_EQUAL(mech_rcache_store(name, NULL, tags[i], t, SKEW), 0);
	}
	for (i = 0; i < 4000; i++) {
		fill(other, sizeof(other));
		CU_ASSERT_EQUAL(mech_rcache_store(name, NULL, other, t + SKEW + 1, SKEW), 0);
	}
	for (i = 0; i < 400; i++)
		CU_ASSERT_EQUAL(mech_rcache_store(name, NULL, tags[i], t + 2 * SKEW - 1, SKEW),
				KRB5KRB_AP_ERR_REPEAT);
	free(path);
	free(name);
}

/* A file cut short in its seed or in a record: no crash, no false replay, stock agrees. */
static void cut_short(void)
{
	static const off_t lens[] = { 0, 1, 15, 16, 17, 31, 40 };
	char *path = new_file(), *name = name_of(path);
	uint8_t c[40];
	unsigned i;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		fill(c, sizeof(c));
		CU_ASSERT_EQUAL(ours(name, 18, c, 40), 0);
		CU_ASSERT_EQUAL(truncate(path, lens[i]), 0);
		fill(c, sizeof(c));
		CU_ASSERT_EQUAL(ours(name, 18, c, 40), 0);
		CU_ASSERT_EQUAL(ours(name, 18, c, 40), KRB5KRB_AP_ERR_REPEAT);
		CU_ASSERT_EQUAL(stock(name, 18, c, 40), KRB5KRB_AP_ERR_REPEAT);
	}
	free(path);
	free(name);
}

static void selection(void)
{
	char *a = box_path("env-rc"), *name = name_of(a), *dir = box_path("rcdir"), *dfl;
	static const uint8_t tag[RCACHE_TAG_LEN] = "abc";
	struct stat st;

	setenv("KRB5RCACHENAME", name, 1);
	setenv("KRB5RCACHETYPE", "none", 1);
	CU_ASSERT_EQUAL(mech_rcache_store(NULL, "file3:x", tag, now(), SKEW), 0);
	CU_ASSERT_EQUAL(mech_rcache_store(NULL, NULL, tag, now(), SKEW), KRB5KRB_AP_ERR_REPEAT);
	CU_ASSERT_EQUAL(mech_rcache_store("none:", NULL, tag, now(), SKEW), 0);
	unsetenv("KRB5RCACHENAME");
	CU_ASSERT_EQUAL(mech_rcache_store(NULL, "file3:x", tag, now(), SKEW), 0);
	unsetenv("KRB5RCACHETYPE");
	CU_ASSERT_EQUAL(mech_rcache_store(NULL, "file3:x", tag, now(), SKEW),
			KRB5_RC_TYPE_NOTFOUND);
	CU_ASSERT_EQUAL(mech_rcache_store(NULL, name, tag, now(), SKEW), KRB5KRB_AP_ERR_REPEAT);

	mkdir(dir, 0700);
	setenv("KRB5RCACHEDIR", dir, 1);
	CU_ASSERT_FATAL(asprintf(&dfl, "%s/krb5_%lu.rcache2", dir, (unsigned long)geteuid()) > 0);
	CU_ASSERT_EQUAL(mech_rcache_store(NULL, NULL, tag, now(), SKEW), 0);
	CU_ASSERT_EQUAL(stat(dfl, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	remove(dfl);
	CU_ASSERT_EQUAL(symlink(a, dfl), 0);
	CU_ASSERT_EQUAL(mech_rcache_store("dfl:", NULL, tag, now(), SKEW), ELOOP);
	if (geteuid() == 0) {
		remove(dfl);
		close(open(dfl, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		CU_ASSERT_EQUAL(chown(dfl, 65534, 65534), 0);
		CU_ASSERT_EQUAL(mech_rcache_store("dfl:", NULL, tag, now(), SKEW), EIO);
	}
	unsetenv("KRB5RCACHEDIR");
	free(a);
	free(name);
	free(dir);
	free(dfl);
}

static void expansion(void)
{
	char want[64], out[64];

	snprintf(want, sizeof(want), "file2:/x/%lu-%lu", (unsigned long)getuid(),
		 (unsigned long)geteuid());
	CU_ASSERT_EQUAL(mech_settings_expand("file2:/x/%{uid}-%{euid}%{null}", out, sizeof(out)),
			0);
	CU_ASSERT_STRING_EQUAL(out, want);
	CU_ASSERT_EQUAL(mech_settings_expand("%{nonsense}", out, sizeof(out)), ERR_CONFIG);
	CU_ASSERT_EQUAL(mech_settings_expand("100% {x} %{", out, sizeof(out)), 0);
	CU_ASSERT_STRING_EQUAL(out, "100% {x} %{");
	CU_ASSERT_EQUAL(mech_settings_expand("0123456789", out, 10), ERR_CONFIG);
	CU_ASSERT_EQUAL(mech_settings_expand("0123456789", out, 11), 0);
}

/* Children race for the same requests, half of them with the stock library: one wins each. */
static void race(void)
{
	enum { CHILDREN = 8, REQUESTS = 200 };
	char *path = new_file(), *name = name_of(path);
	static uint8_t c[REQUESTS][40];
	unsigned i, j, won = 0;
	int fds[2];
	char byte;

	fill(c[0], sizeof(c));
	CU_ASSERT_FATAL(pipe(fds) == 0);
	for (i = 0; i < CHILDREN; i++) {
		if (fork())
			continue;
		for (j = 0; j < REQUESTS; j++) {
			err_t err = i & 1 ? ours(name, 18, c[j], 40) : stock(name, 18, c[j], 40);

			if ((!err && write(fds[1], "w", 1) != 1) ||
			    (err && err != KRB5KRB_AP_ERR_REPEAT))
				_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	while (read(fds[0], &byte, 1) == 1)
		won++;
	close(fds[0]);
	for (i = 0; i < CHILDREN; i++) {
		int status;

		CU_ASSERT(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status));
	}
	CU_ASSERT_EQUAL(won, REQUESTS);
	free(path);
	free(name);
}

/* A real AP-REQ through krb5_rd_req with the default cache of the same file. */
static err_t rd_req(krb5_data *req, krb5_keytab kt)
{
	krb5_auth_context ac = NULL;
	krb5_rcache rc = NULL;
	krb5_data piece = { 0 };
	err_t err;

	CU_ASSERT_EQUAL_FATAL(krb5_auth_con_init(k5, &ac), 0);
	CU_ASSERT_EQUAL_FATAL(krb5_get_server_rcache(k5, &piece, &rc), 0);
	CU_ASSERT_EQUAL_FATAL(krb5_auth_con_setrcache(k5, ac, rc), 0);
	err = krb5_rd_req(k5, &ac, req, NULL, kt, NULL, NULL);
	krb5_auth_con_free(k5, ac);
	return err;
}

static krb5_data make_req(const struct forge_key *key)
{
	struct forge_ticket t = { .client = "alice@TEST.ORG" };
	krb5_auth_context ac = NULL;
	krb5_data req = { 0 };
	krb5_creds creds;

	forge_creds(k5, &t, key, &creds);
	CU_ASSERT_EQUAL_FATAL(krb5_mk_req_extended(k5, &ac, 0, NULL, &creds, &req), 0);
	krb5_auth_con_free(k5, ac);
	krb5_free_cred_contents(k5, &creds);
	return req;
}

static void real_requests(void)
{
	static const int32_t etypes[] = { 17, 18, 19, 20 };
	char *path = new_file(), *name = name_of(path), *ktfile = box_path("rc.kt"), *ktname;
	struct forge_key key;
	krb5_keytab kt = NULL;
	unsigned i;

	setenv("KRB5RCACHENAME", name, 1);
	CU_ASSERT_FATAL(asprintf(&ktname, "FILE:%s", ktfile) > 0);
	for (i = 0; i < 8; i++) {
		struct ap_req parsed;
		krb5_data req;

		remove(ktfile);
		forge_random_key(&key, SERVICE, etypes[i / 2], 3);
		forge_keytab(ktfile, &key, 1);
		CU_ASSERT_EQUAL_FATAL(krb5_kt_resolve(k5, ktname, &kt), 0);
		req = make_req(&key);
		CU_ASSERT_EQUAL_FATAL(mech_ap_req_read(req.data, req.length, &parsed), 0);
		if (i & 1)
			CU_ASSERT_EQUAL(ours(NULL, parsed.auth.etype, parsed.auth.cipher.p,
					     parsed.auth.cipher.len), 0)
		else
			CU_ASSERT_EQUAL(rd_req(&req, kt), 0)
		CU_ASSERT_EQUAL(rd_req(&req, kt), KRB5KRB_AP_ERR_REPEAT);
		CU_ASSERT_EQUAL(ours(NULL, parsed.auth.etype, parsed.auth.cipher.p,
				     parsed.auth.cipher.len), KRB5KRB_AP_ERR_REPEAT);
		krb5_free_data_contents(k5, &req);
		krb5_kt_close(k5, kt);
	}
	unsetenv("KRB5RCACHENAME");
	free(path);
	free(name);
	free(ktfile);
	free(ktname);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "siphash", siphash }, { "tags", tags }, { "bad names", bad_names },
		{ "both ways", both_ways }, { "same octets", same_octets },
		{ "old records", old_records }, { "early requests", early_requests },
		{ "cut short", cut_short },
		{ "selection", selection }, { "expansion", expansion }, { "race", race },
		{ "real requests", real_requests }, CU_TEST_INFO_NULL,
	};
	char *conf = box_file("krb5.conf", FORGE_CONF, 0600);
	int status;

	setenv("KRB5_CONFIG", conf, 1);
	unsetenv("KRB5RCACHENAME");
	unsetenv("KRB5RCACHETYPE");
	if (krb5_init_context(&k5))
		return 99;
	status = box_suite("rcache", NULL, NULL, tests);
	krb5_free_context(k5);
	free(conf);
	return status;
}
