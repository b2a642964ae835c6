/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and their options: two tables and the parser of both. */
#include "console/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/settings.h"
#include "console/value.h"

static const struct command_row rows[] = {
#define COMMAND(function, name, arguments, fewest, most, help)                 \
	{ name, arguments, fewest, most, help, command_##function },
#include "console/commands.def"
#undef COMMAND
};

static const struct command_option_row options[] = {
#define OPTION(sym, name, value, commands, help)                               \
	[OPTION_##sym] = { name, value, commands, help },
#include "console/options.def"
#undef OPTION
};

size_t
command_count(void)
{
	return ARRAY_SIZE(rows);
}

const struct command_row *
command_row(size_t i)
{
	return &rows[i];
}

const struct command_row *
command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

const struct command_option_row *
command_option_row(enum command_option o)
{
	return &options[o];
}

bool
command_has_option(const struct command_row *c, enum command_option o)
{
	const size_t len = strlen(c->name);
	const char *at = options[o].commands;

	for (; *at; at += strspn(at, " ")) {
		size_t word = strcspn(at, " ");

		if (word == len && !strncmp(at, c->name, len))
			return true;
		at += word;
	}
	return false;
}

/* ---- the parser ---- */

static int
unknown_option(const struct command_row *row, const char *name,
	       struct error *err)
{
	const char *names[OPTION_COUNT];
	const char *near;
	size_t count = 0;

	for (enum command_option o = 0; o < OPTION_COUNT; o++)
		if (command_has_option(row, o))
			names[count++] = options[o].name;
	near = value_nearest(name, names, count);
	if (near)
		return error_set(err,
				 "%s: option %s is unknown: did you mean "
				 "%s?",
				 row->name, name, near);
	return error_set(err,
			 "%s: option %s is unknown: see `matapalo help "
			 "%s'",
			 row->name, name, row->name);
}

static enum command_option
find_option(const struct command_row *row, const char *arg, size_t len)
{
	enum command_option o;

	for (o = 0; o < OPTION_COUNT; o++)
		if (command_has_option(row, o) &&
		    strlen(options[o].name) == len &&
		    !strncmp(options[o].name, arg, len))
			break;
	return o;
}

static int
set_option(const struct command_row *row, struct command_call *call,
	   enum command_option o, const char *value, struct error *err)
{
	if (o == OPTION_HEADER) {
		if (call->header_count == COMMAND_HEADERS_MAX)
			return error_set(err, "%s: more than %d header fields",
					 row->name, COMMAND_HEADERS_MAX);
		call->headers[call->header_count++] = value;
		return 0;
	}
	if (call->values[o])
		return error_set(err, "%s: %s is given twice", row->name,
				 options[o].name);
	call->values[o] = value;
	return 0;
}

/* "--option VALUE", "--option=VALUE" or "--flag" at argv[i]; returns how
 * many arguments that was, -1 on error. */
static int
take_option(const struct command_row *row, struct command_call *call, int i,
	    struct error *err)
{
	const char *arg = call->argv[i], *value = "";
	size_t len = strncmp(arg, "--", 2) ? strlen(arg) : strcspn(arg, "=");
	enum command_option o = find_option(row, arg, len);
	int used = 1;

	if (o == OPTION_COUNT)
		return unknown_option(row, arg, err);
	if (!options[o].value && arg[len])
		return error_set(err, "%s: %s takes no value", row->name,
				 options[o].name);
	if (options[o].value && arg[len]) {
		value = arg + len + 1;
	} else if (options[o].value) {
		if (i + 1 >= call->argc)
			return error_set(err, "%s: %s needs a value: %s",
					 row->name, options[o].name,
					 options[o].value);
		value = call->argv[i + 1];
		used = 2;
	}
	return set_option(row, call, o, value, err) ? -1 : used;
}

static int
take_argument(const struct command_row *row, struct command_call *call,
	      const char *arg, struct error *err)
{
	if (call->arg_count == row->max_args ||
	    call->arg_count == COMMAND_ARGS_MAX)
		return error_set(err,
				 "%s: `%s' is not expected: usage: matapalo "
				 "%s %s",
				 row->name, arg, row->name, row->arguments);
	call->args[call->arg_count++] = arg;
	return 0;
}

int
command_parse(const struct command_row *row, struct command_call *call,
	      struct error *err)
{
	bool only_arguments = false;

	for (int i = 0; i < call->argc;) {
		const char *arg = call->argv[i];
		int used = 1;

		if (!only_arguments && !strcmp(arg, "--"))
			only_arguments = true;
		else if (!only_arguments && arg[0] == '-' && arg[1])
			used = take_option(row, call, i, err);
		else if (take_argument(row, call, arg, err))
			used = -1;
		if (used < 0)
			return -1;
		i += used;
	}
	if (call->arg_count < row->min_args && !call->values[OPTION_HELP])
		return error_set(err, "%s: usage: matapalo %s %s", row->name,
				 row->name, row->arguments);
	return 0;
}

/* ---- help ---- */

void
command_write_help(const struct command_row *row, struct buf *out)
{
	buf_printf(out, "usage: matapalo %s%s%s\n\n%s\n", row->name,
		   *row->arguments ? " " : "", row->arguments, row->help);
	if (!strcmp(row->name, "run")) {
		buf_adds(out, "\nSettings, each as option, as environment "
			      "variable or in the settings file:\n");
		settings_help(out);
		return;
	}
	buf_adds(out, "\nOptions:\n");
	for (enum command_option o = 0; o < OPTION_COUNT; o++) {
		if (!command_has_option(row, o))
			continue;
		buf_printf(out, "  %s%s%s\n      %s\n", options[o].name,
			   options[o].value ? " " : "",
			   options[o].value ? options[o].value : "",
			   options[o].help);
	}
}

void
command_write_overview(struct buf *out)
{
	buf_adds(out, "usage: matapalo COMMAND [OPTION]...\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		buf_printf(out, "  %-9s %s\n", rows[i].name, rows[i].help);
	buf_adds(out, "\n`matapalo help COMMAND' says more.\n");
}

/* ---- values ---- */

const char *
command_data(const struct command_call *call)
{
	const struct settings_row *row = settings_find("data");
	const char *env = getenv(row->environment);

	if (call->values[OPTION_DATA])
		return call->values[OPTION_DATA];
	return env && *env ? env : row->fallback;
}

int
command_number(const struct command_call *call, enum command_option o,
	       unsigned max, unsigned fallback, unsigned *out,
	       struct error *err)
{
	*out = fallback;
	if (!call->values[o] || !value_count(call->values[o], max, out, err))
		return 0;
	return error_context(err, "%s", options[o].name);
}

int
command_duration(const struct command_call *call, enum command_option o,
		 unsigned fallback_ms, unsigned *out_ms, struct error *err)
{
	*out_ms = fallback_ms;
	if (!call->values[o] || !value_duration(call->values[o], out_ms, err))
		return 0;
	return error_context(err, "%s", options[o].name);
}

int
command_fail(enum command_exit status, const char *file,
	     const struct error *err)
{
	char text[ERROR_TEXT_MAX + 512];

	fprintf(stderr, "matapalo: %s\n",
		error_format(err, file, text, sizeof(text)));
	return (int)status;
}

int
command_print(struct buf *text)
{
	if (text->failed) {
		fprintf(stderr, "matapalo: no memory for the output\n");
		return COMMAND_FAILED;
	}
	if (fwrite(buf_str(text), 1, text->len, stdout) != text->len ||
	    fflush(stdout)) {
		perror("matapalo: standard output");
		return COMMAND_FAILED;
	}
	return COMMAND_OK;
}
