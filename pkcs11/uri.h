/*
 * RFC 7512 URIs that name a token.  Private to pkcs11/.
 *
 * p11-kit's parser is lenient (unknown and doubled attributes pass, the last
 * one wins), so the text is checked first by rules of our own and then handed
 * to p11-kit for decoding and matching.
 */
#ifndef GSSP11_URI_H
#define GSSP11_URI_H

#include "pkcs11/ck.h"
#include "pkcs11/err.h"

struct uri {
	P11KitUri *kit;
	const char *pin_source, *module_path, *module_name;     /* decoded; NULL if not given */
};

/*
 * Checks and decodes text.  Path attributes allowed: token manufacturer serial
 * model slot-id library-*; query attributes: pin-source module-path
 * module-name; each once.  ERR_URI names the attribute and the cure.  Free
 * with uri_fini.
 */
MUST err_t uri_init(struct uri *u, const char *text);
void uri_fini(struct uri *u);

#endif
