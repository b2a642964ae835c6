/* SPDX-License-Identifier: Apache-2.0 */
/* consume, tail and dlq against a real journal and bus in this process. The
 * consumers are children, forked before the first thread is started. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "bus/bus.h"
#include "console/console.h"
#include "console/file.h"
#include "payload/payload.h"
#include "tests/console/capture.h"
#include "tests/console/scratch.h"

#define CHILDREN 2
#define WORDS 24
#define WAIT_MS 20000

struct child {
	pid_t pid;
	int gate;		  /* closing it lets the child go */
	char words[SCRATCH_PATH]; /* the file with its arguments */
};

static char dir[SCRATCH_PATH], url[SCRATCH_PATH + 8];
static struct child children[CHILDREN];
static struct journal *journal;
static struct bus *bus;
static struct digest_key key;
static const struct bus_source source = { "urn:test", &key };

/* ---- children ---- */

static int
run_nothing(const struct console_settings *s)
{
	(void)s;
	return 0;
}

static const struct console_program program = { .run = run_nothing };

/* Words are lines of a file, written once the test knows them. */
static NO_RETURN void
child_main(const char *path, int gate)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	char *argv[WORDS] = { NULL }, *save = NULL, byte;
	int argc = 0;

	if (read(gate, &byte, 1) != 1 || file_read(path, 65536, &text, NULL))
		_exit(99);
	buf_addc(&text, '\0');
	for (char *w = strtok_r(text.data, "\n", &save); w && argc < WORDS - 1;
	     w = strtok_r(NULL, "\n", &save))
		argv[argc++] = w;
	fflush(NULL);
	_exit(console_main(argc, argv, &program));
}

static void
prepare(struct child *c, int number)
{
	char name[16];
	int both[2];

	snprintf(name, sizeof(name), "words-%d", number);
	scratch_path(c->words, dir, name);
	ck_assert_int_eq(pipe2(both, O_CLOEXEC), 0);
	c->pid = fork();
	ck_assert_int_ge(c->pid, 0);
	if (c->pid == 0) {
		close(both[1]);
		child_main(c->words, both[0]);
	}
	close(both[0]);
	c->gate = both[1];
}

/* consume --bus URL and these words. */
static void
consume(struct child *c, const char *const *words)
{
	struct buf text CLEANUP(buf_fini) = { 0 };

	buf_printf(&text, "matapalo\nconsume\n--bus\n%s\n", url);
	for (; *words; words++)
		buf_printf(&text, "%s\n", *words);
	scratch_write(c->words, buf_str(&text));
	/* Closing would not do: the other child has the gate open, too. */
	ck_assert_int_eq(write(c->gate, "x", 1), 1);
	close(c->gate);
	c->gate = -1;
}

static bool
has_ended(struct child *c, int *status)
{
	if (waitpid(c->pid, status, WNOHANG) != c->pid)
		return false;
	c->pid = 0;
	return true;
}

static int
wait_end(struct child *c)
{
	uint64_t until = clock_mono_ms() + WAIT_MS;
	int status = 0;

	while (!has_ended(c, &status)) {
		ck_assert_msg(clock_mono_ms() < until, "consume does not end");
		poll(NULL, 0, 10);
	}
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- the other side ---- */

static void
open_bus(void)
{
	const char *const urls[] = { url, NULL };
	char path[SCRATCH_PATH];
	struct journal_options jo = {
		.path = scratch_path(path, dir, "journal.db"),
		.commit_delay_ms = 1,
		.queue_capacity = 1024,
	};
	const struct bus_options bo = { .urls = urls, .source = &source };
	struct error err = { 0 };

	journal = journal_open(&jo, &err);
	ck_assert_msg(journal != NULL, "%s", err.text);
	bus = bus_open(journal, &bo, &err);
	ck_assert_msg(bus != NULL, "%s", err.text);
}

static void
close_bus(void)
{
	bus_close(&bus);
	journal_close(&journal);
}

static void
setup(void)
{
	char path[SCRATCH_PATH];

	digest_start();
	scratch_make(dir);
	snprintf(url, sizeof(url), "ipc://%s",
		 scratch_path(path, dir, "bus.ipc"));
	for (int i = 0; i < CHILDREN; i++)
		prepare(&children[i], i);
	ck_assert_int_eq(
		digest_key_load(&key, scratch_path(path, dir, "key"), NULL), 0);
	open_bus();
}

static void
teardown(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		if (children[i].gate >= 0)
			close(children[i].gate);
		if (children[i].pid) {
			kill(children[i].pid, SIGKILL);
			waitpid(children[i].pid, NULL, 0);
		}
	}
	close_bus();
	scratch_remove(dir);
}

