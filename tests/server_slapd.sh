#!/bin/bash
# OpenLDAP's slapd over Cyrus SASL GSSAPI: Debian's server as its own user, with
# its key on a token and no key file anywhere; the stock ldap-utils as clients.
#
#   tests/server_slapd.sh      the build is in GSSP11_BUILD (default: the current directory)
#
# slapd is one process with threads: all contexts share one login to the token.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
# shellcheck source=tests/lib/server.sh
. "$TOP/tests/lib/server.sh"
shopt -s lastpipe
export LC_ALL=C
unset "${!LDAP@}"

CLIENTS=200
FRESH=64
PARALLEL=16
ENTRIES=6000
SUFFIX=dc=example,dc=org
USER_DN=uid=user,$SUFFIX
SLAPD=

# ---- server -------------------------------------------------------------------------

# slapd_conf LINE...: its configuration, with more lines.
slapd_conf() {
	cat >"$DIR/slapd.conf" <<-END
		include      /etc/ldap/schema/core.schema
		include      /etc/ldap/schema/cosine.schema
		pidfile      $DIR/pid
		modulepath   /usr/lib/ldap
		moduleload   back_mdb
		sasl-host    localhost
		sasl-realm   $REALM
		sasl-cbinding tls-endpoint
		authz-regexp "uid=([^,]*),(cn=[^,]*,)?cn=gssapi,cn=auth" "uid=\$1,$SUFFIX"
		TLSCertificateFile    $DIR/server.pem
		TLSCertificateKeyFile $DIR/server.key
		sizelimit    unlimited
		$(printf '%s\n' "$@")

		database     mdb
		suffix       $SUFFIX
		directory    $DIR/db
		dbnosync
		maxsize      268435456
		access to *
		    by dn.exact="$USER_DN" write
		    by dn.exact="gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth" write
		    by * none
	END
}

certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$DIR/$1.key" -out "$DIR/$1.pem" >"$SCRATCH/openssl.log" 2>&1 ||
		die "openssl: $(tail -n 3 "$SCRATCH/openssl.log")"
}

entries() {
	printf 'dn: %s\nobjectClass: domain\ndc: example\n\n' "$SUFFIX"
	awk -v n=$ENTRIES -v suffix="$SUFFIX" 'BEGIN {
		for (i = 1; i <= n; i++) {
			t = sprintf("%07d", i)
			for (k = 0; k < 7; k++)
				t = t "-" t
			printf "dn: uid=u%d,%s\nobjectClass: account\nuid: u%d\ndescription: %s\n\n", i, suffix, i, t
		}
	}'
}

slapd_files() {
	DIR=$SCRATCH/slapd
	mkdir -m 700 "$DIR" "$DIR/db"
	certificate server
	certificate proxy
	slapd_conf ""
	entries >"$SCRATCH/entries.ldif"
	slapadd -q -f "$DIR/slapd.conf" -l "$SCRATCH/entries.ldif" >"$SCRATCH/slapadd.log" 2>&1 ||
		die "slapadd failed: $(tail -n 3 "$SCRATCH/slapadd.log")"
	chown -R openldap "$DIR"
}

slapd_token() {
	server_key "$SCRATCH/ldap.keytab" ldap/localhost
	server_token "$1" openldap "$SCRATCH/ldap.keytab"
	SERVER_ENV+=(KRB5_KTNAME="$TOKEN_URI")
	server_port
	PORT=$SERVER_PORT
	server_port
	TLS_PORT=$SERVER_PORT
	LOG=$SCRATCH/slapd.$1.log
	SOCKET=ldapi://${SCRATCH//\//%2F}%2Fslapd%2Fsocket
	LDAP=ldap://localhost:$PORT
	LDAPS=ldaps://localhost:$TLS_PORT
}

slapd_start() {
	server_run "$LOG" openldap "$(command -v slapd)" -d 256 -f "$DIR/slapd.conf" \
		-h "ldap://127.0.0.1:$PORT ldaps://127.0.0.1:$TLS_PORT $SOCKET"
	SLAPD=$!
	server_up "$PORT" || die "slapd does not start: $(tail -n 5 "$LOG")"
}

slapd_stop() {
	unspawn "$SLAPD"
	token_on
}

