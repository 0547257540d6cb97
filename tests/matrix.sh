#!/bin/bash
# The interop matrix of tests/matrix.tbl: {stock, module} x {stock, module} on real
# tokens with a real KDC.  Prints "ok N - row" or "not ok N - row", and why.
#
#   tests/matrix.sh [--fast] [PATTERN]
#
# --fast takes every third row; PATTERN (egrep) only the rows that match it.
# The build is in GSSP11_BUILD (default: the current directory); PEER_WRAP is a
# command (valgrind, say) for the sides that run with the module.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

TABLE=$TOP/tests/matrix.tbl
FAST=
PATTERN=.
count=0
failed=0

for arg; do
	case $arg in
	--fast) FAST=1 ;;
	-*) die "unknown option $arg" ;;
	*) PATTERN=$arg ;;
	esac
done

result() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=$((failed + 1))
	fi
}

# Every two values that can meet do meet in a row; prints the pairs that are missing.
check_cover() {
	awk '
	/^#/ || NF == 0 || $7 ~ /\+/ { next }
	{
		col[1] = $1 "/" $2 "/" $3; col[2] = $4; col[3] = $5; col[4] = $6; col[5] = $7
		for (i = 1; i <= 5; i++) {
			values[i, col[i]] = 1
			for (j = i + 1; j <= 5; j++)
				met[i, col[i], j, col[j]] = 1
		}
	}
	# No AP-REP, no subkey of the acceptor.
	function possible(i, a, j, b) {
		return !(i == 4 && j == 5 && ((a == "-") != (b == "none")))
	}
	END {
		for (x in values) for (y in values) {
			split(x, a, SUBSEP); split(y, b, SUBSEP)
			if (a[1] >= b[1] || !possible(a[1], a[2], b[1], b[2]))
				continue
			if (!((a[1], a[2], b[1], b[2]) in met)) {
				print "# no row has " a[2] " with " b[2]; bad = 1
			}
			pairs++
		}
		print "# " pairs " pairs"
		exit bad
	}' "$TABLE"
}

# Tokens of the box with exposure = on-token.
token_hidden() { token_nss "$1"; }
token_fips() { token_nss_fips "$1"; }

# setup_token NAME [SETTING...]: makes the token and imports all service keys.
setup_token() {
	local dir=$SCRATCH/$1

	"token_$1" "$dir"
	shift
	token_conf "$dir/accept.conf" "$@"
	token_conf "$dir/init.conf" "session_token = $TOKEN_URI"
	echo "$TOKEN_URI" >"$dir/uri"
	if ! KRB5_CONFIG=$dir/accept.conf:$KRB5_CONFIG timeout 120 "$GSSP11_TOOL" keytab import \
		--token "$TOKEN_URI" "$REALM_DIR/krb5.keytab" >"$dir/import.log" 2>&1 </dev/null; then
		echo "# gssp11 keytab import on $dir failed:"
		sed 's/^/#   /' "$dir/import.log"
	fi
}

# Environments for the two sides, into the array side_env.  What the stock
# mechanism leaks (it does, when it refuses a token) is not looked at.
env_init() {
	local who=$1 token=$2 conf=$SCRATCH/sub$3.conf

	side_env=(KRB5CCNAME="$REALM_DIR/ccache" KRB5_CONFIG="$conf:$KRB5_CONFIG"
		ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0")
	if [ "$who" = module ]; then
		side_env=(KRB5CCNAME="$REALM_DIR/ccache" GSS_MECH_CONFIG="$SCRATCH/mech.conf"
			KRB5_CONFIG="$conf:$SCRATCH/$token/init.conf:$KRB5_CONFIG")
	fi
}

env_accept() {
	local who=$1 token=$2 conf=$SCRATCH/sub$3.conf

	side_env=(KRB5_KTNAME="FILE:$REALM_DIR/krb5.keytab" KRB5_CONFIG="$conf:$KRB5_CONFIG"
		ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0")
	if [ "$who" = module ]; then
		side_env=(KRB5_KTNAME="$(cat "$SCRATCH/$token/uri")"
			GSS_MECH_CONFIG="$SCRATCH/mech.conf"
			KRB5_CONFIG="$conf:$SCRATCH/$token/accept.conf:$KRB5_CONFIG")
	fi
}

# The peer program's options for a row's flags, into opts_init and opts_accept.
peer_options() {
	local word words=

	opts_init=()
	opts_accept=()
	for word in ${1//+/ }; do
		case $word in
		none) ;;
		loose) words+=mutual,noreplay,noseq, ;;
		cb)
			opts_init+=(-b "tls-server-end-point:42")
			opts_accept+=(-b "tls-server-end-point:42")
			[ "$1" != cb ] || words+=mutual,
			;;
		cbwrong)
			opts_init+=(-b "tls-server-end-point:42")
			opts_accept+=(-b "tls-server-end-point:43")
			;;
		*) words+=$word, ;;
		esac
	done
	opts_init+=(-f "$words")
	opts_accept+=(-f "$words")
}

