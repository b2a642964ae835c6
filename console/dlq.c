/* SPDX-License-Identifier: Apache-2.0 */
/* The command `dlq`: what no consumer could handle.
 *
 * list and show read the journal's file, with or without a running process;
 * the others change something and so ask the process, over the bus. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "console/command.h"
#include "console/job.h"
#include "console/reading.h"
#include "console/table.h"
#include "console/value.h"
#include "journal/dead.h"

#define SCAN_ROWS 20000
#define LIST_DEFAULT 100

struct listing {
	struct journal_reader *reader;
	struct journal_dead_filter filter;
	struct journal_dead_page page;
	bool as_json;
	int64_t sequence; /* of the one that is shown */
	char *group;
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
	free(l->group);
}

/* ---- list ---- */

static void
list_row(struct listing *l, const struct journal_letter *letter)
{
	const struct journal_dead *d = &letter->dead;
	char last[CLOCK_RFC3339_SIZE];

	table_cell(&l->table, "%" PRId64, d->id);
	table_cell(&l->table, "%s", d->group);
	table_cell(&l->table, "%" PRId64, d->sequence);
	table_cell(&l->table, "%.*s", (int)letter->type.len, letter->type.at);
	table_cell(&l->table, "%.*s", (int)letter->subject.len,
		   letter->subject.at);
	table_cell(&l->table, "%u", d->attempts);
	table_cell(&l->table, "%s", clock_rfc3339(d->last_us, last));
	table_cell(&l->table, "%s", d->reason);
}

static void
write_letter(struct json *j, const struct journal_letter *l)
{
	const struct journal_dead *d = &l->dead;
	char text[CLOCK_RFC3339_SIZE];

	json_key(j, "id");
	json_i64(j, d->id);
	json_key(j, "group");
	json_str(j, d->group);
	json_key(j, "sequence");
	json_i64(j, d->sequence);
	json_key(j, "type");
	json_span(j, l->type);
	json_key(j, "subject");
	json_span(j, l->subject);
	json_key(j, "attempts");
	json_u64(j, d->attempts);
	json_key(j, "first");
	json_str(j, clock_rfc3339(d->first_us, text));
	json_key(j, "last");
	json_str(j, clock_rfc3339(d->last_us, text));
	json_key(j, "consumer");
	json_str(j, d->consumer);
	json_key(j, "reason");
	json_str(j, d->reason);
}

static void
on_letter(void *arg, const struct journal_letter *letter)
{
	struct listing *l = arg;

	if (!l->as_json) {
		list_row(l, letter);
		return;
	}
	json_init(&l->json, &l->out);
	json_object_begin(&l->json);
	write_letter(&l->json, letter);
	json_object_end(&l->json);
	buf_addc(&l->out, '\n');
}

/* Pages of the journal make one of ours. */
static int
read_pages(struct listing *l, struct error *err)
{
	int n;

	do {
		n = journal_read_letters(l->reader, &l->filter, &l->page,
					 on_letter, l);
		if (n < 0)
			return error_set(err, "the journal cannot be read");
		l->page.max -= (size_t)n;
	} while (l->page.more && l->page.max > 0);
	return 0;
}

