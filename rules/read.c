/* SPDX-License-Identifier: Apache-2.0 */
/* Reads members by their row in keys.def, defaults included. */
#include "rules/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "rules/units.h"

#define COUNT_MAX 1000000u
#define NEAREST_MAX 32	/* longer words get no suggestion */

bool
keys_get(const struct rules_node *node, enum key k, struct rules_node *out)
{
	const char *key = keys_row(k)->key;

	*out = (struct rules_node){
		.up = node,
		.key = key,
		.value = json_object_get(node->value, key),
	};
	return out->value != NULL;
}

struct rules_node
keys_item(const struct rules_node *node, size_t index)
{
	return (struct rules_node){
		.up = node,
		.index = index,
		.value = json_array_get(node->value, index),
	};
}

const char *
keys_string(const struct rules_node *node, enum key k)
{
	struct rules_node at;

	return keys_get(node, k, &at) ? json_string_value(at.value)
				      : keys_row(k)->def;
}

static int
fail_unit(struct rules_load *l, const struct rules_node *node, enum key k,
	  const char *text, const char *complaint)
{
	struct rules_node at;

	keys_get(node, k, &at);
	return load_fail(l, &at, "\"%s\" %s", text, complaint);
}

int
keys_duration(struct rules_load *l, const struct rules_node *node,
	      enum key k, unsigned *ms)
{
	const char *text = keys_string(node, k);
	const char *complaint = units_duration(text, ms);

	return complaint ? fail_unit(l, node, k, text, complaint) : 0;
}

int
keys_percent(struct rules_load *l, const struct rules_node *node,
	     enum key k, uint32_t *ppm)
{
	const char *text = keys_string(node, k);
	const char *complaint = units_percent(text, ppm);

	return complaint ? fail_unit(l, node, k, text, complaint) : 0;
}

int
keys_size(struct rules_load *l, const struct rules_node *node, enum key k,
	  size_t *bytes)
{
	const char *text = keys_string(node, k);
	const char *complaint = units_size(text, bytes);

	return complaint ? fail_unit(l, node, k, text, complaint) : 0;
}

int
keys_statuses(struct rules_load *l, const struct rules_node *node,
	      enum key k, struct rules_statuses *out)
{
	const char *text = keys_string(node, k);
	const char *complaint = units_statuses(text, out);

	return complaint ? fail_unit(l, node, k, text, complaint) : 0;
}

int
keys_count(struct rules_load *l, const struct rules_node *node, enum key k,
	   unsigned least, unsigned *out)
{
	struct rules_node at;
	json_int_t n;

	if (!keys_get(node, k, &at)) {
		*out = (unsigned)strtoul(keys_row(k)->def, NULL, 10);
		return 0;
	}
	n = json_integer_value(at.value);
	if (n < (json_int_t)least || n > COUNT_MAX)
		return load_fail(l, &at, "%" JSON_INTEGER_FORMAT " is not a "
				 "number from %u to %u", n, least, COUNT_MAX);
	*out = (unsigned)n;
	return 0;
}

struct words {
	const char *const *at;
	size_t count, next;
};

static const char *
next_word(void *arg)
{
	struct words *w = arg;

	return w->next < w->count ? w->at[w->next++] : NULL;
}

static int
fail_choice(struct rules_load *l, const struct rules_node *node, enum key k,
	    struct words words)
{
	const char *text = keys_string(node, k);
	const char *near = keys_nearest(text, next_word, &words);
	struct buf all = { 0 };
	struct rules_node at;

	for (size_t i = 0; i < words.count; i++)
		buf_printf(&all, "%s%s", i ? ", " : "", words.at[i]);
	keys_get(node, k, &at);
	load_fail(l, &at, "\"%s\" is none of %s%s%s%s", text, buf_str(&all),
		  near ? ": did you mean \"" : "", near ? near : "",
		  near ? "\"?" : "");
	buf_fini(&all);
	return -1;
}

