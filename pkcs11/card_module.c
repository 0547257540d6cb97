/*
 * A card as a PKCS#11 module of its own: one slot, in it the certificate and
 * the private key that this thread's card has, and one session.  The token
 * behind it was started and logged in to by this folder's rules; ending the
 * module here ends nothing there.
 */
#include "pkcs11/card_int.h"
#include "pkcs11/result.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { SLOT = 1, SESSION = 1, CERT = 1, KEY = 2 };     /* handles; the objects' are bits */

static _Thread_local struct tok_card *shown;

void tok_card_show(struct tok_card *c)
{
	shown = c;
	if (!c)
		return;
	c->why = 0;
	c->asked = c->searching = c->signing = false;
	c->sig_len = 0;
}

/* ---- module, slot, session -------------------------------------------------------- */

static CK_RV mod_Initialize(void *args)
{
	return CKR_OK;
}

static CK_RV mod_Finalize(void *args)
{
	return CKR_OK;
}

static CK_RV mod_GetInfo(CK_INFO *info)
{
	if (!info)
		return CKR_ARGUMENTS_BAD;
	memset(info, 0, sizeof(*info));
	info->cryptokiVersion.major = 2;
	info->cryptokiVersion.minor = 40;
	memset(info->manufacturerID, ' ', sizeof(info->manufacturerID));
	memset(info->libraryDescription, ' ', sizeof(info->libraryDescription));
	memcpy(info->manufacturerID, "gss-pkcs11", 10);
	return CKR_OK;
}

static CK_RV mod_GetSlotList(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
	CK_ULONG room;

	if (!n)
		return CKR_ARGUMENTS_BAD;
	room = *n;
	*n = shown ? 1 : 0;
	if (shown)
		shown->asked = true;
	if (!list || !shown)
		return CKR_OK;
	if (room < 1)
		return CKR_BUFFER_TOO_SMALL;
	list[0] = SLOT;
	return CKR_OK;
}

/* The card's own words, but that nobody need log in any more. */
static CK_RV mod_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	struct tok *t = shown ? shown->tok : NULL;
	CK_RV rv;

	if (!t || slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	rv = traced(t, "C_GetTokenInfo", t->f->C_GetTokenInfo(t->slot, info));
	if (rv != CKR_OK)
		shown->why = tok_error(t, "C_GetTokenInfo", rv);
	else
		info->flags &= ~(CK_FLAGS)(CKF_LOGIN_REQUIRED | CKF_PROTECTED_AUTHENTICATION_PATH);
	return rv;
}

static CK_RV mod_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
			     CK_SESSION_HANDLE *out)
{
	if (!shown || slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	if (flags & CKF_RW_SESSION)
		return CKR_TOKEN_WRITE_PROTECTED;
	*out = SESSION;
	return CKR_OK;
}

/* The card of a session's calls, or NULL. */
static struct tok_card *card_of(CK_SESSION_HANDLE session)
{
	return session == SESSION ? shown : NULL;
}

static CK_RV mod_CloseSession(CK_SESSION_HANDLE session)
{
	return card_of(session) ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
}

static CK_RV mod_CloseAllSessions(CK_SLOT_ID slot)
{
	return CKR_OK;
}

/* It is logged in, whatever PIN comes: that one is not looked at. */
static CK_RV mod_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG n)
{
	return card_of(session) ? CKR_USER_ALREADY_LOGGED_IN : CKR_SESSION_HANDLE_INVALID;
}

static CK_RV mod_Logout(CK_SESSION_HANDLE session)
{
	return card_of(session) ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
}

/* ---- objects ------------------------------------------------------------------------- */

