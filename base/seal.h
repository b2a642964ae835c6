/* SPDX-License-Identifier: Apache-2.0 */
/* Stored answers, unreadable and unchangeable without the digest key. */
#ifndef BASE_SEAL_H
#define BASE_SEAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/span.h"

/* seal_close appends the sealed form of `plain`, which opens only with the
 * same key and the same `about` (what it belongs to). -1 without memory. */
MUST_CHECK int seal_close(const struct digest_key *key, struct span about,
			  struct span plain, struct buf *out);
/* seal_open appends the plain text; -1 when it was made with another key, for
 * something else, was changed, or without memory. */
MUST_CHECK int seal_open(const struct digest_key *key, struct span about,
			 struct span sealed, struct buf *out);

#endif
