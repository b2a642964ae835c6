/* SPDX-License-Identifier: Apache-2.0 */
/* Files, limits and lifetimes; what a loaded set says; broken input. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rules/load.h"
#include "tests/rules/table.h"

static const char minimal[] =
	"{\"version\":1,\"targets\":{\"legacy\":{\"url\":"
	"\"http://127.0.0.1:3000\"}}}";

static struct rules *
load(const char *text)
{
	struct error err = { 0 };
	struct rules *r = rules_load_text("t", text, strlen(text), &err);

	ck_assert_msg(r != NULL, "%d:%d: %s", err.line, err.column, err.text);
	return r;
}

static const char *
temporary(char *path, const char *text)
{
	static const char pattern[] = "rules-XXXXXX";
	int fd;

	memcpy(path, pattern, sizeof(pattern));
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)),
			 (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void
expect_refusal(const char *path, const char *words)
{
	struct error err = { 0 };
	struct rules *r = rules_load_file(path, &err);

	ck_assert_ptr_null(r);
	ck_assert_msg(strstr(err.text, words) != NULL, "got: %s", err.text);
	ck_assert_ptr_null(rules_load_file(path, NULL));
}

START_TEST(world_writable_file_is_refused)
{
	char path[32];
	struct error err = { 0 };
	struct rules *r;

	temporary(path, minimal);
	chmod(path, 0664);
	r = rules_load_file(path, &err);
	ck_assert_msg(r != NULL, "%s", err.text);
	ck_assert_str_eq(r->path, path);
	rules_unref(&r);
	chmod(path, 0646);
	expect_refusal(path, "everyone may write");
	unlink(path);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	expect_refusal("no-such-file.json", "No such file");
	expect_refusal(".", "not a regular file");
	unlink("rules-fifo");
	ck_assert_int_eq(mkfifo("rules-fifo", 0600), 0);
	expect_refusal("rules-fifo", "not a regular file");
	unlink("rules-fifo");
}
END_TEST

START_TEST(file_over_4_mib_is_refused)
{
	char path[32];

	temporary(path, minimal);
	ck_assert_int_eq(truncate(path, (off_t)LOAD_TEXT_MAX + 1), 0);
	expect_refusal(path, "at most 4 MiB");
	ck_assert_int_eq(truncate(path, (off_t)100 << 20), 0);
	expect_refusal(path, "at most 4 MiB");
	unlink(path);
}
END_TEST

START_TEST(defaults_are_those_of_the_table)
{
	struct rules *r = load(minimal);
	const struct rules_rule *d = &r->rules[0];

	ck_assert_uint_eq(r->rule_count, 1);
	ck_assert_str_eq(d->name, "default");
	ck_assert_int_eq(d->line, 0);
	ck_assert_int_eq(d->stage, RULES_STAGE_MIRROR);
	ck_assert_int_eq(d->on_failure, RULES_ON_FAILURE_ERROR);
	ck_assert_int_eq(d->stick, RULES_STICK_CLIENT);
	ck_assert_uint_eq(d->sample_ppm, RULES_SHARE_ALL);
	ck_assert_uint_eq(d->record_body_bytes, 65536);
	ck_assert_int_eq(d->durability_safe, RULES_DURABILITY_BOUNDED);
	ck_assert_int_eq(d->durability_unsafe, RULES_DURABILITY_STRICT);
	ck_assert(!d->shadow_unsafe && !d->target && !d->shadow);
	ck_assert_uint_eq(r->legacy->connect_ms, 3000);
	ck_assert_uint_eq(r->legacy->head_ms, 30000);
	ck_assert_uint_eq(r->legacy->idle_ms, 60000);
	ck_assert_uint_eq(r->legacy->total_ms, 0);
	ck_assert_str_eq(r->legacy->base_path, "");
	rules_unref(&r);
	ck_assert_ptr_null(r);
}
END_TEST

START_TEST(targets_are_resolved)
{
	struct rules *r = load(
		"{\"version\":1,\"targets\":{\"legacy\":{\"url\":["
		"\"http://127.0.0.1/base/\",\"http://[::1]:81/base\"],"
		"\"timeout\":\"2s\"},\"sock\":{\"url\":\"unix:/run/a.sock\","
		"\"timeout\":{\"connect\":\"10ms\",\"total\":\"1m\"}},"
		"\"sock2\":{\"url\":\"http+unix:///run/b.sock\"},"
		"\"cmd\":{\"command\":\"a.b.v12\"}}}");
	const struct rules_target *t = r->targets;

	ck_assert_uint_eq(r->target_count, 4);
	ck_assert_ptr_eq(r->legacy, t);
	ck_assert_uint_eq(t->address_count, 2);
	ck_assert_str_eq(t->addresses[0].text, "127.0.0.1:80");
	ck_assert_str_eq(t->addresses[1].text, "[::1]:81");
	ck_assert_int_eq(t->addresses[1].addr.ss_family, AF_INET6);
	ck_assert_uint_eq(t->addresses[0].addr_len,
			  sizeof(struct sockaddr_in));
	ck_assert_str_eq(t->base_path, "/base");
	ck_assert_str_eq(t->url, "http://127.0.0.1/base/");
	ck_assert_uint_eq(t->connect_ms, 2000);
	ck_assert_uint_eq(t->head_ms, 2000);
	ck_assert_uint_eq(t->idle_ms, 2000);
	ck_assert_uint_eq(t->total_ms, 0);
	ck_assert_str_eq(t[1].addresses[0].text, "unix:/run/a.sock");
	ck_assert_uint_eq(t[1].connect_ms, 10);
	ck_assert_uint_eq(t[1].head_ms, 30000);
	ck_assert_uint_eq(t[1].total_ms, 60000);
	ck_assert_str_eq(((struct sockaddr_un *)&t[2].addresses[0].addr)
				 ->sun_path,
			 "/run/b.sock");
	ck_assert_int_eq(t[3].kind, RULES_TARGET_COMMAND);
	ck_assert_uint_eq(t[3].reply_within_ms, 5000);
	ck_assert_uint_eq(t[3].index, 3);
	rules_unref(&r);
}
END_TEST

START_TEST(from_legacy_mirrors_everything)
{
	struct error err = { 0 };
	struct rules *r = rules_from_legacy("http://localhost:81", &err);

	ck_assert_msg(r != NULL, "%s", err.text);
	ck_assert_ptr_null(r->path);
	ck_assert_int_eq(r->rules[0].stage, RULES_STAGE_MIRROR);
	ck_assert_str_eq(r->legacy->url, "http://localhost:81");
	ck_assert_str_eq(r->legacy->addresses[0].text, "127.0.0.1:81");
	rules_unref(&r);
	ck_assert_ptr_null(rules_from_legacy("http://a b", &err));
	ck_assert_int_eq(err.line, 0);
	ck_assert_ptr_null(rules_from_legacy("\"", NULL));
}
END_TEST

START_TEST(references_keep_a_set)
{
	struct rules *r = load(minimal), *other = rules_ref(r);

	ck_assert_ptr_eq(r, other);
	rules_unref(&r);
	ck_assert_str_eq(other->legacy->name, "legacy");
	rules_unref(&other);
	rules_unref(&other);
}
END_TEST

static void *
match_and_drop(void *arg)
{
	struct rules *r = arg;
	struct message_request req = { .method = SPAN_LITERAL("GET"),
				       .path = SPAN_LITERAL("/a/b") };

	for (int i = 0; i < 2000; i++) {
		struct rules *own = rules_ref(r);

		if (rules_match(own, &req) != &own->rules[0])
			abort();
		rules_unref(&own);
	}
	rules_unref(&r);
	return NULL;
}

START_TEST(threads_share_a_set)
{
	struct rules *r = load(minimal);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						match_and_drop, rules_ref(r)),
				 0);
	rules_unref(&r);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(safe_methods_are_those_of_rfc_9110)
{
	static const char *const safe[] = { "GET", "HEAD", "OPTIONS",
					    "TRACE" };
	static const char *const unsafe[] = { "POST", "PUT", "PATCH",
					      "DELETE", "CONNECT", "get",
					      "GETS", "QUERY", "" };

	for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
		ck_assert(rules_method_is_safe(span_of(safe[i])));
	for (size_t i = 0; i < ARRAY_SIZE(unsafe); i++)
		ck_assert(!rules_method_is_safe(span_of(unsafe[i])));
}
END_TEST

START_TEST(share_key_follows_the_text)
{
	struct rules *a = load(minimal), *b = load(minimal), *c, *d;
	const char *keyed = "{\"version\":1,\"share_key\":\"%s\",\"targets\":"
			    "{\"legacy\":{\"url\":\"http://127.0.0.1:1\"}}}";
	char text[200];

	snprintf(text, sizeof(text), keyed, "one");
	c = load(text);
	snprintf(text, sizeof(text), keyed, "two");
	d = load(text);
	ck_assert_mem_eq(a->share_key, b->share_key, 16);
	ck_assert(memcmp(a->share_key, c->share_key, 16) != 0);
	ck_assert(memcmp(c->share_key, d->share_key, 16) != 0);
	ck_assert_uint_eq(a->hash, b->hash);
	ck_assert_uint_ne(c->hash, d->hash);
	rules_unref(&a);
	rules_unref(&b);
	rules_unref(&c);
	rules_unref(&d);
}
END_TEST

static void
read_everything(struct buf *text)
{
	char path[1024];

	table_read(table_path(path, sizeof(path),
			      "examples/rules/everything.json"), text);
}

static void
must_say_where(const char *text, size_t len)
{
	struct error err = { 0 };
	struct rules *r = rules_load_text("t", text, len, &err);

	if (!r) {
		ck_assert_int_ge(err.line, 1);
		ck_assert_int_ge(err.column, 1);
		ck_assert_uint_gt(strlen(err.text), 0);
	}
	rules_unref(&r);
}

START_TEST(every_truncation_says_where)
{
	struct buf text = { 0 };

	read_everything(&text);
	for (size_t n = 0; n < text.len; n++) {
		char *exact = malloc(n + 1);

		/* A block of its own, so that a sanitizer sees each read
		 * past the end. */
		memcpy(exact, text.data, n);
		must_say_where(exact, n);
		free(exact);
	}
	buf_fini(&text);
}
END_TEST

