/* Names of MIT's GSS-API library that Heimdal's has not, for the peer program with the latter. */
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

/* 1.2.840.113554.1.2.2.1, .5.5 */
static char principal_octets[] = "\052\206\110\206\367\022\001\002\002\001";
static char session_key_octets[] = "\052\206\110\206\367\022\001\002\002\005\005";
static gss_OID_desc principal = { sizeof(principal_octets) - 1, principal_octets };
static gss_OID_desc session_key = { sizeof(session_key_octets) - 1, session_key_octets };

__attribute__((visibility("default"))) const gss_OID GSS_KRB5_NT_PRINCIPAL_NAME = &principal;
__attribute__((visibility("default"))) gss_OID GSS_C_INQ_SSPI_SESSION_KEY = &session_key;
