#include "tests/lib/msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/box.h"
#include "tests/lib/keys.h"

#define SHA1_FIRST "aes256-cts aes128-cts aes256-sha2 aes128-sha2"

const struct msg_config msg_configs[MSG_CONFIGS] = {
	{ { 17, "aes128-cts", GSS_C_MUTUAL_FLAG }, 12, "softhsm" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG }, 12, "softhsm" },
	{ { 19, "aes128-sha2", GSS_C_MUTUAL_FLAG }, 16, "softhsm" },
	{ { 20, "aes256-sha2", GSS_C_MUTUAL_FLAG }, 24, "softhsm" },
	{ { 17, "aes128-cts", 0 }, 12, "softhsm" },
	{ { 18, "aes256-cts", 0 }, 12, "nss" },
	{ { 19, "aes128-sha2", 0 }, 16, "nss" },
	{ { 20, "aes256-sha2", 0 }, 24, "nss" },
	{ { 20, SHA1_FIRST, GSS_C_MUTUAL_FLAG }, 12, "nss" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE }, 12, "softhsm" },
};

struct pair msg_pairs[MSG_CONFIGS];
_Alignas(65536) uint8_t msg_octets[MSG_MEGABYTE];

void msg_make(void)
{
	size_t i;

	for (i = 0; i < MSG_MEGABYTE; i++)
		msg_octets[i] = (uint8_t)(i * 7 + (i >> 8));
	/* A call that writes into its input ends the program. */
	if (mprotect(msg_octets, MSG_MEGABYTE, PROT_READ))
		abort();
	for (i = 0; i < MSG_CONFIGS; i++)
		pair_make(keys_token(msg_configs[i].token), &msg_configs[i].want, &msg_pairs[i]);
}

void msg_free(void)
{
	size_t i;

	for (i = 0; i < MSG_CONFIGS; i++)
		pair_free(&msg_pairs[i]);
}

bool msg_check(bool ok, const char *what, size_t config, size_t n)
{
	if (!ok)
		printf("\n    %s: config %zu, case %zu", what, config, n);
	CU_ASSERT(ok);
	return ok;
}

gss_buffer_desc msg_frozen(const gss_buffer_desc *b)
{
	gss_buffer_desc f = { b->length, NULL };

	f.value = mmap(NULL, f.length + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f.value == MAP_FAILED)
		abort();
	if (f.length)
		memcpy(f.value, b->value, f.length);
	if (mprotect(f.value, f.length + 1, PROT_READ))
		abort();
	return f;
}

void msg_thaw(gss_buffer_desc *f)
{
	munmap(f->value, f->length + 1);
	*f = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

gss_buffer_desc msg_text(size_t n)
{
	return (gss_buffer_desc){ n, msg_octets };
}

int msg_run(const char *name, const CU_TestInfo *tests)
{
	int status;

	msg_make();
	status = box_suite(name, NULL, NULL, tests);
	msg_free();
	return status;
}
