/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: the file of tokens, and every operation of bus/ops.def by
 * everybody who may not. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "bus/access.h"
#include "tests/bus/live.h"

#define THREADS 15

/* ---- the file ---- */

static const struct {
	const char *text;
	int line;		/* 0: good */
	const char *why;
} files[] = {
	{ "a 0123456789abcdef all *\n", 0, NULL },
	{ "# a comment\n\n  a\t0123456789abcdef consume,read a-*,b \r\n", 0,
	  NULL },
	{ "a 0123456789abcdef publish", 0, NULL },
	{ "a blake2b-256:"
	  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 "
	  "all *", 0, NULL },
	{ "", 0, "no token in it" },
	{ "# nothing\n", 0, "no token in it" },
	{ "a 0123456789abcdef\n", 1, "write NAME TOKEN RIGHTS" },
	{ "a 0123456789abcdef all * more\n", 1, "write NAME TOKEN RIGHTS" },
	{ "\na 0123456789abcde all *\n", 2, "16 to 512" },
	{ "a 0123456789abcdef consume\n", 1, "with which groups" },
	{ "a 0123456789abcdef admin\n", 1, "with which groups" },
	{ "a 0123456789abcdef consume,write *\n", 1, "`write' is none" },
	{ "a blake2b-256:9F86 all *\n", 1, "64 hexadecimal" },
	{ "a 0123456789abcdef all =\n", 1, "behind = stands" },
	{ "a 0123456789abcdef all b,=,c\n", 1, "behind = stands" },
	{ "a 0123456789abcdef all *\na 0123456789abcdeg all *\n", 2, "twice" },
	{ "a 0123456789abcdef all *\nb 0123456789abcdef all *\n", 2, "same" },
};

START_TEST(rows_are_judged)
{
	struct span text = span_of(files[_i].text);
	struct error err = { 0 };
	struct access *a = access_parse(text, &err);

	if (!files[_i].why) {
		ck_assert_msg(a != NULL, "%s: %s", files[_i].text, err.text);
		ck_assert_uint_eq(access_count(a), 1);
	} else {
		ck_assert_ptr_null(a);
		ck_assert_msg(strstr(err.text, files[_i].why), "%s", err.text);
		ck_assert_int_eq(err.line, files[_i].line);
		ck_assert_ptr_null(strstr(err.text, "0123456789abcd"));
	}
	access_free(&a);
}
END_TEST

static const struct {
	const char *groups, *group;
	enum access_verdict verdict;
} bindings[] = {
	{ "orders", "orders", ACCESS_GRANTED },
	{ "orders", "order", ACCESS_BOUND },
	{ "orders", "orders2", ACCESS_BOUND },
	{ "orders", "", ACCESS_BOUND },
	{ "orders-*", "orders-", ACCESS_GRANTED },
	{ "orders-*", "orders-eu", ACCESS_GRANTED },
	{ "orders-*", "Orders-eu", ACCESS_BOUND },
	{ "orders-*", "", ACCESS_BOUND },
	{ "*-eu", "orders-eu-eu", ACCESS_GRANTED },
	{ "*-eu", "orders-eu-us", ACCESS_BOUND },
	{ "a*b*c", "axxbyybzc", ACCESS_GRANTED },
	{ "a*b*c", "axxbyybz", ACCESS_BOUND },
	{ "a,b-*", "b-1", ACCESS_GRANTED },
	{ "a,b-*", "c", ACCESS_BOUND },
	{ "*", "whatever", ACCESS_GRANTED },
	{ "*", "", ACCESS_GRANTED },
	{ "**", "", ACCESS_BOUND },
	{ "a,*", "", ACCESS_GRANTED },
};

