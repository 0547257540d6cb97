/*
 * The GSS negotiation loop of both parties, every answer printed.  Run with and
 * without the module (GSS_MECH_CONFIG), and with keys on a token or in files:
 * the answers must be the same (t_loop.sh).
 *
 *   loop_probe DIR          tickets and keytabs are made in DIR, if they are not there
 *   loop_probe DIR anonymous        with what a real KDC has left there (t_anonymous.sh)
 *
 * KRB5_KTNAME becomes PROBE_KEYTAB, or DIR/keytab.
 */
#include "tests/lib/loop_case.h"

#include <string.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	loop_stage(argv[1]);
	if (argc > 2 && !strcmp(argv[2], "anonymous")) {
		loop_anonymous();
		return 0;
	}
	loop_late();
	loop_cases();
	return 0;
}
