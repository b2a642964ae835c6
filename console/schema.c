/* SPDX-License-Identifier: Apache-2.0 */
/* The command about schemas: that of the rules file, those of the events that
 * its rules emit, and comparing. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/attr.h"
#include "console/command.h"
#include "console/versions.h"
#include "rules/compat.h"
#include "rules/rules.h"

struct mode {
	enum rules_compatibility compatibility;
	bool given, transitive;
};

/* ---- check ---- */

/* One line a finding: where, what, whom it breaks, what to do. */
static size_t
compare(const struct compat_schema *from, const struct compat_schema *to,
	const char *path, const char *whom, struct buf *out)
{
	struct buf found CLEANUP(buf_fini) = { 0 };
	size_t n = compat_find(from, to, &found);
	const char *line = buf_str(&found);

	for (; *line; line += strcspn(line, "\n") + 1)
		buf_printf(out, "%s%.*s; %s: keep what was, or make a new "
			   "type version\n", path, (int)strcspn(line, "\n"),
			   line, whom);
	return n;
}

static int
compare_schemas(const char *old, const char *new, const struct mode *mode,
		struct buf *out)
{
	struct compat_schema *a CLEANUP(compat_free) = NULL;
	struct compat_schema *b CLEANUP(compat_free) = NULL;
	unsigned directions = rules_compatibility_directions(
		mode->given ? mode->compatibility
			    : RULES_COMPATIBILITY_BACKWARD);
	struct error err = { 0 };
	size_t n = 0;

	a = compat_load_file(old, &err);
	if (!a)
		return command_fail(COMMAND_USAGE, old, &err);
	b = compat_load_file(new, &err);
	if (!b)
		return command_fail(COMMAND_USAGE, new, &err);
	if (directions & RULES_OLD_BY_NEW)
		n += compare(a, b, new, "consumers of the new schema cannot "
			     "read older events", out);
	if (directions & RULES_NEW_BY_OLD)
		n += compare(b, a, old, "consumers of the old schema cannot "
			     "read newer events", out);
	return n ? COMMAND_FAILED : COMMAND_OK;
}

static int
compare_rules(const char *old, const char *new, const struct mode *mode,
	      struct buf *out)
{
	struct rules *a CLEANUP(rules_unref) = NULL;
	struct rules *b CLEANUP(rules_unref) = NULL;
	struct error err = { 0 };

	a = rules_load_file(old, &err);
	if (!a)
		return command_fail(COMMAND_USAGE, old, &err);
	b = rules_load_file(new, &err);
	if (!b)
		return command_fail(COMMAND_USAGE, new, &err);
	return command_compare_events(a, b, mode->given
						    ? mode->compatibility
						    : b->emit_compatibility,
				      out)
		       ? COMMAND_FAILED : COMMAND_OK;
}

static int
compare_files(const char *old, const char *new, const struct mode *mode,
	      struct buf *out)
{
	enum compat_kind kind = compat_kind_of(new);
	struct error err = { 0 };

	if (compat_kind_of(old) != kind) {
		error_set(&err, "a rules file and a schema cannot be "
			  "compared: %s", new);
		return command_fail(COMMAND_USAGE, old, &err);
	}
	return kind == COMPAT_RULES ? compare_rules(old, new, mode, out)
				    : compare_schemas(old, new, mode, out);
}

static bool
same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The newest of the one with the last, or all, of the other; in one
 * directory with those before it. */
static int
compare_versions(const struct versions *old, const struct versions *new,
		 const struct mode *mode)
{
	struct buf out CLEANUP(buf_fini) = { 0 };
	const char *last = new->at[new->count - 1].path;
	bool among = old->count > 1 &&
		     same_file(old->at[old->count - 1].path, last);
	size_t count = old->count - (among ? 1 : 0);
	int status = COMMAND_OK, one;

	for (size_t i = mode->transitive ? 0 : count - 1; i < count; i++) {
		one = compare_files(old->at[i].path, last, mode, &out);
		status = one > status ? one : status;
	}
	return command_print(&out) ? COMMAND_FAILED : status;
}

/* "FULL" or "FULL_TRANSITIVE". */
static int
parse_mode(const char *word, struct mode *mode, struct error *err)
{
	*mode = (struct mode){ 0 };
	if (!word)
		return 0;
	mode->given = true;
	for (enum rules_compatibility c = 0; c < RULES_COMPATIBILITY_COUNT;
	     c++) {
		const char *name = rules_compatibility_name(c);
		size_t n = strlen(name);

		mode->compatibility = c;
		if (!strcmp(word, name))
			return 0;
		mode->transitive = !strncmp(word, name, n) &&
				   !strcmp(word + n, "_TRANSITIVE");
		if (mode->transitive && c != RULES_COMPATIBILITY_NONE)
			return 0;
	}
	return error_set(err, "schema check: --compatibility `%s' is unknown: "
			 "BACKWARD, FORWARD, FULL, each also with _TRANSITIVE, "
			 "or NONE", word);
}

static int
check(const struct command_call *call)
{
	struct versions old CLEANUP(versions_fini) = { 0 };
	struct versions new CLEANUP(versions_fini) = { 0 };
	struct error err = { 0 };
	struct mode mode;

	if (parse_mode(call->values[OPTION_COMPATIBILITY], &mode, &err) < 0)
		return command_fail(COMMAND_USAGE, NULL, &err);
	if (versions_open(&old, call->args[1], &err) < 0)
		return command_fail(COMMAND_USAGE, call->args[1], &err);
	if (versions_open(&new, call->args[2], &err) < 0)
		return command_fail(COMMAND_USAGE, call->args[2], &err);
	return compare_versions(&old, &new, &mode);
}

/* ---- list and show ---- */

static int
list(const struct command_call *call)
{
	struct rules *rules CLEANUP(rules_unref) =
		command_load_rules(call, "schema list");
	struct buf out CLEANUP(buf_fini) = { 0 };

	if (!rules)
		return COMMAND_USAGE;
	for (size_t i = 0; i < rules->event_count; i++) {
		const struct rules_event *e = &rules->events[i];

		buf_printf(&out, "%s  %s  %s\n", e->type, e->schema,
			   e->file ? e->file : "derived");
	}
	return command_print(&out);
}

static int
show(const struct command_call *call)
{
	struct rules *rules CLEANUP(rules_unref) =
		command_load_rules(call, "schema show");
	struct buf out CLEANUP(buf_fini) = { 0 };
	const struct rules_event *e;
	struct error err = { 0 };

	if (!rules)
		return COMMAND_USAGE;
	e = rules_event_find(rules, call->args[1]);
	if (!e) {
		error_set(&err, "no rule emits `%s': see `matapalo schema "
			  "list'", call->args[1]);
		return command_fail(COMMAND_FAILED, rules->path, &err);
	}
	buf_add(&out, e->text.at, e->text.len);
	buf_addc(&out, '\n');
	return command_print(&out);
}

int
command_schema(const struct command_call *call)
{
	static const struct {
		const char *word;
		size_t args;
		int (*run)(const struct command_call *call);
	} verbs[] = { { "list", 1, list }, { "show", 2, show },
		      { "check", 3, check } };
	struct buf out CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (call->arg_count == verbs[i].args &&
		    !strcmp(call->args[0], verbs[i].word))
			return verbs[i].run(call);
	if (call->arg_count) {
		error_set(&err, "schema: write `schema', `schema list', "
			  "`schema show TYPE' or `schema check OLD NEW'");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	rules_schema(&out);
	buf_addc(&out, '\n');
	return command_print(&out);
}
