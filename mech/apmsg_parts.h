/* Pieces that several messages of RFC 4120 contain, for the readers in apmsg*.c. */
#ifndef GSSP11_APMSG_PARTS_H
#define GSSP11_APMSG_PARTS_H

#include "mech/apmsg.h"

/* [n] Realm */
void mech_ap_realm_field(struct der *d, unsigned n, struct ap_princ *out);
/* [n] PrincipalName */
void mech_ap_name_field(struct der *d, unsigned n, struct ap_princ *out);
/* [n] EncryptedData */
void mech_ap_encrypted_field(struct der *d, unsigned n, struct ap_encrypted *out);
/* [n] EncryptionKey: the enctype; the key's octets are passed over. */
int32_t mech_ap_key_field(struct der *d, unsigned n);
/* [n] AuthorizationData or HostAddresses: the elements, each of them checked. */
struct der_str mech_ap_list_field(struct der *d, unsigned n);
/* Ticket, the only thing left in d or not. */
void mech_ap_ticket(struct der *d, struct ap_ticket *out);

#endif
