/* SPDX-License-Identifier: Apache-2.0 */
/* What must never be written: names of secret fields, and the digest key. */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/span.h"

/* A plain list, built by rules/, read by the journal's thread. Authorization,
 * Proxy-Authorization, Cookie and Set-Cookie are secret without being
 * listed. Immutable once shared. */
struct redact {
	const char *const *headers;	/* any case */
	size_t header_count;
	const char *const *query;	/* exact names */
	size_t query_count;
	const char *const *json;	/* JSON pointers (RFC 6901) */
	size_t json_count;
};

#define REDACT_TEXT_SIZE 32

bool redact_header_is_secret(const struct redact *r, struct span name);
bool redact_query_is_secret(const struct redact *r, struct span name);
/* redact_text writes "redacted:" and 16 hex characters of the keyed digest:
 * equal secrets stay equal. out >= REDACT_TEXT_SIZE. Returns out. */
const char *redact_text(const struct digest_key *key, struct span secret,
			char *out);
struct buf;
/* redact_target appends target with the values of secret query parameters
 * replaced. */
void redact_target(const struct redact *r, const struct digest_key *key,
		   struct span target, struct buf *out);
/* redact_cookies appends a Cookie value with each cookie's value replaced,
 * names kept; redact_set_cookie likewise, attributes kept. */
void redact_cookies(const struct digest_key *key, struct span value,
		    struct buf *out);
void redact_set_cookie(const struct digest_key *key, struct span value,
		       struct buf *out);

#endif
