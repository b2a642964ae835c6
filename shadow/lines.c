/* SPDX-License-Identifier: Apache-2.0 */
/* Two answers side by side: leaf by leaf, so that what belongs together
 * stands together whatever the order of members. */
#include "shadow/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "shadow/body.h"

#define DEPTH_MOST 64

struct lines {
	const struct shadow_case *c;
	size_t count, max;
	struct buf pointer;
	void (*fn)(void *arg, const struct shadow_line *l);
	void *arg;
};

/* Is one of them the other, or a place within it? */
static bool
meets(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	const char *longer = n > m ? a : b;
	size_t shorter = n > m ? m : n;

	if (strncmp(a, b, shorter) != 0)
		return false;
	return n == m || (longer[shorter] == '/' && *longer == '/');
}

static bool
is_reported(const struct shadow_verdict *v, const char *pointer)
{
	for (size_t i = 0; i < v->count; i++)
		if (meets(v->at[i].pointer, pointer))
			return true;
	return false;
}

static void
add_line(struct lines *l, const char *pointer, const char *legacy,
	 const char *candidate)
{
	bool same = legacy && candidate && strcmp(legacy, candidate) == 0;
	const struct shadow_line line = {
		same ? SHADOW_LINE_SAME
		: is_reported(&l->c->v, pointer) ? SHADOW_LINE_DIFFERENT
						 : SHADOW_LINE_SUPPRESSED,
		pointer, legacy, candidate
	};

	if (l->count++ < l->max)
		l->fn(l->arg, &line);
}

/* ---- status and headers ---- */

static void
add_status(struct lines *l)
{
	char a[16], b[16];

	snprintf(a, sizeof(a), "%d", l->c->x->status);
	snprintf(b, sizeof(b), "%d", l->c->status);
	add_line(l, "status", a, b);
}

/* All values of a name as one list; NULL: there is none. */
static const char *
values(struct message_fields fields, struct span name, struct buf *out)
{
	size_t n = 0;

	buf_clear(out);
	for (size_t i = 0; i < fields.count; i++) {
		if (!span_equal_nocase(fields.at[i].name, name))
			continue;
		if (n++ > 0)
			buf_adds(out, ", ");
		buf_add(out, fields.at[i].value.at, fields.at[i].value.len);
	}
	return n ? buf_str(out) : NULL;
}

static bool
has_before(struct message_fields fields, size_t before, struct span name)
{
	for (size_t i = 0; i < before; i++)
		if (span_equal_nocase(fields.at[i].name, name))
			return true;
	return false;
}

static void
add_header(struct lines *l, struct span name, struct message_fields legacy,
	   struct message_fields candidate)
{
	struct buf a = { 0 }, b = { 0 };
	char pointer[SHADOW_NAME_MAX];

	snprintf(pointer, sizeof(pointer), "header:%.*s", (int)name.len,
		 name.at);
	add_line(l, pointer, values(legacy, name, &a),
		 values(candidate, name, &b));
	buf_fini(&a);
	buf_fini(&b);
}

static void
add_headers(struct lines *l)
{
	struct message_fields a = shadow_side_fields(&l->c->x->response);
	struct message_fields b = shadow_side_fields(&l->c->answer);

	for (size_t i = 0; i < a.count; i++)
		if (!has_before(a, i, a.at[i].name))
			add_header(l, a.at[i].name, a, b);
	for (size_t i = 0; i < b.count; i++)
		if (!has_before(b, i, b.at[i].name) &&
		    !has_before(a, a.count, b.at[i].name))
			add_header(l, b.at[i].name, a, b);
}

/* ---- bodies ---- */

static void
add_leaf(struct lines *l, const struct cJSON *a, const struct cJSON *b)
{
	struct buf x = { 0 }, y = { 0 };

	if (a)
		payload_write(a, &x);
	if (b)
		payload_write(b, &y);
	add_line(l, buf_str(&l->pointer), a ? buf_str(&x) : NULL,
		 b ? buf_str(&y) : NULL);
	buf_fini(&x);
	buf_fini(&y);
}

