/* The realms that a ticket passed through (RFC 4120 3.3.3.2). */
#include "mech/transited.h"

#include <errno.h>
#include <profile.h>
#include <stdlib.h>
#include <string.h>

#include "mech/mech.h"

#define REALM_MAX 512            /* longest realm in the encoding, octets */
#define ANONYMOUS_REALM "WELLKNOWN:ANONYMOUS"

struct path {
	struct der_str client, server;
	char **capaths;          /* NULL: the hierarchy counts */
	size_t common;           /* octets of the suffix that both realms share; 0: none */
};

/* One realm, expanded. */
struct realm {
	uint8_t p[REALM_MAX];
	size_t len;
};

/* The decoder of the encoding: where it is, and the realm before. */
struct walk {
	const struct path *path;
	struct der_str left;
	bool start;              /* nothing was read yet */
	bool gap;                /* an empty subfield: everything in between */
	struct realm prev;
};

static bool equal(const void *a, size_t an, const void *b, size_t bn)
{
	return an == bn && (an == 0 || memcmp(a, b, an) == 0);
}

/* True if the last n octets of s begin a component. */
static bool at_component(struct der_str s, size_t n)
{
	return n == s.len || s.p[s.len - n - 1] == '.';
}

/* The longest run of whole components with which both realms end. */
static size_t common_suffix(struct der_str a, struct der_str b)
{
	size_t n;

	for (n = a.len < b.len ? a.len : b.len; n > 0; n--) {
		if (memcmp(a.p + a.len - n, b.p + b.len - n, n) == 0 &&
		    at_component(a, n) && at_component(b, n))
			return n;
	}
	return 0;
}

/* True if r is an end of whole components of s. */
static bool is_parent(struct der_str s, const uint8_t *r, size_t n)
{
	return n > 0 && n <= s.len && memcmp(s.p + s.len - n, r, n) == 0 && at_component(s, n);
}

static bool in_capaths(const struct path *path, const uint8_t *r, size_t n)
{
	char **v = path->capaths;

	if (equal(path->client.p, path->client.len, r, n))
		return true;
	/* A first value "." says that there is nothing in between. */
	if (v[0] && v[0][0] == '.')
		return false;
	for (; *v; v++) {
		if (equal(*v, strcspn(*v, "\t "), r, n))
			return true;
	}
	return false;
}

/* Up from the client's realm to what both have in common, and down to before the server's. */
static bool in_hierarchy(const struct path *path, const uint8_t *r, size_t n)
{
	return n >= path->common && !equal(path->server.p, path->server.len, r, n) &&
	       (is_parent(path->client, r, n) || is_parent(path->server, r, n));
}

/* The realm that issued a ticket of the path: all but the server's own, which none passes through. */
static err_t check_realm(const struct path *path, const uint8_t *r, size_t n)
{
	if (path->capaths ? in_capaths(path, r, n) : in_hierarchy(path, r, n))
		return 0;
	return err_set(KRB5KRB_AP_ERR_ILL_CR_TKT, "the ticket passed through realm %.*s, which is "
		       "not on the path from %.*s to %.*s: see [capaths] in krb5.conf",
		       (int)n, (const char *)r, (int)path->client.len, path->client.p,
		       (int)path->server.len, path->server.p);
}

static err_t bad_gap(void)
{
	return err_set(KRB5KRB_AP_ERR_ILL_CR_TKT, "the ticket's list of realms leaves out realms "
		       "between two that are not above each other");
}

/* X.500 names: every prefix of l, longer than s, that ends before a slash. */
static err_t between_x500(const struct path *path, struct der_str s, struct der_str l)
{
	size_t i;
	err_t err = 0;

	if (memcmp(s.p, l.p, s.len))
		return bad_gap();
	for (i = s.len + 1; !err && i < l.len; i++) {
		if (l.p[i] == '/')
			err = check_realm(path, l.p, i);
	}
	return err;
}

/* Domain names: every suffix of l, longer than s, that begins after a dot. */
static err_t between_domain(const struct path *path, struct der_str s, struct der_str l)
{
	size_t i;
	err_t err = 0;

	if (memcmp(s.p, l.p + l.len - s.len, s.len))
		return bad_gap();
	for (i = l.len - s.len - 1; !err && i > 0; i--) {
		if (l.p[i - 1] == '.')
			err = check_realm(path, l.p + i, l.len - i);
	}
	return err;
}

/* All realms between two of which one is above the other (an empty subfield). */
static err_t check_between(const struct path *path, struct der_str a, struct der_str b)
{
	struct der_str s = a.len <= b.len ? a : b, l = a.len <= b.len ? b : a;

	if (s.len == l.len)
		return equal(s.p, s.len, l.p, l.len) ? 0 : bad_gap();
	if (s.len == 0 || (s.p[0] == '/') != (l.p[0] == '/'))
		return bad_gap();
	return s.p[0] == '/' ? between_x500(path, s, l) : between_domain(path, s, l);
}

