/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions whose cost is bounded.
 *
 * The library's own limit counts the backtracks of one match, not how far
 * each of them runs, nor how many matches there are. So every item of a
 * pattern calls out, and pays for itself and for the text before it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_A_STEP 64	/* run over by one simple repetition */
#define HEAP_KIB 1024
#define GROUPS_MOST 9

struct pattern {
	pcre2_code *code;
	char *with;
};

struct rewriting {
	const struct pattern *p;
	size_t *steps;
	pcre2_match_data *data;
	pcre2_match_context *context;
	struct buf *out;
};

/* ---- compile ---- */

static int
check_with(const char *with, uint32_t groups, struct error *err)
{
	for (const char *c = strchr(with, '$'); c; c = strchr(c + 2, '$')) {
		if (c[1] == '$')
			continue;
		if (c[1] < '1' || c[1] > '9')
			return error_set(err, "\"%s\": write \"$$\" for a "
					 "dollar, \"$1\" for a group", with);
		if ((uint32_t)(c[1] - '0') > groups)
			return error_set(err, "\"%s\": the pattern has %u "
					 "groups", with, (unsigned)groups);
	}
	return 0;
}

static int
compile(struct pattern *p, const char *text, const char *with,
	struct error *err)
{
	const uint32_t options = PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C |
				 PCRE2_UTF;
	PCRE2_UCHAR words[128] = "";
	PCRE2_SIZE at;
	uint32_t groups;
	int code;

	p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
				options, &code, &at, NULL);
	if (!p->code) {
		pcre2_get_error_message(code, words, sizeof(words));
		return error_set(err, "\"%s\" is no pattern: %s (at its "
				 "character %zu)", text, (char *)words, at);
	}
	pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (groups > GROUPS_MOST)
		return error_set(err, "\"%s\" has more than 9 groups: write "
				 "\"(?:\"", text);
	return check_with(with, groups, err);
}

struct pattern *
pattern_compile(const char *text, const char *with, struct error *err)
{
	struct pattern *p = calloc(1, sizeof(*p));

	if (p)
		p->with = strdup(with);
	if (!p || !p->with)
		error_set(err, "no memory for a pattern");
	else if (compile(p, text, with, err) == 0)
		return p;
	pattern_free(&p);
	return NULL;
}

void
pattern_free(struct pattern **p)
{
	struct pattern *own = *p;

	*p = NULL;
	if (!own)
		return;
	pcre2_code_free(own->code);
	free(own->with);
	free(own);
}

/* ---- rewrite ---- */

static int
pay(pcre2_callout_block *b, void *arg)
{
	size_t *steps = arg;
	size_t price = 1 + (b->subject_length - b->current_position) /
			   BYTES_A_STEP;

	if (*steps < price) {
		*steps = 0;
		return PCRE2_ERROR_CALLOUT;
	}
	*steps -= price;
	return 0;
}

static void
add_with(struct rewriting *r, struct span line)
{
	PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->data);
	uint32_t pairs = pcre2_get_ovector_count(r->data);

	for (const char *c = r->p->with; *c; c++) {
		uint32_t g = *c == '$' ? (uint32_t)(c[1] - '0') : 0;

		if (*c != '$') {
			buf_addc(r->out, *c);
			continue;
		}
		if (*++c == '$')
			buf_addc(r->out, '$');
		else if (g < pairs && v[2 * g] != PCRE2_UNSET)
			buf_add(r->out, line.at + v[2 * g],
				v[2 * g + 1] - v[2 * g]);
	}
}

/* Behind an empty match goes one character as it is. */
static size_t
add_character(struct rewriting *r, struct span line, size_t at)
{
	size_t end = at + 1;

	while (end < line.len &&
	       ((unsigned char)line.at[end] & 0xc0) == 0x80)
		end++;
	buf_add(r->out, line.at + at, end - at);
	return end;
}

static bool
rewrite_line(struct rewriting *r, struct span line)
{
	PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->data);
	uint32_t options = 0;	/* the first looks at the whole line */
	size_t at = 0;
	int rc;

	while (at <= line.len) {
		rc = pcre2_match(r->p->code, (PCRE2_SPTR)line.at, line.len,
				 at, options, r->data, r->context);
		options = PCRE2_NO_UTF_CHECK;
		if (rc == PCRE2_ERROR_NOMATCH)
			break;
		/* \K can end a match before it begins */
		if (rc < 0 || v[0] < at || v[1] < v[0])
			return false;
		buf_add(r->out, line.at + at, v[0] - at);
		add_with(r, line);
		at = v[1];
		if (v[1] == v[0] && at == line.len)
			return true;
		if (v[1] == v[0])
			at = add_character(r, line, at);
	}
	if (at < line.len)
		buf_add(r->out, line.at + at, line.len - at);
	return true;
}

static bool
rewrite_lines(struct rewriting *r, struct span in)
{
	while (in.len > 0) {
		const char *end = memchr(in.at, '\n', in.len);
		size_t n = end ? (size_t)(end - in.at) : in.len;

		if (!rewrite_line(r, (struct span){ in.at, n }))
			return false;
		if (end)
			buf_addc(r->out, '\n');
		n += end != NULL;
		in = (struct span){ in.at + n, in.len - n };
	}
	return !r->out->failed;
}

bool
pattern_rewrite(const struct pattern *p, struct span in, size_t *steps,
		struct buf *out)
{
	struct rewriting r = { .p = p, .steps = steps, .out = out };
	bool done = false;

	r.data = pcre2_match_data_create_from_pattern(p->code, NULL);
	r.context = pcre2_match_context_create(NULL);
	if (r.data && r.context) {
		pcre2_set_callout(r.context, pay, steps);
		pcre2_set_heap_limit(r.context, HEAP_KIB);
		done = rewrite_lines(&r, in);
	}
	pcre2_match_data_free(r.data);
	pcre2_match_context_free(r.context);
	return done;
}
