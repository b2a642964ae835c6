/* SPDX-License-Identifier: Apache-2.0 */
/* Promises B1 to B4 with real consumer processes that are killed, in their
 * short form; PROOF_EVENTS and PROOF_KILL_MS make it long (make bus-long). */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/bus/live.h"
#include "tests/bus/worker.h"

#define KEYS 97
#define CHUNK 10000
#define WORKERS 8
#define GRACE_MS 1000
#define LEASE_MS 2000
#define LINE_MAX 256

struct crew {
	const char *group;
	enum worker_mode mode;
	unsigned work_us;
	pid_t pid;
};

struct event {
	unsigned count, attempts;
	bool unflagged;		/* a duplicate that does not say so */
	uint64_t last_ms, worst_ms;
	char id[40];
};

struct tally {
	struct event *events;
	size_t duplicates, inversions, unflagged, missing, other_id;
	int64_t newest[KEYS];
	uint64_t worst_ms;	/* between two deliveries */
};

static struct crew crew[WORKERS];
static size_t crew_count;
static unsigned kills;

static unsigned
parameter(const char *name, unsigned fallback)
{
	const char *value = getenv(name);

	return value ? (unsigned)atoi(value) : fallback;
}

/* ---- processes ---- */

static void
log_path(const char *group, char out[256])
{
	snprintf(out, 256, "%s/log-%s", live_fixture.dir, group);
}

static void
hire(struct crew *c)
{
	char work[16], mode[16], path[256];

	log_path(c->group, path);
	snprintf(work, sizeof(work), "%u", c->work_us);
	snprintf(mode, sizeof(mode), "%d", c->mode);
	c->pid = fork();
	ck_assert_int_ge(c->pid, 0);
	if (c->pid == 0) {
		execl("/proc/self/exe", "worker", live_ipc, c->group, path,
		      work, mode, (char *)NULL);
		_exit(127);
	}
}

static void
engage(const char *group, enum worker_mode mode, unsigned work_us)
{
	crew[crew_count] = (struct crew){ group, mode, work_us, 0 };
	hire(&crew[crew_count++]);
}

/* Whoever died by itself is replaced; whoever hangs is, too, and stays. */
static void
replace(void)
{
	for (size_t i = 0; i < crew_count; i++) {
		int status;
		pid_t pid = waitpid(crew[i].pid, &status,
				    WNOHANG | WUNTRACED);

		if (pid <= 0)
			continue;
		ck_assert_msg(WIFSTOPPED(status) ||
			      (WIFSIGNALED(status) &&
			       WTERMSIG(status) == SIGKILL),
			      "a consumer ended with status %x", status);
		kills++;
		if (WIFSTOPPED(status)) {
			engage(crew[i].group, crew[i].mode, crew[i].work_us);
			continue;
		}
		hire(&crew[i]);
	}
}

static void
dismiss(void)
{
	for (size_t i = 0; i < crew_count; i++)
		kill(crew[i].pid, SIGKILL);
	for (size_t i = 0; i < crew_count; i++)
		waitpid(crew[i].pid, NULL, 0);
	crew_count = 0;
}

/* ---- the bus ---- */

static void
publish(unsigned events, int keys)
{
	for (unsigned n = 0; n < events; n += CHUNK)
		fixture_append_many(&live_fixture, "a.v1",
				    (int)(events - n < CHUNK ? events - n
							     : CHUNK), keys);
}

/* The sum of a member over all groups. */
static int64_t
sum(struct bus_client *c, const char *member)
{
	struct cJSON *p = must(c, "{\"op\":\"groups\"}");
	int64_t n = 0;

	for (const struct cJSON *g = payload_at(p, "/groups/0"); g;
	     g = payload_next(g))
		n += payload_int(payload_member(g, member), 0);
	payload_free(&p);
	return n;
}

static void
run_to_the_end(struct bus_client *c, unsigned kill_ms)
{
	uint64_t next = clock_mono_ms() + kill_ms;
	unsigned seed = 20260105;

	while (sum(c, "lag_events") > 0) {
		usleep(20000);
		if (kill_ms && clock_mono_ms() >= next) {
			kill(crew[rand_r(&seed) % crew_count].pid, SIGKILL);
			next = clock_mono_ms() + kill_ms;
		}
		replace();
	}
	dismiss();
}

/* ---- what the logs say ---- */

static void
count_line(struct tally *t, const char *line, unsigned events)
{
	char key[32], id[40];
	unsigned attempt, again;
	uint64_t at_ms;
	int64_t s;
	struct event *e;
	int k;

	ck_assert_int_eq(sscanf(line, "%" SCNd64 " %u %u %31s %39s %" SCNu64,
				&s, &attempt, &again, key, id, &at_ms), 6);
	ck_assert(s >= 1 && s <= (int64_t)events);
	e = &t->events[s];
	k = atoi(key + 1);
	ck_assert(k >= 0 && k < KEYS);
	if (e->count++ == 0)
		snprintf(e->id, sizeof(e->id), "%s", id);
	else if (!again)
		t->unflagged++;
	t->other_id += strcmp(e->id, id) != 0;
	t->duplicates += e->count > 1;
	if (e->count > 1 && at_ms - e->last_ms > t->worst_ms)
		t->worst_ms = at_ms - e->last_ms;
	e->last_ms = at_ms;
	e->attempts = attempt > e->attempts ? attempt : e->attempts;
	if (again)
		return;
	t->inversions += s < t->newest[k];
	t->newest[k] = s;
}

