#!/bin/bash
# PostgreSQL with hostgssenc: Debian's server as its own user, with its key on a
# token and no key file anywhere; psql and pgbench, which are stock, as clients.
#
#   tests/server_postgres.sh      the build is in GSSP11_BUILD (default: the current directory)
#
# The server forks a backend for each connection; each loads the module and logs
# in by itself.  The postmaster holds no context, so none lives on over a fork.
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
unset "${!PG@}"

CLIENTS=200
FRESH=64
PARALLEL=16
POSTMASTER=
LOST='the key was lost with the token; authenticate again'
GONE='no token matches'

# ---- server and clients ---------------------------------------------------------

# The programs themselves: /usr/bin/psql is a wrapper that reads the host's configuration.
pg_programs() {
	local dir

	PG=
	for dir in /usr/lib/postgresql/*/bin; do
		[ ! -x "$dir/postgres" ] || PG=$dir
	done
	[ -n "$PG" ] || server_skip "PostgreSQL is not installed (tools/deps.sh test installs it)"
	server_needs "$PG/initdb" "$PG/psql" "$PG/pgbench"
}

# A cluster whose only way in from the network is encrypted by GSS-API.
pg_cluster() {
	DATA=$SCRATCH/postgres
	mkdir -m 700 "$DATA"
	chown postgres "$DATA"
	(cd / && server_as postgres env -i PATH="$PATH" LC_ALL=C "$PG/initdb" -D "$DATA" -A reject \
		--no-sync -E UTF8 --locale=C) >"$SCRATCH/initdb.log" 2>&1 </dev/null ||
		die "initdb failed: $(tail -n 5 "$SCRATCH/initdb.log")"
	cat >"$DATA/postgresql.conf" <<-END
		listen_addresses = '127.0.0.1'
		unix_socket_directories = '$DATA'
		max_connections = $((CLIENTS + 20))
		shared_buffers = 32MB
		fsync = off
		full_page_writes = off
		max_wal_size = 2GB
		log_connections = on
		log_timezone = UTC
	END
	cat >"$DATA/pg_hba.conf" <<-END
		local      all  postgres               trust
		hostgssenc all  all       127.0.0.1/32 gss include_realm=0 krb_realm=$REALM
	END
}

# pg_start KIND: the server, with its key on such a token.
pg_start() {
	server_key "$SCRATCH/pg.keytab" "postgres/localhost"
	server_token "$1" postgres "$SCRATCH/pg.keytab"
	server_port
	PORT=$SERVER_PORT
	LOG=$SCRATCH/$1.log
	server_run "$LOG" postgres "$PG/postgres" -D "$DATA" -c port="$PORT" \
		-c krb_server_keyfile="$TOKEN_URI"
	POSTMASTER=$!
	wait_for inside -c 'select 1' </dev/null || die "PostgreSQL does not start: $(tail -n 5 "$LOG")"
	export PGHOST=localhost PGHOSTADDR=127.0.0.1 PGPORT=$PORT PGUSER=user PGDATABASE=postgres
	export PGGSSENCMODE=require PGCONNECT_TIMEOUT=20 PGPASSFILE=$SCRATCH/none PGAPPNAME=client
}

pg_stop() {
	unspawn "$POSTMASTER"
	token_on
}

# The administrator, through the socket: no GSS-API there.
inside() {
	env -u PGHOSTADDR PGGSSENCMODE=disable timeout -k 5 60 "$PG/psql" -XAtq -v ON_ERROR_STOP=1 \
		-h "$DATA" -p "$PORT" -U postgres -d postgres "$@"
}

# The user, through GSS-API.
outside() {
	timeout -k 5 60 "$PG/psql" -XAtq -v ON_ERROR_STOP=1 "$@"
}

# Roles, once.
pg_roles() {
	inside -c 'create role "user" login' -c 'create role other login' \
		-c 'grant all on schema public to public'
}

# Lines of the server's log since the last log_mark.
log_mark() {
	LOG_SEEN=$(wc -c <"$LOG")
}

log_new() {
	tail -c "+$((LOG_SEEN + 1))" "$LOG"
}

logged() {
	log_new | grep -qE -- "$1"
}

# Waits until the log has the pattern; else says what it has instead.
log_must() {
	wait_for logged "$1" || {
		echo "the server's log has no \"$1\", but:"
		log_new | tail -n 20
	}
}

# session_open NAME: psql that reads its commands from a pipe; its descriptor is in SESSION_NAME.
session_open() {
	local -n fd=SESSION_$1

	mkfifo "$SCRATCH/$1.in"
	outside -f - <"$SCRATCH/$1.in" >>"$SCRATCH/$1.out" 2>&1 &
	SPAWNED+=("$!")
	exec {fd}>"$SCRATCH/$1.in"
}

# session_says NAME SQL PATTERN: what psql prints for it; else says what it printed instead.
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

# ---- what goes well -----------------------------------------------------------------

way_in() {
	local seen

	{ server_loopback "$PORT" && server_no_keytab; } |
		verdict "$TOKEN_NAME: PostgreSQL serves loopback, its key in no file"
	outside -c "select 'a query'" 2>&1 | grep -vx 'a query' | verdict "$TOKEN_NAME: psql gssencmode=require"
	seen=$(outside -c "select gss_authenticated, encrypted, principal from pg_stat_gssapi
		where pid = pg_backend_pid()" 2>&1)
	{ [ "$seen" = "t|t|user@$REALM" ] || echo "$seen"; } |
		verdict "$TOKEN_NAME: pg_stat_gssapi says authenticated and encrypted: $seen"
}

refused() {
	{ PGGSSENCMODE=disable outside -c 'select 1' 2>&1 || true; } | {
		grep -q 'no pg_hba.conf entry.*no encryption' || echo "somebody came in"
	} | verdict "$TOKEN_NAME: without encryption nobody comes in"
	{ PGUSER=other outside -c 'select 1' 2>&1 || true; } | {
		grep -q 'GSSAPI authentication failed for user "other"' || echo "the user came in as other"
	} | verdict "$TOKEN_NAME: a ticket of user's is none of other's"
	{ KRB5CCNAME=FILE:$SCRATCH/none outside -c 'select 1' 2>&1 || true; } | {
		grep -q 'GSSAPI' || echo "somebody came in without a ticket"
	} | verdict "$TOKEN_NAME: without a ticket nobody comes in"
}

# The same work twice, through the socket and through GSS-API.
queries() {
	cat >"$SCRATCH/work.sql" <<-'END'
		set client_min_messages = warning;
		drop table if exists work;
		create table work (id int primary key, t text not null, n numeric);
		insert into work select i, repeat(md5(i::text), 1 + i % 40), i * 1.25 from generate_series(1, 8000) i;
		begin;
		update work set n = n + 1 where id % 7 = 0;
		savepoint s;
		delete from work where id > 100;
		rollback to s;
		commit;
		prepare p (int) as select t from work where id = $1;
		execute p (39);
		execute p (4711);
		declare c cursor with hold for select * from work order by id desc;
		fetch 100 from c;
		move 5000 in c;
		fetch 2500 from c;
		select count(*), sum(n), md5(string_agg(t, '' order by id)) from work;
		select repeat('0123456789abcdef', 65536 * 4);
		\set ON_ERROR_STOP 0
		select 1 / 0;
		select 'after an error';
		select * from work order by id;
		drop table work;
	END
	inside -f "$SCRATCH/work.sql" >"$SCRATCH/work.inside" 2>&1 || true
	server_calls
	outside -f "$SCRATCH/work.sql" >"$SCRATCH/work.outside" 2>&1 || true
	{
		grep -q 'division by zero' "$SCRATCH/work.inside" || echo "the work was not done"
		[ "$(wc -c <"$SCRATCH/work.inside")" -gt 8000000 ] || echo "the results are short"
		cmp "$SCRATCH/work.inside" "$SCRATCH/work.outside" 2>&1 || true
	} | verdict "$TOKEN_NAME: queries give the same through GSS-API and without, 8 MB of it"
	awk '{ n[$1]++ } END { if (n["C_Encrypt"] < 400) print n["C_Encrypt"] + 0 " times C_Encrypt"
		if (n["C_Decrypt"] < 10) print n["C_Decrypt"] + 0 " times C_Decrypt" }' \
		"$SCRATCH/lib/calls.log" | verdict "$TOKEN_NAME: and it was the token that encrypted"
	token_on
}

copy_files() {
	head -c 39500000 /dev/urandom | base64 -w 1000 >"$SCRATCH/rows"
	head -c 3000000 "$SCRATCH/rows" | sed '$d' >"$SCRATCH/some"
}

# 50 MB in and out, by checksum; the table as the administrator sees it, too.
copy() {
	local began sum ms

	sum=$(sha256sum <"$SCRATCH/rows")
	outside -c 'drop table if exists rows; create unlogged table rows (t text)' 2>/dev/null
	began=$(date +%s%N)
	{
		outside -c '\copy rows from pstdin' <"$SCRATCH/rows" 2>&1
		inside -c 'copy rows to stdout' | sha256sum | grep -vxF -- "$sum" || true
	} | verdict "$TOKEN_NAME: COPY of $(wc -c <"$SCRATCH/rows") octets in"
	{ outside -c '\copy rows to pstdout' | sha256sum | grep -vxF -- "$sum" || true; } |
		verdict "$TOKEN_NAME: and out"
	ms=$((($(date +%s%N) - began) / 1000000))
	echo "# $TOKEN_NAME: 50 MB in, read back inside, and out: $ms ms"
	outside -c 'drop table rows'
}

# copy_one I: a backend among others; says what is wrong.
copy_one() {
	timeout 60 "$PG/psql" -XAtq -v ON_ERROR_STOP=1 2>&1 <<-END >"$SCRATCH/copy.$1" || echo "backend $1 failed"
		create temp table mine (t text);
		\\copy mine from '$SCRATCH/some'
		\\copy mine to pstdout
	END
	cmp "$SCRATCH/some" "$SCRATCH/copy.$1" 2>&1 || head -c 300 "$SCRATCH/copy.$1"
	rm -f "$SCRATCH/copy.$1"
}

parallel() {
	local i

	{
		for i in $(seq $PARALLEL); do
			copy_one "$i" &
		done
		wait
	} | verdict "$TOKEN_NAME: $PARALLEL backends at once copy 3 MB in and out each"
}

# Children whose one query is answered, each by a backend of its own.
fresh() {
	local i began=$SECONDS

	(
		for i in $(seq $FRESH); do
			outside -c 'select pg_backend_pid()' &
		done
		wait
	) >"$SCRATCH/fresh" 2>&1 </dev/null
	{
		grep -vE '^[0-9]+$' "$SCRATCH/fresh" || true
		[ "$(sort -u "$SCRATCH/fresh" | wc -l)" = $FRESH ] ||
			echo "$(sort -u "$SCRATCH/fresh" | wc -l) backends answered"
	} | verdict "$TOKEN_NAME: $FRESH fresh backends at once, $((SECONDS - began)) s"
}

# Opens the gate when all clients are behind it, or after 20 s.
gate() {
	inside <<-END
		do \$\$ begin
			perform pg_advisory_lock(1);
			for i in 1..200 loop
				perform pg_stat_clear_snapshot();
				exit when (select count(*) from pg_stat_activity where wait_event = 'advisory') = $CLIENTS;
				perform pg_sleep(0.1);
			end loop;
		end \$\$;
		select count(*) from pg_stat_activity a join pg_stat_gssapi g on a.pid = g.pid
			where encrypted and wait_event = 'advisory';
	END
}

gate_shut() {
	[ "$(inside -c "select count(*) from pg_locks where locktype = 'advisory' and granted")" = 1 ]
}

# Each client waits behind the gate with its context open, then wraps 20 kB.
many() {
	gate >"$SCRATCH/gate" 2>&1 &
	wait_for gate_shut || true
	cat >"$SCRATCH/many.sql" <<-END
		select pg_advisory_lock_shared(1);
		select md5(repeat(md5(:client_id::text), 2000)), repeat('x', 20000);
		select pg_advisory_unlock_all();
	END
	timeout -k 5 60 "$PG/pgbench" -n -c $CLIENTS -j 2 -t 1 -f "$SCRATCH/many.sql" \
		>"$SCRATCH/many" 2>&1 </dev/null || true
	wait $! || true
	{
		grep -vx $CLIENTS "$SCRATCH/gate" || true
		grep -q "actually processed: $CLIENTS/$CLIENTS" "$SCRATCH/many" || tail -n 15 "$SCRATCH/many"
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: $CLIENTS contexts open at once, and all answer ($(
		sed -n 's/^initial connection time = //p' "$SCRATCH/many") to connect)" <"$SCRATCH/wrong"
}

# What a connection takes, with all that a new backend does on the way.
connecting() {
	timeout -k 5 60 "$PG/pgbench" -n -C -c 1 -t 40 -f <(echo 'select 1;') \
		>"$SCRATCH/connecting" 2>&1 </dev/null || true
	{ grep -q '40/40' "$SCRATCH/connecting" || tail -n 15 "$SCRATCH/connecting"; } >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: one connection after the other: $(
		sed -n 's/^average connection time = //p' "$SCRATCH/connecting") each" <"$SCRATCH/wrong"
}

# What is behind a backend: the module, and nothing of it in the process it was forked from.
forked() {
	local backend

	session_open forked
	session_says forked 'select pg_backend_pid();' '^[0-9]+$' | verdict "$TOKEN_NAME: a session stays open"
	backend=$(head -n 1 "$SCRATCH/forked.out")
	{
		grep -q gss_pkcs11 "/proc/$backend/maps" || echo "the backend has not loaded the module"
		grep -h gss_pkcs11 "/proc/$POSTMASTER/maps" || true
	} | verdict "$TOKEN_NAME: each backend loads the module by itself, the postmaster has no context"
	session_close forked
}

# ---- what goes wrong ------------------------------------------------------------------

# says COMMAND...: its failure is wanted, a success said.
fails() {
	if "$@" >"$SCRATCH/fails" 2>&1 </dev/null; then
		echo "this went well: $*"
	fi
}

# The service goes on: the same postmaster answers inside.
alive() {
	kill -0 "$POSTMASTER" 2>/dev/null || echo "the postmaster is gone"
	inside -c 'select 1' 2>&1 </dev/null | grep -vx 1 || true
}

back() {
	outside -c "select 'back again'" 2>&1 | grep -vx 'back again' || true
	alive
}

# The log's words about it, for the verdict.
reason() {
	log_new | grep -oE -- "$1.*" | head -n 1 | cut -c 1-300
}

removed() {
	session_open used
	session_open idle
	{
		session_says used 'select 40 + 2;' '^42$'
		session_says idle 'select 40 + 3;' '^43$'
	} | verdict "$TOKEN_NAME: two sessions before the token goes"
	token_off ""
	log_mark
	{
		session_says used 'select 40 + 4;' 'server closed the connection|connection to server was lost'
		log_must 'GSSAPI unwrap error'
		log_must "$LOST"
		alive
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: token removed, a session that goes on is ended: $(reason "$LOST")" <"$SCRATCH/wrong"
	log_mark
	{
		fails outside -c 'select 1'
		log_must 'could not accept GSSAPI security context'
		log_must "$GONE"
		alive
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: token removed, a new one is refused: $(reason "$GONE")" <"$SCRATCH/wrong"
}

# Sessions of before the removal are closed, as a token that was pulled out leaves them.
put_back() {
	server_ctl closed
	back | verdict "$TOKEN_NAME: token put back, it works again without a restart"
	log_mark
	{
		session_says idle 'select 40 + 5;' 'server closed the connection|connection to server was lost'
		log_must "$LOST"
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: a session that slept meanwhile is ended: $(reason "$LOST")" <"$SCRATCH/wrong"
	session_close used
	session_close idle
	token_on
	back | verdict "$TOKEN_NAME: and its user comes in again"
}

# The token stops answering amid a COPY: the backend ends, and leaves no half of it behind.
interrupted() {
	log_mark
	outside -c 'create table cut (t text)'
	(
		{ outside -c '\copy cut from pstdin' <"$SCRATCH/rows" >"$SCRATCH/cut" 2>&1 &&
			echo "COPY was not cut off"; } &
		wait_for copying
		token_off kept
		wait
	) >"$SCRATCH/wrong" 2>&1
	{
		log_must 'GSSAPI unwrap error'
		inside -c "select count(*) || ' rows are left behind' from cut" | grep -vx '0 rows are left behind' || true
		alive
		token_on
		back
	} >>"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: token removed amid a COPY: it is undone, and the next one works" <"$SCRATCH/wrong"
}

copying() {
	[ "$(inside -c 'select sum(bytes_processed) > 1000000 from pg_stat_progress_copy')" = t ]
}

pin() {
	pin_off
	log_mark
	{
		fails outside -c 'select 1'
		# PostgreSQL cuts what GSS-API says at 256 octets
		log_must "the PIN file $TOKEN_PIN_FILE cannot be opened"
		alive
	} >"$SCRATCH/wrong"
	verdict "$TOKEN_NAME: PIN file unreadable: $(reason 'the PIN file')" <"$SCRATCH/wrong"
	pin_on
	back | verdict "$TOKEN_NAME: PIN file readable, it works again without a restart"
}

# ---- all -----------------------------------------------------------------------------------

server_needs setpriv krb5kdc sha256sum
pg_programs
server_start postgres
host_mark
pg_cluster
copy_files
for kind in softhsm nss; do
	pg_start $kind
	[ $kind = nss ] || pg_roles
	fds=$(server_fds "$POSTMASTER")
	way_in
	queries
	copy
	parallel
	connecting
	if [ $kind = softhsm ]; then
		objects=$(find "$SERVER_DIR" -name '*.object' | wc -l)
		refused
		forked
		fresh
		many
		removed
		put_back
		interrupted
		pin
		{ [ "$(find "$SERVER_DIR" -name '*.object' | wc -l)" = "$objects" ] ||
			echo "$objects objects before, $(find "$SERVER_DIR" -name '*.object' | wc -l) after"; } |
			verdict "$TOKEN_NAME: the token's objects are as many as before"
	fi
	{ [ "$(server_fds "$POSTMASTER")" = "$fds" ] || echo "$fds before, $(server_fds "$POSTMASTER") after"; } |
		verdict "$TOKEN_NAME: the postmaster has as many descriptors open as before"
	pg_stop
done
host_same | verdict "the host's own configuration is as it was"
verdicts_end
