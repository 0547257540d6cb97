#!/bin/bash
# FAST (RFC 6113): initial tickets with the client's key on a token, with a password
# and with a card, inside armor that armor_ccache names, of an ordinary cache or one
# whose keys are on the token; KDCs that ask for it, for an encrypted challenge in it,
# or offer other things there; and what is refused.
#
#   tests/t_fast.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/second.sh
. "$TOP/tests/lib/second.sh"
# shellcheck source=tests/lib/both.sh
. "$TOP/tests/lib/both.sh"
# shellcheck source=tests/lib/card.sh
. "$TOP/tests/lib/card.sh"
shopt -s lastpipe

scratch_start fast
cd "$SCRATCH"

# ---- the realm --------------------------------------------------------------

realm_pkinit "$SCRATCH/a"
realm_start "$SCRATCH/a" || die "no realm"
A_CONF=$KRB5_CONFIG
sed -i '/default_client_keytab_name/d' "$A_CONF"
KT=$SCRATCH/a/krb5.keytab
cp "$KT" services.keytab
{
	for p in client nopre changed; do
		echo "addprinc -randkey $p"
		echo "modprinc +requires_preauth $p"
		echo "ktadd -norandkey -k $SCRATCH/clients.keytab $p"
	done
	for t in 17 18; do
		echo "addprinc -randkey -e $(etype_name $t):normal only$t"
		echo "modprinc +requires_preauth only$t"
		echo "ktadd -norandkey -k $SCRATCH/clients.keytab only$t"
	done
	echo "addprinc -randkey -e $(etype_name 20):normal only20"
	echo "ktadd -norandkey -k $SCRATCH/clients.keytab only20"
	echo "modprinc -requires_preauth nopre"
	echo "cpw -randkey changed"
	echo "addprinc -randkey armor"
	echo "ktadd -norandkey -k $SCRATCH/armor.keytab armor"
	for t in 17 18 19 20; do
		echo "addprinc -randkey armor$t"
		echo "ktadd -norandkey -k $SCRATCH/armor.keytab armor$t"
	done
	echo "addprinc -pw secret +requires_preauth carol"
	echo "addprinc -pw secret +requires_preauth -e aes128-cts-hmac-sha1-96:onlyrealm salted"
	echo "addprinc -randkey +requires_preauth alice"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
both_start
CLIENT=client@$REALM
cp "$A_CONF" client.conf
{
	sed "s/^\[libdefaults\]/&\n    spake_preauth_groups = edwards25519/" "$A_CONF"
	printf '[plugins]\n    kdcpreauth = {\n        disable = encrypted_timestamp\n    }\n'
} >fast_only.conf

# ---- armor --------------------------------------------------------------------

kinit -c FILE:armor.cc -k -t armor.keytab armor
kinit -n -c FILE:anonymous.cc "@$REALM" >out 2>&1 || die "no anonymous armor: $(cat out)"
for t in 17 18 19 20; do
	sed "s/permitted_enctypes = .*/permitted_enctypes = $(etype_name $t)/" client.conf >"only$t.conf"
	KRB5_CONFIG=$SCRATCH/only$t.conf kinit -c "FILE:armor$t.cc" -k -t armor.keytab armor
done

# armored CCACHE: the token's configuration with that armor
armored() {
	token_conf "$SCRATCH/armored.conf" "armor_ccache = FILE:$SCRATCH/$1" "session_token = $TOKEN_URI"
	TOKEN_CONF=$SCRATCH/armored.conf
	case $1 in
	on.*)
		ARMOR='of a ticket whose session key is on the token'
		FROM_TOKEN=yes
		;;
	*)
		ARMOR='of an ordinary cache'
		FROM_TOKEN=no
		;;
	esac
}

# adopted FILE TO: a copy of the armor with its keys on the token
adopted() {
	[ "$1" = "$2" ] || cp "$1" "$2"
	env KRB5_CONFIG="$PLAIN:$A_CONF" "$GSSP11_TOOL" adopt --token "$TOKEN_URI" "FILE:$SCRATCH/$2" >out 2>&1
	ok "$NAME: $2 is adopted" $? out
}

