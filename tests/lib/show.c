#include "tests/lib/show.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void show(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

gss_buffer_desc show_text(const char *s)
{
	return (gss_buffer_desc){ strlen(s), (void *)(uintptr_t)s };
}

static void texts(OM_uint32 code, int type)
{
	OM_uint32 minor, context = 0, major;
	gss_buffer_desc b;

	do {
		major = gss_display_status(&minor, code, type, GSS_C_NO_OID, &context, &b);
		if (GSS_ERROR(major)) {
			printf(" <no text: %#x>", (unsigned)major);
			return;
		}
		printf(" %.*s.", (int)b.length, (char *)b.value);
		gss_release_buffer(&minor, &b);
	} while (context);
}

bool show_status(const char *what, OM_uint32 major, OM_uint32 minor)
{
	printf("%s:", what);
	texts(major, GSS_C_GSS_CODE);
	if (GSS_ERROR(major)) {
		printf(" /");
		texts(minor, GSS_C_MECH_CODE);
	}
	putchar('\n');
	return !GSS_ERROR(major);
}

const char *show_life(OM_uint32 s)
{
	if (s == 0)
		return "0";
	if (s == GSS_C_INDEFINITE)
		return "indefinite";
	if (s > 35700 && s <= 36000)
		return "ticket";
	if (s > 36000 && s <= 36300)
		return "ticket+skew";
	return "other";
}

const char *show_oid(gss_const_OID oid)
{
	static char turns[4][256];
	static unsigned turn;
	char *p = turns[turn++ % 4];
	const unsigned char *o = oid ? oid->elements : NULL;
	unsigned long arc = 0;
	int at;

	if (!oid || !oid->length)
		return "none";
	at = snprintf(p, sizeof(turns[0]), "%d.%d", o[0] < 80 ? o[0] / 40 : 2,
		      o[0] < 80 ? o[0] % 40 : o[0] - 80);
	for (OM_uint32 i = 1; i < oid->length && at < 240; i++) {
		arc = arc << 7 | (o[i] & 0x7f);
		if (o[i] & 0x80)
			continue;
		at += snprintf(p + at, sizeof(turns[0]) - (size_t)at, ".%lu", arc);
		arc = 0;
	}
	return p;
}

void show_hex(const char *what, const gss_buffer_desc *b)
{
	const unsigned char *p = b->value;

	printf("%s (%zu):", what, b->length);
	for (size_t i = 0; i < b->length; i++)
		printf(" %02x", p[i]);
	putchar('\n');
}

void show_set(const char *what, gss_OID_set set)
{
	printf("%s:", what);
	for (size_t i = 0; set && i < set->count; i++)
		printf(" %s", show_oid(&set->elements[i]));
	putchar('\n');
}

static void show_attributes(gss_name_t name)
{
	gss_buffer_set_t attrs = GSS_C_NO_BUFFER_SET;
	OM_uint32 major, minor;
	int is_mn = -1;

	major = gss_inquire_name(&minor, name, &is_mn, NULL, &attrs);
	show_status("  inquire_name", major, minor);
	show("  is MN %d, attributes %zu", is_mn, attrs ? attrs->count : 0);
	for (size_t i = 0; attrs && i < attrs->count; i++) {
		int auth = 0, complete = 0, more = -1;
		gss_buffer_desc v, d;

		major = gss_get_name_attribute(&minor, name, &attrs->elements[i], &auth, &complete,
					       &v, &d, &more);
		printf("  attribute %.*s", (int)attrs->elements[i].length,
		       (char *)attrs->elements[i].value);
		show_status("", major, minor);
		show("  auth %d complete %d length %zu", auth, complete, v.length);
		gss_release_buffer(&minor, &v);
		gss_release_buffer(&minor, &d);
	}
	gss_release_buffer_set(&minor, &attrs);
}

/*
 * A composite token is the plain one with attributes behind it: nothing, or a
 * list without entries, as it depends on whether the name was ever asked.
 */
static void show_start(const char *what, const gss_buffer_desc *b, size_t len)
{
	gss_buffer_desc start = { b->length < len ? b->length : len, b->value };

	show_hex(what, &start);
}

void show_name(const char *what, gss_name_t name)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor;
	size_t len;
	gss_OID type = GSS_C_NO_OID;

	if (name == GSS_C_NO_NAME) {
		show("%s: no name", what);
		return;
	}
	major = gss_display_name(&minor, name, &b, &type);
	if (show_status(what, major, minor))
		show("  \"%.*s\" of type %s", (int)b.length, (char *)b.value, show_oid(type));
	gss_release_buffer(&minor, &b);
	major = gss_export_name(&minor, name, &b);
	if (show_status("  export_name", major, minor))
		show_hex("  token", &b);
	len = b.length;
	gss_release_buffer(&minor, &b);
	major = gss_export_name_composite(&minor, name, &b);
	if (show_status("  export_name_composite", major, minor))
		show_start("  token", &b, len);
	gss_release_buffer(&minor, &b);
	show_attributes(name);
}
