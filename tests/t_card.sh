#!/bin/bash
# Initiators with a smart card, end to end: PKINIT against a real KDC with a
# certificate and key on a card, session keys on another token; and passwords
# whose tickets end there, too.
#
#   tests/t_card.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/card.sh
. "$TOP/tests/lib/card.sh"
# shellcheck source=tests/lib/samples.sh
. "$TOP/tests/lib/samples.sh"
shopt -s lastpipe

TOOL=$(build_file tests inittool)
PROBE=$(build_file tests exchange_probe)
SHIM=${GSSP11_SHIM:-$(build_file . p11shim.so)}
[ -e "$SHIM" ] || SHIM=$(build_file tests p11shim.so)
first_file /usr/lib/*/krb5/plugins/preauth/pkinit.so /usr/lib64/krb5/plugins/preauth/pkinit.so \
	>/dev/null || die "PKINIT is not installed (package krb5-pkinit)"
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start card
cd "$SCRATCH"

realm_pkinit "$SCRATCH/a"
realm_start "$SCRATCH/a" || die "no realm"
{
	for p in alice bob; do
		echo "addprinc -randkey +requires_preauth $p"
	done
	echo "addprinc -randkey +requires_preauth -maxlife 6sec short"
	echo "addprinc -pw secret +requires_preauth carol"
	echo "addprinc -pw secret +requires_preauth -pwexpire yesterday late"
	echo "ktadd -norandkey -k $SCRATCH/carol.keytab carol"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM@$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
A_CONF=$KRB5_CONFIG
KT=$SCRATCH/a/krb5.keytab
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
echo '# none' >"$SCRATCH/none.conf"
sed -i '/default_client_keytab_name/d' "$A_CONF"
: >shim.ctl
export P11SHIM_CTL=$SCRATCH/shim.ctl

# ---- steps ------------------------------------------------------------------

run() {	# run STEP...: inittool with the module; acceptors have a keytab file
	env KRB5_KTNAME="${ACCEPT:-$KT}" GSS_MECH_CONFIG="$SCRATCH/mech.conf" \
		GSSP11_TRACE="$SCRATCH/trace" "$TOOL" "$@" >out 2>&1
}

says() {	# says WHAT LINE STEP...: it must work, and say so
	local what=$1 line=$2 rc=0

	shift 2
	: >trace
	run "$@" || rc=$?
	[ "$rc" != 0 ] || grep -qxF -- "$line" out || rc=99
	ok "$NAME: $what" "$rc" out
}

not() {	# not WHAT PATTERN STEP...: it must fail, and say so
	local what=$1 pattern=$2 rc=0

	shift 2
	: >trace
	run "$@" || rc=$?
	[ "$rc" != 1 ] || grep -qE -- "$pattern" out || rc=99
	ok "$NAME: $what" $((rc != 1)) out
}

t() {	# t WHAT CONDITION...: for [
	local what=$1 rc=0

	shift
	[ "$@" ] || rc=1
	ok "$NAME: $what" "$rc"
}

has() {	# has WHAT PATTERN [FILE]
	local rc=0

	grep -qE -- "$2" "${3:-out}" || rc=1
	ok "$NAME: $1" "$rc" "${3:-out}"
}

hasnt() {
	local rc=0

	! grep -qE -- "$2" "${3:-out}" || rc=1
	ok "$NAME: $1" "$rc" "${3:-out}"
}

tool() {	# tool STATUS WHAT ARG...: gssp11 with the module
	local want=$1 what=$2 rc=0

	shift 2
	: >trace
	env GSS_MECH_CONFIG="$SCRATCH/mech.conf" GSSP11_TRACE="$SCRATCH/trace" "$GSSP11_TOOL" "$@" \
		>out 2>&1 </dev/null || rc=$?
	[ "$rc" = "$want" ] && rc=0 || rc=1
	ok "$NAME: $what" "$rc" out
}

stock() {
	env KRB5_KTNAME="$KT" GSS_MECH_CONFIG="$SCRATCH/none.conf" KRB5_CONFIG="$A_CONF" "$TOOL" "$@" >out 2>&1
}

probe() {
	local cc=$1

	shift
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "$cc" "$@"
}

no_keys() {	# no_keys FILE CCACHE: no session key of the cache's tickets is in the file
	probe "$2" scan "$1" "$SCRATCH/kdc.keytab" "$KT" 2>&1 | grep -v '^scan: [1-9].* no key of theirs'
}

all_keys() {
	probe FILE:none list 2>/dev/null | sed 's/list: \([0-9]*\) .*/\1/'
}