/* The value that an object has for this attribute; false: it has none, or none for strangers. */
static bool value_of(struct tok_card *c, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type,
		     CK_ATTRIBUTE *out)
{
	static CK_OBJECT_CLASS classes[] = { 0, CKO_CERTIFICATE, CKO_PRIVATE_KEY };
	static CK_CERTIFICATE_TYPE x509 = CKC_X_509;
	static CK_BBOOL yes = CK_TRUE;

	*out = (CK_ATTRIBUTE){ type, NULL, 0 };
	if (type == CKA_CLASS)
		*out = (CK_ATTRIBUTE){ type, &classes[o], sizeof(classes[o]) };
	else if (type == CKA_ID)
		*out = (CK_ATTRIBUTE){ type, c->id, c->id_len };
	else if (type == CKA_LABEL && c->label)
		*out = (CK_ATTRIBUTE){ type, c->label, strlen(c->label) };
	else if (type == CKA_TOKEN || (type == CKA_SIGN && o == KEY))
		*out = (CK_ATTRIBUTE){ type, &yes, sizeof(yes) };
	else if (type == CKA_VALUE && o == CERT)
		*out = (CK_ATTRIBUTE){ type, c->cert, c->cert_len };
	else if (type == CKA_CERTIFICATE_TYPE && o == CERT)
		*out = (CK_ATTRIBUTE){ type, &x509, sizeof(x509) };
	else if (type == CKA_KEY_TYPE && o == KEY)
		*out = (CK_ATTRIBUTE){ type, &c->key_type, sizeof(c->key_type) };
	return out->pValue != NULL;
}

static bool matches(struct tok_card *c, CK_OBJECT_HANDLE o, const CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_ATTRIBUTE own;
	CK_ULONG i;

	for (i = 0; i < n; i++) {
		if (!value_of(c, o, a[i].type, &own) || own.ulValueLen != a[i].ulValueLen ||
		    memcmp(own.pValue, a[i].pValue, own.ulValueLen))
			return false;
	}
	return true;
}

/* Asks for keys of another type than the card's: that will not become a signature. */
static void note_key_type(struct tok_card *c, const CK_ATTRIBUTE *a, CK_ULONG n)
{
	CK_ULONG i;

	for (i = 0; i < n; i++) {
		if (a[i].type == CKA_KEY_TYPE && a[i].ulValueLen == sizeof(CK_KEY_TYPE) &&
		    *(CK_KEY_TYPE *)a[i].pValue != c->key_type)
			c->why = err_set(ERR_UNSUPPORTED, "%s has %s key, and this version of libkrb5 "
					 "signs with RSA keys on cards only (EC keys: 1.22): use "
					 "a certificate with an RSA key", c->name,
					 c->key_type == CKK_EC ? "an EC" : "another than an RSA");
	}
}

static CK_RV mod_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *a, CK_ULONG n)
{
	struct tok_card *c = card_of(session);

	if (!c)
		return CKR_SESSION_HANDLE_INVALID;
	c->searching = true;
	c->found = (matches(c, CERT, a, n) ? CERT : 0) | (matches(c, KEY, a, n) ? KEY : 0);
	if (!c->found)
		note_key_type(c, a, n);
	return CKR_OK;
}

static CK_RV mod_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out, CK_ULONG max,
			     CK_ULONG *n)
{
	struct tok_card *c = card_of(session);
	CK_OBJECT_HANDLE o;

	*n = 0;
	if (!c || !c->searching)
		return c ? CKR_OPERATION_NOT_INITIALIZED : CKR_SESSION_HANDLE_INVALID;
	for (o = CERT; o <= KEY && *n < max; o++) {
		if (c->found & o)
			out[(*n)++] = o;
		c->found &= ~(unsigned)o;
	}
	return CKR_OK;
}

static CK_RV mod_FindObjectsFinal(CK_SESSION_HANDLE session)
{
	struct tok_card *c = card_of(session);

	if (!c)
		return CKR_SESSION_HANDLE_INVALID;
	c->searching = false;
	return CKR_OK;
}

static CK_RV give(const CK_ATTRIBUTE *own, CK_ATTRIBUTE *to)
{
	CK_ULONG room = to->ulValueLen;

	to->ulValueLen = own->ulValueLen;
	if (!to->pValue)
		return CKR_OK;
	if (room < own->ulValueLen) {
		to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	memcpy(to->pValue, own->pValue, own->ulValueLen);
	return CKR_OK;
}

static CK_RV mod_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a,
				   CK_ULONG n)
{
	struct tok_card *c = card_of(session);
	CK_RV rv = CKR_OK, one;
	CK_ATTRIBUTE own;
	CK_ULONG i;

	if (!c)
		return CKR_SESSION_HANDLE_INVALID;
	if (o != CERT && o != KEY)
		return CKR_OBJECT_HANDLE_INVALID;
	for (i = 0; i < n; i++) {
		if (value_of(c, o, a[i].type, &own)) {
			one = give(&own, &a[i]);
		} else {
			a[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
			one = CKR_ATTRIBUTE_TYPE_INVALID;
		}
		rv = one == CKR_OK ? rv : one;
	}
	return rv;
}

/* ---- signing --------------------------------------------------------------------------- */

static CK_RV mod_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	struct tok_card *c = card_of(session);

	if (!c)
		return CKR_SESSION_HANDLE_INVALID;
	if (key != KEY)
		return CKR_KEY_HANDLE_INVALID;
	if (m->ulParameterLen > sizeof(c->param))
		return CKR_MECHANISM_PARAM_INVALID;
	c->mech = m->mechanism;
	c->param_len = m->ulParameterLen;
	if (m->ulParameterLen)
		memcpy(c->param, m->pParameter, m->ulParameterLen);
	c->sig_len = 0;
	c->signing = true;
	return CKR_OK;
}

