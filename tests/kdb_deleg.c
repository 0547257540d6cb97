/*
 * A KDC database that can say who may delegate to whom.  MIT's own file
 * database never allows S4U2Proxy; this module is that database with a policy
 * beside it, a text file that is read for each question:
 *
 *   to SERVICE TARGET     SERVICE may act for users at TARGET
 *   from SERVICE TARGET   TARGET lets SERVICE do so (resource-based)
 *
 * It knows enterprise names, too: "user@REALM" is that principal, of another
 * realm one to be referred there.
 *
 * GSSP11_KDB_DB2 names the database's module, GSSP11_KDB_POLICY the file.
 */
#include <krb5.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kdb.h>

extern kdb_vftabl kdb_function_table;
kdb_vftabl kdb_function_table __attribute__((visibility("default")));

static bool same(krb5_context k5, const char *text, krb5_const_principal p)
{
	krb5_principal q;
	bool equal;

	if (krb5_parse_name(k5, text, &q))
		return false;
	equal = krb5_principal_compare(k5, q, p);
	krb5_free_principal(k5, q);
	return equal;
}

/* target NULL: any at all. */
static krb5_error_code ask(krb5_context k5, const char *how, krb5_const_principal service,
			   krb5_const_principal target)
{
	const char *name = getenv("GSSP11_KDB_POLICY");
	char word[8], from[256], to[256];
	bool allowed = false;
	FILE *f = name ? fopen(name, "re") : NULL;

	while (f && !allowed && fscanf(f, "%7s %255s %255s", word, from, to) == 3)
		allowed = !strcmp(word, how) && same(k5, from, service) &&
			  (!target || same(k5, to, target));
	if (f)
		fclose(f);
	return allowed ? 0 : KRB5KDC_ERR_BADOPTION;
}

static krb5_error_code allowed_to(krb5_context k5, krb5_const_principal client,
				  const krb5_db_entry *server, krb5_const_principal proxy)
{
	(void)client;
	return ask(k5, "to", server->princ, proxy);
}

static krb5_error_code allowed_from(krb5_context k5, krb5_const_principal client,
				    krb5_const_principal server, krb5_pac server_pac,
				    const krb5_db_entry *proxy)
{
	(void)client;
	(void)server_pac;
	return ask(k5, "from", server, proxy->princ);
}

static krb5_error_code (*plain_get)(krb5_context, krb5_const_principal, unsigned int,
				    krb5_db_entry **);

/* Of a client that is elsewhere only the name is told. */
static krb5_error_code client_elsewhere(krb5_principal who, krb5_db_entry **entry)
{
	*entry = calloc(1, sizeof(**entry));
	if (!*entry)
		return ENOMEM;
	(*entry)->princ = who;
	return 0;
}

static krb5_error_code refer(krb5_context k5, const krb5_data *from, krb5_principal who,
			     unsigned int flags, krb5_db_entry **entry)
{
	krb5_principal tgs = NULL;
	krb5_error_code code;

	if (flags & KRB5_KDB_FLAG_CLIENT)
		return client_elsewhere(who, entry);
	code = krb5_build_principal(k5, &tgs, from->length, from->data, KRB5_TGS_NAME,
				    who->realm.data, (char *)NULL);
	if (!code)
		code = plain_get(k5, tgs, flags, entry);
	krb5_free_principal(k5, tgs);
	krb5_free_principal(k5, who);
	return code;
}

static krb5_error_code get(krb5_context k5, krb5_const_principal name, unsigned int flags,
			   krb5_db_entry **entry)
{
	const bool enterprise = name->length == 1 &&
				memchr(name->data[0].data, '@', name->data[0].length);
	krb5_principal who = NULL;
	krb5_error_code code;
	char text[256];

	if (!enterprise)
		return plain_get(k5, name, flags, entry);
	snprintf(text, sizeof(text), "%.*s", (int)name->data[0].length, name->data[0].data);
	code = krb5_parse_name(k5, text, &who);
	if (code)
		return code;
	if (!krb5_realm_compare(k5, name, who) && flags & KRB5_KDB_FLAG_REFERRAL_OK)
		return refer(k5, &name->realm, who, flags, entry);
	code = plain_get(k5, who, flags, entry);
	krb5_free_principal(k5, who);
	return code;
}

/* A certificate is the user's name and nothing else. */
static krb5_error_code get_by_certificate(krb5_context k5, const krb5_data *cert,
					  krb5_const_principal name, unsigned int flags,
					  krb5_db_entry **entry)
{
	krb5_principal who = NULL;
	krb5_error_code code;
	char text[256];

	(void)name;
	snprintf(text, sizeof(text), "%.*s", (int)cert->length, cert->data);
	code = krb5_parse_name(k5, text, &who);
	if (code)
		return code;
	code = plain_get(k5, who, flags, entry);
	krb5_free_principal(k5, who);
	return code;
}

/* Before libkdb5 looks at the table. */
__attribute__((constructor)) static void fill_table(void)
{
	const char *name = getenv("GSSP11_KDB_DB2");
	void *db2 = name ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;
	const kdb_vftabl *table = db2 ? dlsym(db2, "kdb_function_table") : NULL;

	if (!table) {
		fprintf(stderr, "kdb_deleg: no database module %s\n", name ? name : "is named");
		return;
	}
	kdb_function_table = *table;
	plain_get = table->get_principal;
	kdb_function_table.get_principal = get;
	kdb_function_table.get_s4u_x509_principal = get_by_certificate;
	kdb_function_table.check_allowed_to_delegate = allowed_to;
	kdb_function_table.allowed_to_delegate_from = allowed_from;
}