int
keys_choice(struct rules_load *l, const struct rules_node *node, enum key k,
	    const char *const *words, size_t count, size_t *chosen)
{
	const char *text = keys_string(node, k);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i], text) == 0) {
			*chosen = i;
			return 0;
		}
	}
	return fail_choice(l, node, k, (struct words){ words, count, 0 });
}

static int
read_string(struct rules_load *l, const struct rules_node *at,
	    keys_string_check *check, const char **out)
{
	const char *s = json_string_value(at->value);

	if (!s)
		return load_fail(l, at, "must be a string");
	if (check && check(l, at, s) < 0)
		return -1;
	*out = load_copy(l, s);
	return *out ? 0 : -1;
}

int
keys_strings(struct rules_load *l, const struct rules_node *node, enum key k,
	     keys_string_check *check, const char *const **list,
	     size_t *count)
{
	struct rules_node at;
	const char **all;
	size_t n;

	*list = NULL;
	*count = 0;
	if (!keys_get(node, k, &at))
		return 0;
	n = json_is_array(at.value) ? json_array_size(at.value) : 1;
	all = load_alloc(l, n, sizeof(*all));
	if (!all)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct rules_node item = json_is_array(at.value)
						 ? keys_item(&at, i)
						 : at;

		if (read_string(l, &item, check, &all[i]) < 0)
			return -1;
	}
	*list = all;
	*count = n;
	return 0;
}

static bool
is_made_of(const char *s, const char *others)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(others, *s))
			return false;
	return true;
}

bool
keys_is_name(const char *s)
{
	return isalnum((unsigned char)*s) && strlen(s) <= 64 &&
	       is_made_of(s, "._-");
}

bool
keys_is_token(const char *s)
{
	return *s && is_made_of(s, "!#$%&'*+-.^_`|~");
}

int
keys_check_token(struct rules_load *l, const struct rules_node *at,
		 const char *s)
{
	if (keys_is_token(s))
		return 0;
	return load_fail(l, at, "\"%s\" cannot be the name of a header field "
			 "or cookie", s);
}

/* Segments `**`. */
static size_t
count_tails(const char *s)
{
	size_t n = 0;

	for (s = strstr(s, "/**"); s; s = strstr(s + 3, "/**"))
		n += s[3] == '\0' || s[3] == '/';
	return n;
}

int
keys_check_pointer(struct rules_load *l, const struct rules_node *at,
		   const char *s)
{
	if (*s != '\0' && *s != '/')
		return load_fail(l, at, "\"%s\" is not a JSON pointer: it "
				 "begins with \"/\"", s);
	for (const char *c = strchr(s, '~'); c; c = strchr(c + 1, '~'))
		if (c[1] != '0' && c[1] != '1')
			return load_fail(l, at, "\"%s\" is not a JSON "
					 "pointer: write \"~0\" for \"~\"", s);
	if (count_tails(s) > 1)
		return load_fail(l, at, "\"%s\" has more than one \"**\": "
				 "write one, and \"*\" for single segments", s);
	return 0;
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance, one row at a time. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[NEAREST_MAX + 1];
	size_t n = strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 1; j <= n; j++) {
			unsigned above = row[j];

			row[j] = min3(row[j - 1] + 1, above + 1,
				      diagonal + (a[i] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n];
}

const char *
keys_nearest(const char *s, const char *(*next)(void *arg), void *arg)
{
	const char *candidate, *best = NULL;
	unsigned limit = strlen(s) < 4 ? 2 : 3, nearest = limit;

	if (strlen(s) > NEAREST_MAX)
		return NULL;
	while ((candidate = next(arg))) {
		unsigned d = strlen(candidate) <= NEAREST_MAX
				     ? distance(s, candidate)
				     : limit;

		if (d < nearest) {
			nearest = d;
			best = candidate;
		}
	}
	return best;
}
