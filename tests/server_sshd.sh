#!/bin/bash
# OpenSSH's sshd with its host key on a token: logins, delegated credentials, a
# token that comes and goes.
#
#   tests/server_sshd.sh      the build is in GSSP11_BUILD (default: the current directory)
#
# sshd runs as root with a configuration of its own on a loopback port.  The
# user who logs in exists for this sshd only (nss_wrapper).
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
# shellcheck source=tests/lib/server.sh
. "$TOP/tests/lib/server.sh"
shopt -s lastpipe

SSHD=/usr/sbin/sshd
HOST=$(uname -n)
MANY=200
FRESH=64
WAVE=16

# ---- the server ----------------------------------------------------------------

# The privilege separation of sshd wants this folder, which its service makes at boot.
# It is empty and stays: another run may have come to need it.
privsep_dir() {
	[ -d /run/sshd ] || mkdir -m 755 /run/sshd
}

# A user `guest` with a shell, a home and no password, with the host's users beside him.
guest() {
	local dir=$SCRATCH/users

	mkdir -m 755 "$dir"
	mkdir -m 700 "$dir/home"
	chown nobody "$dir/home"
	cp /etc/group "$dir/group"
	grep -v '^guest:' /etc/passwd >"$dir/passwd"
	echo "guest:x:$(id -u nobody):$(id -g nobody)::$dir/home:/bin/bash" >>"$dir/passwd"
	echo 'guest:*:19000:0:99999:7:::' >"$dir/shadow"
	mkdir -m 755 "$dir/k5login"
	echo "user@$REALM" >"$dir/k5login/guest"
	GUEST_ENV=(LD_PRELOAD="$WRAPPER" NSS_WRAPPER_PASSWD="$dir/passwd"
		NSS_WRAPPER_GROUP="$dir/group" NSS_WRAPPER_SHADOW="$dir/shadow")
	SERVER_LIBDEFAULTS=("k5login_directory = $dir/k5login")
}

sshd_conf() {
	cat >"$SCRATCH/sshd_config" <<-END
		Port $SERVER_PORT
		ListenAddress 127.0.0.1
		HostKey $SCRATCH/host_key
		PidFile none
		LogLevel DEBUG1
		UsePAM no
		UseDNS no
		PermitUserRC no
		MaxStartups 500
		LoginGraceTime 60
		AllowUsers guest root
		AuthenticationMethods gssapi-with-mic gssapi-keyex
		GSSAPIAuthentication yes
		GSSAPIKeyExchange yes
		GSSAPIStrictAcceptorCheck $1
	END
	printf '[127.0.0.1]:%s %s\n' "$SERVER_PORT" "$(cat "$SCRATCH/host_key.pub")" >"$SCRATCH/known_hosts"
}

# sshd_start STRICT: leaves its pid in SSHD_PID.
sshd_start() {
	local try

	for try in 1 2 3; do
		server_port
		sshd_conf "$1"
		LOG=$SCRATCH/sshd.$TOKEN_NAME.$1.log
		SEEN=0
		server_run "$LOG" root "${GUEST_ENV[@]}" "$SSHD" -D -e -f "$SCRATCH/sshd_config"
		SSHD_PID=$!
		if server_up "$SERVER_PORT" && kill -0 "$SSHD_PID" 2>/dev/null; then
			return 0
		fi
		unspawn "$SSHD_PID"
	done
	die "sshd does not start: $(tail -n 3 "$LOG")"
}

# ---- the client ------------------------------------------------------------------