run_row() {
	local init=$1 accept=$2 token=$3 ticket=$4 session=$5 subkey=$6 flags=$7 expect=$8
	local log=$SCRATCH/row sock=$SCRATCH/sock etype status=0 pid wrap side_env opts_init opts_accept
	local row="init=$init accept=$accept token=$token ticket=$ticket session=$session"

	row="$row subkey=$subkey flags=$flags expect=$expect"
	etype=$subkey
	[ "$subkey" != - ] || etype=$session
	rm -f "$sock" "$log".*
	peer_options "$flags"
	if [ "$expect" != ok ]; then
		opts_init+=(-x "$expect")
		opts_accept+=(-x "$expect")
	fi
	env_accept "$accept" "$token" "$subkey"
	wrap=()
	[ "$accept" != module ] || read -ra wrap <<<"${PEER_WRAP:-}"
	env "${side_env[@]}" timeout -k 5 120 ${wrap[@]+"${wrap[@]}"} "$PEER" accept "$sock" \
		-e "$etype" "${opts_accept[@]}" >"$log.accept" 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	env_init "$init" "$token" "$subkey"
	wrap=()
	[ "$init" != module ] || read -ra wrap <<<"${PEER_WRAP:-}"
	env "${side_env[@]}" timeout -k 5 120 ${wrap[@]+"${wrap[@]}"} "$PEER" init "$sock" \
		"svc$ticket-$session/localhost@$REALM" -e "$etype" "${opts_init[@]}" \
		>"$log.init" 2>&1 </dev/null || status=1
	# An acceptor that no one spoke to must not be waited for.
	if [ $status = 1 ] && [ ! -s "$log.accept" ]; then
		sleep 0.2
		kill "$pid" 2>/dev/null || true
	fi
	wait "$pid" || status=1
	unspawn "$pid"
	result $status "$row"
	if [ $status = 1 ]; then
		sed 's/^/# /' "$log.init" "$log.accept"
	fi
}

# A krb5.conf fragment per subkey enctype, for both sides: the acceptor makes what comes
# first in its list and stands in the initiator's before the session key's enctype.
subkey_confs() {
	local u

	: >"$SCRATCH/sub-.conf"
	for u in 17 18 19 20; do
		printf '[libdefaults]\n    permitted_enctypes = %s %s %s %s %s\n' "$(etype_name $u)" \
			"$(etype_name 18)" "$(etype_name 17)" "$(etype_name 20)" "$(etype_name 19)" \
			>"$SCRATCH/sub$u.conf"
	done
}

rows() {
	grep -v '^#' "$TABLE" | grep . | sed 's/[ \t]\+/ /g' | grep -E "$PATTERN" |
		awk -v fast="$FAST" '!fast || NR % 3 == 1'
}

scratch_start matrix
realm_start "$SCRATCH/realm"
kinit -f -c "$REALM_DIR/ccache" -k -t "$REALM_DIR/user.keytab" user
subkey_confs
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
if rows | grep -q module; then
	setup_token softhsm
	setup_token nss
fi
for token in hidden fips; do
	if rows | grep -q " $token "; then
		setup_token $token "exposure = on-token"
	fi
done
if check_cover; then result 0 "the table has every pair"; else result 1 "the table has every pair"; fi
while read -r init accept token ticket session subkey flags expect; do
	run_row "$init" "$accept" "$token" "$ticket" "$session" "$subkey" "$flags" "$expect"
done < <(rows)
echo "1..$count"
[ $failed = 0 ]
