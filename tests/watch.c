/*
 * watch.so, to be preloaded: notes what lies in a program's memory, so that a
 * test can search it afterwards for keys that nobody could know beforehand.
 *
 * Every allocation is fresh: nothing is given out twice and nothing freed is
 * overwritten, so what was not wiped stays to be found.  What the token's own
 * libraries allocate lies in an arena of its own, and that is not looked at.
 * At each step (before a PKCS#11 call when p11shim.so stands before the token,
 * and whenever octets are sent or received) every page of the rest that has
 * changed goes to the file WATCH_DUMP: heap, data of all other libraries, the
 * live part of the stack, and whatever else is mapped writable, locked pages
 * for secrets included.
 *
 * The dump is a sequence of: step, address, length (64 bits each), octets.
 * WATCH_DUMP.steps names the steps, one a line.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
	PAGE = 4096,
	MARGIN = 64,                    /* octets of the neighbours that go with a page */
	KNOWN_BITS = 20,                /* of the table of pages */
	MAPS_MAX = 1 << 20
};
#define ARENA ((size_t)2 << 30)

void EXPORT watch_step(const char *name);

/* ---- allocation ---- */

static struct arena {
	uint8_t *_Atomic base;
	_Atomic size_t used;
} ours, tokens;

/* The libraries whose memory is the token's business. */
static bool of_token(const void *code)
{
	static const char *const names[] = {
		"libsoftokn3", "libfreebl", "libnssutil3", "libnssdbm3", "libnspr4", "libplc4",
		"libplds4", "libsqlite3", "libsofthsm2"
	};
	struct dl_find_object found;
	void *pc;
	size_t i;

	memcpy(&pc, &code, sizeof(pc));
	if (_dl_find_object(pc, &found) != 0 || !found.dlfo_link_map)
		return false;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strstr(found.dlfo_link_map->l_name, names[i]))
			return true;
	}
	return false;
}

static uint8_t *arena_base(struct arena *a)
{
	uint8_t *p = atomic_load(&a->base), *seen = NULL;

	if (p)
		return p;
	p = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		_exit(99);
	if (!atomic_compare_exchange_strong(&a->base, &seen, p)) {
		munmap(p, ARENA);
		p = seen;
	}
	return p;
}

/* The size stands in the 16 octets in front. */
static void *take(struct arena *a, size_t n, size_t align)
{
	uint8_t *base = arena_base(a);
	size_t at, room;

	if (n > ARENA / 4 || align > PAGE)
		return NULL;
	room = 16 + align + ((n + 15) & ~(size_t)15);
	at = atomic_fetch_add(&a->used, room);
	if (at + room > ARENA)
		_exit(98);
	at = (at + 16 + align - 1) & ~(align - 1);
	memcpy(base + at - 16, &n, sizeof(n));
	return base + at;
}

static void *allocate(const void *caller, size_t n, size_t align)
{
	void *p = take(of_token(caller) ? &tokens : &ours, n, align < 16 ? 16 : align);

	if (!p)
		errno = ENOMEM;
	return p;
}

static size_t size_of(const void *p)
{
	size_t n;

	memcpy(&n, (const uint8_t *)p - 16, sizeof(n));
	return n;
}

#define CALLER __builtin_return_address(0)

EXPORT void *malloc(size_t n)
{
	return allocate(CALLER, n, 16);
}

EXPORT void free(void *p)
{
	(void)p;                /* what lies there is to be found */
}

EXPORT void *calloc(size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return allocate(CALLER, n * size, 16);  /* fresh from the system: zeros */
}

EXPORT void *realloc(void *old, size_t n)
{
	void *p = allocate(CALLER, n, 16);

	if (p && old)
		memcpy(p, old, size_of(old) < n ? size_of(old) : n);
	return p;
}

EXPORT void *memalign(size_t align, size_t n)
{
	return allocate(CALLER, n, align);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
	return allocate(CALLER, n, align);
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
	*out = allocate(CALLER, n, align);
	return *out ? 0 : ENOMEM;
}

EXPORT size_t malloc_usable_size(void *p)
{
	return p ? size_of(p) : 0;
}

/* ---- what has changed ---- */

static struct {
	uintptr_t page;
	uint64_t hash;
} *known;
static int dump = -1, steps = -1;
static uint64_t step;

static uint64_t mix(uint64_t h, uint64_t w)
{
	h = (h ^ w) * 0xff51afd7ed558ccdu;
	return h ^ h >> 32;
}

/* Four rows of words, which the processor takes side by side: this is most of a test's time. */
static uint64_t hash_page(const uint8_t *p)
{
	uint64_t h[4] = { 0x9e3779b97f4a7c15u, 1, 2, 3 }, w[4];
	size_t i;

	for (i = 0; i < PAGE; i += sizeof(w)) {
		memcpy(w, p + i, sizeof(w));
		h[0] = mix(h[0], w[0]);
		h[1] = mix(h[1], w[1]);
		h[2] = mix(h[2], w[2]);
		h[3] = mix(h[3], w[3]);
	}
	return mix(mix(mix(h[0], h[1]), h[2]), h[3]);
}

/* True at the first look at a page and whenever it is another than the last time. */
static bool changed(uintptr_t page)
{
	const uint64_t h = hash_page((const uint8_t *)page);
	size_t i = (page / PAGE * 0x9e3779b1u) & (((size_t)1 << KNOWN_BITS) - 1);

	while (known[i].page && known[i].page != page)
		i = (i + 1) & (((size_t)1 << KNOWN_BITS) - 1);
	if (known[i].page && known[i].hash == h)
		return false;
	known[i].page = page;
	known[i].hash = h;
	return true;
}

