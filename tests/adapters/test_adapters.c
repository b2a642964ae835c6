/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter host and the stdout adapter, on a real journal and bus. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "adapters/host.h"
#include "base/clock.h"
#include "payload/payload.h"
#include "tests/adapters/script.h"

#define PATIENCE_MS 20000

static const struct digest_key key = { .bytes = { 7 } };
static const struct bus_source source = { "urn:matapalo:test", &key };
static char dir[64], path[96], file[96];
static struct journal *journal;
static struct bus *bus;
static struct adapter_host *host;

static void
open_all(const struct adapter_ops *(*find)(const char *kind))
{
	static const char *const no_urls[] = { NULL };
	const struct journal_options jo = { .path = path,
					    .commit_delay_ms = 2,
					    .queue_capacity = 64 };
	const struct bus_options bo = { .urls = no_urls, .source = &source };
	struct error err = { 0 };

	journal = journal_open(&jo, &err);
	ck_assert_msg(journal != NULL, "%s", err.text);
	bus = bus_open(journal, &bo, &err);
	ck_assert_msg(bus != NULL, "%s", err.text);
	host = adapter_host_start_with(bus, find, &err);
	ck_assert_msg(host != NULL, "%s", err.text);
}

static void
close_all(void)
{
	adapter_host_stop(&host);
	bus_close(&bus);
	journal_close(&journal);
}

static void
setup(void)
{
	static const struct script_orders none;

	snprintf(dir, sizeof(dir), "/tmp/matapalo-adapters-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/journal.db", dir);
	snprintf(file, sizeof(file), "%s/events.jsonl", dir);
	script_reset(&none);
	open_all(script_find);
}

static void
teardown(void)
{
	static const char *const names[] = { "", "-wal", "-shm", "-lock",
					     ".lock", "-journal" };
	char name[128];

	close_all();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "%s%s", path, names[i]);
		unlink(name);
	}
	unlink(file);
	rmdir(dir);
}

static void
restart(const struct adapter_ops *(*find)(const char *kind))
{
	close_all();
	open_all(find);
}

static void
publish(const char *subject, const char *data)
{
	bus_publish(bus, &(struct journal_event){
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL("shop.order.placed.v1"),
		.source = SPAN_LITERAL("urn:test"),
		.subject = span_of(subject),
		.data = span_of(data),
	}, NULL, NULL);
}

static const struct adapter_config script = {
	.name = "one", .kind = "script", .type_filter = "shop.*",
};

/* Between two looks at a condition; nothing depends on its length. */
static void
pause_between_looks(void)
{
	const struct timespec ts = { .tv_nsec = 5000000 };

	nanosleep(&ts, NULL);
}

static struct cJSON *
status(void)
{
	struct buf text = { 0 };
	struct cJSON *tree;
	struct json j;

	json_init(&j, &text);
	adapter_host_status(host, &j);
	tree = payload_parse(buf_span(&text), NULL);
	ck_assert_ptr_nonnull(tree);
	buf_fini(&text);
	return tree;
}

static int64_t
number(const char *pointer)
{
	struct cJSON *t = status();
	int64_t n = payload_int(payload_at(t, pointer), -1);

	payload_free(&t);
	return n;
}

static void
assert_text(const char *pointer, const char *expected)
{
	struct cJSON *t = status();

	ck_assert_str_eq(payload_string(payload_at(t, pointer), ""), expected);
	payload_free(&t);
}

static void
await_number(const char *pointer, int64_t n)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;

	while (number(pointer) != n && clock_mono_ms() < until)
		pause_between_looks();
	ck_assert_int_eq(number(pointer), n);
}

/* ---- the host ---- */

START_TEST(delivers_in_order_and_once)
{
	adapter_host_set(host, &script, 1);
	publish("a", "1");
	publish("b", "2");
	publish("c", "3");
	script_await("a b c");
	await_number("/0/delivered", 3);
	restart(script_find);
	adapter_host_set(host, &script, 1);
	publish("d", "4");
	script_await("a b c d");
}
END_TEST

START_TEST(takes_only_its_types)
{
	struct adapter_config other = script;

	other.type_filter = "bank.*";
	adapter_host_set(host, &other, 1);
	publish("a", "1");
	bus_publish(bus, &(struct journal_event){
		.id = id_make(), .time_us = clock_wall_us(),
		.type = SPAN_LITERAL("bank.paid.v1"),
		.source = SPAN_LITERAL("urn:test"),
		.subject = SPAN_LITERAL("b"), .data = SPAN_LITERAL("1"),
	}, NULL, NULL);
	script_await("b");
}
END_TEST

