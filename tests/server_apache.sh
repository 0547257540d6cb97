#!/bin/bash
# Apache httpd with mod_auth_gssapi and the HTTP keys on a token: requests by
# the hundred, prefork and event workers, a token that comes and goes.
#
#   tests/server_apache.sh    the build is in GSSP11_BUILD (default: the current directory)
#
# httpd starts as root, with a configuration of its own on a loopback port, and
# serves as www-data, whose token it is.  curl asks, with the stock mechanism.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
# shellcheck source=tests/lib/server.sh
. "$TOP/tests/lib/server.sh"
shopt -s lastpipe

HTTPD=/usr/sbin/apache2
MODULES=/usr/lib/apache2/modules
USER_NAME=www-data
OPEN=200

# ---- the server ----------------------------------------------------------------

# Pages of the same content, each under another setting.
pages() {
	local page dir=$SCRATCH/pages

	mkdir -m 755 "$dir" "$SCRATCH/deleg"
	chown "$USER_NAME" "$SCRATCH/deleg"
	chmod 700 "$SCRATCH/deleg"
	for page in plain bound session deleg basic store slow; do
		mkdir -m 755 "$dir/$page"
		echo "the page" >"$dir/$page/index"
		head -c 10000 /dev/zero | tr '\0' x >"$dir/$page/long"
		head -c 2500 /dev/zero | tr '\0' x >"$dir/$page/short"
		chmod 644 "$dir/$page"/*
	done
}

mpm_prefork() {
	cat <<-END
		LoadModule mpm_prefork_module $MODULES/mod_mpm_prefork.so
		ServerLimit 64
		StartServers 64
		MinSpareServers 64
		MaxSpareServers 64
		MaxRequestWorkers 64
	END
}

mpm_event() {
	cat <<-END
		LoadModule mpm_event_module $MODULES/mod_mpm_event.so
		ServerLimit 4
		StartServers 4
		ThreadsPerChild 64
		ThreadLimit 64
		MinSpareThreads 256
		MaxSpareThreads 256
		MaxRequestWorkers 256
	END
}

httpd_modules() {
	local module

	for module in authn_core authz_core authz_user auth_gssapi session session_cookie ratelimit env; do
		echo "LoadModule ${module}_module $MODULES/mod_$module.so"
	done
}

# location NAME LINE...
location() {
	echo "<Location /$1>"
	echo "AuthType GSSAPI"
	echo "AuthName test"
	echo "Require valid-user"
	shift
	printf '%s\n' "$@"
	echo "</Location>"
}

httpd_conf() {
	local dir=$SCRATCH/run.$SERVER_PORT

	mkdir -m 711 "$dir"
	"mpm_$1"
	httpd_modules
	cat <<-END
		ServerRoot $dir
		DefaultRuntimeDir $dir
		PidFile $dir/pid
		ServerName localhost
		Listen 127.0.0.1:$SERVER_PORT
		User $USER_NAME
		Group $(id -gn "$USER_NAME")
		DocumentRoot $SCRATCH/pages
		ErrorLog $LOG
		LogLevel info auth_gssapi:debug
		LogFormat "%s %u %k %U" short
		CustomLog $ACCESS short
		KeepAlive On
		MaxKeepAliveRequests 0
		KeepAliveTimeout 15
		ListenBacklog 511
		Timeout 60
	END
	location plain
	location bound "GssapiConnectionBound On" "GssapiSignalPersistentAuth On"
	location session "GssapiUseSessions On" "Session On" "SessionCookieName gssp11 path=/session" \
		"GssapiSessionKey file:$dir/session.key"
	location deleg "GssapiDelegCcacheDir $SCRATCH/deleg" "GssapiDelegCcacheUnique Off"
	location basic "GssapiBasicAuth On"
	location store "GssapiCredStore keytab:$TOKEN_URI" "GssapiAcceptorName HTTP@localhost"
	location slow "GssapiConnectionBound On" "GssapiSignalPersistentAuth On" "SetOutputFilter RATE_LIMIT" "SetEnv rate-limit 2"
}

# httpd_start MPM [FIRST-PAGE-STATUS]: leaves its pid in HTTPD_PID.
httpd_start() {
	local try

	for try in 1 2 3; do
		server_port
		LOG=$SCRATCH/httpd.$TOKEN_NAME.$1.$try.log
		ACCESS=$SCRATCH/access.$TOKEN_NAME.$1.$try.log
		SEEN=0
		WHAT="httpd, $TOKEN_NAME, $1:"
		httpd_conf "$1" >"$SCRATCH/httpd.conf"
		server_run "$SCRATCH/httpd.out" root "$HTTPD" -D FOREGROUND -f "$SCRATCH/httpd.conf"
		HTTPD_PID=$!
		if server_up "$SERVER_PORT" && kill -0 "$HTTPD_PID" 2>/dev/null; then
			return 0
		fi
		unspawn "$HTTPD_PID"
	done
	die "httpd does not start: $(tail -n 3 "$SCRATCH/httpd.out")"
}

children() {
	pgrep -P "$HTTPD_PID" | sort -n
}

# ---- the client -------------------------------------------------------------------

URL() {
	echo "http://localhost:$SERVER_PORT/$1"
}

# plain OPTION... URL: the status of each answer, a line each.
plain() {
	timeout -k 5 60 curl -q -s -S -4 --noproxy '*' --max-time 45 -o /dev/null -w '%{http_code}\n' "$@" \
		</dev/null 2>"$SCRATCH/curl.err" || true
}

ask() {
	plain --negotiate -u : "$@"
}

# ask_many N AT-ONCE PAGE: a connection for each.
ask_many() {
	ask -Z --parallel-immediate --parallel-max "$2" -H "Connection: close" "$(URL "$3")?[1-$1]"
}

# counts N STATUS: says what it reads that is not N lines of that.
counts() {
	local n=$1 status=$2

	sort | uniq -c | awk -v n="$n" -v s="$status" '
		$2 == s { seen = $1; next } { print "got:" $0 }
		END { if (seen + 0 != n) print seen + 0 " of " n " were " s }' >"$SCRATCH/counts"
	[ ! -s "$SCRATCH/counts" ] || { cat "$SCRATCH/counts"; tail -n 3 "$SCRATCH/curl.err"; log_tail; }
}

log_tail() {
	since | grep -E 'error|crit|alert|emerg|notice' | tail -n 5 | cut -c 1-600
}

mark() {
	SEEN=$(wc -l <"$LOG")
}

since() {
	tail -n "+$((SEEN + 1))" "$LOG"
}

logged() {
	since | grep -qE -- "$1" || { echo "(the log has no \"$1\")"; since | tail -n 12; }
}

# The log's words on a failure, for the test's name.
words() {
	since | sed -n 's/.*() failed[^:]*: \[[^(]*(\(.*\))\]/\1/p' | head -n 1 | cut -c 1-250
}

# ---- requests -----------------------------------------------------------------------

refused() {
	KRB5CCNAME=FILE:$SCRATCH/none ask "$(URL plain/index)" | counts 1 401 |
		verdict "$WHAT no ticket: 401"
	mark
	ask --service-name svc18 "$(URL plain/index)" | counts 1 401 |
		verdict "$WHAT a ticket for a service that is not on the token: 401"
	logged 'svc18/localhost' | verdict "$WHAT the log says: $(words)"
	plain -H "Authorization: Negotiate AAAA" "$(URL plain/index)" | counts 1 401 |
		verdict "$WHAT a token of three zeros: 401"
	replayed
	KRB5CCNAME=FILE:$SCRATCH/none password user:wrong | counts 1 401 | verdict "$WHAT a wrong password: 401"
	plain -H "Cookie: gssp11=x" "$(URL session/index)" | counts 1 401 |
		verdict "$WHAT a session that nobody began: 401"
}

# The same Authorization twice; the second time by a client without a ticket.
replayed() {
	local header

	ask --trace-ascii "$SCRATCH/verbose" "$(URL plain/index)" >/dev/null
	header=$(perl -ne 's/^[0-9a-f]{4}: // or next; chomp; $t .= $_;
		END { print $1 if $t =~ m{(Authorization: Negotiate [\w+/=]*?)(User-Agent|$)} }' "$SCRATCH/verbose")
	[ -n "$header" ] || header="Authorization: none"
	mark
	plain -H "$header" "$(URL plain/index)" | counts 1 401 | verdict "$WHAT a replay: 401"
	logged '[Rr]eplay' | verdict "$WHAT the log says: $(words)"
}

password() {
	plain --basic -u "$1" "$(URL basic/index)"
}

requests() {
	ask "$(URL plain/long)" | counts 1 200 | verdict "$WHAT a request"
	# Lines come after the answers they tell of.
	wait_for grep -q "^200 user@$REALM 0 /plain/long" "$ACCESS" && status=0 || status=1
	ok "$WHAT the access log names user@$REALM" "$status" "$ACCESS"
	ask "$(URL store/index)" | counts 1 200 | verdict "$WHAT a request where GssapiCredStore names the token"
	ask_many 100 100 plain/index | counts 100 200 |
		verdict "$WHAT 100 requests in parallel"
	ask "$(URL plain/index)?[1-20]" | counts 20 200 | verdict "$WHAT 20 requests on one connection"
	awk 'NR > 1 && $3 > m { m = $3 } END { exit !(m >= 15) }' "$ACCESS" && status=0 || status=1
	ok "$WHAT it was one connection" "$status"
	bound
	sessions
}

bound() {
	mark
	ask "$(URL bound/index)?[1-20]" | counts 20 200 | verdict "$WHAT 20 requests, authenticated by connection"
	{ [ "$(since | grep -c 'Already established context')" -ge 19 ] || since | tail -n 12; } |
		verdict "$WHAT one of them brought a ticket"
}

# A cookie stands for the ticket.
sessions() {
	rm -f "$SCRATCH/jar"
	ask -c "$SCRATCH/jar" "$(URL session/index)" | counts 1 200 | verdict "$WHAT a request that begins a session"
	KRB5CCNAME=FILE:$SCRATCH/none ask -b "$SCRATCH/jar" "$(URL session/index)" | counts 1 200 |
		verdict "$WHAT its cookie does without a ticket"
	KRB5CCNAME=FILE:$SCRATCH/none ask "$(URL session/index)" | counts 1 401 |
		verdict "$WHAT without the cookie: 401"
	password user:password | counts 1 200 | verdict "$WHAT a password, checked with the token's key"
}

delegation() {
	local cache

	rm -f "$SCRATCH"/deleg/*
	ask --delegation always "$(URL deleg/index)" | counts 1 200 | verdict "$WHAT delegation = plain: a request"
	cache=$(find "$SCRATCH/deleg" -type f | head -n 1)
	kvno -q -c "FILE:$cache" svc18/localhost >"$SCRATCH/kvno" 2>&1 && status=0 || status=1
	ok "$WHAT delegation = plain: the stored credentials get a ticket" "$status" "$SCRATCH/kvno"
}

delegation_refused() {
	rm -f "$SCRATCH"/deleg/*
	ask --delegation always "$(URL deleg/index)" | counts 1 200 | verdict "$WHAT delegation = refuse: a request"
	find "$SCRATCH/deleg" -type f | verdict "$WHAT delegation = refuse: nothing is stored"
}

# ---- a token that comes and goes ------------------------------------------------------

# What comes next in a request that has passed authentication.
authenticated() {
	[ "$(since | grep -c 'skipping impersonation')" -ge "$1" ]
}

# served N WHAT: N requests are answered.  A process that found the token away, and waited
# long to find it so, does not look again for as long: five seconds at most.
served() {
	for _ in 1 2 3 4 5 6 7 8; do
		ask_many "$1" 50 plain/index >"$SCRATCH/served"
		[ "$(grep -cx 200 "$SCRATCH/served")" != "$1" ] || break
		sleep 1
	done
	counts "$1" 200 <"$SCRATCH/served" | verdict "$WHAT $2"
}

# trickle PAGE: a connection whose first page takes a second, and then it asks for PAGE.
trickle() {
	mark
	ask "$(URL "{slow,$1}/short")" >"$SCRATCH/kept" &
	TRICKLE=$!
	wait_for authenticated 1 || true
}

# After each change enough requests that every child gets its share.
token_away() {
	local was

	was=$(children)
	ask -c "$SCRATCH/jar" "$(URL session/index)" >"$SCRATCH/session"
	trickle bound
	token_off ""
	mark
	ask_many 100 50 plain/index | counts 100 401 |
		verdict "$WHAT token removed: 100 requests get 401"
	logged 'removed|not present|no token|insert' | verdict "$WHAT the log says: $(words)"
	plain -b "$SCRATCH/jar" "$(URL session/index)" | counts 1 200 | verdict "$WHAT token removed: a session goes on"
	wait "$TRICKLE" || true
	counts 2 200 <"$SCRATCH/kept" | verdict "$WHAT token removed: an authenticated connection goes on"
	token_on
	mark
	served 200 "token put back: 200 requests"
	diff <(echo "$was") <(children) | verdict "$WHAT token put back: the same children serve"
	grep -E 'segfault|exit signal|core dumped' "$LOG" | verdict "$WHAT no child died"
}

# Requests all the while, during which the token answers and does not.
flicker() {
	local load

	ask_many 600 40 plain/index >"$SCRATCH/load" &
	load=$!
	for _ in 1 2 3 4 5 6; do
		token_off kept
		sleep 0.1
		token_on
		sleep 0.1
	done
	wait "$load" || true
	grep -vxE '200|401' "$SCRATCH/load" | verdict "$WHAT token comes and goes under load: 200 or 401"
	[ "$(sort -u "$SCRATCH/load" | wc -l)" = 2 ] && status=0 || status=1
	ok "$WHAT and there was both" "$status"
	served 200 "token stays: 200 requests"
	grep -E 'segfault|exit signal|core dumped' "$LOG" | verdict "$WHAT no child died"
}

pin_away() {
	pin_off
	httpd_start "$1"
	mark
	ask "$(URL plain/index)?[1-8]" | counts 8 401 | verdict "$WHAT PIN file unreadable at the start: 401"
	logged "PIN file $TOKEN_PIN_FILE" | verdict "$WHAT the log says: $(words)"
	pin_on
	served 100 "PIN file readable: 100 requests, without a restart"
	trickle plain
	pin_off
	wait "$TRICKLE" || true
	counts 2 200 <"$SCRATCH/kept" | verdict "$WHAT PIN file unreadable later: who is logged in goes on"
	token_off ""
	ask_many 300 32 plain/index | counts 300 401 | verdict "$WHAT token away: 401"
	token_on
	mark
	# A child that was not asked meanwhile has noticed nothing.
	ask_many 100 32 plain/index >"$SCRATCH/off"
	{ [ "$(grep -cx 401 "$SCRATCH/off")" -ge 50 ] || counts 100 401 <"$SCRATCH/off"; } |
		verdict "$WHAT token away and back, no PIN file: 401"
	logged "PIN file $TOKEN_PIN_FILE" | verdict "$WHAT the log says: $(words)"
	pin_on
	served 100 "token back, PIN file too: 100 requests, without a restart"
}

# ---- many, for long --------------------------------------------------------------------

# Each request holds its context while its page trickles.
at_once() {
	local slow objects

	server_calls
	mark
	ask_many "$OPEN" "$OPEN" slow/long >"$SCRATCH/slow" &
	slow=$!
	wait_for authenticated "$OPEN" || true
	{
		authenticated "$OPEN" || echo "$(since | grep -c 'skipping impersonation') of $OPEN are past authentication"
		grep '/slow/long' "$ACCESS"
		read -r _ objects < <(server_open)
		[ "$objects" -ge "$OPEN" ] || echo "$objects objects on the token"
	} | verdict "$WHAT $OPEN contexts open at once"
	wait "$slow" || true
	counts "$OPEN" 200 <"$SCRATCH/slow" | verdict "$WHAT and all of them got their page"
	token_on
}

grows() {
	local fds calls now

	server_calls
	# shellcheck disable=SC2046
	{
		ask_many 300 50 plain/index | counts 300 200
		sleep 1
		fds=$(server_fds $(children))
		calls=$(server_open)
		ask_many 600 50 plain/index | counts 600 200
		sleep 1
		now=$(server_fds $(children))
		# There may be a few more workers than before, with a session each.
		[ "$now" -le $((fds + 60)) ] || echo "descriptors: $fds, then $now"
		echo "$calls $(server_open)" | awk '$3 > $1 + 60 || $4 > $2 + 60 {
			print "sessions, objects: " $1 ", " $2 ", then " $3 ", " $4 }'
	} | verdict "$WHAT 600 more requests leave no descriptor, session or object"
	token_on
}

graceful() {
	kill -USR1 "$HTTPD_PID"
	sleep 1
	ask_many 100 50 plain/index | counts 100 200 |
		verdict "$WHAT 100 requests after a graceful restart"
}

# ---- all ---------------------------------------------------------------------------------

server_needs "$HTTPD" curl pgrep "$MODULES/mod_auth_gssapi.so"
getent passwd "$USER_NAME" >/dev/null || server_skip "there is no user $USER_NAME"
server_start apache
host_mark
pages
for token in nss softhsm; do
	server_key "$SCRATCH/http.keytab" HTTP/localhost
	server_token "$token" "$USER_NAME" "$SCRATCH/http.keytab"
	for mpm in prefork event; do
		httpd_start $mpm
		refused
		requests
		delegation
		if [ "$token" = softhsm ]; then
			server_no_keytab | verdict "$WHAT there is no key file"
			server_loopback "$SERVER_PORT" | verdict "$WHAT it listens at 127.0.0.1 only"
			token_away
			flicker
			[ "$mpm" != event ] || at_once
			grows
			graceful
		fi
		unspawn "$HTTPD_PID"
	done
done
for mpm in prefork event; do
	pin_away "$mpm"
	unspawn "$HTTPD_PID"
done
server_conf 'delegation = refuse'
httpd_start event
delegation_refused
unspawn "$HTTPD_PID"
host_same | verdict "the host's own configuration is as before"
verdicts_end
