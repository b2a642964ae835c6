/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at random moments: what was acknowledged is there. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/journal/fixture.h"

#define KILLS 20
#define WRITERS 3

struct ack {
	int64_t sequence;
	int64_t number;		/* the event's subject */
};

struct child_thread {
	struct journal *j;
	int pipe, index;
};

/* Appends for ever; every acknowledged event goes into the pipe. */
static void *
append_for_ever(void *arg)
{
	const struct child_thread *t = arg;
	struct ack a = { .number = t->index };
	static char pad[3000];
	char subject[32];
	struct probe p;

	for (;; a.number += WRITERS) {
		snprintf(subject, sizeof(subject), "%lld",
			 (long long)a.number);
		probe_init(&p, "a.v1");
		p.event.subject = span_of(subject);
		p.event.data = (struct span){ pad, (size_t)a.number % 3000 };
		if (probe_run(t->j, &p) != JOURNAL_COMMITTED)
			_exit(1);
		a.sequence = p.sequence;
		if (write(t->pipe, &a, sizeof(a)) != (ssize_t)sizeof(a))
			_exit(1);
	}
	return NULL;
}

static void
child_main(int pipe)
{
	struct child_thread t[WRITERS];
	struct journal *j = fixture_open();
	pthread_t thread;
	int i;

	for (i = 0; i < WRITERS; i++) {
		t[i] = (struct child_thread){ j, pipe, i };
		pthread_create(&thread, NULL, append_for_ever, &t[i]);
	}
	pthread_join(thread, NULL);
}

/* Kills the child after a random number of acknowledgements and a random
 * moment more, and returns all it acknowledged. */
static size_t
run_and_kill(struct ack *acks, size_t max)
{
	size_t n = 0, until = 1 + (size_t)rand() % 150;
	volatile long spin = rand() % 1000000;
	int fd[2], status;
	pid_t child;

	ck_assert_int_eq(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		close(fd[0]);
		child_main(fd[1]);
	}
	close(fd[1]);
	while (n < until && read(fd[0], &acks[n], sizeof(*acks)) > 0)
		n++;
	while (spin > 0)
		spin--;
	kill(child, SIGKILL);
	while (n < max && read(fd[0], &acks[n], sizeof(*acks)) > 0)
		n++;
	ck_assert_uint_lt(n, max);
	close(fd[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	return n;
}

static void
all_acknowledged(struct journal_reader *r, const struct ack *acks, size_t n)
{
	char number[32];
	size_t i;

	for (i = 0; i < n; i++) {
		struct seen s = {0};

		ck_assert_int_eq(journal_read_one(r, acks[i].sequence,
						  seen_row, &s), 1);
		snprintf(number, sizeof(number), "%lld",
			 (long long)acks[i].number);
		ck_assert_str_eq(s.subject, number);
	}
}

START_TEST(nothing_acknowledged_is_lost)
{
	static struct ack acks[100000];
	struct journal_reader *r;
	struct journal *j;
	int round, seed = (int)getpid();
	size_t n;

	printf("crash: seed %d\n", seed);
	srand((unsigned)seed);
	for (round = 0; round < KILLS; round++) {
		n = run_and_kill(acks, 100000);
		/* A reader alone, while the -shm is what the dead process
		 * left; every other time the writer comes first. */
		j = round % 2 ? fixture_open() : NULL;
		r = fixture_reader();
		all_acknowledged(r, acks, n);
		journal_reader_close(&r);
		ck_assert_str_eq(sql_text("PRAGMA integrity_check"), "ok");
		journal_close(&j);
	}
}
END_TEST

TCase *
case_crash(void)
{
	TCase *t = tcase_create("crash");

	tcase_set_timeout(t, 180);
	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, nothing_acknowledged_is_lost);
	return t;
}
