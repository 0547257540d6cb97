#!/bin/bash
# What the scripts promise a host that is not theirs: no package without the
# right to install one, no token but a throw-away one.
#
#   tests/setup.sh
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

# command_is NAME TEXT: a stand-in, the only thing of that name which deps.sh finds.
command_is() {
	printf '#!/bin/bash\n%s\n' "$2" >"$SCRATCH/bin/$1"
	chmod 755 "$SCRATCH/bin/$1"
}

# deps PATTERN: deps.sh ends with 2 and says that.
deps() {
	local status=0

	PATH=$SCRATCH/bin "$BASH" "$TOP/tools/deps.sh" quickstart >"$SCRATCH/out" 2>&1 </dev/null ||
		status=$?
	[ $status = 2 ] && grep -q -- "$1" "$SCRATCH/out" && [ ! -e "$SCRATCH/installed" ]
}

without_rights() {
	mkdir "$SCRATCH/bin"
	ln -s "$(command -v grep)" "$SCRATCH/bin/grep"
	# shellcheck disable=SC2016    # for the stand-in
	command_is dpkg-query '[ "${!#}" = softhsm2 ] || echo installed'
	command_is id 'echo 1000'
	command_is apt-get ": >'$SCRATCH/installed'"
	deps '^    apt-get install -y --no-install-recommends softhsm2$' && status=0 || status=1
	ok "neither root nor sudo: the apt line, exit 2" "$status" "$SCRATCH/out"
	command_is sudo 'exit 1'
	deps 'softhsm2' && status=0 || status=1
	ok "a sudo that wants a password and no terminal: the same" "$status" "$SCRATCH/out"
	command_is dpkg-query 'echo installed'
	PATH=$SCRATCH/bin "$BASH" "$TOP/tools/deps.sh" quickstart >"$SCRATCH/out" 2>&1 </dev/null &&
		[ ! -s "$SCRATCH/out" ] && status=0 || status=1
	ok "nothing is missing: nothing is said" "$status" "$SCRATCH/out"
}

# refused CONF: no token is made with that SOFTHSM2_CONF, and the reason is given.
refused() {
	if (SOFTHSM2_CONF=$1 token_softhsm "$SCRATCH/token") >"$SCRATCH/out" 2>&1; then
		return 1
	fi
	grep -q 'throw-away tokens only' "$SCRATCH/out" && [ ! -e "$SCRATCH/token/softhsm2.conf" ]
}

others_tokens() {
	local conf

	for conf in /etc/softhsm/softhsm2.conf "$SCRATCH/token/../../softhsm2.conf" "$HOME/softhsm2.conf"; do
		refused "$conf" && status=0 || status=1
		ok "SOFTHSM2_CONF=${conf#"$SCRATCH"/} is refused" "$status" "$SCRATCH/out"
	done
	(SOFTHSM2_CONF=$SCRATCH/token/x.conf token_guard "$SCRATCH/token") >"$SCRATCH/out" 2>&1 &&
		status=0 || status=1
	ok "one inside the folder is taken" "$status" "$SCRATCH/out"
}

scratch_start setup
without_rights
others_tokens
verdicts_end
