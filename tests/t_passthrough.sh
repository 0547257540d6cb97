#!/bin/bash
# Where no token is configured, no program may notice the module: gss_probe
# asks GSS-API everything, with and without it, and must hear the same.
set -u
# shellcheck source=tests/lib/build.sh
. "$(dirname "$0")/lib/build.sh"
unset KRB5_KTNAME KRB5_CLIENT_KTNAME KRB5CCNAME KRB5_TRACE GSSP11_TRACE KRB5RCACHENAME
PROBE=${PROBE:-$(build_file tests gss_probe)}
OWN_OID=$(sed -n 's/^#define MECH_OWN_OID_TEXT "\(.*\)"/\1/p' "$(dirname "$0")/../mech/mech.h")
work=$(mktemp -d "${TMPDIR:-/tmp}/t_passthrough.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT

bail() {
	echo "Bail out! $*"
	exit 99
}

[ -x "$PROBE" ] || bail "no gss_probe: $PROBE"
[ -e "$GSSP11_MODULE" ] || bail "no module: $GSSP11_MODULE"
: >"$work/without"
echo "gssp11 $OWN_OID $GSSP11_MODULE <interposer>" >"$work/with"

probe() {	# probe with|without OUTPUT [WHAT]
	GSS_MECH_CONFIG=$work/$1 "$PROBE" "$work/d" ${3:+"$3"} >"$work/$2" 2>&1
}

# ---- the module is there, and exports what it must and nothing else ----
nm -D --defined-only "$GSSP11_MODULE" | awk '{ print $3 }' >"$work/symbols"
grep -v '^gssi_\|^gss_mech_interposer$\|^C_GetFunctionList$' "$work/symbols" >"$work/strange"
[ ! -s "$work/strange" ]
ok "nothing but the interposer's entry points is exported" $? "$work/strange"
[ "$(grep -c '^gssi_' "$work/symbols")" -ge 63 ]
ok "the entry points are exported" $? "$work/symbols"
mkdir "$work/d"
probe with who interposed && grep -q '^interposed: yes$' "$work/who"
ok "the module interposes krb5" $? "$work/who"
probe without who interposed && grep -q '^interposed: no$' "$work/who"
ok "and nobody does without it" $? "$work/who"

# ---- the same answers ----
rm -rf "$work/d"
mkdir "$work/d"
probe without stock
ok "gss_probe runs without the module" $? "$work/stock"
[ "$(wc -l <"$work/stock")" -gt 3000 ]
ok "it has much to say" $?
probe with module
ok "gss_probe runs with the module" $? "$work/module"
diff -u "$work/stock" "$work/module" >"$work/diff"
ok "every answer is the same" $? "$work/diff"
export KRB5_CONFIG=$work/d/krb5.conf
echo '[appdefaults]
 gssp11 = {
  exposure = transient
 }' >>"$KRB5_CONFIG"
probe with module
diff -u "$work/stock" "$work/module" >"$work/diff"
ok "also with settings of the module's own" $? "$work/diff"

# ---- exported contexts travel between processes with and without the module ----
for from in with without; do
	for to in with without; do
		probe $from "$from-$to" export && probe $to "$from-$to" import
		ok "a context exported $from the module is imported $to it" $? "$work/$from-$to"
	done
done

verdicts_end
