/* SPDX-License-Identifier: Apache-2.0 */
/* Spans: lists of tokens. */
#include "base/span.h"

/* Quotes are not special on purpose: in a list of tokens a stray quote must
 * not hide the elements after it (`Connection: ", close`). */
bool
span_next_token(struct span *list, struct span *token)
{
	while (list->len > 0) {
		const char *comma = memchr(list->at, ',', list->len);
		size_t n = comma ? (size_t)(comma - list->at) : list->len;
		size_t eaten = comma ? n + 1 : n;

		*token = span_trim((struct span){ list->at, n });
		list->at += eaten;
		list->len -= eaten;
		if (token->len > 0)
			return true;
	}
	return false;
}
