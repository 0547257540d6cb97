/* What the parts of gssp11 kinit share. */
#ifndef GSSP11_TOOLS_KINIT_H
#define GSSP11_TOOLS_KINIT_H

#include "tools/tool.h"

/* What the GSS-API says of an error of the krb5 mechanism, behind what; gives TOOL_FAILED. */
int gss_failed(const char *what, uint32_t minor);

/* --renew, --validate; TOOL_ code. */
int kinit_again(struct tool *t);

#endif