START_TEST(retries_after_the_backoff)
{
	script_reset(&(struct script_orders){ .retries = 1 });
	adapter_host_set(host, &script, 1);
	publish("a", "\"retry\"");
	publish("b", "1");
	script_await("b a");
	ck_assert_int_eq(number("/0/retried"), 1);
	assert_text("/0/last_error", "not now");
}
END_TEST

struct dead {
	unsigned count;
	char reason[128], group[64];
};

static void
on_dead(void *arg, const struct journal_dead *d)
{
	struct dead *dead = arg;

	dead->count++;
	snprintf(dead->reason, sizeof(dead->reason), "%s", d->reason);
	snprintf(dead->group, sizeof(dead->group), "%s", d->group);
}

START_TEST(poison_becomes_a_dead_letter_at_once)
{
	struct journal_reader *r;
	struct dead dead = { 0 };

	adapter_host_set(host, &script, 1);
	publish("a", "\"poison\"");
	publish("b", "1");
	script_await("b");
	await_number("/0/poisoned", 1);
	restart(script_find);
	r = journal_reader_open(path, NULL);
	ck_assert_int_eq(journal_read_dead(r, NULL, on_dead, &dead), 0);
	journal_reader_close(&r);
	ck_assert_uint_eq(dead.count, 1);
	ck_assert_str_eq(dead.reason, "cannot be carried");
	ck_assert_str_eq(dead.group, "adapter.one");
}
END_TEST

/* What was not flushed was not handed over; the receiver is opened anew. */
START_TEST(a_failed_flush_delivers_again)
{
	script_reset(&(struct script_orders){ .fail_flushes = 1 });
	adapter_host_set(host, &script, 1);
	publish("a", "1");
	script_await("a");
	ck_assert_uint_eq(script_count(SCRIPT_OPEN), 2);
	ck_assert_uint_eq(script_count(SCRIPT_CLOSE), 1);
	ck_assert_uint_eq(script_count(SCRIPT_DELIVER), 2);
	ck_assert_int_eq(number("/0/flush_failures"), 1);
	await_number("/0/delivered", 1);
}
END_TEST

START_TEST(an_absent_receiver_costs_no_attempts)
{
	script_reset(&(struct script_orders){ .fail_opens = 2 });
	publish("a", "1");
	adapter_host_set(host, &script, 1);
	script_await("a");
	ck_assert_uint_eq(script_count(SCRIPT_OPEN), 3);
	ck_assert_uint_eq(script_count(SCRIPT_DELIVER), 1);
	assert_text("/0/state", "running");
}
END_TEST

START_TEST(stops_while_it_waits)
{
	uint64_t start;

	script_reset(&(struct script_orders){ .fail_opens = 1000 });
	adapter_host_set(host, &script, 1);
	script_await_count(SCRIPT_OPEN, 4);	/* the pause is long now */
	assert_text("/0/state", "connecting");
	start = clock_mono_ms();
	adapter_host_set(host, NULL, 0);
	ck_assert_uint_lt(clock_mono_ms() - start, 1000);
	ck_assert_int_eq(number("/0/delivered"), -1);
}
END_TEST

START_TEST(a_reload_leaves_the_unchanged_alone)
{
	static const struct adapter_setting setting = { "k", "v" };
	struct adapter_config both[2] = { script, script };

	both[1].name = "two";
	adapter_host_set(host, both, 1);
	script_await_count(SCRIPT_OPEN, 1);
	adapter_host_set(host, both, 2);
	script_await_count(SCRIPT_OPEN, 2);
	ck_assert_uint_eq(script_count(SCRIPT_CLOSE), 0);
	both[0].settings = &setting;
	both[0].setting_count = 1;
	adapter_host_set(host, both, 2);
	script_await_count(SCRIPT_OPEN, 3);
	ck_assert_uint_eq(script_count(SCRIPT_CLOSE), 1);
	adapter_host_set(host, both + 1, 1);
	ck_assert_uint_eq(script_count(SCRIPT_CLOSE), 2);
	ck_assert_uint_eq(script_count(SCRIPT_OPEN), 3);
	assert_text("/0/name", "two");
}
END_TEST

