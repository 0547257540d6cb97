/*
 * p11shim.so: a PKCS#11 module that stands before a real one and misbehaves on
 * request.  P11SHIM_MODULE names the real module; P11SHIM_CTL a control file,
 * read again whenever it changes, of lines:
 *
 *   fail NAME SKIP COUNT RV   after SKIP calls of NAME (or * for any call with a
 *                             session), the next COUNT give RV (hex); -1: for ever
 *   mech TYPE                 this mechanism (hex) is unknown
 *   flags HEX                 set these flags in C_GetTokenInfo
 *   clear HEX                 clear these
 *   removed                   no slots, and every session call says TOKEN_NOT_PRESENT
 *   closed                    close all sessions once, as a token that is pulled out does;
 *                             not while calls are under way, for real modules dislike that
 *   private                   refuse objects with CKA_PRIVATE false
 *   readonly                  refuse read-only sessions
 *   sessions N                refuse sessions beyond N open ones
 *   delay NAME MS             make a call slow
 *   flip NAME SKIP COUNT      the first octet of what C_Encrypt, C_Decrypt, C_Sign give is wrong
 *   stuck                     C_GenerateRandom gives the same octets each time
 *   loose                     C_UnwrapKey makes extractable keys, whatever is asked for
 *   log FILE                  append the name of each call to FILE
 *
 * p11shim_calls(NAME) gives the number of calls so far in this process.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define EXPORT __attribute__((visibility("default")))

enum { RULES = 32, NAMES = 80, NAME_LEN = 32 };

struct rule {
	char name[NAME_LEN];
	long skip, count, delay_ms;
	CK_RV rv;
	CK_MECHANISM_TYPE mech;
	bool flip;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CK_FUNCTION_LIST *real, mine;
static struct rule rules[RULES];
static unsigned n_rules;
static CK_FLAGS set_flags, clear_flags;
static bool removed, need_private, need_rw, stuck, loose;
static long max_sessions;
static _Atomic long open_sessions;
static char log_file[256];
static struct stat ctl_seen;
static struct {
	char name[NAME_LEN];
	unsigned long n;
} calls[NAMES];

unsigned long p11shim_calls(const char *name);

/* ---- the control file --------------------------------------------------------- */

/* What goes with a token: its sessions, their objects, the login. */
static void close_all(void)
{
	CK_SLOT_ID slots[16];
	CK_ULONG i, n = 16;

	if (real->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK)
		return;
	for (i = 0; i < n; i++)
		real->C_CloseAllSessions(slots[i]);
	open_sessions = 0;
}

static void read_line(const char *line)
{
	struct rule r;
	long n;

	memset(&r, 0, sizeof(r));
	if (sscanf(line, "fail %31s %ld %ld %lx", r.name, &r.skip, &r.count, &r.rv) == 4 ||
	    sscanf(line, "delay %31s %ld", r.name, &r.delay_ms) == 2 ||
	    (r.flip = sscanf(line, "flip %31s %ld %ld", r.name, &r.skip, &r.count) == 3) ||
	    sscanf(line, "mech %lx", &r.mech) == 1) {
		if (n_rules < RULES)
			rules[n_rules++] = r;
		return;
	}
	if (sscanf(line, "flags %lx", &set_flags) == 1 ||
	    sscanf(line, "clear %lx", &clear_flags) == 1 ||
	    sscanf(line, "log %255s", log_file) == 1)
		return;
	if (sscanf(line, "sessions %ld", &n) == 1)
		max_sessions = n;
	removed = removed || strncmp(line, "removed", 7) == 0;
	need_private = need_private || strncmp(line, "private", 7) == 0;
	need_rw = need_rw || strncmp(line, "readonly", 8) == 0;
	stuck = stuck || strncmp(line, "stuck", 5) == 0;
	loose = loose || strncmp(line, "loose", 5) == 0;
	if (strncmp(line, "closed", 6) == 0)
		close_all();
}

