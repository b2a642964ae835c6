/* SPDX-License-Identifier: Apache-2.0 */
/* Two answers to one request: what differs.
 *
 * Status first, then the headers that the rule names and the coding, then the
 * bodies, without their codings: as JSON by structure when both are JSON, else
 * byte by byte. */
#include "shadow/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/pattern.h"
#include "shadow/body.h"

#define REDACTED "redacted:"
/* How much of what is before the first different byte is shown. */
#define CONTEXT_BYTES 16

/* ---- status and headers ---- */

static bool
is_among(const struct shadow_statuses *s, int status)
{
	for (unsigned i = 0; i < s->count; i++)
		if (status >= s->ranges[i].from && status <= s->ranges[i].to)
			return true;
	return false;
}

static bool
may_stand_for(const struct shadow_rule *rule, int legacy, int candidate)
{
	for (size_t i = 0; i < rule->status_count; i++)
		if (is_among(&rule->status[i].legacy, legacy) &&
		    is_among(&rule->status[i].candidate, candidate))
			return true;
	return false;
}

static void
compare_status(const struct shadow_rule *rule, int legacy, int candidate,
	       struct shadow_verdict *v)
{
	char a[16], b[16];

	if (legacy == candidate || may_stand_for(rule, legacy, candidate))
		return;
	snprintf(a, sizeof(a), "%d", legacy);
	snprintf(b, sizeof(b), "%d", candidate);
	shadow_verdict_add(v, "status", "value", span_of(a), span_of(b));
}

static bool
may_hold_url(const struct redact *r, struct span value)
{
	if (r->query_count && value.len && memchr(value.at, '?', value.len))
		return true;
	return value.len && memchr(value.at, '@', value.len) &&
	       memmem(value.at, value.len, "://", 3);
}

/* As the record does it (bus/encode.c), so that equal secrets stay equal. */
static void
add_redacted(const struct shadow_plan *plan, const struct message_field *f,
	     struct buf *out)
{
	char text[REDACT_TEXT_SIZE];

	if (!plan->redact || !plan->key)
		buf_add(out, f->value.at, f->value.len);
	else if (span_is_nocase(f->name, "set-cookie"))
		redact_set_cookie(plan->key, f->value, out);
	else if (redact_header_is_secret(plan->redact, f->name))
		buf_adds(out, redact_text(plan->key, f->value, text));
	else if (may_hold_url(plan->redact, f->value))
		redact_target(plan->redact, plan->key, f->value, out);
	else
		buf_add(out, f->value.at, f->value.len);
}

/* All values of one name, in order, as one list (RFC 9110 5.3). Returns how
 * many there are. */
static size_t
join_values(const struct shadow_plan *plan, const struct shadow_answer *a,
	    const char *name, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < a->fields.count; i++) {
		const struct message_field *f = &a->fields.at[i];

		if (!span_is_nocase(f->name, name))
			continue;
		if (n++ > 0)
			buf_adds(out, ", ");
		if (a->redacted)
			buf_add(out, f->value.at, f->value.len);
		else
			add_redacted(plan, f, out);
	}
	return n;
}

static bool
is_redacted(struct span s)
{
	return s.len && memmem(s.at, s.len, REDACTED, sizeof(REDACTED) - 1);
}

static bool
texts_near(const struct shadow_rule *rule, const char *pointer,
	   struct span a, struct span b)
{
	for (size_t i = 0; i < rule->tolerance_count; i++)
		if (strcasecmp(rule->tolerance[i].pointer, pointer) == 0)
			return payload_texts_near(a, b, &rule->tolerance[i]);
	return false;
}

/* ---- patterns ---- */

/* What patterns may cost in one comparison: for each text that is rewritten,
 * besides some for its bytes. */
#define STEPS_FLOOR 1000000u
#define STEPS_A_BYTE 64u
#define STEPS_MOST 30000000u	/* half a second */

static size_t
steps_for(size_t bytes)
{
	size_t steps = STEPS_FLOOR + STEPS_A_BYTE * bytes;

	return steps < STEPS_MOST ? steps : STEPS_MOST;
}

static bool
rewrite(void *steps, const void *pattern, struct span in, struct buf *out)
{
	return pattern_rewrite(pattern, in, steps, out);
}

/* As the rule has it rewritten at that place; false: as it stands. */
static bool
normalise(const struct shadow_rule *rule, const char *place, struct span in,
	  struct buf *out)
{
	size_t steps = steps_for(in.len);
	bool done = false;