START_TEST(groups_are_bound)
{
	struct access_question q = { .has_token = true,
				     .right = ACCESS_CONSUME,
				     .scope = ACCESS_GROUP };
	struct access *a;
	struct error err = { 0 };
	char text[256];

	snprintf(text, sizeof(text), "x 0123456789abcdef consume %s\n",
		 bindings[_i].groups);
	a = access_parse(span_of(text), &err);
	ck_assert_msg(a != NULL, "%s", err.text);
	access_digest(span_of("0123456789abcdef"), q.digest);
	snprintf(q.group, sizeof(q.group), "%s", bindings[_i].group);
	ck_assert_int_eq(access_ask(a, &q), bindings[_i].verdict);
	q.scope = ACCESS_EVERY;
	ck_assert_int_eq(access_ask(a, &q), strchr(bindings[_i].groups, '*') &&
			 bindings[_i].verdict == ACCESS_GRANTED &&
			 (strcmp(bindings[_i].groups, "*") == 0 ||
			  strstr(bindings[_i].groups, ",*"))
				 ? ACCESS_GRANTED : ACCESS_BOUND);
	q.right = ACCESS_ADMIN;
	ck_assert_int_eq(access_ask(a, &q), ACCESS_RIGHT);
	access_digest(span_of("0123456789abcdeF"), q.digest);
	ck_assert_int_eq(access_ask(a, &q), ACCESS_WRONG);
	q.has_token = false;
	ck_assert_int_eq(access_ask(a, &q), ACCESS_MISSING);
	access_free(&a);
}
END_TEST

static const char marked[] =
	"vault 0123456789-vault all    =vault\n"
	"next- 0123456789-next- all    =vault\n"
	"area- 0123456789-area- all    =area-*,shop,=x\n"
	"boss- 0123456789-boss- all    *,=vault,=area-*,=x\n"
	"some- 0123456789-some- all    *,=vault\n"
	"all-- 0123456789-all-- all    *\n";

static const struct {
	const char *token, *group;
	enum access_verdict verdict;
} marks[] = {
	{ "vault", "vault", ACCESS_GRANTED },
	{ "vault", "area-1", ACCESS_BOUND },
	{ "next-", "vault", ACCESS_GRANTED },
	{ "area-", "vault", ACCESS_BOUND },
	{ "area-", "area-1", ACCESS_GRANTED },
	{ "area-", "shop", ACCESS_GRANTED },
	{ "area-", "x", ACCESS_GRANTED },
	{ "boss-", "vault", ACCESS_GRANTED },
	{ "boss-", "area-2", ACCESS_GRANTED },
	{ "boss-", "shop", ACCESS_GRANTED },
	{ "boss-", "", ACCESS_GRANTED },
	{ "some-", "vault", ACCESS_GRANTED },
	{ "some-", "area-2", ACCESS_OTHERS },
	{ "some-", "", ACCESS_OTHERS },
	{ "all--", "vault", ACCESS_OTHERS },
	{ "all--", "area-", ACCESS_OTHERS },
	{ "all--", "x", ACCESS_OTHERS },
	{ "all--", "", ACCESS_OTHERS },
	{ "all--", "vault2", ACCESS_GRANTED },
	{ "all--", "=vault", ACCESS_GRANTED },
	{ "all--", "shop", ACCESS_GRANTED },
};

START_TEST(marked_groups_are_nobody_elses)
{
	struct access_question q = { .has_token = true,
				     .right = ACCESS_CONSUME,
				     .scope = ACCESS_GROUP };
	struct error err = { 0 };
	struct access *a = access_parse(span_of(marked), &err);
	char token[32];

	ck_assert_msg(a != NULL, "%s", err.text);
	snprintf(token, sizeof(token), "0123456789-%s", marks[_i].token);
	access_digest(span_of(token), q.digest);
	snprintf(q.group, sizeof(q.group), "%s", marks[_i].group);
	ck_assert_msg(access_ask(a, &q) == marks[_i].verdict, "%s of %s",
		      marks[_i].token, marks[_i].group);
	q.scope = ACCESS_NONE;
	ck_assert_int_eq(access_ask(a, &q), ACCESS_GRANTED);
	access_free(&a);
}
END_TEST

/* As `printf %s TOKEN | b2sum -l 256` has it. */
START_TEST(a_hash_stands_for_its_token)
{
	char digest[DIGEST_HEX_SIZE], text[256];
	struct access_question q = { .has_token = true };
	struct error err = { 0 };
	struct access *a;

	digest_start();
	access_digest(span_of("the token of the shop"), digest);
	ck_assert_str_eq(digest, "ff4d69d3f44e3b580ce60ebf344477a0"
			 "4425e9e87c72f4a32acbe90a14718036");
	snprintf(text, sizeof(text), "x blake2b-256:%s read\n", digest);
	a = access_parse(span_of(text), &err);
	ck_assert_msg(a != NULL, "%s", err.text);
	memcpy(q.digest, digest, sizeof(digest));
	ck_assert_int_eq(access_ask(a, &q), ACCESS_GRANTED);
	access_free(&a);
}
END_TEST