# slapd_again LINE...: with other settings.
slapd_again() {
	slapd_stop
	slapd_conf "$@"
	slapd_start
}

# ---- clients --------------------------------------------------------------------------

# TLS is not checked by these clients: only the bindings tell whom they talk to.
client_conf() {
	export LDAPCONF=$SCRATCH/ldap.conf HOME=$SCRATCH
	cd "$SCRATCH"
	printf 'TLS_REQCERT never\nSASL_NOCANON on\nTIMEOUT 90\nNETWORK_TIMEOUT 90\n' >"$LDAPCONF"
}

# via TOOL [OPTION...]: through GSS-API, at $AT.
via() {
	local tool=$1

	shift
	timeout -k 5 100 "$tool" -Q -Y GSSAPI -H "${AT:-$LDAP}" "$@"
}

# The administrator, through the socket: no GSS-API there.
inside() {
	local tool=$1

	shift
	timeout -k 5 100 "$tool" -Q -Y EXTERNAL -H "$SOCKET" "$@"
}

whoami_is_user() {
	via ldapwhoami "$@" 2>&1 </dev/null | grep -vxF "dn:$USER_DN" || true
}

# fails PATTERN COMMAND...: it must, and its text have the pattern.
fails() {
	local pattern=$1

	shift
	if "$@" >"$SCRATCH/fails" 2>&1 </dev/null; then
		echo "this went well: $*"
	fi
	grep -qiE -- "$pattern" "$SCRATCH/fails" || {
		echo "no \"$pattern\" in:"
		cat "$SCRATCH/fails"
	}
}

log_mark() {
	LOG_SEEN=$(wc -c <"$LOG")
}

log_new() {
	tail -c "+$((LOG_SEEN + 1))" "$LOG"
}

logged() {
	log_new | grep -qE -- "$1"
}

log_must() {
	wait_for logged "$1" || {
		echo "the server's log has no \"$1\", but:"
		log_new | tail -n 20
	}
}

# The log's words about it, for the verdict.
reason() {
	log_new | grep -oE -- "$1.*" | head -n 1 | cut -c 1-300
}

# session_open NAME [OPTION...]: ldapsearch that reads what it looks for from a pipe, one a line.
session_open() {
	local name=$1
	local -n fd=SESSION_$name

	shift
	mkfifo "$SCRATCH/$name.in"
	via ldapsearch -LLL -o ldif-wrap=no -b "$SUFFIX" -f - "$@" '(uid=%s)' description \
		<"$SCRATCH/$name.in" >>"$SCRATCH/$name.out" 2>&1 &
	SPAWNED+=("$!")
	exec {fd}>"$SCRATCH/$name.in"
}

# session_says NAME UID PATTERN: what the search for it gives; else says what it gave instead.
session_says() {
	local -n fd=SESSION_$1

	: >"$SCRATCH/$1.out"
	{ echo "$2" >&"$fd"; } 2>/dev/null || true
	wait_for grep -qE -- "$3" "$SCRATCH/$1.out" || {
		echo "no \"$3\" for \"$2\", but:"
		cat "$SCRATCH/$1.out"
	}
}

session_close() {
	local -n fd=SESSION_$1

	exec {fd}>&-
	rm -f "$SCRATCH/$1.in"
}

# ---- layers -----------------------------------------------------------------------------

way_in() {
	{ server_loopback "$PORT" && server_loopback "$TLS_PORT" && server_no_keytab; } |
		verdict "$TOKEN_NAME: slapd serves loopback, its key in no file"
	whoami_is_user | verdict "$TOKEN_NAME: ldapwhoami -Y GSSAPI"
	{ grep -q gss_pkcs11 "/proc/$SLAPD/maps" || echo "slapd has not loaded the module"; } |
		verdict "$TOKEN_NAME: through the module"
	fails 'No Kerberos credentials available' env KRB5CCNAME="FILE:$SCRATCH/none" \
		timeout 20 ldapwhoami -Q -Y GSSAPI -H "$LDAP" |
		verdict "$TOKEN_NAME: without a ticket nobody comes in"
}