static void
publish(const char *type, const char *subject, const char *data,
	const struct id *correlation)
{
	char text[ID_TEXT_SIZE] = "";
	struct journal_event e = {
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = span_of(type),
		.source = span_of("urn:test"),
		.subject = span_of(subject),
		.data = span_of(data),
	};

	if (correlation)
		e.correlation = span_of(id_text(correlation, text));
	bus_publish(bus, &e, NULL, NULL);
}

static void
publish_orders(int count)
{
	char data[64];

	for (int i = 1; i <= count; i++) {
		snprintf(data, sizeof(data), "{\"n\":%d}", i);
		publish("shop.order.placed.v1", "order", data, NULL);
	}
}

/* A member of the only group, as bus_status has it. */
static int64_t
group_number(const char *member)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct json j;

	json_init(&j, &text);
	bus_status(bus, &j);
	tree = payload_parse(buf_span(&text), NULL);
	return payload_int(
		payload_member(payload_at(tree, "/groups/0"), member), -1);
}

static void
await_group(const char *member, int64_t want)
{
	uint64_t until = clock_mono_ms() + WAIT_MS;

	while (group_number(member) != want) {
		ck_assert_msg(clock_mono_ms() < until, "%s never was %d",
			      member, (int)want);
		poll(NULL, 0, 10);
	}
}

static void
await_file(const char *name)
{
	uint64_t until = clock_mono_ms() + WAIT_MS;
	char path[SCRATCH_PATH];

	while (access(scratch_path(path, dir, name), F_OK)) {
		ck_assert_msg(clock_mono_ms() < until, "no %s", name);
		poll(NULL, 0, 10);
	}
}

static void
check_file(const char *name, const char *want)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	char path[SCRATCH_PATH];

	scratch_path(path, dir, name);
	ck_assert_int_eq(file_read(path, 1 << 20, &text, NULL), 0);
	ck_assert_str_eq(buf_str(&text), want);
}

/* A command line with the scratch directory in the place of @. */
static const char *
command(char out[1024], const char *text)
{
	struct buf b CLEANUP(buf_fini) = { 0 };

	for (; *text; text++) {
		if (*text == '@')
			buf_adds(&b, dir);
		else
			buf_addc(&b, *text);
	}
	ck_assert_uint_lt(b.len, 1024);
	snprintf(out, 1024, "%s", buf_str(&b));
	return out;
}

/* ---- events ---- */

START_TEST(test_ack)
{
	char exec[1024];
	const char *const words[] = {
		"--group",
		"g",
		"--exec",
		command(exec, "cat >>@/events; echo $CE_TYPE $CE_SUBJECT "
			      "$CE_ATTEMPT $CE_SPECVERSION >>@/vars"),
		"--limit",
		"3",
		NULL,
	};
	struct buf text CLEANUP(buf_fini) = { 0 };
	char path[SCRATCH_PATH];
	struct span rest;

	publish_orders(3);
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	check_file("vars", "shop.order.placed.v1 order 1 1.0\n"
			   "shop.order.placed.v1 order 1 1.0\n"
			   "shop.order.placed.v1 order 1 1.0\n");
	scratch_path(path, dir, "events");
	ck_assert_int_eq(file_read(path, 1 << 20, &text, NULL), 0);
	rest = buf_span(&text);
	for (int i = 1; i <= 3; i++) {
		const char *end = memchr(rest.at, '\n', rest.len);
		struct span line = { rest.at, (size_t)(end - rest.at) };
		struct cJSON *e = payload_parse(line, NULL);

		ck_assert_ptr_nonnull(e);
		ck_assert_int_eq(payload_int(payload_at(e, "/data/n"), 0), i);
		payload_free(&e);
		rest.at = end + 1;
		rest.len -= line.len + 1;
	}
	ck_assert_int_eq(group_number("lag_events"), 0);
}
END_TEST

