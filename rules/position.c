/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the place of a value in the text, by counting members.
 *
 * jansson forgets positions once a text is parsed. Its objects keep the order
 * of the file, so the n-th member of an object in the tree is the n-th member
 * in the text: no key has to be decoded and compared. */
#include "rules/position.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static size_t
skip_space(struct rules_text text, size_t at)
{
	while (at < text.len && strchr(" \t\r\n", text.at[at]) &&
	       text.at[at] != '\0')
		at++;
	return at;
}

/* From an opening quote to behind the closing one. */
static size_t
skip_string(struct rules_text text, size_t at)
{
	for (at++; at < text.len && text.at[at] != '"'; at++)
		if (text.at[at] == '\\')
			at++;
	return at < text.len ? at + 1 : text.len;
}

static bool
opens(char c)
{
	return c == '{' || c == '[';
}

static bool
closes(char c)
{
	return c == '}' || c == ']';
}

static size_t
skip_container(struct rules_text text, size_t at)
{
	int depth = 0;

	while (at < text.len) {
		char c = text.at[at];

		if (c == '"') {
			at = skip_string(text, at);
			continue;
		}
		at++;
		if (opens(c))
			depth++;
		else if (closes(c) && --depth == 0)
			break;
	}
	return at;
}

static size_t
skip_value(struct rules_text text, size_t at)
{
	if (at < text.len && text.at[at] == '"')
		return skip_string(text, at);
	if (at < text.len && opens(text.at[at]))
		return skip_container(text, at);
	while (at < text.len && !strchr(" \t\r\n,}]", text.at[at]))
		at++;
	return at;
}

/* A walk over the members of one container. */
struct members {
	struct rules_text text;
	bool in_object;
	size_t next;
	size_t key, value;	/* of the member that was stepped on */
};

static struct members
members_begin(struct rules_text text, size_t container)
{
	return (struct members){
		.text = text,
		.in_object = container < text.len && text.at[container] == '{',
		.next = skip_space(text, container + 1),
	};
}

static void
members_next(struct members *m)
{
	size_t at = m->next;

	m->key = at;
	if (m->in_object) {
		at = skip_space(m->text, skip_string(m->text, at));
		at = skip_space(m->text, at + 1);
	}
	m->value = at;
	at = skip_space(m->text, skip_value(m->text, at));
	m->next = skip_space(m->text, at + 1);
}

static size_t
ordinal(const struct rules_node *node)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!node->key)
		return node->index;
	json_object_foreach(node->up->value, key, value) {
		if (strcmp(key, node->key) == 0)
			break;
		n++;
	}
	return n;
}

static size_t
offset_of(struct rules_text text, const struct rules_node *node, size_t *key)
{
	struct members m;

	if (!node->up)
		return *key = skip_space(text, 0);
	m = members_begin(text, offset_of(text, node->up, key));
	for (size_t n = ordinal(node) + 1; n > 0; n--)
		members_next(&m);
	*key = m.key;
	return m.value;
}

static bool
begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static struct rules_position
position_at(struct rules_text text, size_t offset)
{
	struct rules_position p = { 1, 1 };

	for (size_t i = 0; i < offset && i < text.len; i++) {
		if (text.at[i] == '\n') {
			p.line++;
			p.column = 1;
		} else if (begins_character(text.at[i])) {
			p.column++;
		}
	}
	return p;
}

struct rules_position
rules_position_of(struct rules_text text, const struct rules_node *node)
{
	size_t key;

	return position_at(text, offset_of(text, node, &key));
}

struct rules_position
rules_position_of_key(struct rules_text text, const struct rules_node *node)
{
	size_t key;

	offset_of(text, node, &key);
	return position_at(text, key);
}

void
rules_position_lines(struct rules_text text,
		     const struct rules_node *container, int *lines,
		     size_t count)
{
	size_t key, at = 0;
	struct members m;
	int line = 1;

	m = members_begin(text, offset_of(text, container, &key));
	for (size_t n = 0; n < count; n++) {
		members_next(&m);
		for (; at < m.key && at < text.len; at++)
			line += text.at[at] == '\n';
		lines[n] = line;
	}
}

int
rules_position_deepest(struct rules_text text, int limit,
		       struct rules_position *where)
{
	int depth = 0;
	size_t at = 0;

	while (at < text.len) {
		char c = text.at[at];

		if (c == '"') {
			at = skip_string(text, at);
			continue;
		}
		if (opens(c) && ++depth > limit) {
			*where = position_at(text, at);
			return -1;
		}
		depth -= closes(c);
		at++;
	}
	return 0;
}

void
rules_position_path(const struct rules_node *node, char *out, size_t size)
{
	size_t len;

	out[0] = '\0';
	if (!node->up)
		return;
	rules_position_path(node->up, out, size);
	len = strlen(out);
	if (node->key)
		snprintf(out + len, size - len, "%s%s", len ? "." : "",
			 node->key);
	else
		snprintf(out + len, size - len, "[%zu]", node->index);
}