# login NAME [OPTION...] -- COMMAND: as guest, to the server called NAME.
login() {
	local options=(-o GSSAPIServerIdentity="$1")

	shift
	while [ "$1" != -- ]; do
		options+=(-o "$1")
		shift
	done
	shift
	# The first of two values counts.
	options+=(-o GSSAPIKeyExchange=no)
	timeout -k 5 "${PATIENCE:-30}" ssh -F none "${options[@]}" -p "$SERVER_PORT" -l "${WHO:-guest}" -o BatchMode=yes \
		-o StrictHostKeyChecking=yes -o UserKnownHostsFile="$SCRATCH/known_hosts" \
		-o GlobalKnownHostsFile=/dev/null -o ControlPath=none -o IdentityAgent=none \
		-o IdentityFile=none -o GSSAPIAuthentication=yes -o LogLevel=ERROR \
		-o PreferredAuthentications=gssapi-keyex,gssapi-with-mic 127.0.0.1 "$@" </dev/null
}

# Says what speaks against a login that ends with "in as guest".
in_as_guest() {
	local said

	# shellcheck disable=SC2016    # for the session's shell
	said=$(login "$@" -- 'echo "in as $(id -u) $HOME"' 2>&1) || true
	[ "$said" = "in as $(id -u nobody) $SCRATCH/users/home" ] || { echo "$said"; log_tail; }
}

not_in() {
	local said

	if said=$(login "$@" -- 'echo in' 2>&1) || [ "${said%in}" != "$said" ]; then
		echo "logged in: $said"
	fi
}

log_tail() {
	grep -vE 'debug1: (kex|rekey|SSH2|inetd|rexec|Forked|Set|res|Bind|list_hostkey|PAM)' "$LOG" | tail -n 25
}

# mark; logged PATTERN: the log since has it.
mark() {
	SEEN=$(wc -l <"$LOG")
}

since() {
	tail -n "+$((SEEN + 1))" "$LOG"
}

logged() {
	local i

	for i in 1 2 3 4 5 6 7 8 9 10; do
		if since | grep -qE -- "$1"; then
			return 0
		fi
		sleep 0.1
	done
	echo "(the log has no \"$1\")"
	log_tail
}

# ---- logins -----------------------------------------------------------------------

logins() {
	local what="sshd, $TOKEN_NAME:"

	KRB5CCNAME=FILE:$SCRATCH/none not_in localhost | verdict "$what no ticket, no login"
	WHO=root not_in localhost | verdict "$what no login as root, who has not said so"
	mark
	in_as_guest localhost | verdict "$what a login"
	logged "Accepted gssapi-with-mic for guest from 127.0.0.1 .*: user@$REALM" |
		verdict "$what it came about by gssapi-with-mic"
	mark
	in_as_guest localhost GSSAPIKeyExchange=yes | verdict "$what a login with GSSAPI key exchange"
	logged "Accepted gssapi-keyex for guest" | verdict "$what it came about by gssapi-keyex"
	server_no_keytab | verdict "$what there is no key file"
	server_loopback "$SERVER_PORT" | verdict "$what it listens at 127.0.0.1 only"
}

# The default: only the host's own name is accepted.
strict() {
	in_as_guest "$HOST" | verdict "sshd, strict acceptor check: a login as host/$HOST"
	if [ "$HOST" != localhost ]; then
		mark
		not_in localhost | verdict "sshd, strict acceptor check: a ticket for host/localhost is refused"
		logged "host/localhost|Wrong principal|no key" | verdict "and the log says why"
	fi
}

# ---- delegated credentials -----------------------------------------------------------

ccaches() {
	find /tmp -maxdepth 1 -name "krb5cc_$(id -u nobody)_*" | sort
}

# What the session does with its delegated credentials.
session_tickets() {
	# shellcheck disable=SC2016    # for the session's shell
	login localhost GSSAPIDelegateCredentials=yes -- "export KRB5_CONFIG=$SCRATCH/lib/realm.conf; "'
		echo "ccache $KRB5CCNAME"
		klist -s && echo "valid"
		klist -f | grep -E "Default principal|krbtgt|Flags"
		kvno svc18/localhost' 2>&1 || true
}

