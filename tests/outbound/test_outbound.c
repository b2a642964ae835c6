/* SPDX-License-Identifier: Apache-2.0 */
/* The outbound client against a real server: what goes out, what comes back,
 * and what must never happen (redirects, proxies, growth). */
#include "outbound/outbound.h"

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/outbound/tiny_server.h"

#define LIMIT_BYTES 4096

/* What the server saw last, under its lock. */
struct seen {
	pthread_mutex_t lock;
	unsigned count;
	char head[8192];
	char body[8192];
	size_t body_len;
};

struct got {
	unsigned count;
	int status;
	char body[LIMIT_BYTES + 1];
	size_t body_len;
	char why[ERROR_TEXT_MAX];
	char etag[64];
	size_t fields;
	uint32_t total_us;
	void *tag;
};

static struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };
static struct tiny_server *server;
static struct outbound *client;

static void
remember(const struct tiny_request *r)
{
	pthread_mutex_lock(&seen.lock);
	seen.count++;
	snprintf(seen.head, sizeof(seen.head), "%s", r->head);
	seen.body_len = r->body_len;
	memcpy(seen.body, r->body, r->body_len);
	pthread_mutex_unlock(&seen.lock);
}

static void
reply_huge(int fd)
{
	static char part[65536];

	tiny_write(fd, "HTTP/1.1 200 OK\r\n\r\n", 19);
	for (int i = 0; i < 64; i++)
		tiny_write(fd, part, sizeof(part));
}