static void put(int fd, const void *p, size_t n)
{
	const uint8_t *from = p;
	long done;

	while (n) {
		done = syscall(SYS_write, fd, from, n);
		if (done <= 0)
			_exit(97);
		from += done;
		n -= (size_t)done;
	}
}

static void look_at(uintptr_t start, uintptr_t end)
{
	uintptr_t page, from, to;
	uint64_t head[3];

	for (page = start & ~(uintptr_t)(PAGE - 1); page < end; page += PAGE) {
		if (!changed(page))
			continue;
		from = page - start < MARGIN || page < start ? start : page - MARGIN;
		to = end - page < PAGE + MARGIN ? end : page + PAGE + MARGIN;
		head[0] = step;
		head[1] = from;
		head[2] = to - from;
		put(dump, head, sizeof(head));
		put(dump, (const void *)from, to - from);
	}
}

/* ---- what there is ---- */

static bool path_of_token(const char *path)
{
	return strstr(path, "libsoftokn3") || strstr(path, "libfreebl") ||
	       strstr(path, "libnss") || strstr(path, "libnspr4") || strstr(path, "libpl") ||
	       strstr(path, "libsqlite3") || strstr(path, "libsofthsm2");
}

/* What is not to be looked at: where it begins, what counts of it, where it ends. */
struct cut {
	uintptr_t start, used, end;
};

static void cut_arena(struct arena *a, bool used, struct cut *out)
{
	out->start = (uintptr_t)atomic_load(&a->base);
	out->used = used ? atomic_load(&a->used) : 0;
	out->end = out->start ? out->start + ARENA : 0;
}

/* The first cut that begins in there; the kernel may join neighbours to one mapping. */
static const struct cut *first_cut(const struct cut *cuts, size_t n, uintptr_t start,
				   uintptr_t end)
{
	const struct cut *first = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (cuts[i].end && cuts[i].start >= start && cuts[i].start < end &&
		    (!first || cuts[i].start < first->start))
			first = &cuts[i];
	}
	return first;
}

static void look_at_mapping(uintptr_t start, uintptr_t end)
{
	const struct cut *c;
	struct cut cuts[3];

	cut_arena(&ours, true, &cuts[0]);
	cut_arena(&tokens, false, &cuts[1]);
	cuts[2].start = (uintptr_t)known;
	cuts[2].used = 0;
	cuts[2].end = cuts[2].start + ((size_t)1 << KNOWN_BITS) * sizeof(*known);
	while ((c = first_cut(cuts, 3, start, end))) {
		if (c->start + c->used > start)
			look_at(start, c->start + c->used);
		start = c->end;
	}
	if (start < end)
		look_at(start, end);
}

/* One line of the map; *skip: the end of the token's data, which its bss follows. */
static void look_at_line(const char *line, uintptr_t stack, uintptr_t *skip)
{
	char path[512] = "", mode[8];
	uintptr_t start, end;

	if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %511s", &start, &end, mode, path) < 3)
		return;
	if (path_of_token(path) || (start == *skip && !path[0])) {
		*skip = end;
		return;
	}
	if (mode[0] != 'r' || mode[1] != 'w' || strstr(path, "watch.so"))
		return;
	if (start < stack && stack < end)
		start = stack;
	look_at_mapping(start, end);
}

static void look(uintptr_t stack)
{
	static char maps[MAPS_MAX];
	long n, got = 0;
	char *line, *save = NULL;
	uintptr_t skip = 0;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while ((n = syscall(SYS_read, fd, maps + got, (size_t)(MAPS_MAX - 1 - got))) > 0)
		got += n;
	close(fd);
	maps[got] = '\0';
	for (line = strtok_r(maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		look_at_line(line, stack, &skip);
}

static bool begin(void)
{
	const char *name = getenv("WATCH_DUMP");
	char path[512];

	if (dump >= 0)
		return true;
	if (!name)
		return false;
	snprintf(path, sizeof(path), "%s.steps", name);
	dump = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	steps = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	known = mmap(NULL, ((size_t)1 << KNOWN_BITS) * sizeof(*known), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (dump < 0 || steps < 0 || known == MAP_FAILED)
		_exit(96);
	return true;
}

void EXPORT watch_step(const char *name)
{
	static atomic_flag busy = ATOMIC_FLAG_INIT;
	char text[80];
	int n;

	if (atomic_flag_test_and_set(&busy))
		return;
	if (begin()) {
		look((uintptr_t)__builtin_frame_address(0));
		n = snprintf(text, sizeof(text), "%s\n", name);
		put(steps, text, (size_t)n);
		step++;
	}
	atomic_flag_clear(&busy);
}

/* ---- steps of a program without a token ---- */

static void step_of(const void *caller, const char *name)
{
	if (!of_token(caller))
		watch_step(name);
}

EXPORT ssize_t send(int fd, const void *p, size_t n, int flags)
{
	step_of(CALLER, "send");
	return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
	step_of(CALLER, "write");
	return syscall(SYS_write, fd, p, n);
}

EXPORT ssize_t recv(int fd, void *p, size_t n, int flags)
{
	step_of(CALLER, "recv");
	return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

EXPORT ssize_t read(int fd, void *p, size_t n)
{
	step_of(CALLER, "read");
	return syscall(SYS_read, fd, p, n);
}

static void __attribute__((destructor)) last(void)
{
	watch_step("end");
}
