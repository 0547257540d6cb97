/* Inside a card: what card.c and card_module.c share.  Private to pkcs11/. */
#ifndef GSSP11_CARD_INT_H
#define GSSP11_CARD_INT_H

#include "pkcs11/card.h"
#include "pkcs11/tokpriv.h"

enum { CARD_SIG_MAX = 1024 };

struct tok_card {
	struct tok *tok;
	unsigned generation;             /* that key belongs to */
	CK_OBJECT_HANDLE key;
	CK_KEY_TYPE key_type;
	bool always_login;               /* CKA_ALWAYS_AUTHENTICATE: the PIN before each use */
	uint8_t *cert, *id;
	size_t cert_len, id_len;
	char *label;
	char name[160];
	err_t why;                       /* the first thing that went wrong */

	/* the one session of the thread that it is shown to */
	unsigned found;                  /* bits of card_module.c: objects still to be told */
	bool asked, searching, signing;
	CK_MECHANISM_TYPE mech;
	uint8_t param[64], sig[CARD_SIG_MAX];
	size_t param_len;
	CK_ULONG sig_len;                /* of a signature not fetched yet; 0: none */
};

/* Signs with the card's key, after another login where it asks for one; result in c->sig. */
MUST CK_RV card_sign(struct tok_card *c, CK_BYTE *data, CK_ULONG len);

#endif