	for (size_t i = 0; i < rule->normalise_count; i++) {
		struct buf next = { 0 };

		if (strcasecmp(rule->normalise[i].pointer, place) != 0)
			continue;
		if (!rewrite(&steps, rule->normalise[i].pattern,
			     done ? buf_span(out) : in, &next)) {
			buf_fini(&next);
			return false;
		}
		buf_fini(out);
		*out = next;
		done = true;
	}
	return done;
}

static bool
agree_normalised(const struct shadow_rule *rule, const char *place,
		 struct span a, struct span b)
{
	struct buf x = { 0 }, y = { 0 };
	bool agree = rule->normalise_count > 0 &&
		     normalise(rule, place, a, &x) &&
		     normalise(rule, place, b, &y) &&
		     span_equal(buf_span(&x), buf_span(&y));

	buf_fini(&x);
	buf_fini(&y);
	return agree;
}

static void
compare_header(const struct shadow_plan *plan, const struct shadow_rule *rule,
	       const char *name,
	       const struct shadow_answer *legacy,
	       const struct shadow_answer *candidate,
	       struct shadow_verdict *v)
{
	struct buf a = { 0 }, b = { 0 };
	size_t na = join_values(plan, legacy, name, &a);
	size_t nb = join_values(plan, candidate, name, &b);
	char pointer[SHADOW_NAME_MAX];
	const char *kind = na == 0 ? "extra" : nb == 0 ? "missing" : "value";
	/* Without the key nobody can tell, and the value is a secret. */
	bool unknown = !plan->key && !candidate->redacted &&
		       is_redacted(buf_span(&a));

	snprintf(pointer, sizeof(pointer), "header:%s", name);
	if ((na > 0) != (nb > 0) || a.failed || b.failed ||
	    (!unknown && !span_equal(buf_span(&a), buf_span(&b)) &&
	     !texts_near(rule, pointer, buf_span(&a), buf_span(&b)) &&
	     !agree_normalised(rule, pointer, buf_span(&a), buf_span(&b))))
		shadow_verdict_add(v, pointer, kind, buf_span(&a),
				   buf_span(&b));
	buf_fini(&a);
	buf_fini(&b);
}

static bool
is_named(const struct shadow_rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->header_count; i++)
		if (strcasecmp(rule->headers[i], name) == 0)
			return true;
	return false;
}

/* A caller who cannot undo the coding cannot read the answer (RFC 9110 8.4):
 * it is compared unless the rule says that any will do. */
static void
compare_headers(const struct shadow_plan *plan,
		const struct shadow_rule *rule,
		const struct shadow_answer *legacy,
		const struct shadow_answer *candidate,
		struct shadow_verdict *v)
{
	for (size_t i = 0; i < rule->header_count; i++)
		compare_header(plan, rule, rule->headers[i], legacy, candidate,
			       v);
	if (!rule->any_coding && !is_named(rule, SHADOW_CODING))
		compare_header(plan, rule, SHADOW_CODING, legacy, candidate,
			       v);
}

/* ---- bodies ---- */

static bool
says_json(struct message_fields fields)
{
	const struct message_field *f = message_find(fields, "content-type");
	struct span type = f ? f->value : (struct span){ 0 };
	const char *end = type.len ? memchr(type.at, ';', type.len) : NULL;

	if (end)
		type.len = (size_t)(end - type.at);
	type = span_trim(type);
	return type.len >= 4 &&
	       strncasecmp(type.at + type.len - 4, "json", 4) == 0;
}

/* A body is JSON when all of it parses, and either it says so or it is an
 * object or array: many an old system sends JSON as text/html, but "12" in
 * a text is not a number. */
static struct cJSON *
parse_body(const struct shadow_answer *a)
{
	struct cJSON *tree = a->body.len ? payload_parse(a->body, NULL) : NULL;

	if (tree && !says_json(a->fields) && !payload_is_object(tree) &&
	    !payload_is_array(tree))
		payload_free(&tree);
	return tree;
}

static struct span
excerpt(struct span s, size_t first)
{
	size_t from = first > CONTEXT_BYTES ? first - CONTEXT_BYTES : 0;

	return from < s.len ? (struct span){ s.at + from, s.len - from }
			    : (struct span){ "", 0 };
}

/* Where secrets are named, bytes that nobody can look into are shown by
 * their digest only; the record withholds such a body altogether. */
