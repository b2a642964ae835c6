/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays whose order means nothing: as a set, or paired by a key member.
 *
 * Equal elements have equal hashes (what is ignored or has a tolerance is
 * left out of the hash), so only elements of one hash are compared with each
 * other: n log n. Where many have one hash, because of a tolerance or because
 * somebody wants it so, a budget holds for those that are not equal after
 * all. Pointers name the index on the expected side, or on the actual side
 * for what is extra. */
#include "payload/compare.h"

#include <stdlib.h>

struct element {
	const cJSON *value, *key;	/* key: NULL, it has none */
	size_t index;
	uint64_t hash;
	bool paired;
};

static uint64_t hash_value(struct compare *c, const cJSON *p);

uint64_t
payload_hash_bytes(uint64_t seed, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = seed ^ 0x9e3779b97f4a7c15u;

	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3u;
	return h ^ (h >> 29);
}

static const struct payload_unordered *
unordered_here(const struct compare *c)
{
	for (size_t i = 0; i < c->how->unordered_count; i++)
		if (payload_path_matches(c->how->unordered[i].pointer,
					 &c->path))
			return &c->how->unordered[i];
	return NULL;
}

/* ---- hashing ---- */

static uint64_t
hash_object(struct compare *c, const cJSON *p)
{
	uint64_t sum = 1;	/* a sum: members have no order */

	for (const cJSON *m = p->child; m; m = m->next) {
		payload_path_push(&c->path, m->string);
		if (!compare_is_ignored(c)) {
			uint64_t h = hash_value(c, m);

			h = payload_hash_bytes(h, m->string,
					       strlen(m->string));
			sum += h * (h | 1);
		}
		payload_path_pop(&c->path);
	}
	return sum;
}

/* The elements of an array may be paired in any order (unordered), and the
 * surplus may be ignored: only a sum is safe. */
static uint64_t
hash_array(struct compare *c, const cJSON *p)
{
	size_t index = 0;
	uint64_t sum = 2;

	for (const cJSON *i = p->child; i; i = i->next, index++) {
		payload_path_push_index(&c->path, index);
		if (!compare_is_ignored(c)) {
			uint64_t h = hash_value(c, i);

			sum += h * (h | 1);
		}
		payload_path_pop(&c->path);
	}
	return sum;
}

/* Times that are near each other are one, however they are written. */
static uint64_t
hash_string(const struct compare *c, const char *s)
{
	const struct payload_tolerance *t = compare_tolerance(c);

	struct buf text = { 0 };
	uint64_t h;

	if (t && t->kind == PAYLOAD_TOLERANCE_TIME)
		return 7;
	h = compare_rewrite(c, s, &text)
		    ? payload_hash_bytes(3, buf_str(&text), text.len)
		    : payload_hash_bytes(3, s, strlen(s));
	buf_fini(&text);
	return h;
}

static uint64_t
hash_value(struct compare *c, const cJSON *p)
{
	c->work++;
	if (cJSON_IsObject(p))
		return hash_object(c, p);
	if (cJSON_IsArray(p))
		return hash_array(c, p);
	if (cJSON_IsString(p))
		return hash_string(c, p->valuestring);
	if (cJSON_IsNumber(p))
		return compare_tolerance(c) ? 4 : payload_number_hash(p);
	return cJSON_IsNull(p) ? 5 : 6u + (unsigned)cJSON_IsTrue(p);
}

/* ---- pairing ---- */