static err_t too_long(void)
{
	return err_set(KRB5KRB_AP_ERR_ILL_CR_TKT, "a realm in the ticket's list is too long");
}

/*
 * Reads one subfield up to its comma (*comma) or the end, with backslashes
 * taken off.  A leading space sets the realm before aside.
 */
static err_t read_subfield(struct walk *w, struct realm *out, bool *comma)
{
	bool literal = false;
	uint8_t c;

	out->len = 0;
	*comma = false;
	while (w->left.len && !*comma) {
		c = *w->left.p++;
		w->left.len--;
		if (!literal && c == '\\') {
			literal = true;
			continue;
		}
		if (!literal && c == ',') {
			*comma = true;
		} else if (!literal && c == ' ' && !out->len) {
			w->prev.len = 0;
			w->start = false;
		} else {
			out->p[out->len++] = c;
			if (out->len == REALM_MAX)
				return too_long();
		}
		literal = false;
	}
	return 0;
}

/* "/x" goes behind the realm before, "x." goes in front of it. */
static err_t expand(const struct realm *prev, struct realm *r)
{
	bool behind = r->p[0] == '/';

	if (!behind && r->p[r->len - 1] != '.')
		return 0;
	if (prev->len + r->len > REALM_MAX)
		return too_long();
	if (behind) {
		memmove(r->p + prev->len, r->p, r->len);
		memcpy(r->p, prev->p, prev->len);
	} else {
		memcpy(r->p + r->len, prev->p, prev->len);
	}
	r->len += prev->len;
	return 0;
}

static struct der_str as_str(const struct realm *r)
{
	return (struct der_str){ r->p, r->len };
}

/* An empty subfield: at the start it stands for the client's realm, at the end for the server's. */
static err_t empty_subfield(struct walk *w, bool comma)
{
	if (!comma)
		return check_between(w->path, as_str(&w->prev), w->path->server);
	w->gap = true;
	if (!w->start)
		return 0;
	if (w->path->client.len >= REALM_MAX)
		return too_long();
	memcpy(w->prev.p, w->path->client.p, w->path->client.len);
	w->prev.len = w->path->client.len;
	return 0;
}

static err_t full_subfield(struct walk *w, struct realm *r)
{
	err_t err = expand(&w->prev, r);

	if (!err)
		err = check_realm(w->path, r->p, r->len);
	if (!err && w->gap)
		err = check_between(w->path, as_str(r), as_str(&w->prev));
	w->gap = false;
	w->prev = *r;
	return err;
}

static err_t check_all(const struct path *path, struct der_str encoded)
{
	struct walk w = { .path = path, .left = encoded, .start = true };
	struct realm r;
	bool comma = true;
	err_t err = 0;

	while (!err && comma) {
		err = read_subfield(&w, &r, &comma);
		if (!err)
			err = r.len ? full_subfield(&w, &r) : empty_subfield(&w, comma);
		w.start = false;
	}
	return err;
}

/* The values of krb5.conf's [capaths] client = { server = ... }; NULL where there are none. */
static err_t read_capaths(krb5_context k5, struct path *path)
{
	char *c = strndup((const char *)path->client.p, path->client.len);
	char *s = strndup((const char *)path->server.p, path->server.len);
	const char *names[] = { "capaths", c, s, NULL };
	struct _profile_t *profile = NULL;
	err_t err = 0;

	path->capaths = NULL;
	if (!c || !s)
		err = err_set(ENOMEM, "out of memory reading krb5.conf");
	else
		err = krb5_get_profile(k5, &profile);
	if (!err && profile_get_values(profile, names, &path->capaths))
		path->capaths = NULL;
	if (profile)
		profile_release(profile);
	free(c);
	free(s);
	return err;
}

err_t mech_transited_check(krb5_context k5, struct der_str encoded, struct der_str client,
			   struct der_str server)
{
	struct path path = { .client = client, .server = server };
	err_t err;

	if (encoded.len && encoded.p[encoded.len - 1] == '\0')
		encoded.len--;
	if (!encoded.len || equal(client.p, client.len, ANONYMOUS_REALM, strlen(ANONYMOUS_REALM)))
		return 0;
	if (equal(client.p, client.len, server.p, server.len))
		return err_set(KRB5_NO_TKT_IN_RLM, "the ticket passed through other realms although "
			       "client and service are both in %.*s", (int)client.len, client.p);
	err = read_capaths(k5, &path);
	if (err)
		return err;
	path.common = common_suffix(client, server);
	err = check_all(&path, encoded);
	if (path.capaths)
		profile_free_list(path.capaths);
	return err;
}
