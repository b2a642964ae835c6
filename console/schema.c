/* SPDX-License-Identifier: Apache-2.0 */
/* The command about schemas: that of the rules file, and comparing. */
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "console/command.h"
#include "rules/compat.h"
#include "rules/rules.h"

enum { BACKWARD = 1, FORWARD = 2 };

static const struct {
	const char *word;
	unsigned directions;
} modes[] = { { "BACKWARD", BACKWARD }, { "FORWARD", FORWARD },
	      { "FULL", BACKWARD | FORWARD }, { "NONE", 0 } };

static struct compat_schema *
load(const char *path)
{
	struct error err = { 0 };
	struct compat_schema *s = compat_load_file(path, &err);

	if (!s)
		(void)command_fail(COMMAND_USAGE, path, &err);
	return s;
}

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
compare_files(const char *old, const char *new, unsigned directions)
{
	struct compat_schema *a CLEANUP(compat_free) = load(old);
	struct compat_schema *b CLEANUP(compat_free) = load(new);
	struct buf out CLEANUP(buf_fini) = { 0 };
	size_t n = 0;

	if (!a || !b)
		return COMMAND_USAGE;
	if (directions & BACKWARD)
		n += compare(a, b, new, "consumers of the new schema cannot "
			     "read older events", &out);
	if (directions & FORWARD)
		n += compare(b, a, old, "consumers of the old schema cannot "
			     "read newer events", &out);
	return command_print(&out) || n ? COMMAND_FAILED : COMMAND_OK;
}

static int
check(const struct command_call *call)
{
	const char *word = call->values[OPTION_COMPATIBILITY];
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(word ? word : "BACKWARD", modes[i].word))
			return compare_files(call->args[1], call->args[2],
					     modes[i].directions);
	error_set(&err, "schema check: --compatibility `%s' is unknown: "
		  "BACKWARD, FORWARD, FULL or NONE", word);
	return command_fail(COMMAND_USAGE, NULL, &err);
}

int
command_schema(const struct command_call *call)
{
	struct buf out CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	if (call->arg_count == 3 && !strcmp(call->args[0], "check"))
		return check(call);
	if (call->arg_count) {
		error_set(&err, "schema: write `schema' or `schema check OLD "
			  "NEW'");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	rules_schema(&out);
	buf_addc(&out, '\n');
	return command_print(&out);
}
