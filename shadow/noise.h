/* SPDX-License-Identifier: Apache-2.0 */
/* What the legacy disagrees with itself about, when it is asked the same
 * twice: by rule, endpoint and place, in numbers.
 *
 * Only what it was itself seen to do is ever suppressed in a candidate, of the
 * same kind at the same place, and never the status or a whole body. */
#ifndef SHADOW_NOISE_H
#define SHADOW_NOISE_H

#include "base/json.h"
#include "shadow/verdict.h"

#define SHADOW_NOISE_SPACE "shadow.noise"
#define SHADOW_NOISE_ROWS_MAX 256u
#define SHADOW_NOISE_PLACES_MAX 40u
/* So many pairs, and so many of them that disagree, before anything is
 * established. */
#define SHADOW_NOISE_PAIRS_LEAST 20u
#define SHADOW_NOISE_SEEN_LEAST 3u
/* What the lower end of the 95 % Wilson interval of the share of pairs that
 * disagree must be: from the first on there is noise now and then, and the
 * candidate may differ as often; from the second on, always. */
#define SHADOW_NOISE_SOMETIMES 0.01
#define SHADOW_NOISE_ALWAYS 0.5

/* A kind of difference at a place, array indices folded. */
struct shadow_noise_place {
	char pointer[SHADOW_VALUE_MAX + 1];
	char kind[16];
	/* Of the legacy's pairs: other values, or the same in another order. */
	uint64_t disagreed, permuted;
	/* Of the candidate's verdicts, beginning after the `since`th. */
	uint64_t since, met, met_permuted, suppressed;
};

struct shadow_noise_row {
	char rule[SHADOW_NAME_MAX], endpoint[SHADOW_ENDPOINT_MAX];
	uint64_t fingerprint;		/* of how the rule compares */
	uint64_t pairs;
	uint64_t unusable;		/* another status, or no answer */
	uint64_t compared;		/* the candidate's verdicts since */
	int64_t last_us;
	bool changed;
	size_t count;
	struct shadow_noise_place places[SHADOW_NOISE_PLACES_MAX];
};

/* A verdict on the candidate, or a pair of the legacy's: what was met at the
 * places of a row. Zero-initialise; the same place counts once. */
struct shadow_noise_seen {
	size_t count;
	struct shadow_noise_sight {
		char pointer[SHADOW_VALUE_MAX + 1];
		char kind[16];
		bool other, permuted, suppressed;
	} at[SHADOW_NOISE_PLACES_MAX];
};
/* shadow_noise_see adds one; false when it is nothing that may be learned, or
 * there is no place left. */
bool shadow_noise_see(struct shadow_noise_seen *seen, const char *pointer,
		      const char *kind, bool permuted);

/* The caller locks. */
struct shadow_noise;
MUST_CHECK struct shadow_noise *shadow_noise_new(void);
void shadow_noise_free(struct shadow_noise **n);
/* shadow_noise_learn counts one pair; seen NULL: an unusable one. A rule that
 * compares in another way than before begins anew, and when the table is full
 * the row that learned nothing for longest gives way. */
void shadow_noise_learn(struct shadow_noise *n, const char *rule,
			uint64_t fingerprint, const char *endpoint,
			const struct shadow_noise_seen *seen, int64_t now_us);
/* shadow_noise_get copies a row; false when there is none. */
bool shadow_noise_get(const struct shadow_noise *n, const char *rule,
		      uint64_t fingerprint, const char *endpoint,
		      struct shadow_noise_row *out);
/* shadow_noise_met counts a verdict on the candidate. */
void shadow_noise_met(struct shadow_noise *n, const char *rule,
		      uint64_t fingerprint, const char *endpoint,
		      const struct shadow_noise_seen *seen);

/* shadow_noise_takes: the place whose noise takes such a difference away, or
 * NULL. `pointer` is folded; permuted: both sides have the same values there,
 * in another order. */
const struct shadow_noise_place *
shadow_noise_takes(const struct shadow_noise_row *row, const char *pointer,
		   const char *kind, bool permuted);
/* shadow_noise_word: what a place has come to, for people. */
const char *shadow_noise_word(const struct shadow_noise_row *row,
			      const struct shadow_noise_place *p);

/* As shadow_tally_save, _unsave and _load; keys are those of places in the
 * table, so that what gives way is overwritten. */
MUST_CHECK int shadow_noise_save(struct shadow_noise *n,
				 void (*fn)(void *arg, const char *key,
					    struct span value),
				 void *arg);
bool shadow_noise_is_unsaved(const struct shadow_noise *n);
void shadow_noise_unsave(struct shadow_noise *n);
void shadow_noise_load(struct shadow_noise *n, const char *key,
		       struct span value);
/* shadow_noise_report writes an array of rows for people. */
void shadow_noise_report(const struct shadow_noise *n, struct json *out);

#endif