# layer SSF OPTION...: a bind that ends up with this layer, and nine megabytes through it.
layer() {
	local ssf=$1

	shift
	log_mark
	{
		whoami_is_user "$@"
		log_must "BIND dn=\"$USER_DN\" mech=GSSAPI bind_ssf=$ssf ssf="
		everything via "$@" | cmp "$SCRATCH/everything" - 2>&1 || true
	} | verdict "$TOKEN_NAME: SSF $ssf: ldapwhoami, and $(wc -c <"$SCRATCH/everything") octets of ldapsearch"
}

# everything WAY [OPTION...]: all entries, sorted by the server's own order.
everything() {
	local way=$1

	shift
	"$way" ldapsearch -LLL -o ldif-wrap=no -b "$SUFFIX" "$@" '(objectClass=*)' 2>&1 </dev/null
}

layers() {
	everything inside >"$SCRATCH/everything"
	[ "$(grep -c '^uid: u' "$SCRATCH/everything")" -ge $ENTRIES ] || die "$(head "$SCRATCH/everything")"
	server_calls
	layer 256
	awk '{ n[$1]++ } END { if (n["C_Encrypt"] < 50) print n["C_Encrypt"] + 0 " times C_Encrypt" }' \
		"$SCRATCH/lib/calls.log" | verdict "$TOKEN_NAME: and it was the token that encrypted"
	token_on
	layer 0 -O maxssf=0
	layer 1 -O maxssf=1
	layer 256 -O minssf=256
	fails 'No worthy mechs' via ldapwhoami -O minssf=257 |
		verdict "$TOKEN_NAME: no layer beyond 256"
}

# A value of a megabyte in and out, through a layer.
big_value() {
	local ssf

	head -c 750000 /dev/urandom | base64 -w 0 >"$SCRATCH/big"
	for ssf in 0 1 256; do
		printf 'dn: uid=big,%s\nobjectClass: account\nuid: big\ndescription: %s\n' \
			"$SUFFIX" "$(cat "$SCRATCH/big")" >"$SCRATCH/big.ldif"
		{
			via ldapadd -O "minssf=$ssf,maxssf=$ssf" -f "$SCRATCH/big.ldif" 2>&1 >/dev/null </dev/null || true
			inside ldapsearch -LLL -o ldif-wrap=no -b "$SUFFIX" '(uid=big)' description |
				sed -n 's/^description: //p' | tr -d '\n' | cmp "$SCRATCH/big" - 2>&1 || true
			via ldapsearch -LLL -o ldif-wrap=no -b "$SUFFIX" '(uid=big)' description |
				sed -n 's/^description: //p' | tr -d '\n' | cmp "$SCRATCH/big" - 2>&1 || true
			via ldapdelete "uid=big,$SUFFIX" 2>&1 </dev/null || true
		} | verdict "$TOKEN_NAME: SSF $ssf: a value of $(wc -c <"$SCRATCH/big") octets in and out"
	done
}

# The server asks for the layer, the client takes what it gets.
server_side() {
	slapd_again "sasl-secprops minssf=256"
	layer 256
	fails 'mechanism too weak' \
		via ldapwhoami -O maxssf=1 | verdict "$TOKEN_NAME: server wants SSF 256: a client with 1 at most is refused"
	slapd_again "sasl-secprops minssf=1,maxssf=1"
	layer 1
	fails 'mechanism too weak' via ldapwhoami -O minssf=256 |
		verdict "$TOKEN_NAME: server has SSF 1: a client that wants 256 gives up"
	slapd_again "sasl-secprops maxssf=0"
	layer 0
	fails 'mechanism too weak' via ldapwhoami -O minssf=1 |
		verdict "$TOKEN_NAME: server has SSF 0: a client that wants 1 gives up"
	slapd_again ""
}

# ---- channel bindings --------------------------------------------------------------------

# proxy PORT CERTIFICATE: ends TLS and speaks TLS with slapd, as somebody in the middle does.
proxy() {
	spawn "$SCRATCH/proxy.log" socat \
		"OPENSSL-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr,cert=$DIR/$2.pem,key=$DIR/$2.key,verify=0" \
		"OPENSSL:127.0.0.1:$TLS_PORT,verify=0"
	PROXY=$!
	server_up "$1" || die "socat does not start: $(tail -n 3 "$SCRATCH/proxy.log")"
}