static int
list(struct listing *l, struct error *err)
{
	static const char *const heads[] = { ">ID",	  "<GROUP",
					     ">SEQUENCE", "<TYPE",
					     "<SUBJECT",  ">ATTEMPTS",
					     "<LAST",	  "<REASON" };

	table_init(&l->table, heads, ARRAY_SIZE(heads));
	if (read_pages(l, err))
		return -1;
	if (!l->as_json)
		table_write(&l->table, &l->out);
	if (l->page.more)
		fprintf(stderr, "there may be more: --after %" PRId64 "\n",
			l->page.after);
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
show_attempt(void *arg, const struct journal_attempt *a)
{
	char time[CLOCK_RFC3339_SIZE];
	struct json *j = arg;

	json_object_begin(j);
	json_key(j, "attempt");
	json_u64(j, a->attempt);
	json_key(j, "time");
	json_str(j, clock_rfc3339(a->time_us, time));
	json_key(j, "consumer");
	json_str(j, a->consumer);
	json_key(j, "reason");
	json_str(j, a->reason);
	json_object_end(j);
}

/* One statement runs at a time: what the others need is remembered. */
static void
show_letter(void *arg, const struct journal_letter *letter)
{
	struct listing *l = arg;

	json_init(&l->json, &l->out);
	json_object_begin(&l->json);
	write_letter(&l->json, letter);
	l->sequence = letter->dead.sequence;
	l->group = strdup(letter->dead.group);
}

static int
show(struct listing *l, const struct command_call *call, struct error *err)
{
	static const struct journal_dead_filter all;
	int rc;

	if (call->arg_count < 2)
		return error_set(err, "which one? usage: matapalo dlq show ID");
	if (value_sequence(call->args[1], &l->page.upto, err))
		return -1;
	l->page.after = l->page.upto - 1;
	rc = journal_read_letters(l->reader, &all, &l->page, show_letter, l);
	if (rc < 0)
		return error_set(err, "the journal cannot be read");
	if (!l->group)
		return error_set(err, "there is no dead letter %s",
				 call->args[1]);
	json_key(&l->json, "history");
	json_array_begin(&l->json);
	rc = journal_read_attempts(l->reader, l->group, l->sequence,
				   show_attempt, &l->json);
	json_array_end(&l->json);
	if (rc < 0 ||
	    journal_read_one(l->reader, l->sequence, show_event, l) < 0)
		return error_set(err, "the journal cannot be read");
	json_object_end(&l->json);
	buf_addc(&l->out, '\n');
	return command_print(&l->out);
}

/* ---- redrive and purge ---- */

/* Wrong usage is -1 with err. */
static int
add_which(struct json *j, const struct command_call *call, struct error *err)
{
	const char *which = call->arg_count > 1 ? call->args[1] : NULL;
	int64_t id;
	int some = job_filter(j, call, err);

	if (some < 0)
		return -1;
	if (which && strcmp(which, "all")) {
		if (some)
			return error_set(err, "either an ID or a filter");
		if (value_sequence(which, &id, err))
			return -1;
		json_key(j, "id");
		json_i64(j, id);
	} else if (which && !some) {
		json_key(j, "all");
		json_bool(j, true);
	} else if (!some) {
		return error_set(err, "which? usage: matapalo dlq %s ID|all "
				 "--group NAME, or a filter: --type, "
				 "--subject, --reason, --since, --until",
				 call->args[0]);
	}
	return 0;
}

static int
add_rate(struct json *j, const struct command_call *call, struct error *err)
{
	unsigned rate;

	if (command_number(call, OPTION_RATE, 1000000, 0, &rate, err))
		return -1;
	if (rate) {
		json_key(j, "rate");
		json_u64(j, rate);
	}
	return 0;
}

static int
change(const struct command_call *call, const char *op, const char *what,
       struct error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	const char *group = call->values[OPTION_GROUP];
	struct json j;

	job_begin(&j, &request, op);
	if (group) {
		json_key(&j, "group");
		json_str(&j, group);
	}
	if (add_which(&j, call, err) || add_rate(&j, call, err))
		return -1;
	return job_run(call, &j, what);
}

static int
redrive(const struct command_call *call, struct error *err)
{
	const char *which = call->arg_count > 1 ? call->args[1] : "all";

	if (!call->values[OPTION_GROUP] && !strcmp(which, "all"))
		return error_set(err, "whose? usage: matapalo dlq redrive "
				 "ID|all --group NAME");
	return change(call, "dlq_redrive", "redriven", err);
}

static int
purge(const struct command_call *call, struct error *err)
{
	if (!call->values[OPTION_YES])
		return error_set(err, "purged dead letters are gone for good; "
				 "look at them with `matapalo dlq list' and "
				 "say --yes");
	return change(call, "dlq_purge", "purged", err);
}

/* ---- the command ---- */

static int
read_options(struct listing *l, const struct command_call *call,
	     struct error *err)
{
	const char *const *v = call->values;
	unsigned limit;

	l->as_json = v[OPTION_JSON] != NULL;
	l->filter = (struct journal_dead_filter){
		.group = v[OPTION_GROUP], .type = v[OPTION_TYPE],
		.subject = v[OPTION_SUBJECT], .reason = v[OPTION_REASON] };
	if (v[OPTION_SINCE] &&
	    value_time(v[OPTION_SINCE], &l->filter.since_us, err))
		return error_context(err, "--since");
	if (v[OPTION_UNTIL] &&
	    value_time(v[OPTION_UNTIL], &l->filter.until_us, err))
		return error_context(err, "--until");
	if (v[OPTION_AFTER] &&
	    value_sequence(v[OPTION_AFTER], &l->page.after, err))
		return error_context(err, "--after");
	if (command_number(call, OPTION_LIMIT, UINT32_MAX, LIST_DEFAULT,
			   &limit, err))
		return -1;
	l->page.max = limit;
	l->page.scan_limit = SCAN_ROWS;
	return 0;
}

static int
read_journal(const struct command_call *call, struct error *err)
{
	struct listing l CLEANUP(listing_fini) = { .reader = NULL };

	if (read_options(&l, call, err))
		return -1;
	l.reader = reading_open(call, err);
	if (!l.reader)
		return -1;
	if (!strcmp(call->args[0], "show"))
		return show(&l, call, err);
	return list(&l, err);
}

static int
run(const struct command_call *call, struct error *err)
{
	const char *what = call->args[0];

	if (!strcmp(what, "list") || !strcmp(what, "show"))
		return read_journal(call, err);
	if (!strcmp(what, "redrive"))
		return redrive(call, err);
	if (!strcmp(what, "purge"))
		return purge(call, err);
	if (!strcmp(what, "redrives"))
		return job_list(call);
	if (!strcmp(what, "cancel"))
		return job_cancel(call,
				  call->arg_count > 1 ? call->args[1] : NULL,
				  err);
	return error_set(err, "`%s' is unknown: list, show, redrive, purge, "
			 "redrives or cancel", what);
}

int
command_dlq(const struct command_call *call)
{
	struct error err = { 0 };
	int result = run(call, &err);

	if (result >= 0)
		return result;
	error_context(&err, "dlq");
	return command_fail(COMMAND_USAGE, NULL, &err);
}