delegation() {
	ccaches >"$SCRATCH/ccaches"
	server_conf 'delegation = plain'
	session_tickets >"$SCRATCH/session"
	{
		grep -qE '^ccache FILE:/tmp/krb5cc_[0-9]+_' "$SCRATCH/session" || echo "no KRB5CCNAME"
		grep -qx valid "$SCRATCH/session" || echo "klist -s says no"
		grep -qE "Default principal: user@$REALM" "$SCRATCH/session" || echo "not user's"
		grep -qE 'Flags: F?.*f' "$SCRATCH/session" || echo "not forwarded"
		grep -qE '^svc18/localhost@.*: kvno = 1' "$SCRATCH/session" || echo "kvno gets no ticket"
	} >"$SCRATCH/against"
	[ ! -s "$SCRATCH/against" ] || cat "$SCRATCH/session" >>"$SCRATCH/against"
	verdict "delegation = plain: the session has tickets and gets more" <"$SCRATCH/against"
	wait_for ccaches_gone || true
	ccaches | diff "$SCRATCH/ccaches" - | verdict "delegation = plain: they are gone with the session"
	server_conf 'delegation = refuse'
	mark
	session_tickets >"$SCRATCH/session"
	{ grep -qx 'ccache ' "$SCRATCH/session" || cat "$SCRATCH/session"; } |
		verdict "delegation = refuse: a login, without credentials"
	server_conf 'delegation = perhaps'
	mark
	not_in localhost | verdict "delegation = perhaps: no login"
	logged 'delegation.*perhaps|perhaps.*delegation' | verdict "and the log names the setting"
	server_conf ""
}

# onwards MECH_CONFIG KRB5_CONFIG: from the session to the same server again, with what was delegated.
onwards() {
	# shellcheck disable=SC2016    # for the sessions' shells
	login localhost GSSAPIDelegateCredentials=yes -- "export GSS_MECH_CONFIG=$1 KRB5_CONFIG=$2; "'
		strings "${KRB5CCNAME#FILE:}" 2>/dev/null | grep -o gssp11_token | head -n 1
		klist -s && echo "valid"
		timeout 20 ssh -F none -o GSSAPIServerIdentity=localhost -p '"$SERVER_PORT"' -l guest -o BatchMode=yes \
			-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null \
			-o IdentityAgent=none -o IdentityFile=none -o GSSAPIAuthentication=yes -o LogLevel=DEBUG1 \
			-o PreferredAuthentications=gssapi-with-mic 127.0.0.1 "echo and on" </dev/null' 2>&1 || true
}

# In the session the keys of what was delegated are on the server's token: for who may open that.
delegation_token() {
	local guest=$SCRATCH/lib/guest.conf

	ccaches >"$SCRATCH/ccaches"
	server_conf 'delegation = token'
	onwards "$SCRATCH/lib/mech.conf" "$SCRATCH/lib/realm.conf" >"$SCRATCH/session"
	{
		grep -qx valid "$SCRATCH/session" || echo "klist -s says no"
		grep -q "belongs to token \"$TOKEN_LABEL\"" "$SCRATCH/session" || echo "the token is not named"
		! grep -qx 'and on' "$SCRATCH/session" || echo "logged in"
	} >"$SCRATCH/against"
	[ ! -s "$SCRATCH/against" ] || cat "$SCRATCH/session" >>"$SCRATCH/against"
	verdict "delegation = token: who cannot open the token is told so" <"$SCRATCH/against"

	# Now the user has a way to the token, and a PIN file of his own.
	chmod 711 "$SERVER_DIR"
	chmod 777 "$SERVER_DIR/nss"
	chmod 666 "$SERVER_DIR/nss"/*
	install -m 600 -o nobody "$TOKEN_PIN_FILE" "$SCRATCH/lib/guest.pin"
	cp "$SCRATCH/lib/realm.conf" "$guest"
	{
		echo "[appdefaults]"
		echo "    gssp11 = {"
		echo "        state_dir = $SCRATCH/users/home/state"
		echo "        module-init = ${SERVER_REAL##*/}: $TOKEN_INIT"
		echo "        session_token = $TOKEN_BARE?module-path=$SERVER_REAL&pin-source=file:$SCRATCH/lib/guest.pin"
		echo "    }"
	} >>"$guest"
	onwards "$SCRATCH/lib/mech.conf" "$guest" >"$SCRATCH/session"
	{
		grep -qx 'and on' "$SCRATCH/session" || cat "$SCRATCH/session"
		grep -qx gssp11_token "$SCRATCH/session" || echo "the cache has no mark"
	} | verdict "delegation = token: a login from the session with what was delegated"
	onwards "$SCRATCH/lib/stock.conf" "$guest" >"$SCRATCH/session"
	{
		grep -qx valid "$SCRATCH/session" || cat "$SCRATCH/session"
		! grep -qx 'and on' "$SCRATCH/session" || echo "logged in"
	} | verdict "delegation = token: the stock mechanism gets nowhere with it"
	wait_for ccaches_gone || true
	ccaches | diff "$SCRATCH/ccaches" - | verdict "delegation = token: the caches are gone with the sessions"
	rm -f "$SCRATCH/lib/guest.pin"
	chmod 700 "$SERVER_DIR"
	server_conf ""
}

