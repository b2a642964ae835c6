/* SPDX-License-Identifier: Apache-2.0 */
/* The command `hold`: events that must not be deleted, whatever their age;
 * and with the name of a rule, that its ramp goes no further up.
 *
 * list reads the journal's file; add and remove ask the running process,
 * over the bus. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "console/command.h"
#include "console/promotion.h"
#include "console/reading.h"
#include "console/table.h"
#include "console/value.h"
#include "console/wire.h"
#include "payload/payload.h"

#define WAIT_MS 5000u	/* until it is on disk */

/* ---- list ---- */

struct listing {
	struct journal_reader *reader;
	struct table table;
	struct buf out;
};

static void
listing_fini(struct listing *l)
{
	journal_reader_close(&l->reader);
	table_fini(&l->table);
	buf_fini(&l->out);
}

static void
cell_number(struct table *t, int64_t n)
{
	if (n)
		table_cell(t, "%" PRId64, n);
	else
		table_cell(t, "-");
}

static void
cell_time(struct table *t, int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];

	table_cell(t, "%s", us ? clock_rfc3339(us, text) : "-");
}

static void
cell_text(struct table *t, const char *text)
{
	table_cell(t, "%s", *text ? text : "-");
}

static void
list_row(void *arg, const struct journal_hold *h)
{
	struct listing *l = arg;

	table_cell(&l->table, "%s", h->name);
	cell_number(&l->table, h->first);
	cell_number(&l->table, h->last);
	cell_time(&l->table, h->since_us);
	cell_time(&l->table, h->until_us);
	cell_text(&l->table, h->type);
	cell_text(&l->table, h->subject);
	cell_text(&l->table, h->reason);
}

/* One object a line; the members are those of hold_add. */
static void
list_json(void *arg, const struct journal_hold *h)
{
	struct listing *l = arg;
	struct json j;

	json_init(&j, &l->out);
	json_object_begin(&j);
	json_given_str(&j, "name", h->name);
	json_given_i64(&j, "from", h->first);
	json_given_i64(&j, "to", h->last);
	json_given_time(&j, "since", h->since_us);
	json_given_time(&j, "until", h->until_us);
	json_given_str(&j, "type", h->type);
	json_given_str(&j, "subject", h->subject);
	json_given_str(&j, "reason", h->reason);
	json_given_time(&j, "created", h->created_us);
	json_object_end(&j);
	buf_addc(&l->out, '\n');
}

static int
list(const struct command_call *call, struct error *err)
{
	static const char *const heads[] = { "<NAME",  "<FROM", "<TO",
					     "<SINCE", "<UNTIL", "<TYPE",
					     "<SUBJECT", "<REASON" };
	struct listing l CLEANUP(listing_fini) = { 0 };
	bool json = call->values[OPTION_JSON] != NULL;

	l.reader = reading_open(call, err);
	if (!l.reader)
		return -1;
	table_init(&l.table, heads, ARRAY_SIZE(heads));
	if (journal_read_holds(l.reader, json ? list_json : list_row, &l))
		return error_set(err, "the journal cannot be read");
	if (!json)
		table_write(&l.table, &l.out);
	return command_print(&l.out);
}

/* ---- add and remove ---- */

static int
add_sequence(struct json *j, const char *name, const char *text,
	     struct error *err)
{
	int64_t n;

	if (!text)
		return 0;
	if (value_sequence(text, &n, err))
		return error_context(err, "--%s", name);
	json_given_i64(j, name, n);
	return 0;
}

static int
add_time(struct json *j, const char *name, const char *text,
	 struct error *err)
{
	int64_t us;

	if (!text)
		return 0;
	if (value_time(text, &us, err))
		return error_context(err, "--%s", name);
	json_given_time(j, name, us);
	return 0;
}

static int
write_range(struct json *j, const struct command_call *call,
	    struct error *err)
{
	if (add_sequence(j, "from", call->values[OPTION_HOLD_FROM], err) ||
	    add_sequence(j, "to", call->values[OPTION_HOLD_TO], err) ||
	    add_time(j, "since", call->values[OPTION_HOLD_SINCE], err) ||
	    add_time(j, "until", call->values[OPTION_HOLD_UNTIL], err))
		return -1;
	json_given_str(j, "type", call->values[OPTION_TYPE]);
	json_given_str(j, "subject", call->values[OPTION_SUBJECT]);
	json_given_str(j, "reason", call->values[OPTION_HOLD_REASON]);
	return 0;
}

static int
ask(const struct command_call *call, const struct buf *request,
    struct error *err)
{
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct wire w CLEANUP(wire_close) = { 0 };

	if (wire_find_url(&w, call, err) || wire_connect(&w, err) ||
	    wire_ask(&w, buf_span(request), WAIT_MS, &answer, err)) {
		error_context(err, "hold");
		return command_fail(COMMAND_FAILED, NULL, err);
	}
	return COMMAND_OK;
}

static int
change(const struct command_call *call, struct error *err)
{
	bool adds = !strcmp(call->args[0], "add");
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct json j;
	int status;

	if (call->arg_count < 2)
		return error_set(err, "which? usage: matapalo hold %s NAME",
				 call->args[0]);
	json_init(&j, &request);
	json_object_begin(&j);
	json_given_str(&j, "op", adds ? "hold_add" : "hold_remove");
	json_given_str(&j, "name", call->args[1]);
	if (adds && write_range(&j, call, err))
		return -1;
	json_object_end(&j);
	status = ask(call, &request, err);
	if (status == COMMAND_OK)
		printf("hold %s is %s\n", call->args[1],
		       adds ? "in force" : "removed");
	return status;
}

/* ---- the command ---- */

static bool
is_word_of_holds(const char *what)
{
	return !strcmp(what, "list") || !strcmp(what, "add") ||
	       !strcmp(what, "remove");
}

int
command_hold(const struct command_call *call)
{
	const char *what = call->args[0];
	struct error err = { 0 };
	int status = -1;

	if (call->arg_count == 1 && !is_word_of_holds(what))
		return promotion_hold(call);
	if (!strcmp(what, "list"))
		status = list(call, &err);
	else if (!strcmp(what, "add") || !strcmp(what, "remove"))
		status = change(call, &err);
	else
		error_set(&err, "`%s' is unknown: add, list or remove", what);
	if (status >= 0)
		return status;
	error_context(&err, "hold");
	return command_fail(COMMAND_USAGE, NULL, &err);
}
