/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about a rules file: check, explain, schema. */
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "console/command.h"
#include "console/runfile.h"
#include "router/router.h"
#include "rules/rules.h"

/* ---- check ---- */

static void
print_warnings(const struct rules *rules, const char *path)
{
	struct buf lines CLEANUP(buf_fini) = { 0 };
	struct span rest;

	rules_lint(rules, &lines);
	rest = buf_span(&lines);
	while (rest.len) {
		const char *end = memchr(rest.at, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.at) : rest.len;

		printf("%s: warning: %.*s\n", path, (int)len, rest.at);
		len += end ? 1 : 0;
		rest.at += len;
		rest.len -= len;
	}
}

int
command_check(const struct command_call *call)
{
	struct rules *rules CLEANUP(rules_unref) = NULL;
	struct buf out CLEANUP(buf_fini) = { 0 };
	const char *path = call->args[0];
	struct error err = { 0 };
	size_t failures, ran = 0;

	rules = rules_load_file(path, &err);
	if (!rules)
		return command_fail(COMMAND_USAGE, path, &err);
	print_warnings(rules, path);
	failures = rules_run_expect(rules, &out, &ran);
	buf_printf(&out,
		   "%s: %zu rules, %zu targets, %zu of %zu tests passed\n",
		   path, rules->rule_count, rules->target_count, ran - failures,
		   ran);
	if (command_print(&out) || failures)
		return COMMAND_FAILED;
	return COMMAND_OK;
}

/* ---- explain ---- */

/* "http://shop.example/products/7?x=1" or just "/products/7?x=1". */
static int
take_url(struct message_request *req, const char *url, struct error *err)
{
	const char *at = url, *query;

	if (!strncmp(at, "http://", 7) || !strncmp(at, "https://", 8)) {
		at = strstr(at, "://") + 3;
		req->host = (struct span){ at, strcspn(at, "/?") };
		at += req->host.len;
	}
	if (!*at)
		at = "/";
	if (*at != '/')
		return error_set(err,
				 "explain: `%s' is not a URL: write /PATH or "
				 "http://HOST/PATH",
				 url);
	query = strchr(at, '?');
	req->target = span_of(at);
	req->path = (struct span){ at, strcspn(at, "?") };
	req->query = query ? span_of(query + 1) : (struct span){ "", 0 };
	return 0;
}

static int
take_headers(struct message_field *fields, struct message_request *req,
	     const struct command_call *call, struct error *err)
{
	for (size_t i = 0; i < call->header_count; i++) {
		const char *text = call->headers[i], *colon = strchr(text, ':');

		if (!colon || colon == text)
			return error_set(err,
					 "explain: -H `%s' is no header field: "
					 "write 'Name: value'",
					 text);
		fields[i].name = (struct span){ text, (size_t)(colon - text) };
		fields[i].value = span_trim(span_of(colon + 1));
		if (span_is_nocase(fields[i].name, "host"))
			req->host = fields[i].value;
	}
	req->fields = (struct message_fields){ fields, call->header_count };
	return 0;
}

/* The file asked for, or the one that the running process uses. */
static struct rules *
load(const struct command_call *call, const struct runfile *run,
     const char **path, struct error *err)
{
	*path = call->values[OPTION_RULES];
	if (!*path)
		*path = run->rules;
	if (*path)
		return rules_load_file(*path, err);
	error_set(err, "the process runs without a rules file: everything is "
		       "forwarded to the legacy and mirrored");
	return NULL;
}

static int
explain(const struct command_call *call, const struct message_request *req)
{
	struct rules *rules CLEANUP(rules_unref) = NULL;
	struct runfile run CLEANUP(runfile_fini) = { 0 };
	struct buf out CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };
	const char *path = NULL;

	if (!call->values[OPTION_RULES] &&
	    runfile_read(&run, command_data(call), &err)) {
		error_context(&err, "explain: give --rules FILE");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	rules = load(call, &run, &path, &err);
	if (!rules)
		return command_fail(COMMAND_USAGE, path, &err);
	router_explain(rules, req, &out);
	return command_print(&out);
}

int
command_explain(const struct command_call *call)
{
	struct message_field fields[COMMAND_HEADERS_MAX];
	const char *client = call->values[OPTION_CLIENT];
	struct message_request req = {
		.method = span_of(call->args[0]),
		.client = span_of(client ? client : "127.0.0.1"),
	};
	struct error err = { 0 };

	if (take_url(&req, call->args[1], &err) ||
	    take_headers(fields, &req, call, &err))
		return command_fail(COMMAND_USAGE, NULL, &err);
	return explain(call, &req);
}

/* ---- schema ---- */

int
command_schema(const struct command_call *call)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	(void)call;
	rules_schema(&out);
	buf_addc(&out, '\n');
	return command_print(&out);
}
