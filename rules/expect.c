/* SPDX-License-Identifier: Apache-2.0 */
/* The tests inside a rules file: which rule wins, who answers. */
#include <string.h>

#include "rules/answer.h"
#include "rules/index.h"
#include "rules/keys.h"
#include "rules/rule.h"

static int
check_rule_name(struct rules_load *l, const struct rules_node *node,
		const char *name)
{
	struct rules_node at;

	for (size_t i = 0; i < l->rules->rule_count; i++)
		if (strcmp(l->rules->rules[i].name, name) == 0)
			return 0;
	keys_get(node, KEY_EXPECT_RULE, &at);
	return load_fail(l, &at, "there is no rule \"%s\"", name);
}

static int
load_answers(struct rules_load *l, const struct rules_node *node,
	     const char **out)
{
	const struct rules_target *target;
	struct rules_node at;

	if (!keys_get(node, KEY_EXPECT_ANSWERS, &at))
		return 0;
	*out = "gone";
	if (strcmp(json_string_value(at.value), "gone") == 0)
		return 0;
	if (rule_find_target(l, &at, &target) < 0)
		return -1;
	*out = target->name;
	return 0;
}

/* "GET /products/7?a=b" */
static int
load_request(struct rules_load *l, const struct rules_node *node,
	     struct index_expect *e)
{
	struct message_request *req = &e->parsed;
	const char *space, *query;
	struct rules_node at;

	keys_get(node, KEY_EXPECT_REQUEST, &at);
	e->request = load_copy(l, json_string_value(at.value));
	if (!e->request)
		return -1;
	space = strchr(e->request, ' ');
	if (!space || space == e->request || space[1] != '/' ||
	    strchr(space + 1, ' '))
		return load_fail(l, &at, "write a method, one space and a "
				 "path, as in \"GET /products/7\"");
	req->method = (struct span){ e->request,
				     (size_t)(space - e->request) };
	req->target = req->path = span_of(space + 1);
	query = strchr(space, '?');
	if (query) {
		req->path.len = (size_t)(query - req->path.at);
		req->query = span_of(query + 1);
	}
	return 0;
}

static int
load_headers(struct rules_load *l, const struct rules_node *node,
	     struct message_request *req)
{
	struct message_field *fields;
	struct rules_node map, at = { .up = &map };
	const struct message_field *host;
	size_t n = 0;

	if (!keys_get(node, KEY_EXPECT_HEADERS, &map))
		return 0;
	fields = load_alloc(l, json_object_size(map.value), sizeof(*fields));
	if (!fields)
		return -1;
	json_object_foreach(map.value, at.key, at.value) {
		const char *name = load_copy(l, at.key), *value;

		if (!json_is_string(at.value))
			return load_fail(l, &at, "must be a string");
		value = load_copy(l, json_string_value(at.value));
		if (!name || !value)
			return -1;
		fields[n].name = span_of(name);
		fields[n++].value = span_of(value);
	}
	req->fields = (struct message_fields){ fields, n };
	host = message_find(req->fields, "host");
	if (host)
		req->host = host->value;
	return 0;
}

static int
load_emits(struct rules_load *l, const struct rules_node *node,
	   struct index_expect *e)
{
	struct rules_node at;
	unsigned status;

	if (keys_count(l, node, KEY_EXPECT_STATUS, 100, &status) < 0)
		return -1;
	if (status > 599) {
		keys_get(node, KEY_EXPECT_STATUS, &at);
		return load_fail(l, &at, "%u is no status code", status);
	}
	e->status = (int)status;
	return keys_strings(l, node, KEY_EXPECT_EMITS, NULL, &e->emits,
			    &e->emit_count);
}

static int
load_expect(struct rules_load *l, const struct rules_node *node,
	    struct index_expect *e)
{
	const char *client = load_copy(l, keys_string(node, KEY_EXPECT_CLIENT));

