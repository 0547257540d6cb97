/*
 * JSON as libkrb5 writes it, with blanks allowed: enough of RFC 8259 to step
 * from one member of an array to the next.  What is not understood is taken
 * for a credential with keys in it.
 */
#include "mech/k5c1.h"

#include "keystore/ccache.h"

#include <stdlib.h>
#include <string.h>

/* Members of ["K5C1", [...]]'s inner array (krb5's export_cred.c, json_kgcred). */
enum { AT_KEYTAB = 5, AT_RCACHE, AT_CCACHE, AT_CLIENT_KEYTAB, AT_PASSWORD = 13, MEMBERS };

enum { DEPTH_MAX = 16 };

struct json {
	const char *p, *end;
};

static void blanks(struct json *j)
{
	while (j->p < j->end && memchr(" \t\r\n", *j->p, 4))
		j->p++;
}

static bool eat(struct json *j, char c)
{
	blanks(j);
	if (j->p >= j->end || *j->p != c)
		return false;
	j->p++;
	return true;
}

static bool at(struct json *j, const char *text)
{
	blanks(j);
	return (size_t)(j->end - j->p) >= strlen(text) && !memcmp(j->p, text, strlen(text));
}

static bool skip_string(struct json *j)
{
	if (!eat(j, '"'))
		return false;
	while (j->p < j->end && *j->p != '"')
		j->p += *j->p == '\\' && j->p + 1 < j->end ? 2 : 1;
	if (j->p >= j->end)
		return false;
	j->p++;
	return true;
}

/* null, true, false, a number */
static bool skip_word(struct json *j)
{
	const char *start = j->p;

	while (j->p < j->end && !memchr(",[]{}:\" \t\r\n", *j->p, 11))
		j->p++;
	return j->p > start;
}

/* A string, a word, or an array of such (libkrb5 exports no objects), without recursion. */
static bool skip_value(struct json *j)
{
	unsigned depth = 0;
	bool ok;

	do {
		blanks(j);
		if (eat(j, '[')) {
			if (++depth > DEPTH_MAX)
				return false;
			if (!at(j, "]"))
				continue;
		} else {
			ok = at(j, "\"") ? skip_string(j) : skip_word(j);
			if (!ok)
				return false;
		}
		while (depth && eat(j, ']'))
			depth--;
		if (depth && !eat(j, ','))
			return false;
	} while (depth);
	return true;
}

static bool is_null(struct json *j)
{
	return at(j, "null");
}

/* A name: of a cache that is elsewhere. */
static bool is_name(struct json *j)
{
	return at(j, "\"") && !at(j, "\"MEMORY:");
}

static bool harmless(struct json *j, int member)
{
	struct json here = *j;

	switch (member) {
	case AT_KEYTAB:
	case AT_RCACHE:
	case AT_CCACHE:
	case AT_CLIENT_KEYTAB:
		return is_null(&here) || is_name(&here);
	case AT_PASSWORD:
		return is_null(&here);
	default:
		return true;
	}
}

static bool members(struct json *j)
{
	for (int i = 0; i < MEMBERS; i++) {
		if (i && !eat(j, ','))
			return false;
		if (!harmless(j, i) || !skip_value(j))
			return false;
	}
	return true;
}

/* To the array's first member. */
static bool enter(struct json *j, const gss_buffer_desc *token)
{
	*j = (struct json){ token->value, (const char *)token->value + token->length };
	return token->length && eat(j, '[') && at(j, "\"K5C1\"") && skip_string(j) &&
	       eat(j, ',') && eat(j, '[');
}

/* Without its escapes, of which a cache's name has only those for a quote and for slashes. */
static char *dup_string(struct json *j)
{
	const char *p = j->p + 1, *end;
	char *out, *to;

	if (!skip_string(j))
		return NULL;
	end = j->p - 1;
	out = to = malloc((size_t)(end - p) + 1);
	if (!out)
		return NULL;
	for (; p < end; p++) {
		if (*p == '\\' && !memchr("\"\\/", *++p, 3)) {
			free(out);
			return NULL;
		}
		*to++ = *p;
	}
	*to = '\0';
	return out;
}

char *mech_k5c1_ccache(const gss_buffer_desc *token)
{
	struct json j;

	if (!enter(&j, token))
		return NULL;
	for (int i = 0; i < AT_CCACHE; i++)
		if (!skip_value(&j) || !eat(&j, ','))
			return NULL;
	return at(&j, "\"") ? dup_string(&j) : NULL;
}

bool mech_k5c1_has_surrogates(const gss_buffer_desc *token)
{
	struct json j;

	return enter(&j, token) && memmem(token->value, token->length, KS_CCACHE_MARK,
					  strlen(KS_CCACHE_MARK));
}

bool mech_k5c1_is_reference(const gss_buffer_desc *token)
{
	struct json j;

	if (!enter(&j, token))
		return false;
	if (!members(&j) || !eat(&j, ']') || !eat(&j, ']'))
		return false;
	blanks(&j);
	return j.p == j.end;
}
