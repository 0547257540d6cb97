# shellcheck shell=bash
# Initiators twice: the stock mechanism with keys in files, and this module with
# keys on a token.  After realm.sh; the token is $TOKEN_URI.
#
#   both_keys SERVICE...    puts clients.keytab and those services of services.keytab on the token
#   same WHAT PATTERN CONF WHO ACCEPTOR STEP...   inittool's steps: both say the same, and that
#   stock/own CONF WHO ACCEPTOR STEP...           one of the two; says what inittool says
#   list_of CCACHE          the services that it has tickets for
#   no_keys WHAT CONF       no session key of the cache's tickets stands in the file cc
#
# CONF is a krb5.conf in $SCRATCH, WHO a principal of clients.keytab; ACCEPTOR is
# a keytab file (then the acceptor is the stock mechanism), or "token".  The
# caches are cc and cc.stock, new each time unless KEEP is set.  What a token's
# acceptor says has a text of its own; a KDC's answer has not.

INITTOOL=$(build_file tests inittool)
EXCHANGE_PROBE=$(build_file tests exchange_probe)
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

both_start() {
	module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
	echo '# none' >"$SCRATCH/none.conf"
}

both_keys() {
	KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG "$GSSP11_TOOL" keytab import --yes --use initiate \
		--token "$TOKEN_URI" "$SCRATCH/clients.keytab" >out 2>&1 &&
		KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG "$GSSP11_TOOL" keytab import --yes \
			--token "$TOKEN_URI" "$SCRATCH/services.keytab" "$@" >>out 2>&1
	ok "$NAME: keys are on the token" $? out
}

# preload LIBRARY: what LD_PRELOAD has to say; a sanitizer's runtime goes before all others
preload() {
	local asan

	asan=$(ldd "$1" | awk '/libasan/ { print $3 }')
	echo "${asan:+$asan }$1"
}

# merge_keytabs FILE FILE...
merge_keytabs() {
	local to=$1 f

	shift
	cp "$1" "$to"
	shift
	for f; do
		tail -c +3 "$f" >>"$to"
	done
}

stock() {
	local conf=$1 who=$2 acceptor=$3

	shift 3
	[ "$acceptor" != token ] || acceptor=$SCRATCH/services.keytab
	env KRB5_CONFIG="$SCRATCH/$conf" KRB5CCNAME="FILE:$SCRATCH/cc.stock" KRB5_KTNAME="FILE:$acceptor" \
		KRB5_CLIENT_KTNAME="FILE:$SCRATCH/clients.keytab" GSS_MECH_CONFIG="$SCRATCH/none.conf" \
		${STOCK_ENV:+"$STOCK_ENV"} "$INITTOOL" name "$who" acquire "$@" 2>&1 || echo "exit $?"
}

own() {
	local conf=$1 who=$2 acceptor=$3

	shift 3
	[ "$acceptor" = token ] && acceptor=$TOKEN_URI || acceptor=FILE:$acceptor
	env KRB5_CONFIG="$TOKEN_CONF:$SCRATCH/$conf" KRB5CCNAME="FILE:$SCRATCH/cc" KRB5_KTNAME="$acceptor" \
		KRB5_CLIENT_KTNAME="$TOKEN_URI" GSS_MECH_CONFIG="$SCRATCH/mech.conf" \
		GSSP11_TRACE="$SCRATCH/trace" ${OWN_ENV:+"$OWN_ENV"} \
		"$INITTOOL" name "$who" acquire "$@" 2>&1 || echo "exit $?"
}

same() {
	local what=$1 pattern=$2 rc=0

	shift 2
	[ -n "${KEEP:-}" ] || rm -f cc cc.stock trace
	stock "$@" | sed "s|$SCRATCH/cc\.stock|$SCRATCH/cc|" >want
	own "$@" >got
	if [ "$3" = token ]; then
		sed -i 's|^\(accept:.*\) / .*|\1|' want got
	fi
	{ diff want got && grep -qE -- "$pattern" got; } >diff.out 2>&1 || rc=1
	{ cat diff.out; echo "have:"; cat got; } >out
	ok "$NAME: $what" "$rc" out
}

list_of() {
	klist "$1" 2>&1 | awk '/\/.*@/ { print $5 }' | sort
}

no_keys() {
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/$2 "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:cc scan cc \
		kdc.keytab services.keytab 2>&1 | grep -v '^scan: [1-9].* no key of theirs' |
		verdict "$NAME: $1"
}