static bool
has_named_secrets(const struct shadow_plan *plan)
{
	return plan->redact && plan->key &&
	       (plan->redact->json_count || plan->redact->query_count);
}

static struct span
shown(const struct shadow_plan *plan, const struct shadow_answer *a,
      size_t first, char digest[REDACT_TEXT_SIZE])
{
	if (a->redacted || !has_named_secrets(plan))
		return excerpt(a->body, first);
	return span_of(redact_text(plan->key, a->body, digest));
}

static void
compare_bytes(const struct shadow_plan *plan,
	      const struct shadow_answer *legacy,
	      const struct shadow_answer *candidate, struct shadow_verdict *v)
{
	struct span a = legacy->body, b = candidate->body;
	size_t n = a.len < b.len ? a.len : b.len, first = 0;
	char x[REDACT_TEXT_SIZE], y[REDACT_TEXT_SIZE];

	if (span_equal(a, b))
		return;
	while (first < n && a.at[first] == b.at[first])
		first++;
	shadow_verdict_add(v, "body", first == n ? "length" : "bytes",
			   shown(plan, legacy, first, x),
			   shown(plan, candidate, first, y));
}

struct report {
	bool skip_redacted;	/* nobody can tell */
	struct shadow_verdict *v;
};

static void
on_difference(void *arg, const char *pointer,
	      enum payload_difference_kind kind, const char *expected,
	      const char *actual)
{
	struct report *r = arg;

	if (r->skip_redacted && is_redacted(span_of(expected)))
		return;
	shadow_verdict_add(r->v, pointer, payload_difference_name(kind),
			   span_of(expected), span_of(actual));
}

static void
compare_json(const struct shadow_rule *rule, const struct cJSON *a,
	     const struct cJSON *b, size_t bytes, bool skip_redacted,
	     struct shadow_verdict *v)
{
	size_t steps = steps_for(bytes);
	const struct payload_compare how = {
		.rewrites = rule->normalise,
		.rewrite_count = rule->normalise_count,
		.rewrite = rewrite,
		.rewrite_arg = &steps,
		.ignore = rule->ignore,
		.ignore_count = rule->ignore_count,
		.tolerance = rule->tolerance,
		.tolerance_count = rule->tolerance_count,
		.unordered = rule->unordered,
		.unordered_count = rule->unordered_count,
	};
	struct report r = { skip_redacted, v };
	/* Those that are skipped must not use up the places of the others. */
	size_t max = skip_redacted || v->sieve ? SIZE_MAX
					       : SHADOW_DIFFERENCES_MAX;
	size_t n;

	v->bodies[0] = a;
	v->bodies[1] = b;
	n = payload_compare_json(a, b, &how, max, on_difference, &r);
	v->bodies[0] = v->bodies[1] = NULL;
	if (n > max)
		v->total += n - max;
}

/* What is no JSON, as patterns leave it where there are some. */
static void
compare_plain(const struct shadow_plan *plan, const struct shadow_rule *rule,
	      const struct shadow_answer *legacy,
	      const struct shadow_answer *candidate,
	      struct shadow_verdict *v)
{
	struct shadow_answer a = *legacy, b = *candidate;
	struct buf x = { 0 }, y = { 0 };

	if (normalise(rule, "body", a.body, &x) &&
	    normalise(rule, "body", b.body, &y)) {
		a.body = buf_span(&x);
		b.body = buf_span(&y);
	}
	compare_bytes(plan, &a, &b, v);
	buf_fini(&x);
	buf_fini(&y);
}

static bool
has_mark(struct span text)
{
	return text.len >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0;
}

/* Our parser skips it, that of many a caller does not (RFC 8259 8.1). */
static void
compare_marks(struct span a, struct span b, struct shadow_verdict *v)
{
	static const struct span mark = { "a byte order mark", 17 };

	if (has_mark(a) && !has_mark(b))
		shadow_verdict_add(v, "body", "missing", mark,
				   SPAN_LITERAL(""));
	else if (!has_mark(a) && has_mark(b))
		shadow_verdict_add(v, "body", "extra", SPAN_LITERAL(""), mark);
}

static void
compare_texts(const struct shadow_plan *plan, const struct shadow_rule *rule,
	      const struct shadow_answer *legacy,
	      const struct shadow_answer *candidate,
	      struct shadow_verdict *v)
{
	struct cJSON *a = parse_body(legacy), *b = parse_body(candidate);

