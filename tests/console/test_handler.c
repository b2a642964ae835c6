/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of `consume`: every way in which a shell command may end. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "console/handler.h"

#define PLENTY 1000000u

static struct handler_stop stop;

static void
setup(void)
{
	ck_assert_int_eq(handler_stop_open(&stop, NULL), 0);
}

static void
teardown(void)
{
	handler_stop_close(&stop);
}

static void
step(struct handler *h)
{
	struct pollfd p[HANDLER_POLLS + 1];

	handler_polls(h, p);
	p[HANDLER_POLLS] = (struct pollfd){ .fd = stop.fd, .events = POLLIN };
	poll(p, ARRAY_SIZE(p), HANDLER_POLL_MS);
	if (handler_stop_check(&stop) > 1)
		handler_kill(h);
	handler_step(h, p);
}

static void
run(struct handler *h, const char *command, struct span input,
    unsigned timeout_ms, size_t limit)
{
	struct error err = { 0 };

	h->output_limit_bytes = limit;
	ck_assert_msg(!handler_start(h, command, environ, &err), "%s",
		      err.text);
	handler_deadline(h, timeout_ms);
	ck_assert_int_eq(handler_give(h, input), 0);
	while (!h->has_ended)
		step(h);
}

struct row {
	const char *command, *input;
	unsigned timeout_ms;
	size_t limit;
	enum handler_end end;
	int code;
	const char *out, *reason;
};

static const struct row rows[] = {
	{ "cat", "hello", 0, PLENTY, HANDLER_EXITED, 0, "hello",
	  "exit status 0" },
	{ "true", "unread", 0, PLENTY, HANDLER_EXITED, 0, "", "exit status 0" },
	{ "exit 3", "", 0, PLENTY, HANDLER_EXITED, 3, "", "exit status 3" },
	{ "echo first >&2; echo no stock >&2; exit 1", "", 0, PLENTY,
	  HANDLER_EXITED, 1, "", "exit status 1: no stock" },
	{ "printf 'no newline' >&2; exit 1", "", 0, PLENTY, HANDLER_EXITED, 1,
	  "", "exit status 1: no newline" },
	{ "kill -9 $$", "", 0, PLENTY, HANDLER_SIGNALLED, 9, "",
	  "killed by signal 9 (Killed)" },
	{ "exec sleep 60", "", 150, PLENTY, HANDLER_TIMED_OUT, 0, "",
	  "the handler took too long" },
	{ "sleep 60 & sleep 60", "", 150, PLENTY, HANDLER_TIMED_OUT, 0, "",
	  "the handler took too long" },
	{ "yes", "", 0, 100000, HANDLER_TOO_LOUD, 0, NULL,
	  "the handler printed too much" },
	/* A grandchild that keeps the pipes is not waited for. */
	{ "sleep 1 & echo done", "", 0, PLENTY, HANDLER_EXITED, 0, "done\n",
	  "exit status 0" },
	{ "no-such-command-here 2>/dev/null", "", 0, PLENTY, HANDLER_EXITED,
	  127, "", "exit status 127" },
	/* Signals are as a shell expects them. */
	{ "trap 'echo term; exit 0' TERM; kill -TERM $$", "", 0, PLENTY,
	  HANDLER_EXITED, 0, "term\n", "exit status 0" },
	{ "yes | head -n 1", "", 0, PLENTY, HANDLER_EXITED, 0, "y\n",
	  "exit status 0" },
};

START_TEST(test_rows)
{
	const struct row *row = &rows[_i];
	struct handler r CLEANUP(handler_fini) = { 0 };
	char reason[512];

	run(&r, row->command, span_of(row->input), row->timeout_ms, row->limit);
	ck_assert_int_eq((int)r.end, (int)row->end);
	ck_assert_int_eq(r.code, row->code);
	if (row->out)
		ck_assert_str_eq(buf_str(&r.out), row->out);
	ck_assert_str_eq(handler_reason(&r, reason, sizeof(reason)),
			 row->reason);
}
END_TEST

