/* SPDX-License-Identifier: Apache-2.0 */
/* The command `dlq`: what no consumer could handle.
 *
 * list and show read the journal's file, with or without a running process;
 * redrive changes something and so asks the process, over the bus. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "console/command.h"
#include "console/reading.h"
#include "console/table.h"
#include "console/value.h"
#include "console/wire.h"

struct listing {
	struct journal_reader *reader;
	const char *group; /* NULL: all */
	unsigned left;
	int64_t wanted; /* 0: all */
	size_t found;
	struct table table;
	struct json json;
	struct buf out;
};

static void
listing_fini(struct listing *l)
{
	journal_reader_close(&l->reader);
	table_fini(&l->table);
	buf_fini(&l->out);
}

/* ---- list ---- */

static void
list_row(void *arg, const struct journal_dead *d)
{
	char last[CLOCK_RFC3339_SIZE];
	struct listing *l = arg;

	if (!l->left)
		return;
	l->left--;
	table_cell(&l->table, "%" PRId64, d->id);
	table_cell(&l->table, "%s", d->group);
	table_cell(&l->table, "%" PRId64, d->sequence);
	table_cell(&l->table, "%u", d->attempts);
	table_cell(&l->table, "%s", clock_rfc3339(d->last_us, last));
	table_cell(&l->table, "%s", d->reason);
}

static void
write_dead(struct json *j, const struct journal_dead *d)
{
	char text[CLOCK_RFC3339_SIZE];

	json_key(j, "id");
	json_i64(j, d->id);
	json_key(j, "group");
	json_str(j, d->group);
	json_key(j, "sequence");
	json_i64(j, d->sequence);
	json_key(j, "attempts");
	json_u64(j, d->attempts);
	json_key(j, "first");
	json_str(j, clock_rfc3339(d->first_us, text));
	json_key(j, "last");
	json_str(j, clock_rfc3339(d->last_us, text));
	json_key(j, "reason");
	json_str(j, d->reason);
}

/* One object a line. */
static void
list_json(void *arg, const struct journal_dead *d)
{
	struct listing *l = arg;

	if (!l->left)
		return;
	l->left--;
	json_init(&l->json, &l->out);
	json_object_begin(&l->json);
	write_dead(&l->json, d);
	json_object_end(&l->json);
	buf_addc(&l->out, '\n');
}

static int
list(struct listing *l, const struct command_call *call, struct error *err)
{
	static const char *const heads[] = { ">ID",	  "<GROUP", ">SEQUENCE",
					     ">ATTEMPTS", "<LAST",  "<REASON" };
	bool json = call->values[OPTION_JSON] != NULL;

	table_init(&l->table, heads, ARRAY_SIZE(heads));
	if (journal_read_dead(l->reader, l->group, json ? list_json : list_row,
			      l))
		return error_set(err, "the journal cannot be read");
	if (!json)
		table_write(&l->table, &l->out);
	return command_print(&l->out);
}

/* ---- show ---- */

static bool
show_event(void *arg, const struct journal_row *row)
{
	struct listing *l = arg;

	json_key(&l->json, "event");
	bus_write_cloudevent(&l->json, row);
	return true;
}

static void
show_row(void *arg, const struct journal_dead *d)
{
	struct listing *l = arg;

	if (d->id != l->wanted)
		return;
	l->found++;
	json_init(&l->json, &l->out);
	json_object_begin(&l->json);
	write_dead(&l->json, d);
	/* Remembered, because one statement runs at a time. */
	l->wanted = -d->sequence;
}

static int
show(struct listing *l, const struct command_call *call, struct error *err)
{
	if (call->arg_count < 2)
		return error_set(err, "which one? usage: matapalo dlq show ID");
	if (value_sequence(call->args[1], &l->wanted, err))
		return -1;
	if (journal_read_dead(l->reader, NULL, show_row, l))
		return error_set(err, "the journal cannot be read");
	if (!l->found)
		return error_set(err, "there is no dead letter %s",
				 call->args[1]);
	if (journal_read_one(l->reader, -l->wanted, show_event, l) < 0)
		return error_set(err, "the journal cannot be read");
	json_object_end(&l->json);
	buf_addc(&l->out, '\n');
	return command_print(&l->out);
}

/* ---- redrive ---- */

/* Wrong usage is -1 with err; what goes wrong later is said here. */
static int
redrive(const struct command_call *call, struct error *err)
{
	struct wire w CLEANUP(wire_close) = { 0 };
	const char *which = call->arg_count > 1 ? call->args[1] : "";
	int64_t id = 0, count = -1;

	w.group = call->values[OPTION_GROUP];
	if (!*which || !w.group)
		return error_set(err, "which? usage: matapalo dlq redrive "
				      "ID|all --group NAME");
	if (strcmp(which, "all") && value_sequence(which, &id, err))
		return -1;
	if (!wire_find_url(&w, call, err) && !wire_connect(&w, err))
		count = wire_redrive(&w, id, err);
	if (count < 0)
		return command_fail(COMMAND_FAILED, NULL, err);
	printf("%" PRId64 " dead letter%s of group %s will be delivered "
	       "again\n",
	       count, count == 1 ? "" : "s", w.group);
	return count || !id ? COMMAND_OK : COMMAND_FAILED;
}

/* ---- the command ---- */

static int
read_journal(const struct command_call *call, struct error *err)
{
	struct listing l CLEANUP(listing_fini) = {
		.group = call->values[OPTION_GROUP],
	};

	if (command_number(call, OPTION_LIMIT, UINT32_MAX, UINT32_MAX, &l.left,
			   err))
		return -1;
	l.reader = reading_open(call, err);
	if (!l.reader)
		return -1;
	if (!strcmp(call->args[0], "show"))
		return show(&l, call, err);
	return list(&l, call, err);
}

int
command_dlq(const struct command_call *call)
{
	const char *what = call->args[0];
	struct error err = { 0 };
	int result = -1;

	if (!strcmp(what, "redrive"))
		result = redrive(call, &err);
	else if (!strcmp(what, "list") || !strcmp(what, "show"))
		result = read_journal(call, &err);
	else
		error_set(&err, "`%s' is unknown: list, show or redrive", what);
	if (result >= 0)
		return result;
	error_context(&err, "dlq");
	return command_fail(COMMAND_USAGE, NULL, &err);
}