# with WHO STEP...: without a client keytab, from acquiring on
with() {
	local who=$1

	shift
	rm -f cc trace ktrace
	env KRB5_CONFIG="$TOKEN_CONF:$SCRATCH/client.conf" KRB5CCNAME="FILE:$SCRATCH/cc" KRB5_KTNAME="FILE:$KT" \
		GSS_MECH_CONFIG="$SCRATCH/mech.conf" GSSP11_TRACE="$SCRATCH/trace" KRB5_TRACE="$SCRATCH/ktrace" \
		"$INITTOOL" name "$who" "$@" >out 2>&1 || echo "exit $?" >>out
}

# came WHAT WHO STEP...: tickets in FAST, and a context
came() {
	local what=$1 rc=0

	shift
	with "$@" init host@localhost
	grep -qx "peer $1@$REALM" out || rc=1
	grep -q 'padata into FAST request' ktrace || rc=2
	[ "$FROM_TOKEN" = no ] || grep -q 'FAST armor of a ticket whose session key is on the token' trace || rc=3
	ok "$NAME: $what" "$rc" out
}

# stayed WHAT PATTERN WHO STEP...: no tickets, and that text
stayed() {
	local what=$1 pattern=$2 rc=0

	shift 2
	with "$@"
	grep -qE -- "$pattern" out && grep -q '^exit' out && [ ! -e cc ] || rc=1
	ok "$NAME: $what" "$rc" out
}

# gets WHAT WHO: tickets, with the armor that is set, and a context
gets() {
	local rc=0

	rm -f cc trace ktrace
	own client.conf "$2@$REALM" "$KT" init host@localhost >out
	grep -qx "peer $2@$REALM" out || rc=1
	grep -q "FAST armor $ARMOR" trace || rc=2
	ok "$NAME: $1" "$rc" out
}

# not WHAT PATTERN WHO: no tickets, and that text
not() {
	local rc=0

	rm -f cc trace ktrace
	own client.conf "$3@$REALM" "$KT" init host@localhost >out
	grep -qE -- "$2" out && [ ! -e cc ] || rc=1
	ok "$NAME: $1" "$rc" out
}

traced() {
	local rc=0

	grep -qE -- "$2" "$3" || rc=1
	ok "$NAME: $1" "$rc" "$3"
}

test_armor() {
	local t

	OWN_ENV=KRB5_TRACE=$SCRATCH/ktrace
	armored armor.cc
	gets "an ordinary cache's armor" client
	traced "with an encrypted challenge" 'Encrypted challenge|encrypted_challenge \(138\) \(real\) returned: 0' ktrace
	traced "and its answer" 'Decrypted AS reply' ktrace
	no_keys "no key in the cache's file" client.conf
	gets "a client without preauthentication" nopre
	gets "a client with a key of aes128-cts alone" only17
	gets "a client with a key of aes256-cts alone" only18
	not "a client whose key gives no pseudo-random output" "no key with which only20@$REALM could initiate in FAST" only20
	not "another key" "Preauthentication failed" changed
	for t in 17 18 19 20; do
		armored "armor$t.cc"
		gets "armor with a session key of enctype $t" client
	done
	armored anonymous.cc
	gets "an anonymous cache's armor" client
	OWN_ENV=
}

# What has its keys on a token is armor, too: the KDC never sees the surrogate.
test_surrogates() {
	local before rc

	before=$(keys)
	adopted armor.cc on.armor.cc
	armored on.armor.cc
	OWN_ENV=KRB5_TRACE=$SCRATCH/ktrace
	gets "armor on the token" client
	traced "with an encrypted challenge" 'Encrypted challenge|encrypted_challenge \(138\) \(real\) returned: 0' ktrace
	no_keys "no key in the cache's file" client.conf
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$SCRATCH/on.armor.cc" scan on.armor.cc kdc.keytab \
		services.keytab 2>&1 | grep -v '^scan: [1-9].* no key of theirs' |
		verdict "$NAME: nor in the armor's"
	gets "a client without preauthentication" nopre
	not "another key" "Preauthentication failed" changed
	OWN_ENV=
	adopted anonymous.cc on.anonymous.cc
	armored on.anonymous.cc
	gets "an anonymous ticket whose key is on the token" only17
	adopted armor17.cc on.17.cc
	armored on.17.cc
	gets "armor of enctype 17" client
	adopted armor20.cc on.20.cc
	armored on.20.cc
	not "armor of enctype 20" "aes256-cts-hmac-sha384-192, which makes pseudo-random output of the key itself" client
	TOKEN_CONF=$PLAIN
	rm -f cc
	own client.conf "$CLIENT" "$KT" init host@localhost >out
	mv cc on.own.cc
	armored on.own.cc
	gets "armor of a cache that the module filled" only18
}