forget() {
	rm -rf "$SCRATCH"/cc*
	: >shim.ctl
	export KRB5CCNAME=FILE:$SCRATCH/cc
	export KRB5_CONFIG=$SCRATCH/session.conf:$A_CONF
}

# conf FILE SETTING...: krb5.conf's settings with the session token
conf() {
	local file=$1

	shift
	token_conf "$SCRATCH/$file" "session_token = $TOKEN_URI" "$@"
}

logins() {
	grep -c '^C_Login' "$SCRATCH/calls" || true
}

# ---- cards -------------------------------------------------------------------------

make_cards() {
	card_token card
	card_put card 01 alice rsa:2048
	card_token many
	card_put many 01 alice rsa:2048
	card_put many 02 bob rsa:2048
	card_token odd
	card_put odd 11 alice EC:prime256v1
	card_put odd 12 alice rsa:2048 server
	card_put odd 13 alice rsa:2048 client "20200101000000Z 20210101000000Z"
	card_put odd 14 alice rsa:2048 client "20400101000000Z 20410101000000Z"
	card_put odd 15 alice rsa:2048 plain
	card_put odd 16 short rsa:2048
	CARD_ALWAYS=1 card_put odd 17 alice rsa:2048
	card_tool odd --write-object "$REALM_PKINIT/ca.pem" --type cert --id 19 --label ca >/dev/null 2>&1 || true
	card_token pair
	card_token pair
	card_put card 05 trash rsa:2048 plain
	card_tool card --delete-object --type privkey --id 05 >/dev/null 2>&1
}

test_identity() {
	local card

	card=$(card_uri card)
	forget
	says "a card in the credential store" "is alice@$REALM" set "identity=$card" acquire inquire init host@localhost
	has "it is traced" "session key is transient" trace
	no_keys cc FILE:cc | verdict "$NAME: the cache's file has no key"
	klist -fe cc >out 2>&1 && grep -q "krbtgt/$REALM@$REALM" out && grep -q host/localhost out && rc=0 || rc=1
	ok "$NAME: stock klist shows the cache" "$rc" out
	{ stock init svc18@localhost && cat out; } | verdict "$NAME: the stock mechanism gets nothing out of it"
	says "again, from the cache" "peer alice@$REALM" set "identity=$card" acquire init svc17@localhost
	hasnt "without the card" "token=card" trace
	says "the cache goes on without an identity" "peer alice@$REALM" init svc20@localhost
	says "and a cache" "peer alice@$REALM" set "identity=$card" set "ccache=FILE:$SCRATCH/cc.named" acquire init host@localhost
	says "and a name" "peer bob@$REALM" name bob set "identity=$(card_uri many 'id=%02')" \
		set "ccache=FILE:$SCRATCH/cc.bob" acquire init host@localhost
	says "by label" "is bob@$REALM" set "identity=$(card_uri many object=bob)" set "ccache=FILE:$SCRATCH/cc.label" acquire inquire
	not "a name that the cache has not" "cc.bob is bob@" name alice set "identity=$card" set "ccache=FILE:$SCRATCH/cc.bob" acquire
	not "a name that the KDC does not map to it" "certificate \"alice\".*[Cc]lient" name bob set "identity=$card" set "ccache=FILE:$SCRATCH/cc.not" acquire
	t "nothing is written then" ! -e cc.not
	says "for accepting, too" "peer alice@$REALM" usage both set "identity=$card" set "keytab=FILE:$KT" acquire init host@localhost

	forget
	conf identity.conf "identity = $card"
	export KRB5_CONFIG=$SCRATCH/identity.conf:$A_CONF
	says "configured" "peer alice@$REALM" init host@localhost
	no_keys cc FILE:cc | verdict "$NAME: no key in its cache"
	rm cc
	says "configured, and acquired" "is alice@$REALM" acquire inquire init host@localhost
	kinit -c FILE:cc.stock -k -t "$SCRATCH/a/user.keytab" user
	KRB5CCNAME=FILE:$SCRATCH/cc.stock says "other tickets are used where there are some" "peer user@$REALM" init host@localhost
	hasnt "and the card is left alone" "token=card" trace
	forget
	not "no identity, no cache" "No credentials|No Kerberos" init host@localhost
}