START_TEST(what_cannot_run_says_why)
{
	static const struct adapter_setting two[2] = { { "a", "" },
						       { "b", "" } };
	struct adapter_config configs[2] = { script, script };

	configs[0].kind = "pigeon";
	configs[1].name = "two";
	configs[1].settings = two;
	configs[1].setting_count = 2;
	adapter_host_set(host, configs, 2);
	assert_text("/0/state", "refused");
	assert_text("/0/last_error", "there is no adapter of kind "
		    "\"pigeon\"; there is stdout, webhook");
	assert_text("/1/state", "refused");
	assert_text("/1/last_error", "one setting at most");
}
END_TEST

/* ---- stdout ---- */

START_TEST(the_table_knows_stdout)
{
	ck_assert_ptr_nonnull(adapter_find("stdout"));
	ck_assert_str_eq(adapter_find("stdout")->kind, "stdout");
	ck_assert_ptr_null(adapter_find("stdin"));
	ck_assert_ptr_null(adapter_find(NULL));
}
END_TEST

static const struct {
	const char *key, *value, *error;
} settings[] = {
	{ "file", "/tmp/x", NULL },
	{ "file", "", "adapter a (stdout): \"file\" is empty: name a file, or "
	  "leave it out for the standard output" },
	{ "File", "x", "adapter a (stdout) has no setting \"File\"; it knows: "
	  "file, data" },
	{ "colour", "red", "adapter a (stdout) has no setting \"colour\"; it "
	  "knows: file, data" },
	{ "data", "inline", NULL },
	{ "data", "reference", NULL },
	{ "data", "ref", "adapter a (stdout): \"data\" is \"inline\" or "
	  "\"reference\"" },
};

START_TEST(stdout_checks_its_settings)
{
	const struct adapter_setting s = { settings[_i].key,
					   settings[_i].value };
	const struct adapter_config c = { .name = "a", .kind = "stdout",
					  .settings = &s,
					  .setting_count = 1 };
	struct error err = { 0 };
	int r = adapter_find("stdout")->check(&c, &err);

	ck_assert_int_eq(r, settings[_i].error ? -1 : 0);
	if (settings[_i].error)
		ck_assert_str_eq(err.text, settings[_i].error);
}
END_TEST

static struct adapter_config
to_file(struct adapter_setting *s)
{
	*s = (struct adapter_setting){ "file", file };
	return (struct adapter_config){ .name = "log", .kind = "stdout",
					.type_filter = "shop.*",
					.settings = s, .setting_count = 1 };
}

/* "subject subject ..." of the lines; "?" for one that is no event. */
static void
read_lines(char *out, size_t size)
{
	char line[4096];
	FILE *f = fopen(file, "r");

	*out = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		struct cJSON *t = payload_parse(span_of(line), NULL);
		size_t len = strlen(out);

		snprintf(out + len, size - len, "%s%s", len ? " " : "",
			 payload_string(payload_member(t, "subject"), "?"));
		payload_free(&t);
	}
	if (f)
		fclose(f);
}

static void
await_lines(const char *expected)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	char got[1024];

	read_lines(got, sizeof(got));
	while (strcmp(got, expected) != 0 && clock_mono_ms() < until) {
		pause_between_looks();
		read_lines(got, sizeof(got));
	}
	ck_assert_str_eq(got, expected);
}

START_TEST(stdout_appends_to_a_file)
{
	struct adapter_setting s;
	struct adapter_config c = to_file(&s);

	restart(adapter_find);
	adapter_host_set(host, &c, 1);
	publish("a", "{\"x\":[1,\"\\n\"]}");
	publish("b", "2");
	await_lines("a b");
	await_number("/0/delivered", 2);
	restart(adapter_find);
	adapter_host_set(host, &c, 1);
	publish("c", "3");
	await_lines("a b c");
}
END_TEST

START_TEST(stdout_ends_a_torn_line_first)
{
	struct adapter_setting s;
	struct adapter_config c = to_file(&s);
	FILE *f = fopen(file, "w");

	fputs("{\"specversion\":\"1.0\",\"sub", f);
	fclose(f);
	restart(adapter_find);
	adapter_host_set(host, &c, 1);
	publish("a", "1");
	await_lines("? a");
}
END_TEST

