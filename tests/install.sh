#!/bin/bash
# What `make install` leaves behind is what a host needs: every file in its
# place and no other, and a mech.d line that the stock mechanism layer takes.
#
#   tests/install.sh      the build is in GSSP11_BUILD (default: the current directory)
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
shopt -s lastpipe

# place VARIABLE: a folder as configure decided.
place() {
	# shellcheck disable=SC2016    # for make
	make -s -C "$GSSP11_BUILD" --no-print-directory --eval 'place-%: ; @echo $($*)' "place-$1"
}

expected() {
	printf '%s\n' "$(place bindir)/gssp11" "$so" "$conf" "$(place mandir)/man1/gssp11.1" \
		"$(place mandir)/man7/gss-pkcs11.7" | sort
}

# Documents may come and go.
installed() {
	(cd "$dest" && find . ! -type d) | sed 's/^\.//' | { grep -v "^$(place docdir)/" || true; } | sort
}

scratch_start install
dest=$SCRATCH/dest
so=$(place libdir)/gss/gss_pkcs11.so
conf=$(place sysconfdir)/gss/mech.d/gss-pkcs11.conf
{ make -s -C "$GSSP11_BUILD" install DESTDIR="$dest" >"$SCRATCH/log" 2>&1 || cat "$SCRATCH/log"; } |
	verdict "make install DESTDIR"
{ diff <(expected) <(installed) || true; } | verdict "every file is in its place, and no other"
awk '!/^#/ { print $3, $4 }' "$dest$conf" | { grep -vxF "$so <interposer>" || true; } |
	verdict "the mech.d line names the installed module"
{ readelf -d "$dest$so" | grep -E 'RPATH|RUNPATH|TEXTREL' || true; } |
	verdict "the module looks for libraries where every program does"
{ readelf -d "$dest$so" | grep -q NODELETE || echo "no NODELETE"; } | verdict "and is never unloaded"

# Under DESTDIR the line's path is not the module's: the rest of the line is tried as it is.
sed "s| $so | $dest$so |" "$dest$conf" >"$SCRATCH/mech.conf"
mkdir "$SCRATCH/d"
GSS_MECH_CONFIG=$SCRATCH/mech.conf "$(build_file tests gss_probe)" "$SCRATCH/d" interposed \
	>"$SCRATCH/log" 2>&1 || true
{ grep -qx 'interposed: yes' "$SCRATCH/log" || cat "$SCRATCH/log"; } | verdict "the stock mechanism layer loads it from that line"
"$dest$(place bindir)/gssp11" --version 2>&1 | { grep -v '^gssp11 ' || true; } | verdict "gssp11 runs"

make -s -C "$GSSP11_BUILD" uninstall DESTDIR="$dest" >"$SCRATCH/log" 2>&1 || cat "$SCRATCH/log"
installed | verdict "make uninstall takes all of it away"
verdicts_end
