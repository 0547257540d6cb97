/* What an own credential tells, and the options that can be set on it. */
#include "mech/codes.h"
#include "mech/cred.h"
#include "mech/initiator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct ks_entry *first_acceptor(const struct ks_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (e[i].use & KS_USE_ACCEPT)
			return &e[i];
	return NULL;
}

/* The keytab's first principal names a credential for any name; none is no error. */
static err_t first_name(struct mech_cred *c, struct mech_name **out)
{
	const struct ks_entry *first;
	struct ks_entry *e = NULL;
	krb5_principal p = NULL;
	krb5_context k5;
	size_t n = 0;
	err_t err;

	err = mech_krb5(&k5);
	if (!err)
		err = ks_keytab_entries(c->keytab, &e, &n);
	first = first_acceptor(e, n);
	if (!err && first)
		err = mech_krb5_err(k5, krb5_parse_name(k5, first->principal, &p));
	if (!err && p)
		err = mech_name_from_principal(k5, p, out);
	if (p)
		krb5_free_principal(k5, p);
	ks_entries_free(&e, n);
	return err;
}

/*
 * A GSS_C_BOTH credential is described by its initiator half, as the stock
 * mechanism does.  The layer loses the name of one that has expired: so it is
 * asked for last.
 */
static OM_uint32 inquire_half(OM_uint32 *minor, struct mech_cred *c, struct mech_name **name,
			      OM_uint32 *lifetime)
{
	gss_name_t stock = GSS_C_NO_NAME;
	OM_uint32 major, unused;
	struct mech_half h;
	err_t err;

	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	major = gss_inquire_cred(minor, h.stock, NULL, lifetime ? lifetime : &unused, NULL, NULL);
	if (!GSS_ERROR(major) && name)
		major = gss_inquire_cred(minor, h.stock, &stock, NULL, NULL, NULL);
	mech_half_put(&h);
	if (GSS_ERROR(major) || !name)
		return mech_stock_done(minor, major);
	err = mech_name_wrap(stock, name);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

OM_uint32 mech_cred_inquire(OM_uint32 *minor, struct mech_cred *c, struct mech_name **name,
			    OM_uint32 *lifetime, gss_cred_usage_t *usage)
{
	OM_uint32 major = GSS_S_COMPLETE;
	err_t err = 0;

	if (c->stock || mech_cred_is_own_initiator(c)) {
		major = inquire_half(minor, c, name, lifetime);
	} else {
		if (lifetime)
			*lifetime = GSS_C_INDEFINITE;
		if (name)
			err = c->name ? mech_name_dup(c->name, name) : first_name(c, name);
	}
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	if (usage)
		*usage = c->usage;
	return major;
}

/* ---- gss_set_cred_option ---- */

enum { MAX_ETYPES = 64 };        /* libkrb5 knows fewer */

/* gss_krb5_set_allowable_enctypes: both halves. */
struct etype_list {
	OM_uint32 n;
	krb5_enctype *etypes;
};

/* Takes the list. */
static void set_etypes(struct mech_cred *c, krb5_enctype *list)
{
	krb5_enctype *old;

	pthread_mutex_lock(&c->lock);
	old = c->etypes;
	c->etypes = list;
	pthread_mutex_unlock(&c->lock);
	free(old);
}

static bool is_listed(const krb5_enctype *list, size_t n, krb5_enctype e)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == e)
			return true;
	return false;
}

/* Those that libkrb5 knows, each once, up to the first 0; none left: KRB5_PROG_ETYPE_NOSUPP. */
static err_t copy_known(const struct etype_list *list, krb5_enctype **out)
{
	size_t n = 0, max = list->n < MAX_ETYPES ? list->n : MAX_ETYPES;

	*out = calloc(max + 1, sizeof(**out));
	if (!*out)
		return ENOMEM;
	for (OM_uint32 i = 0; i < list->n && list->etypes[i] && n < max; i++)
		if (krb5_c_valid_enctype(list->etypes[i]) && !is_listed(*out, n, list->etypes[i]))
			(*out)[n++] = list->etypes[i];
	if (n)
		return 0;
	free(*out);
	*out = NULL;
	return err_set(KRB5_PROG_ETYPE_NOSUPP, "the list of allowable enctypes has none that "
		       "libkrb5 knows");
}

/* No list at all allows all of them again. */
static err_t allowable_etypes(struct mech_cred *c, const gss_buffer_desc *value)
{
	krb5_enctype *copy = NULL;
	struct etype_list list;
	err_t err;

	memcpy(&list, value->value, sizeof(list));
	err = list.etypes ? copy_known(&list, &copy) : 0;
	if (!err)
		set_etypes(c, copy);
	return err;
}

/*
 * gss_krb5_set_cred_rcache hands over an open replay cache of libkrb5, whose
 * name is all that is wanted.  The two calls are in libkrb5's symbol table but
 * in no header; a release without them gets a clear refusal.
 */
const char *k5_rc_get_name(krb5_context k5, krb5_rcache rc) __attribute__((weak));
void k5_rc_close(krb5_context k5, krb5_rcache rc) __attribute__((weak));

/* Gives the handle back and takes its name; none: the usual one again. */
static err_t take_rcache(krb5_rcache rc, char **name)
{
	krb5_context k5;
	err_t err;

	*name = NULL;
	if (!rc)
		return 0;
	if (!k5_rc_get_name || !k5_rc_close)
		return err_set(ERR_UNSUPPORTED, "this libkrb5 does not tell a replay cache's name: use "
			       "the credential store's key \"rcache\"");
	err = mech_krb5(&k5);
	if (err)
		return err;
	*name = strdup(k5_rc_get_name(k5, rc));
	if (!*name)
		return ENOMEM;
	k5_rc_close(k5, rc);
	return 0;
}

