#!/bin/bash
# NSS softoken's FIPS slot and the setting fips, against a real KDC and stock
# peers: keytab import by unwrapping, acceptors and initiators, and what each
# word of the setting refuses, prefers and says.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
shopt -s lastpipe

export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start fips
cd "$SCRATCH"

realm_start "$SCRATCH/realm" || die "no realm"
{
	echo "addprinc -randkey client"
	echo "ktadd -norandkey -k $SCRATCH/client.keytab client"
	# A KDC that gives nothing but RFC 3962's session keys for its own tickets.
	echo "addprinc -randkey -e $(etype_name 18):normal old"
	echo "ktadd -norandkey -k $SCRATCH/old.keytab old"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
KT=$REALM_DIR/krb5.keytab
BASE_CONF=$KRB5_CONFIG
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
token_nss_fips "$SCRATCH/fips" || die "no token"

# settings LINE...: what [appdefaults] says from now on
settings() {
	token_conf "$TOKEN_CONF" "$@"
}

# pair WHAT SERVICE ETYPE [OPTION...]: a stock initiator, the module's acceptor; messages both ways
pair() {
	local what=$1 service=$2 etype=$3 sock=$SCRATCH/sock pid rc=0

	shift 3
	rm -f "$sock" trace
	KRB5_KTNAME=$TOKEN_URI GSS_MECH_CONFIG=$SCRATCH/mech.conf GSSP11_TRACE=$SCRATCH/trace \
		KRB5_CONFIG=$TOKEN_CONF:$BASE_CONF timeout -k 5 60 "$PEER" accept "$sock" \
		${etype:+-e "$etype"} -f mutual "$@" >accept.log 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	KRB5CCNAME=$REALM_DIR/ccache KRB5_CONFIG=${INIT_CONF:-$BASE_CONF} timeout -k 5 60 \
		"$PEER" init "$sock" "$service@$REALM" ${etype:+-e "$etype"} -f "${INIT_FLAGS:-mutual}" \
		>init.log 2>&1 </dev/null || rc=1
	wait "$pid" || rc=1
	unspawn "$pid"
	cat accept.log init.log >both.log
	ok "$what" "$rc" both.log
}

# refused WHAT SERVICE TEXT: the acceptor refuses and says so
refused() {
	local what=$1 service=$2 text=$3 sock=$SCRATCH/sock pid rc=0

	rm -f "$sock"
	KRB5_KTNAME=$TOKEN_URI GSS_MECH_CONFIG=$SCRATCH/mech.conf \
		KRB5_CONFIG=$TOKEN_CONF:$BASE_CONF timeout -k 5 60 "$PEER" accept "$sock" \
		-f mutual >accept.log 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	KRB5CCNAME=$REALM_DIR/ccache KRB5_CONFIG=${INIT_CONF:-$BASE_CONF} timeout -k 5 60 \
		"$PEER" init "$sock" "$service@$REALM" -f mutual >init.log 2>&1 </dev/null || true
	wait "$pid" && rc=1
	unspawn "$pid"
	grep -qF -- "$text" accept.log || rc=1
	ok "$what" "$rc" accept.log
}

has() {
	local rc=0

	grep -qE -- "$2" "$3" || rc=1
	ok "$1" "$rc" "$3"
}

# forwarded WHAT FLAGS: the initiator forwards its tickets; the acceptor's context has these flags
forwarded() {
	local what=$1 flags=$2 cc=$REALM_DIR/ccache

	REALM_DIR=$SCRATCH/forward INIT_FLAGS=mutual,deleg pair "$what" svc20-20/localhost '' -f "$flags"
	REALM_DIR=${cc%/ccache}
}

hasnot() {
	local rc=0

	if grep -qE -- "$2" "$3"; then rc=1; fi
	ok "$1" "$rc" "$3"
}

tool() {
	KRB5_CONFIG=$TOKEN_CONF:$BASE_CONF timeout -k 5 120 "$GSSP11_TOOL" "$@" >tool.log 2>&1 \
		</dev/null
}

# ---- import -----------------------------------------------------------------

rc=0
tool keytab import --token "$TOKEN_URI" "$KT" || rc=1
ok "keytab import" "$rc" tool.log
has "it says which way the keys took" 'C_UnwrapKey under a token-made AES key \(CKM_AES_KEY_WRAP\)' tool.log
rc=0
tool keytab list --token "$TOKEN_URI" || rc=1
ok "keytab list" "$rc" tool.log
has "it has the keys" "svc20-18/localhost@$REALM" tool.log

rc=0
tool selftest "$TOKEN_URI" || rc=1
ok "self-tests" "$rc" tool.log
has "each is told" '^passed +RFC 8009 A, derivation and message of enctype 20' tool.log
hasnot "none is missing" '^(missing|failed)' tool.log

# ---- fips = off: everything, on a token without C_CreateObject --------------

settings
for t in 17 18 19 20; do
	pair "off: ticket and session key $t" "svc$t-$t/localhost" ''
done
has "off: nothing is traced as not approved" 'accept: ' trace
hasnot "off: no word of fips" 'fips: ' trace

# ---- transitional -------------------------------------------------------------

settings "fips = transitional"
printf '[libdefaults]\n    permitted_enctypes = %s %s %s %s\n' "$(etype_name 20)" \
	"$(etype_name 19)" "$(etype_name 18)" "$(etype_name 17)" >new.conf
INIT_CONF=$SCRATCH/new.conf:$BASE_CONF
pair "transitional: RFC 3962's are taken; the subkey is RFC 8009's" svc18-18/localhost 20
has "transitional: the ticket is traced" \
	"fips: not approved: $(etype_name 18) for the service's ticket" trace
has "transitional: the session key is traced" \
	"fips: not approved: $(etype_name 18) for the ticket's session key" trace
has "transitional: the subkey is traced" \
	"fips: not approved: $(etype_name 18) for the initiator's subkey" trace
pair "transitional: RFC 8009's" svc20-20/localhost 20
hasnot "transitional: nothing to trace" 'not approved' trace
printf '[libdefaults]\n    permitted_enctypes = %s\n' "$(etype_name 18)" >only18.conf
INIT_CONF=$SCRATCH/only18.conf:$BASE_CONF
pair "transitional: a peer that has nothing else" svc18-18/localhost 18
unset INIT_CONF

# ---- strict-mechanisms ----------------------------------------------------------

settings "fips = strict-mechanisms"
pair "strict-mechanisms: $(etype_name 20)" svc20-20/localhost 20
hasnot "strict-mechanisms: nothing that is not approved" \
	'EXTRACT_KEY_FROM_KEY|CONCATENATE|XOR_BASE|ENCRYPT_DATA|C_DigestKey|CKM_SHA_1_HMAC' trace
pair "strict-mechanisms: $(etype_name 19)" svc19-19/localhost ''
pair "strict-mechanisms: 19 and 20 mixed" svc19-20/localhost 20
refused "strict-mechanisms: a ticket of 18" svc18-18/localhost \
	"fips = strict-mechanisms refuses $(etype_name 18) for the service's ticket"
refused "strict-mechanisms: a ticket of 17" svc17-20/localhost \
	"fips = strict-mechanisms refuses $(etype_name 17) for the service's ticket"
refused "strict-mechanisms: a session key of 18" svc20-18/localhost \
	"fips = strict-mechanisms refuses $(etype_name 18) for the ticket's session key"
refused "strict-mechanisms: a session key of 17" svc19-17/localhost \
	"fips = strict-mechanisms refuses $(etype_name 17) for the ticket's session key"
mkdir "$SCRATCH/forward"
kinit -f -c "$SCRATCH/forward/ccache" -k -t "$REALM_DIR/user.keytab" user || die "kinit failed"
forwarded "strict-mechanisms: a forwarded credential" mutual
has "strict-mechanisms: it is dropped" "fips = strict-mechanisms refuses delegation = plain" trace
settings "fips = strict-mechanisms" "delegation = token"
forwarded "strict-mechanisms, delegation = token: a forwarded credential" mutual,deleg
has "strict-mechanisms: its key goes to the token" \
	"the forwarded credential's session key goes to token .*exposure transient" trace
settings "fips = strict-mechanisms" "exposure = on-token"
refused "strict-mechanisms with exposure = on-token" svc20-20/localhost "cannot both be met"
settings "fips = strict"
refused "a misspelt word" svc20-20/localhost '"strict" is not a value of fips'

# ---- strict-exposure ---------------------------------------------------------------

settings "fips = strict-exposure"
for t in 19 20; do
	pair "strict-exposure: ticket and session key $t" "svc$t-$t/localhost" ''
	has "strict-exposure: the session key is lifted on the token" 'CKM_EXTRACT_KEY_FROM_KEY.*CKR_OK' trace
	hasnot "strict-exposure: no key comes from memory" 'C_EncryptInit.CKM_AES_KEY_WRAP|C_CreateObject' trace
done
settings "fips = strict-exposure" "delegation = token"
forwarded "strict-exposure, delegation = token: a forwarded credential" mutual,deleg
has "strict-exposure: its key is lifted on the token" \
	"the forwarded credential's session key goes to token .*exposure on-token" trace
settings "fips = strict-exposure"
refused "strict-exposure: a ticket of 18" svc18-18/localhost \
	"fips = strict-exposure refuses $(etype_name 18) for the service's ticket"
refused "strict-exposure: a session key of 18" svc20-18/localhost "fips = strict-exposure refuses"

# Per realm: another realm's setting is of no concern.
settings "OTHER.REALM = {" "fips = strict-mechanisms" "}"
pair "another realm's setting" svc18-18/localhost ''
settings "$REALM = {" "fips = strict-mechanisms" "}"
refused "this realm's setting" svc18-18/localhost "fips = strict-mechanisms refuses"

# The tool leaves out what could not be used.
settings "fips = strict-mechanisms"
rc=0
tool keytab import --dry-run --token "$TOKEN_URI" "$KT" || rc=1
ok "strict-mechanisms: keytab import" "$rc" tool.log
has "strict-mechanisms: keys of 18 are skipped" \
	"skipped svc18/localhost.*fips = strict-mechanisms refuses" tool.log
hasnot "strict-mechanisms: keys of 20 are not" "skipped svc20/" tool.log

# ---- initiators ------------------------------------------------------------------

settings
rc=0
tool keytab import --token "$TOKEN_URI" --use initiate client.keytab || rc=1
ok "client keytab import" "$rc" tool.log
rc=0
tool keytab import --token "$TOKEN_URI" --use initiate old.keytab || rc=1
ok "another" "$rc" tool.log

# kinit_token PRINCIPAL: initial tickets into $SCRATCH/cc, their keys on the token
kinit_token() {
	rm -f cc
	KRB5_CONFIG=$TOKEN_CONF:$BASE_CONF GSS_MECH_CONFIG=$SCRATCH/mech.conf \
		GSSP11_TRACE=$SCRATCH/trace KRB5_TRACE=$SCRATCH/k5trace timeout -k 5 60 \
		"$GSSP11_TOOL" kinit -c "FILE:$SCRATCH/cc" -k -t "$TOKEN_URI" "$1" >tool.log 2>&1 \
		</dev/null
}

# to SERVICE ETYPE: the module initiates with the cache, stock accepts
to() {
	local service=$1 etype=$2 sock=$SCRATCH/sock pid rc=0

	rm -f "$sock" trace k5trace
	KRB5_KTNAME=FILE:$KT KRB5_CONFIG=${ACCEPT_CONF:-$BASE_CONF} timeout -k 5 20 "$PEER" accept "$sock" \
		${etype:+-e "$etype"} -f mutual >accept.log 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	KRB5CCNAME=FILE:$SCRATCH/cc GSS_MECH_CONFIG=$SCRATCH/mech.conf GSSP11_TRACE=$SCRATCH/trace \
		KRB5_TRACE=$SCRATCH/k5trace KRB5_CONFIG=$TOKEN_CONF:$BASE_CONF timeout -k 5 60 \
		"$PEER" init "$sock" "$service@$REALM" ${etype:+-e "$etype"} -f mutual \
		>init.log 2>&1 </dev/null || rc=1
	[ $rc = 0 ] || kill "$pid" 2>/dev/null || true
	wait "$pid" || rc=1
	unspawn "$pid"
	cat init.log accept.log >both.log
	return $rc
}

settings "fips = off" "session_token = $TOKEN_URI"
rc=0
kinit_token client || rc=1
ok "off: initial tickets" "$rc" tool.log
for t in 17 18 19 20; do
	rc=0
	to "svc$t-$t/localhost" '' || rc=1
	ok "off: initiator, service key and session key $t" "$rc" both.log
done

settings "fips = strict-mechanisms" "session_token = $TOKEN_URI"
rc=0
to svc19-20/localhost 20 && rc=1
ok "strict: tickets of a time without it are not used" "$rc" both.log
has "strict: and why" "fips = strict-mechanisms refuses $(etype_name 18)" both.log
rc=0
kinit_token client || rc=1
ok "strict: initial tickets" "$rc" tool.log
KRB5_CONFIG=$BASE_CONF klist -e -c "FILE:$SCRATCH/cc" >klist.log 2>&1 || true
hasnot "strict: their session key is RFC 8009's" 'Etype \(skey, tkt\): aes[0-9]*-cts-hmac-sha1' klist.log
rc=0
to svc20-20/localhost 20 || rc=1
ok "strict: initiator" "$rc" both.log
hasnot "strict: nothing that is not approved" \
	'EXTRACT_KEY_FROM_KEY|CONCATENATE|XOR_BASE|ENCRYPT_DATA|C_DigestKey|CKM_SHA_1_HMAC' trace
hasnot "strict: no other session key is asked for" 'etypes requested.*hmac-sha1' k5trace
rc=0
to svc18-20/localhost 20 || rc=1
ok "strict: a service with an old key, session key RFC 8009's" "$rc" both.log
rc=0
to svc20-18/localhost '' && rc=1
ok "strict: a service without such session keys" "$rc" both.log
rc=0
kinit_token old && rc=1
ok "strict: a client with an old key" "$rc" tool.log
rm -f cc
KRB5CCNAME=FILE:$SCRATCH/cc KRB5_CONFIG=$BASE_CONF kinit -k -t client.keytab client
rc=0
to svc20-20/localhost 20 && rc=1
ok "strict: ordinary keys in the cache" "$rc" both.log
has "strict: and what to do" 'gssp11 adopt' both.log

settings "fips = strict-exposure" "session_token = $TOKEN_URI"
rm -f cc
rc=0
kinit_token client || rc=1
ok "strict-exposure: initial tickets" "$rc" tool.log
rc=0
to svc20-20/localhost 20 || rc=1
ok "strict-exposure: initiator" "$rc" both.log
hasnot "strict-exposure: its keys do not come from memory" 'exposure transient' trace
rc=0
to svc20-18/localhost '' && rc=1
ok "strict-exposure: a service without such session keys" "$rc" both.log

settings "fips = transitional" "session_token = $TOKEN_URI"
rc=0
kinit_token client || rc=1
ok "transitional: initial tickets" "$rc" tool.log
KRB5_CONFIG=$BASE_CONF klist -e -c "FILE:$SCRATCH/cc" >klist.log 2>&1 || true
hasnot "transitional: their session key is RFC 8009's" 'Etype \(skey, tkt\): aes[0-9]*-cts-hmac-sha1' klist.log
rc=0
to host/localhost 20 || rc=1
ok "transitional: RFC 8009's come first" "$rc" both.log
ACCEPT_CONF=$SCRATCH/new.conf:$BASE_CONF
rc=0
to svc18-18/localhost 20 || rc=1
ok "transitional: a session key of 18; the acceptor's subkey is RFC 8009's" "$rc" both.log
has "transitional: traced" 'fips: not approved' trace

verdicts_end