/* A caller who only asks how long it will be makes the card sign, but only once. */
static CK_RV mod_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *out,
		      CK_ULONG *out_len)
{
	struct tok_card *c = card_of(session);
	CK_ULONG room = *out_len;
	CK_RV rv = CKR_OK;

	if (!c || !c->signing)
		return c ? CKR_OPERATION_NOT_INITIALIZED : CKR_SESSION_HANDLE_INVALID;
	if (!c->sig_len)
		rv = card_sign(c, data, len);
	if (rv != CKR_OK) {
		c->signing = false;
		return rv;
	}
	*out_len = c->sig_len;
	if (!out)
		return CKR_OK;
	if (room < c->sig_len)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(out, c->sig, c->sig_len);
	c->sig_len = 0;
	c->signing = false;
	return CKR_OK;
}

/* ---- the list ------------------------------------------------------------------------------ */

static CK_RV mod_nothing(void)
{
	return CKR_FUNCTION_NOT_SUPPORTED;
}

/*
 * What nobody has a use for here.  Called as another type: the arguments are
 * the caller's to clear away in every calling convention that libkrb5 runs on.
 */
static void fill_rest(CK_FUNCTION_LIST *list)
{
	CK_RV (*const nothing)(void) = mod_nothing;
	unsigned char *p = (unsigned char *)list;
	size_t at;

	for (at = offsetof(CK_FUNCTION_LIST, C_Initialize); at < sizeof(*list); at += sizeof(nothing))
		memcpy(p + at, &nothing, sizeof(nothing));
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CK_FUNCTION_LIST functions;

static void fill(void)
{
	fill_rest(&functions);
	functions.version.major = 2;
	functions.version.minor = 40;
	functions.C_Initialize = mod_Initialize;
	functions.C_Finalize = mod_Finalize;
	functions.C_GetInfo = mod_GetInfo;
	functions.C_GetFunctionList = C_GetFunctionList;
	functions.C_GetSlotList = mod_GetSlotList;
	functions.C_GetTokenInfo = mod_GetTokenInfo;
	functions.C_OpenSession = mod_OpenSession;
	functions.C_CloseSession = mod_CloseSession;
	functions.C_CloseAllSessions = mod_CloseAllSessions;
	functions.C_Login = mod_Login;
	functions.C_Logout = mod_Logout;
	functions.C_FindObjectsInit = mod_FindObjectsInit;
	functions.C_FindObjects = mod_FindObjects;
	functions.C_FindObjectsFinal = mod_FindObjectsFinal;
	functions.C_GetAttributeValue = mod_GetAttributeValue;
	functions.C_SignInit = mod_SignInit;
	functions.C_Sign = mod_Sign;
}

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	if (!list)
		return CKR_ARGUMENTS_BAD;
	pthread_once(&once, fill);
	*list = &functions;
	return CKR_OK;
}

/*
 * By the name that it was loaded under: the loader then finds it again even if
 * the file has been replaced since.
 */
err_t tok_card_module(char **path)
{
	Dl_info info;

	*path = NULL;
	if (!dladdr(&functions, &info) || !info.dli_fname || !strchr(info.dli_fname, '/') ||
	    strchr(info.dli_fname, ':'))
		return err_set(ERR_UNSUPPORTED, "the GSS-API module does not know its own file's name, "
			       "by which libkrb5 would find the card");
	*path = strdup(info.dli_fname);
	return *path ? 0 : ENOMEM;
}