static bool
answer(void *arg, struct tiny_server *s, int fd, const struct tiny_request *r)
{
	static const char interim[] =
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
		"HTTP/1.1 200 OK\r\nETag:  \"x\" \r\nA: 1\r\n"
		"Transfer-Encoding: chunked\r\n\r\n"
		"2\r\nok\r\n0\r\nETag: trailer\r\n\r\n";
	static const char binary[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\0b";
	static const char cut[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";

	(void)arg;
	remember(r);
	if (strcmp(r->target, "/redirect") == 0)
		tiny_reply(fd, 302, "Location: /elsewhere\r\n", "");
	else if (strcmp(r->target, "/interim") == 0)
		tiny_write(fd, interim, sizeof(interim) - 1);
	else if (strcmp(r->target, "/hang") == 0)
		tiny_hang(s, fd);
	else if (strcmp(r->target, "/huge") == 0)
		reply_huge(fd);
	else if (strcmp(r->target, "/cut") == 0)
		tiny_write(fd, cut, sizeof(cut) - 1);
	else if (strcmp(r->target, "/binary") == 0)
		tiny_write(fd, binary, sizeof(binary) - 1);
	else if (strcmp(r->method, "HEAD") == 0)
		tiny_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
			   40);
	else
		tiny_reply(fd, 200, "ETag: \"x\"\r\n", "hello");
	return strcmp(r->target, "/cut") != 0 &&
	       strcmp(r->target, "/huge") != 0;
}

static void
on_done(void *arg, struct outbound_answer *a)
{
	struct got *g = arg;
	struct message_fields fields = { a->fields, a->field_count };
	const struct message_field *etag = message_find(fields, "etag");

	g->count++;
	g->status = a->status;
	g->body_len = a->body.len;
	memcpy(g->body, a->body.data ? a->body.data : "", a->body.len);
	g->body[a->body.len] = '\0';
	snprintf(g->why, sizeof(g->why), "%s", a->error.text);
	if (etag)
		snprintf(g->etag, sizeof(g->etag), "%.*s",
			 (int)etag->value.len, etag->value.at);
	g->fields = a->field_count;
	g->total_us = a->total_us;
	g->tag = a->tag;
}

static void
run_all(void)
{
	while (outbound_run(client, 1000) > 0)
		;
}

/* One request to the server at path; fields as "Name", "value" pairs. */
static struct got
call(const char *method, const char *path, const char *body,
     const struct message_field *fields, size_t field_count)
{
	char url[256];
	struct got g = { 0 };
	struct error err = { 0 };
	struct outbound_request req = {
		.url = url, .method = span_of(method),
		.fields = { fields, field_count }, .body = span_of(body),
		.timeout_ms = 5000, .max_body_bytes = LIMIT_BYTES, .tag = &g,
	};

	snprintf(url, sizeof(url), "%s%s", tiny_url(server), path);
	ck_assert_msg(outbound_start(client, &req, on_done, &g, &err) == 0,
		      "%s", err.text);
	run_all();
	ck_assert_uint_eq(g.count, 1);
	ck_assert_ptr_eq(g.tag, &g);
	return g;
}

static bool
was_sent(const char *line)
{
	return strcasestr(seen.head, line) != NULL;
}

static void
setup(void)
{
	struct error err = { 0 };

	server = tiny_start(NULL, answer, NULL);
	client = outbound_open(8, &err);
	ck_assert_ptr_nonnull(client);
	seen.count = 0;
}

static void
teardown(void)
{
	outbound_close(&client);
	tiny_stop(&server);
}

START_TEST(gets_an_answer)
{
	struct got g = call("GET", "/a/../b?x=1", NULL, NULL, 0);

	ck_assert_int_eq(g.status, 200);
	ck_assert_str_eq(g.body, "hello");
	ck_assert_str_eq(g.etag, "\"x\"");
	ck_assert_uint_eq(g.fields, 2);
	ck_assert_uint_gt(g.total_us, 0);
	/* The path goes out as it is. */
	ck_assert(was_sent("GET /a/../b?x=1 HTTP/1.1\r\n"));
	ck_assert(was_sent("\r\nUser-Agent: matapalo\r\n"));
	ck_assert(!was_sent("\r\nAccept:"));
}
END_TEST

static const struct {
	const char *method, *body, *expect_body, *length;
} methods[] = {
	{ "GET", NULL, "", NULL },
	{ "GET", "q", "q", "\r\nContent-Length: 1\r\n" },
	{ "POST", "a=b", "a=b", "\r\nContent-Length: 3\r\n" },
	{ "POST", NULL, "", "\r\nContent-Length: 0\r\n" },
	{ "PUT", "x", "x", "\r\nContent-Length: 1\r\n" },
	{ "PATCH", NULL, "", "\r\nContent-Length: 0\r\n" },
	{ "DELETE", NULL, "", NULL },
	{ "DELETE", "why", "why", "\r\nContent-Length: 3\r\n" },
	{ "OPTIONS", NULL, "", NULL },
	{ "QUERY", "q", "q", "\r\nContent-Length: 1\r\n" },
	{ "HEAD", NULL, "", NULL },
	{ "HEAD", "ignored", "", NULL },
};

START_TEST(sends_each_method)
{
	struct got g = call(methods[_i].method, "/m", methods[_i].body, NULL,
			    0);
	char line[64];

	snprintf(line, sizeof(line), "%s /m HTTP/1.1\r\n", methods[_i].method);
	ck_assert_int_eq(g.status, 200);
	ck_assert_int_eq(strncmp(seen.head, line, strlen(line)), 0);
	ck_assert_uint_eq(seen.body_len, strlen(methods[_i].expect_body));
	ck_assert_int_eq(memcmp(seen.body, methods[_i].expect_body,
				seen.body_len), 0);
	if (methods[_i].length)
		ck_assert(was_sent(methods[_i].length));
	else
		ck_assert(!was_sent("Content-Length"));
	ck_assert(!was_sent("Transfer-Encoding"));
	ck_assert(!was_sent("Content-Type"));
	ck_assert(!was_sent("Expect"));
}
END_TEST

START_TEST(leaves_out_what_is_not_end_to_end)
{
#define F(n, v) { { n, sizeof(n) - 1 }, { v, sizeof(v) - 1 } }
	static const struct message_field fields[] = {
		F("Connection", "close, X-Hop"), F("X-Hop", "1"),
		F("Keep-Alive", "300"), F("TE", "trailers"),
		F("Transfer-Encoding", "chunked"), F("Upgrade", "h2c"),
		F("Proxy-Authorization", "secret"), F("Proxy-X", "1"),
		F("Content-Length", "999"), F("Expect", "100-continue"),
		F("Host", "evil"), F("X-Kept", "one"), F("x-kept", "two"),
		F("X-Empty", ""), F("User-Agent", "theirs"),
		F("Accept", "text/html"), F("Content-Type", "text/plain"),
	};
#undef F
	static const char *const gone[] = {
		"X-Hop", "Keep-Alive", "\r\nTE:", "Transfer-Encoding",
		"Upgrade", "Proxy-", "999", "Expect", "evil", "matapalo",
		"\r\nConnection:",
	};

	call("POST", "/", "x", fields, ARRAY_SIZE(fields));
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
		ck_assert_msg(!was_sent(gone[i]), "%s in %s", gone[i],
			      seen.head);
	ck_assert(was_sent("\r\nX-Kept: one\r\nx-kept: two\r\n"));
	ck_assert(was_sent("\r\nX-Empty:"));
	ck_assert(was_sent("\r\nUser-Agent: theirs\r\n"));
	ck_assert(was_sent("\r\nAccept: text/html\r\n"));
	ck_assert(was_sent("\r\nContent-Type: text/plain\r\n"));
}
END_TEST

static int
start_raw(struct outbound_request *req, struct got *g, struct error *err)
{
	if (!req->timeout_ms)
		req->timeout_ms = 5000;
	if (!req->max_body_bytes)
		req->max_body_bytes = LIMIT_BYTES;
	return outbound_start(client, req, on_done, g, err);
}

START_TEST(host_can_be_given)
{
	struct got g = { 0 };
	struct outbound_request req = { .url = tiny_url(server),
					.method = SPAN_LITERAL("GET"),
					.host = "shop.example:8080" };

	ck_assert_int_eq(start_raw(&req, &g, NULL), 0);
	run_all();
	ck_assert_int_eq(g.status, 200);
	ck_assert(was_sent("\r\nHost: shop.example:8080\r\n"));
	ck_assert(!was_sent("Host: 127"));
}
END_TEST

START_TEST(redirects_are_answers)
{
	struct got g = call("GET", "/redirect", NULL, NULL, 0);

	ck_assert_int_eq(g.status, 302);
	ck_assert_uint_eq(seen.count, 1);
}
END_TEST

START_TEST(environment_names_no_proxy)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	ck_assert_int_eq(call("GET", "/", NULL, NULL, 0).status, 200);
}
END_TEST