	if (a && b) {
		compare_marks(legacy->body, candidate->body, v);
		compare_json(rule, a, b,
			     legacy->body.len + candidate->body.len,
			     !plan->key && !candidate->redacted, v);
	} else {
		compare_plain(plan, rule, legacy, candidate, v);
	}
	payload_free(&a);
	payload_free(&b);
}

/* Secrets inside a JSON body leave it before it is compared. A body that is
 * not JSON holds none of them by name. */
static struct shadow_answer
redact_body(const struct shadow_plan *plan, const struct shadow_answer *a,
	    struct buf *memory)
{
	struct shadow_answer out = *a;
	const struct redact *r = plan->redact;

	if (!a->redacted && r && plan->key && r->json_count && a->body.len &&
	    payload_redact(a->body, r->json, r->json_count, plan->key,
			   memory) == 0)
		out.body = memory->failed ? (struct span){ "", 0 }
					  : buf_span(memory);
	return out;
}

/* ---- codings ---- */

/* What nobody can look into is equal to nothing. */
static void
report_trouble(const char *legacy, const char *candidate,
	       struct shadow_verdict *v)
{
	const char *readable = payload_coding_words(PAYLOAD_CODING_UNDONE);

	shadow_verdict_add(v, "body", "coding",
			   span_of(legacy ? legacy : readable),
			   span_of(candidate ? candidate : readable));
}

static void
compare_opened(const struct shadow_plan *plan, const struct shadow_rule *rule,
	       const struct shadow_answer *legacy,
	       const struct shadow_answer *candidate,
	       struct shadow_verdict *v)
{
	struct buf left = { 0 }, right = { 0 };
	struct shadow_answer a = redact_body(plan, legacy, &left);
	struct shadow_answer b = redact_body(plan, candidate, &right);

	compare_texts(plan, rule, &a, &b, v);
	buf_fini(&left);
	buf_fini(&right);
}

/* The recorder cannot look into codings either: what is made of them was
 * redacted by nobody. */
static struct shadow_answer
opened(const struct shadow_answer *a, const struct shadow_body *body)
{
	struct shadow_answer out = *a;

	out.body = body->bytes;
	out.redacted &= body->coding == PAYLOAD_CODING_NONE;
	return out;
}

static bool
is_same_coding(const struct shadow_plan *plan,
	       const struct shadow_answer *legacy,
	       const struct shadow_answer *candidate)
{
	struct buf a = { 0 }, b = { 0 };
	size_t na = join_values(plan, legacy, SHADOW_CODING, &a);
	size_t nb = join_values(plan, candidate, SHADOW_CODING, &b);
	bool same = na > 0 && nb > 0 && !a.failed && !b.failed &&
		    span_equal_nocase(buf_span(&a), buf_span(&b));

	buf_fini(&a);
	buf_fini(&b);
	return same;
}

/* The same bytes in the same coding are the same answer, also where nobody
 * here can undo it. */
static void
compare_bodies(const struct shadow_plan *plan, const struct shadow_rule *rule,
	       const struct shadow_answer *legacy,
	       const struct shadow_answer *candidate,
	       struct shadow_verdict *v)
{
	static const struct message_fields none;
	struct shadow_answer x, y;
	struct shadow_body a, b;

	if (span_equal(legacy->body, candidate->body) &&
	    is_same_coding(plan, legacy, candidate))
		return;
	shadow_body_open(&a, legacy->fields, legacy->body);
	shadow_body_open(&b, plan->has_decoded ? none : candidate->fields,
			 candidate->body);
	x = opened(legacy, &a);
	y = opened(candidate, &b);
	if (shadow_body_trouble(&a) || shadow_body_trouble(&b))
		report_trouble(shadow_body_trouble(&a),
			       shadow_body_trouble(&b), v);
	else
		compare_opened(plan, rule, &x, &y, v);
	shadow_body_fini(&a);
	shadow_body_fini(&b);
}

void
shadow_compare(const struct shadow_plan *plan, const struct shadow_rule *rule,
	       const struct shadow_answer *legacy,
	       const struct shadow_answer *candidate,
	       struct shadow_verdict *v)
{
	compare_status(rule, legacy->status, candidate->status, v);
	compare_headers(plan, rule, legacy, candidate, v);
	compare_bodies(plan, rule, legacy, candidate, v);
}

void
shadow_field_write(const struct shadow_plan *plan,
		   const struct shadow_answer *a,
		   const struct message_field *f, struct buf *out)
{
	if (a->redacted)
		buf_add(out, f->value.at, f->value.len);
	else
		add_redacted(plan, f, out);
}
