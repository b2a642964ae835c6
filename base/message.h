/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP message model: borrowed spans, nothing owned. */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct message_field {
	struct span name, value;	/* value without surrounding OWS */
};

struct message_fields {
	const struct message_field *at;
	size_t count;
};

/* A request as rules and events see it. */
struct message_request {
	struct span method;
	struct span target;	/* request-target, as received */
	struct span path;	/* target up to '?', as received */
	struct span query;	/* after '?', without it; empty when none */
	struct span host;	/* Host value or authority of absolute-form */
	struct span client;	/* client address as text, no port */
	struct message_fields fields;
};

/* message_find returns the first field of that name (any case), or NULL. */
const struct message_field *message_find_span(struct message_fields fields,
					      struct span name);
/* Inline, so that a literal's length is known when compiling. */
static inline const struct message_field *
message_find(struct message_fields fields, const char *name)
{
	return message_find_span(fields, span_of(name));
}
/* message_cookie finds a cookie by its exact name in all Cookie fields
 * (RFC 6265 4.2.1); false when absent. */
bool message_cookie(struct message_fields fields, struct span name,
		    struct span *value);
/* message_query_param finds the first `name=value` of a query string; both
 * are compared and lent in their raw (still percent-encoded) form. */
bool message_query_param(struct span query, struct span name,
			 struct span *value);
/* message_normal_path writes the form of a path that rules match on: percent
 * escapes of unreserved characters decoded, others upper-cased, dot segments
 * removed (RFC 3986 6.2.2), empty segments merged. Returns the length, or -1
 * when out (size bytes) is too small or the path has a bad escape or no
 * leading slash. `*` (OPTIONS) is kept as it is. */
long message_normal_path(struct span path, char *out, size_t size);

#endif
