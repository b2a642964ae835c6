/* SPDX-License-Identifier: Apache-2.0 */
/* The Python example against a live bus; skipped (77) without pynng. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/bus.h"
#include "tests/bus/fixture.h"

#define SKIPPED 77

static const struct digest_key key = { { 9 } };
static const struct bus_source source = { "//test/matapalo", &key };

static const char *
from_environment(const char *name, const char *fallback)
{
	const char *value = getenv(name);

	return value && value[0] ? value : fallback;
}

static int
run(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct delivery {
	pthread_mutex_t lock;
	int status;
};

static void
on_reply(void *arg, struct bus_reply *reply)
{
	struct delivery *d = arg;

	pthread_mutex_lock(&d->lock);
	d->status = reply->status;
	pthread_mutex_unlock(&d->lock);
	bus_reply_free(&reply);
}

/* The order's data is not what the example expects, which is fine: a body
 * that is missing is an order without lines. */
START_TEST(example_answers_a_command)
{
	struct fixture fx;
	struct delivery d = { PTHREAD_MUTEX_INITIALIZER, 0 };
	struct error err = { 0 };
	struct id id = id_make();
	char url[128], script[4096], hex[ID_TEXT_SIZE];
	const char *const urls[] = { url, NULL };
	const struct bus_options o = { .urls = urls, .source = &source };
	const char *argv[] = { from_environment("PYTHON3", "python3"), script,
			       url, "orders", "shop.order.place.v1", "2",
			       NULL };
	struct bus *bus;

	fixture_open(&fx);
	snprintf(url, sizeof(url), "ipc://%s/bus.ipc", fx.dir);
	snprintf(script, sizeof(script),
		 "%s/examples/python-consumer/consumer.py",
		 from_environment("TOP_SRCDIR", "."));
	bus = bus_open(fx.journal, &o, &err);
	ck_assert_msg(bus != NULL, "%s", err.text);
	ck_assert_int_eq(bus_expect(bus, &id, on_reply, &d), 0);
	fixture_append(&fx, "shop.order.place.v1", "POST /orders", NULL,
		       id_text(&id, hex));
	ck_assert_int_eq(run(argv), 0);
	ck_assert_int_eq(d.status, 201);
	bus_close(&bus);
	fixture_close(&fx);
}
END_TEST

int
main(void)
{
	const char *const has_pynng[] = { from_environment("PYTHON3",
							   "python3"),
					  "-c", "import pynng", NULL };
	Suite *s;
	TCase *t;
	SRunner *r;
	int failed;

	if (!freopen("/dev/null", "w", stderr) || run(has_pynng) != 0)
		return SKIPPED;
	s = suite_create("bus/python");
	t = tcase_create("python");
	r = srunner_create(s);
	tcase_add_test(t, example_answers_a_command);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