# Nothing but the one card: what is not meant is neither looked into nor logged in to.
test_strict() {
	forget
	not "a card that is not there" 'no token matches "pkcs11:token=nosuch"' set "identity=$(card_uri nosuch | sed 's/&.*//')" acquire
	hasnt "no other is logged in to" "C_Login token=(card|many|odd|pair)" trace
	not "two cards of that name" '2 tokens match "pkcs11:token=pair"' set "identity=$(card_uri pair)" acquire
	hasnt "neither is logged in to" "C_Login token=pair" trace
	not "no card is named" "names no card" set "identity=pkcs11:id=%01" acquire
	hasnt "none is touched" "C_OpenSession token=(card|many|odd|pair)" trace
	not "two certificates" 'token "many" has 2 certificates with a private key: .*"(bob|alice)" \(id 0[12]\), .*"(bob|alice)" \(id 0[12]\)' set "identity=$(card_uri many)" acquire
	not "a certificate that is not there" 'token "card" has no such certificate' set "identity=$(card_uri card 'id=%77')" acquire
	not "one without its key" "no such certificate that has a private key" set "identity=$(card_uri card 'id=%05')" acquire
	not "no URI" "identity is a URI" set "identity=FILE:/x" acquire
	not "an attribute twice" "id twice" set "identity=$(card_uri card 'id=%01;id=%02')" acquire
	not "a PIN in the URI" "pin-value" set "identity=pkcs11:token=card?pin-value=1234" acquire
	not "a client keytab beside it" "which shall get the tickets" set "identity=$(card_uri card)" set "client_keytab=$TOKEN_URI" acquire
	not "for accepting alone" "no use to an acceptor" usage accept set "identity=$(card_uri card)" set "keytab=$TOKEN_URI" acquire
	conf bad.conf "identity = pkcs11:id=%01"
	KRB5_CONFIG=$SCRATCH/bad.conf:$A_CONF not "configured wrongly" "identity in krb5.conf.*names no card" init host@localhost
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF not "no token for session keys" "set session_token" set "identity=$(card_uri card)" acquire
	hasnt "then the card is not touched" "token=card" trace
	conf policy.conf "exposure = on-token"
	KRB5_CONFIG=$SCRATCH/policy.conf:$A_CONF not "exposure = on-token" "exposure = on-token: .*smart card" set "identity=$(card_uri card)" acquire
	hasnt "then the card is not touched" "token=card" trace
	t "no cache came of it" ! -e cc
	says "one card beside others" "is alice@$REALM" set "identity=$(card_uri card)" acquire inquire
	hasnt "the others are not logged in to" "C_(Login|OpenSession|FindObjects).* token=(many|odd|pair)" trace
}

test_certificates() {
	forget
	not "an EC key, which this libkrb5 does not use" "EC key.*RSA" set "identity=$(card_uri odd 'id=%11')" acquire
	not "the wrong key purpose: the KDC's word" "certificate \"alice\" \(id 12\).*[Kk]ey purpose" set "identity=$(card_uri odd 'id=%12')" acquire
	not "an expired certificate" "\(id 13\) of token \"odd\" has expired \(2021-01-01" set "identity=$(card_uri odd 'id=%13')" acquire
	not "one that is not valid yet" "not valid yet" set "identity=$(card_uri odd 'id=%14')" acquire
	not "one that names nobody" "does not name one Kerberos principal" set "identity=$(card_uri odd 'id=%15')" acquire
	says "a key that wants the PIN each time" "peer alice@$REALM" set "identity=$(card_uri odd 'id=%17')" acquire init host@localhost
	t "which it got" "$(grep -c 'C_Login token=odd' trace)" = 2
	t "no other cache" "$(find . -maxdepth 1 -name 'cc*' | wc -l)" = 1
}