static void
write_tokens(const char *text, mode_t mode)
{
	FILE *f;

	unlink(live_tokens);
	f = fopen(live_tokens, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fchmod(fileno(f), mode), 0);
	fputs(text, f);
	fclose(f);
}

START_TEST(a_file_that_others_may_read_is_refused)
{
	static const struct { mode_t mode; bool good; } modes[] = {
		{ 0600, true }, { 0400, true }, { 0640, false },
		{ 0604, false }, { 0620, false }, { 0602, false } };
	struct error err = { 0 };

	snprintf(live_tokens, sizeof(live_tokens), "/tmp/matapalo-tokens-%d",
		 (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct access *a;

		write_tokens("a 0123456789abcdef all *\n", modes[i].mode);
		err.set = 0;
		a = access_load(live_tokens, &err);
		ck_assert_msg((a != NULL) == modes[i].good, "mode %o",
			      (unsigned)modes[i].mode);
		if (!a)
			ck_assert_msg(strstr(err.text, "chmod 600"), "%s",
				      err.text);
		access_free(&a);
	}
	unlink(live_tokens);
	err.set = 0;
	ck_assert_ptr_null(access_load(live_tokens, &err));
	ck_assert_msg(strstr(err.text, live_tokens), "%s", err.text);
	err.set = 0;
	ck_assert_ptr_null(access_load("/tmp", &err));
}
END_TEST

/* ---- every operation ---- */

static const char all_tokens[] =
	"consume-orders  the-token-consume-orders consume orders\n"
	"publish-orders  the-token-publish-orders publish orders\n"
	"read-orders     the-token-read-orders    read    orders\n"
	"admin-orders    the-token-admin-orders   admin   orders\n"
	"all-others      the-token-all-others     all     other-*\n"
	"no-consume      the-token-no-consume     publish,read,admin *\n"
	"no-publish      the-token-no-publish     consume,read,admin *\n"
	"no-read         the-token-no-read        consume,publish,admin *\n"
	"no-admin        the-token-no-admin       consume,publish,read *\n"
	"all             the-token-all-of-it      all     *\n";
static const char marked_tokens[] =
	"owner           the-token-consume-orders consume =orders\n"
	"other           the-token-of-another     all     other,o*,order*\n"
	"all             the-token-all-of-it      all     *\n";

static const struct op {
	const char *name;
	enum access_right right;
	enum access_scope scope;
} ops[] = {
#define OP(name, right, scope, sentence)                                      \
	{ #name, ACCESS_##right, ACCESS_##scope },
#include "bus/ops.def"
#undef OP
};

static const char *
right_name(enum access_right right)
{
	switch (right) {
	case ACCESS_ANY:
	case ACCESS_CONSUME:
		return "consume";
	case ACCESS_PUBLISH:
		return "publish";
	case ACCESS_READ:
		return "read";
	case ACCESS_ADMIN:
		return "admin";
	}
	return "";
}

/* "": it got through, whatever the operation made of it. */
static void
verdict_of(struct bus_client *c, const struct op *op, const char *token,
	   const char *group, char out[16])
{
	char request[512], member[64] = "", of[64] = "";
	struct cJSON *p;

	if (token)
		snprintf(member, sizeof(member), ",\"token\":\"%s\"", token);
	if (group)
		snprintf(of, sizeof(of), ",\"group\":\"%s\"", group);
	snprintf(request, sizeof(request), "{\"op\":\"%s\"%s%s,"
		 "\"consumer\":\"other\",\"sequence\":1,\"id\":1,"
		 "\"to\":\"newest\",\"force\":true}", op->name, member, of);
	p = ask(c, request);
	snprintf(out, 16, "%s",
		 strstr(live_refusal, "(unauthorized)") ? "unauthorized" :
		 strstr(live_refusal, "(forbidden)") ? "forbidden" : "");
	payload_free(&p);
}

static void
expect(struct bus_client *c, const struct op *op, const char *token,
       const char *group, const char *want)
{
	char got[16];

	verdict_of(c, op, token, group, got);
	ck_assert_msg(strcmp(got, want) == 0, "%s with %s of group %s: wanted "
		      "\"%s\", got \"%s\": %s", op->name,
		      token ? token : "nothing", group ? group : "(none)",
		      want, got, live_refusal);
}

static void
setup(void)
{
	fixture_open(&live_fixture);
	snprintf(live_tokens, sizeof(live_tokens), "%s/bus.tokens",
		 live_fixture.dir);
	snprintf(live_ipc, sizeof(live_ipc), "ipc://%s/bus.ipc",
		 live_fixture.dir);
	write_tokens(all_tokens, 0600);
	live_start();
}

static void
as(struct bus_client *c, const char *token)
{
	struct error err = { 0 };

	ck_assert_int_eq(bus_client_set_token(c, token, &err), 0);
}

/* A group that holds event 1 and has settled nothing. */
static struct bus_client *
owner_of_orders(void)
{
	struct bus_client *c = connect_to(live_ipc);

	fixture_append(&live_fixture, "t.v1", "1", NULL, NULL);
	fixture_append(&live_fixture, "t.v1", "2", NULL, NULL);
	as(c, "the-token-consume-orders");
	ck_assert_int_eq(ask_number(c, "{\"op\":\"fetch\",\"group\":\"orders\","
		"\"consumer\":\"owner\",\"max\":1}", "/events/0/sequence"), 1);
	return c;
}

/* Nobody has moved it: the owner's acknowledgement holds, and the next event
 * comes for the first time. */
static void
is_untouched(struct bus_client *c)
{
	struct cJSON *p;

	ck_assert_int_eq(ask_number(c, "{\"op\":\"ack\",\"group\":\"orders\","
		"\"consumer\":\"owner\",\"sequence\":1}", "/settled"), 1);
	p = must(c, "{\"op\":\"fetch\",\"group\":\"orders\","
		    "\"consumer\":\"owner\"}");
	ck_assert_uint_eq(count(p, "/events"), 1);
	ck_assert_int_eq(number(p, "/events/0/sequence"), 2);
	ck_assert_int_eq(number(p, "/events/0/attempt"), 1);
	payload_free(&p);
	bus_client_close(&c);
}

START_TEST(every_operation_needs_its_right)
{
	struct bus_client *owner = owner_of_orders();
	struct bus_client *c = connect_to(bus_url(live_bus, 1));

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		const struct op *op = &ops[i];
		const char *right = right_name(op->right);
		char token[64];

		expect(c, op, NULL, "orders", "unauthorized");
		expect(c, op, NULL, NULL, "unauthorized");
		snprintf(token, sizeof(token), "the-token-no-%s", right);
		if (op->right != ACCESS_ANY)
			expect(c, op, token, "orders", "forbidden");
		expect(c, op, "the-token-all-others", "orders",
		       op->scope == ACCESS_NONE ? "" : "forbidden");
		snprintf(token, sizeof(token), "the-token-%s-orders", right);
		if (op->scope == ACCESS_EVERY)
			expect(c, op, token, "orders", "forbidden");
		if (op->scope != ACCESS_NONE)
			expect(c, op, token, NULL, "forbidden");
	}
	bus_client_close(&c);
	is_untouched(owner);
}
END_TEST

START_TEST(a_marked_group_is_out_of_reach)
{
	static const char *const strangers[] = { "the-token-of-another",
						 "the-token-all-of-it" };
	struct bus_client *owner, *c = connect_to(live_ipc);
	struct error err = { 0 };
	int64_t before, refused = 0;

	write_tokens(marked_tokens, 0600);
	ck_assert_int_eq(bus_reload_tokens(live_bus, &err), 0);
	owner = owner_of_orders();
	before = counter_get(COUNTER_BUS_REFUSED_GROUP);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (ops[i].scope != ACCESS_GROUP)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(strangers); j++)
			expect(c, &ops[i], strangers[j], "orders",
			       "forbidden");
		expect(c, &ops[i], "the-token-all-of-it", NULL, "forbidden");
		expect(c, &ops[i], "the-token-all-of-it", "others", "");
		refused += 3;
	}
	ck_assert_int_eq(counter_get(COUNTER_BUS_REFUSED_GROUP) - before,
			 refused);
	bus_client_close(&c);
	is_untouched(owner);
}
END_TEST

