/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.x heads and chunked bodies over strict llhttp (RFC 9112). */
#ifndef PROXY_PARSE_H
#define PROXY_PARSE_H

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/field.h"
#include "base/message.h"
#include "proxy/problem.h"

struct chunk;

#define PARSE_FIELDS_MAX 256u
#define PARSE_TARGET_MAX (16u * 1024u)
#define PARSE_TRAILERS_MAX 64u
#define PARSE_TRAILER_BYTES_MAX (8u * 1024u)

enum parse_result { PARSE_MORE, PARSE_HEAD, PARSE_DONE, PARSE_BAD };
enum parse_framing { PARSE_NO_BODY, PARSE_LENGTH, PARSE_CHUNKED,
		     PARSE_UNTIL_CLOSE };

/* The lines behind a chunked body that may go on, each with its CRLF. */
struct trailers {
	char *text;			/* in the arena; NULL: none */
	size_t len, cap;
	size_t line, name_len;		/* of the line that is arriving */
	size_t received;
	unsigned count;
	enum { TRAILER_NONE, TRAILER_NAME, TRAILER_VALUE } part;
	const char *piece_end;		/* where the last piece ended */
	bool open;			/* at the end of the last buffer */
};

/* Spans point into the buffer that was given; parse_rebase moves them when
 * the buffer moved. Fields live in the arena. One worker. */
struct parse {
	llhttp_t ll;
	struct arena *arena;
	struct message_field *fields;
	uint8_t *known;		/* enum field of each, once PARSE_HEAD */
	unsigned field_count, field_cap;
	uint64_t seen, repeated;	/* FIELD_BIT of what stands there */
	bool names_fields;	/* Connection names more than options */
	struct span start;	/* method, or status line from "HTTP/" on */
	struct span target;	/* requests */
	const char *end;	/* behind the head's empty line */
	bool in_value, head_done, message_done, folded;
	bool overflow;		/* more fields or trailers than we take */
	bool unknown_method;	/* a well-formed one, but not llhttp's */
	char *body_to;		/* where decoded chunk data is gathered */
	size_t body_len;
	struct trailers trailers;
	char last_byte;			/* of the trailers; 0: not there yet */
};

void parse_init_request(struct parse *p, struct arena *a);
void parse_init_response(struct parse *p, struct arena *a);
/* parse_head eats [data, data+n); *used bytes were taken. PARSE_HEAD when
 * the head is complete (used ends behind its empty line). */
enum parse_result parse_head(struct parse *p, const char *data, size_t n,
			     size_t *used);
void parse_rebase(struct parse *p, const char *from, const char *to);
/* parse_chunked decodes in place: data bytes are gathered from data on,
 * *body_len of them. PARSE_DONE behind the last chunk and its trailers. */
enum parse_result parse_chunked(struct parse *p, char *data, size_t n,
				size_t *used, size_t *body_len);

/* parse_mend_response, on a head in `c` that was refused: DONE, read it again
 * from c->at; MORE, ask again with more bytes (nothing was changed); NONE, it
 * is bad for another reason. */
enum parse_mend { PARSE_MEND_NONE, PARSE_MEND_MORE, PARSE_MEND_DONE };
enum parse_mend parse_mend_response(struct parse *p, struct chunk *c);

/* parse_check_request: what llhttp leaves to its user. `from` is the first
 * byte of the message. Returns 0, or -1 with the problem. */
int parse_check_request(const struct parse *p, enum problem *why);
/* parse_check_response: 0 or -1. */
int parse_check_response(const struct parse *p);
/* Framing by RFC 9112 6.3. */
enum parse_framing parse_request_framing(const struct parse *p);
/* F_SKIPBODY must be set in ll.flags when it answers HEAD. */
enum parse_framing parse_response_framing(const struct parse *p);

/* RFC 9110 5.6.2: what names and methods are made of. */
static inline bool
parse_is_token_char(char c)
{
	return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static inline struct message_fields
parse_fields(const struct parse *p)
{
	return (struct message_fields){ p->fields, p->field_count };
}

/* parse_trailers lends the lines to send behind the last chunk; "" when there
 * are none. */
static inline struct span
parse_trailers(const struct parse *p)
{
	return (struct span){ p->trailers.text, p->trailers.len };
}

/* parse_find: the first field of that name, or NULL. */
static inline const struct message_field *
parse_find(const struct parse *p, enum field known)
{
	size_t i = 0;

	if (!(p->seen & FIELD_BIT(known)))
		return NULL;
	while (p->known[i] != known)
		i++;
	return &p->fields[i];
}

/* Hop-by-hop: may this field go on to the next hop? (RFC 9110 7.6.1).
 * `connection` says whether any Connection field stands in the message. */
bool parse_is_hop_by_hop(struct message_fields fields, struct span name,
			 bool connection);

/* ---- trailer.c: what parse_chunked finds behind the last chunk ---- */

int trailer_name(struct parse *p, const char *at, size_t n);
int trailer_value(struct parse *p, const char *at, size_t n);
int trailer_end(struct parse *p);
/* A trailer's pieces may lie in two buffers. */
void trailer_buffer_begins(struct parse *p, const char *data);
void trailer_buffer_ends(struct parse *p, const char *end);

#endif