# PINs: each is given once, to the one card; and what is wrong with it is said.
test_pin() {
	local wrong way=$SCRATCH/way.so

	forget
	cp "$SHIM" "$way"
	export P11SHIM_MODULE=$CARD_MODULE
	wrong=$(CARD_WAY=$way card_uri card | sed 's/card.pin/wrong.pin/')
	token_pin "$CARD_DIR/wrong.pin" 1357902468
	rm -f calls
	echo "log $SCRATCH/calls" >shim.ctl
	not "a wrong PIN" 'token "card" .*refused the PIN' set "identity=$wrong" acquire
	t "is tried once" "$(logins)" = 1
	rm -f calls
	conf wrong.conf "identity = $wrong"
	KRB5_CONFIG=$SCRATCH/wrong.conf:$A_CONF not "the same, configured, asked twice" 'refused the PIN before' try init host@localhost init host@localhost
	t "is tried once in all" "$(logins)" = 1
	not "no PIN" "needs a PIN" set "identity=$(CARD_WAY=$way card_uri card | sed 's/&.*//')" acquire
	printf 'fail C_Login 0 -1 a4\n' >shim.ctl
	not "a locked card" 'CKR_PIN_LOCKED.*"card".*unlock' set "identity=$(CARD_WAY=$way card_uri card)" acquire
	rm -f calls
	printf 'flags 20000\nlog %s\n' "$SCRATCH/calls" >shim.ctl
	not "one try left" 'one try left, which is not spent here' set "identity=$(CARD_WAY=$way card_uri card)" acquire
	t "and it is not" "$(logins)" = 0
	printf 'flags 40000\nlog %s\n' "$SCRATCH/calls" >shim.ctl
	not "locked, and the card says so" 'is locked' set "identity=$(CARD_WAY=$way card_uri card)" acquire
	t "then no PIN is tried" "$(logins)" = 0
	echo removed >shim.ctl
	not "a card that is out" 'no token matches "pkcs11:token=card"' set "identity=$(CARD_WAY=$way card_uri card)" acquire
	echo 'fail C_SignInit 0 -1 e0' >shim.ctl
	not "one that goes in mid-exchange" 'C_SignInit failed with CKR_TOKEN_NOT_PRESENT.*"card"' set "identity=$(CARD_WAY=$way card_uri card)" acquire
	echo 'fail C_Sign 0 -1 30' >shim.ctl
	not "one that breaks" 'C_Sign failed with CKR_DEVICE_ERROR' set "identity=$(CARD_WAY=$way card_uri card)" acquire
	t "no cache came of it" ! -e cc
	: >shim.ctl
	says "and when all is well" "is alice@$REALM" set "identity=$(CARD_WAY=$way card_uri card)" acquire inquire
	unset P11SHIM_MODULE
}

test_refresh() {
	local short

	short=$(card_uri odd 'id=%16')
	forget
	conf identity.conf "identity = $short"
	export KRB5_CONFIG=$SCRATCH/identity.conf:$A_CONF
	says "tickets that expire are got anew" "peer short@$REALM" init host@localhost sleep 7 init host@localhost
	t "with the card, twice" "$(grep -c 'session key is transient' trace)" = 2
	says "and by a credential" "peer short@$REALM" acquire sleep 7 init host@localhost
	forget
	says "one of the store" "peer short@$REALM" set "identity=$short" acquire sleep 7 init host@localhost
}

