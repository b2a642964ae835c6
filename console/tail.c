/* SPDX-License-Identifier: Apache-2.0 */
/* The command `tail`: events from the journal, one CloudEvent a line.
 *
 * It reads the journal's file itself, so that it works with and without a
 * running process and costs that process nothing. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bus/bus.h"
#include "console/command.h"
#include "console/reading.h"
#include "console/value.h"
#include "journal/journal.h"

#define NEWEST_SHOWN 10
#define NEWEST (-2) /* no --from: those */
#define BATCH 500
#define SCAN_LIMIT 100000
#define FOLLOW_MS 200

struct tailing {
	struct journal_reader *reader;
	struct journal_filter filter;
	int64_t after;
	uint64_t left; /* events still to print */
	bool follow;
	struct buf out;
};

struct journal_reader *
reading_open(const struct command_call *call, struct error *err)
{
	struct buf path CLEANUP(buf_fini) = { 0 };

	buf_printf(&path, "%s/journal.db", command_data(call));
	return journal_reader_open(buf_str(&path), err);
}

static bool
print_row(void *arg, const struct journal_row *row)
{
	struct tailing *t = arg;
	struct json j;

	json_init(&j, &t->out);
	bus_write_cloudevent(&j, row);
	buf_addc(&t->out, '\n');
	return true;
}

/* 1: there may be more; 0: the end of the journal; -1 with err. */
static int
print_batch(struct tailing *t, struct error *err)
{
	size_t max = t->left < BATCH ? (size_t)t->left : BATCH;
	int64_t before = t->after;
	int n = journal_read(t->reader, before, &t->filter, max, SCAN_LIMIT,
			     print_row, t, &t->after);

	if (n < 0)
		return error_set(err, "the journal cannot be read");
	t->left -= (uint64_t)n;
	if (command_print(&t->out))
		return error_set(err, "nobody takes the output");
	buf_clear(&t->out);
	return t->after > before && t->left;
}

static int
print_all(struct tailing *t, struct error *err)
{
	int more;

	do {
		more = print_batch(t, err);
		if (!more && t->follow && t->left) {
			poll(NULL, 0, FOLLOW_MS);
			more = 1;
		}
	} while (more > 0);
	return more;
}

/* `from` is the first event wanted, `after` the one before it. */
static int
begin_at(struct tailing *t, int64_t from, struct error *err)
{
	int64_t last = 0;

	if (journal_read_last_sequence(t->reader, &last))
		return error_set(err, "the journal cannot be read");
	if (from == VALUE_NOW)
		t->after = last;
	else if (from == NEWEST)
		t->after = last > NEWEST_SHOWN ? last - NEWEST_SHOWN : 0;
	else
		t->after = from == VALUE_OLDEST ? 0 : from - 1;
	return 0;
}

static int
read_options(struct tailing *t, const struct command_call *call, int64_t *from,
	     struct error *err)
{
	const char *text = call->values[OPTION_FROM];
	unsigned limit;

	if (command_number(call, OPTION_LIMIT, UINT32_MAX, 0, &limit, err))
		return error_context(err, "tail");
	t->left = limit ? limit : UINT64_MAX;
	t->follow = call->values[OPTION_FOLLOW] != NULL;
	t->filter.type = call->values[OPTION_TYPE];
	t->filter.subject = call->values[OPTION_SUBJECT];
	*from = NEWEST;
	if (text && value_position(text, from, err))
		return error_context(err, "tail: --from");
	return 0;
}

static void
tailing_fini(struct tailing *t)
{
	journal_reader_close(&t->reader);
	buf_fini(&t->out);
}

int
command_tail(const struct command_call *call)
{
	struct tailing t CLEANUP(tailing_fini) = { 0 };
	struct error err = { 0 };
	int64_t from;

	if (read_options(&t, call, &from, &err))
		return command_fail(COMMAND_USAGE, NULL, &err);
	t.reader = reading_open(call, &err);
	if (!t.reader || begin_at(&t, from, &err)) {
		error_context(&err, "tail");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	if (print_all(&t, &err))
		return command_fail(COMMAND_FAILED, NULL, &err);
	return COMMAND_OK;
}