/* More than a pipe holds, both ways at once. */
START_TEST(test_large)
{
	struct handler r CLEANUP(handler_fini) = { 0 };
	static char input[700000];

	memset(input, 'x', sizeof(input));
	run(&r, "cat", (struct span){ input, sizeof(input) }, 0, PLENTY);
	ck_assert_uint_eq(r.out.len, sizeof(input));
	ck_assert(!memcmp(r.out.data, input, sizeof(input)));
}
END_TEST

/* An early end with much input unread is no error. */
START_TEST(test_large_unread)
{
	struct handler r CLEANUP(handler_fini) = { 0 };
	static char input[700000];

	run(&r, "exec 0<&-; echo fine", (struct span){ input, sizeof(input) },
	    0, PLENTY);
	ck_assert_int_eq((int)r.end, (int)HANDLER_EXITED);
	ck_assert_str_eq(buf_str(&r.out), "fine\n");
}
END_TEST

/* The first signal lets the handler finish. */
START_TEST(test_stop_once)
{
	struct handler r CLEANUP(handler_fini) = { 0 };

	run(&r, "kill -TERM $PPID; sleep 0.3; echo done", span_of(""), 0,
	    PLENTY);
	ck_assert_str_eq(buf_str(&r.out), "done\n");
	ck_assert_uint_eq(stop.count, 1);
}
END_TEST

/* The second does not. */
START_TEST(test_stop_twice)
{
	struct handler r CLEANUP(handler_fini) = { 0 };
	uint64_t before = clock_mono_ms();

	run(&r, "kill -TERM $PPID; sleep 0.3; kill -INT $PPID; sleep 60",
	    span_of(""), 0, PLENTY);
	ck_assert_int_eq((int)r.end, (int)HANDLER_SIGNALLED);
	ck_assert_int_eq(r.code, SIGKILL);
	ck_assert_uint_lt(clock_mono_ms() - before, 10000);
}
END_TEST

/* A handler that lasts: line in, line out, and what it did not read. */
START_TEST(test_lasting)
{
	struct handler h CLEANUP(handler_fini) = { .kind = HANDLER_LASTING,
						   .output_limit_bytes =
							   PLENTY };
	char reason[512];

	ck_assert_int_eq(handler_start(&h, "read a; echo $a; read b; echo $b; "
					   "kill -9 $$",
				       environ, NULL), 0);
	ck_assert_int_eq(handler_give(&h, span_of("one\n")), 0);
	while (h.out.len < 4)
		step(&h);
	ck_assert_str_eq(buf_str(&h.out), "one\n");
	ck_assert_uint_eq(handler_unread(&h), 0);
	ck_assert_int_eq(handler_give(&h, span_of("two\nthree\n")), 0);
	while (!h.has_ended)
		step(&h);
	ck_assert_str_eq(buf_str(&h.out), "one\ntwo\n");
	ck_assert_uint_eq(handler_unread(&h), 6);
	ck_assert_str_eq(handler_reason(&h, reason, sizeof(reason)),
			 "killed by signal 9 (Killed)");
}
END_TEST

/* Nobody can work for us who has closed its output, or its group's. */
START_TEST(test_lasting_closes)
{
	struct handler h CLEANUP(handler_fini) = { .kind = HANDLER_LASTING,
						   .output_limit_bytes =
							   PLENTY };

	ck_assert_int_eq(handler_start(&h, "exec >&-; exec sleep 60", environ,
				       NULL), 0);
	while (!h.has_ended)
		step(&h);
	ck_assert_int_eq((int)h.end, (int)HANDLER_TIMED_OUT);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("handler");
	TCase *tc = tcase_create("handler");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_rows, 0, ARRAY_SIZE(rows));
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_large_unread);
	tcase_add_test(tc, test_lasting);
	tcase_add_test(tc, test_lasting_closes);
	tcase_add_test(tc, test_stop_once);
	tcase_add_test(tc, test_stop_twice);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