START_TEST(only_the_final_head_counts)
{
	struct got g = call("GET", "/interim", NULL, NULL, 0);

	ck_assert_int_eq(g.status, 200);
	ck_assert_str_eq(g.body, "ok");
	ck_assert_str_eq(g.etag, "\"x\"");
	ck_assert_uint_eq(g.fields, 3);
}
END_TEST

START_TEST(bytes_stay_bytes)
{
	struct got g = call("POST", "/binary", "x", NULL, 0);

	ck_assert_uint_eq(g.body_len, 3);
	ck_assert_int_eq(memcmp(g.body, "a\0b", 3), 0);
}
END_TEST

START_TEST(long_answers_are_errors)
{
	struct got g = call("GET", "/huge", NULL, NULL, 0);

	ck_assert_int_eq(g.status, 0);
	ck_assert_str_eq(g.why, "the answer is longer than 4096 bytes");
	ck_assert_uint_le(g.body_len, LIMIT_BYTES);
}
END_TEST

START_TEST(cut_answers_are_errors)
{
	struct got g = call("GET", "/cut", NULL, NULL, 0);

	ck_assert_int_eq(g.status, 0);
	ck_assert_ptr_nonnull(strstr(g.why, "no answer: "));
}
END_TEST

START_TEST(hung_servers_time_out)
{
	char url[128];
	struct got g = { 0 };
	struct outbound_request req = { .url = url, .timeout_ms = 100,
					.method = SPAN_LITERAL("GET") };
	uint64_t start = clock_mono_ms();

	snprintf(url, sizeof(url), "%s/hang", tiny_url(server));
	ck_assert_int_eq(start_raw(&req, &g, NULL), 0);
	run_all();
	ck_assert_int_eq(g.status, 0);
	ck_assert_ptr_nonnull(strstr(g.why, "imed out"));
	ck_assert_uint_ge(clock_mono_ms() - start, 100);
	ck_assert_uint_lt(clock_mono_ms() - start, 4000);
}
END_TEST

/* A port that the kernel gave and nobody listens on. */
static int
closed_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

START_TEST(refused_connections_are_errors)
{
	char url[64];
	struct got g = { 0 };
	struct outbound_request req = { .url = url,
					.method = SPAN_LITERAL("GET") };

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", closed_port());
	ck_assert_int_eq(start_raw(&req, &g, NULL), 0);
	run_all();
	ck_assert_uint_eq(g.count, 1);
	ck_assert_int_eq(g.status, 0);
	ck_assert_ptr_nonnull(strstr(g.why, "no answer: "));
}
END_TEST

static const struct {
	const char *method, *url, *name, *value, *why;
} refused[] = {
	{ "GET", "http://h/a b", "A", "1", "percent-encode" },
	{ "GET", "http://h/a\nb", "A", "1", "percent-encode" },
	{ "GET", "http://h/#f", "A", "1", "percent-encode" },
	{ "GET /x", "http://h/", "A", "1", "not a method" },
	{ "", "http://h/", "A", "1", "not a method" },
	{ "CONNECT", "http://h/", "A", "1", "tunnel" },
	{ "GET", "http://h/", "A", "1\r\nX: 2", "RFC 9110" },
	{ "GET", "http://h/", "A\r\nX", "1", "RFC 9110" },
	{ "GET", "http://h/", "", "1", "RFC 9110" },
};

