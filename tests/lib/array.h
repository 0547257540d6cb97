/*
 * Arrays of buffers for the tests of IOV calls, on either implementation.
 */
#ifndef GSSP11_TESTS_ARRAY_H
#define GSSP11_TESTS_ARRAY_H

#include "tests/lib/pair.h"

enum {
	H = GSS_IOV_BUFFER_TYPE_HEADER, D = GSS_IOV_BUFFER_TYPE_DATA,
	P = GSS_IOV_BUFFER_TYPE_PADDING, T = GSS_IOV_BUFFER_TYPE_TRAILER,
	ST = GSS_IOV_BUFFER_TYPE_STREAM, SO = GSS_IOV_BUFFER_TYPE_SIGN_ONLY,
	M = GSS_IOV_BUFFER_TYPE_MIC_TOKEN, E = GSS_IOV_BUFFER_TYPE_EMPTY,
	AL = GSS_IOV_BUFFER_FLAG_ALLOCATE, ALD = GSS_IOV_BUFFER_FLAG_ALLOCATED
};

#define ARRAY_PIECES 8
#define ARRAY_ROOM 4096          /* octets of one piece at most */

struct array {
	gss_iov_buffer_desc v[ARRAY_PIECES];
	int n;
	uint8_t room[ARRAY_PIECES][ARRAY_ROOM + 64], text[ARRAY_PIECES][ARRAY_ROOM];
};

/* Layouts of wrap tokens; the zero type ends one.  The first ARRAY_PLAIN have no SIGN_ONLY. */
enum { ARRAY_PLAIN = 7, ARRAY_TOKENS = 13, ARRAY_LAYOUTS = 19, ARRAY_SIZES = 12 };
extern const OM_uint32 array_layouts[ARRAY_LAYOUTS][ARRAY_PIECES + 1];
extern const size_t array_sizes[ARRAY_SIZES];

enum { ARRAY_CONFIGS = 7 };
extern struct pair array_pairs[ARRAY_CONFIGS];
void array_pairs_make(void);
void array_pairs_free(void);
bool array_is_dce(size_t config);

/* One case of a test: configuration, layout, size, confidentiality. */
struct array_case {
	size_t c, l, size;
	int conf;
};

/* Counts in CUnit; prints what failed where. */
bool array_check(bool ok, const char *what, const struct array_case *k);

/* Runs fn for every configuration, the first n layouts, every size, with and without conf. */
void array_each(size_t layouts, void (*fn)(const struct array_case *k));

bool array_is_text(OM_uint32 type);

/* Fills in text of about this size, and room where nothing is allocated. */
void array_make(struct array *a, const OM_uint32 *types, size_t size);
void array_free(struct array *a);
/* The text is what it was. */
bool array_intact(const struct array *a);
/* The same lengths and octets in all buffers. */
bool array_same(const struct array *a, const struct array *b);
/* The token in one piece, as gss_unwrap takes it: header, data, trailer, wherever they stood. */
gss_buffer_desc array_token(const struct array *a);
/* Gives every buffer that is not allocated its room. */
void array_point(struct array *a);

/* Either implementation. */
OM_uint32 array_wrap(struct pair_side *s, bool own, int conf, int *state, struct array *a);
OM_uint32 array_unwrap(struct pair_side *s, bool own, int *state, gss_iov_buffer_desc *v, int n);
OM_uint32 array_lengths(struct pair_side *s, bool own, int conf, int *state, struct array *a);

#endif