/* Characters that mean something, so that more mutants get far. */
START_TEST(mutations_say_where)
{
	static const char alphabet[] = "\"{}[],:0179%/.-*{}emu\\ \n\xc3";
	struct buf text = { 0 };
	unsigned seed = 20240501;

	read_everything(&text);
	for (int i = 0; i < 3000; i++) {
		char *copy = malloc(text.len);

		memcpy(copy, text.data, text.len);
		for (int n = 1 + i % 3; n > 0; n--) {
			size_t at = (size_t)rand_r(&seed) % text.len;

			copy[at] = alphabet[(size_t)rand_r(&seed) %
					    (sizeof(alphabet) - 1)];
		}
		must_say_where(copy, text.len);
		free(copy);
	}
	buf_fini(&text);
}
END_TEST

static void
fill(TCase *t)
{
	tcase_set_timeout(t, 60);
	tcase_add_test(t, world_writable_file_is_refused);
	tcase_add_test(t, what_is_no_file_is_refused);
	tcase_add_test(t, file_over_4_mib_is_refused);
	tcase_add_test(t, defaults_are_those_of_the_table);
	tcase_add_test(t, targets_are_resolved);
	tcase_add_test(t, from_legacy_mirrors_everything);
	tcase_add_test(t, references_keep_a_set);
	tcase_add_test(t, threads_share_a_set);
	tcase_add_test(t, safe_methods_are_those_of_rfc_9110);
	tcase_add_test(t, share_key_follows_the_text);
	tcase_add_test(t, every_truncation_says_where);
	tcase_add_test(t, mutations_say_where);
}

int
main(void)
{
	return table_run("rules/load", fill);
}
