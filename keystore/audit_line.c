/* Lines of the audit log: put together, and taken apart. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keystore/audit_int.h"
#include "keystore/digest.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"

void audit_hash(const char *line, size_t len, char out[AUDIT_HASH + 1])
{
	uint8_t md[SHA256_DIGEST_LENGTH];

	/* None at all: the zeros fit no line, and the chain fails to verify. */
	if (!ks_plain_sha256(line, len, md))
		memset(md, 0, sizeof(md));
	hex_put(md, sizeof(md), out);
}

bool audit_field(const char *line, const char *name, char *out, size_t size)
{
	char key[32];
	const char *p;
	size_t n;

	out[0] = '\0';
	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(line, key);
	if (!p)
		return false;
	p += strlen(key);
	n = strcspn(p, " ");
	if (n >= size)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

bool audit_number(const char *line, const char *name, uint64_t *out)
{
	char text[24], *end;

	*out = 0;
	if (!audit_field(line, name, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !*end && !errno;
}

static bool plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && !strchr("%=\"\\", c);
}

/* One that is cut ends in a lone '%', which no escape does. */
void audit_escape(const char *in, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)in;
	size_t n = 0;

	for (; *p && n + 5 < size; p++) {
		if (plain(*p)) {
			out[n++] = (char)*p;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[*p >> 4];
		out[n++] = hex[*p & 15];
	}
	if (*p)
		out[n++] = '%';
	out[n] = '\0';
}

/* " name=value"; nothing where there is no value. */
static void put(char *out, size_t size, const char *name, const char *value)
{
	char escaped[AUDIT_VALUE];
	size_t n = strlen(out);

	if (!value || !*value)
		return;
	audit_escape(value, escaped, sizeof(escaped));
	snprintf(out + n, size - n, " %s=%s", name, escaped);
}

static void put_key(char *out, size_t size, const struct tok *t, const struct ks_audit_event *e)
{
	size_t n;

	put(out, size, "key", e->key);
	n = strlen(out);
	if (e->key && e->etype)
		snprintf(out + n, size - n, " kvno=%u etype=%d", (unsigned)e->kvno, (int)e->etype);
	else if (e->etype)
		snprintf(out + n, size - n, " etype=%d", (int)e->etype);
	if (t) {
		put(out, size, "token", tok_info(t)->label);
		put(out, size, "serial", tok_info(t)->serial);
	}
}

void audit_compose(const struct tok *t, const struct ks_audit_event *e, char *out, size_t size)
{
	static const char *const results[] = { "ok", "failed", "refused" };

	snprintf(out, size, " event=%s result=%s pid=%ld uid=%lu", e->event, results[e->result],
		 (long)getpid(), (unsigned long)geteuid());
	put(out, size, "program", program_invocation_short_name);
	put(out, size, "local", e->local);
	put(out, size, "peer", e->peer);
	put_key(out, size, t, e);
	put(out, size, "exposure", e->exposure);
	put(out, size, "detail", e->detail);
	put(out, size, "reason", e->reason);
}

void audit_line(const struct audit_end *end, const char *body, char out[AUDIT_LINE])
{
	struct timespec now = { 0 };
	struct tm tm = { 0 };
	char when[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, AUDIT_LINE, AUDIT_MAGIC "chain=%s seq=%" PRIu64 " prev=%s time=%s.%06ldZ%s",
		 end->chain, end->seq + 1, end->hash, when, now.tv_nsec / 1000, body);
}

void audit_signed_text(const char *chain, uint64_t seq, const char *hash, char *out, size_t size)
{
	snprintf(out, size, "gssp11 audit checkpoint: chain=%s covers=%" PRIu64 " hash=%s",
		 chain, seq, hash);
}