	e->rule = load_copy(l, keys_string(node, KEY_EXPECT_RULE));
	if (!client || !e->rule)
		return -1;
	if (load_request(l, node, e) < 0 ||
	    load_headers(l, node, &e->parsed) < 0 ||
	    check_rule_name(l, node, e->rule) < 0)
		return -1;
	e->parsed.client = span_of(client);
	if (load_emits(l, node, e) < 0)
		return -1;
	return load_answers(l, node, &e->answers);
}

int
load_expects(struct rules_load *l, const struct rules_node *root)
{
	struct rules_index *index = l->rules->index;
	struct rules_node list;
	int *lines;
	size_t n;

	if (!keys_get(root, KEY_ROOT_EXPECT, &list))
		return 0;
	n = json_array_size(list.value);
	index->expects = load_alloc(l, n, sizeof(*index->expects));
	lines = load_alloc(l, n, sizeof(*lines));
	if (!index->expects || !lines)
		return -1;
	rules_position_lines(l->text, &list, lines, n);
	for (size_t i = 0; i < n; i++) {
		struct rules_node node = keys_item(&list, i);

		index->expects[i].line = lines[i];
		if (load_expect(l, &node, &index->expects[i]) < 0)
			return -1;
		index->expect_count++;
	}
	return 0;
}

static void
list_types(const struct emit_list *l, int status, struct buf *out)
{
	const char *between = "";

	for (size_t i = 0; i < l->count; i++) {
		if (!emit_takes_status(&l->at[i], status))
			continue;
		buf_printf(out, "%s%s", between, l->at[i].type);
		between = ", ";
	}
}

/* Whether the rule emits just those types for that status. */
static size_t
run_emits(const struct index_expect *e, const struct rules_rule *rule,
	  struct buf *out)
{
	struct buf want = { 0 }, have = { 0 };
	size_t failed;

	if (!e->emits)
		return 0;
	for (size_t i = 0; i < e->emit_count; i++)
		buf_printf(&want, "%s%s", i ? ", " : "", e->emits[i]);
	if (rule->stage != RULES_STAGE_PASSTHROUGH &&
	    rule->stage != RULES_STAGE_RETIRED)
		list_types(&rule->emits, e->status, &have);
	failed = strcmp(buf_str(&want), buf_str(&have)) != 0;
	if (failed)
		buf_printf(out, "line %d: %s: expected status %d to emit "
			   "\"%s\", but it is \"%s\" (rule \"%s\")\n",
			   e->line, e->request, e->status, buf_str(&want),
			   buf_str(&have), rule->name);
	buf_fini(&want);
	buf_fini(&have);
	return failed;
}

static size_t
run_one(const struct rules *r, const struct index_expect *e, struct buf *out)
{
	const struct rules_rule *rule = rules_match(r, &e->parsed);
	const struct rules_target *target;
	const char *answers;
	uint32_t bucket;

	if (strcmp(rule->name, e->rule) != 0) {
		buf_printf(out, "line %d: %s: expected rule \"%s\", but "
			   "\"%s\" (line %d) wins\n", e->line, e->request,
			   e->rule, rule->name, rule->line);
		return 1;
	}
	if (run_emits(e, rule, out))
		return 1;
	target = answer_target(r, rule, rules_place(rule), &e->parsed,
			       &bucket);
	answers = target ? target->name : "gone";
	if (!e->answers || strcmp(answers, e->answers) == 0)
		return 0;
	buf_printf(out, "line %d: %s: expected \"%s\" to answer, but it is "
		   "\"%s\" (rule \"%s\", stage %s)\n", e->line, e->request,
		   e->answers, answers, rule->name,
		   rules_stage_name(rule->stage));
	return 1;
}

size_t
rules_run_expect(const struct rules *r, struct buf *out, size_t *ran)
{
	size_t failures = 0;

	for (size_t i = 0; i < r->index->expect_count; i++)
		failures += run_one(r, &r->index->expects[i], out);
	if (ran)
		*ran = r->index->expect_count;
	return failures;
}