START_TEST(test_batch_and_idle)
{
	char exec[1024];
	const char *const words[] = {
		"--group",     "g",
		"--exec",      command(exec, "cat >>@/events"),
		"--batch",     "10",
		"--type",      "shop.*",
		"--idle-exit", "300ms",
		NULL,
	};

	publish("other.v1", "x", "{}", NULL);
	publish_orders(25);
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	ck_assert_int_eq(group_number("lag_events"), 0);
	ck_assert_int_eq(group_number("dead"), 0);
}
END_TEST

START_TEST(test_nak_comes_again)
{
	char exec[1024];
	const char *const words[] = {
		"--group",
		"g",
		"--exec",
		command(exec, "echo $CE_ATTEMPT >>@/tries; test $CE_ATTEMPT "
			      "-gt 1"),
		"--limit",
		"2",
		NULL,
	};

	publish_orders(1);
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	check_file("tries", "1\n2\n");
	ck_assert_int_eq(group_number("lag_events"), 0);
}
END_TEST

/* A consumer that dies before its ack loses nothing. */
START_TEST(test_killed)
{
	char first[1024], second[1024];
	const char *const dies[] = {
		"--group", "g",
		"--exec",  command(first, "touch @/began; exec sleep 5"),
		NULL,
	};
	const char *const lives[] = {
		"--group", "g",
		"--exec",  command(second, "echo $CE_ATTEMPT >@/attempt"),
		"--limit", "1",
		NULL,
	};

	publish_orders(1);
	consume(&children[0], dies);
	await_file("began");
	kill(children[0].pid, SIGKILL);
	waitpid(children[0].pid, NULL, 0);
	children[0].pid = 0;
	consume(&children[1], lives);
	ck_assert_int_eq(wait_end(&children[1]), 0);
	check_file("attempt", "2\n");
}
END_TEST

/* SIGTERM: the running handler ends, its event is settled, no more begins. */
START_TEST(test_graceful)
{
	char exec[1024];
	const char *const words[] = {
		"--group",
		"g",
		"--batch",
		"5",
		"--exec",
		command(exec, "echo x >>@/began; sleep 0.5; echo x >>@/ended"),
		NULL,
	};

	publish_orders(3);
	consume(&children[0], words);
	await_file("began");
	kill(children[0].pid, SIGTERM);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	check_file("began", "x\n");
	check_file("ended", "x\n");
	ck_assert_int_eq(group_number("lag_events"), 2);
}
END_TEST

/* The connection comes back by itself, on the same durable group. */
START_TEST(test_bus_restarts)
{
	char exec[1024];
	const char *const words[] = {
		"--group", "g",
		"--exec",  command(exec, "touch @/seen-$CE_SUBJECT"),
		"--limit", "2",
		NULL,
	};

	publish("a.v1", "one", "{}", NULL);
	consume(&children[0], words);
	await_file("seen-one");
	await_group("lag_events", 0);
	close_bus();
	open_bus();
	publish("a.v1", "two", "{}", NULL);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	await_file("seen-two");
}
END_TEST

START_TEST(test_refused)
{
	const char *const first[] = { "--group", "g",	   "--exec",
				      "true",	 "--type", "a.*",
				      "--limit", "1",	   NULL };
	const char *const second[] = { "--group", "g",	 "--exec", "true",
				       "--type",  "b.*", NULL };

	publish("a.v1", "s", "{}", NULL);
	consume(&children[0], first);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	consume(&children[1], second);
	ck_assert_int_eq(wait_end(&children[1]), 1);
}
END_TEST

/* ---- commands ---- */

static void
deliver(void *arg, struct bus_reply *reply)
{
	__atomic_store_n((struct bus_reply **)arg, reply, __ATOMIC_RELEASE);
}

struct reply_row {
	const char *exec, *option;
	int status;
	const char *body;
};

static const struct reply_row replies[] = {
	{ "echo '{\"status\":201,\"json\":{\"id\":7},\"headers\":"
	  "{\"location\":\"/orders/7\"}}'",
	  "--batch=1", 201, "{\"id\":7}" },
	{ "echo '{\"status\":422,\"body\":\"no stock\"}'", "--batch=1", 422,
	  "no stock" },
	{ "echo '{\"status\":409}'", "--reply", 409, "" },
	{ "printf 'plain words'", "--reply", 200, "plain words" },
	{ "printf '{\"id\":12345678901234567890}'", "--reply", 200,
	  "{\"id\":12345678901234567890}" },
	{ "true", "--reply", 204, "" },
};

