/* SPDX-License-Identifier: Apache-2.0 */
/* Where settings come from: command line, environment, file, defaults.
 *
 * Each source fills the slots that no source before it has filled; then every
 * slot is converted, so that a value that is never used is never judged. */
#include "console/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/invariant.h"
#include "console/file.h"
#include "console/settings_internal.h"
#include "console/value.h"

#define SLOTS_MAX 64
#define FILE_LIMIT_BYTES (64u * 1024)
#define MEMORY_LIMIT_BYTES (256u * 1024)

enum origin { NOWHERE, COMMAND_LINE, ENVIRONMENT, SETTINGS_FILE, DEFAULT };

struct slot {
	enum origin origin;
	const char *texts[CONSOLE_LIST_MAX];
	size_t count;
	int line;
};

struct loading {
	struct settings *s;
	struct slot slots[SLOTS_MAX];
};

static struct slot *
slot_of(struct loading *l, const struct settings_row *row)
{
	size_t i = (size_t)(row - settings_row(0));

	INVARIANT(i < SLOTS_MAX);
	return &l->slots[i];
}

/* The name under which the operator knows the setting in this source. */
static const char *
name_in(const struct settings_row *row, enum origin origin)
{
	if (origin == COMMAND_LINE)
		return row->option;
	return origin == ENVIRONMENT ? row->environment : row->key;
}

static int
add_text(struct slot *slot, const struct settings_row *row, enum origin origin,
	 const char *text, struct error *err)
{
	const char *name = name_in(row, origin);

	if (slot->count && !settings_is_list(row))
		return error_set(err, "%s is given twice", name);
	if (slot->count == CONSOLE_LIST_MAX)
		return error_set(err, "%s is given more than %d times", name,
				 CONSOLE_LIST_MAX);
	slot->origin = origin;
	slot->texts[slot->count++] = text;
	return 0;
}

/* ---- command line ---- */

static int
unknown_name(const char *name, size_t offset, const char *what,
	     struct error *err)
{
	const char *names[SLOTS_MAX];
	const char *near;

	for (size_t i = 0; i < settings_count(); i++)
		memcpy(&names[i], (const char *)settings_row(i) + offset,
		       sizeof(names[i]));
	near = value_nearest(name, names, settings_count());
	if (near)
		return error_set(err, "%s %s is unknown: did you mean %s?",
				 what, name, near);
	return error_set(err, "%s %s is unknown: see `matapalo help run'", what,
			 name);
}

static const struct settings_row *
row_of_option(const char *option, size_t len)
{
	for (size_t i = 0; i < settings_count(); i++) {
		const struct settings_row *row = settings_row(i);

		if (strlen(row->option) == len &&
		    !strncmp(row->option, option, len))
			return row;
	}
	return NULL;
}

/* Takes "--option VALUE" or "--option=VALUE"; returns how many arguments
 * that was, -1 on error. */
static int
take_option(struct loading *l, int argc, const char *const *argv,
	    struct error *err)
{
	size_t len = strcspn(argv[0], "=");
	const struct settings_row *row = row_of_option(argv[0], len);
	const char *text = argv[0] + len + 1;
	char name[64];
	int used = 1;

	if (strncmp(argv[0], "--", 2))
		return error_set(err,
				 "`%s' is not expected: `run' takes options "
				 "only",
				 argv[0]);
	snprintf(name, sizeof(name), "%.*s", (int)len, argv[0]);
	if (!row)
		return unknown_name(name, offsetof(struct settings_row, option),
				    "option", err);
	if (!argv[0][len]) {
		if (argc < 2)
			return error_set(err, "%s needs a value: %s",
					 row->option, row->metavar);
		text = argv[1];
		used = 2;
	}
	if (add_text(slot_of(l, row), row, COMMAND_LINE, text, err))
		return -1;
	return used;
}

static int
load_command_line(struct loading *l, int argc, const char *const *argv,
		  struct error *err)
{
	for (int i = 0; i < argc;) {
		int used = take_option(l, argc - i, argv + i, err);

		if (used < 0)
			return -1;
		i += used;
	}
	return 0;
}

/* ---- environment ---- */

