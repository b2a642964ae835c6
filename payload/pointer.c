/* SPDX-License-Identifier: Apache-2.0 */
/* JSON pointers (RFC 6901): look up, build, match with wildcards. */
#include "payload/internal.h"

#include "base/invariant.h"

/* Compares one escaped segment of a pointer with a plain name. */
static bool
segment_is(struct span segment, const char *name)
{
	for (size_t i = 0; i < segment.len; i++, name++) {
		char c = segment.at[i];

		if (c == '~' && i + 1 < segment.len)
			c = segment.at[++i] == '1' ? '/' : '~';
		if (!*name || *name != c)
			return false;
	}
	return !*name;
}

static struct span
cut_segment(const char **pointer)
{
	const char *from = *pointer + 1;
	size_t n = strcspn(from, "/");

	*pointer = from + n;
	return (struct span){ from, n };
}

/* An array index has no leading zero (RFC 6901 section 4). */
static const cJSON *
element_at(const cJSON *array, struct span segment)
{
	const cJSON *item = array->child;
	size_t index = 0;

	if (segment.len == 0 || segment.len > 9 ||
	    (segment.len > 1 && segment.at[0] == '0'))
		return NULL;
	for (size_t i = 0; i < segment.len; i++) {
		if (segment.at[i] < '0' || segment.at[i] > '9')
			return NULL;
		index = index * 10 + (size_t)(segment.at[i] - '0');
	}
	while (item && index-- > 0)
		item = item->next;
	return item;
}

/* The last of several members of one name: what most parsers keep. */
static const cJSON *
member_at(const cJSON *object, struct span segment)
{
	const cJSON *found = NULL;

	for (const cJSON *m = object->child; m; m = m->next)
		if (segment_is(segment, m->string))
			found = m;
	return found;
}

const struct cJSON *
payload_at(const struct cJSON *p, const char *pointer)
{
	while (p && *pointer) {
		struct span segment;

		if (*pointer != '/')
			return NULL;
		segment = cut_segment(&pointer);
		if (cJSON_IsArray(p))
			p = element_at(p, segment);
		else if (cJSON_IsObject(p))
			p = member_at(p, segment);
		else
			p = NULL;
	}
	return p;
}

static void
begin_segment(struct payload_path *path)
{
	INVARIANT(path->depth < ARRAY_SIZE(path->starts));
	path->starts[path->depth++] = path->text.len;
	buf_addc(&path->text, '/');
}

void
payload_path_push(struct payload_path *path, const char *segment)
{
	begin_segment(path);
	for (; *segment; segment++) {
		if (*segment == '~')
			buf_adds(&path->text, "~0");
		else if (*segment == '/')
			buf_adds(&path->text, "~1");
		else
			buf_addc(&path->text, *segment);
	}
}

void
payload_path_push_index(struct payload_path *path, size_t index)
{
	begin_segment(path);
	buf_add_u64(&path->text, index);
}

void
payload_path_pop(struct payload_path *path)
{
	INVARIANT(path->depth > 0);
	path->text.len = path->starts[--path->depth];
}

static struct span
segment_of(const struct payload_path *path, size_t i)
{
	size_t from = path->starts[i] + 1;
	size_t end = i + 1 < path->depth ? path->starts[i + 1]
					 : path->text.len;

	return (struct span){ path->text.data + from, end - from };
}

/* Compares pattern segments, up to the end or a `**`, with those from i on;
 * tells how many there were. */
static bool
segments_match(const char **pattern, const struct payload_path *path,
	       size_t *i)
{
	while (**pattern == '/' && *i < path->depth) {
		const char *here = *pattern;
		struct span want = cut_segment(pattern);

		if (span_is(want, "**")) {
			*pattern = here;
			return true;
		}
		if (!span_is(want, "*") &&
		    !span_equal(want, segment_of(path, *i)))
			return false;
		++*i;
	}
	return true;
}

static size_t
count_segments(const char *pattern)
{
	size_t n = 0;

	for (; *pattern; pattern++)
		n += *pattern == '/';
	return n;
}

/* Both ends are fixed, so that nothing has to be tried. */
bool
payload_path_matches(const char *pattern, const struct payload_path *path)
{
	size_t i = 0, rest;

	if (path->text.failed || !segments_match(&pattern, path, &i))
		return false;
	if (strncmp(pattern, "/**", 3) != 0 ||
	    (pattern[3] && pattern[3] != '/'))
		return !*pattern && i == path->depth;
	pattern += 3;
	rest = count_segments(pattern);
	if (rest > path->depth - i)
		return false;
	i = path->depth - rest;
	return segments_match(&pattern, path, &i) && !*pattern &&
	       i == path->depth;
}