static void read_control(void)
{
	const char *name = getenv("P11SHIM_CTL");
	char line[512];
	struct stat st;
	FILE *f;

	if (!name || stat(name, &st) != 0)
		return;
	if (st.st_ino == ctl_seen.st_ino && st.st_size == ctl_seen.st_size &&
	    memcmp(&st.st_mtim, &ctl_seen.st_mtim, sizeof(st.st_mtim)) == 0)
		return;
	ctl_seen = st;
	n_rules = 0;
	set_flags = clear_flags = 0;
	removed = need_private = need_rw = stuck = loose = false;
	max_sessions = 0;
	log_file[0] = '\0';
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f))
		read_line(line);
	if (f)
		fclose(f);
}

/* ---- one call ------------------------------------------------------------------ */

static void count_call(const char *name)
{
	FILE *f;
	int i;

	for (i = 0; i < NAMES - 1 && calls[i].name[0] && strcmp(calls[i].name, name) != 0; i++)
		;
	snprintf(calls[i].name, NAME_LEN, "%s", name);
	calls[i].n++;
	if (log_file[0] && (f = fopen(log_file, "ae"))) {
		fprintf(f, "%s\n", name);
		fclose(f);
	}
}

unsigned long EXPORT p11shim_calls(const char *name)
{
	unsigned long n = 0;
	int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < NAMES; i++) {
		if (strcmp(calls[i].name, name) == 0)
			n = calls[i].n;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

static CK_RV apply(struct rule *r, const char *name, bool session, CK_MECHANISM *mech, long *delay)
{
	if (r->flip)
		return CKR_OK;
	if (r->mech)
		return mech && mech->mechanism == r->mech ? CKR_MECHANISM_INVALID : CKR_OK;
	if (strcmp(r->name, name) != 0 && !(session && strcmp(r->name, "*") == 0))
		return CKR_OK;
	*delay += r->delay_ms;
	if (r->skip > 0) {
		r->skip--;
		return CKR_OK;
	}
	if (r->count == 0)
		return CKR_OK;
	if (r->count > 0)
		r->count--;
	return r->rv;
}

/* Where watch.so is preloaded, it looks around before the call. */
static void tell_watch(const char *name)
{
	void *symbol = dlsym(RTLD_DEFAULT, "watch_step");
	void (*watch)(const char *name);

	memcpy(&watch, &symbol, sizeof(watch));
	if (watch)
		watch(name);
}

/* What the control file has for this call: CKR_OK lets it through. */
static CK_RV before(const char *name, bool session, CK_MECHANISM *mech)
{
	CK_RV rv = CKR_OK;
	long delay = 0;
	unsigned i;

	tell_watch(name);
	pthread_mutex_lock(&lock);
	read_control();
	count_call(name);
	if (removed && session)
		rv = CKR_TOKEN_NOT_PRESENT;
	for (i = 0; i < n_rules && rv == CKR_OK; i++)
		rv = apply(&rules[i], name, session, mech, &delay);
	pthread_mutex_unlock(&lock);
	if (delay)
		usleep((useconds_t)delay * 1000);
	return rv;
}

/* The first octet of a result, where a rule says so. */
static CK_RV after(const char *name, CK_RV rv, CK_BYTE *out, const CK_ULONG *n)
{
	unsigned i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < n_rules && rv == CKR_OK && out && *n; i++) {
		if (!rules[i].flip || strcmp(rules[i].name, name) != 0)
			continue;
		if (rules[i].skip > 0) {
			rules[i].skip--;
		} else if (rules[i].count != 0) {
			out[0] ^= 1;
			rules[i].count -= rules[i].count > 0;
		}
	}
	pthread_mutex_unlock(&lock);
	return rv;
}

/* ---- wrappers -------------------------------------------------------------------- */

