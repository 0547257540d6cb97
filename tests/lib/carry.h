/*
 * Contexts that are exported and imported: by the program itself and by others
 * that it starts, which are the same program with the arguments "carry MODE".
 * Messages and contexts lie as files in a directory of the box.
 *
 * What cannot be done at all ends the program (message on stderr, exit 99).
 */
#ifndef GSSP11_TESTS_CARRY_H
#define GSSP11_TESTS_CARRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/lib/talk.h"

/* Objects of exported contexts that are on the token; claims on such. */
size_t carry_objects(const struct box_token *t);
size_t carry_claims(const struct box_token *t);
/* Removes them, whatever their age. */
void carry_clear(const struct box_token *t);
/* The token itself, as this program's own copy of the code has it. */
struct tok *carry_token(const struct box_token *t);

/* Files in the box: whole contents, malloc'ed. */
void carry_write(const char *file, const gss_buffer_desc *b);
gss_buffer_desc carry_read(const char *file);

/* Exports to, imports from, a file; the minor's text goes to stderr when that is not expected. */
OM_uint32 carry_out(gss_ctx_id_t *ctx, const char *file, OM_uint32 *minor);
OM_uint32 carry_in(gss_ctx_id_t *ctx, const char *file, OM_uint32 *minor);

/* peer wraps n messages into files in.0 and so on. */
void carry_messages(gss_ctx_id_t peer, unsigned n);
/* Unwraps in.N; the major status, or UINT32_MAX for other octets than the right ones. */
OM_uint32 carry_receive(gss_ctx_id_t ctx, unsigned n);
/* Wraps into out.N, unwraps it. */
OM_uint32 carry_send(gss_ctx_id_t ctx, unsigned n);
OM_uint32 carry_reply(gss_ctx_id_t peer, unsigned n);

/*
 * Starts this program as "carry MODE FILE" with name=value (which may be NULL)
 * in its environment, and waits; its exit status.  Modes (carry_main):
 *   take   import FILE and unwrap in.0; 0, or 3 refused (the text is in FILE.text), or 1
 *   race   the same, once descriptor `gate` is at its end
 *   give   import FILE and export to FILE.next
 *   lines  what others define
 */
int carry_run(const char *mode, const char *file, const char *env, const char *value);
pid_t carry_start(const char *mode, const char *file, int gate);

/* The text that a refused "take" left. */
char *carry_text(const char *file);

/* For main: handles "carry ..." and gives the exit status, or -1 for anything else. */
int carry_main(int argc, char **argv);
/* Further modes of a test program; NULL: none. */
extern int (*carry_mode)(const char *mode, const char *file);

#endif
