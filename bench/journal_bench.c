/* SPDX-License-Identifier: Apache-2.0 */
/* What one event costs the journal's thread, checkpoints included: CPU per
 * event, user and system, by size of the event and of the transaction. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "journal/journal.h"

struct load {
	size_t events, per_tx, bytes;
};

struct event_item {
	struct journal_item item;	/* first */
	struct journal_event event;
};

/* Of the writer's thread: read there, in `done`. */
struct times {
	double wall_us, user_us, system_us;
};

static char body[1 << 16];
static struct times newest;	/* the writer's; read after its end */

static int
bench_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct event_item *e = (struct event_item *)item;

	return journal_tx_append(tx, &e->event, NULL);
}

static struct times
now(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (struct times){
		(double)clock_mono_us(),
		(double)u.ru_utime.tv_sec * 1e6 + (double)u.ru_utime.tv_usec,
		(double)u.ru_stime.tv_sec * 1e6 + (double)u.ru_stime.tv_usec,
	};
}

static void
bench_done(struct journal_item *item, enum journal_status status)
{
	if (item->urgent)
		newest = now();
	if (status != JOURNAL_COMMITTED) {
		fputs("an item failed\n", stderr);
		exit(1);
	}
}

static const struct journal_item_ops ops = { bench_apply, bench_done };

static bool
count_row(void *arg, const struct journal_row *row)
{
	(void)row;
	++*(size_t *)arg;
	return true;
}

/* What a subscriber pays: every event with its checksum verified, and few
 * commands among many exchanges. */
static void
read_back(const char *path, const char *type)
{
	const struct journal_filter f = { .type = type };
	struct error err = {0};
	struct journal_reader *r = journal_reader_open(path, &err);
	int64_t after = 0, last = 0, before = -1;
	uint64_t start = clock_mono_us();
	size_t n = 0;

	if (!r || journal_read_last_sequence(r, &last) < 0)
		exit(1);
	while (after < last && after != before) {
		before = after;
		if (journal_read(r, after, &f, 200, 100000, count_row, &n,
				 &after) < 0)
			exit(1);
	}
	printf("%8zu events of type %s read in batches of 200: %.2f ms\n", n,
	       type, (double)(clock_mono_us() - start) / 1e3);
	journal_reader_close(&r);
}

static struct event_item *
make_items(const struct load *l)
{
	struct event_item *items = calloc(l->events, sizeof(*items));
	size_t i;

	if (!items)
		exit(1);
	for (i = 0; i < l->events; i++) {
		items[i].item.ops = &ops;
		items[i].item.urgent = i % l->per_tx == l->per_tx - 1;
		items[i].event = (struct journal_event){
			.id = id_make(),
			.time_us = clock_wall_us(),
			.type = i % 1000 == 999
				? SPAN_LITERAL("shop.order.place.v1")
				: SPAN_LITERAL("matapalo.exchange.v1"),
			.source = SPAN_LITERAL("/bench"),
			.subject = SPAN_LITERAL("/products/{id}"),
			.correlation = SPAN_LITERAL(
				"0190f1c2-7d4e-7abc-8def-0123456789ab"),
			.data = { body, l->bytes },
		};
	}
	return items;
}

/* The ring holds about one transaction; with one event a transaction the
 * producer waits for each. */
static void
push_all(struct journal *j, struct event_item *items, const struct load *l)
{
	struct journal_queue *q = journal_queue_new(j);
	size_t i;

	if (!q)
		exit(1);
	for (i = 0; i < l->events; i++) {
		while (!journal_push(q, &items[i].item))
			usleep(500);
		if (l->per_tx == 1)
			while (journal_last_sequence(j) <= (int64_t)i)
				usleep(50);
	}
}

static void
run(const char *path, const struct load *l)
{
	struct journal_options o = { .path = path,
		.queue_capacity = l->per_tx > 256 ? 512 : 256,
				.commit_delay_ms = 1000 };
	struct event_item *items = make_items(l);
	double n = (double)l->events;
	struct error err = {0};
	struct journal *j = journal_open(&o, &err);

	if (!j) {
		fprintf(stderr, "journal_bench: %s\n", err.text);
		exit(1);
	}
	push_all(j, items, l);
	journal_close(&j);
	printf("%8zu events of %5zu bytes, %4zu a transaction: "
	       "user %5.2f us, system %5.2f us, together %5.2f us an event\n",
	       l->events, l->bytes, l->per_tx, newest.user_us / n,
	       newest.system_us / n,
	       (newest.user_us + newest.system_us) / n);
	free(items);
}

int
main(int argc, char **argv)
{
	static const struct load loads[] = {
		{ 200000, 256, 1500 }, { 200000, 512, 1500 },
		{ 2000, 1, 1500 }, { 200000, 256, 600 }, { 50000, 256, 8000 },
	};
	char path[256];
	size_t i;

	digest_start();
	memset(body, 'x', sizeof(body));
	for (i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		if (argc > 2 && (size_t)atoi(argv[2]) != i)
			continue;
		snprintf(path, sizeof(path), "%s/journal-bench-%zu.db",
			 argc > 1 ? argv[1] : ".", i);
		run(path, &loads[i]);
		if (i == 0) {
			read_back(path, "*");
			read_back(path, "shop.order.place.v1");
		}
		unlink(path);
		snprintf(path, sizeof(path), "%s/journal-bench-%zu.db.lock",
			 argc > 1 ? argv[1] : ".", i);
		unlink(path);
	}
	return 0;
}
