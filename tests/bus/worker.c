/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer process that can be killed: it notes each event it processes in
 * a file of its group before it answers, and misbehaves as it is told.
 *
 * worker URL GROUP LOG WORK_US MODE */
#include "tests/bus/worker.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "bus/client.h"
#include "payload/payload.h"

#define CALL_MS 20000
#define WAIT_MS 2000

struct worker {
	struct bus_client *client;
	const char *group;
	int log;
	unsigned work_us;
	enum worker_mode mode;
	struct buf acks, naks;
};

/* One write to a file that is appended to: lines of many processes do not
 * mix, and their order is that of the processing. */
static int
note(struct worker *w, const struct cJSON *item, int64_t sequence)
{
	const struct cJSON *event = payload_member(item, "event");
	bool again = payload_bool(payload_member(item, "redelivered"), false);
	char line[256];
	int n;

	n = snprintf(line, sizeof(line), "%" PRId64 " %d %d %s %s %" PRIu64
		     "\n", sequence,
		     (int)payload_int(payload_member(item, "attempt"), 0),
		     again,
		     payload_string(payload_member(event, "partitionkey"),
				    "k0"),
		     payload_string(payload_member(event, "id"), "-"),
		     clock_mono_ms());
	return write(w->log, line, (size_t)n) == n ? 0 : -1;
}

static void
add(struct buf *list, int64_t sequence)
{
	buf_printf(list, "%s%" PRId64, list->len ? "," : "", sequence);
}

static void
process(struct worker *w, const struct cJSON *item)
{
	int64_t s = payload_int(payload_member(item, "sequence"), 0);
	bool first = payload_int(payload_member(item, "attempt"), 0) == 1;

	if (w->work_us)
		usleep(w->work_us);
	if (note(w, item, s) < 0)
		_exit(3);
	if (w->mode == WORKER_DIES && s % WORKER_DIES_EACH == 0 && first)
		raise(SIGKILL);
	if (w->mode == WORKER_HANGS && s % WORKER_DIES_EACH == 0 && first)
		raise(SIGSTOP);
	if (w->mode == WORKER_POISONED && s % WORKER_KILLED_BY == 0)
		raise(SIGKILL);
	if (w->mode == WORKER_POISONED && s % WORKER_REFUSES == 0)
		add(&w->naks, s);
	else
		add(&w->acks, s);
}

static int
turn(struct worker *w)
{
	struct buf request = { 0 }, answer = { 0 };
	struct error err = { 0 };
	struct cJSON *tree = NULL;
	int rc;

	buf_printf(&request, "{\"op\":\"fetch\",\"group\":\"%s\","
		   "\"consumer\":\"w-%d\",\"max\":%d,\"wait_ms\":%d,"
		   "\"acks\":[%s],\"naks\":[%s]}", w->group, (int)getpid(),
		   WORKER_BATCH, WAIT_MS, buf_str(&w->acks),
		   buf_str(&w->naks));
	rc = bus_client_call(w->client, buf_span(&request), CALL_MS, &answer,
			     &err);
	if (rc == 0)
		tree = payload_parse(buf_span(&answer), &err);
	buf_clear(&w->acks);
	buf_clear(&w->naks);
	for (const struct cJSON *i = payload_at(tree, "/events/0"); i;
	     i = payload_next(i))
		process(w, i);
	if (!tree)
		fprintf(stderr, "worker: %s\n", err.text);
	rc = tree ? 0 : -1;
	payload_free(&tree);
	buf_fini(&answer);
	buf_fini(&request);
	return rc;
}

int
worker_main(char **argv)
{
	struct error err = { 0 };
	struct worker w = { .group = argv[2],
			    .work_us = (unsigned)atoi(argv[4]),
			    .mode = (enum worker_mode)atoi(argv[5]) };

	w.client = bus_client_open(argv[1], NULL, 10000, &err);
	w.log = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (!w.client || w.log < 0) {
		fprintf(stderr, "worker: %s\n", err.text);
		return 2;
	}
	while (turn(&w) == 0)
		;
	return 1;
}
