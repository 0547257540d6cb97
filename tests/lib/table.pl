# The rows of docs/gssapi.md, for tests/table.sh.
#
#   perl table.pl tests TABLE            the tests that it names, one in a line
#   perl table.pl check TABLE KNOWN      what is wrong with it, "KIND: ..." in a line
#
# KNOWN is a folder with lists: functions and constants of the headers, entries
# of mech/spi.h, registered tests.  The current folder is that of the sources.
use strict;
use warnings FATAL => 'all';

my ($mode, $table, $known) = @ARGV;
my @rows = read_rows($table);

# Each row: line, columns, names in backquotes, tests ([test, case], ...), why there is none.
sub read_rows {
	my ($path) = @_;
	my ($head, @rows);

	open(my $in, "<", $path) or die "$path: $!\n";
	while (my $line = <$in>) {
		$head = undef if $line !~ /^\|/;
		next if $line !~ /^\|/ || $line =~ /^[|\- ]+$/;
		my @col = map { s/^\s+|\s+$//gr } split /\|/, $line =~ s/\n//r, -1;
		if (!$head) {
			$head = \@col;
			next;
		}
		my $shown = $col[3] // "";
		my ($reason) = $shown =~ /^not applicable:\s*(.*)/;
		push @rows, {
			line => $., columns => @col - 2, shown => $shown, reason => $reason,
			what => $col[1], left_out => scalar($head->[2] =~ /why it is not there/),
			names => [ $col[1] =~ /`((?:gss|krb5_gss|GSS_)\w+)`/g ],
			tests => [ defined $reason ? () : map { [ split /: /, $_, 2 ] } split /; */, $shown ],
		};
	}
	return @rows;
}

if ($mode eq "tests") {
	my %all = map { $_->[0] => 1 } map { @{ $_->{tests} } } @rows;
	print map { "$_\n" } sort keys %all;
	exit;
}

sub list {
	open(my $in, "<", "$known/$_[0]") or die "$known/$_[0]: $!\n";
	chomp(my @lines = <$in>);
	return map { $_ => 1 } @lines;
}

my %registered = list("registered");
my %constants = list("constants");
my %is = (%constants, list("functions"), list("entries"));

# ---- the text of a test -------------------------------------------------------

my %text;

sub text_of_file {
	my ($path) = @_;

	if (!exists $text{$path}) {
		my $in;
		local $/;

		$text{$path} = open($in, "<", $path) ? <$in> : "";
	}
	return $text{$path};
}

# Headers whose functions are in files of other names.
my %spread = (
	probe => [qw(probe_ctx probe_use probe_name probe_mech)],
	loop_case => [qw(loop_case loop_late loop_stage)],
);
my %whole;

# Its own file, the fixtures that it includes, and a script's programs with theirs.
sub whole_text {
	my ($test) = @_;
	my @todo = $test =~ /\.sh$/ ? "tests/$test" : "tests/$test.c";
	my (%seen, @all);

	return $whole{$test} if exists $whole{$test};
	while (defined(my $f = shift @todo)) {
		next if $seen{$f}++;
		my $t = text_of_file($f);
		push @all, $t;
		for my $h ($t =~ m{^#include "tests/lib/(\w+)\.h"}gm) {
			push @todo, "tests/lib/$h.h", map { "tests/lib/$_.c" } @{ $spread{$h} || [$h] };
		}
		push @todo, map { "tests/$_.c" } qw(peer peer_plan peer_iov) if $f =~ /\.sh$/ && $t =~ /PEER/;
		push @todo, map { "tests/$_.c" } $t =~ /build_file tests (\w+)/g if $f =~ /\.sh$/;
	}
	return $whole{$test} = join("\n", @all);
}

# ---- the checks -----------------------------------------------------------------

sub complain {
	my ($kind, $row, $what) = @_;

	print "$kind: ", $row ? "line $row->{line}: " : "", "$what\n";
}

# The public function behind which an entry point is.
my %behind = (
	gssi_mech_invoke => "gssspi_mech_invoke",
	gssi_internal_release_oid => "gss_release_oid",
);

sub called {
	my ($name) = @_;

	return $behind{$name} // $name =~ s/^gssi_/gss_/r =~
		s/^(gss_import_(?:name|cred|sec_context))_by_mech$/$1/r;
}

# A case is the whole of a string in C, and stands somewhere in a script.
sub has_case {
	my ($test, $case) = @_;

	return 1 if $test =~ /\.sh$/ && index(text_of_file("tests/$test"), $case) >= 0;
	return index(whole_text($test), "\"$case\"") >= 0;
}

sub check_row {
	my ($row) = @_;
	my @tests = @{ $row->{tests} };

	complain("form", $row, "a row has three columns") if $row->{columns} != 3;
	complain("form", $row, "no test is named") if $row->{shown} eq "";
	complain("form", $row, "no reason is given") if defined $row->{reason} && $row->{reason} eq "";
	for my $t (@tests) {
		if (!$registered{ $t->[0] }) {
			complain("tests", $row, "there is no test $t->[0]");
		} elsif (defined $t->[1] && !has_case(@$t)) {
			complain("cases", $row, "$t->[0] has no case \"$t->[1]\"");
		}
	}
	return if !@tests;
	my $all = join("\n", map { whole_text($_->[0]) } @tests);
	for my $name (@{ $row->{names} }) {
		if (!$constants{$name}) {
			my $call = called($name);

			complain("calls", $row, "none of its tests calls $call")
				if $all !~ /\b(?:\Q$call\E|\Q$name\E)\b/;
		} elsif ($all !~ /\b\Q$name\E\b/ && !grep { defined $_->[1] } @tests) {
			complain("constants", $row, "none of its tests has $name, and no case is named");
		}
	}
}

# Settings, with their values, and keys of credential stores that the manual tells of.
sub check_promised {
	my $on;
	my $manual = text_of_file("man/gss-pkcs11.7") =~ s/^\.RS\n.*?^\.RE\n//gmsr;    # lists in items

	for my $item (split /^\.TP\n/m, $manual) {
		if ($on && $item =~ /^\.BR? (.*)/) {
			my ($name, @values) = grep { !/^[=|]$|^\\f/ } split /\s+/, $1 =~ s/"//gr;
			my $told = join(" ", map { $_->{what} } grep { $_->{what} =~ /`\Q$name\E\b/ } @rows);

			complain("promised", undef, "$name of the manual has no row") if $told eq "";
			for my $v (@values) {
				complain("promised", undef, "$name = $v of the manual has no row")
					if $told !~ /(?<![\w-])\Q$v\E(?![\w-])/;
			}
		}
		$on = $1 =~ /^(SETTINGS|CREDENTIAL STORE)$/ while $item =~ /^\.SH (.*)$/mg;
	}
}

my %rows_of;

check_promised();
for my $row (@rows) {
	check_row($row);
	$rows_of{$_}++ for @{ $row->{names} };
	for my $name (@{ $row->{names} }) {
		complain("names", $row, "$name is not known") if !$is{$name} && !$row->{left_out};
		complain("names", $row, "$name is exported, indeed") if $is{$name} && $row->{left_out};
	}
}
for my $name (sort keys %is) {
	complain("names", undef, "$name has no row") if !$rows_of{$name};
}
for my $name (sort keys %rows_of) {
	complain("names", undef, "$name has two rows") if $rows_of{$name} > 1;
}