START_TEST(test_reply)
{
	const struct reply_row *row = &replies[_i];
	const char *const words[] = { "--group",   "orders",  "--exec",
				      row->exec,   "--limit", "1",
				      row->option, NULL };
	struct bus_reply *reply = NULL;
	struct id exchange = id_make();

	ck_assert_int_eq(bus_expect(bus, &exchange, deliver, &reply), 0);
	publish("shop.order.place.v1", "order",
		"{\"request\":{\"method\":\"POST\"}}", &exchange);
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	ck_assert_ptr_nonnull(__atomic_load_n(&reply, __ATOMIC_ACQUIRE));
	ck_assert_int_eq(reply->status, row->status);
	ck_assert_uint_eq(reply->body.len, strlen(row->body));
	ck_assert(!memcmp(reply->body.at, row->body, reply->body.len));
	bus_reply_free(&reply);
}
END_TEST

static const char *const bad_replies[] = {
	"{\"status\":99}",
	"{\"status\":700,\"body\":\"x\"}",
	"{\"status\":200,\"headers\":{\"a b\":\"c\"}}",
	"{\"status\":200,\"body\":\"x\",\"json\":1}",
};

/* The handler has done its work: it must not run again for a reply that can
 * never be sent. */
START_TEST(test_bad_reply)
{
	char text[512], exec[1024];
	const char *const words[] = {
		"--group",     "orders",
		"--exec",      exec,
		"--type",      "shop.*",
		"--idle-exit", "300ms",
		NULL,
	};
	struct bus_reply *reply = NULL;
	struct id exchange = id_make();

	snprintf(text, sizeof(text), "echo $CE_ATTEMPT >>@/tries; echo '%s'",
		 bad_replies[_i]);
	command(exec, text);
	ck_assert_int_eq(bus_expect(bus, &exchange, deliver, &reply), 0);
	publish("shop.order.place.v1", "order",
		"{\"request\":{\"method\":\"POST\"}}", &exchange);
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	check_file("tries", "1\n");
	ck_assert_int_eq(group_number("dead"), 1);
	ck_assert_int_eq(group_number("retrying"), 0);
	ck_assert_ptr_nonnull(__atomic_load_n(&reply, __ATOMIC_ACQUIRE));
	ck_assert_int_eq(reply->status, 502);
	bus_reply_free(&reply);
}
END_TEST

/* Output of a handler for an event that is no command stays its own. */
START_TEST(test_no_reply_to_events)
{
	const char *const words[] = {
		"--group", "g", "--exec", "echo '{\"status\":200}'",
		"--limit", "1", NULL,
	};

	publish_orders(1);
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	ck_assert_int_eq(group_number("lag_events"), 0);
	ck_assert_int_eq(group_number("retrying"), 0);
}
END_TEST

/* ---- dead letters and tail ---- */

static void
run_here(struct capture_output *o, const char *const *words)
{
	const char *argv[WORDS] = { "matapalo" };
	size_t n = 1;

	for (; *words; words++)
		argv[n++] = *words;
	argv[n++] = "--data";
	argv[n++] = dir;
	argv[n] = NULL;
	capture_run(o, argv);
}

/* The bus writes its books a moment after it has told the consumer. */
static void
await_output(const char *const *words, const char *want)
{
	uint64_t until = clock_mono_ms() + WAIT_MS;
	bool found = false;

	while (!found) {
		struct capture_output o CLEANUP(capture_output_fini) = { 0 };

		run_here(&o, words);
		ck_assert_msg(o.status == 0, "%s", buf_str(&o.err));
		found = strstr(buf_str(&o.out), want) != NULL;
		ck_assert_msg(found || clock_mono_ms() < until, "%s",
			      buf_str(&o.out));
	}
}

