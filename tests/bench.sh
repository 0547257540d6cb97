#!/bin/bash
# make bench: tokens and a realm, then tests/bench for each enctype.
#
#   tests/bench.sh [ETYPE...]     default 18 and 20; the build is in GSSP11_BUILD
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

[ $# -gt 0 ] || set -- 18 20

# import ETYPE: the service's key of that enctype goes to the token in TOKEN_*.
import() {
	KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG "$GSSP11_TOOL" keytab import --token "$TOKEN_URI" \
		"$REALM_DIR/$1.keytab" "svc$1-$1/localhost" >"$SCRATCH/import" 2>&1 </dev/null ||
		die "import: $(cat "$SCRATCH/import")"
}

# export_way PREFIX: what bench's worker for the token in TOKEN_* needs.
export_way() {
	mkdir -p "$SCRATCH/rcache.$1"
	export "BENCH_$1_LABEL=$TOKEN_LABEL" "BENCH_$1_PIN=$TOKEN_PIN" "BENCH_$1_MODULE=$TOKEN_MODULE"
	export "BENCH_$1_INIT=$TOKEN_INIT" "BENCH_$1_KTNAME=$TOKEN_URI"
	export "BENCH_$1_RCACHEDIR=$SCRATCH/rcache.$1"
	import 18
	import 20
	export "BENCH_$1_BASE=$TOKEN_CONF"
}

scratch_start bench
realm_start "$SCRATCH/realm"
export KRB5CCNAME=$REALM_DIR/ccache BENCH_DIR=$SCRATCH BENCH_MECH_CONFIG=$SCRATCH/mech.conf
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
token_softhsm "$SCRATCH/softhsm"
export_way SOFTHSM
token_nss "$SCRATCH/nss"
export_way NSS
# The same token, but no key in host memory.
export_way HIDDEN
printf '[appdefaults]\n    gssp11 = {\n        exposure = on-token\n    }\n' >"$SCRATCH/on-token.conf"
mkdir "$SCRATCH/rcache.STOCK"
export BENCH_STOCK_KTNAME=FILE:$REALM_DIR/krb5.keytab BENCH_STOCK_RCACHEDIR=$SCRATCH/rcache.STOCK

grep -m 1 'model name' /proc/cpuinfo | sed 's/.*: //'
base=$KRB5_CONFIG
for etype; do
	# The acceptor's subkey is of the enctype that both name first.
	printf '[libdefaults]\n    permitted_enctypes = %s %s %s\n' "$(etype_name "$etype")" \
		"$(etype_name 18)" "$(etype_name 20)" >"$SCRATCH/etype.conf"
	export BENCH_STOCK_CONFIG=$SCRATCH/etype.conf:$base
	export BENCH_SOFTHSM_CONFIG=$SCRATCH/etype.conf:$BENCH_SOFTHSM_BASE:$base
	export BENCH_NSS_CONFIG=$SCRATCH/etype.conf:$BENCH_NSS_BASE:$base
	export BENCH_HIDDEN_CONFIG=$SCRATCH/on-token.conf:$BENCH_NSS_CONFIG
	export BENCH_SERVICE=svc$etype-$etype/localhost@$REALM
	"$(build_file tests bench)" "$etype"
done
