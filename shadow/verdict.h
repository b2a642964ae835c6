/* SPDX-License-Identifier: Apache-2.0 */
/* The result of one comparison, bounded, as an event and back. */
#ifndef SHADOW_VERDICT_H
#define SHADOW_VERDICT_H

#include <stdbool.h>

#include "base/json.h"
#include "payload/payload.h"
#include "shadow/fold.h"

#define SHADOW_VERDICT_TYPE "matapalo.shadow.verdict.v1"
#define SHADOW_VERDICT_SCHEMA "urn:matapalo:schema:shadow.verdict:v1"
#define SHADOW_DIFFERENCES_MAX 20
#define SHADOW_SUPPRESSED_MAX 5
#define SHADOW_VALUE_MAX 256
#define SHADOW_NAME_MAX 128

/* OUTCOME(symbol, word, counter) */
#define SHADOW_OUTCOMES(X) \
	X(MATCH, "match", MATCHED) \
	X(DIFFERENCE, "difference", DIFFERED) \
	X(FAILED, "failed", FAILED)

enum shadow_outcome {
#define X(symbol, word, counter) SHADOW_##symbol,
	SHADOW_OUTCOMES(X)
#undef X
};

/* pointer is a JSON pointer into the body ("" or "/..."), or one of the words
 * `status`, `body` and `header:NAME`, which no pointer looks like. */
struct shadow_difference {
	char pointer[SHADOW_VALUE_MAX + 1];
	char kind[16];
	char legacy[SHADOW_VALUE_MAX + 1];
	char candidate[SHADOW_VALUE_MAX + 1];
};

struct shadow_verdict {
	enum shadow_outcome outcome;
	char rule[SHADOW_NAME_MAX], candidate[SHADOW_NAME_MAX];
	char reason[SHADOW_VALUE_MAX + 1];	/* FAILED: why */
	char endpoint[SHADOW_ENDPOINT_MAX];	/* "GET /x/{id}", or "" */
	int64_t exchange_sequence;		/* of its event, or 0 */
	int64_t time_us;			/* wall time of the event */
	uint32_t legacy_us, candidate_us;
	/* The candidate's answer as JSON, lent until it is written; read back,
	 * only whether it is there. */
	bool has_answer;
	struct span answer;
	/* Looks at each difference first; true: it does not count. Both bodies
	 * are there while they are compared as JSON. */
	bool (*sieve)(void *arg, const struct shadow_difference *d);
	void *sieve_arg;
	const struct cJSON *bodies[2];
	/* Differences that were taken for noise of the legacy; of each place
	 * the first is kept, with the legacy's own pairs. */
	size_t suppressed_total, suppressed_count;
	struct shadow_suppressed {
		struct shadow_difference at;
		uint64_t disagreed, pairs;
	} suppressed[SHADOW_SUPPRESSED_MAX];
	size_t total;		/* differences found; count of them kept */
	size_t count;
	struct shadow_difference at[SHADOW_DIFFERENCES_MAX];
};

/* shadow_verdict_add keeps one difference (cut to size, NUL and bytes that
 * are not UTF-8 as question marks, so that it is the same when read back) or
 * just counts it. */
void shadow_verdict_add(struct shadow_verdict *v, const char *pointer,
			const char *kind, struct span legacy,
			struct span candidate);
/* shadow_verdict_suppress notes one that does not count. */
void shadow_verdict_suppress(struct shadow_verdict *v,
			     const struct shadow_difference *d,
			     uint64_t disagreed, uint64_t pairs);
void shadow_verdict_fail(struct shadow_verdict *v, const char *reason);
void shadow_verdict_write(const struct shadow_verdict *v, struct json *out);
/* shadow_verdict_read: 0, or -1 when data is no verdict. */
MUST_CHECK int shadow_verdict_read(struct span data,
				   struct shadow_verdict *v);
const char *shadow_outcome_name(enum shadow_outcome o);

#endif
