/* SPDX-License-Identifier: Apache-2.0 */
/* JSON pointers (RFC 6901): look up, build, match with wildcards. */
#include "payload/internal.h"

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

void
payload_pointer_push(struct buf *pointer, const char *segment)
{
	buf_addc(pointer, '/');
	for (; *segment; segment++) {
		if (*segment == '~')
			buf_adds(pointer, "~0");
		else if (*segment == '/')
			buf_adds(pointer, "~1");
		else
			buf_addc(pointer, *segment);
	}
}

void
payload_pointer_push_index(struct buf *pointer, size_t index)
{
	buf_addc(pointer, '/');
	buf_add_u64(pointer, index);
}

bool
payload_pointer_matches(const char *pattern, struct span pointer)
{
	const char *p = pointer.at, *end;

	if (pointer.len == 0)		/* the whole; at may be NULL */
		return *pattern == '\0';
	end = pointer.at + pointer.len;
	while (*pattern == '/' && p < end) {
		const char *from = ++p;
		struct span want = cut_segment(&pattern);

		while (p < end && *p != '/')
			p++;
		if (!span_is(want, "*") &&
		    !span_equal(want, (struct span){ from,
						     (size_t)(p - from) }))
			return false;
	}
	return !*pattern && p == end;
}
