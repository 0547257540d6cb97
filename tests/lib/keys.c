/* What the tests of keys share. */
#include "tests/lib/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/box.h"

static void die(const char *what, err_t err)
{
	fprintf(stderr, "keys: %s: %d %s\n", what, (int)err, err_text(err) ? err_text(err) : "");
	exit(99);
}

struct tok *keys_token(const char *name)
{
	const struct box_token *b = box_token(name);
	char *state = box_path("state");
	const struct tok_config cfg = {
		.module = b->module, .module_init = b->module_init, .state_dir = state
	};
	struct tok *t = NULL;
	err_t err = tok_open(b->uri, &cfg, &t);

	if (err)
		die(b->uri, err);
	free(state);
	return t;
}

size_t keys_tokens(struct tok *out[2])
{
	out[0] = keys_token("softhsm");
	out[1] = keys_token("nss");
	return 2;
}

krb5_context keys_krb5(void)
{
	static krb5_context ctx;

	if (!ctx && krb5_init_context(&ctx))
		die("krb5_init_context", 0);
	return ctx;
}

uint32_t keys_random(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

void keys_fill(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)keys_random();
}

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

size_t keys_hex(const char *hex, uint8_t *out, size_t cap)
{
	size_t n = 0;

	for (; *hex; hex++) {
		if (digit(*hex) < 0)
			continue;
		if (n == cap || digit(hex[1]) < 0)
			die("bad hex", 0);
		out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
		hex++;
	}
	return n;
}

krb5_keyblock keys_block(int32_t etype, const uint8_t *bytes)
{
	krb5_keyblock b = { 0 };

	b.enctype = etype;
	b.length = (unsigned)ks_etype_find(etype)->key_len;
	b.contents = (krb5_octet *)(uintptr_t)bytes;
	return b;
}

void keys_pair_make(struct tok *t, int32_t etype, struct keys_pair *p)
{
	err_t err;

	keys_fill(p->bytes, sizeof(p->bytes));
	p->block = keys_block(etype, p->bytes);
	err = ks_key_from_bytes(t, etype, p->bytes, p->block.length, &p->key);
	if (err)
		die("ks_key_from_bytes", err);
}
