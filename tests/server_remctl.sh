#!/bin/bash
# remctld with its host key on a token: a real server that keeps a GSS-API context
# over a fork.  It establishes the context, then forks for each command that the
# client asks for, and protects what the command says with that context.
#
#   tests/server_remctl.sh      the build is in GSSP11_BUILD (default: the current directory)
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

REMCTLD=/usr/sbin/remctld
USER_OF=daemon
MANY=200
# remctld listens with a backlog of five; the kernel may drop what overflows it.
WAVE=5
OCTETS=4000000

# ---- the server ----------------------------------------------------------------

# The one command: what it says shows who forked it, and whether the context goes on.
command_file() {
	cat >"$SCRATCH/lib/command" <<-END
		#!/bin/bash
		case \$1 in
		who)  echo "\$REMOTE_USER, a child of \$PPID" ;;
		big)  head -c $OCTETS /dev/zero | tr '\\0' x ;;
		echo) printf %s "\$2" ;;
		in)   wc -c ;;
		wait) echo here; flock -s $SCRATCH/lib/gate echo still here ;;
		status) exit 7 ;;
		esac
	END
	printf 'test %s %s princ:user@%s\n' ALL "$SCRATCH/lib/command" "$REALM" >"$SCRATCH/lib/remctl.conf"
	printf 'stdin ALL %s stdin=last princ:user@%s\n' "$SCRATCH/lib/command" "$REALM" >>"$SCRATCH/lib/remctl.conf"
	printf 'other ALL %s princ:nobody@%s\n' "$SCRATCH/lib/command" "$REALM" >>"$SCRATCH/lib/remctl.conf"
	chmod 755 "$SCRATCH/lib/command"
	chmod 644 "$SCRATCH/lib/remctl.conf"
}

remctld_start() {
	server_port
	LOG=$SCRATCH/remctld.$TOKEN_NAME.log
	SEEN=0
	server_run "$LOG" "$USER_OF" "$REMCTLD" -m -F -S -d -b 127.0.0.1 -p "$SERVER_PORT" \
		-f "$SCRATCH/lib/remctl.conf" -s "host/localhost@$REALM"
	DAEMON=$!
	server_up "$SERVER_PORT" || die "remctld does not start: $(tail -n 3 "$LOG")"
}

# ---- the client ------------------------------------------------------------------

# What it says is to be seen at once.
ask() {
	timeout -k 5 "${PATIENCE:-30}" stdbuf -o0 remctl -p "$SERVER_PORT" -s "host/localhost@$REALM" 127.0.0.1 "$@" 2>&1
}

# fails PATTERN ARGUMENT...: it must, and its text have the pattern.
fails() {
	local pattern=$1 said

	shift
	said=$(ask "$@") && echo "this went well: $said"
	grep -qiE -- "$pattern" <<<"$said" || echo "no \"$pattern\" in: $said"
}

mark() {
	SEEN=$(wc -l <"$LOG")
}

has() {
	tail -n "+$((SEEN + 1))" "$LOG" | grep -qE -- "$1"
}

logged() {
	wait_for has "$1" || {
		echo "(the log has no \"$1\")"
		tail -n "+$((SEEN + 1))" "$LOG" | tail -n 15
	}
}

# ---- commands ---------------------------------------------------------------------

commands() {
	local what="remctld, $TOKEN_NAME:" said

	KRB5CCNAME=FILE:$SCRATCH/none fails 'credentials' test who | verdict "$what no ticket, no command"
	fails 'denied' other who | verdict "$what somebody else's command is denied"
	fails 'unknown' nothing who | verdict "$what there is no such command"
	said=$(ask test who) || true
	{ [[ $said = "user@$REALM, a child of "* ]] || echo "$said"; } |
		verdict "$what a command, of a child that the context's owner forked"
	{ [ "${said##* }" != "$DAEMON" ] || echo "that was the listener itself"; } |
		verdict "$what whose owner is the connection's own process"
	ask test status >/dev/null && status=0 || status=$?
	{ [ "$status" = 7 ] || echo "$status"; } | verdict "$what the command's status arrives"
	server_no_keytab | verdict "$what there is no key file"
	server_loopback "$SERVER_PORT" | verdict "$what it listens at 127.0.0.1 only"
}