# Others than clients with a keytab on the token.
test_others() {
	local armor card before rc

	card=$(card_uri card)
	for armor in armor.cc on.anonymous.cc; do
		armored "$armor"
		before=$(keys)
		came "$armor: a password" carol password secret
		traced "$armor: with an encrypted challenge" 'encrypted_challenge|Encrypted challenge' ktrace
		came "$armor: a password with a salt of its own" salted password secret
		[ "$(keys)" = "$before" ] && rc=0 || rc=1
		ok "$NAME: $armor: its keys are gone with it" "$rc"
		stayed "$armor: a wrong password" "[Pp]reauthentication failed|[Pp]assword incorrect" carol password wrong
	done
	stayed "a card, and armor on the token" "on.anonymous.cc holds no keys, .*with a card.*kinit -n" \
		alice set "identity=$card" acquire
	grep "token=card" trace | verdict "$NAME: the card is left alone"
	armored anonymous.cc
	came "a card" alice set "identity=$card" acquire
	traced "which signed" "PKINIT|pkinit" ktrace
	no_keys "no key in the cache's file" client.conf
	stayed "a card that is not this client's" "[Cc]lient" carol set "identity=$card" acquire
	token_conf "$SCRATCH/armored.conf" "armor_ccache = FILE:$SCRATCH/armor18.cc" \
		"session_token = $TOKEN_URI" "fips = strict-mechanisms"
	TOKEN_CONF=$SCRATCH/armored.conf
	cp armor18.cc before.cc
	stayed "armor whose key fips refuses" "refuses aes256-cts-hmac-sha1-96 for the session key of the ticket in armor_ccache" \
		carol password secret
	cmp before.cc armor18.cc >out && rc=0 || rc=1
	ok "$NAME: and its cache is as it was" "$rc" out
	armored nothing.cc
	stayed "a password, and armor that is not there" "nothing.cc" carol password secret
	stayed "a card, and armor that is not there" "nothing.cc" alice set "identity=$card" acquire
	TOKEN_CONF=$PLAIN
}

test_fast_only() {
	realm_again "$SCRATCH/fast_only.conf" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
	armored armor.cc
	gets "a KDC that takes nothing but FAST" client
	TOKEN_CONF=$PLAIN
	rm -f cc
	own client.conf "$CLIENT" "$KT" init host@localhost >out
	grep -q '^acquire: ' out && [ ! -e cc ] && rc=0 || rc=1
	ok "$NAME: and without armor nothing comes of it" "$rc" out
	sed "s/disable = encrypted_timestamp/disable = none/" fast_only.conf >spake.conf
	cp spake.conf client.conf
	realm_again "$SCRATCH/spake.conf" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
	armored armor.cc
	gets "a KDC that offers SPAKE in FAST" client
	traced "which is hidden" 'preauthentication type 151 is hidden' trace
	came "a password and SPAKE in FAST" carol password secret
	armored on.armor.cc
	gets "armor on the token and SPAKE" client
	traced "which is hidden" 'preauthentication type 151 is hidden' trace
	came "armor on the token, a password and SPAKE" carol password secret
	traced "which is hidden, too" 'preauthentication type 151 is hidden' trace
	cp "$A_CONF" client.conf
	realm_again "$A_CONF" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
}

