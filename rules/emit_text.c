/* SPDX-License-Identifier: Apache-2.0 */
/* Strings with placeholders: "{response.body/id}", "order {path.id}". */
#include <ctype.h>
#include <string.h>

#include "rules/emit.h"
#include "rules/keys.h"

#define PARTS_MAX 64

enum argument { ARGUMENT_NONE, ARGUMENT_NAME, ARGUMENT_POINTER };

static const struct {
	const char *text;
	enum argument argument;
} sources[] = {
#define SOURCE(sym, text, argument, place, sentence) \
	{ text, ARGUMENT_##argument },
#include "base/emit.def"
#undef SOURCE
};

static const char *
next_source(void *arg)
{
	unsigned *next = arg;

	return *next < EMIT_SOURCE_COUNT ? sources[(*next)++].text : NULL;
}

static int
fail_unknown(struct rules_load *l, const struct rules_node *at,
	     const char *name)
{
	const char *near;
	unsigned next = 0;
	char head[64];
	size_t n = strcspn(name, "/");

	if (n >= sizeof(head))
		n = sizeof(head) - 1;
	memcpy(head, name, n);
	head[n] = '\0';
	near = keys_nearest(head, next_source, &next);
	return load_fail(l, at, "\"{%s}\" stands for nothing%s%s%s (a brace "
			 "itself is written twice)", name,
			 near ? ": did you mean \"" : "", near ? near : "",
			 near ? "\"?" : "");
}

/* What follows a source's text must fit its argument. */
static bool
takes(unsigned i, const char *name, const char **arg)
{
	size_t n = strlen(sources[i].text);

	if (strncmp(name, sources[i].text, n) != 0)
		return false;
	*arg = name + n;
	switch (sources[i].argument) {
	case ARGUMENT_NONE:
		return !name[n];
	case ARGUMENT_NAME:
		++*arg;
		return name[n] == '.' && name[n + 1];
	case ARGUMENT_POINTER:
		return !name[n] || name[n] == '/';
	}
	return false;
}

static int
find_parameter(struct rules_load *l, const struct rules_node *at,
	       const struct rules_rule *rule, struct emit_value *v)
{
	const char *s = rule->path_template ? rule->path_template : "";
	size_t len = strlen(v->arg);

	for (; *s == '/'; v->segment++) {
		size_t n = strcspn(++s, "/");

		if (n > len + 1 && *s == '{' &&
		    strncmp(s + 1, v->arg, len) == 0 &&
		    (s[len + 1] == '}' || s[len + 1] == '.')) {
			v->tail = s[len + 1] == '.';
			return 0;
		}
		s += n;
	}
	return load_fail(l, at, "\"{path.%s}\": the rule's path has no such "
			 "parameter", v->arg);
}

static int
check_header(struct rules_load *l, const struct rules_node *at,
	     struct emit_value *v)
{
	char *lower = load_alloc(l, strlen(v->arg) + 1, 1);

	if (!lower)
		return -1;
	for (size_t i = 0; v->arg[i]; i++)
		lower[i] = (char)tolower((unsigned char)v->arg[i]);
	v->arg = lower;
	return keys_check_token(l, at, lower);
}

static int
check_argument(struct rules_load *l, const struct rules_node *at,
	       const struct rules_rule *rule, struct emit_value *v)
{
	switch (v->source) {
	case EMIT_PATH:
		return find_parameter(l, at, rule, v);
	case EMIT_REQUEST_HEADER:
	case EMIT_RESPONSE_HEADER:
		return check_header(l, at, v);
	case EMIT_REQUEST_BODY:
	case EMIT_RESPONSE_BODY:
		return keys_check_pointer(l, at, v->arg);
	case EMIT_RULE:
	case EMIT_STAGE:
	case EMIT_TARGET:
	case EMIT_STARTED:
	case EMIT_METHOD:
	case EMIT_REQUEST_TARGET:
	case EMIT_HOST:
	case EMIT_CLIENT:
	case EMIT_STATUS:
	case EMIT_QUERY:
	case EMIT_SOURCE_COUNT:
		return 0;
	}
	return 0;
}

static int
compile_value(struct rules_load *l, const struct rules_node *at,
	      const struct rules_rule *rule, struct span text,
	      struct emit_value *v)
{
	const char *name = load_copy_n(l, text.at, text.len);

	if (!name)
		return -1;
	for (unsigned i = 0; i < EMIT_SOURCE_COUNT; i++) {
		if (!takes(i, name, &v->arg))
			continue;
		v->source = (enum emit_source)i;
		return check_argument(l, at, rule, v);
	}
	return fail_unknown(l, at, name);
}

/* Length of the literal at s; a doubled brace ends it behind its first. */
static size_t
literal_length(const char *s, size_t *skip)
{
	size_t n = strcspn(s, "{}");

	*skip = s[n] && s[n] == s[n + 1];
	return n + *skip;
}

static int
compile_part(struct rules_load *l, const struct rules_node *at,
	     const struct rules_rule *rule, const char **s,
	     struct emit_part *part)
{
	size_t skip, n = literal_length(*s, &skip);
	const char *end;

	*part = (struct emit_part){ .literal = { *s, n } };
	if (n > 0) {
		part->literal.at = load_copy_n(l, *s, n);
		*s += n + skip;
		return part->literal.at ? 0 : -1;
	}
	end = **s == '{' ? strpbrk(*s + 1, "{}") : NULL;
	if (!end || *end != '}')
		return load_fail(l, at, "a brace has no partner: write \"%c%c\""
				 " for the character itself", **s, **s);
	part->is_value = true;
	if (compile_value(l, at, rule,
			  (struct span){ *s + 1, (size_t)(end - *s) - 1 },
			  &part->value) < 0)
		return -1;
	*s = end + 1;
	return 0;
}

int
emit_text_compile(struct rules_load *l, const struct rules_node *at,
		  const struct rules_rule *rule, const char *s,
		  struct emit_text *out)
{
	struct emit_part list[PARTS_MAX], *kept;
	size_t n = 0;

	while (*s) {
		if (n == PARTS_MAX)
			return load_fail(l, at, "more than %d pieces in one "
					 "string", PARTS_MAX);
		if (compile_part(l, at, rule, &s, &list[n++]) < 0)
			return -1;
	}
	kept = load_alloc(l, n, sizeof(*kept));
	if (!kept)
		return -1;
	if (n > 0)
		memcpy(kept, list, n * sizeof(*kept));
	*out = (struct emit_text){ kept, n };
	return 0;
}