/* A call with a session first, with or without a mechanism. */
#define WRAP(name, mech, params, args) \
	static CK_RV my_##name params \
	{ \
		CK_RV rv = before(#name, true, mech); \
		return rv == CKR_OK ? real->name args : rv; \
	}

/* The same for calls whose output is o, *on. */
#define WRAP_OUT(name) \
	static CK_RV my_##name(S s, B i, CK_ULONG n, B o, CK_ULONG *on) \
	{ \
		CK_RV rv = before(#name, true, NULL); \
		return rv == CKR_OK ? after(#name, real->name(s, i, n, o, on), o, on) : rv; \
	}

typedef CK_SESSION_HANDLE S;
typedef CK_OBJECT_HANDLE O;
typedef CK_MECHANISM *M;
typedef CK_ATTRIBUTE *A;
typedef CK_BYTE *B;

WRAP(C_CloseAllSessions, NULL, (CK_SLOT_ID s), (s))
WRAP(C_GetSessionInfo, NULL, (S s, CK_SESSION_INFO *i), (s, i))
WRAP(C_Login, NULL, (S s, CK_USER_TYPE u, B p, CK_ULONG n), (s, u, p, n))
WRAP(C_Logout, NULL, (S s), (s))
WRAP(C_CopyObject, NULL, (S s, O o, A a, CK_ULONG n, O *out), (s, o, a, n, out))
WRAP(C_DestroyObject, NULL, (S s, O o), (s, o))
WRAP(C_GetAttributeValue, NULL, (S s, O o, A a, CK_ULONG n), (s, o, a, n))
WRAP(C_SetAttributeValue, NULL, (S s, O o, A a, CK_ULONG n), (s, o, a, n))
WRAP(C_FindObjectsInit, NULL, (S s, A a, CK_ULONG n), (s, a, n))
WRAP(C_FindObjects, NULL, (S s, O *o, CK_ULONG n, CK_ULONG *got), (s, o, n, got))
WRAP(C_FindObjectsFinal, NULL, (S s), (s))
WRAP(C_EncryptInit, m, (S s, M m, O k), (s, m, k))
WRAP_OUT(C_Encrypt)
WRAP(C_DecryptInit, m, (S s, M m, O k), (s, m, k))
WRAP_OUT(C_Decrypt)
WRAP(C_SignInit, m, (S s, M m, O k), (s, m, k))
WRAP_OUT(C_Sign)
WRAP(C_DigestInit, m, (S s, M m), (s, m))
WRAP(C_Digest, NULL, (S s, B i, CK_ULONG n, B o, CK_ULONG *on), (s, i, n, o, on))
WRAP(C_DigestUpdate, NULL, (S s, B i, CK_ULONG n), (s, i, n))
WRAP(C_DigestKey, NULL, (S s, O k), (s, k))
WRAP(C_DigestFinal, NULL, (S s, B o, CK_ULONG *n), (s, o, n))
WRAP(C_WrapKey, m, (S s, M m, O w, O k, B o, CK_ULONG *n), (s, m, w, k, o, n))
WRAP(C_SeedRandom, NULL, (S s, B i, CK_ULONG n), (s, i, n))

static CK_RV my_C_GenerateRandom(S s, B o, CK_ULONG n)
{
	CK_RV rv = before("C_GenerateRandom", true, NULL);

	if (rv == CKR_OK)
		rv = real->C_GenerateRandom(s, o, n);
	if (rv == CKR_OK && stuck)
		memset(o, 0x5a, n);
	return rv;
}

static bool public_template(const CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_ULONG i;

	for (i = 0; i < n; i++) {
		if (a[i].type == CKA_PRIVATE && *(const CK_BBOOL *)a[i].pValue == CK_FALSE)
			return true;
	}
	return false;
}

/* The calls that make objects. */
static CK_RV before_make(const char *name, CK_MECHANISM *mech, const CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_RV rv = before(name, true, mech);

	if (rv == CKR_OK && need_private && public_template(a, n))
		rv = CKR_TEMPLATE_INCONSISTENT;
	return rv;
}

static CK_RV my_C_CreateObject(S s, A a, CK_ULONG n, O *out)
{
	CK_RV rv = before_make("C_CreateObject", NULL, a, n);

	return rv == CKR_OK ? real->C_CreateObject(s, a, n, out) : rv;
}

static CK_RV my_C_GenerateKey(S s, M m, A a, CK_ULONG n, O *out)
{
	CK_RV rv = before_make("C_GenerateKey", m, a, n);

	return rv == CKR_OK ? real->C_GenerateKey(s, m, a, n, out) : rv;
}

static CK_RV my_C_DeriveKey(S s, M m, O base, A a, CK_ULONG n, O *out)
{
	CK_RV rv = before_make("C_DeriveKey", m, a, n);

	return rv == CKR_OK ? real->C_DeriveKey(s, m, base, a, n, out) : rv;
}

static CK_RV my_C_UnwrapKey(S s, M m, O k, B w, CK_ULONG wn, A a, CK_ULONG n, O *out)
{
	CK_RV rv = before_make("C_UnwrapKey", m, a, n);
	static CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE copy[64];
	CK_ULONG at;

	for (at = 0; at < n && n <= 64 && loose; at++) {
		copy[at] = a[at];
		if (copy[at].type == CKA_EXTRACTABLE)
			copy[at].pValue = &yes;
	}
	a = at ? copy : a;
	return rv == CKR_OK ? real->C_UnwrapKey(s, m, k, w, wn, a, n, out) : rv;
}

static CK_RV my_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, S *out)
{
	CK_RV rv = before("C_OpenSession", true, NULL);

	if (rv == CKR_OK && need_rw && !(flags & CKF_RW_SESSION))
		rv = CKR_FUNCTION_FAILED;
	if (rv == CKR_OK && max_sessions && open_sessions >= max_sessions)
		rv = CKR_SESSION_COUNT;
	if (rv == CKR_OK)
		rv = real->C_OpenSession(slot, flags, app, notify, out);
	if (rv == CKR_OK)
		open_sessions++;
	return rv;
}

static CK_RV my_C_CloseSession(S s)
{
	CK_RV rv = before("C_CloseSession", true, NULL);

	if (rv == CKR_OK)
		rv = real->C_CloseSession(s);
	if (rv == CKR_OK)
		open_sessions--;
	return rv;
}

static CK_RV my_C_Initialize(void *args)
{
	CK_RV rv = before("C_Initialize", false, NULL);

	return rv == CKR_OK ? real->C_Initialize(args) : rv;
}

static CK_RV my_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
	CK_RV rv = before("C_GetSlotList", false, NULL);

	if (rv == CKR_OK && removed) {
		*n = 0;
		return CKR_OK;
	}
	return rv == CKR_OK ? real->C_GetSlotList(present, list, n) : rv;
}

static CK_RV my_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = before("C_GetTokenInfo", false, NULL);

	if (rv == CKR_OK && removed)
		rv = CKR_TOKEN_NOT_PRESENT;
	if (rv == CKR_OK)
		rv = real->C_GetTokenInfo(slot, info);
	if (rv == CKR_OK)
		info->flags = (info->flags | set_flags) & ~clear_flags;
	return rv;
}

