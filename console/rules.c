/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about a rules file: check, explain. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/message.h"
#include "console/against.h"
#include "console/command.h"
#include "console/places.h"
#include "console/runfile.h"
#include "console/settings.h"
#include "router/place.h"
#include "router/router.h"
#include "rules/rules.h"

/* ---- check ---- */

/* Turns "line N: words" into the "FILE:N: kind: words" of compilers, which
 * editors can follow. */
static void
add_line(struct buf *out, const char *path, const char *kind, struct span line)
{
	int number = 0, skip = 0;
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)line.len, line.at);
	if (sscanf(text, "line %d: %n", &number, &skip) == 1 && skip)
		buf_printf(out, "%s:%d: %s: ", path, number, kind);
	else
		buf_printf(out, "%s: %s: ", path, kind);
	buf_add(out, line.at + skip, line.len - (size_t)skip);
	buf_addc(out, '\n');
}

void
command_add_lines(struct buf *out, const char *path, const char *kind,
		  const struct buf *lines)
{
	struct span rest = buf_span(lines);

	while (rest.len) {
		const char *end = memchr(rest.at, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.at) : rest.len;

		add_line(out, path, kind, (struct span){ rest.at, len });
		len += end ? 1 : 0;
		rest.at += len;
		rest.len -= len;
	}
}

_Static_assert(sizeof(struct rules_setting) ==
	       sizeof(struct adapter_setting), "same shape");

/* The rules language does not know the kinds; whether the process could run
 * an adapter is asked of the adapters. Appends "line N: words". */
static void
check_adapter(const struct rules_adapter *a, struct buf *out)
{
	const struct adapter_config c = {
		.name = a->name,
		.kind = a->kind,
		.type_filter = a->type_filter,
		.subject_filter = a->subject_filter,
		.settings = (const void *)a->settings,
		.setting_count = a->setting_count,
	};
	struct error err = { 0 };

	if (adapter_check(adapter_find(a->kind), &c, &err) != 0)
		buf_printf(out, "line %d: adapters.%s: %s\n", a->line, a->name,
			   err.text);
}

/* Writes what could never run to stderr. */
static int
check_adapters(const struct rules *rules, const char *path)
{
	struct buf found CLEANUP(buf_fini) = { 0 };
	struct buf out CLEANUP(buf_fini) = { 0 };

	for (size_t i = 0; i < rules->adapter_count; i++)
		check_adapter(&rules->adapters[i], &found);
	command_add_lines(&out, path, "refused", &found);
	fputs(buf_str(&out), stderr);
	return found.len > 0 ? -1 : 0;
}

static size_t
report(const struct rules *rules, const char *path, struct buf *out)
{
	struct buf warnings CLEANUP(buf_fini) = { 0 };
	struct buf failures CLEANUP(buf_fini) = { 0 };
	size_t failed, ran = 0;

	rules_lint(rules, &warnings);
	command_add_lines(out, path, "warning", &warnings);
	failed = rules_run_expect(rules, &failures, &ran);
	command_add_lines(out, path, "failed", &failures);
	/* The default rule is one of the set, but not of the file's list. */
	buf_printf(out, "%s: %zu rules, %zu targets, %zu of %zu tests passed\n",
		   path, rules->rule_count - 1, rules->target_count,
		   ran - failed, ran);
	return failed;
}

/* No "matapalo:" in front, for the sake of editors. */
static int
refuse(const char *path, const struct error *err)
{
	char text[ERROR_TEXT_MAX + 512];

	fprintf(stderr, "%s\n", error_format(err, path, text, sizeof(text)));
	return COMMAND_USAGE;
}

/* The certificates, keys and lists that the rules name. */
static int
check_files(const struct console_program *p, const struct rules *rules,
	    const char *path, struct buf *out)
{
	struct buf warnings CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	if (p->check_rules && p->check_rules(rules, &warnings, &err))
		return refuse(path, &err);
	command_add_lines(out, path, "warning", &warnings);
	return COMMAND_OK;
}

static int
check_rules(const struct console_program *p, const char *path,
	    struct buf *out)
{
	struct rules *rules CLEANUP(rules_unref) = NULL;
	struct error err = { 0 };

	rules = rules_load_file(path, &err);
	if (!rules)
		return refuse(path, &err);
	if (check_adapters(rules, path) < 0 ||
	    check_files(p, rules, path, out))
		return COMMAND_USAGE;
	return report(rules, path, out) ? COMMAND_FAILED : COMMAND_OK;
}

