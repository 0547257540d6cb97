# shellcheck shell=bash
# shellcheck disable=SC2034    # SERVER_* are for the scripts that source this
# Real servers with their key on a token, for scripts (bash) to source after
# tests/lib/realm.sh and tests/lib/build.sh.
#
#   server_needs PROGRAM...         ends the script where it is not root, or has no such program
#   server_start NAME               $SCRATCH, a realm, a client's ticket, the module for all to read;
#                                   with SERVER_PKINIT set the KDC does PKINIT
#   server_key FILE PRINCIPAL...    new principals; their keys go into the keytab FILE
#   server_token KIND USER FILE     a token (softhsm, nss) of USER's with FILE's keys; FILE is removed
#   server_conf SETTING...          the server's krb5.conf anew, with settings for gssp11, and
#                                   with the lines of SERVER_LIBDEFAULTS
#   server_no_keytab                says which keytab there is, besides the client's
#   server_run LOG USER COMMAND...  a server as USER, in the server's environment; $! is its pid
#   server_as USER COMMAND...       a command as USER, in this environment
#   server_port                     sets SERVER_PORT to a free port of loopback
#   server_up PORT / server_down PORT       waits until the port is served, or is not
#   server_loopback PORT            says where else than at 127.0.0.1 it listens
#   token_off "" / token_on         the token is pulled out of the running server, and put back;
#                                   no call of the token's may be under way
#   token_off kept / token_on       the same at any moment: it does not answer, and does again
#   pin_off / pin_on                the PIN file cannot be read by the server, and can again
#   server_calls                    from now on the token's calls are logged
#   server_open                     how many sessions and objects the log's calls left, "S O"
#   server_fds PID...               how many descriptors those processes have open
#   host_mark / host_same           says what changed in the host's own configuration since
#
# The client is the shell itself: stock mechanism, tickets of user@REALM.  The
# server has SERVER_ENV and nothing else: KRB5_CONFIG (whose default_keytab_name
# is the token), GSS_MECH_CONFIG and p11shim.so in front of the token.

SERVER_ENV=()
SERVER_LIBDEFAULTS=()
SERVER_USER=
SERVER_DIR=
SERVER_PORT=

# ---- whether to run at all ----------------------------------------------------

# A test that is left out is a failure where nobody would see that.
server_skip() {
	if [ "${CI:-}" = true ]; then
		echo "not ok 1 - ${0##*/}: $1"
		echo "1..1"
		exit 1
	fi
	echo "ok 1 - ${0##*/} # SKIP $1"
	echo "1..1"
	exit 0
}

server_needs() {
	local program

	[ "$(id -u)" = 0 ] || server_skip "needs root, to run servers as their own users"
	for program; do
		command -v "$program" >/dev/null || [ -e "$program" ] ||
			server_skip "$program is not installed (tools/deps.sh test installs it)"
	done
}

# ---- realm, module ---------------------------------------------------------------

