/* SPDX-License-Identifier: Apache-2.0 */
/* A service on libmatapalo that does each command once, however often it
 * comes: what it answered is in a file by the event's id. It can be killed at
 * any moment. tests/scenario/57-languages.py has the same in Python and in
 * shell.
 *
 *     answerer URL GROUP TYPE DIRECTORY LOG
 *
 * A line of the log: language, event, redelivered, attempt. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/matapalo.h"

#define WAIT_MS 1000
#define BATCH 3
#define TEXT_MAX 600

struct answerer {
	const char *directory;
	int log;
};

static void
note(const struct answerer *a, const struct matapalo_event *e, const char *id)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "c %s %s %u\n", id,
			 matapalo_event_flags(e) & MATAPALO_REDELIVERED
				 ? "true" : "false",
			 matapalo_event_attempt(e));

	if (write(a->log, line, (size_t)n) != n)
		_exit(2);
}

/* Whoever links first has done it; the others answer what he did. */
static int
do_once(const char *path, const char *answer)
{
	char own[TEXT_MAX];
	FILE *f;
	int rc;

	snprintf(own, sizeof(own), "%s.c%d", path, (int)getpid());
	f = fopen(own, "we");
	if (!f)
		return -1;
	fputs(answer, f);
	if (fclose(f) != 0)
		return -1;
	rc = link(own, path);
	unlink(own);
	return rc == 0 || errno == EEXIST ? 0 : -1;
}

static enum matapalo_code
answer(const struct answerer *a, struct matapalo_consumer *c,
       const struct matapalo_event *e, struct matapalo_error *err)
{
	const char *id = matapalo_event_attribute(e, "id");
	const char *n = matapalo_event_string(e, "/data/request/json/n");
	char path[TEXT_MAX - 32], text[TEXT_MAX] = "", token[MATAPALO_ID_SIZE];
	FILE *f;

	note(a, e, id);
	matapalo_id(token);
	snprintf(path, sizeof(path), "%s/%s", a->directory, id);
	snprintf(text, sizeof(text), "{\"status\": 200, \"json\": {\"n\": "
		 "\"%s\", \"token\": \"%s\"}}", n ? n : "", token);
	f = do_once(path, text) == 0 ? fopen(path, "re") : NULL;
	if (!f || !fgets(text, sizeof(text), f))
		_exit(3);
	fclose(f);
	return matapalo_reply(c, e, text, NULL, err);
}

static void
serve(const struct answerer *a, struct matapalo_consumer *c,
      const struct matapalo_event *e)
{
	struct matapalo_error err;

	if (answer(a, c, e, &err) == MATAPALO_OK)
		(void)matapalo_ack(c, matapalo_event_sequence(e));
	else
		(void)matapalo_nak(c, matapalo_event_sequence(e), 10,
				   err.text);
}

int
main(int argc, char **argv)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct matapalo_consumer *c;
	struct matapalo_batch *b;
	struct matapalo_error err;
	struct answerer a;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc != 6)
		return 2;
	o.url = argv[1];
	o.group = argv[2];
	o.type = argv[3];
	a.directory = argv[4];
	a.log = open(argv[5], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (a.log < 0 || matapalo_consumer_open(&o, &c, &err)) {
		fprintf(stderr, "answerer: %s\n", err.text);
		return 1;
	}
	for (;;) {
		if (matapalo_fetch(c, BATCH, WAIT_MS, &b, &err))
			continue;
		for (size_t i = 0; i < matapalo_batch_count(b); i++)
			serve(&a, c, matapalo_batch_event(b, i));
		matapalo_batch_free(&b);
	}
}