static err_t set_rcache(struct mech_cred *c, const gss_buffer_desc *value)
{
	char *name, *old;
	err_t err;

	err = take_rcache((krb5_rcache)value->value, &name);
	if (err)
		return err;
	pthread_mutex_lock(&c->lock);
	old = c->rcache;
	c->rcache = name;
	pthread_mutex_unlock(&c->lock);
	free(old);
	return 0;
}

static bool is_option(gss_const_OID o, unsigned char last)
{
	static const unsigned char arc[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 5 };
	const unsigned char *p = o->elements;

	return o->length > sizeof(arc) && !memcmp(p, arc, sizeof(arc)) && p[sizeof(arc)] == last;
}

enum { COPY_CCACHE = 2, ALLOWABLE_ENCTYPES = 4, SET_CRED_RCACHE = 11, IMPORT_CRED = 13 };

/* gss_krb5_import_cred's request: ccache, principal, keytab. */
enum { IMPORT_SIZE = 3 * sizeof(void *) };

/* A value of the wrong size ends the process in the stock mechanism. */
static bool fits(gss_const_OID option, const gss_buffer_desc *value)
{
	if (is_option(option, ALLOWABLE_ENCTYPES))
		return value && value->value && value->length == sizeof(struct etype_list);
	if (is_option(option, COPY_CCACHE))
		return value && value->value && value->length == sizeof(krb5_ccache);
	if (is_option(option, SET_CRED_RCACHE))
		return value && value->length == sizeof(krb5_rcache);
	if (is_option(option, IMPORT_CRED))
		return value && value->value && value->length == IMPORT_SIZE;
	return true;
}

/*
 * The stock mechanism puts off the choice of a credential cache until it needs
 * one, and copies from none at all when asked before: inquiring makes it choose.
 */
static OM_uint32 choose_ccache(OM_uint32 *minor, const struct mech_cred *c)
{
	OM_uint32 lifetime, major;

	major = gss_inquire_cred(minor, c->stock, NULL, &lifetime, NULL, NULL);
	return major == GSS_S_CREDENTIALS_EXPIRED ? GSS_S_COMPLETE : major;
}

static OM_uint32 set_on_stock(OM_uint32 *minor, struct mech_cred *c, gss_const_OID option,
			      gss_buffer_t value)
{
	OM_uint32 major = GSS_S_COMPLETE;
	gss_OID_desc o = *option;

	if (is_option(option, COPY_CCACHE)) {
		major = choose_ccache(minor, c);
		if (!GSS_ERROR(major))
			mech_cred_settled(c);
	}
	if (!GSS_ERROR(major))
		major = gss_set_cred_option(minor, &c->stock, &o, value);
	return mech_stock_done(minor, major);
}

static OM_uint32 set_on_acceptor(OM_uint32 *minor, gss_const_OID option)
{
	if (is_option(option, COPY_CCACHE))
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "an acceptor credential has no tickets to copy"));
	if (is_option(option, ALLOWABLE_ENCTYPES)
	    || mech_oid_equal(option, GSS_KRB5_CRED_NO_CI_FLAGS_X))
		return GSS_S_COMPLETE;
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(EINVAL, "this credential option is not known"));
}

/* What this module's own contexts are to know of, whoever else is told. */
static err_t note_option(struct mech_cred *c, gss_const_OID option, const gss_buffer_desc *value)
{
	if (is_option(option, ALLOWABLE_ENCTYPES))
		return allowable_etypes(c, value);
	if (mech_oid_equal(option, GSS_KRB5_CRED_NO_CI_FLAGS_X)) {
		pthread_mutex_lock(&c->lock);
		c->no_ci_flags = true;
		pthread_mutex_unlock(&c->lock);
	}
	return 0;
}

/* With tickets of this module's, only the copy of a cache needs the stock mechanism. */
static OM_uint32 set_on_own(OM_uint32 *minor, struct mech_cred *c, gss_const_OID option,
			    gss_buffer_t value)
{
	struct mech_half h;
	OM_uint32 major;

	if (!is_option(option, COPY_CCACHE))
		return set_on_acceptor(minor, option);
	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	major = gss_krb5_copy_ccache(minor, h.stock, (krb5_ccache)value->value);
	if (!GSS_ERROR(major))
		mech_cred_copied(c);
	mech_half_put(&h);
	return mech_stock_done(minor, major);
}

static OM_uint32 set_on_half(OM_uint32 *minor, struct mech_cred *c, gss_const_OID option,
			     gss_buffer_t value)
{
	if (mech_cred_is_own_initiator(c))
		return set_on_own(minor, c, option, value);
	return c->stock ? set_on_stock(minor, c, option, value) : set_on_acceptor(minor, option);
}

static OM_uint32 set_on_initiator(OM_uint32 *minor, struct mech_cred *c, gss_const_OID option,
				  gss_buffer_t value)
{
	OM_uint32 major = set_on_half(minor, c, option, value);
	err_t err = GSS_ERROR(major) ? 0 : note_option(c, option, value);

	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

OM_uint32 mech_cred_set_option(OM_uint32 *minor, struct mech_cred *c, gss_const_OID option,
			       gss_buffer_t value)
{
	err_t err = 0;

	if (!fits(option, value))
		return mech_fail(minor, GSS_S_FAILURE, err_set(EINVAL, "the value of a credential "
							       "option has the wrong size"));
	if (!c->keytab)
		return set_on_initiator(minor, c, option, value);
	if (is_option(option, SET_CRED_RCACHE)) {
		err = set_rcache(c, value);
		return err ? mech_fail(minor, GSS_S_FAILURE, err) : GSS_S_COMPLETE;
	}
	err = note_option(c, option, value);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	return set_on_half(minor, c, option, value);
}