server_start() {
	[ -e "$GSSP11_MODULE" ] || die "there is no module: $GSSP11_MODULE"
	scratch_start "$1"
	# Other users pass through, into what is theirs.
	chmod 711 "$SCRATCH"
	[ -z "${SERVER_PKINIT:-}" ] || realm_pkinit "$SCRATCH/realm"
	realm_start "$SCRATCH/realm"
	# Of the realm's keys only the client's stay.
	find "$REALM_DIR" -name '*.keytab' ! -name user.keytab -delete
	kinit -f -c "$REALM_DIR/ccache" -k -t "$REALM_DIR/user.keytab" user
	export KRB5CCNAME=FILE:$REALM_DIR/ccache
	# Without a ticket the client shall have none.
	export KRB5_CLIENT_KTNAME=FILE:$SCRATCH/none
	mkdir -m 755 "$SCRATCH/lib"
	install -m 755 "$GSSP11_MODULE" "$SCRATCH/lib/gss_pkcs11.so"
	install -m 755 "$(build_file . p11shim.so)" "$SCRATCH/lib/p11shim.so"
	install -m 644 "$KRB5_CONFIG" "$SCRATCH/lib/realm.conf"
	module_conf "$SCRATCH/lib/mech.conf" "$SCRATCH/lib/gss_pkcs11.so"
	# The client stays stock, whatever the host has installed.
	: >"$SCRATCH/lib/stock.conf"
	: >"$SCRATCH/lib/shim.ctl"
	chmod 644 "$SCRATCH"/lib/*.conf "$SCRATCH/lib/shim.ctl"
	export GSS_MECH_CONFIG=$SCRATCH/lib/stock.conf
}

server_key() {
	local file=$1 principal

	shift
	for principal; do
		echo "addprinc -randkey $principal"
		echo "ktadd -norandkey -k $file $principal"
	done | kadmin.local >"$SCRATCH/kadmin.log" 2>&1
	[ -s "$file" ] || die "kadmin.local failed: $(tail -n 3 "$SCRATCH/kadmin.log")"
}

# ---- token -------------------------------------------------------------------------

server_token() {
	local user=$2 file=$3

	SERVER_DIR=$SCRATCH/$1.$user
	SERVER_USER=$user
	"token_$1" "$SERVER_DIR"
	SERVER_REAL=$TOKEN_MODULE
	TOKEN_MODULE=$SCRATCH/lib/p11shim.so
	token_uri
	token_on
	mkdir -p "$SERVER_DIR/state" "$SERVER_DIR/rcache"
	chmod 700 "$SERVER_DIR/state" "$SERVER_DIR/rcache"
	chmod 700 "$SERVER_DIR"
	chown -R "$user" "$SERVER_DIR"
	SERVER_ENV=(PATH="$PATH" LC_ALL=C KRB5_CONFIG="$SERVER_DIR/krb5.conf:$SCRATCH/lib/realm.conf"
		GSS_MECH_CONFIG="$SCRATCH/lib/mech.conf" KRB5RCACHEDIR="$SERVER_DIR/rcache"
		P11SHIM_MODULE="$SERVER_REAL" P11SHIM_CTL="$SCRATCH/lib/shim.ctl"
		${SOFTHSM2_CONF:+SOFTHSM2_CONF="$SOFTHSM2_CONF"})
	server_conf ""
	env "${SERVER_ENV[@]}" timeout -k 5 60 "$GSSP11_TOOL" keytab import --owner "$user" --remove-file \
		--token "$TOKEN_URI" --yes "$file" >"$SERVER_DIR/import.log" 2>&1 </dev/null ||
		die "gssp11 keytab import: $(cat "$SERVER_DIR/import.log")"
	rm -f "$file"
}

server_conf() {
	{
		printf '[libdefaults]\n    default_keytab_name = %s\n' "$TOKEN_URI"
		printf '    %s\n' ${SERVER_LIBDEFAULTS[@]+"${SERVER_LIBDEFAULTS[@]}"}
	} >"$SERVER_DIR/new.conf"
	token_conf "$SERVER_DIR/app.conf" "$@"
	cat "$SERVER_DIR/app.conf" >>"$SERVER_DIR/new.conf"
	chmod 644 "$SERVER_DIR/new.conf"
	mv "$SERVER_DIR/new.conf" "$SERVER_DIR/krb5.conf"
}

server_no_keytab() {
	local found

	# Whatever it is called, a keytab begins with 05 02; and so does the KDC's own stash.
	found=$(find "$SCRATCH" -type f ! -path "$REALM_DIR/kdc/*" -print0 |
		perl -0ne 'chomp; open(F, "<", $_) && read(F, $b, 2) && $b eq "\5\2" && print "$_\n"')
	grep -qxF -- "$REALM_DIR/user.keytab" <<<"$found" || echo "the search misses the client's keytab"
	grep -vxF -e "$REALM_DIR/user.keytab" -e "" <<<"$found" || true
}

# Sessions, their objects and the login go with the token, or else it just does not answer.
token_off() {
	if [ "$1" = kept ]; then
		server_ctl removed
	else
		server_ctl $'removed\nclosed'
	fi
}

token_on() {
	server_ctl ""
}

server_calls() {
	rm -f "$SCRATCH/lib/calls.log"
	: >"$SCRATCH/lib/calls.log"
	chmod 666 "$SCRATCH/lib/calls.log"
	server_ctl "log $SCRATCH/lib/calls.log"
}

# In one step, for the module may read it at any moment.
server_ctl() {
	printf '%s\n' "$1" >"$SCRATCH/lib/shim.new"
	chmod 644 "$SCRATCH/lib/shim.new"
	mv "$SCRATCH/lib/shim.new" "$SCRATCH/lib/shim.ctl"
}

server_open() {
	awk '/^C_OpenSession$/ { s++ } /^C_CloseSession$/ { s-- } /^C_CloseAllSessions$/ { s = 0 }
		/^C_(CreateObject|CopyObject|GenerateKey|DeriveKey|UnwrapKey)$/ { o++ }
		/^C_DestroyObject$/ { o-- }
		END { print s + 0, o + 0 }' "$SCRATCH/lib/calls.log"
}

# What waits for the gate, flock -s "$GATE" COMMAND, goes on when it is opened, however late
# it came.
gate_shut() {
	GATE=$SCRATCH/lib/gate
	exec {GATE_FD}>"$GATE"
	chmod 666 "$GATE"
	flock "$GATE_FD"
}

gate_open() {
	flock -u "$GATE_FD"
	exec {GATE_FD}>&-
}

# Root reads any file, but not one that is gone.
pin_off() {
	mv "$TOKEN_PIN_FILE" "$TOKEN_PIN_FILE.away"
	if [ "$SERVER_USER" != root ]; then
		install -m 600 -o root "$TOKEN_PIN_FILE.away" "$TOKEN_PIN_FILE"
	fi
}

pin_on() {
	mv -f "$TOKEN_PIN_FILE.away" "$TOKEN_PIN_FILE"
}

# ---- processes -----------------------------------------------------------------------

server_as() {
	local user=$1

	shift
	setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --pdeathsig TERM "$@"
}

server_run() {
	local log=$1 user=$2

	shift 2
	: >>"$log"
	chmod 644 "$log"
	server_exec "$user" env -i "${SERVER_ENV[@]}" "$@" >>"$log" 2>&1 </dev/null &
	SPAWNED+=("$!")
}

# In the background the pid shall be the server's, not a shell's; and its process
# group too, for httpd tells all of that to end.
server_exec() {
	local user=$1

	shift
	cd /
	exec setsid setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups \
		--pdeathsig TERM "$@"
}

port_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

port_served() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

server_port() {
	local try

	for try in $(seq 50); do
		SERVER_PORT=$((10000 + (RANDOM * 32768 + RANDOM + $$) % 20000))
		if port_free "$SERVER_PORT"; then
			return 0
		fi
	done
	die "no port is free"
}

server_up() {
	wait_for port_served "$1"
}

server_down() {
	wait_for port_free "$1"
}

server_loopback() {
	local hex

	hex=$(printf '%04X' "$1")
	awk -v p="$hex" '$4 == "0A" { split($2, a, ":"); if (a[2] == p) { n++; if (a[1] != "0100007F")
		print "listens at " $2 } } END { if (!n) print "nobody listens at port " p }' \
		<(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
}

server_fds() {
	local pid n=0 files

	for pid; do
		files=(/proc/"$pid"/fd/*)
		n=$((n + ${#files[@]}))
	done
	echo "$n"
}

# ---- the host --------------------------------------------------------------------------

host_files() {
	find /etc/krb5.conf /etc/krb5.conf.d /etc/krb5.keytab /etc/gss /etc/ssh /etc/apache2 \
		/etc/postgresql /etc/ldap /etc/softhsm /etc/passwd /etc/group \
		/var/lib/softhsm /var/lib/krb5kdc /var/lib/postgresql /var/lib/ldap /var/www \
		-printf '%p %s %T@ %m %u %g\n' 2>/dev/null | sort
}

host_mark() {
	host_files >"$SCRATCH/host.before"
}

host_same() {
	host_files | diff "$SCRATCH/host.before" - || true
}