ccaches_gone() {
	ccaches | cmp -s "$SCRATCH/ccaches" -
}

# ---- rekeying -----------------------------------------------------------------------------

# Each new key of a connection comes from a new context; sshd's monitor makes them all.
rekeying() {
	local n

	mark
	login localhost GSSAPIKeyExchange=yes RekeyLimit=64K -- \
		'for i in 1 2 3 4 5 6 7 8 9 10; do head -c 80000 /dev/zero; sleep 0.1; done' \
		>"$SCRATCH/zeros" 2>"$SCRATCH/rekey" || true
	cmp -s "$SCRATCH/zeros" <(head -c 800000 /dev/zero) && status=0 || status=1
	ok "sshd, $TOKEN_NAME: a session with new keys for each 64 KB" "$status" "$SCRATCH/rekey"
	n=$(since | grep -c 'rekeying in' || true)
	[ "$n" -ge 5 ] && status=0 || status=1
	ok "sshd, $TOKEN_NAME: it had new keys several times ($n)" "$status" <(log_tail)
	# More than a channel's window: it cannot end before the new keys are there.
	# shellcheck disable=SC2016    # for the session's shell
	login localhost GSSAPIKeyExchange=yes RekeyLimit=64K -- 'echo here; while [ ! -e '"$SCRATCH"'/lib/rekey ]
		do sleep 0.1; done; head -c 20000000 /dev/zero | tr "\\0" x' >"$SCRATCH/zeros" 2>"$SCRATCH/rekey" &
	n=$!
	wait_for grep -q '^here' "$SCRATCH/zeros" || true
	token_off ""
	mark
	: >"$SCRATCH/lib/rekey"
	wait "$n" && status=1 || status=0
	token_on
	rm "$SCRATCH/lib/rekey"
	ok "token removed: a session that needs new keys ends" "$status" "$SCRATCH/rekey"
	logged 'no token matches|removed' | verdict "token removed: the log says: $(since | grep -iE 'token' | head -n 1)"
	in_as_guest localhost GSSAPIKeyExchange=yes | verdict "token put back: a login with key exchange"
}

# ---- what goes wrong ------------------------------------------------------------------

# A session that was there before goes on; no new one comes.
token_away() {
	local session

	mkfifo "$SCRATCH/go"
	# shellcheck disable=SC2016    # for the session's shell
	login localhost -- "echo here; while [ ! -e $SCRATCH/lib/again ]; do sleep 0.1; done; echo still here" \
		>"$SCRATCH/long" 2>&1 &
	session=$!
	wait_for grep -q '^here' "$SCRATCH/long" || true
	token_off ""
	mark
	not_in localhost | verdict "token removed: no login"
	logged "token.*(removed|not present|no token|insert|there is no)|no token" |
		verdict "token removed: the log says so: $(since | grep -iE 'token' | head -n 1)"
	: >"$SCRATCH/lib/again"
	wait "$session" || true
	{ grep -q '^still here' "$SCRATCH/long" || cat "$SCRATCH/long"; } |
		verdict "token removed: a session goes on"
	token_on
	in_as_guest localhost | verdict "token put back: a login, without a restart"
}