/* ---- the list ---------------------------------------------------------------------- */

#define MINE(name) mine.name = my_##name

static void fill_list(void)
{
	mine = *real;           /* what is not wrapped goes straight through */
	mine.C_GetFunctionList = C_GetFunctionList;
	MINE(C_Initialize); MINE(C_GetSlotList); MINE(C_GetTokenInfo);
	MINE(C_OpenSession); MINE(C_CloseSession); MINE(C_CloseAllSessions);
	MINE(C_GetSessionInfo); MINE(C_Login); MINE(C_Logout);
	MINE(C_CreateObject); MINE(C_CopyObject); MINE(C_DestroyObject);
	MINE(C_GetAttributeValue); MINE(C_SetAttributeValue);
	MINE(C_FindObjectsInit); MINE(C_FindObjects); MINE(C_FindObjectsFinal);
	MINE(C_EncryptInit); MINE(C_Encrypt); MINE(C_DecryptInit); MINE(C_Decrypt);
	MINE(C_SignInit); MINE(C_Sign);
	MINE(C_DigestInit); MINE(C_Digest); MINE(C_DigestUpdate);
	MINE(C_DigestKey); MINE(C_DigestFinal);
	MINE(C_GenerateKey); MINE(C_DeriveKey); MINE(C_WrapKey); MINE(C_UnwrapKey);
	MINE(C_GenerateRandom); MINE(C_SeedRandom);
}

CK_RV EXPORT C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	const char *name = getenv("P11SHIM_MODULE");
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = NULL;
	void *lib, *symbol;

	if (!real) {
		lib = name ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;
		symbol = lib ? dlsym(lib, "C_GetFunctionList") : NULL;
		memcpy(&get, &symbol, sizeof(get));
		if (!get || get(&real) != CKR_OK)
			return CKR_GENERAL_ERROR;
		fill_list();
	}
	*list = &mine;
	return CKR_OK;
}
