#!/bin/bash
# docs/gssapi.md against the headers, the module and the tests: no function or
# constant is missing or unknown, no row goes without a test, every test that is
# named exists and has in it what the row says.
#
#   tests/table.sh            checks it, and that what is wrong would be found
#   tests/table.sh --tests    prints the tests that it names, one in a line
#
# A row is "| what | how | shown by |"; names of functions and constants stand in
# backquotes in the first column.  "Shown by" is one test or several, set apart by
# semicolons, each with a case if there are several: "t_x: a case; t_y.sh".  Or it
# says "not applicable: " and why.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
cd "$TOP"
shopt -s lastpipe

TABLE=docs/gssapi.md
if [ "${1:-}" = --tests ]; then
	exec perl tests/lib/table.pl tests "$TABLE"
fi
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

# ---- what there is ----------------------------------------------------------------

# What a program can call and name, from the headers themselves.
headers() {
	local h

	for h in gssapi gssapi_ext gssapi_krb5; do
		echo "#include <gssapi/$h.h>"
	done >"$TMP/all.c"
	# shellcheck disable=SC2046
	${CC:-cc} $(pkg-config --cflags krb5-gssapi 2>/dev/null) "$@" "$TMP/all.c"
}

public_functions() {
	headers -E -P | tr '\n' ' ' | grep -oE '\b(gss|krb5_gss|gsskrb5|gssspi)_[a-z0-9_]+ *\(' |
		tr -d ' (' | sort -u
}

# Of the macros those that are constants of the interface; and what the libraries hold.
public_constants() {
	{
		headers -E -dM | awk '$2 !~ /\(/ { print $2 }' | grep -E \
			-e '^GSS_S_|^GSS_IOV_BUFFER_(TYPE|FLAG)_|^GSS_C_[A-Z_]+_FLAG$|^GSS_C_DCE_STYLE$' \
			-e '^GSS_C_(BOTH|INITIATE|ACCEPT)$|^GSS_C_PRF_|^GSS_C_QOP_|^GSS_KRB5_|^gss_krb5_nt_'
		headers -E -P | grep -oE 'extern (const )?gss_(const_)?(OID|OID_set|buffer_t) +\w+' |
			sed 's/.* //'
	} | sort -u
}

# The module's own: what spi.h declares.
entry_points() {
	grep -oE '\b(gssi_[a-z_]+|gss_mech_interposer)\(' mech/spi.h | tr -d '(' | sort -u
}

# Tests of `make check`, and the scripts that are stages of tests/run.
registered() {
	local script

	sed -n '/^\(unit\|shell\)_tests *=/,/[^\\]$/p' tests/Makefile.inc |
		sed -n 's|^[[:space:]]*tests/\([a-z0-9_.]*\).*|\1|p'
	{
		grep -oE '/tests/[a-z0-9_]+\.sh' tests/run | sed 's|.*/||'
		for script in tests/server_*.sh; do
			basename "$script"
		done
	} | sort -u
}

# An entry point that the module exports, and spi.h does not have, or the other way round.
exported() {
	if [ -e "$GSSP11_MODULE" ]; then
		nm -D --defined-only "$GSSP11_MODULE" | awk '{ print $3 }' | sed 's/@.*//' |
			grep -E '^(gssi_|gss_mech_interposer)' | sort -u | diff - "$TMP/entries" || true
	fi
}

# The log of a test has its name without the ending: two of one name would have one log.
same_names() {
	sed 's/\.sh$//' "$TMP/registered" | sort | uniq -d | sed 's/$/ is the name of two tests/'
}

few() {	# few LEAST WHAT: lines on stdin
	local n

	n=$(wc -l)
	[ "$n" -gt "$1" ] || echo "only $n $2"
}

# ---- the checks ---------------------------------------------------------------------

complaints() {
	perl tests/lib/table.pl check "$1" "$TMP" 2>&1 || echo "form: table.pl failed"
}

