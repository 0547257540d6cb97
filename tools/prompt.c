/* Questions on the terminal. */
#include <fcntl.h>
#include <openssl/ui.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11/secret.h"
#include "tools/tool.h"

#define PIN_MAX 256


bool prompt_possible(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static struct secret *ask(const char *prompt)
{
	char check[PIN_MAX];
	struct secret *pin;

	if (!prompt_possible() || secret_new(PIN_MAX, &pin))
		return NULL;
	/* libcrypto reads from /dev/tty without echo and puts the terminal right on signals */
	if (UI_UTIL_read_pw((char *)pin->data, check, PIN_MAX, prompt, 0))
		secret_free(&pin);
	else
		pin->len = strlen((const char *)pin->data);
	return pin;
}

static struct secret *ask_pin(const char *label)
{
	char prompt[128];

	snprintf(prompt, sizeof(prompt), "PIN of token \"%.64s\": ", printable(label));
	return ask(prompt);
}

struct secret *prompt_password(const char *principal)
{
	char prompt[300];

	snprintf(prompt, sizeof(prompt), "Password for %.256s: ", printable(principal));
	return ask(prompt);
}

void prompt_register(void)
{
	ks_conf_ask_pin(ask_pin);
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