size_t
command_compare_events(const struct rules *old, const struct rules *new,
		       unsigned mode, struct buf *out)
{
	struct buf findings CLEANUP(buf_fini) = { 0 };
	struct buf notes CLEANUP(buf_fini) = { 0 };
	size_t n = rules_compare_events(old, new,
					(enum rules_compatibility)mode,
					&findings, &notes);

	command_add_lines(out, new->path, "refused", &findings);
	command_add_lines(out, new->path, "note", &notes);
	return n;
}

static int
check_recorded(const struct command_call *call, const char *path,
	       struct buf *out)
{
	struct rules *rules CLEANUP(rules_unref) = NULL;
	struct error err = { 0 };

	rules = rules_load_file(path, &err);
	if (!rules)
		return refuse(path, &err);
	if (against_recorded(call, rules, out, &err) == 0)
		return COMMAND_OK;
	error_context(&err, "check: --against recorded");
	return command_fail(COMMAND_USAGE, NULL, &err);
}

static int
check_against(const char *old_path, const char *path, struct buf *out)
{
	struct rules *old CLEANUP(rules_unref) = NULL;
	struct rules *new CLEANUP(rules_unref) = NULL;
	struct error err = { 0 };

	old = rules_load_file(old_path, &err);
	if (!old)
		return refuse(old_path, &err);
	new = rules_load_file(path, &err);
	if (!new)
		return refuse(path, &err);
	return command_compare_events(old, new, new->emit_compatibility, out)
		       ? COMMAND_FAILED : COMMAND_OK;
}

static int
check_settings(const struct console_program *p, const char *path,
	       struct settings *s, struct buf *out)
{
	const char *const argv[] = { "--settings", path };
	struct buf warnings CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	if (settings_load(s, ARRAY_SIZE(argv), argv,
			  (const char *const *)environ, &err) ||
	    (p->check_settings &&
	     p->check_settings(&s->value, &warnings, &err)))
		return refuse(path, &err);
	command_add_lines(out, path, "warning", &warnings);
	buf_printf(out, "%s: the settings can be used\n", path);
	return COMMAND_OK;
}

int
command_check(const struct command_call *call)
{
	struct settings s CLEANUP(settings_fini) = { 0 };
	struct buf out CLEANUP(buf_fini) = { 0 };
	const char *settings = call->values[OPTION_SETTINGS];
	const char *rules = call->arg_count ? call->args[0] : NULL;
	const char *against = call->values[OPTION_AGAINST];
	struct error err = { 0 };
	int status = COMMAND_OK;

	if (!settings && !rules) {
		error_set(&err, "check: name a rules file, or a settings file "
				"by --settings FILE");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	if (settings)
		status = check_settings(call->program, settings, &s, &out);
	if (!rules)
		rules = s.value.rules;
	if (status == COMMAND_OK && rules)
		status = check_rules(call->program, rules, &out);
	if (status == COMMAND_OK && rules && against &&
	    !strcmp(against, AGAINST_RECORDED))
		status = check_recorded(call, rules, &out);
	else if (status == COMMAND_OK && rules && against)
		status = check_against(against, rules, &out);
	return command_print(&out) ? COMMAND_FAILED : status;
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

struct rules *
command_load_rules(const struct command_call *call, const char *name)
{
	struct runfile run CLEANUP(runfile_fini) = { 0 };
	struct rules *rules;
	struct error err = { 0 };
	const char *path = NULL;

	if (!call->values[OPTION_RULES] &&
	    runfile_read(&run, command_data(call), &err)) {
		error_context(&err, "%s: give --rules FILE", name);
		(void)command_fail(COMMAND_USAGE, NULL, &err);
		return NULL;
	}
	rules = load(call, &run, &path, &err);
	if (!rules)
		(void)command_fail(COMMAND_USAGE, path, &err);
	return rules;
}

/* Where the rule is now, if that is not where its file has it. */
static void
explain_move(const struct rules *rules, const struct message_request *req,
	     struct buf *out)
{
	const struct rules_rule *rule = rules_match(rules, req);
	struct rules_place now = rules_place(rule);
	struct rules_place file = { rule->stage, rule->share_ppm };
	char text[PLACE_TEXT_SIZE];

	if (place_compare(now, file) == 0)
		return;
	buf_printf(out, "moved       from %s, which the file says: `matapalo "
		   "status' knows by whom\n", place_text(file, text));
}

static int
explain(const struct command_call *call, const struct message_request *req)
{
	struct rules *rules CLEANUP(rules_unref) =
		command_load_rules(call, "explain");
	struct buf out CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	if (!rules)
		return COMMAND_USAGE;
	if (!call->values[OPTION_RULES] && places_apply(call, rules, &err))
		buf_printf(&out, "note        by the file alone: %s\n",
			   err.text);
	router_explain(rules, req, &out);
	explain_move(rules, req, &out);
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
