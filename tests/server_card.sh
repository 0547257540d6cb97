#!/bin/bash
# Clients with a smart card: curl and ssh, unmodified, get their tickets by PKINIT
# and their session keys onto a token, and talk to httpd and sshd with theirs on
# another.
#
#   tests/server_card.sh      the build is in GSSP11_BUILD (default: the current directory)
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
# shellcheck source=tests/lib/server.sh
. "$TOP/tests/lib/server.sh"
# shellcheck source=tests/lib/card.sh
. "$TOP/tests/lib/card.sh"
shopt -s lastpipe

SSHD=/usr/sbin/sshd
HTTPD=/usr/sbin/apache2
MODULES=/usr/lib/apache2/modules
PROBE=$(build_file tests exchange_probe)

# ---- servers ---------------------------------------------------------------------

httpd_conf() {
	local module

	[ -d "$SCRATCH/httpd" ] || mkdir -m 711 "$SCRATCH/httpd"
	for module in mpm_event authn_core authz_core authz_user auth_gssapi; do
		echo "LoadModule ${module}_module $MODULES/mod_$module.so"
	done
	cat <<-END
		ServerRoot $SCRATCH/httpd
		DefaultRuntimeDir $SCRATCH/httpd
		PidFile $SCRATCH/httpd/pid
		ServerName localhost
		Listen 127.0.0.1:$SERVER_PORT
		User www-data
		Group www-data
		DocumentRoot $SCRATCH/pages
		ErrorLog $SCRATCH/httpd.log
		LogFormat "%s %u" short
		CustomLog $SCRATCH/access.log short
		<Location />
		AuthType GSSAPI
		AuthName test
		Require valid-user
		</Location>
	END
}

httpd_start() {
	local try

	mkdir -m 755 "$SCRATCH/pages"
	echo "the page" >"$SCRATCH/pages/index"
	for try in 1 2 3; do
		server_port
		HTTP_PORT=$SERVER_PORT
		httpd_conf >"$SCRATCH/httpd.conf"
		server_run "$SCRATCH/httpd.out" root "$HTTPD" -D FOREGROUND -f "$SCRATCH/httpd.conf"
		if server_up "$SERVER_PORT" && kill -0 "$!" 2>/dev/null; then
			return 0
		fi
		unspawn "$!"
	done
	die "httpd does not start: $(tail -n 3 "$SCRATCH/httpd.out")"
}

# A user for this sshd only (nss_wrapper); alice may log in as him.
guest() {
	local dir=$SCRATCH/users

	mkdir -m 755 "$dir" "$dir/k5login"
	mkdir -m 700 "$dir/home"
	chown nobody "$dir/home"
	cp /etc/group "$dir/group"
	{
		grep -v '^guest:' /etc/passwd
		echo "guest:x:$(id -u nobody):$(id -g nobody)::$dir/home:/bin/bash"
	} >"$dir/passwd"
	echo 'guest:*:19000:0:99999:7:::' >"$dir/shadow"
	echo "alice@$REALM" >"$dir/k5login/guest"
	GUEST_ENV=(LD_PRELOAD="$WRAPPER" NSS_WRAPPER_PASSWD="$dir/passwd"
		NSS_WRAPPER_GROUP="$dir/group" NSS_WRAPPER_SHADOW="$dir/shadow")
	SERVER_LIBDEFAULTS=("k5login_directory = $dir/k5login")
}

sshd_conf() {
	cat <<-END
		Port $SERVER_PORT
		ListenAddress 127.0.0.1
		HostKey $SCRATCH/host_key
		PidFile none
		LogLevel DEBUG1
		UsePAM no
		UseDNS no
		AllowUsers guest
		AuthenticationMethods gssapi-with-mic gssapi-keyex
		GSSAPIAuthentication yes
		GSSAPIKeyExchange yes
		GSSAPIStrictAcceptorCheck no
	END
}

sshd_start() {
	local try

	[ -d /run/sshd ] || mkdir -m 755 /run/sshd
	ssh-keygen -q -t ed25519 -N "" -f "$SCRATCH/host_key"
	for try in 1 2 3; do
		server_port
		SSH_PORT=$SERVER_PORT
		sshd_conf >"$SCRATCH/sshd_config"
		printf '[127.0.0.1]:%s %s\n' "$SSH_PORT" "$(cat "$SCRATCH/host_key.pub")" >"$SCRATCH/known_hosts"
		server_run "$SCRATCH/sshd.log" root "${GUEST_ENV[@]}" "$SSHD" -D -e -f "$SCRATCH/sshd_config"
		if server_up "$SERVER_PORT" && kill -0 "$!" 2>/dev/null; then
			return 0
		fi
		unspawn "$!"
	done
	die "sshd does not start: $(tail -n 3 "$SCRATCH/sshd.log")"
}

# ---- the client --------------------------------------------------------------------

# settings SETTING...: the client's krb5.conf
settings() {
	token_conf "$SCRATCH/client.conf" "session_token = $TOKEN_URI" "$@"
}

client() {
	env KRB5_CONFIG="$SCRATCH/client.conf:$SCRATCH/lib/realm.conf" GSS_MECH_CONFIG="$SCRATCH/lib/mech.conf" \
		KRB5CCNAME="FILE:$SCRATCH/cc" GSSP11_TRACE="$SCRATCH/trace" timeout -k 5 60 "$@" </dev/null
}

