/* SPDX-License-Identifier: Apache-2.0 */
/* A bus that serves on real sockets, and short ways to talk to it. */
#include "tests/bus/live.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct digest_key key = { { 9 } };
static const struct bus_source source = { "//test/matapalo", &key };

struct fixture live_fixture;
struct bus *live_bus;
char live_ipc[128];
char live_tokens[128];
_Thread_local char live_refusal[ERROR_TEXT_MAX];

void
live_start(void)
{
	const char *const urls[] = { live_ipc, "tcp://127.0.0.1:0", NULL };
	const struct bus_options o = {
		.urls = urls, .source = &source,
		.tokens = *live_tokens ? live_tokens : NULL };
	struct error err = { 0 };

	live_bus = bus_open(live_fixture.journal, &o, &err);
	ck_assert_msg(live_bus != NULL, "%s", err.text);
}

void
live_restart(void)
{
	bus_close(&live_bus);
	fixture_reopen(&live_fixture);
	live_start();
}

void
live_setup(void)
{
	fixture_open(&live_fixture);
	snprintf(live_ipc, sizeof(live_ipc), "ipc://%s/bus.ipc",
		 live_fixture.dir);
	live_start();
}

void
live_teardown(void)
{
	bus_close(&live_bus);
	fixture_close(&live_fixture);
}

struct bus_client *
connect_to(const char *url)
{
	struct error err = { 0 };
	struct bus_client *c = bus_client_open(url, NULL, 5000, &err);

	ck_assert_msg(c != NULL, "%s", err.text);
	return c;
}

struct cJSON *
ask(struct bus_client *c, const char *request)
{
	struct error err = { 0 };
	struct buf answer = { 0 };
	struct cJSON *p = NULL;

	if (bus_client_call(c, span_of(request), LIVE_CALL_MS, &answer,
			    &err) == 0)
		p = payload_parse(buf_span(&answer), &err);
	snprintf(live_refusal, sizeof(live_refusal), "%s", err.text);
	buf_fini(&answer);
	return p;
}

struct cJSON *
must(struct bus_client *c, const char *request)
{
	struct cJSON *p = ask(c, request);

	ck_assert_msg(p != NULL, "%s: %s", request, live_refusal);
	return p;
}

void
say(struct bus_client *c, const char *request)
{
	struct cJSON *p = must(c, request);

	payload_free(&p);
}

int64_t
number(const struct cJSON *p, const char *pointer)
{
	return payload_int(payload_at(p, pointer), -1);
}

const char *
text(const struct cJSON *p, const char *pointer)
{
	return payload_string(payload_at(p, pointer), "");
}

size_t
count(const struct cJSON *p, const char *pointer)
{
	size_t n = 0;

	for (const struct cJSON *i = payload_first(payload_at(p, pointer)); i;
	     i = payload_next(i))
		n++;
	return n;
}

int64_t
ask_number(struct bus_client *c, const char *request, const char *pointer)
{
	struct cJSON *p = must(c, request);
	int64_t v = number(p, pointer);

	payload_free(&p);
	return v;
}

/* ---- programs that are killed: outside of a test, without assertions ---- */

static int
tell_and_hang(bool good, const struct error *err)
{
	if (!good || write(1, "x", 1) != 1) {
		fprintf(stderr, "%s\n", err->text);
		return 1;
	}
	for (;;)
		pause();
}

static int
consume(const char *url, const char *request)
{
	struct error err = { 0 };
	struct buf answer = { 0 };
	struct bus_client *c = bus_client_open(url, NULL, 5000, &err);

	return tell_and_hang(c && bus_client_call(c, span_of(request),
						  LIVE_CALL_MS, &answer,
						  &err) == 0, &err);
}

static int
serve(const char *url, const char *path)
{
	const struct journal_options jo = { .path = path };
	const char *const urls[] = { url, NULL };
	const struct bus_options bo = { .urls = urls, .source = &source };
	struct error err = { 0 };
	struct journal *j;

	digest_start();
	j = journal_open(&jo, &err);
	return tell_and_hang(j && bus_open(j, &bo, &err), &err);
}

pid_t
live_process(const char *what, const char *argument, int *told)
{
	int fd[2];
	pid_t pid;

	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fd[1], 1);
		execl("/proc/self/exe", "test", what, live_ipc, argument,
		      (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	*told = fd[0];
	return pid;
}

int
live_main(int argc, char **argv, Suite *(*suite)(void))
{
	SRunner *r;
	int failed;

	if (argc == 4 && strcmp(argv[1], "consume") == 0)
		return consume(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	r = srunner_create(suite());
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
