#!/usr/bin/perl
# Searches what tests/watch.c noted for keys.
#
#   watch.pl DUMP KEYS      KEYS: lines of "hex name" (tests/memory_keys.c)
#
# Prints a line for each key that was in memory: its name, the first step and
# how many looks found it.  The last line says how much was searched.
use strict;
use warnings;

my ($dump, $keys) = @ARGV;
my (%name, %first, %seen, %at);

open(my $k, '<', $keys) or die "$keys: $!\n";
while (<$k>) {
	chomp;
	my ($hex, $what) = split / /, $_, 2;
	$name{pack('H*', $hex)} = $what if length $hex >= 32;
}
die "$keys: no keys\n" unless %name;

open(my $s, '<', "$dump.steps") or die "$dump.steps: $!\n";
chomp(my @steps = <$s>);

open(my $d, '<:raw', $dump) or die "$dump: $!\n";
my ($head, $page, $looks, $octets) = ('', '', 0, 0);
while (read($d, $head, 24) == 24) {
	my ($step, $address, $length) = unpack('Q<3', $head);
	read($d, $page, $length) == $length or die "$dump is cut\n";
	$looks++;
	$octets += $length;
	for my $key (keys %name) {
		next if index($page, $key) < 0;
		$seen{$key}++;
		$first{$key} //= $step;
		$at{$key} //= $address;
	}
}
for my $key (sort { $first{$a} <=> $first{$b} || $name{$a} cmp $name{$b} } keys %seen) {
	printf "found %s: first before step %d (%s), near %x, in %d looks\n", $name{$key},
		$first{$key}, $steps[$first{$key}] // 'end', $at{$key}, $seen{$key};
}
printf "searched %d pages, %d MB, %d steps, for %d keys\n", $looks, $octets >> 20,
	scalar @steps, scalar keys %name;
