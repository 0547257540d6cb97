# shellcheck shell=bash
# shellcheck disable=SC2034    # the variables are for the scripts that source this
# Where the build is: GSSP11_BUILD, else the current directory (as `make check` has it).
#
#   build_file DIR NAME     the built program or library
#   COMMAND | verdict WHAT  one test, good when COMMAND says nothing
#   ok WHAT STATUS [FILE]   one test, good when STATUS is 0
#   verdicts_end            the plan, and false when a test failed
#
# verdict counts in the script's own shell: `shopt -s lastpipe` first.

export LC_ALL=C
GSSP11_BUILD=$(cd "${GSSP11_BUILD:-.}" && pwd -P)

# The file itself, not libtool's shell wrapper of the same name.
build_file() {
	local dir=$GSSP11_BUILD/$1 name=$2

	if [ -e "$dir/.libs/$name" ]; then
		echo "$dir/.libs/$name"
	else
		echo "$dir/$name"
	fi
}

GSSP11_MODULE=${GSSP11_MODULE:-$(build_file . gss_pkcs11.so)}
GSSP11_TOOL=${GSSP11_TOOL:-$(build_file . gssp11)}
PEER=${PEER:-$(build_file tests peer)}

# The tokens that a script is run on when it is not told; a stage with little time names one.
read -ra TOKENS <<<"${GSSP11_TOKENS:-softhsm nss}"

count=0
failed=0

# ok WHAT STATUS [FILE]: 0 is good; FILE is shown when it is not.
ok() {
	count=$((count + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $count - $1"
	else
		failed=$((failed + 1))
		echo "not ok $count - $1"
		[ -z "${3:-}" ] || head -n 100 "$3" | sed 's/^/# /'
	fi
}

# verdict WHAT: reads what speaks against it.
verdict() {
	local lines

	lines=$(cat)
	if [ -z "$lines" ]; then
		ok "$1" 0
	else
		ok "$1" 1 <(printf '%s\n' "$lines")
	fi
}

verdicts_end() {
	echo "1..$count"
	[ "$failed" = 0 ]
}
