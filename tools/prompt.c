/* Questions on the terminal. */
#include <fcntl.h>
#include <openssl/ui.h>
#include <p11-kit/pin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11/secret.h"
#include "tools/tool.h"

#define PIN_MAX 256


static struct secret *pin;      /* p11-kit's copy points here until it is given back */

static void pin_destroy(void *data)
{
	(void)data;
	secret_free(&pin);
}

bool prompt_possible(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* p11-kit asks here for what no pin-source gives; a refused PIN is not asked for again. */
static P11KitPin *ask_pin(const char *source, P11KitUri *uri, const char *description,
			  P11KitPinFlags flags, void *data)
{
	char prompt[128], check[PIN_MAX];

	(void)source;
	(void)uri;
	(void)data;
	if ((flags & P11_KIT_PIN_FLAGS_RETRY) || pin || !prompt_possible() ||
	    secret_new(PIN_MAX, &pin))
		return NULL;
	snprintf(prompt, sizeof(prompt), "PIN of token \"%.64s\": ",
		 description ? printable(description) : "");
	/* libcrypto reads from /dev/tty without echo and puts the terminal right on signals */
	if (UI_UTIL_read_pw((char *)pin->data, check, PIN_MAX, prompt, 0)) {
		secret_free(&pin);
		return NULL;
	}
	pin->len = strlen((const char *)pin->data);
	return p11_kit_pin_new_for_buffer(pin->data, pin->len, pin_destroy);
}

void prompt_register(void)
{
	p11_kit_pin_register_callback(P11_KIT_PIN_FALLBACK, ask_pin, NULL, NULL);
}

bool prompt_yes(const char *question)
{
	char line[16];
	FILE *tty = prompt_possible() ? fopen("/dev/tty", "r+e") : NULL;
	bool yes = false;

	if (!tty)
		return false;
	fprintf(tty, "%s [y/N] ", question);
	fflush(tty);
	if (fgets(line, sizeof(line), tty))
		yes = line[0] == 'y' || line[0] == 'Y';
	fclose(tty);
	return yes;
}
