/* SPDX-License-Identifier: Apache-2.0 */
/* What the legacy disagrees with itself about. */
#include "shadow/noise.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shadow/wilson.h"

struct shadow_noise {
	struct shadow_noise_row *rows[SHADOW_NOISE_ROWS_MAX];
	bool unsaved;
};

struct shadow_noise *
shadow_noise_new(void)
{
	return calloc(1, sizeof(struct shadow_noise));
}

void
shadow_noise_free(struct shadow_noise **np)
{
	struct shadow_noise *n = *np;

	*np = NULL;
	if (!n)
		return;
	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++)
		free(n->rows[i]);
	free(n);
}

/* ---- what was met ---- */

/* Status and whole bodies are what a candidate is for. */
static bool
may_be_learned(const char *pointer)
{
	return (pointer[0] == '/' && pointer[1]) ||
	       strncmp(pointer, "header:", strlen("header:")) == 0;
}

bool
shadow_noise_see(struct shadow_noise_seen *seen, const char *pointer,
		 const char *kind, bool permuted)
{
	struct shadow_noise_sight *at;
	size_t i = 0;

	if (!may_be_learned(pointer))
		return false;
	while (i < seen->count &&
	       (strcmp(seen->at[i].pointer, pointer) != 0 ||
		strcmp(seen->at[i].kind, kind) != 0))
		i++;
	if (i == SHADOW_NOISE_PLACES_MAX)
		return false;
	at = &seen->at[i];
	if (i == seen->count) {
		seen->count++;
		snprintf(at->pointer, sizeof(at->pointer), "%s", pointer);
		snprintf(at->kind, sizeof(at->kind), "%s", kind);
	}
	at->permuted |= permuted;
	at->other |= !permuted;
	return true;
}

/* ---- rows ---- */

static bool
is_of(const struct shadow_noise_row *r, const char *rule,
      const char *endpoint)
{
	return r && strcmp(r->rule, rule) == 0 &&
	       strcmp(r->endpoint, endpoint) == 0;
}

static struct shadow_noise_row *
find(const struct shadow_noise *n, const char *rule, uint64_t fingerprint,
     const char *endpoint)
{
	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++)
		if (is_of(n->rows[i], rule, endpoint))
			return n->rows[i]->fingerprint == fingerprint
				       ? n->rows[i] : NULL;
	return NULL;
}

/* The row of that name, else a free place, else the oldest. */
static size_t
place_for(const struct shadow_noise *n, const char *rule,
	  const char *endpoint)
{
	size_t at = 0;

	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++)
		if (is_of(n->rows[i], rule, endpoint))
			return i;
	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++) {
		if (!n->rows[i])
			return i;
		if (n->rows[i]->last_us < n->rows[at]->last_us)
			at = i;
	}
	return at;
}

static struct shadow_noise_row *
row_for(struct shadow_noise *n, const char *rule, uint64_t fingerprint,
	const char *endpoint)
{
	size_t at = place_for(n, rule, endpoint);
	struct shadow_noise_row *r = n->rows[at];

	if (r && is_of(r, rule, endpoint) && r->fingerprint == fingerprint)
		return r;
	if (!r)
		r = n->rows[at] = malloc(sizeof(*r));
	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	snprintf(r->rule, sizeof(r->rule), "%s", rule);
	snprintf(r->endpoint, sizeof(r->endpoint), "%s", endpoint);
	r->fingerprint = fingerprint;
	return r;
}

static struct shadow_noise_place *
place_of(struct shadow_noise_row *r, const char *pointer, const char *kind)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->places[i].pointer, pointer) == 0 &&
		    strcmp(r->places[i].kind, kind) == 0)
			return &r->places[i];
	return NULL;
}

/* NULL: there is no room, and what is met there counts. */
static struct shadow_noise_place *
place_get(struct shadow_noise_row *r, const char *pointer, const char *kind)
{
	struct shadow_noise_place *p = place_of(r, pointer, kind);

	if (p || r->count == SHADOW_NOISE_PLACES_MAX)
		return p;
	p = &r->places[r->count++];
	memset(p, 0, sizeof(*p));
	snprintf(p->pointer, sizeof(p->pointer), "%s", pointer);
	snprintf(p->kind, sizeof(p->kind), "%s", kind);
	p->since = r->compared;
	return p;
}

static void
mark_changed(struct shadow_noise *n, struct shadow_noise_row *r)
{
	r->changed = true;
	n->unsaved = true;
}

