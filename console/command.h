/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and their options: two tables and the parser of both. */
#ifndef CONSOLE_COMMAND_H
#define CONSOLE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "console/console.h"

struct rules;

/* Exit statuses of every command. */
enum command_exit {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,	/* the answer is no, or it went wrong */
	COMMAND_USAGE = 2	/* wrong usage or an unusable file */
};

enum command_option {
#define OPTION(sym, name, value, commands, help) OPTION_##sym,
#include "console/options.def"
#undef OPTION
	OPTION_COUNT
};

#define COMMAND_ARGS_MAX 4
#define COMMAND_HEADERS_MAX 64

/* One invocation; everything is lent from argv. */
struct command_call {
	int argc;			/* what follows the command's name */
	const char *const *argv;
	const char *values[OPTION_COUNT];	/* NULL: not given */
	const char *headers[COMMAND_HEADERS_MAX];
	size_t header_count;
	const char *args[COMMAND_ARGS_MAX];
	size_t arg_count;
	const struct console_program *program;
};

struct command_row {
	const char *name, *arguments;
	size_t min_args, max_args;
	const char *help;
	int (*run)(const struct command_call *call);
};
struct command_option_row {
	const char *name, *value, *commands, *help;
};

size_t command_count(void);
const struct command_row *command_row(size_t i);
const struct command_row *command_find(const char *name);
const struct command_option_row *command_option_row(enum command_option o);
/* command_has_option is true when the option's row names the command. */
bool command_has_option(const struct command_row *c, enum command_option o);

/* command_parse sorts argv into options and arguments; -1 with err. */
MUST_CHECK int command_parse(const struct command_row *row,
			     struct command_call *call, struct error *err);
void command_write_help(const struct command_row *row, struct buf *out);
void command_write_overview(struct buf *out);

/* Getters with the table's defaults. -1 with err on a bad value. */
const char *command_data(const struct command_call *call);
MUST_CHECK int command_number(const struct command_call *call,
			      enum command_option o, unsigned max,
			      unsigned fallback, unsigned *out,
			      struct error *err);
MUST_CHECK int command_duration(const struct command_call *call,
				enum command_option o, unsigned fallback_ms,
				unsigned *out_ms, struct error *err);

/* command_fail prints "matapalo: [FILE:LINE:COLUMN: ]text" to stderr and
 * returns status. */
int command_fail(enum command_exit status, const char *file,
		 const struct error *err);
/* command_load_rules loads --rules, or the file of the running process; NULL
 * when it cannot, and has said so. */
struct rules *command_load_rules(const struct command_call *call,
				 const char *name);
/* command_add_lines turns "line N: words" into "PATH:N: KIND: words". */
void command_add_lines(struct buf *out, const char *path, const char *kind,
		       const struct buf *lines);
/* command_compare_events appends what the change of rules breaks, and
 * notes; returns how much it breaks. */
size_t command_compare_events(const struct rules *old,
			      const struct rules *new, unsigned mode,
			      struct buf *out);
/* command_print writes text to stdout; COMMAND_FAILED when it cannot. */
int command_print(struct buf *text);

#define COMMAND(function, name, arguments, fewest, most, help) \
	int command_##function(const struct command_call *call);
#include "console/commands.def"
#undef COMMAND

#endif
