#!/bin/bash
# Many cold processes accept at once on one SoftHSM2 token: the token file is
# rewritten at each login, so initialise-to-login has to be serialised.
#
#   tests/cold.sh [N]      default 64; the build is in GSSP11_BUILD
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

N=${1:-64}
failed=0
pids=()

scratch_start cold
realm_start "$SCRATCH/realm"
token_softhsm "$SCRATCH/token"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
export KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG KRB5CCNAME=$REALM_DIR/ccache
"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$REALM_DIR/18.keytab" svc18/localhost \
	>"$SCRATCH/import" 2>&1 </dev/null || die "import: $(cat "$SCRATCH/import")"
# One ticket for all clients, so that the KDC is not what is tested.
kvno -q svc18/localhost

for i in $(seq "$N"); do
	GSS_MECH_CONFIG=$SCRATCH/mech.conf KRB5_KTNAME=$TOKEN_URI timeout -k 5 60 \
		"$PEER" accept "$SCRATCH/s$i" -q -f mutual -e 18 >"$SCRATCH/log$i" 2>&1 </dev/null &
	pids+=("$!")
	SPAWNED+=("$!")
done
# The acceptors load the module with their first token: send all of these together.
for i in $(seq "$N"); do
	timeout -k 5 60 "$PEER" init "$SCRATCH/s$i" "svc18/localhost@$REALM" -q -f mutual -e 18 \
		>"$SCRATCH/init$i" 2>&1 </dev/null &
	SPAWNED+=("$!")
done
for i in $(seq "$N"); do
	if ! wait "${pids[i - 1]}"; then
		failed=$((failed + 1))
		sed "s/^/# process $i: /" "$SCRATCH/log$i"
	fi
done
echo "# $N cold processes accepted at once, $failed failures"
if [ "$failed" = 0 ]; then echo "ok 1 - $N cold processes"; else echo "not ok 1 - $N cold processes"; fi
echo "1..1"
[ "$failed" = 0 ]