# Half way through their life, and the old ones go on where that fails.
test_renewal() {
	local card way=$SCRATCH/way.so

	forget
	export P11SHIM_MODULE=$CARD_MODULE KRB5_CONFIG=$SCRATCH/identity.conf:$A_CONF
	card=$(CARD_WAY=$way card_uri card)
	conf identity.conf "identity = $card"
	says "renewal is far away" "due late" init host@localhost due
	says "nothing is renewed before" "due late" init host@localhost due
	hasnt "the card is left alone" "session key is transient|token=card" trace
	says "when it is due it is" "due late" refresh -1 init host@localhost due
	has "by the card" "session key is transient" trace
	no_keys cc FILE:cc | verdict "$NAME: no key in the renewed cache"
	says "also by a credential" "due late" refresh -1 acquire init host@localhost due
	echo removed >shim.ctl
	says "without the card the old ones go on" "peer alice@$REALM" refresh -1 init host@localhost
	has "the trace says why" 'could not be renewed: .*no token matches "pkcs11:token=card' trace
	says "and it is not tried again at once" "due soon" init svc17@localhost due
	hasnt "so" "could not be renewed" trace
	: >shim.ctl
	conf identity.conf "identity = ${card/card.pin/wrong.pin}"
	says "nor does a wrong PIN end them" "peer alice@$REALM" refresh -1 init host@localhost
	has "the trace says so" 'could not be renewed: .*refused the PIN' trace
	conf identity.conf "identity = ${card%%&*}"
	says "nobody is asked for a PIN for it" "due past" refresh -1 init host@localhost due
	conf identity.conf "identity = $(card_uri many 'id=%01')"
	says "nor is another card used" "due past" refresh -1 init host@localhost due
	# a good PIN makes the card forget the bad one
	conf identity.conf "identity = $card"
	says "and then it is renewed" "due late" init host@localhost due
	unset P11SHIM_MODULE
}

# ---- passwords ------------------------------------------------------------------------

test_password() {
	local before

	forget
	before=$(all_keys)
	not "a wrong password" "[Pp]reauthentication failed|[Pp]assword incorrect" name carol password wrong
	not "an expired one" "[Pp]assword has expired|key has expired" name late password secret
	says "a password" "is carol@$REALM" name carol password secret inquire init host@localhost
	t "its keys are gone with it" "$(all_keys)" = "$before"
	says "in the credential store" "peer carol@$REALM" name carol set password=secret acquire init host@localhost
	says "for accepting, too" "peer carol@$REALM" usage both name carol set password=secret set "keytab=FILE:$SCRATCH/carol.keytab" acquire init host@localhost
	says "copied" "peer carol@$REALM" name carol password secret copy "FILE:$SCRATCH/cc.copy" init host@localhost
	t "the copy's keys stay" "$(all_keys)" -gt "$before"
	no_keys cc.copy FILE:cc.copy | verdict "$NAME: no key in the copy"
	KRB5CCNAME=FILE:$SCRATCH/cc.copy says "the copy works" "peer carol@$REALM" init svc17@localhost
	{ KRB5CCNAME=FILE:$SCRATCH/cc.copy stock init svc18@localhost && cat out; } | verdict "$NAME: but not for the stock mechanism"
	says "exported" "peer carol@$REALM" name carol password secret export "$SCRATCH/blob" init host@localhost
	KRB5CCNAME=FILE:$SCRATCH/cc.copy says "a copy by gss_add_cred" "peer carol@$REALM" name carol password secret add init host@localhost
	KRB5_CONFIG=$SCRATCH/policy.conf:$A_CONF not "exposure = on-token for a password" "exposure = on-token: .*password" name carol password secret
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF says "without a session token it stays the stock's" "peer carol@$REALM" name carol password secret init host@localhost copy "FILE:$SCRATCH/cc.plain"
	{ KRB5CCNAME=FILE:$SCRATCH/cc.plain stock init svc18@localhost || cat out; } | verdict "$NAME: whose tickets these are"
}

# ---- unmodified programs ---------------------------------------------------------------

# gss WHAT MECH-FILE KEYTAB CLIENT-OPTION...: gss-client with the card, and a gss-server
gss() {
	local what=$1 mechs=$SCRATCH/$2 rc=0

	rm -f cc
	GSS_MECH_CONFIG=$SCRATCH/mech.conf samples_talk "$TOKEN_CONF:$A_CONF" "$mechs" "${@:3}" || rc=1
	grep -q "alice@$REALM" server.out || rc=1
	ok "$NAME: $what" "$rc" out
}