START_TEST(stdout_says_when_it_cannot_open)
{
	struct adapter_setting s = { "file", "/nowhere/at/all" };
	struct adapter_config c = { .name = "log", .kind = "stdout",
				    .settings = &s, .setting_count = 1 };
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	struct error err = { 0 };

	ck_assert_ptr_null(adapter_find("stdout")->open(&c, &err));
	ck_assert_str_eq(err.text, "cannot append to /nowhere/at/all: No such "
			 "file or directory");
	restart(adapter_find);
	adapter_host_set(host, &c, 1);
	publish("a", "1");
	while (clock_mono_ms() < until) {
		struct cJSON *t = status();
		bool said = strstr(payload_string(payload_at(
				t, "/0/last_error"), ""), "nowhere");

		payload_free(&t);
		if (said)
			break;
		pause_between_looks();
	}
	ck_assert_uint_lt(clock_mono_ms(), until);
	assert_text("/0/state", "connecting");
}
END_TEST

static int saved_stdout;

static int
stdout_to_pipe(void)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	fflush(stdout);
	saved_stdout = dup(STDOUT_FILENO);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	return fds[0];
}

static void
stdout_back(void)
{
	dup2(saved_stdout, STDOUT_FILENO);
	close(saved_stdout);
}

START_TEST(stdout_writes_lines_to_a_pipe)
{
	struct adapter_config c = { .name = "out", .kind = "stdout",
				    .type_filter = "shop.*" };
	int fd = stdout_to_pipe();
	FILE *f = fdopen(fd, "r");
	char line[4096];
	struct cJSON *t;

	restart(adapter_find);
	adapter_host_set(host, &c, 1);
	publish("a", "{\"x\":1}");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	adapter_host_set(host, NULL, 0);
	stdout_back();
	fclose(f);
	t = payload_parse(span_of(line), NULL);
	ck_assert_str_eq(payload_string(payload_member(t, "specversion"), ""),
			 "1.0");
	ck_assert_str_eq(payload_string(payload_member(t, "type"), ""),
			 "shop.order.placed.v1");
	ck_assert_int_eq(payload_int(payload_at(t, "/data/x"), 0), 1);
	payload_free(&t);
}
END_TEST

/* A closed pipe is an error of the receiver, not the end of the process. */
START_TEST(stdout_survives_a_closed_pipe)
{
	struct adapter_config c = { .name = "out", .kind = "stdout",
				    .type_filter = "shop.*" };
	struct cJSON *t;

	close(stdout_to_pipe());
	restart(adapter_find);
	adapter_host_set(host, &c, 1);
	publish("a", "1");
	await_number("/0/flush_failures", 1);
	t = status();
	stdout_back();
	ck_assert_str_eq(payload_string(payload_at(t, "/0/last_error"), ""),
			 "the reader has closed the pipe");
	ck_assert_int_eq(payload_int(payload_at(t, "/0/delivered"), -1), 0);
	payload_free(&t);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *s = suite_create("adapters");
	TCase *h = tcase_create("host"), *o = tcase_create("stdout");

	tcase_set_timeout(h, 60);
	tcase_add_checked_fixture(h, setup, teardown);
	tcase_add_test(h, delivers_in_order_and_once);
	tcase_add_test(h, takes_only_its_types);
	tcase_add_test(h, retries_after_the_backoff);
	tcase_add_test(h, poison_becomes_a_dead_letter_at_once);
	tcase_add_test(h, a_failed_flush_delivers_again);
	tcase_add_test(h, an_absent_receiver_costs_no_attempts);
	tcase_add_test(h, stops_while_it_waits);
	tcase_add_test(h, a_reload_leaves_the_unchanged_alone);
	tcase_add_test(h, what_cannot_run_says_why);
	suite_add_tcase(s, h);
	tcase_set_timeout(o, 60);
	tcase_add_checked_fixture(o, setup, teardown);
	tcase_add_test(o, the_table_knows_stdout);
	tcase_add_loop_test(o, stdout_checks_its_settings, 0,
			    ARRAY_SIZE(settings));
	tcase_add_test(o, stdout_appends_to_a_file);
	tcase_add_test(o, stdout_ends_a_torn_line_first);
	tcase_add_test(o, stdout_says_when_it_cannot_open);
	tcase_add_test(o, stdout_writes_lines_to_a_pipe);
	tcase_add_test(o, stdout_survives_a_closed_pipe);
	suite_add_tcase(s, o);
	return s;
}

int
main(void)
{
	SRunner *r;
	int failed;

	digest_start();
	r = srunner_create(make_suite());
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