START_TEST(test_dead_letters)
{
	char exec[1024];
	const char *const fails[] = {
		"--group",
		"g",
		"--exec",
		"echo no stock >&2; exit 3",
		"--max-attempts",
		"1",
		"--limit",
		"1",
		NULL,
	};
	const char *const works[] = {
		"--group", "g",
		"--exec",  command(exec, "echo $CE_ATTEMPT >@/again"),
		"--limit", "1",
		NULL,
	};
	const char *const list[] = { "dlq", "list", NULL };
	const char *const json[] = { "dlq", "list", "--json", NULL };
	const char *const show[] = { "dlq", "show", "1", NULL };
	const char *const none[] = { "dlq", "show", "9", NULL };
	const char *const redrive[] = { "dlq", "redrive", "all", "--group",
					"g",   "--bus",	  url,	 NULL };
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };

	publish_orders(1);
	consume(&children[0], fails);
	ck_assert_int_eq(wait_end(&children[0]), 0);
	await_group("dead", 1);
	await_output(list, "exit status 3: no stock");
	await_output(json, "\"reason\":\"exit status 3: no stock\"}\n");
	await_output(show, "\"data\":{\"n\":1}}}\n");
	run_here(&o, none);
	ck_assert_int_eq(o.status, 2);
	ck_assert_str_eq(buf_str(&o.err),
			 "matapalo: dlq: there is no dead letter 9\n");
	await_output(redrive, "1 redriven of group g\n");
	consume(&children[1], works);
	ck_assert_int_eq(wait_end(&children[1]), 0);
	await_file("again");
	await_group("dead", 0);
}
END_TEST

struct tail_row {
	const char *words[6];
	int lines;
	const char *first; /* in the first line */
};

static const struct tail_row tails[] = {
	{ { "tail" }, 10, "\"data\":{\"n\":2}" },
	{ { "tail", "--from", "oldest" }, 12, "\"type\":\"a.v1\"" },
	{ { "tail", "--from", "5" }, 8, "\"data\":{\"n\":4}" },
	{ { "tail", "--from", "now" }, 0, "" },
	{ { "tail", "--from=oldest", "--limit=2" }, 2, "\"type\":\"a.v1\"" },
	{ { "tail", "--from=oldest", "--type", "shop.*" },
	  11,
	  "\"data\":{\"n\":1}" },
	{ { "tail", "--from=oldest", "--subject", "s" },
	  1,
	  "\"type\":\"a.v1\"" },
};

START_TEST(test_tail)
{
	const struct tail_row *row = &tails[_i];
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };
	const char *words[7] = { NULL };
	uint64_t until = clock_mono_ms() + WAIT_MS;
	int lines = 0;

	memcpy(words, row->words, sizeof(row->words));
	publish("a.v1", "s", "{}", NULL);
	publish_orders(11);
	while (journal_last_sequence(journal) < 12) {
		ck_assert(clock_mono_ms() < until);
		poll(NULL, 0, 5);
	}
	run_here(&o, words);
	ck_assert_msg(o.status == 0, "%s", buf_str(&o.err));
	for (const char *c = buf_str(&o.out); *c; c++)
		lines += *c == '\n';
	ck_assert_int_eq(lines, row->lines);
	if (lines)
		*strchr(o.out.data, '\n') = '\0';
	ck_assert_ptr_nonnull(strstr(buf_str(&o.out), row->first));
}
END_TEST

/* No process, no bus: the file is enough. */
START_TEST(test_tail_without_process)
{
	struct capture_output o CLEANUP(capture_output_fini) = { 0 };
	const char *const words[] = { "tail", NULL };

	publish_orders(2);
	close_bus();
	run_here(&o, words);
	ck_assert_msg(o.status == 0, "%s", buf_str(&o.err));
	ck_assert_ptr_nonnull(strstr(buf_str(&o.out), "\"data\":{\"n\":2}"));
}
END_TEST

START_TEST(test_no_bus)
{
	const char *const words[] = { "--group", "g", "--exec", "true", NULL };

	close_bus();
	consume(&children[0], words);
	ck_assert_int_eq(wait_end(&children[0]), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("consume");
	TCase *tc = tcase_create("consume");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_ack);
	tcase_add_test(tc, test_batch_and_idle);
	tcase_add_test(tc, test_nak_comes_again);
	tcase_add_test(tc, test_killed);
	tcase_add_test(tc, test_graceful);
	tcase_add_test(tc, test_bus_restarts);
	tcase_add_test(tc, test_refused);
	tcase_add_loop_test(tc, test_reply, 0, ARRAY_SIZE(replies));
	tcase_add_loop_test(tc, test_bad_reply, 0, ARRAY_SIZE(bad_replies));
	tcase_add_test(tc, test_no_reply_to_events);
	tcase_add_test(tc, test_dead_letters);
	tcase_add_loop_test(tc, test_tail, 0, ARRAY_SIZE(tails));
	tcase_add_test(tc, test_tail_without_process);
	tcase_add_test(tc, test_no_bus);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