START_TEST(every_operation_is_open_to_its_token)
{
	struct bus_client *c = connect_to(live_ipc);

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		const struct op *op = &ops[i];
		char token[64];

		snprintf(token, sizeof(token), "the-token-%s-orders",
			 right_name(op->right));
		expect(c, op, "the-token-all-of-it", "orders", "");
		if (op->scope != ACCESS_EVERY)
			expect(c, op, token, "orders", "");
	}
	bus_client_close(&c);
}
END_TEST

struct guesser {
	pthread_t thread;
	size_t first;
	char got[ARRAY_SIZE(ops)][16];
};

static void *
guess(void *arg)
{
	struct guesser *g = arg;
	struct bus_client *c = connect_to(live_ipc);

	for (size_t i = g->first; i < ARRAY_SIZE(ops); i += THREADS)
		verdict_of(c, &ops[i], "the-token-of-nobody", "orders",
			   g->got[i]);
	bus_client_close(&c);
	return NULL;
}

START_TEST(no_operation_takes_a_wrong_token)
{
	struct bus_client *owner = owner_of_orders();
	struct guesser *g = calloc(THREADS, sizeof(*g));
	int64_t before = counter_get(COUNTER_BUS_REFUSED_WRONG);
	uint64_t from = clock_mono_ms();

	for (size_t i = 0; i < THREADS; i++) {
		g[i].first = i;
		pthread_create(&g[i].thread, NULL, guess, &g[i]);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(g[i].thread, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		ck_assert_str_eq(g[i % THREADS].got[i], "unauthorized");
	ck_assert_uint_ge(clock_mono_ms() - from, 240);
	ck_assert_int_eq(counter_get(COUNTER_BUS_REFUSED_WRONG) - before,
			 ARRAY_SIZE(ops));
	free(g);
	is_untouched(owner);
	ck_assert(!fixture_contains(&live_fixture, "the-token-of-nobody"));
}
END_TEST

/* ---- reload ---- */

struct waiter {
	pthread_t thread;
	char refusal[ERROR_TEXT_MAX];
};

static void *
wait_for_events(void *arg)
{
	struct waiter *w = arg;
	struct bus_client *c = connect_to(live_ipc);
	struct cJSON *p;

	as(c, "the-token-all-others");
	p = ask(c, "{\"op\":\"fetch\",\"group\":\"other-1\","
		   "\"wait_ms\":14000}");
	memcpy(w->refusal, live_refusal, sizeof(w->refusal));
	payload_free(&p);
	bus_client_close(&c);
	return NULL;
}

static bool
waits(void *arg)
{
	return ask_number(arg, "{\"op\":\"groups\",\"group\":\"other-1\"}",
			  "/groups/0/consumers") == 1;
}

START_TEST(a_token_that_is_taken_away_ends_its_long_polls)
{
	struct bus_client *c = connect_to(live_ipc);
	struct error err = { 0 };
	struct waiter w = { .refusal = "" };

	as(c, "the-token-all-of-it");
	pthread_create(&w.thread, NULL, wait_for_events, &w);
	fixture_await(waits, c, "consumer that waits");
	write_tokens("all the-token-all-of-it all *\n", 0600);
	ck_assert_int_eq(bus_reload_tokens(live_bus, &err), 0);
	pthread_join(w.thread, NULL);
	ck_assert_msg(strstr(w.refusal, "(unauthorized)"), "%s", w.refusal);
	/* a file that is wrong changes nothing */
	write_tokens("all the-token-all-of-it everything *\n", 0600);
	ck_assert_int_eq(bus_reload_tokens(live_bus, &err), -1);
	ck_assert_int_eq(err.line, 1);
	say(c, "{\"op\":\"hello\"}");
	bus_client_close(&c);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("bus/access");
	TCase *f = tcase_create("file"), *o = tcase_create("operations");

	tcase_add_loop_test(f, rows_are_judged, 0, ARRAY_SIZE(files));
	tcase_add_loop_test(f, groups_are_bound, 0, ARRAY_SIZE(bindings));
	tcase_add_loop_test(f, marked_groups_are_nobody_elses, 0,
			    ARRAY_SIZE(marks));
	tcase_add_test(f, a_hash_stands_for_its_token);
	tcase_add_test(f, a_file_that_others_may_read_is_refused);
	suite_add_tcase(s, f);
	tcase_add_checked_fixture(o, setup, live_teardown);
	tcase_set_timeout(o, 60);
	tcase_add_test(o, every_operation_needs_its_right);
	tcase_add_test(o, every_operation_is_open_to_its_token);
	tcase_add_test(o, a_marked_group_is_out_of_reach);
	tcase_add_test(o, no_operation_takes_a_wrong_token);
	tcase_add_test(o, a_token_that_is_taken_away_ends_its_long_polls);
	suite_add_tcase(s, o);
	return s;
}

int
main(int argc, char **argv)
{
	return live_main(argc, argv, suite);
}
