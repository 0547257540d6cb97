#!/bin/bash
# No key in the application's memory: an acceptor and an initiator are watched
# (tests/watch.c) at every PKCS#11 call and at every message sent or received,
# and what was in their memory is searched for every key of the conversation,
# protocol keys and derived ones, known from the KDC's and the peer's side.
#
# Two controls show that the search finds what is there: the stock mechanism,
# and this module with keys of class "transient".
#
#   tests/t_memory.sh [nss|nss_fips]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
shopt -s lastpipe

WATCH=${WATCH:-$(build_file . watch.so)}
SHIM=${GSSP11_SHIM:-$(build_file . p11shim.so)}
KEYS=${MEMORY_KEYS:-$(build_file tests memory_keys)}
EXCHANGE=$(build_file tests exchange_probe)
scratch_start memory
cd "$SCRATCH"
realm_start "$SCRATCH/realm" || die "no realm"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
REALM_CONF=$KRB5_CONFIG

# The client has a key of each enctype; the KDC's own key opens ticket-granting tickets.
{
	for t in 17 18 19 20; do
		echo "addprinc -randkey -e $(etype_name $t):normal client$t"
		echo "ktadd -norandkey -k $SCRATCH/client$t.keytab client$t"
	done
	echo "ktadd -norandkey -k $REALM_DIR/krb5.keytab krbtgt/$REALM@$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"

# ---- conversations ------------------------------------------------------------

# Options of the peer program: for both sides, for the one that is watched, for the other.
BOTH=(-f mutual)
OWN=()
OTHER=()

# watched COMMAND...: notes what is in its memory in "dump"
watched() {
	timeout -k 5 60 env "${WHO[@]}" LD_PRELOAD="$WATCH" WATCH_DUMP=dump "$PEER" "$@" -s \
		"${BOTH[@]}" "${OWN[@]}"
}

# peer_of COMMAND...: the stock mechanism, which leaves the context's keys in "context"
peer_of() {
	timeout -k 5 60 env KRB5_CONFIG="$REALM_CONF" KRB5_KTNAME="FILE:$REALM_DIR/krb5.keytab" \
		KRB5CCNAME="FILE:$SCRATCH/cc" "$PEER" "$@" -s "${BOTH[@]}" "${OTHER[@]}" -k context
}

# talk WHO SERVICE: the acceptor or the initiator is watched
talk() {
	local pid rc=0 acceptor=peer_of initiator=watched

	if [ "$1" = accept ]; then
		acceptor=watched initiator=peer_of
	fi
	rm -f sock context cc deleg.cc
	kinit -f -c "FILE:$SCRATCH/cc" -k -t "$SCRATCH/client18.keytab" client18 || return 1
	$acceptor accept sock >log 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	$initiator init sock "$2@$REALM" >log.init 2>&1 </dev/null || rc=1
	wait "$pid" || rc=1
	cat log.init >>log
	return $rc
}

# search COMMAND: prints keys; what was found of them goes to "found"
search() {
	if ! "$@" >keys || ! "$KEYS" context context >>keys; then
		die "the keys are not known"
	fi
	perl "$TOP/tests/lib/watch.pl" dump keys >found || die "no search"
	rm -f dump dump.steps
	[ "$(wc -l <keys)" -ge 30 ] || die "only $(wc -l <keys) keys are known"
}

acceptors_keys() {
	"$KEYS" keytab "FILE:$REALM_DIR/$1.keytab" | grep -F "$2@" &&
		"$KEYS" ccache "FILE:$SCRATCH/cc" | grep -F "$2@"
}

initiators_keys() {
	"$KEYS" keytab "FILE:$SCRATCH/client$1.keytab" &&
		KRB5_KTNAME="FILE:$REALM_DIR/krb5.keytab" "$KEYS" tickets "FILE:$SCRATCH/init.cc"
}

# delegated VERB KEYS...: these, and those of the forwarded ticket
delegated() {
	local verb=$1

	shift
	"$@" && KRB5_KTNAME="FILE:$REALM_DIR/krb5.keytab" "$KEYS" "$verb" "FILE:$SCRATCH/deleg.cc"
}

# module EXPOSURE LINE...: WHO is this module, with these settings
module() {
	local uri="$TOKEN_BARE?module-path=$SHIM&pin-source=file:$TOKEN_PIN_FILE"

	token_conf "$SCRATCH/exposure.conf" "exposure = $1" "${@:2}"
	printf '[libdefaults]\n\tforwardable = true\n' >>exposure.conf
	sed -i "s|module-init = [^:]*:|module-init = p11shim.so:|" exposure.conf
	sed "/default_client_keytab_name/d" "$REALM_CONF" >realm.conf
	rm -f init.cc
	WHO=(KRB5_CONFIG="$SCRATCH/exposure.conf:$SCRATCH/realm.conf" KRB5_KTNAME="$uri"
		KRB5_CLIENT_KTNAME="$uri" KRB5CCNAME="FILE:$SCRATCH/init.cc"
		GSS_MECH_CONFIG="$SCRATCH/mech.conf" P11SHIM_MODULE="$TOKEN_MODULE"
		GSSP11_TRACE="$SCRATCH/trace")
}

# ---- what must be found, and what must not ----------------------------------------

# in_memory PATTERN: says so when no such key was found
in_memory() {
	grep -q "^found $1" found || { echo "not found: $1"; cat found; }
}

stock() {
	local service=svc$1-$2/localhost what="stock, enctypes $1 and $2:"

	WHO=(KRB5_KTNAME="FILE:$REALM_DIR/$1.keytab" KRB5_CONFIG="$REALM_CONF")
	talk accept "$service"
	ok "$what a conversation" $? log
	search acceptors_keys "$1" "$service"
	in_memory "$service@$REALM" | verdict "$what protocol keys are found in its memory"
	in_memory "context key" | verdict "$what and the context's keys"
}

transient() {
	local service=svc$1-$2/localhost what="$TOKEN_NAME, transient, enctypes $1 and $2:" rc=0

	keytab import "$REALM_DIR/$1.keytab" "$service"
	module transient
	talk accept "$service" || rc=1
	ok "$what a conversation" $rc log
	search acceptors_keys "$1" "$service"
	in_memory "$service@$REALM" | verdict "$what the session key is found, on its way into the token"
	in_memory "context key" | verdict "$what and the subkeys"
}

# none WHAT COMMAND...: after a conversation, of these keys none was in memory
none() {
	local what=$1

	shift
	search "$@"
	grep '^found' found | verdict "$what of $(wc -l <keys) keys none was in memory ($(tail -n 1 found))"
}

acceptor() {
	local service=svc$1-$2/localhost what="$TOKEN_NAME, on-token, acceptor, enctypes $1 and $2:" rc=0

	keytab import "$REALM_DIR/$1.keytab" "$service"
	module on-token
	talk accept "$service" || rc=1
	ok "$what a conversation with a stock peer" $rc log
	[ "$rc" != 0 ] || none "$what" acceptors_keys "$1" "$service"
}

initiator() {
	local service=svc18-$1/localhost what="$TOKEN_NAME, on-token, initiator, enctype $1:" rc=0

	keytab import --use initiate "$SCRATCH/client$1.keytab"
	module on-token
	talk init "$service" || rc=1
	ok "$what from the client's key to a conversation with a stock peer" $rc log
	[ "$rc" != 0 ] || none "$what" initiators_keys "$1"
	keytab delete "client$1"
}

# exchange WHAT WHO SERVICE KEYS...: another conversation, with the options as they are set
exchange() {
	local what="$TOKEN_NAME, on-token, $1:" rc=0

	talk "$2" "$3" || rc=1
	ok "$what a conversation with a stock peer" $rc log
	[ "$rc" != 0 ] || none "$what" "${@:4}"
	BOTH=(-f mutual) OWN=() OTHER=()
}

# The third leg of the DCE style, pseudo-random octets, a context that is moved, a forwarded ticket.
for_users_keys() {
	"$KEYS" keytab "FILE:$SCRATCH/client$1.keytab" &&
		KRB5_KTNAME="FILE:$SCRATCH/all.keytab" "$KEYS" tickets "FILE:$SCRATCH/init.cc" &&
		KRB5_KTNAME="FILE:$SCRATCH/all.keytab" "$KEYS" tickets "FILE:$SCRATCH/held.cc"
}

# exchange_at COMMAND...: the KDC translation alone; what is in its memory goes to "dump"
exchange_at() {
	local uri="$TOKEN_BARE?module-path=$SHIM&pin-source=file:$TOKEN_PIN_FILE"

	rm -f held.cc dump dump.steps
	timeout -k 5 60 env "${WHO[@]}" LD_PRELOAD="$WATCH" WATCH_DUMP=dump EXCHANGE_COPY="FILE:$SCRATCH/held.cc" \
		"$EXCHANGE" "$uri" "$uri" "FILE:$SCRATCH/init.cc" "$@" >log 2>&1
}

# for_user ETYPE: requests that take a ticket-granting ticket of their own, and that one's key, too
for_user() {
	local what="$TOKEN_NAME, on-token, enctype $1:" rc

	keytab import --use initiate "$SCRATCH/client$1.keytab"
	cp "$REALM_DIR/krb5.keytab" all.keytab
	tail -c +3 "client$1.keytab" >>all.keytab
	module on-token
	exchange_at as "client$1" forwardable && rc=0 || rc=1
	ok "$what a ticket-granting ticket" $rc log
	exchange_at held_for_user s4u "user@$REALM" && rc=0 || rc=1
	ok "$what a ticket for another user, with PA-FOR-USER, too" $rc log
	[ "$rc" != 0 ] || none "$what for another user:" for_users_keys "$1"
	if [ "$1" = 20 ]; then
		exchange_at held authdata svc20/localhost "$REALM_DIR/krb5.keytab" && rc=0 || rc=1
		ok "$what a ticket with authorization data" $rc log
		[ "$rc" != 0 ] || none "$what with authorization data:" for_users_keys "$1"
	else
		module transient
		exchange_at as "client$1" forwardable && exchange_at held s4u "user@$REALM" && rc=0 || rc=1
		ok "$TOKEN_NAME, transient, enctype $1: a ticket for another user" $rc log
		search for_users_keys "$1"
		in_memory "krbtgt/" | verdict "$TOKEN_NAME, transient, enctype $1: the held ticket's key is found"
	fi
	keytab delete "client$1"
}

acceptor_more() {
	local s=svc$1-$2/localhost of="acceptor, enctypes $1 and $2"

	keytab import "$REALM_DIR/$1.keytab" "$s"
	module on-token "prf = allow" "delegation = token"
	BOTH=(-f dce)
	exchange "$of, DCE style" accept "$s" acceptors_keys "$1" "$s"
	BOTH=(-f mutual -p) OWN=(-o)
	exchange "$of, PRF in a moved context" accept "$s" acceptors_keys "$1" "$s"
	BOTH=(-f "mutual,deleg") OWN=(-t "FILE:$SCRATCH/deleg.cc")
	exchange "$of, delegation" accept "$s" delegated tickets acceptors_keys "$1" "$s"
}

initiator_more() {
	local s=svc18-$1/localhost of="initiator, enctype $1"

	keytab import --use initiate "$SCRATCH/client$1.keytab"
	module on-token "prf = allow"
	BOTH=(-f dce)
	exchange "$of, DCE style" init "$s" initiators_keys "$1"
	BOTH=(-f mutual -p) OWN=(-o)
	exchange "$of, PRF in a moved context" init "$s" initiators_keys "$1"
	BOTH=(-f "mutual,deleg") OTHER=(-t "FILE:$SCRATCH/deleg.cc")
	exchange "$of, delegation" init "$s" delegated ccache initiators_keys "$1"
	keytab delete "client$1"
}

# keytab VERB OPTION...: the tool, on the token
keytab() {
	local verb=$1

	shift
	KRB5_CONFIG=$TOKEN_CONF:$REALM_CONF "$GSSP11_TOOL" keytab "$verb" --yes --token "$TOKEN_URI" \
		"$@" >keytab.log 2>&1 || die "keytab $verb: $(tail -n 1 keytab.log)"
}

for name in "${@:-nss}"; do
	"token_$name" "$SCRATCH/$name"
	stock 18 20
	transient 18 20
	for pair in "18 20" "17 17" "19 19" "20 18"; do
		# shellcheck disable=SC2086    # two words
		acceptor $pair
	done
	for type in 17 18 19 20; do
		initiator $type
	done
	acceptor_more 18 20
	for type in 18 20; do
		initiator_more $type
	done
	for type in 18 20; do
		for_user $type
	done
done
verdicts_end