static const char *
environment_value(const char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

/* The options of a listen address follow it behind commas, too; an address
 * has a colon, an option never has. */
static void
take_options(struct span *list, struct span *item)
{
	struct span rest = *list, option;

	while (span_next_token(&rest, &option) &&
	       !memchr(option.at, ':', option.len)) {
		item->len = (size_t)(option.at + option.len - item->at);
		*list = rest;
	}
}

/* Cuts a list at its commas into copies. */
static int
add_list(struct loading *l, struct slot *slot, const struct settings_row *row,
	 enum origin origin, const char *text, struct error *err)
{
	struct span list = span_of(text), item;

	while (span_next_token(&list, &item)) {
		char *copy;

		if (row->type == SETTINGS_LISTEN_LIST)
			take_options(&list, &item);
		copy = arena_copy(&l->s->memory, item.at, item.len);
		if (!copy)
			return error_set(err, "%s is too long",
					 name_in(row, origin));
		if (add_text(slot, row, origin, copy, err))
			return -1;
	}
	return 0;
}

static int
load_environment(struct loading *l, const char *const *env, struct error *err)
{
	for (size_t i = 0; i < settings_count(); i++) {
		const struct settings_row *row = settings_row(i);
		struct slot *slot = slot_of(l, row);
		const char *text = environment_value(env, row->environment);

		/* An empty variable is an unset one: compose files and unit
		 * files cannot unset. */
		if (slot->count || !text || !*text)
			continue;
		if (settings_is_list(row)) {
			if (add_list(l, slot, row, ENVIRONMENT, text, err))
				return -1;
		} else if (add_text(slot, row, ENVIRONMENT, text, err)) {
			return -1;
		}
	}
	return 0;
}

void
settings_warn_environment(const char *const *env, struct buf *out)
{
	const char *names[SLOTS_MAX];

	for (size_t i = 0; i < settings_count(); i++)
		names[i] = settings_row(i)->environment;
	for (; *env; env++) {
		char name[64];
		size_t len = strcspn(*env, "=");
		const char *near;

		if (strncmp(*env, "MATAPALO_", 9) || len >= sizeof(name))
			continue;
		memcpy(name, *env, len);
		name[len] = '\0';
		near = value_nearest(name, names, settings_count());
		if (near && strcmp(near, name))
			buf_printf(out,
				   "%s is not a setting: did you mean %s?\n",
				   name, near);
	}
}

/* ---- settings file ---- */

static char *
trim(char *s)
{
	char *end = s + strlen(s);

	while (isspace((unsigned char)*s))
		s++;
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return s;
}

static int
file_setting(struct loading *l, const char *key, const char *text, int line,
	     struct error *err)
{
	const struct settings_row *row = settings_find(key);
	struct slot *slot;

	if (!row)
		return unknown_name(key, offsetof(struct settings_row, key),
				    "key", err);
	if (!strcmp(key, "settings"))
		return error_set(err, "a settings file cannot name another");
	if (!*text)
		return error_set(err, "%s has no value", key);
	slot = slot_of(l, row);
	if (slot->count && slot->origin != SETTINGS_FILE)
		return 0;
	if (slot->count && !settings_is_list(row))
		return error_set(err, "%s is already set on line %d", key,
				 slot->line);
	slot->line = line;
	return settings_is_list(row)
		       ? add_list(l, slot, row, SETTINGS_FILE, text, err)
		       : add_text(slot, row, SETTINGS_FILE, text, err);
}

static int
file_line(struct loading *l, char *text, int line, struct error *err)
{
	char *key = trim(text), *equals = strchr(key, '=');

	if (!*key || *key == '#')
		return 0;
	if (!equals)
		return error_set(err,
				 "`%.40s' is no setting: write key = "
				 "value",
				 key);
	*equals = '\0';
	return file_setting(l, trim(key), trim(equals + 1), line, err);
}

static int
load_file(struct loading *l, const char *path, struct error *err)
{
	struct settings *s = l->s;
	char *at, *next;
	int line = 0;

	if (file_read(path, FILE_LIMIT_BYTES, &s->file, err))
		return -1;
	buf_addc(&s->file, '\0');
	if (s->file.failed)
		return error_set(err, "no memory to read %s", path);
	for (at = s->file.data; at; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		if (file_line(l, at, ++line, err)) {
			err->line = line;
			return -1;
		}
	}
	return 0;
}

static int
load_settings_file(struct loading *l, struct error *err)
{
	struct slot *slot = slot_of(l, settings_find("settings"));

	if (!slot->count)
		return 0;
	l->s->value.settings = slot->texts[0];
	return load_file(l, slot->texts[0], err);
}

/* ---- defaults and the end ---- */

/* Replaces a leading or embedded word of the default by its value. */
static const char *
expand(struct arena *memory, const char *text, const char *word,
       const char *value)
{
	const char *at = strstr(text, word);

	if (!at)
		return text;
	return arena_printf(memory, "%.*s%s%s", (int)(at - text), text, value,
			    at + strlen(word));
}

static int
load_default(struct loading *l, const struct settings_row *row,
	     struct error *err)
{
	struct slot *slot = slot_of(l, row);
	const char *text = row->fallback;
	char host[256] = "localhost";

	if (slot->count || !text)
		return 0;
	if (gethostname(host, sizeof(host) - 1))
		snprintf(host, sizeof(host), "localhost");
	/* The data directory's row stands before those made from it. */
	if (strstr(text, "HOST"))
		text = expand(&l->s->memory, text, "HOST", host);
	else if (l->s->value.data)
		text = expand(&l->s->memory, text, "DATA", l->s->value.data);
	if (!text)
		return error_set(err, "no memory for the settings");
	return add_text(slot, row, DEFAULT, text, err);
}

static int
convert(struct loading *l, const struct settings_row *row, struct error *err)
{
	struct slot *slot = slot_of(l, row);

	if (load_default(l, row, err))
		return -1;
	if (row->offset == offsetof(struct console_settings, listen))
		l->s->value.listen_is_default = slot->origin == DEFAULT;
	if (!slot->count ||
	    !settings_convert(&l->s->value, row, slot->texts, slot->count, err))
		return 0;
	error_context(err, "%s", name_in(row, slot->origin));
	if (err && slot->origin == SETTINGS_FILE)
		err->line = slot->line;
	return -1;
}

static int
check_tls(const struct console_settings *v, struct error *err)
{
	struct value_listen listen;

	for (size_t i = 0; v->listen[i]; i++) {
		if (value_listen(v->listen[i], &listen, err))
			return -1;
		if ((listen.flags & LISTEN_TLS) && !v->tls_certificate[0])
			return error_set(err,
					 "--listen %s needs a certificate: "
					 "give --tls-certificate FILE",
					 v->listen[i]);
	}
	if (strcmp(v->tls_client_certificates, "none") && !v->tls_client_ca)
		return error_set(err,
				 "--tls-client-certificates %s: say with "
				 "--tls-client-ca FILE who signs them",
				 v->tls_client_certificates);
	if (v->tls_client_crl && !strcmp(v->tls_client_certificates, "none"))
		return error_set(err, "--tls-client-crl has no meaning "
				 "without --tls-client-certificates");
	return 0;
}

/* Whoever reaches the bus may purge it. */
static int
check_bus(const struct console_settings *v, struct error *err)
{
	for (size_t i = 0; v->bus[i]; i++) {
		bool has_tls = !strncmp(v->bus[i], "tls+", 4);
		bool knows_who = v->bus_tokens ||
				 (has_tls && v->bus_tls_client_ca);

		if (has_tls && !v->bus_tls_certificate)
			return error_set(err,
					 "--bus %s needs a certificate: give "
					 "--bus-tls-certificate FILE",
					 v->bus[i]);
		if (!knows_who && !value_bus_is_local(v->bus[i]))
			return error_set(err,
					 "--bus %s can be reached from other "
					 "machines: say with --bus-tokens FILE "
					 "who may do what there, or use a "
					 "loopback address",
					 v->bus[i]);
	}
	return 0;
}

static int
check_together(const struct console_settings *v, struct error *err)
{
	if (v->legacy && v->rules)
		return error_set(err,
				 "--legacy and --rules exclude each other: a "
				 "rules file names the legacy itself, as "
				 "target \"legacy\"");
	if (!v->legacy && !v->rules)
		return error_set(err, "what shall stand behind matapalo? Give "
				      "--legacy URL or --rules FILE");
	return check_tls(v, err) ? -1 : check_bus(v, err);
}

int
settings_load(struct settings *s, int argc, const char *const *argv,
	      const char *const *env, struct error *err)
{
	struct loading l = { .s = s };
	struct error local = { 0 };

	err = err ? err : &local;
	arena_init(&s->memory, NULL, 0, MEMORY_LIMIT_BYTES);
	if (load_command_line(&l, argc, argv, err) ||
	    load_environment(&l, env, err) || load_settings_file(&l, err))
		return -1;
	for (size_t i = 0; i < settings_count(); i++)
		if (convert(&l, settings_row(i), err))
			return -1;
	return check_together(&s->value, err);
}

void
settings_fini(struct settings *s)
{
	arena_fini(&s->memory);
	buf_fini(&s->file);
}