pin_away() {
	pin_off
	mark
	not_in localhost | verdict "PIN file unreadable: no login"
	logged "PIN file $TOKEN_PIN_FILE" | verdict "PIN file unreadable: the log names it"
	pin_on
	in_as_guest localhost | verdict "PIN file readable: a login, without a restart"
}

# ---- many ------------------------------------------------------------------------------

# Each login is a process of sshd's that opens the token anew, and keeps its context as long as
# the session lasts.  All sessions wait until the last one is there; the first $FRESH come in
# one go, the others as fast as they get in.
many() {
	local i pids=() bad=0 before

	before=$(server_fds "$SSHD_PID")
	gate_shut
	for i in $(seq "$1"); do
		PATIENCE=300 login localhost -- "echo here; flock -s $GATE echo still here" \
			>"$SCRATCH/many.$i" 2>&1 &
		pids+=("$!")
		[ "$i" -lt "$FRESH" ] || wait_for here_are $((i - WAVE)) || break
	done
	wait_for here_are "$1" || true
	{ [ "$(monitors)" = "$1" ] || { echo "$(monitors) monitors"; sort "$SCRATCH"/many.* | uniq -c; }; } |
		verdict "sshd, $TOKEN_NAME: $1 logins and contexts at once"
	gate_open
	for i in "${pids[@]}"; do
		wait "$i" || true
	done
	for i in $(seq "$1"); do
		[ "$(cat "$SCRATCH/many.$i")" = $'here\nstill here' ] || bad=$((bad + 1))
	done
	{ [ "$bad" = 0 ] || { echo "$bad failed"; sort "$SCRATCH"/many.* | uniq -c; }; } |
		verdict "sshd, $TOKEN_NAME: each of those sessions goes on to its end"
	wait_for fds_are "$before" && status=0 || status=1
	ok "sshd, $TOKEN_NAME: no more descriptors than before ($before)" "$status"
	kill -0 "$SSHD_PID" && status=0 || status=1
	ok "sshd, $TOKEN_NAME: it is the process that was started" "$status"
	rm -f "$SCRATCH"/many.*
}

# The processes that hold the contexts: one for each connection.
monitors() {
	pgrep -c -P "$SSHD_PID" || true
}

here_are() {
	[ "$(cat "$SCRATCH"/many.* | grep -cx here)" -ge "$1" ]
}

fds_are() {
	[ "$(server_fds "$SSHD_PID")" -le "$1" ]
}

# ---- all ---------------------------------------------------------------------------------

WRAPPER=$(first_file /usr/lib/*-linux-gnu/libnss_wrapper.so /usr/lib64/libnss_wrapper.so) ||
	WRAPPER=libnss_wrapper.so
server_needs "$SSHD" ssh ssh-keygen kinit "$WRAPPER"
server_start sshd
host_mark
privsep_dir
guest
ssh-keygen -q -t ed25519 -N '' -f "$SCRATCH/host_key"
for token in ${SSHD_TOKENS:-nss softhsm}; do
	server_key "$SCRATCH/host.keytab" host/localhost "host/$HOST"
	server_token "$token" root "$SCRATCH/host.keytab"
	sshd_start no
	logins
	rekeying
	if [ "$token" = softhsm ]; then
		many "$MANY"
	else
		many "$FRESH"
		delegation_token
	fi
	[ "$token" = softhsm ] || unspawn "$SSHD_PID"
done
delegation
token_away
pin_away
unspawn "$SSHD_PID"
pin_off
sshd_start yes
not_in "$HOST" | verdict "PIN file unreadable at the start: no login"
logged "PIN file $TOKEN_PIN_FILE" | verdict "PIN file unreadable at the start: the log names it"
pin_on
strict
host_same | verdict "the host's own configuration is as before"
verdicts_end
