/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of `run`: one table, four places they may come from. */
#ifndef CONSOLE_SETTINGS_H
#define CONSOLE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "console/console.h"

enum settings_type {
	SETTINGS_TEXT,
	SETTINGS_COUNT,
	SETTINGS_NUMBER,
	SETTINGS_DURATION,
	SETTINGS_LEVEL,
	SETTINGS_ADDRESS,
	SETTINGS_LISTEN_LIST,
	SETTINGS_BUS_LIST,
	SETTINGS_NETWORK_LIST,
	SETTINGS_CLIENT_FIELD,
	SETTINGS_TEXT_LIST,
	SETTINGS_TLS_VERSION,
	SETTINGS_TLS_CLIENTS,
	SETTINGS_FIELD_NAME,
	SETTINGS_AGE,
	SETTINGS_RETAIN_FULL,
	SETTINGS_TRACE,
	SETTINGS_SOURCE
};

/* A row of settings.def. */
struct settings_row {
	const char *key, *option, *environment;
	enum settings_type type;
	const char *metavar;
	const char *fallback;	/* NULL: unset */
	const char *unit, *help;
	size_t offset;		/* in struct console_settings */
};

size_t settings_count(void);
const struct settings_row *settings_row(size_t i);
/* settings_find knows a row by its key; NULL otherwise. */
const struct settings_row *settings_find(const char *key);
bool settings_is_list(const struct settings_row *row);

/* Zero-initialise. `value` lends from argv, the environment and `memory`. */
struct settings {
	struct console_settings value;
	struct arena memory;
	struct buf file;	/* the settings file's text */
};

/* settings_load reads the options after `run`, then the environment, then
 * the settings file: the first that has a setting wins. -1 with err, which
 * has a line when the settings file (value.settings) is at fault. */
MUST_CHECK int settings_load(struct settings *s, int argc,
			     const char *const *argv, const char *const *env,
			     struct error *err);
void settings_fini(struct settings *s);

/* settings_help appends the options with their sentences. */
void settings_help(struct buf *out);
/* settings_warn_environment appends a line for each variable whose name
 * looks like a slip of one of ours. Others that begin with MATAPALO_ are
 * let be: orchestrators set such for a service of this name. */
void settings_warn_environment(const char *const *env, struct buf *out);

#endif
