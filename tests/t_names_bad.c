/* Names as a broken or hostile caller gives them: statuses, complete outputs, and no end of the program. */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mech/spi.h"
#include "pkcs11/bytes.h"
#include "tests/lib/accepting.h"

static OM_uint32 major, minor, ignored;

static gss_name_t canonical(const char *octets, size_t len, gss_OID type)
{
	gss_buffer_desc b = { len, (void *)(uintptr_t)octets };
	gss_name_t raw = GSS_C_NO_NAME, n = GSS_C_NO_NAME;

	CU_ASSERT_EQUAL_FATAL(gss_import_name(&minor, &b, type, &raw), GSS_S_COMPLETE);
	major = gss_canonicalize_name(&minor, raw, (gss_OID)(uintptr_t)gss_mech_krb5, &n);
	gss_release_name(&ignored, &raw);
	return n;
}

/* ---- exported forms ---- */

#define KRB5_FRAME "\x04\x01\x00\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define KRB5_COMPOSITE "\x04\x02\x00\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"

/* A token for the real OID with another in its place. */
static gss_buffer_desc with_oid(const char *octets, size_t len, gss_OID oid)
{
	gss_buffer_desc out;
	uint8_t *p = NULL;
	struct wr w;

	wr_init_grow(&w, len + 200);
	wr_bytes(&w, octets, 2);
	wr_be16(&w, (uint16_t)(oid->length + 2));
	wr_u8(&w, 0x06);
	wr_u8(&w, (uint8_t)oid->length);
	wr_bytes(&w, oid->elements, oid->length);
	wr_bytes(&w, octets + 15, len - 15);
	if (wr_take(&w, &p, &out.length))
		exit(99);
	out.value = p;
	return out;
}

/* The stock mechanism ends the program for these (an assertion): they must not reach it from here. */
static void test_tokens_deadly(void)
{
	static const struct {
		const char *octets;
		size_t len;
	} bad[] = {
#define BAD(s) { s, sizeof(s) - 1 }
		BAD(KRB5_FRAME "\x00\x00\x00\x0e" "alice@TEST.ORG" "more"),
		BAD(KRB5_COMPOSITE "\x00\x00\x00\x0e" "alice@TEST.ORG" "\x00\x00\x00\x00" "more"),
		BAD(KRB5_COMPOSITE "\x00\x00\x00\x0e" "alice@TEST.ORG" "\x00\x00\x00\x11"
		    "\x00\x00\x00\x01\x00\x00\x00\x05mspac\x7f\x00\x00\x00"),
		BAD(KRB5_COMPOSITE "\x00\x00\x00\x0e" "alice@TEST.ORG" "\x7f\xff\xff\xff"),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		gss_buffer_desc b = with_oid(bad[i].octets, bad[i].len, mech_oid_own());
		gss_name_t n = GSS_C_NO_NAME;

		major = gss_import_name(&minor, &b, GSS_C_NT_EXPORT_NAME, &n);
		CU_ASSERT_EQUAL(major, GSS_S_BAD_NAME);
		CU_ASSERT_NOT_EQUAL(minor, 0);
		CU_ASSERT_PTR_NULL(n);
		free(b.value);
	}
}

/* ---- nothing, or too little ---- */

#define READ_NAME ((OM_uint32)GSS_S_CALL_INACCESSIBLE_READ | GSS_S_BAD_NAME)