bindings() {
	local bound=(-o SASL_CBINDING=tls-endpoint -O maxssf=0) middle

	server_port
	middle=ldaps://localhost:$SERVER_PORT
	AT=$LDAPS whoami_is_user "${bound[@]}" | verdict "$TOKEN_NAME: ldaps, right tls-endpoint bindings"
	whoami_is_user -ZZ "${bound[@]}" | verdict "$TOKEN_NAME: StartTLS, right tls-endpoint bindings"
	AT=$LDAPS whoami_is_user | verdict "$TOKEN_NAME: ldaps without bindings, and SASL's layer within TLS"
	proxy "$SERVER_PORT" proxy
	AT=$middle whoami_is_user -O maxssf=0 |
		verdict "$TOKEN_NAME: somebody in the middle is not noticed without bindings"
	log_mark
	{
		AT=$middle fails 'Invalid credentials' via ldapwhoami "${bound[@]}"
		log_must 'channel bindings'
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: and with them he is: $(reason 'channel bindings')" <"$SCRATCH/wrong"
	unspawn "$PROXY"
	server_port
	proxy "$SERVER_PORT" server
	AT=ldaps://localhost:$SERVER_PORT whoami_is_user "${bound[@]}" |
		verdict "$TOKEN_NAME: one who has the server's own certificate is none"
	unspawn "$PROXY"
	AT=$LDAPS whoami_is_user "${bound[@]}" | verdict "$TOKEN_NAME: and slapd goes on"
}

# ---- many at once --------------------------------------------------------------------------

parallel() {
	local i

	{
		for i in $(seq $PARALLEL); do
			{ everything via -O "minssf=$((i % 2 * 255 + 1)),maxssf=$((i % 2 * 255 + 1))" |
				cmp "$SCRATCH/everything" - 2>&1 || true; } &
		done
		wait
	} | verdict "$TOKEN_NAME: $PARALLEL searches at once, half with SSF 1 and half with 256"
}

fresh() {
	local i began=$SECONDS

	(
		for i in $(seq $FRESH); do
			via ldapwhoami </dev/null 2>&1 &
		done
		wait
	) >"$SCRATCH/fresh"
	{
		grep -vxF "dn:$USER_DN" "$SCRATCH/fresh" || true
		[ "$(wc -l <"$SCRATCH/fresh")" = $FRESH ] || echo "$(wc -l <"$SCRATCH/fresh") answers"
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: $FRESH fresh clients at once, $((SECONDS - began)) s" <"$SCRATCH/wrong"
}

bound_now() {
	[ "$(log_new | grep -c 'mech=GSSAPI bind_ssf=256')" -ge $CLIENTS ]
}

# Each client binds, and waits behind the gate before it searches.
many() {
	local i

	gate_shut
	log_mark
	for i in $(seq $CLIENTS); do
		flock -s "$GATE" echo "u$i" | via ldapsearch -LLL -o ldif-wrap=no -b "$SUFFIX" \
			-f - '(uid=%s)' uid >"$SCRATCH/many.$i" 2>&1 &
		CLIENT_PIDS[i]=$!
	done
	{
		wait_for bound_now || echo "they are not all there"
		[ "$(log_new | grep -c ' closed')" = 0 ] || echo "some are gone"
	} >"$SCRATCH/wrong"
	gate_open
	wait "${CLIENT_PIDS[@]}" 2>/dev/null || true
	for i in $(seq $CLIENTS); do
		grep -qx "uid: u$i" "$SCRATCH/many.$i" || head -n 3 "$SCRATCH/many.$i"
		rm -f "$SCRATCH/many.$i"
	done >>"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: $CLIENTS contexts open at once, and all answer" <"$SCRATCH/wrong"
}

# ---- what goes wrong -------------------------------------------------------------------------

alive() {
	kill -0 "$SLAPD" 2>/dev/null || echo "slapd is gone"
	inside ldapsearch -LLL -b "$SUFFIX" -s base dc 2>&1 </dev/null | grep -q 'dc: example' ||
		echo "slapd does not answer"
}

back() {
	whoami_is_user
	alive
}

removed() {
	session_open used
	session_open idle
	{
		session_says used u40 '-0000040'
		session_says idle u41 '-0000041'
	} | verdict "$TOKEN_NAME: two connections before the token goes"
	token_off ""
	log_mark
	{
		session_says used u42 "Can't contact LDAP server|lost|error"
		log_must "$LOST"
		alive
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: token removed, a connection that goes on is ended: $(reason "$LOST")" <"$SCRATCH/wrong"
	log_mark
	{
		fails 'Invalid credentials|Other' via ldapwhoami
		log_must "$GONE"
		alive
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: token removed, a new bind is refused: $(reason "$GONE")" <"$SCRATCH/wrong"
}

put_back() {
	token_on
	back | verdict "$TOKEN_NAME: token put back, it works again without a restart"
	log_mark
	{
		session_says idle u43 "Can't contact LDAP server|lost|error"
		log_must "$LOST"
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: a connection that slept meanwhile is ended: $(reason "$LOST")" <"$SCRATCH/wrong"
	session_close used
	session_close idle
	back | verdict "$TOKEN_NAME: and its user comes in again"
}

# The token stops answering while searches are under way: they end, slapd does not.
interrupted() {
	local i

	(
		for i in $(seq 4); do
			{ everything via >"$SCRATCH/cut.$i" && echo "search $i was not cut off"; } || true &
		done
		wait_for some_came
		token_off kept
		wait
	) >"$SCRATCH/wrong" 2>&1
	log_mark
	{
		fails 'Invalid credentials|Other' via ldapwhoami
		log_must "$GONE"
		alive
		rm -f "$SCRATCH"/cut.*
		token_on
		back
		everything via | cmp "$SCRATCH/everything" - 2>&1 || true
	} >>"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: token removed amid four searches: they end, and slapd works again" <"$SCRATCH/wrong"
}

some_came() {
	[ "$(cat "$SCRATCH"/cut.* | wc -c)" -gt 100000 ]
}

# The PIN is wanted when the token comes back.
pin() {
	pin_off
	token_off ""
	fails 'Invalid credentials|Other' via ldapwhoami >/dev/null
	token_on
	log_mark
	{
		fails 'Invalid credentials|Other' via ldapwhoami
		log_must "$TOKEN_PIN_FILE.*Permission denied"
		alive
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: PIN file unreadable: $(reason 'the PIN file')" <"$SCRATCH/wrong"
	pin_on
	back | verdict "$TOKEN_NAME: PIN file readable, it works again without a restart"
}

# ---- nothing left behind ---------------------------------------------------------------------

all_closed() {
	[ "$(grep -c ' closed' "$LOG")" = "$(grep -c ' ACCEPT from' "$LOG")" ]
}

leaks() {
	local fds open i

	whoami_is_user
	wait_for all_closed || true
	fds=$(server_fds "$SLAPD")
	server_calls
	for i in $(seq 100); do
		whoami_is_user
	done
	fails 'No worthy mechs' via ldapwhoami -O minssf=257
	wait_for all_closed || true
	open=$(server_open)
	[ "$(grep -c C_CreateObject "$SCRATCH/lib/calls.log")" -ge 100 ] || echo "the token saw nothing"
	token_on
	[ "${open#* }" = 0 ] || echo "token: sessions and objects left: $open"
	[ "$(server_fds "$SLAPD")" = "$fds" ] || echo "descriptors: $fds before, $(server_fds "$SLAPD") after"
}

# ---- all ---------------------------------------------------------------------------------------

LOST='the key was lost with the token'
GONE='no token matches'
CLIENT_PIDS=()
server_needs setpriv krb5kdc slapd slapadd ldapsearch openssl socat flock /etc/ldap/schema/core.schema \
	"$(first_file /usr/lib/*/sasl2/libgssapiv2.so /usr/lib*/sasl2/libgssapiv2.so || echo libgssapiv2.so)"
server_start slapd
host_mark
slapd_files
client_conf
for kind in softhsm nss; do
	slapd_token $kind
	slapd_start
	way_in
	layers
	big_value
	parallel
	if [ $kind = softhsm ]; then
		bindings
		fresh
		many
	fi
	leaks | verdict "$TOKEN_NAME: a hundred binds leave no descriptor and no key behind"
	if [ $kind = softhsm ]; then
		removed
		put_back
		interrupted
		pin
		server_side
	fi
	slapd_stop
done
host_same | verdict "the host's own configuration is as it was"
verdicts_end