# kind KIND WHAT: one test, good when there is no complaint of this kind.
kind() {
	sed -n "s/^$1: //p" "$TMP/complaints" | verdict "$2"
}

# spoilt WHAT COMPLAINT PERL: the table with one thing changed, and what is said of it.
spoilt() {
	perl -pe "$3" "$TABLE" >"$TMP/spoilt.md"
	{
		! cmp -s "$TABLE" "$TMP/spoilt.md" || echo "the table is as it was"
		complaints "$TMP/spoilt.md" >"$TMP/said"
		grep -q "$2" "$TMP/said" || echo "nobody says: $2"
	} | verdict "would be found: $1"
}

# shellcheck disable=SC2016    # Perl's, not the shell's
would_be_found() {
	spoilt "a row is gone" 'gss_wrap_aead has no row' '$_ = "" if /`gss_wrap_aead`/'
	spoilt "a constant's row is gone" 'GSS_S_BAD_QOP has no row' '$_ = "" if /^\| `GSS_S_BAD_QOP`/'
	spoilt "an entry point is gone" 'gssi_map_name_to_any has no row' 's/, `gssi_map_name_to_any`//'
	spoilt "a test is misspelt" 'there is no test t_seqq' 's/\bt_seq:/t_seqq:/'
	spoilt "a case is misspelt" 'has no case "threds"' 's/t_cred: threads/t_cred: threds/'
	spoilt "a row without tests" 'no test is named' 's/\| [^|]* \|$/| |/ if /`gss_userok`/'
	spoilt "no reason" 'no reason is given' 's/not applicable: .*\|/not applicable: |/'
	spoilt "a column too many" 'three columns' 's/\|$/| x |/ if /`gss_userok`/'
	spoilt "a function that nobody knows" 'gss_wrapp is not known' 's/`gss_wrap`/`gss_wrapp`/'
	spoilt "a constant that nobody knows" 'GSS_C_BOTHER is not known' 's/`GSS_C_BOTH`/`GSS_C_BOTHER`/'
	spoilt "two rows for one" 'gss_sign has two rows' 's/`gss_sign`, /`gss_sign`, `gss_sign`, /'
	spoilt "a test that does not call it" 'none of its tests calls gss_userok' \
		's/\| [^|]* \|$/| t_uri |/ if /`gss_userok`/'
	spoilt "a test that does not have it" 'none of its tests has GSS_S_OLD_TOKEN' \
		's/\| [^|]* \|$/| t_uri |/ if /`GSS_S_OLD_TOKEN`/'
	spoilt "a setting without a row" 'exposure = on-token of the manual has no row' \
		's/^(\| `exposure.*) and `on-token`/$1/'
	spoilt "a store key without a row" 'rcache of the manual has no row' '$_ = "" if /^\| `rcache`/'
	spoilt "an entry point that is exported after all" 'is exported, indeed' \
		's/^\| `gssi_add_cred` /| `gssi_wrap` /'
}

public_functions >"$TMP/functions"
public_constants >"$TMP/constants"
entry_points >"$TMP/entries"
registered | sort -u >"$TMP/registered"
{
	few 100 "functions in the headers" <"$TMP/functions"
	few 100 "constants in the headers" <"$TMP/constants"
	few 60 "entry points in mech/spi.h" <"$TMP/entries"
	few 50 "tests" <"$TMP/registered"
} | verdict "headers and tests are found"
exported | verdict "the module exports what mech/spi.h declares"
same_names | verdict "no two tests have one name"
complaints "$TABLE" >"$TMP/complaints"
kind form "every row names a test, or says why there is none"
kind tests "every test that is named exists"
kind cases "every case that is named is in its test"
kind names "every function and constant has its row, and none is unknown"
kind calls "every function is called by a test of its row"
kind constants "every constant is in a test of its row, or a case is named"
kind promised "every setting and store key of the manual has its row"
would_be_found
verdicts_end
