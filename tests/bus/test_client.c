/* SPDX-License-Identifier: Apache-2.0 */
/* A client finds the bus again, however the bus went away. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "base/clock.h"
#include "bus/client.h"

/* Longer than any pause of a dialer that still dials. */
#define QUIET_MS 900
#define RUDE_MS 6000
#define CALL_MS 10000

static char directory[64], path[96], url[112];

static void
setup(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test-client-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/bus.sock", directory);
	snprintf(url, sizeof(url), "ipc://%s", path);
}

static void
teardown(void)
{
	(void)unlink(path);
	(void)rmdir(directory);
}

static nng_socket
polite_bus(void)
{
	nng_socket s;

	ck_assert_int_eq(nng_rep0_open(&s), 0);
	ck_assert_int_eq(nng_listen(s, url, NULL, 0), 0);
	ck_assert_int_eq(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, CALL_MS), 0);
	return s;
}

/* Answers one request. */
static void *
answer_one(void *arg)
{
	static const char text[] = "{\"ok\":true}";
	nng_socket *s = arg;
	nng_msg *m;

	if (nng_recvmsg(*s, &m, 0))
		return NULL;
	nng_msg_clear(m);
	(void)nng_msg_append(m, text, sizeof(text) - 1);
	if (nng_sendmsg(*s, m, 0))
		nng_msg_free(m);
	return NULL;
}

static int
listen_raw(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

/* A process that is killed again and again as soon as somebody connects:
 * until nobody comes any more, which is when nng's dialer has given up. It
 * spins, because the connection has to end before the first byte is sent. */
static void
rude_bus(void)
{
	uint64_t start = clock_mono_ms(), last = start, now;
	int fd = listen_raw(), peer;

	do {
		peer = accept(fd, NULL, NULL);
		now = clock_mono_ms();
		if (peer >= 0) {
			close(peer);
			last = now;
		}
	} while (now - last < QUIET_MS && now - start < RUDE_MS);
	close(fd);
	(void)unlink(path);
}

static void
nothing(void *arg)
{
	(void)arg;
}

static int
call_and_wait(struct bus_client *c, struct buf *answer, struct error *err)
{
	return bus_client_call(c, SPAN_LITERAL("{\"op\":\"x\"}"), CALL_MS,
			       answer, err);
}

static int
start_and_end(struct bus_client *c, struct buf *answer, struct error *err)
{
	struct bus_call *call = bus_call_start(
		c, SPAN_LITERAL("{\"op\":\"x\"}"), CALL_MS, nothing, NULL,
		err);

	ck_assert_ptr_nonnull(call);
	return bus_call_end(&call, answer, err);
}

static int (*const ways[])(struct bus_client *, struct buf *,
			   struct error *) = { call_and_wait, start_and_end };

START_TEST(a_bus_that_dies_in_the_handshake_is_found_again)
{
	nng_socket bus = polite_bus();
	struct buf answer = { 0 };
	struct error err = { 0 };
	struct bus_client *c = bus_client_open(url, NULL, CALL_MS, &err);
	pthread_t thread;

	ck_assert_msg(c != NULL, "%s", err.text);
	nng_close(bus);
	(void)unlink(path);
	rude_bus();
	bus = polite_bus();
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_one, &bus), 0);
	ck_assert_msg(ways[_i](c, &answer, &err) == 0, "%s", err.text);
	pthread_join(thread, NULL);
	bus_client_close(&c);
	nng_close(bus);
	buf_fini(&answer);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus/client");
	TCase *t = tcase_create("client");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 40);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t,
			    a_bus_that_dies_in_the_handshake_is_found_again,
			    0, ARRAY_SIZE(ways));
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
