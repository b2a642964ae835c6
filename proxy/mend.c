/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the space before a colon out of an answer's head (RFC 9112 5.1: a
 * proxy must). llhttp refuses such a line, so only answers that were refused
 * come here, and what is left is parsed and checked from its start: a field
 * that its origin wrote so counts like any other. */
#include <string.h>

#include "proxy/chunk.h"
#include "proxy/parse.h"

/* Behind "HTTP/" llhttp's span of the status line begins. */
#define BEFORE_START (sizeof("HTTP/") - 1)

/* Where the name of the line ends that begins at `at`. */
static char *
name_end(char *at, const char *end)
{
	while (at < end && parse_is_token_char(*at))
		at++;
	return at;
}

static char *
next_line(char *at, const char *end)
{
	char *lf = memchr(at, '\n', (size_t)(end - at));

	return lf ? lf + 1 : NULL;
}

enum space { SPACE_NONE, SPACE_TAKEN, SPACE_OPEN };

/* OPEN: what follows the space has not arrived. */
static enum space
mend_line(struct chunk *c, char *line)
{
	char *end = c->data + c->end;
	char *from = name_end(line, end), *to = from;

	while (to < end && span_is_ows(*to))
		to++;
	if (from == line || from == to)
		return SPACE_NONE;
	if (to == end)
		return SPACE_OPEN;
	if (*to != ':')
		return SPACE_NONE;
	memmove(from, to, (size_t)(end - to));
	c->end -= (size_t)(to - from);
	return SPACE_TAKEN;
}

/* Everything up to the empty line, or to what is there. */
static enum space
mend_lines(struct chunk *c, char *line)
{
	enum space all = SPACE_NONE, one;

	while (line && line < c->data + c->end && *line != '\r' &&
	       *line != '\n') {
		one = mend_line(c, line);
		if (one == SPACE_OPEN && all == SPACE_NONE)
			return SPACE_OPEN;
		if (one == SPACE_TAKEN)
			all = SPACE_TAKEN;
		line = next_line(line, c->data + c->end);
	}
	return all;
}

enum parse_mend
parse_mend_response(struct parse *p, struct chunk *c)
{
	size_t start;

	if (!p->start.at)
		return PARSE_MEND_NONE;
	start = (size_t)(p->start.at - c->data) - BEFORE_START;
	switch (mend_lines(c, next_line(c->data + start, c->data + c->end))) {
	case SPACE_NONE:
		return PARSE_MEND_NONE;
	case SPACE_OPEN:
		return PARSE_MEND_MORE;
	case SPACE_TAKEN:
		break;
	}
	c->at = start;
	parse_init_response(p, p->arena);
	return PARSE_MEND_DONE;
}
