/*
 * The peer program with another GSS-API library than the one it was built for
 * (Heimdal's, whose symbols have other versions):
 *
 *   peer_with LIBRARY PEER.so [the peer's arguments]
 *
 * Functions are looked up when they are called: the library need not have all.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	int (*run)(int, char **) = NULL;
	void *so = NULL;

	if (argc < 3)
		return 2;
	if (dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL))
		so = dlopen(argv[2], RTLD_LAZY);
	if (so)
		*(void **)&run = dlsym(so, "peer_main");
	if (!run) {
		fprintf(stderr, "%s: %s\n", argv[0], dlerror());
		return 3;
	}
	return run(argc - 2, argv + 2);
}
