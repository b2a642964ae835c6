/* SPDX-License-Identifier: Apache-2.0 */
/* Names that change, vanish and hang, by a resolver of our own. */
#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <check.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/lease.h"
#include "proxy/target.h"
#include "proxy/tls_client.h"

/* A label of 70 letters is no name: no server is asked at load. */
#define NO_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char text[] =
	"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
	"[\"http://" NO_NAME ":80\",\"http://127.0.0.1:1\"],"
	"\"resolve\":\"10ms\"}}}";

static _Atomic(const char *) answer;	/* last parts: "2", "23"; "": none */
static atomic_uint asked;
static sem_t changes, hang;

static int
lookup(const char *name, const char *port, struct rules_found *list,
       size_t max, struct error *err)
{
	const char *parts = atomic_load(&answer);
	size_t n = 0;

	ck_assert_str_eq(name, NO_NAME);
	atomic_fetch_add(&asked, 1);
	if (!parts)
		sem_wait(&hang);
	for (; parts && parts[n] && n < max; n++) {
		struct sockaddr_in *in = (void *)&list[n].addr;

		memset(&list[n], 0, sizeof(list[n]));
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		in->sin_addr.s_addr = htonl(0x7f000000u +
					    (unsigned)(parts[n] - '0'));
		list[n].addr_len = sizeof(*in);
		snprintf(list[n].text, sizeof(list[n].text), "127.0.0.%c:%s",
			 parts[n], port);
	}
	return n ? (int)n : error_set(err, "not known");
}

static void
changed(void *arg)
{
	(void)arg;
	sem_post(&changes);
}

static void
await_change(const char *parts)
{
	struct timespec ts;

	atomic_store(&answer, parts);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 20;
	ck_assert_int_eq(sem_timedwait(&changes, &ts), 0);
}

/* The addresses in force, in any order, and the one ending in `last`. */
static struct endpoint *
expect(struct rules_holder *h, unsigned count, const char *last)
{
	struct target *t = target_find(h, "legacy");
	struct endpoint *found = NULL;
	unsigned i;

	pthread_mutex_lock(&h->lock);
	ck_assert_uint_eq(t->set->count, count);
	for (i = 0; i < count; i++)
		if (!strcmp(t->set->at[i]->address.text, last))
			found = t->set->at[i];
	pthread_mutex_unlock(&h->lock);
	ck_assert_msg(found != NULL, "no %s", last);
	return found;
}

static void
holder_init(struct rules_holder *h)
{
	struct error err = { 0 };
	struct rules *r = rules_load_text("t", text, sizeof(text) - 1, &err);
	struct tls_clients *tls;

	ck_assert_msg(r != NULL, "%s", err.text);
	memset(h, 0, sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	h->workers = 1;
	tls = tls_clients_new(r, NULL, &err);
	ck_assert(tls != NULL);
	ck_assert_int_eq(rules_holder_swap(h, r, tls), 0);
	sem_init(&changes, 0, 0);
	sem_init(&hang, 0, 0);
}

START_TEST(addresses_follow_the_name)
{
	struct rules_holder h;
	struct resolver *r;
	struct endpoint *two;
	uint64_t generation;
	unsigned n;

	holder_init(&h);
	expect(&h, 1, "127.0.0.1:1");
	generation = atomic_load(&h.generation);
	atomic_store(&answer, "");
	r = resolver_start(&h, lookup, changed, NULL, NULL);
	ck_assert(r != NULL);
	await_change("2");
	two = expect(&h, 2, "127.0.0.2:80");
	expect(&h, 2, "127.0.0.1:1");
	ck_assert_uint_eq(atomic_load(&h.generation), generation + 1);
	await_change("32");
	/* The same object: what is known of its health stays known. */
	ck_assert_ptr_eq(expect(&h, 3, "127.0.0.2:80"), two);
	n = atomic_load(&asked);
	atomic_store(&answer, "");
	while (atomic_load(&asked) < n + 3)
		sched_yield();
	expect(&h, 3, "127.0.0.3:80");
	await_change("3");
	expect(&h, 2, "127.0.0.3:80");
	ck_assert_int_eq(sem_trywait(&changes), -1);
	resolver_stop(&r);
	ck_assert_ptr_null(r);
	rules_holder_fini(&h);
}
END_TEST

START_TEST(a_reload_keeps_what_it_cannot_find)
{
	struct rules_holder h;
	struct error err = { 0 };
	struct resolver *r;
	struct rules *again;

	holder_init(&h);
	r = resolver_start(&h, lookup, changed, NULL, NULL);
	await_change("4");
	resolver_stop(&r);
	again = rules_load_text("t", text, sizeof(text) - 1, &err);
	ck_assert_int_eq(rules_holder_swap(&h, again,
					   tls_clients_ref(h.tls)), 0);
	expect(&h, 2, "127.0.0.4:80");
	rules_holder_fini(&h);
}
END_TEST

START_TEST(a_hanging_name_server_holds_up_nobody)
{
	struct rules_holder h;
	struct resolver *r;
	uint64_t begun_ms;
	unsigned n = atomic_load(&asked);

	holder_init(&h);
	atomic_store(&answer, NULL);
	r = resolver_start(&h, lookup, changed, NULL, NULL);
	while (atomic_load(&asked) == n)
		sched_yield();
	begun_ms = clock_mono_ms();
	resolver_stop(&r);
	ck_assert_uint_lt(clock_mono_ms() - begun_ms, 2000);
	rules_holder_fini(&h);	/* it touches nothing more */
	sem_post(&hang);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proxy/resolver");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, addresses_follow_the_name);
	tcase_add_test(t, a_reload_keeps_what_it_cannot_find);
	tcase_add_test(t, a_hanging_name_server_holds_up_nobody);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