void
shadow_noise_learn(struct shadow_noise *n, const char *rule,
		   uint64_t fingerprint, const char *endpoint,
		   const struct shadow_noise_seen *seen, int64_t now_us)
{
	struct shadow_noise_row *r = row_for(n, rule, fingerprint, endpoint);

	if (!r)
		return;
	mark_changed(n, r);
	r->last_us = now_us;
	r->pairs += seen != NULL;
	r->unusable += seen == NULL;
	for (size_t i = 0; seen && i < seen->count; i++) {
		const struct shadow_noise_sight *s = &seen->at[i];
		struct shadow_noise_place *p = place_get(r, s->pointer,
							 s->kind);

		if (!p)
			continue;
		p->disagreed += s->other;
		p->permuted += s->permuted && !s->other;
	}
}

bool
shadow_noise_get(const struct shadow_noise *n, const char *rule,
		 uint64_t fingerprint, const char *endpoint,
		 struct shadow_noise_row *out)
{
	const struct shadow_noise_row *r = find(n, rule, fingerprint,
						endpoint);

	if (r)
		*out = *r;
	return r != NULL;
}

void
shadow_noise_met(struct shadow_noise *n, const char *rule,
		 uint64_t fingerprint, const char *endpoint,
		 const struct shadow_noise_seen *seen)
{
	struct shadow_noise_row *r = find(n, rule, fingerprint, endpoint);

	if (!r)
		return;
	mark_changed(n, r);
	r->compared++;
	for (size_t i = 0; i < seen->count; i++) {
		const struct shadow_noise_sight *s = &seen->at[i];
		struct shadow_noise_place *p = place_of(r, s->pointer,
							s->kind);

		if (!p)
			continue;
		p->met += s->other;
		p->met_permuted += s->permuted && !s->other;
		p->suppressed += s->suppressed;
	}
}

/* ---- what it means ---- */

/* Does the candidate differ there more often than the legacy with itself?
 * Only when the intervals are apart; `more` verdicts are being judged. */
static bool
is_beyond(const struct shadow_noise_row *row,
	  const struct shadow_noise_place *p, uint64_t own, uint64_t met,
	  uint64_t more)
{
	double upper = 1 - shadow_wilson_lower(row->pairs - own, row->pairs);

	return shadow_wilson_lower(met + more,
				   row->compared - p->since + more) > upper;
}

static bool
is_established(const struct shadow_noise_row *row, uint64_t own, double least)
{
	return row->pairs >= SHADOW_NOISE_PAIRS_LEAST &&
	       own >= SHADOW_NOISE_SEEN_LEAST &&
	       shadow_wilson_lower(own, row->pairs) >= least;
}

static bool
takes(const struct shadow_noise_row *row, const struct shadow_noise_place *p,
      bool permuted, uint64_t more)
{
	uint64_t own = p->disagreed + (permuted ? p->permuted : 0);
	uint64_t met = p->met + (permuted ? p->met_permuted : 0);

	if (is_established(row, own, SHADOW_NOISE_ALWAYS))
		return true;
	return is_established(row, own, SHADOW_NOISE_SOMETIMES) &&
	       !is_beyond(row, p, own, met, more);
}

const struct shadow_noise_place *
shadow_noise_takes(const struct shadow_noise_row *row, const char *pointer,
		   const char *kind, bool permuted)
{
	for (size_t i = 0; i < row->count; i++) {
		const struct shadow_noise_place *p = &row->places[i];

		if (strcmp(p->pointer, pointer) == 0 &&
		    strcmp(p->kind, kind) == 0)
			return takes(row, p, permuted, 1) ? p : NULL;
	}
	return NULL;
}

const char *
shadow_noise_word(const struct shadow_noise_row *row,
		  const struct shadow_noise_place *p)
{
	if (is_established(row, p->disagreed, SHADOW_NOISE_ALWAYS))
		return "noise";
	if (takes(row, p, false, 0))
		return "noise, now and then";
	if (takes(row, p, true, 0))
		return "order only";
	return is_established(row, p->disagreed + p->permuted,
			      SHADOW_NOISE_SOMETIMES)
		       ? "counts: the candidate differs more often"
		       : "counts: not established";
}

/* ---- as text, and back ---- */

static void
put(struct json *j, const char *key, uint64_t n)
{
	json_key_span(j, span_of(key));
	json_u64(j, n);
}

static void
write_place(const struct shadow_noise_row *r,
	    const struct shadow_noise_place *p, struct json *j)
{
	json_object_begin(j);
	json_key(j, "pointer");
	json_str(j, p->pointer);
	json_key(j, "kind");
	json_str(j, p->kind);
	json_key(j, "state");
	json_str(j, shadow_noise_word(r, p));
	put(j, "disagreed", p->disagreed);
	put(j, "permuted", p->permuted);
	put(j, "since", p->since);
	put(j, "met", p->met);
	put(j, "met_permuted", p->met_permuted);
	put(j, "suppressed", p->suppressed);
	json_object_end(j);
}

