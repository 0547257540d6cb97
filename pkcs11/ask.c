/* PINs that no pin-source gives: p11-kit's callback on one side, the program on the other. */
#include "pkcs11/ask.h"

#include <p11-kit/pin.h>
#include <stdatomic.h>
#include <stddef.h>

static _Atomic(tok_ask_fn *) ask_program;

/* p11-kit gives the pointer to the octets back; the secret around them is what must be freed. */
static _Thread_local struct secret *lent;

static void give_back(void *data)
{
	(void)data;
	secret_free(&lent);
}

static P11KitPin *answer(const char *source, P11KitUri *uri, const char *label,
			 P11KitPinFlags flags, void *data)
{
	tok_ask_fn *ask = atomic_load(&ask_program);
	P11KitPin *pin;

	(void)source;
	(void)uri;
	(void)data;
	/* the PIN is used and given back by the thread that asked, before it asks again */
	if ((flags & P11_KIT_PIN_FLAGS_RETRY) || !ask || lent)
		return NULL;
	lent = ask(label ? label : "");
	if (!lent)
		return NULL;
	pin = p11_kit_pin_new_for_buffer(lent->data, lent->len, give_back);
	if (!pin)
		secret_free(&lent);
	return pin;
}

void tok_ask_pin(tok_ask_fn *ask)
{
	if (!atomic_exchange(&ask_program, ask))
		p11_kit_pin_register_callback(P11_KIT_PIN_FALLBACK, answer, NULL, NULL);
}