test_refused() {
	local rc

	armored nothing.cc
	not "an armor cache that is not there" "No credentials cache found.*nothing.cc|nothing.cc" client
	cp on.armor.cc on.stolen.cc
	cp on.armor.cc stolen.cc
	env KRB5_CONFIG="$PLAIN:$A_CONF" "$GSSP11_TOOL" destroy --token "$TOKEN_URI" "FILE:$SCRATCH/on.armor.cc" >out 2>&1
	ok "$NAME: the armor's keys are destroyed" $? out
	armored on.stolen.cc
	not "what was stolen is no armor" "armor_ccache.*holds no session key for this ticket" client
	stayed "nor for a password" "armor_ccache.*holds no session key for this ticket" carol password secret
	kinit -T FILE:stolen.cc -k -t clients.keytab -c FILE:cc client >out 2>&1 && rc=1 || rc=0
	grep -q "[Ii]ntegrity\|Password incorrect" out && [ ! -e cc ] || rc=1
	ok "$NAME: nor for the stock kinit" "$rc" out
	if [ -e "$SCRATCH/foreign" ]; then
		armored on.foreign.cc
		not "armor of another token" "armor_ccache: .*belongs to another token" client
	fi
	cp stolen.cc on.foreign.cc
	: >foreign
	adopted armor.cc on.armor.cc
	armored on.armor.cc
	sed "s/^\[realms\]/&\n    NOWHERE.TEST = {\n        kdc = $KDC_AT\n    }/" "$A_CONF" >client.conf
	rm -f cc trace
	env KRB5_CONFIG="$TOKEN_CONF:$SCRATCH/client.conf" KRB5CCNAME="FILE:$SCRATCH/cc" \
		GSS_MECH_CONFIG="$SCRATCH/mech.conf" "$INITTOOL" name carol@NOWHERE.TEST password secret >out 2>&1 && rc=1 || rc=0
	grep -q "NOWHERE.TEST" out && [ ! -e cc ] || rc=1
	ok "$NAME: armor of another realm" "$rc" out
	cp "$A_CONF" client.conf
	token_conf "$SCRATCH/armored.conf" "armor_ccache = FILE:$SCRATCH/armor.cc" "exposure = on-token"
	not "exposure = on-token" "exposure = on-token" client
	sed "s/^\[libdefaults\]/&\n    clockskew = 300/" "$A_CONF" >client.conf
	cp stale.cc old.cc
	armored old.cc
	not "armor that has expired" "[Tt]icket expired|Cannot find|expired" client
	armored on.old.cc
	not "armor on the token that has expired" "[Tt]icket expired|Cannot find|expired" client
	TOKEN_CONF=$PLAIN
}

# altered HOW PATTERN WHO [WORD...]: the exchange with a KDC that sends something else
altered() {
	local how=$1 pattern=$2 who=$3 rc=0

	shift 3
	rm -f cc
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:cc \
		alter "$how" as "$who" armor "FILE:$SCRATCH/$FROM" "$@" >out 2>&1 && rc=1
	grep -qE -- "$pattern" out && [ ! -e cc ] || rc=1
	ok "$NAME: $FROM: altered: $how $*" "$rc" out
}

# Whatever makes libkrb5 leave out FAST: what would go without it stays here.
test_unarmored() {
	local rc=0

	rm -f cc ktrace
	KRB5_TRACE=$SCRATCH/ktrace KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$EXCHANGE_PROBE" \
		"$TOKEN_URI" "$TOKEN_URI" FILE:cc as client unarmored "FILE:$SCRATCH/armor.cc" >out 2>&1 && rc=1
	grep -q 'without FAST, which is not sent' out && [ ! -e cc ] || rc=2
	grep -q 'Received answer' ktrace && rc=3
	ok "$NAME: no request without FAST goes out" "$rc" out
}

keys() {
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:none list
}

# The client's name in a reply counts inside the armor alone, so that outside may be altered.
test_altered() {
	local how before who

	FROM=$1
	before=$(keys)
	shift
	for who; do
		for how in first middle last; do
			altered "$how" "altered|ntegrity|ASN.1|DER|modified" "$who"
		done
		altered short "DER|ASN.1" "$who"
		altered type "." "$who"
		altered request "ntegrity|altered on its way|modified|match|reauth" "$who"
	done
	[ $# = 1 ] || altered replay "altered|ntegrity|another request" nopre twice
	{
		[ "$(keys)" = "$before" ] || echo "$before before, now $(keys)"
	} | verdict "$NAME: $FROM: altered messages leave no session key"
}

test_token() {
	local rc

	NAME=$1
	[ "$1" = softhsm ] || "token_$1" "$SCRATCH/$1"
	PLAIN=$TOKEN_CONF
	both_keys host/localhost
	kinit -l 3s -c FILE:on.old.cc -k -t armor.keytab armor
	adopted on.old.cc on.old.cc
	test_armor
	test_surrogates
	test_others
	test_fast_only
	test_refused
	test_unarmored
	test_altered armor.cc client nopre
	test_altered on.armor.cc client
}

kinit -l 2s -c FILE:stale.cc -k -t armor.keytab armor
KDC_AT=$(sed -n 's/^ *kdc = //p' "$A_CONF" | head -n 1)
[ $# -gt 0 ] || set -- "${TOKENS[@]}"
# The card is in the same token directory: a process has one SOFTHSM2_CONF.
token_softhsm "$SCRATCH/softhsm"
card_token card
card_put card 01 alice rsa:2048
for t; do
	test_token "$t"
done
verdicts_end
