/* The peer program by itself. */
#include "tests/peer.h"

int main(int argc, char **argv)
{
	return peer_main(argc, argv);
}