static void test_null(void)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER, c = GSS_C_EMPTY_BUFFER, none = GSS_C_EMPTY_BUFFER;
	gss_name_t out;
	gss_buffer_set_t set;
	gss_any_t any;
	int x = 1, y = 1, more;

	CU_ASSERT_EQUAL(gssi_import_name(&minor, NULL, GSS_C_NO_OID, &out), READ_NAME);
	CU_ASSERT_NOT_EQUAL(gssi_import_name(&minor, &none, GSS_C_NO_OID, &out), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NULL(out);
	CU_ASSERT_EQUAL(gssi_display_name(&minor, NULL, &b, NULL), READ_NAME);
	CU_ASSERT_EQUAL(gssi_display_name_ext(&minor, NULL, GSS_C_NT_USER_NAME, &b), READ_NAME);
	CU_ASSERT_EQUAL(gssi_duplicate_name(&minor, NULL, &out), READ_NAME);
	CU_ASSERT_EQUAL(gssi_compare_name(&minor, NULL, NULL, &x), READ_NAME);
	CU_ASSERT_EQUAL(x, 0);
	CU_ASSERT_EQUAL(gssi_export_name(&minor, NULL, &b), READ_NAME);
	CU_ASSERT_EQUAL(gssi_export_name_composite(&minor, NULL, &b), READ_NAME);
	CU_ASSERT_EQUAL(gssi_inquire_name(&minor, NULL, &x, NULL, &set), READ_NAME);
	CU_ASSERT_EQUAL(gssi_set_name_attribute(&minor, NULL, 1, &b, &c), READ_NAME);
	CU_ASSERT_EQUAL(gssi_delete_name_attribute(&minor, NULL, &b), READ_NAME);
	CU_ASSERT_EQUAL(gssi_map_name_to_any(&minor, NULL, 1, &b, &any), READ_NAME);
	CU_ASSERT_EQUAL(gssi_release_any_name_mapping(&minor, NULL, &b, &any), READ_NAME);
	CU_ASSERT_EQUAL(gssi_localname(&minor, NULL, NULL, &b), READ_NAME);
	CU_ASSERT_EQUAL(gssi_authorize_localname(&minor, NULL, &b, NULL), READ_NAME);
	CU_ASSERT_EQUAL(gssi_release_name(&minor, NULL), GSS_S_COMPLETE);
	more = -1;
	CU_ASSERT_EQUAL(gssi_get_name_attribute(&minor, NULL, &b, &x, &y, &b, &c, &more), READ_NAME);
	CU_ASSERT_EQUAL(more, 0);
}

/* Whatever is asked for badly, the answer is complete: or the layer asks for ever. */
static void test_more(void)
{
	gss_buffer_desc attr = { 3, (void *)(uintptr_t)"abc" }, value, display;
	krb5_principal princ = NULL;
	struct mech_name *n = NULL;
	int authenticated, complete, more;

	CU_ASSERT_EQUAL(krb5_parse_name(acc_krb5(), ACC_CLIENT, &princ), 0);
	CU_ASSERT_EQUAL(mech_name_from_principal(acc_krb5(), princ, &n), 0);
	krb5_free_principal(acc_krb5(), princ);
	for (int start = -3; start < 4; start++) {
		value = display = (gss_buffer_desc){ 9, &value };
		authenticated = complete = 9;
		more = start;
		major = gssi_get_name_attribute(&minor, (gss_name_t)n, &attr, &authenticated,
						&complete, &value, &display, &more);
		CU_ASSERT_EQUAL(major, GSS_S_UNAVAILABLE);
		CU_ASSERT_EQUAL(more, 0);
		CU_ASSERT_EQUAL(authenticated + complete, 0);
		CU_ASSERT_PTR_NULL(value.value);
		CU_ASSERT_PTR_NULL(display.value);
		CU_ASSERT_EQUAL(value.length + display.length, 0);
	}
	more = -1;
	major = gssi_get_name_attribute(&minor, (gss_name_t)n, NULL, NULL, NULL, NULL, NULL, &more);
	CU_ASSERT_TRUE(GSS_ERROR(major));
	CU_ASSERT_EQUAL(more, 0);
	CU_ASSERT_EQUAL(GSS_CALLING_ERROR(major), GSS_S_CALL_INACCESSIBLE_READ);
	major = gssi_set_name_attribute(&minor, (gss_name_t)n, 1, NULL, &attr);
	CU_ASSERT_EQUAL(GSS_CALLING_ERROR(major), GSS_S_CALL_INACCESSIBLE_READ);
	major = gssi_set_name_attribute(&minor, (gss_name_t)n, 1, &attr, NULL);
	CU_ASSERT_EQUAL(GSS_CALLING_ERROR(major), GSS_S_CALL_INACCESSIBLE_READ);
	major = gssi_delete_name_attribute(&minor, (gss_name_t)n, NULL);
	CU_ASSERT_EQUAL(GSS_CALLING_ERROR(major), GSS_S_CALL_INACCESSIBLE_READ);
	mech_name_free(&n);
}

/* A number for which there is no room is read by the stock mechanism all the same. */
static void test_short_uid(void)
{
	for (size_t len = 1; len < sizeof(uid_t); len++) {
		gss_name_t n = canonical("\0\0\0\0", len, GSS_C_NT_MACHINE_UID_NAME);

		CU_ASSERT_EQUAL(major, GSS_S_BAD_NAME);
		CU_ASSERT_PTR_NULL(n);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "exported forms that end the stock mechanism", test_tokens_deadly },
		{ "nothing where there must be something", test_null },
		{ "attributes that are not there", test_more },
		{ "numbers of users that are too short", test_short_uid },
		CU_TEST_INFO_NULL
	};

	acc_environment(NULL);
	return box_suite("bad names", NULL, NULL, tests);
}