static void
push_name(struct buf *pointer, const char *name)
{
	buf_addc(pointer, '/');
	for (; *name; name++)
		if (*name == '~')
			buf_adds(pointer, "~0");
		else if (*name == '/')
			buf_adds(pointer, "~1");
		else
			buf_addc(pointer, *name);
}

static void add_values(struct lines *l, const struct cJSON *a,
		       const struct cJSON *b, int depth);

static void
add_objects(struct lines *l, const struct cJSON *a, const struct cJSON *b,
	    int depth)
{
	size_t here = l->pointer.len;

	for (const struct cJSON *m = payload_first(a); m; m = payload_next(m)) {
		push_name(&l->pointer, payload_name(m));
		add_values(l, m, payload_member(b, payload_name(m)), depth);
		l->pointer.len = here;
	}
	for (const struct cJSON *m = payload_first(b); m; m = payload_next(m)) {
		if (payload_member(a, payload_name(m)))
			continue;
		push_name(&l->pointer, payload_name(m));
		add_values(l, NULL, m, depth);
		l->pointer.len = here;
	}
}

static void
add_arrays(struct lines *l, const struct cJSON *a, const struct cJSON *b,
	   int depth)
{
	const struct cJSON *x = payload_first(a), *y = payload_first(b);
	size_t here = l->pointer.len;

	for (size_t i = 0; x || y; i++) {
		buf_printf(&l->pointer, "/%zu", i);
		add_values(l, x, y, depth);
		l->pointer.len = here;
		x = x ? payload_next(x) : NULL;
		y = y ? payload_next(y) : NULL;
	}
}

static void
add_values(struct lines *l, const struct cJSON *a, const struct cJSON *b,
	   int depth)
{
	bool full = payload_first(a) || payload_first(b);

	if (depth == DEPTH_MOST || !full)
		add_leaf(l, a, b);
	else if (payload_is_object(a) && payload_is_object(b))
		add_objects(l, a, b, depth + 1);
	else if (payload_is_array(a) && payload_is_array(b))
		add_arrays(l, a, b, depth + 1);
	else
		add_leaf(l, a, b);
}

static void
add_text(struct lines *l, struct span a, struct span b)
{
	struct buf x = { 0 }, y = { 0 };

	buf_add(&x, a.at, a.len);
	buf_add(&y, b.at, b.len);
	add_line(l, "body", a.len ? buf_str(&x) : NULL,
		 b.len ? buf_str(&y) : NULL);
	buf_fini(&x);
	buf_fini(&y);
}

static void
add_texts(struct lines *l, const struct shadow_body *legacy,
	  const struct shadow_body *candidate)
{
	struct span a = legacy->bytes, b = candidate->bytes;
	bool dear = legacy->too_dear || candidate->too_dear;
	struct cJSON *x = a.len && !dear ? payload_parse(a, NULL) : NULL;
	struct cJSON *y = b.len && !dear ? payload_parse(b, NULL) : NULL;

	if (x && y)
		add_values(l, x, y, 0);
	else if (a.len || b.len)
		add_text(l, a, b);
	payload_free(&x);
	payload_free(&y);
}

/* The candidate's was decoded before it was kept, where it could be. */
static void
add_bodies(struct lines *l)
{
	const struct shadow_side *x = &l->c->x->response, *y = &l->c->answer;
	bool decoded = payload_bool(payload_at(l->c->data, "/answer/decoded"),
				    false);
	struct message_fields none = { NULL, 0 };
	struct shadow_body a, b;

	shadow_body_open(&a, shadow_side_fields(x), x->body);
	shadow_body_open(&b, decoded ? none : shadow_side_fields(y), y->body);
	add_texts(l, &a, &b);
	shadow_body_fini(&a);
	shadow_body_fini(&b);
}

size_t
shadow_case_lines(const struct shadow_case *c, size_t max,
		  void (*fn)(void *arg, const struct shadow_line *l),
		  void *arg)
{
	struct lines l = { .c = c, .max = max, .fn = fn, .arg = arg };

	add_status(&l);
	add_headers(&l);
	add_bodies(&l);
	buf_fini(&l.pointer);
	return l.count;
}
