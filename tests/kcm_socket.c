/*
 * kcmsocket.so, for LD_PRELOAD: Heimdal's kcm has its socket's path built in;
 * here KCM_SOCKET says where it is to be.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static const char *elsewhere(const char *path)
{
	const char *to = secure_getenv("KCM_SOCKET");

	return to && path && strstr(path, ".kcm-socket") ? to : path;
}

PUBLIC int bind(int fd, const struct sockaddr *at, socklen_t len)
{
	int (*next)(int, const struct sockaddr *, socklen_t);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char path[sizeof(un.sun_path)] = "";

	*(void **)&next = dlsym(RTLD_NEXT, "bind");
	if (at->sa_family == AF_UNIX && len <= sizeof(un)) {
		memcpy(&un, at, len);
		snprintf(path, sizeof(path), "%s", elsewhere(un.sun_path));
		memcpy(un.sun_path, path, sizeof(path));
		return next(fd, (const struct sockaddr *)&un, sizeof(un));
	}
	return next(fd, at, len);
}

PUBLIC int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, elsewhere(path), 0);
}

PUBLIC int chmod(const char *path, mode_t mode)
{
	int (*next)(const char *, mode_t);

	*(void **)&next = dlsym(RTLD_NEXT, "chmod");
	return next(elsewhere(path), mode);
}