static int
by_hash(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int
by_index(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/* The hash of an element: of all of it, or of its key member. Patterns are
 * looked at as if it stood at index 0: a set has no other places. */
static uint64_t
element_hash(struct compare *c, const struct element *e, const char *key)
{
	uint64_t hash = 0;

	payload_path_push_index(&c->path, 0);
	if (!key) {
		hash = hash_value(c, e->value);
	} else if (e->key) {
		payload_path_push(&c->path, key);
		hash = hash_value(c, e->key);
		payload_path_pop(&c->path);
	}
	payload_path_pop(&c->path);
	return hash;
}

static struct element *
elements_of(struct compare *c, const cJSON *array, const char *key, size_t *n)
{
	struct element *e;

	*n = 0;
	e = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*e));
	if (!e)
		return NULL;
	for (const cJSON *i = array->child; i; i = i->next, (*n)++) {
		e[*n].value = i;
		e[*n].key = key ? payload_member(i, key) : NULL;
		e[*n].index = *n;
		e[*n].hash = element_hash(c, &e[*n], key);
	}
	qsort(e, *n, sizeof(*e), by_hash);
	return e;
}

static bool
is_equal(struct compare *c, const cJSON *a, const cJSON *b)
{
	size_t count = c->count;
	bool equal;

	payload_path_push_index(&c->path, 0);
	c->quiet++;
	c->count = 0;
	compare_values(c, a, b);
	c->quiet--;
	equal = c->count == 0;
	c->count = count;
	payload_path_pop(&c->path);
	return equal;
}

static bool
agree(struct compare *c, const char *key, const struct element *a,
      const struct element *b)
{
	if (!key)
		return is_equal(c, a->value, b->value);
	if (!a->key || !b->key)
		return a->key == b->key;
	return is_equal(c, a->key, b->key);
}

/* What was in vain is paid for; a pair is found once only. */
static void
pay(struct compare *c, size_t work)
{
	c->budget -= work < c->budget ? work : c->budget;
}

static void
compare_pair(struct compare *c, const struct element *a,
	     const struct element *b)
{
	payload_path_push_index(&c->path, a->index);
	compare_values(c, a->value, b->value);
	payload_path_pop(&c->path);
}

/* Pairs a with the first free element of its hash that agrees. */
static void
find_partner(struct compare *c, const char *key, struct element *a,
	     struct element *b, size_t n)
{
	for (size_t j = 0; j < n && b[j].hash == a->hash; j++) {
		size_t before = c->work;

		if (c->budget == 0)
			return;
		if (b[j].paired || !agree(c, key, a, &b[j])) {
			pay(c, 1 + c->work - before);
			continue;
		}
		a->paired = b[j].paired = true;
		if (key)
			compare_pair(c, a, &b[j]);
		return;
	}
}

static void
pair_up(struct compare *c, const char *key, struct element *a, size_t na,
	struct element *b, size_t nb)
{
	size_t from = 0;

	for (size_t i = 0; i < na; i++) {
		while (from < nb && (b[from].hash < a[i].hash ||
				     (b[from].hash == a[i].hash &&
				      b[from].paired)))
			from++;
		find_partner(c, key, &a[i], b + from, nb - from);
	}
}

static void
report_lone(struct compare *c, struct element *a, size_t na,
	    struct element *b, size_t nb)
{
	qsort(a, na, sizeof(*a), by_index);
	qsort(b, nb, sizeof(*b), by_index);
	for (size_t i = 0; i < na; i++)
		if (!a[i].paired)
			compare_lone(c, a[i].index, a[i].value, NULL);
	for (size_t i = 0; i < nb; i++)
		if (!b[i].paired)
			compare_lone(c, b[i].index, NULL, b[i].value);
}

bool
compare_unordered(struct compare *c, const cJSON *a, const cJSON *b)
{
	const struct payload_unordered *u = unordered_here(c);
	struct element *ea, *eb;
	size_t na, nb;

	if (!u)
		return false;
	ea = elements_of(c, a, u->key, &na);
	eb = elements_of(c, b, u->key, &nb);
	if (!ea || !eb) {
		compare_report(c, PAYLOAD_VALUE, NULL, NULL);
	} else {
		pair_up(c, u->key, ea, na, eb, nb);
		report_lone(c, ea, na, eb, nb);
	}
	free(ea);
	free(eb);
	return true;
}
