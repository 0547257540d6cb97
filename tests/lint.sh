#!/bin/bash
# The house rules that a machine can check: who may know whom, what is never
# called, how long things are, what the module exports.  One line per rule; a
# rule that is broken shows where.
#
#   tests/lint.sh
#
# The build, for the exported symbols, is in GSSP11_BUILD (default: the current
# directory); without a built module that rule is skipped.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
cd "$TOP"
# The last command of a pipe runs in this shell: verdict counts.
shopt -s lastpipe

TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# A copy of each C file with comments taken out and strings emptied, line for line.
strip_code() {
	mkdir -p "$TMP/code"/{pkcs11,keystore,mech,tools,tests/lib}
	# shellcheck disable=SC2016    # perl's
	perl -0ne '
		BEGIN { $to = shift }
		s{("(?:\\.|[^"\\\n])*")|(\x27(?:\\.|[^\x27\\\n])+\x27)|(/\*.*?\*/)|(//[^\n]*)}
		 { my $t = $1 // $2 // $3 // $4;
		   defined $1 ? (substr($`, -200) =~ /#[ \t]*include[ \t]*$/ ? $t : "\"\"") :
		   defined $2 ? "0" : ($t =~ tr/\n//cdr) }gsex;
		open my $out, ">", "$to/$ARGV" or die "$to/$ARGV: $!";
		print $out $_' "$TMP/code" {pkcs11,keystore,mech,tools,tests,tests/lib}/*.[ch]
}

code() {
	(cd "$TMP/code" && { grep -nP "$@" 2>/dev/null || true; })
}

# ---- who may know whom ---------------------------------------------------------

SHARED='pkcs11/(err|secret|bytes|trace)\.h'

# foreign FOLDER ALLOWED: quoted includes of the folder's files other than ALLOWED.
foreign() {
	code '^\s*#\s*include\s*"' "$TMP/code/$1"/*.[ch] | grep -vP "#\s*include\s*\"($2)\"" || true
}

lint_layers() {
	{
		foreign pkcs11 'pkcs11/\w+\.h'
		foreign keystore 'keystore/\w+\.h|pkcs11/\w+\.h'
		foreign mech "mech/\w+\.h|keystore/\w+\.h|$SHARED"
		foreign tools "tools/\w+\.h|keystore/\w+\.h|$SHARED"
	} 2>/dev/null | verdict "includes follow the folders, written from the root"
	code -r '\b(CK[A-Z]?_[A-Z0-9_]+|C_[A-Z][A-Za-z]+|p11_kit_\w+|P11_KIT_\w+)\b|include\s*<p11-kit' \
		keystore mech tools | verdict "PKCS#11 names only in pkcs11/"
	code -r '\b(gss_\w+|gssi_\w+|GSS_[SC]_\w+|OM_uint32)\b|include\s*<gssapi' pkcs11 keystore |
		verdict "GSS names only in mech/"
	code -r '\bkrb5_\w+|include\s*<krb5' pkcs11 | verdict "no Kerberos in pkcs11/"
	code -r '\bkrb5_[ck]_(?!enctype_|valid_|keylengths|block_size)\w+' mech tools |
		verdict "no libkrb5 cryptography in mech/ and tools/"
	code '#\s*include\s*"(pkcs11|keystore|mech|tools)/' tests/peer*.[ch] |
		verdict "the peer program is plain GSS-API"
}

# ---- what is never done -----------------------------------------------------------

lint_calls() {
	local never='exit|_exit|_Exit|quick_exit|abort|raise|printf|vprintf|puts|putchar|perror|fprintf'

	never+='|getenv|setenv|putenv|system|popen|signal|sigaction|atexit|setjmp|longjmp|assert'
	never+='|err|errx|warn|warnx|syslog'
	code -r "(?<![\w.>])($never)\s*\(" pkcs11 keystore mech |
		verdict "the module never prints, exits, raises or reads plain getenv"
	code -r '(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|alloca|strtok|rand|random|srand|mktemp|tmpnam|memcmp_s|bcmp|bzero)\s*\(' \
		pkcs11 keystore mech tools | verdict "no dangerous calls"
	code -r '\bgoto\s+(?!out\s*;)' pkcs11 keystore mech tools |
		verdict "one exit label, out:"
	code -r '__attribute__\s*\(\(\s*(constructor|destructor)' pkcs11 keystore mech |
		verdict "no constructors or destructors"
	grep -rnwE 'TODO|FIXME|XXX|HACK' pkcs11 keystore mech tools tests docs man ./*.md NEWS \
		configure.ac Makefile.am 2>/dev/null | grep -vE '^tests/lint.sh:|X{4,}|\.XXXXXX' |
		verdict "no left-over markers"
	grep -rnE '(^|[^A-Za-z0-9._/-])/(home|root|work)/' pkcs11 keystore mech tools tests docs man \
		./*.md NEWS configure.ac Makefile.am .ci 2>/dev/null | grep -v '^tests/lint.sh:' |
		verdict "no path of one machine"
}

# ---- how long things are ------------------------------------------------------------

over() {
	local limit=$1 f n

	shift
	for f; do
		[ -e "$f" ] || continue
		n=$(wc -l <"$f")
		[ "$n" -le "$limit" ] || echo "$f: $n lines"
	done
}

wide() {
	local f

	for f; do
		[ -e "$f" ] || continue
		expand "$f" | awk -v f="$f" 'length($0) > 108 { print f ":" NR ": " length($0) " columns" }'
	done
}

# file, name, first line, last line, return type, parameters: one function each.
functions() {
	ctags -x --c-kinds=f --languages=C --_xformat='%F|%N|%n|%{end}|%{typeref}|%{signature}' \
		--fields=+neSt --sort=no "$@" 2>/dev/null
}

lint_sizes() {
	local src="pkcs11/*.c keystore/*.c mech/*.c tools/*.c"

	# shellcheck disable=SC2086
	over 600 $src tests/*.c tests/lib/*.c tests/*.sh tests/lib/*.sh tools/*.sh tests/run tools/quickstart |
		verdict "no file over 600 lines"
	over 150 {pkcs11,keystore,mech,tools}/*.h | verdict "no header over 150 lines"
	wide {pkcs11,keystore,mech,tools}/*.[ch] | verdict "no line far over 100 columns"
	if ! ctags --version 2>/dev/null | grep -q Universal; then
		skip "function sizes" "universal-ctags is not installed"
		return
	fi
	# shellcheck disable=SC2086
	functions $src tests/*.c tests/lib/*.c >"$TMP/functions"
	awk -F'|' '$4 - $3 + 1 > 60 { print $1 ":" $3 ": " $2 " has " $4 - $3 + 1 " lines" }' \
		"$TMP/functions" | verdict "no function over 60 lines"
	grep -v '^tests/' "$TMP/functions" | awk -F'|' '{ print $4 - $3 + 1 }' | sort -n |
		awk '{ v[NR] = $1 } END {
			m = v[int((NR + 1) / 2)]; p = v[int(NR * 0.9 + 0.5)]
			if (m > 14) print "the median function has " m " lines, not 14 at most"
			if (p > 40) print "one function in ten has over " p " lines, not 40"
		}' | verdict "functions are short: median 14, nine of ten within 40"
	# The signatures of GSS-API and of libkrb5's hooks are as long as they are.
	awk -F'|' '$1 !~ /^tests/ && $5 !~ /OM_uint32|krb5_error_code/ && gsub(/,/, ",", $6) > 5 {
		print $1 ":" $3 ": " $2 " has more than six parameters" }' "$TMP/functions" |
		verdict "no function has over six parameters"
	lint_depth | verdict "no function nests over four levels, none has #if in it"
}

# Braces inside a function, from the stripped copies.
lint_depth() {
	(cd "$TMP/code" && awk '
		NR == FNR { split($0, f, "|"); named[f[1], f[3]] = f[2]; ends[f[1], f[3]] = f[4]; next }
		FNR == 1 { last = 0 }
		(FILENAME, FNR) in named {
			name = named[FILENAME, FNR]; last = ends[FILENAME, FNR]; depth = said = 0
		}
		FNR > last { next }
		/^[ \t]*#[ \t]*(if|ifdef|ifndef)/ { print FILENAME ":" FNR ": #if in " name }
		{
			n = split($0, c, "")
			for (i = 1; i <= n; i++) {
				if (c[i] == "{" && ++depth > 5 && !said++)
					print FILENAME ":" FNR ": " name " nests too deep"
				if (c[i] == "}")
					depth--
			}
		}' "$TMP/functions" {pkcs11,keystore,mech,tools}/*.c)
}

# ---- headers -----------------------------------------------------------------------

lint_headers() {
	local h flags

	flags=$(pkg-config --cflags p11-kit-1 krb5 krb5-gssapi libcrypto 2>/dev/null || true)
	for h in {pkcs11,keystore,mech,tools}/*.h; do
		[ -e "$h" ] || continue
		# shellcheck disable=SC2086
		printf '#include "%s"\n#include "%s"\n' "$h" "$h" |
			${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Werror -I. $flags -fsyntax-only \
				-x c - >/dev/null 2>"$TMP/cc" || echo "$h: $(head -n 1 "$TMP/cc")"
	done | verdict "each header compiles alone, and twice"
	# What only records an error and gives it back has nothing that could be missed.
	(cd "$TMP/code" && perl -0ne '
		while (/^((?:[\w*]+[ \t\n]+)*?)err_t[ \t\n]+(\w+)\s*\(/gm) {
			my ($before, $name) = ($1, $2);
			next if $before =~ /\b(MUST|typedef)\b/ || $name =~ /^err_|_err$|_error$|_fail$/;
			print "$ARGV: $name\n";
		}' {pkcs11,keystore,mech,tools}/*.h 2>/dev/null) |
		verdict "every prototype that returns err_t says MUST"
}

# ---- module and scripts ----------------------------------------------------------------

lint_exports() {
	if [ ! -e "$GSSP11_MODULE" ]; then
		skip "exported symbols" "the module is not built"
		return
	fi
	nm -D --defined-only "$GSSP11_MODULE" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' |
		grep -vE '^(gss_mech_interposer|gssi_[a-z_]+|C_GetFunctionList)$' >"$TMP/exports" || true
	{
		cat "$TMP/exports"
		nm -D --defined-only "$GSSP11_MODULE" | grep -q ' gss_mech_interposer' ||
			echo "gss_mech_interposer is missing"
	} | verdict "the module exports gss_mech_interposer, gssi_* and C_GetFunctionList, nothing else"
}

lint_scripts() {
	local scripts

	scripts=$(grep -lE '^#!/bin/(ba)?sh|^# shellcheck shell' -r tests tools .ci 2>/dev/null || true)
	if ! command -v shellcheck >/dev/null; then
		skip "shellcheck" "not installed"
		return
	fi
	# shellcheck disable=SC2086
	shellcheck -x -f gcc $scripts 2>&1 | verdict "shellcheck finds nothing"
}

strip_code
lint_layers
lint_calls
lint_sizes
lint_headers
lint_exports
lint_scripts
verdicts_end
