/* DER for Kerberos: the strict reader. */
#include "mech/der.h"

#include <string.h>
#include <time.h>

void der_init(struct der *d, const void *p, size_t len, err_t *err)
{
	rd_init(&d->rd, p, len);
	d->err = err;
	*err = 0;
}

void der_fail(struct der *d, err_t err)
{
	if (!*d->err)
		*d->err = err;
	d->rd.left = 0;
}

bool der_is(const struct der *d, uint8_t tag)
{
	return !*d->err && d->rd.left > 0 && d->rd.p[0] == tag;
}

bool der_more(const struct der *d)
{
	return !*d->err && d->rd.left > 0;
}

/* X.690 10.1: the definite form in the fewest octets. */
static size_t read_len(struct der *d)
{
	uint8_t first = rd_u8(&d->rd);
	size_t n = first & 0x7f, len = 0, i;

	if (first < 0x80)
		return first;
	if (n == 0 || n > 4) {
		der_fail(d, n ? ASN1_OVERFLOW : ASN1_INDEF);
		return 0;
	}
	for (i = 0; i < n; i++)
		len = len << 8 | rd_u8(&d->rd);
	if (d->rd.bad)
		der_fail(d, ASN1_OVERRUN);
	else if (len < 0x80 || len >> (8 * (n - 1)) == 0)
		der_fail(d, ASN1_BAD_LENGTH);
	return len;
}

struct der_str der_content(struct der *d, uint8_t tag)
{
	struct der_str s = { NULL, 0 };
	size_t len;

	if (*d->err)
		return s;
	if (!d->rd.left || d->rd.p[0] != tag) {
		der_fail(d, d->rd.left ? ASN1_BAD_ID : ASN1_MISSING_FIELD);
		return s;
	}
	rd_u8(&d->rd);
	len = read_len(d);
	s.p = rd_bytes(&d->rd, len);
	s.len = len;
	if (d->rd.bad)
		der_fail(d, ASN1_OVERRUN);
	if (*d->err)
		s = (struct der_str){ NULL, 0 };
	return s;
}

struct der_str der_element(struct der *d, uint8_t tag)
{
	const uint8_t *start = d->rd.p;
	struct der_str s = der_content(d, tag);

	if (s.p)
		s = (struct der_str){ start, (size_t)(s.p + s.len - start) };
	return s;
}

struct der der_in(struct der *d, uint8_t tag)
{
	struct der_str s = der_content(d, tag);
	struct der in = { .err = d->err };

	rd_init(&in.rd, s.p, s.len);
	return in;
}

void der_end(struct der *d)
{
	if (d->rd.left)
		der_fail(d, ASN1_BAD_LENGTH);
}

/* X.690 8.3: at least one octet, and no redundant first octet. */
static int64_t read_integer(struct der *d)
{
	struct der_str s = der_content(d, DER_INTEGER);
	int64_t v;
	size_t i;

	if (*d->err)
		return 0;
	if (s.len == 0 || s.len > 5) {
		der_fail(d, s.len ? ASN1_OVERFLOW : ASN1_BAD_LENGTH);
		return 0;
	}
	v = (int8_t)s.p[0];
	if (s.len > 1 && (v == 0 || v == -1) && (s.p[1] >= 0x80) == (v == -1))
		der_fail(d, ASN1_BAD_FORMAT);
	for (i = 1; i < s.len; i++)
		v = v * 256 + s.p[i];
	return v;
}

int32_t der_int32(struct der *d)
{
	int64_t v = read_integer(d);

	if (v < INT32_MIN || v > INT32_MAX)
		der_fail(d, ASN1_OVERFLOW);
	return *d->err ? 0 : (int32_t)v;
}

uint32_t der_uint32(struct der *d)
{
	int64_t v = read_integer(d);

	if (v < INT32_MIN || v > UINT32_MAX)
		der_fail(d, ASN1_OVERFLOW);
	return *d->err ? 0 : (uint32_t)v;
}

