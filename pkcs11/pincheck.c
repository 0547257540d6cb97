/* Is the PIN file one that a login would read? */
#include "pkcs11/pincheck.h"

#include <string.h>

#include "pkcs11/pin.h"

err_t tok_pin_file_check(const char *uri, bool *file)
{
	struct secret *pin = NULL;
	struct uri u;
	err_t err;

	*file = false;
	err = uri_init(&u, uri);
	if (err)
		return err;
	*file = u.pin_source && (u.pin_source[0] == '/' || !strncmp(u.pin_source, "file:", 5));
	/* A command is refused there, too. */
	if (*file || (u.pin_source && u.pin_source[0] == '|'))
		err = pin_get(&u, "", &pin);
	secret_free(&pin);
	uri_fini(&u);
	return err;
}
