/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: who may do what on the bus, and for which groups. A table is
 * immutable; any thread may ask it. */
#ifndef BUS_ACCESS_H
#define BUS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/span.h"
#include "bus/groups.h"

/* What an operation asks for; ANY token will do. */
enum access_right {
	ACCESS_ANY = 0,
	ACCESS_CONSUME = 1,
	ACCESS_PUBLISH = 2,
	ACCESS_READ = 4,
	ACCESS_ADMIN = 8
};

/* GROUP: the token must be bound to the group that the request names; a
 * request that names none is about all of them. EVERY: about all of them. */
enum access_scope { ACCESS_NONE, ACCESS_GROUP, ACCESS_EVERY };

enum access_verdict {
	ACCESS_GRANTED,
	ACCESS_MISSING,		/* no token */
	ACCESS_WRONG,		/* a token that nobody has */
	ACCESS_RIGHT,		/* it may not do this */
	ACCESS_BOUND,		/* it may, but not with this group */
	ACCESS_OTHERS		/* the group is other tokens' alone */
};

/* The digest stands for the token, which is not kept. */
struct access_question {
	bool has_token;
	char digest[DIGEST_HEX_SIZE];
	enum access_right right;
	enum access_scope scope;
	char group[GROUPS_NAME_SIZE];	/* "": none named */
};

struct access;

/* access_load reads a file of rows "NAME TOKEN RIGHTS [GROUPS]"; a
 * group marked with = is open to rows with that mark only. NULL with err,
 * which has a line when the text is at fault. Refuses a file that others
 * may read. Blocks. */
MUST_CHECK struct access *access_load(const char *path, struct error *err);
/* access_parse is access_load of a text. */
MUST_CHECK struct access *access_parse(struct span text, struct error *err);
void access_free(struct access **a);
size_t access_count(const struct access *a);
/* access_digest writes what stands for a token. */
void access_digest(struct span token, char out[DIGEST_HEX_SIZE]);
/* access_ask takes the same time whichever token is asked for, and whether
 * there is one. */
enum access_verdict access_ask(const struct access *a,
			       const struct access_question *q);

#endif