static void
write_row(const struct shadow_noise_row *r, struct json *j)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, r->fingerprint);
	json_object_begin(j);
	json_key(j, "rule");
	json_str(j, r->rule);
	json_key(j, "endpoint");
	json_str(j, r->endpoint);
	json_key(j, "fingerprint");
	json_str(j, hex);
	put(j, "pairs", r->pairs);
	put(j, "unusable", r->unusable);
	put(j, "compared", r->compared);
	put(j, "last_us", (uint64_t)r->last_us);
	json_key(j, "places");
	json_array_begin(j);
	for (size_t i = 0; i < r->count; i++)
		write_place(r, &r->places[i], j);
	json_array_end(j);
	json_object_end(j);
}

int
shadow_noise_save(struct shadow_noise *n,
		  void (*fn)(void *arg, const char *key, struct span value),
		  void *arg)
{
	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++) {
		struct shadow_noise_row *r = n->rows[i];
		struct buf text CLEANUP(buf_fini) = { 0 };
		char key[24];
		struct json j;

		if (!r || !r->changed)
			continue;
		json_init(&j, &text);
		write_row(r, &j);
		if (text.failed)
			return -1;
		snprintf(key, sizeof(key), "%zu", i);
		fn(arg, key, buf_span(&text));
		r->changed = false;
	}
	n->unsaved = false;
	return 0;
}

bool
shadow_noise_is_unsaved(const struct shadow_noise *n)
{
	return n->unsaved;
}

void
shadow_noise_unsave(struct shadow_noise *n)
{
	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++)
		if (n->rows[i])
			n->rows[i]->changed = n->unsaved = true;
}

static uint64_t
number(const struct cJSON *tree, const char *name)
{
	int64_t v = payload_int(payload_member(tree, name), 0);

	return v < 0 ? 0 : (uint64_t)v;
}

static void
load_place(struct shadow_noise_row *r, const struct cJSON *tree)
{
	struct shadow_noise_place *p = place_get(
		r, payload_string(payload_member(tree, "pointer"), ""),
		payload_string(payload_member(tree, "kind"), ""));

	if (!p)
		return;
	p->disagreed = number(tree, "disagreed");
	p->permuted = number(tree, "permuted");
	p->since = number(tree, "since");
	p->met = number(tree, "met");
	p->met_permuted = number(tree, "met_permuted");
	p->suppressed = number(tree, "suppressed");
}

static void
load_row(struct shadow_noise_row *r, const struct cJSON *tree)
{
	const char *hex = payload_string(payload_member(tree, "fingerprint"),
					 "");

	snprintf(r->rule, sizeof(r->rule), "%s",
		 payload_string(payload_member(tree, "rule"), ""));
	snprintf(r->endpoint, sizeof(r->endpoint), "%s",
		 payload_string(payload_member(tree, "endpoint"), ""));
	r->fingerprint = strtoull(hex, NULL, 16);
	r->pairs = number(tree, "pairs");
	r->unusable = number(tree, "unusable");
	r->compared = number(tree, "compared");
	r->last_us = (int64_t)number(tree, "last_us");
	for (const struct cJSON *p = payload_first(
		     payload_member(tree, "places")); p; p = payload_next(p))
		load_place(r, p);
}

/* Numbers that contradict each other would be divided by. */
static bool
is_sound(const struct shadow_noise_row *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct shadow_noise_place *p = &r->places[i];

		if (p->disagreed > r->pairs ||
		    p->permuted > r->pairs - p->disagreed ||
		    p->since > r->compared ||
		    p->met > r->compared - p->since ||
		    p->met_permuted > r->compared - p->since - p->met)
			return false;
	}
	return true;
}

void
shadow_noise_load(struct shadow_noise *n, const char *key, struct span value)
{
	size_t at = strtoul(key, NULL, 10);
	struct cJSON *tree = payload_parse(value, NULL);
	struct shadow_noise_row *r = NULL;

	if (tree && at < SHADOW_NOISE_ROWS_MAX && !n->rows[at])
		r = calloc(1, sizeof(*r));
	if (r) {
		load_row(r, tree);
		if (is_sound(r))
			n->rows[at] = r;
		else
			free(r);
	}
	payload_free(&tree);
}

void
shadow_noise_report(const struct shadow_noise *n, struct json *out)
{
	json_array_begin(out);
	for (size_t i = 0; i < SHADOW_NOISE_ROWS_MAX; i++)
		if (n->rows[i])
			write_row(n->rows[i], out);
	json_array_end(out);
}