# Nothing of this could be said before the fork.
after_fork() {
	local what="remctld, $TOKEN_NAME:" line

	server_calls
	ask test big | cmp - <(head -c $OCTETS /dev/zero | tr '\0' x) 2>&1 | verdict "$what $OCTETS octets from the child"
	# remctld's messages have 64 KB at most.
	awk -v least=$((OCTETS / 65536)) '{ n[$1]++ } END { if (n["C_Encrypt"] < least) print n["C_Encrypt"] + 0 " times C_Encrypt" }' \
		"$SCRATCH/lib/calls.log" | verdict "$what and it was the token that encrypted them"
	token_on
	line=$(head -c 100000 /dev/zero | tr '\0' y)
	ask test echo "$line" | cmp - <(printf %s "$line") 2>&1 | verdict "$what an argument of 100000 octets, there and back"
	{ [ "$(ask stdin in "$line")" = 100000 ] || ask stdin in "$line" | head -n 3; } |
		verdict "$what and one that the child reads from its standard input"
}

# ---- many, and what goes wrong -------------------------------------------------------

here_are() {
	[ "$(cat "$SCRATCH"/wait.* | grep -cx here)" -ge "$1" ]
}

# waiting N: commands that say a word and then stand at the gate; ended: they say another, and end.
waiting() {
	local i

	PIDS=()
	gate_shut
	for i in $(seq "$1"); do
		PATIENCE=300 ask test wait >"$SCRATCH/wait.$i" &
		PIDS+=("$!")
		[ "$i" -lt "$WAVE" ] || wait_for here_are $((i - WAVE + 1)) || break
	done
	wait_for here_are "$1" || true
}

ended() {
	local pid

	gate_open
	for pid in "${PIDS[@]}"; do
		wait "$pid" || true
	done
}

many() {
	local what="remctld, $TOKEN_NAME:" i bad=0

	waiting "$1"
	{ here_are "$1" || { sort "$SCRATCH"/wait.* | uniq -c; grep -iE 'error|fail|token "' "$LOG" | tail -n 5; }; } |
		verdict "$what $1 contexts at once, each with a child"
	ended
	for i in $(seq "$1"); do
		[ "$(cat "$SCRATCH/wait.$i")" = $'here\nstill here' ] || bad=$((bad + 1))
	done
	{ [ "$bad" = 0 ] || { echo "$bad failed"; sort "$SCRATCH"/wait.* | uniq -c; }; } |
		verdict "$what each of them goes on over the fork"
	rm -f "$SCRATCH"/wait.*
	kill -0 "$DAEMON" && status=0 || status=1
	ok "$what it is the process that was started" "$status"
}

# The token goes between the fork and the child's next word.
token_away() {
	waiting 1
	token_off ""
	mark
	ended
	{ ! grep -q '^still here' "$SCRATCH/wait.1" || cat "$SCRATCH/wait.1"; } |
		verdict "token removed: the context that the child was to speak through is gone"
	logged 'key was lost|no token matches' |
		verdict "token removed: the log says: $(tail -n "+$((SEEN + 1))" "$LOG" | grep -E 'key was lost|no token matches' | head -n 1 | cut -c 1-200)"
	fails '.' test who | verdict "token removed: no command"
	token_on
	{ [[ $(ask test who) = "user@$REALM, a child of "* ]] || ask test who; } |
		verdict "token put back: a command, without a restart"
	rm -f "$SCRATCH"/wait.*
}

# ---- all ---------------------------------------------------------------------------------

server_needs "$REMCTLD" remctl kinit
server_start remctl
host_mark
command_file
for token in ${REMCTL_TOKENS:-nss softhsm}; do
	server_key "$SCRATCH/host.keytab" host/localhost
	server_token "$token" "$USER_OF" "$SCRATCH/host.keytab"
	remctld_start
	commands
	after_fork
	[ "$token" = nss ] || many "$MANY"
	token_away
	unspawn "$DAEMON"
done
host_same | verdict "the host's own configuration is as before"
verdicts_end