START_TEST(refuses_what_it_cannot_send)
{
	struct error err = { 0 };
	struct message_field f = { span_of(refused[_i].name),
				   span_of(refused[_i].value) };
	struct got g = { 0 };
	struct outbound_request req = { .url = refused[_i].url,
					.method = span_of(refused[_i].method),
					.fields = { &f, 1 } };

	ck_assert_int_eq(start_raw(&req, &g, &err), -1);
	ck_assert_msg(strstr(err.text, refused[_i].why) != NULL, "%s",
		      err.text);
	ck_assert_uint_eq(outbound_active(client), 0);
}
END_TEST

static const char *const not_http[] = {
	"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/",
	"http://user:pw@127.0.0.1/",
};

START_TEST(only_http_without_user_names)
{
	struct got g = { 0 };
	struct outbound_request req = { .url = not_http[_i],
					.method = SPAN_LITERAL("GET") };

	ck_assert_int_eq(start_raw(&req, &g, NULL), 0);
	run_all();
	ck_assert_int_eq(g.status, 0);
	ck_assert_uint_eq(g.body_len, 0);
}
END_TEST

START_TEST(many_at_once_up_to_the_limit)
{
	struct got got[9] = { 0 };
	struct error err = { 0 };
	struct outbound_request req = { .url = tiny_url(server),
					.method = SPAN_LITERAL("GET") };

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(start_raw(&req, &got[i], NULL), 0);
	ck_assert_int_eq(start_raw(&req, &got[8], &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "the limit"));
	run_all();
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(got[i].status, 200);
	ck_assert_uint_eq(got[8].count, 0);
}
END_TEST

START_TEST(connections_are_kept_for_idempotent_methods)
{
	for (int i = 0; i < 5; i++)
		call("GET", "/", NULL, NULL, 0);
	ck_assert_uint_eq(tiny_connections(server), 1);
	/* A POST must not be sent twice over a stale connection. */
	call("POST", "/", "x", NULL, 0);
	ck_assert_uint_eq(tiny_connections(server), 2);
}
END_TEST

START_TEST(close_drops_what_is_under_way)
{
	char url[128];
	struct got g = { 0 };
	struct outbound_request req = { .url = url,
					.method = SPAN_LITERAL("GET") };

	snprintf(url, sizeof(url), "%s/hang", tiny_url(server));
	ck_assert_int_eq(start_raw(&req, &g, NULL), 0);
	outbound_run(client, 10);
	outbound_close(&client);
	ck_assert_uint_eq(g.count, 0);
}
END_TEST

START_TEST(unix_sockets_work)
{
	char path[] = "/tmp/matapalo-outbound-XXXXXX";
	struct tiny_server *s;
	struct got g = { 0 };
	struct outbound_request req = { .url = "http://candidate/x",
					.unix_path = path,
					.method = SPAN_LITERAL("GET") };
	int fd = mkstemp(path);

	close(fd);
	unlink(path);
	s = tiny_start(path, answer, NULL);
	ck_assert_int_eq(start_raw(&req, &g, NULL), 0);
	run_all();
	ck_assert_int_eq(g.status, 200);
	ck_assert(was_sent("\r\nHost: candidate\r\n"));
	tiny_stop(&s);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *s = suite_create("outbound");
	TCase *t = tcase_create("outbound");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, gets_an_answer);
	tcase_add_loop_test(t, sends_each_method, 0, ARRAY_SIZE(methods));
	tcase_add_test(t, leaves_out_what_is_not_end_to_end);
	tcase_add_test(t, host_can_be_given);
	tcase_add_test(t, redirects_are_answers);
	tcase_add_test(t, environment_names_no_proxy);
	tcase_add_test(t, only_the_final_head_counts);
	tcase_add_test(t, bytes_stay_bytes);
	tcase_add_test(t, long_answers_are_errors);
	tcase_add_test(t, cut_answers_are_errors);
	tcase_add_test(t, hung_servers_time_out);
	tcase_add_test(t, refused_connections_are_errors);
	tcase_add_loop_test(t, refuses_what_it_cannot_send, 0,
			    ARRAY_SIZE(refused));
	tcase_add_loop_test(t, only_http_without_user_names, 0,
			    ARRAY_SIZE(not_http));
	tcase_add_test(t, many_at_once_up_to_the_limit);
	tcase_add_test(t, connections_are_kept_for_idempotent_methods);
	tcase_add_test(t, close_drops_what_is_under_way);
	tcase_add_test(t, unix_sockets_work);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner *r = srunner_create(make_suite());
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
