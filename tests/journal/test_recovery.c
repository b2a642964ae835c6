/* SPDX-License-Identifier: Apache-2.0 */
/* After an unclean stop the journal is ready soon, and its log is bounded
 * though somebody reads without a pause. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/journal/fixture.h"

#define BATCH 256
#define WAL_MOST (64ll << 20)
#define READY_MOST_MS 5000

static bool
next_row(void *arg, const struct journal_row *row)
{
	(void)arg;
	(void)row;
	return true;
}

static void *
read_for_ever(void *arg)
{
	struct journal_reader *r = fixture_reader();
	int64_t at;

	(void)arg;
	for (;;)
		for (at = 0; journal_read(r, at, NULL, 1000, 1000, next_row,
					  NULL, &at) > 0;)
			;
	return NULL;
}

static void
append_batch(struct journal *j, struct probe *p, struct span data)
{
	int i;

	for (i = 0; i < BATCH; i++) {
		probe_init(&p[i], "matapalo.exchange.v1");
		p[i].event.data = data;
		p[i].item.urgent = i == BATCH - 1;
		journal_post(j, &p[i].item);
	}
	for (i = 0; i < BATCH; i++)
		probe_await(&p[i]);
}

static void
child_main(int pipe, int events)
{
	static struct probe p[BATCH];
	static char data[800];
	struct journal *j = fixture_open();
	pthread_t thread;
	int64_t n;

	memset(data, 'd', sizeof(data));
	append_batch(j, p, (struct span){ data, sizeof(data) });
	pthread_create(&thread, NULL, read_for_ever, NULL);
	for (n = BATCH; n < events; n += BATCH)
		append_batch(j, p, (struct span){ data, sizeof(data) });
	if (write(pipe, &n, sizeof(n)) != sizeof(n))
		_exit(1);
	for (;;)
		append_batch(j, p, (struct span){ data, sizeof(data) });
}

static int64_t
wal_bytes(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s-wal", fixture_path);
	return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* Appends until the child says that it is enough, and kills it with a log of
 * some size; returns the largest size seen. */
static int64_t
fill_and_kill(int events)
{
	int64_t n = 0, now, most = 0;
	int fd[2], status;
	pid_t child;

	ck_assert_int_eq(pipe(fd), 0);
	child = fork();
	if (child == 0)
		child_main(fd[1], events);
	close(fd[1]);
	ck_assert_int_eq(read(fd[0], &n, sizeof(n)), sizeof(n));
	/* The file never shrinks while it runs: its size is the most. */
	while ((now = wal_bytes()) < 1 << 20)
		usleep(100);
	most = now;
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_ge(n, events);
	close(fd[0]);
	return most;
}

START_TEST(is_ready_soon)
{
	const char *text = getenv("RECOVERY_EVENTS");
	int events = text ? atoi(text) : 100000;
	int64_t most = fill_and_kill(events);
	struct journal *j;
	uint64_t ms;

	ck_assert_int_le(most, WAL_MOST);
	ms = clock_mono_ms();
	j = fixture_open();
	ms = clock_mono_ms() - ms;
	ck_assert_int_ge(journal_last_sequence(j), events);
	ck_assert_int_gt(append_event(j, "a.v1", "", NULL), events);
	printf("recovery: %d events, log of %lld MiB, ready after %llu ms\n",
	       events, (long long)most >> 20, (unsigned long long)ms);
	ck_assert_uint_lt(ms, READY_MOST_MS);
	journal_close(&j);
}
END_TEST

TCase *
case_recovery(void)
{
	TCase *t = tcase_create("recovery");

	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_set_timeout(t, 3600);
	tcase_add_test(t, is_ready_soon);
	return t;
}