static void
tally_log(struct tally *t, const char *group, unsigned events)
{
	char path[256], line[LINE_MAX];
	FILE *f;

	*t = (struct tally){ .events = calloc(events + 1,
					      sizeof(*t->events)) };
	log_path(group, path);
	f = fopen(path, "r");
	ck_assert(f && t->events);
	while (fgets(line, sizeof(line), f))
		count_line(t, line, events);
	fclose(f);
	for (unsigned s = 1; s <= events; s++)
		t->missing += t->events[s].count == 0;
	printf("group %s: %u events, %zu never processed, %zu duplicates "
	       "(%zu without their flag, %zu with another id), %zu inversions, "
	       "at most %" PRIu64 " ms to the next delivery; %u kills in all\n",
	       group, events, t->missing, t->duplicates, t->unflagged,
	       t->other_id, t->inversions, t->worst_ms, kills);
	fflush(stdout);
}

static void
tally_check(struct tally *t, unsigned window)
{
	ck_assert_uint_eq(t->missing, 0);
	ck_assert_uint_eq(t->unflagged, 0);
	ck_assert_uint_eq(t->other_id, 0);
	ck_assert_uint_eq(t->inversions, 0);
	ck_assert_uint_le(t->duplicates, (size_t)window * kills);
}

static void
make_group(struct bus_client *c, const char *name, const char *settings)
{
	char request[512];

	snprintf(request, sizeof(request), "{\"op\":\"group_create\","
		 "\"group\":\"%s\",%s}", name, settings);
	say(c, request);
}

/* ---- B1, B2 ---- */

START_TEST(killed_consumers_lose_nothing)
{
	static const char *const names[] = { "a", "b", "c" };
	unsigned events = parameter("PROOF_EVENTS", 20000);
	struct bus_client *c = connect_to(live_ipc);
	struct tally t;

	kills = 0;
	publish(events, KEYS);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		make_group(c, names[i], "\"backoff_ms\":[10],"
			   "\"max_attempts\":1000000");
	for (size_t i = 0; i < WORKERS; i++)
		engage(names[i % 3], WORKER_WORKS, 100);
	run_to_the_end(c, parameter("PROOF_KILL_MS", 150));
	ck_assert_uint_gt(kills, 3);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		tally_log(&t, names[i], events);
		tally_check(&t, WORKER_BATCH);
		free(t.events);
	}
	bus_client_close(&c);
}
END_TEST

/* ---- B3 ---- */

static const struct {
	enum worker_mode mode;
	unsigned deadline_ms;
} ends[] = {
	{ WORKER_DIES, GRACE_MS },
	{ WORKER_HANGS, LEASE_MS },
};

START_TEST(unanswered_comes_in_time)
{
	unsigned events = 250;
	struct bus_client *c = connect_to(live_ipc);
	struct tally t;

	kills = 0;
	publish(events, 0);	/* a key would wait for its other events */
	make_group(c, "g", "\"backoff_ms\":[10],\"lease_ms\":2000");
	engage("g", ends[_i].mode, 0);
	run_to_the_end(c, 0);
	ck_assert_uint_eq(kills, 2);
	tally_log(&t, "g", events);
	tally_check(&t, WORKER_BATCH);
	ck_assert_uint_ge(t.duplicates, 2);
	ck_assert_uint_le(t.worst_ms, ends[_i].deadline_ms + 1000);
	free(t.events);
	bus_client_close(&c);
}
END_TEST

/* ---- B4 ---- */

START_TEST(poison_dies_after_exactly_n)
{
	unsigned events = 4000, attempts = 3, poison = 0;
	struct bus_client *c = connect_to(live_ipc);
	struct tally t;

	kills = 0;
	publish(events, KEYS);
	make_group(c, "g", "\"backoff_ms\":[10],\"max_attempts\":3");
	for (int i = 0; i < 3; i++)
		engage("g", WORKER_POISONED, 0);
	run_to_the_end(c, 0);
	tally_log(&t, "g", events);
	for (unsigned s = 1; s <= events; s++) {
		bool bad = s % WORKER_REFUSES == 0 || s % WORKER_KILLED_BY == 0;

		poison += bad;
		if (bad)
			ck_assert_uint_eq(t.events[s].count, attempts);
	}
	ck_assert_uint_eq(t.missing, 0);
	ck_assert_uint_eq(t.inversions, 0);
	ck_assert_int_eq(sum(c, "dead"), poison);
	ck_assert_uint_eq(kills, attempts * (events / WORKER_KILLED_BY));
	free(t.events);
	bus_client_close(&c);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("bus/proof");
	TCase *t = tcase_create("proof");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 3600);
	tcase_add_test(t, killed_consumers_lose_nothing);
	tcase_add_loop_test(t, unanswered_comes_in_time, 0, ARRAY_SIZE(ends));
	tcase_add_test(t, poison_dies_after_exactly_n);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[0], "worker") == 0)
		return worker_main(argv);
	return live_main(argc, argv, suite);
}
