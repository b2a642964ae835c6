/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol's test vectors against a live server: each file of
 * tests/bus/vectors begins with an empty journal. docs/bus-protocol.md says
 * how to read them. */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "bus/client.h"
#include "payload/payload.h"
#include "tests/bus/fixture.h"

#define CALL_MS 15000

static const struct digest_key key = { { 9 } };
static const struct bus_source source = { "//test/matapalo", &key };

static struct buf
text_of(const struct cJSON *p)
{
	struct buf b = { 0 };

	payload_write(p, &b);
	return b;
}

static void
fail_at(const char *path, size_t step, const char *pointer,
	const struct cJSON *want, const struct cJSON *got)
{
	struct buf w = text_of(want), g = text_of(got);

	ck_abort_msg("%s, step %zu, %s\n--- wanted\n%s\n--- got\n%s", path,
		     step, pointer, buf_str(&w), got ? buf_str(&g) : "nothing");
}

static bool
equal(const struct cJSON *a, const struct cJSON *b)
{
	static const struct payload_compare plain;

	return payload_compare_json(a, b, &plain, 0, NULL, NULL) == 0;
}

/* Members that are not named may be anything; "*" is any value; a list has
 * exactly the items that are named. */
static bool
matches(const struct cJSON *want, const struct cJSON *got)
{
	const struct cJSON *w, *g;

	if (!got || strcmp(payload_string(want, ""), "*") == 0)
		return got;
	if (payload_is_object(want)) {
		for (w = payload_first(want); w; w = payload_next(w))
			if (!matches(w, payload_member(got, payload_name(w))))
				return false;
		return payload_is_object(got);
	}
	if (!payload_is_array(want))
		return equal(want, got);
	w = payload_first(want);
	g = payload_first(got);
	for (; w && g; w = payload_next(w), g = payload_next(g))
		if (!matches(w, g))
			return false;
	return !w && !g;
}

static struct cJSON *
call(struct bus_client *c, struct span request)
{
	struct error err = { 0 };
	struct buf answer = { 0 };
	struct cJSON *p;

	if (bus_client_call(c, request, CALL_MS, &answer, &err) < 0)
		ck_assert_msg(strstr(err.text, "refuses"), "%s", err.text);
	p = payload_parse(buf_span(&answer), &err);
	ck_assert_msg(p != NULL, "%s", err.text);
	buf_fini(&answer);
	return p;
}

struct awaited {
	struct bus_client *client;
	const struct cJSON *request;
	const char *has;
};

static bool
is_there(void *arg)
{
	struct awaited *a = arg;
	struct buf request = text_of(a->request);
	struct cJSON *p = call(a->client, buf_span(&request));
	bool found = payload_at(p, a->has);

	payload_free(&p);
	buf_fini(&request);
	return found;
}

static void
run_step(struct bus_client *c, const char *path, size_t n,
	 const struct cJSON *step)
{
	struct awaited a = { c, payload_member(step, "await"),
			     payload_string(payload_member(step, "has"), "") };
	const struct cJSON *raw = payload_member(step, "send_text");
	const struct cJSON *want = payload_member(step, "expect");
	struct buf request = { 0 };
	struct cJSON *got;

	if (a.request) {
		fixture_await(is_there, &a, a.has);
		return;
	}
	if (raw)
		buf_adds(&request, payload_string(raw, ""));
	else
		payload_write(payload_member(step, "send"), &request);
	got = call(c, buf_span(&request));
	if (!matches(want, got))
		fail_at(path, n, buf_str(&request), want, got);
	payload_free(&got);
	buf_fini(&request);
}

static struct cJSON *
read_file(const char *path)
{
	struct error err = { 0 };
	struct buf b = { 0 };
	FILE *f = fopen(path, "rb");
	char part[4096];
	struct cJSON *p;
	size_t n;

	ck_assert_msg(f != NULL, "cannot read %s", path);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(&b, part, n);
	fclose(f);
	p = payload_parse(buf_span(&b), &err);
	ck_assert_msg(p != NULL, "%s:%d:%d: %s", path, err.line, err.column,
		      err.text);
	buf_fini(&b);
	return p;
}

static void
run_file(const char *path)
{
	struct fixture fx;
	char url[128];
	const char *const urls[] = { url, NULL };
	const struct bus_options o = { .urls = urls, .source = &source };
	struct error err = { 0 };
	struct cJSON *file = read_file(path);
	struct bus_client *c;
	struct bus *bus;
	size_t n = 0;

	fixture_open(&fx);
	snprintf(url, sizeof(url), "ipc://%s/bus.ipc", fx.dir);
	bus = bus_open(fx.journal, &o, &err);
	ck_assert_msg(bus != NULL, "%s", err.text);
	c = bus_client_open(url, NULL, 5000, &err);
	ck_assert_msg(c != NULL, "%s", err.text);
	for (const struct cJSON *s = payload_first(payload_member(file,
								  "steps"));
	     s; s = payload_next(s))
		run_step(c, path, ++n, s);
	ck_assert_uint_gt(n, 0);
	bus_client_close(&c);
	bus_close(&bus);
	fixture_close(&fx);
	payload_free(&file);
}

START_TEST(vectors)
{
	const char *top = getenv("TOP_SRCDIR");
	char pattern[4096];
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/tests/bus/vectors/*.json",
		 top ? top : ".");
	ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
	ck_assert_uint_ge(g.gl_pathc, 14);
	for (size_t i = 0; i < g.gl_pathc; i++)
		run_file(g.gl_pathv[i]);
	globfree(&g);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus/vectors");
	TCase *t = tcase_create("vectors");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, vectors);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
