/* Results as lines for people and as JSON for programs. */
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

/* Octets of the UTF-8 character at s (RFC 3629), or 0 if there is none. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 :
		s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
	size_t i;

	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* Controls, C1's too, and what is no UTF-8 could do anything to a terminal. */
const char *printable(const char *name)
{
	static char bufs[4][2048];
	static unsigned turn;
	char *buf = bufs[turn++ % 4];
	const unsigned char *s = (const unsigned char *)name;
	size_t i = 0, n;

	for (; *s && i < sizeof(bufs[0]) - 4; s += n ? n : 1) {
		n = utf8_len(s);
		if (!n || *s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0)) {
			buf[i++] = '?';
			continue;
		}
		memcpy(buf + i, s, n);
		i += n;
	}
	buf[i] = '\0';
	return buf;
}

void json_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	putchar('"');
	for (; *s; s += n ? n : 1) {
		n = utf8_len(s);
		if (!n)
			fputs("\\ufffd", stdout);
		else if (*s < 0x20 || *s == 0x7f)
			printf("\\u%04x", *s);
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else
			fwrite(s, 1, n, stdout);
	}
	putchar('"');
}

void json_next(struct tool *t)
{
	fputs(t->reported++ ? ",\n  " : "[\n  ", stdout);
}

void json_end(struct tool *t)
{
	fputs(t->reported ? "\n]\n" : "[]\n", stdout);
}

void report(struct tool *t, const char *result, const struct ks_entry *e, const char *note)
{
	char buf[64];
	const char *etype = etype_name(e->etype, buf, sizeof(buf));

	if (!(t->o.given & OPT_JSON)) {
		t->reported++;
		printf("%s %s kvno %u (%s)%s%s\n", result, printable(e->principal),
		       (unsigned)e->kvno, etype, note ? ": " : "", note ? note : "");
		return;
	}
	json_next(t);
	fputs("{\"result\": ", stdout);
	json_string(result);
	fputs(", \"principal\": ", stdout);
	json_string(e->principal);
	printf(", \"kvno\": %u, \"etype\": %d, \"enctype\": ", (unsigned)e->kvno, (int)e->etype);
	json_string(etype);
	if (note) {
		fputs(", \"note\": ", stdout);
		json_string(note);
	}
	putchar('}');
}