test_programs() {
	forget
	conf identity.conf "identity = $(card_uri card)"
	"$GSSP11_TOOL" keytab import --yes --token "$TOKEN_URI" "$KT" host/localhost >out 2>&1
	ok "$NAME: an acceptor's key on the token" $? out
	export KRB5_CONFIG=$SCRATCH/identity.conf:$A_CONF
	gss "gss-client with a card and a stock gss-server" none.conf "FILE:$KT"
	no_keys cc FILE:cc | verdict "$NAME: no key in its cache"
	gss "gss-client with a card and gss-server on the token" mech.conf "$TOKEN_URI"
	gss "with SPNEGO" none.conf "FILE:$KT" -spnego
	gss "with delegation" none.conf "FILE:$KT" -d
}

# ---- tools ------------------------------------------------------------------------------

test_tools() {
	forget
	tool 0 "kinit --identity" kinit --identity "$(card_uri card)" -c "FILE:$SCRATCH/cc.kinit"
	no_keys cc.kinit FILE:cc.kinit | verdict "$NAME: no key in kinit's cache"
	KRB5CCNAME=FILE:$SCRATCH/cc.kinit says "it works" "peer alice@$REALM" init host@localhost
	tool 0 "kinit -X and a principal" kinit -X "$(card_uri many 'id=%02')" bob
	says "it works" "peer bob@$REALM" init host@localhost
	tool 1 "kinit with a card that is not there" kinit -X "$(card_uri nosuch)" alice
	has "it says so" "no token matches"
	tool 2 "kinit with what is no URI" kinit -X FILE:/x alice
	tool 2 "kinit with a card and a keytab" kinit -X "$(card_uri card)" -t "$TOKEN_URI"
	conf identity.conf "identity = $(card_uri card)"
	KRB5_CONFIG=$SCRATCH/identity.conf:$A_CONF tool 0 "kinit with the configured card" kinit -c "FILE:$SCRATCH/cc.conf"
	klist cc.conf >out 2>&1 || true
	has "it is alice's" "Default principal: alice@$REALM"
}

# answer TEXT STATUS WHAT ARG...: gssp11 on a terminal of its own; TEXT is typed when it asks
answer() {
	local text=$1 want=$2 what=$3 rc=0

	shift 3
	rm -f out
	# shellcheck disable=SC2094	# the one waits for what the other writes
	(wait_for test -s out; printf '%s\n' "$text"; sleep 0.2) |
		env GSS_MECH_CONFIG="$SCRATCH/mech.conf" script -qec "$(printf '%q ' "$GSSP11_TOOL" "$@")" /dev/null \
			>out 2>&1 || rc=$?
	[ "$rc" = "$want" ] && rc=0 || rc=1
	ok "$NAME: $what" "$rc" out
}

test_terminal() {
	forget
	answer secret 0 "kinit asks for the password" kinit carol
	has "it says whose" "Password for carol@$REALM"
	no_keys cc FILE:cc | verdict "$NAME: no key in its cache"
	says "it works" "peer carol@$REALM" init host@localhost
	answer wrong 1 "kinit with a wrong password" kinit -c "FILE:$SCRATCH/cc.wrong" carol
	t "it leaves no cache" ! -e cc.wrong
	answer "$(cat "$CARD_DIR/card.pin")" 0 "kinit asks for the card's PIN" \
		kinit -c "FILE:$SCRATCH/cc.pin" -X "$(card_uri card | sed 's/&.*//')"
	has "it says of which" 'PIN of token "card"'
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF tool 1 "kinit with a password, but no session token" kinit carol
	has "it says so" "session_token"
	tool 1 "kinit with a password, but no terminal" kinit carol
}

# ---- all ------------------------------------------------------------------------------

test_token() {
	NAME=$1
	[ "$1" = softhsm ] || "token_$1" "$SCRATCH/$1"
	conf session.conf
	forget
	test_identity
	test_strict
	test_certificates
	test_pin
	test_refresh
	test_renewal
	test_password
	test_programs
	test_tools
	test_terminal
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
# The cards are in the same token directory: a process has one SOFTHSM2_CONF.
token_softhsm "$SCRATCH/softhsm"
make_cards
for token; do
	test_token "$token"
done
verdicts_end