ask() {
	client curl -q -s -S -4 --noproxy '*' --negotiate -u : -o /dev/null -w '%{http_code}\n' \
		"http://localhost:$HTTP_PORT/index" 2>&1 || true
}

login() {	# login OPTION...
	# shellcheck disable=SC2016    # for the session's shell
	client ssh -F none "$@" -o GSSAPIServerIdentity=localhost -p "$SSH_PORT" -l guest -o BatchMode=yes \
		-o StrictHostKeyChecking=yes -o UserKnownHostsFile="$SCRATCH/known_hosts" \
		-o GlobalKnownHostsFile=/dev/null -o ControlPath=none -o IdentityAgent=none \
		-o IdentityFile=none -o GSSAPIAuthentication=yes -o LogLevel=ERROR \
		-o PreferredAuthentications=gssapi-keyex,gssapi-with-mic 127.0.0.1 'echo "in as $HOME"' 2>&1 || true
}

is() {	# is WANT: says what it reads that is something else
	local got

	got=$(cat)
	[ "$got" = "$1" ] || { echo "$got"; tail -n 3 "$SCRATCH/trace" "$SCRATCH/httpd.log" 2>/dev/null || true; }
}

by_card() {	# says so unless the last command asked the card for tickets
	grep -q 'initial tickets; their session key is transient' "$SCRATCH/trace" || tail -n 3 "$SCRATCH/trace"
}

no_keys() {
	KRB5_CONFIG=$SCRATCH/client.conf:$SCRATCH/lib/realm.conf "$PROBE" "$TOKEN_URI" "$TOKEN_URI" \
		"FILE:$SCRATCH/cc" scan "$SCRATCH/cc" "$SCRATCH"/*.known 2>&1 |
		grep -v '^scan: [1-9].* no key of theirs' || true
}

fresh() {
	rm -f "$SCRATCH/cc" "$SCRATCH/trace"
}

clients() {
	local home="in as $SCRATCH/users/home"

	fresh
	settings
	ask | is 401 | verdict "$TOKEN_NAME: curl without a card: no page"
	settings "identity = $(card_uri card)"
	fresh
	ask | is 200 | verdict "$TOKEN_NAME: curl --negotiate with a card"
	by_card | verdict "$TOKEN_NAME: by PKINIT"
	tail -n 1 "$SCRATCH/access.log" | is "200 alice@$REALM" | verdict "$TOKEN_NAME: httpd knows whose"
	no_keys | verdict "$TOKEN_NAME: no key in curl's cache"
	fresh
	login | is "$home" | verdict "$TOKEN_NAME: ssh with a card"
	by_card | verdict "$TOKEN_NAME: by PKINIT"
	no_keys | verdict "$TOKEN_NAME: no key in ssh's cache"
	login -o GSSAPIKeyExchange=yes | is "$home" | verdict "$TOKEN_NAME: ssh with key exchange, from the cache"
	ask | is 200 | verdict "$TOKEN_NAME: curl from ssh's cache"
	fresh
	settings "identity = $(card_uri card | sed 's/card.pin/wrong.pin/')"
	token_pin "$CARD_DIR/wrong.pin" 192837465
	ask | is 401 | verdict "$TOKEN_NAME: curl with a wrong PIN: no page"
	grep -c '^.*C_Login token=card -> CKR_PIN_INCORRECT' "$SCRATCH/trace" | is 1 |
		verdict "$TOKEN_NAME: which is tried once"
}

# ---- all ---------------------------------------------------------------------------------

WRAPPER=$(first_file /usr/lib/*-linux-gnu/libnss_wrapper.so /usr/lib64/libnss_wrapper.so) ||
	WRAPPER=libnss_wrapper.so
server_needs "$SSHD" "$HTTPD" "$MODULES/mod_auth_gssapi.so" ssh ssh-keygen curl pkcs11-tool "$WRAPPER"
first_file /usr/lib/*/krb5/plugins/preauth/pkinit.so /usr/lib64/krb5/plugins/preauth/pkinit.so \
	>/dev/null || server_skip "PKINIT is not installed (package krb5-pkinit)"
SERVER_PKINIT=yes
server_start card
host_mark
{
	echo "addprinc -randkey +requires_preauth alice"
	echo "ktadd -norandkey -k $SCRATCH/kdc.known krbtgt/$REALM@$REALM"
} | kadmin.local >"$SCRATCH/kadmin.alice" 2>&1 || die "kadmin.local: $(tail -n 1 "$SCRATCH/kadmin.alice")"

# What the KDC knows, to look for.
server_key "$SCRATCH/http.keytab" HTTP/localhost
cp "$SCRATCH/http.keytab" "$SCRATCH/http.known"
server_token softhsm www-data "$SCRATCH/http.keytab"
httpd_start
unset SOFTHSM2_CONF
guest
server_key "$SCRATCH/host.keytab" host/localhost
cp "$SCRATCH/host.keytab" "$SCRATCH/host.known"
server_token softhsm root "$SCRATCH/host.keytab"
sshd_start
unset SOFTHSM2_CONF

# The client's own tokens, from now on.
token_softhsm "$SCRATCH/client"
card_token card
card_put card 01 alice rsa:2048
clients
token_nss "$SCRATCH/client"
clients
host_same | verdict "the host's own configuration is as it was"
realm_stop
verdicts_end
