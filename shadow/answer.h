/* SPDX-License-Identifier: Apache-2.0 */
/* A candidate's answer as a verdict keeps it, for people to look at. */
#ifndef SHADOW_ANSWER_H
#define SHADOW_ANSWER_H

#include "shadow/compare.h"

/* Beyond that it is cut. */
#define SHADOW_ANSWER_BODY_MAX ((size_t)16 * 1024)

/* shadow_answer_write writes an object in the form of an exchange event's
 * `response`. Secrets become their digests; a body that cannot be looked
 * into where secrets are named is withheld. Any thread. */
void shadow_answer_write(const struct shadow_plan *plan,
			 const struct shadow_answer *a, struct json *out);

#endif
