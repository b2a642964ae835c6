/* SPDX-License-Identifier: Apache-2.0 */
/* From argv to a command: the entry of the program below main. */
#include "console/console.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "console/command.h"
#include "console/settings.h"
#include "console/value.h"

#include "config.h"

/* The program's own options are commands, too. */
static const char *
as_command(const char *word)
{
	if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		return "version";
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return "help";
	return word;
}

static int
unknown_command(const char *word)
{
	const char *names[40], *near;
	struct error err = { 0 };
	size_t count = command_count();

	if (count > ARRAY_SIZE(names))
		count = ARRAY_SIZE(names);
	for (size_t i = 0; i < count; i++)
		names[i] = command_row(i)->name;
	near = value_nearest(word, names, count);
	if (near)
		error_set(&err, "command `%s' is unknown: did you mean `%s'?",
			  word, near);
	else
		error_set(&err,
			  "command `%s' is unknown: see `matapalo "
			  "help'",
			  word);
	return command_fail(COMMAND_USAGE, NULL, &err);
}

static int
print_help(const struct command_row *row)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	command_write_help(row, &out);
	return command_print(&out);
}

int
command_help(const struct command_call *call)
{
	struct buf out CLEANUP(buf_fini) = { 0 };
	const struct command_row *row;

	if (call->arg_count) {
		row = command_find(call->args[0]);
		return row ? print_help(row) : unknown_command(call->args[0]);
	}
	command_write_overview(&out);
	return command_print(&out);
}

int
command_version(const struct command_call *call)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	(void)call;
	buf_adds(&out, PACKAGE_NAME " " PACKAGE_VERSION "\n");
	return command_print(&out);
}

static void
warn_environment(void)
{
	struct buf out CLEANUP(buf_fini) = { 0 };

	settings_warn_environment((const char *const *)environ, &out);
	if (out.len)
		fprintf(stderr, "matapalo: warning: %s", buf_str(&out));
}

/* `run` has a parser of its own, which knows settings only. */
static bool
run_asks_for_help(const struct command_call *call)
{
	for (int i = 0; i < call->argc; i++)
		if (!strcmp(call->argv[i], "--help"))
			return true;
	return false;
}

int
command_run(const struct command_call *call)
{
	struct settings s CLEANUP(settings_fini) = { 0 };
	struct error err = { 0 };

	if (run_asks_for_help(call))
		return print_help(command_find("run"));
	warn_environment();
	if (settings_load(&s, call->argc, call->argv,
			  (const char *const *)environ, &err))
		return command_fail(COMMAND_USAGE,
				    err.line ? s.value.settings : NULL, &err);
	return call->program->run(&s.value);
}

static int
start(const struct command_row *row, struct command_call *call)
{
	struct error err = { 0 };

	/* The settings of `run` have a table and a parser of their own. */
	if (row->run == command_run)
		return command_run(call);
	if (command_parse(row, call, &err))
		return command_fail(COMMAND_USAGE, NULL, &err);
	if (call->values[OPTION_HELP])
		return print_help(row);
	return row->run(call);
}

int
console_main(int argc, char **argv, const struct console_program *p)
{
	struct command_call call = { .program = p };
	const struct command_row *row;
	struct buf out CLEANUP(buf_fini) = { 0 };

	/* Shares, ids and tokens of the commands need it; `run' may do it
	 * again. */
	digest_start();
	if (argc < 2) {
		command_write_overview(&out);
		fputs(buf_str(&out), stderr);
		return COMMAND_USAGE;
	}
	call.argc = argc - 2;
	call.argv = (const char *const *)argv + 2;
	row = command_find(as_command(argv[1]));
	return row ? start(row, &call) : unknown_command(argv[1]);
}