static int two_digits(const uint8_t *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1000000;
	return (p[0] - '0') * 10 + (p[1] - '0');
}

/* True when the broken-down time is one of the calendar. */
static bool in_calendar(const struct tm *tm)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return tm->tm_year >= 70 && tm->tm_mon >= 0 && tm->tm_mon < 12 &&
	       tm->tm_mday >= 1 && tm->tm_mday <= days[tm->tm_mon] &&
	       tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 &&
	       tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

krb5_timestamp der_time(struct der *d)
{
	struct der_str s = der_content(d, DER_TIME);
	struct tm tm = { 0 };
	int64_t t = -1;

	if (*d->err)
		return 0;
	if (s.len == 15 && s.p[14] == 'Z') {
		tm.tm_year = two_digits(s.p) * 100 + two_digits(s.p + 2) - 1900;
		tm.tm_mon = two_digits(s.p + 4) - 1;
		tm.tm_mday = two_digits(s.p + 6);
		tm.tm_hour = two_digits(s.p + 8);
		tm.tm_min = two_digits(s.p + 10);
		tm.tm_sec = two_digits(s.p + 12);
		t = in_calendar(&tm) ? (int64_t)timegm(&tm) : -1;
	}
	if (t < 0 || t > UINT32_MAX) {
		der_fail(d, ASN1_BAD_TIMEFORMAT);
		return 0;
	}
	return (krb5_timestamp)(uint32_t)t;
}

uint32_t der_flags(struct der *d)
{
	struct der_str s = der_content(d, DER_BITSTRING);
	uint32_t v = 0;
	size_t i;

	if (*d->err)
		return 0;
	if (s.len == 0 || s.p[0] > 7 || (s.len == 1 && s.p[0])) {
		der_fail(d, ASN1_BAD_FORMAT);
		return 0;
	}
	/* X.690 11.2.1: unused bits are zero. */
	if (s.len > 1 && s.p[s.len - 1] & ((1u << s.p[0]) - 1)) {
		der_fail(d, ASN1_BAD_FORMAT);
		return 0;
	}
	for (i = 1; i <= 4; i++)
		v = v << 8 | (i < s.len ? s.p[i] : 0);
	return v;
}

int32_t der_field_int32(struct der *d, unsigned n)
{
	struct der in = der_in(d, (uint8_t)DER_CTX(n));
	int32_t v = der_int32(&in);

	der_end(&in);
	return v;
}

uint32_t der_field_uint32(struct der *d, unsigned n)
{
	struct der in = der_in(d, (uint8_t)DER_CTX(n));
	uint32_t v = der_uint32(&in);

	der_end(&in);
	return v;
}

krb5_timestamp der_field_time(struct der *d, unsigned n)
{
	struct der in = der_in(d, (uint8_t)DER_CTX(n));
	krb5_timestamp v = der_time(&in);

	der_end(&in);
	return v;
}

uint32_t der_field_flags(struct der *d, unsigned n)
{
	struct der in = der_in(d, (uint8_t)DER_CTX(n));
	uint32_t v = der_flags(&in);

	der_end(&in);
	return v;
}

struct der_str der_field_content(struct der *d, unsigned n, uint8_t tag)
{
	struct der in = der_in(d, (uint8_t)DER_CTX(n));
	struct der_str s = der_content(&in, tag);

	der_end(&in);
	return s;
}

void der_field_expect(struct der *d, unsigned n, int32_t want, err_t err)
{
	if (der_field_int32(d, n) != want)
		der_fail(d, err);
}

struct der der_field_seq(struct der *d, unsigned n)
{
	struct der in = der_in(d, (uint8_t)DER_CTX(n));
	struct der seq = der_in(&in, DER_SEQUENCE);

	der_end(&in);
	return seq;
}

struct der der_app_seq(struct der *d, unsigned n)
{
	struct der app = der_in(d, (uint8_t)DER_APP(n));
	struct der seq = der_in(&app, DER_SEQUENCE);

	der_end(&app);
	der_end(d);
	return seq;
}
