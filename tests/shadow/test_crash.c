/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 in the middle of shadowing: one verdict an exchange, exact sums. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "payload/payload.h"
#include "tests/outbound/tiny_server.h"
#include "tests/shadow/cases.h"
#include "tests/shadow/stage.h"

#define ROUNDS 6
#define EXCHANGES 60

static struct stage stage;
static struct tiny_server *candidate;
static const char *child_journal, *child_url;
static struct shadow_rule rules[2] = {
	{ .name = "http", .target = "catalog", .timeout_ms = 5000 },
	{ .name = "bus", .target = "orders",
	  .command = "shop.order.place.v1", .timeout_ms = 60000 },
};

static bool
answer(void *arg, struct tiny_server *s, int fd, const struct tiny_request *r)
{
	(void)arg;
	(void)s;
	(void)r;
	tiny_reply(fd, 200, "Content-Type: application/json\r\n", "{}");
	return true;
}

static void
setup(void)
{
	candidate = tiny_start(NULL, answer, NULL);
	rules[0].url = tiny_url(candidate);
	stage_make(&stage);
}

static void
teardown(void)
{
	stage_remove(&stage);
	tiny_stop(&candidate);
}

/* The child, a process of its own: a whole stage that shadows and answers
 * some of its commands until it is killed. A byte tells the parent of each
 * exchange that is on disk. */
START_TEST(child)
{
	struct stage s = { 0 };
	const char *before = "";

	snprintf(s.path, sizeof(s.path), "%s", child_journal);
	rules[0].url = child_url;
	stage_open(&s);
	stage_shadow(&s, rules, 2);
	for (int i = 0; i < EXCHANGES; i++) {
		const char *id = stage_publish(&s, &(struct stage_exchange){
			.rule = i % 2 ? "bus" : "http" });

		/* Some right now, before their command: nobody's. */
		if (i % 8 == 1)
			stage_reply(&s, id, 200, "{}");
		if (i % 4 == 3)
			stage_reply(&s, before, 200, "{}");
		if (i % 4 == 1)
			before = id;
		if (write(STDOUT_FILENO, "x", 1) != 1)
			break;
	}
	pause();
}
END_TEST

TCase *
case_crash_child(const char *journal, const char *url)
{
	TCase *t = tcase_create("crash-child");

	child_journal = journal;
	child_url = url;
	tcase_add_test(t, child);
	return t;
}

static void
kill_after(unsigned published)
{
	int fds[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execl("/proc/self/exe", "test_shadow", "crash-child",
		      stage.path, tiny_url(candidate), (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (published-- > 0)
		ck_assert_int_eq(read(fds[0], &c, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
}

struct ids {
	size_t count;
	char at[ROUNDS * EXCHANGES][ID_TEXT_SIZE];
	bool bus[ROUNDS * EXCHANGES];
};

static bool
on_exchange(void *arg, const struct journal_row *row)
{
	struct ids *ids = arg;
	struct cJSON *t = payload_parse(row->data, NULL);

	snprintf(ids->at[ids->count], ID_TEXT_SIZE, "%.*s",
		 (int)row->correlation.len, row->correlation.at);
	ids->bus[ids->count++] = strcmp(payload_string(
		payload_at(t, "/route/rule"), ""), "bus") == 0;
	payload_free(&t);
	return true;
}

static void
read_exchanges(struct ids *ids)
{
	const struct journal_filter f = { .type = "matapalo.exchange.v1" };
	struct journal_reader *r = journal_reader_open(stage.path, NULL);
	int64_t scanned;

	ids->count = 0;
	journal_read(r, 0, &f, 100000, 100000, on_exchange, ids, &scanned);
	journal_reader_close(&r);
}

START_TEST(one_verdict_an_exchange_whatever_happens)
{
	static struct ids ids;
	size_t http = 0;

	for (unsigned i = 0; i < ROUNDS; i++)
		kill_after(5 + 9 * i);
	stage_open(&stage);
	stage_shadow(&stage, rules, 2);
	read_exchanges(&ids);
	ck_assert_uint_gt(ids.count, 60);
	/* Every command is answered at last, some of them again. */
	for (size_t i = 0; i < ids.count; i++)
		if (!ids.bus[i])
			http++;
	for (size_t i = 0; i < ids.count; i++) {
		struct shadow_verdict v;

		if (!ids.bus[i])
			ck_assert(stage_verdict(&stage, ids.at[i], 20000, &v));
	}
	stage_await_count(&stage, "shop.order.place.v1", ids.count - http);
	for (size_t i = 0; i < ids.count; i++)
		if (ids.bus[i])
			stage_reply(&stage, ids.at[i], 200, "{}");
	stage_await_count(&stage, SHADOW_VERDICT_TYPE, ids.count);
	for (size_t i = 0; i < ids.count; i++)
		ck_assert_uint_eq(stage_verdicts_of(&stage, ids.at[i]), 1);
	stage_await_number(&stage, "/waiting_for_replies", 0);
	stage_await_number(&stage, "/rules/0/samples",
			   stage_number(&stage, "/rules/0/matches"));
	ck_assert_int_eq(stage_number(&stage, "/rules/0/samples") +
			 stage_number(&stage, "/rules/1/samples"),
			 (int64_t)ids.count);
}
END_TEST

TCase *
case_crash(void)
{
	TCase *t = tcase_create("crash");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_verdict_an_exchange_whatever_happens);
	return t;
}
