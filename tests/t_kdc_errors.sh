#!/bin/bash
# What a KDC says no to, how it says it, and by which way: initiators with keys on
# a token say what the stock mechanism says with the same keys in files, and a
# failure leaves no ticket and no key behind.
#
#   tests/t_kdc_errors.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/second.sh
. "$TOP/tests/lib/second.sh"
# shellcheck source=tests/lib/both.sh
. "$TOP/tests/lib/both.sh"
shopt -s lastpipe

SKEWED=$(preload "$(build_file . skewed.so)")
scratch_start errors
cd "$SCRATCH"

# ---- the realm --------------------------------------------------------------

realm_start "$SCRATCH/a" || die "no realm"
A_CONF=$KRB5_CONFIG
sed -i '/default_client_keytab_name/d' "$A_CONF"
KT=$SCRATCH/a/krb5.keytab
cp "$KT" services.keytab
# Those who may not, for one reason or another.
PEOPLE="client gone expired stale barred changed hardware nopre brief"
{
	for p in $PEOPLE; do
		echo "addprinc -randkey $p"
		echo "modprinc +requires_preauth $p"
		echo "ktadd -norandkey -k $SCRATCH/clients.keytab $p"
	done
	echo "addprinc -randkey -e $ETYPE_NAME_17:normal odd"
	echo "ktadd -norandkey -k $SCRATCH/clients.keytab odd"
	echo "modprinc -requires_preauth nopre"
	echo "delprinc -force gone"
	echo "modprinc -expire 2001-01-01 expired"
	echo "modprinc -pwexpire 2001-01-01 stale"
	echo "modprinc -allow_tix barred"
	echo "cpw -randkey changed"
	echo "modprinc +requires_hwauth hardware"
	echo "modprinc -maxlife 6sec brief"
	for s in closed late user2user local only_pre; do
		echo "addprinc -randkey $s/localhost"
		echo "ktadd -norandkey -k $SCRATCH/services.keytab $s/localhost"
	done
	echo "modprinc -allow_svr closed/localhost"
	echo "modprinc -expire 2001-01-01 late/localhost"
	echo "modprinc +requires_preauth only_pre/localhost"
	echo "modprinc -allow_tgs_req local/localhost"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
both_start
CLIENT=client@$REALM

# variant NAME SED: a krb5.conf that differs
variant() {
	sed "$2" "$A_CONF" >"$1.conf"
}
variant client ''
variant udp 's/udp_preference_limit = .*/udp_preference_limit = 32700/'
variant lost "s/^\( *kdc = \).*/\1127.0.0.1:9/"
variant second "s/^\( *kdc = \).*/\1127.0.0.1:9\n&/"
variant nowhere '/^ *kdc = /d'
variant strict 's/^\[libdefaults\]/&\n    kdc_timesync = 0/'
variant loose 's/^\[libdefaults\]/&\n    clockskew = 10000/'
variant weak "s/permitted_enctypes = .*/permitted_enctypes = $ETYPE_NAME_20/"

# kdc SED CONF [ENV...]: the KDC with a kdc.conf that differs
kdc() {
	local change=$1

	shift
	sed "$change" "$REALM_DIR/kdc.conf" >kdc.conf
	realm_again "$A_CONF" KRB5_KDC_PROFILE="$SCRATCH/kdc.conf" "$@"
}

# nothing WHAT: no cache, and no more keys on the token than before
nothing() {
	{
		[ ! -e cc ] || echo "there is a cache"
		[ "$(keys)" = "$before" ] || echo "$before before, now $(keys)"
	} | verdict "$NAME: $1"
}

keys() {
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:none list
}

# ---- errors -----------------------------------------------------------------

refused() {
	same "$1" "^acquire: .*$2" "${4:-client.conf}" "$3@$REALM" "$KT"
}

test_as() {
	refused "a client that the KDC does not know" "not found in Kerberos database" gone
	refused "a client that has expired" "entry in database has expired" expired
	refused "a key that has expired" "Password has expired" stale
	refused "a client that is locked" "credentials have been revoked" barred
	refused "another key" "Preauthentication failed" changed
	refused "a client with a device that is not there" "." hardware
	refused "no enctype that both know" "." odd weak.conf
	refused "a KDC that is not there" "Cannot contact any KDC" client lost.conf
	refused "no KDC known" "Cannot find KDC" client nowhere.conf
	nothing "nothing came of these"
	same "the second KDC answers" "^peer $CLIENT" second.conf "$CLIENT" "$KT" init host@localhost
	same "a client without preauthentication" "^peer nopre@" client.conf "nopre@$REALM" "$KT" init host@localhost
}

test_tgs() {
	same "a service that the KDC does not know" "^init: .*not found in Kerberos database" client.conf \
		"$CLIENT" "$KT" init nothing@localhost
	cp cc saved
	before=$(keys)
	export KEEP=yes
	same "a service that is closed" "^init: .*" client.conf "$CLIENT" "$KT" init closed@localhost
	same "a service that has expired" "^init: .*" client.conf "$CLIENT" "$KT" init late@localhost
	same "a service that takes no such requests" "^init: .*" client.conf "$CLIENT" "$KT" init local@localhost
	same "no enctype that both know, for a service" "^init: .*" weak.conf "$CLIENT" "$KT" init svc17-17@localhost
	same "a KDC that has gone meanwhile" "^init: .*Cannot contact any KDC" lost.conf "$CLIENT" "$KT" \
		init host@localhost
	{
		cmp cc saved
		[ "$(keys)" = "$before" ] || echo "$before before, now $(keys)"
	} 2>&1 | verdict "$NAME: failures leave the cache and the token as they were"
	unset KEEP
	same "preauthentication that is asked for and was had" "^peer" client.conf "$CLIENT" services.keytab \
		init only_pre@localhost
	same "and not had" "^init: .*" client.conf "nopre@$REALM" services.keytab init only_pre@localhost
	same "a service's other key" "^accept: .*" client.conf "$CLIENT" kdc.keytab init host@localhost
}

# ---- clocks -------------------------------------------------------------------

# The KDC's clock is ahead, then behind; with and without a client that follows it.
test_clocks() {
	local by

	for by in 3600 -3600; do
		kdc '' LD_PRELOAD="$SKEWED" SKEWED_SECONDS="$by"
		before=$(keys)
		refused "the KDC is $by seconds away, no timesync" "." client strict.conf
		refused "the same without preauthentication" "Clock skew" nopre strict.conf
		nothing "$by seconds: nothing came of it"
		same "the KDC is $by seconds away, and the client follows: acquired" "^done" client.conf "$CLIENT" "$KT" inquire
		same "the KDC is $by seconds away, and the client follows" "." client.conf "$CLIENT" "$KT" init host@localhost
		same "the same in a later process" "." client.conf "$CLIENT" "$KT" init svc18@localhost
		same "everybody is generous" "^peer $CLIENT" loose.conf "$CLIENT" "$KT" init host@localhost
	done
	kdc ''
}

# ---- transport ------------------------------------------------------------------

# again_by_tcp N WHAT: so many of the requests that went over UDP came again over TCP
again_by_tcp() {
	local rc=0

	[ "$(grep -c 'too big for UDP' ktrace)" -ge "$1" ] || rc=1
	ok "$NAME: $2" "$rc" ktrace
}

test_udp() {
	local rc

	kdc "s/kdc_listen = .*/kdc_listen = 127.0.0.1:$REALM_PORT/; s/^\[kdcdefaults\]/&\n    kdc_max_dgram_reply_size = 4096/"
	OWN_ENV=KRB5_TRACE=$SCRATCH/ktrace
	rm -f ktrace
	same "UDP" "^peer $CLIENT" udp.conf "$CLIENT" "$KT" init host@localhost
	grep -q 'Sending initial UDP' ktrace && ! grep -q 'TCP' ktrace && rc=0 || rc=1
	ok "$NAME: and nothing but UDP" "$rc" ktrace
	kdc "s/kdc_listen = .*/kdc_listen = 127.0.0.1:$REALM_PORT/; s/^\[kdcdefaults\]/&\n    kdc_max_dgram_reply_size = 300/"
	rm -f ktrace
	same "answers too big for UDP" "^peer $CLIENT" udp.conf "$CLIENT" "$KT" init host@localhost \
		init svc20@localhost delegate svc18@localhost
	again_by_tcp 1 "they came again over TCP"
	no_keys "no key in the cache's file" client.conf
	rm -f ktrace
	same "errors too big for UDP" "not found in Kerberos database" udp.conf "$CLIENT" "$KT" init nothing@localhost
	OWN_ENV=
	kdc ''
}

# ---- kinds of preauthentication -----------------------------------------------------

# SPAKE is hidden, so what is left must do; a KDC that insists on FAST is told apart.
test_preauth() {
	sed "s/^\[libdefaults\]/&\n    spake_preauth_groups = edwards25519/" "$A_CONF" >spake.conf
	realm_again "$SCRATCH/spake.conf" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
	same "a KDC that offers SPAKE" "^peer $CLIENT" spake.conf "$CLIENT" "$KT" init host@localhost
	{
		cat "$A_CONF"
		printf '[plugins]\n    kdcpreauth = {\n        disable = encrypted_timestamp\n    }\n'
	} >fast_only.conf
	realm_again "$SCRATCH/fast_only.conf" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
	before=$(keys)
	rm -f cc
	refused "a KDC that takes no timestamp" "." client
	nothing "nothing came of it"
	kdc ''
}

test_token() {
	NAME=$1
	"token_$1" "$SCRATCH/$1"
	both_keys host/localhost svc18/localhost
	before=$(keys)
	test_as
	test_tgs
	test_clocks
	test_udp
	test_preauth
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
