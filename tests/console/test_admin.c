/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener over real sockets: every route x method x token x host,
 * made from routes.def, so that a new route cannot be forgotten. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/digest.h"
#include "console/answer.h"
#include "console/file.h"
#include "payload/payload.h"
#include "tests/console/scratch.h"

#define REQUEST_MAX 4096

static char dir[SCRATCH_PATH], token_path[SCRATCH_PATH];
static struct console_admin *admin;
static char token[128];
static const char *why_not;

static bool
ready(void *arg, const char **why)
{
	*why = *(const char **)arg;
	return !*why;
}

static void
status(void *arg, struct json *out)
{
	(void)arg;
	json_object_begin(out);
	json_key(out, "version");
	json_str(out, "test");
	json_object_end(out);
}

static int
order(void *arg, const struct console_order *o, struct json *out,
      struct error *err)
{
	(void)arg;
	if (o->rule && !strcmp(o->rule, "absent")) {
		error_set(err, "there is no rule \"absent\"");
		return 404;
	}
	json_object_begin(out);
	json_key(out, "verb");
	json_str(out, console_verb_word(o->verb));
	json_key(out, "rule");
	json_str(out, o->rule);
	json_key(out, "to");
	json_str(out, o->to);
	json_key(out, "forces");
	json_bool(out, o->force == CONSOLE_FORCES);
	json_object_end(out);
	return 200;
}

static const struct console_source source = {
	.arg = &why_not,
	.ready = ready,
	.status = status,
	.order = order,
};

static void
start_on(const char *address)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct error err = { 0 };

	digest_start();
	why_not = NULL;
	scratch_path(token_path, scratch_make(dir), "admin.token");
	admin = console_admin_start(address, token_path, &source, &err);
	ck_assert_msg(admin != NULL, "%s", err.text);
	ck_assert_int_eq(file_read(token_path, 1000, &text, &err), 0);
	snprintf(token, sizeof(token), "%.*s",
		 (int)strcspn(buf_str(&text), "\n"), buf_str(&text));
}

static void
start(void)
{
	start_on("127.0.0.1:0");
}

static void
stop(void)
{
	console_admin_stop(&admin);
	ck_assert_ptr_null(admin);
	scratch_remove(dir);
}

/* ---- a client ---- */

struct answered {
	int status;
	struct buf text; /* head and body */
	const char *body;
};

static int
connect_tcp(void)
{
	const char *address = console_admin_address(admin);
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1)),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&in, sizeof(in)),
			 0);
	return fd;
}

static int
connect_unix(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s",
		 console_admin_address(admin) + 5);
	ck_assert_int_eq(
		connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void
exchange(int fd, struct answered *a, const char *request)
{
	char chunk[4096];
	ssize_t n;

	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		buf_add(&a->text, chunk, (size_t)n);
	close(fd);
	ck_assert_int_eq(sscanf(buf_str(&a->text), "HTTP/1.1 %d", &a->status),
			 1);
	a->body = strstr(buf_str(&a->text), "\r\n\r\n");
	ck_assert_ptr_nonnull(a->body);
	a->body += 4;
}

/* fields: further header lines, each with its CRLF. */
static void
request(struct answered *a, const char *method, const char *path,
	const char *host, const char *fields)
{
	char text[REQUEST_MAX];

	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n",
		 method, path, host, fields);
	exchange(connect_tcp(), a, text);
}

/* As request, with a body of JSON. */
static void
post(struct answered *a, const char *path, const char *fields,
     const char *body)
{
	char text[REQUEST_MAX];

	snprintf(text, sizeof(text),
		 "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
		 "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n%s",
		 path, fields, strlen(body), body);
	exchange(connect_tcp(), a, text);
}

/* The method and a body that the route takes. */
static const char *
method_of(const struct answer_route *route)
{
	return route->method == ANSWER_POST ? "POST" : "GET";
}

static void
ask_route(struct answered *a, const struct answer_route *route,
	  const char *host, const char *fields)
{
	char text[REQUEST_MAX];
	const char *body = route->method == ANSWER_POST ?
				   "{\"rule\":\"a\"}" : "";

	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: %s\r\n%s"
		 "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n%s",
		 method_of(route), route->path, host, fields, strlen(body),
		 body);
	exchange(connect_tcp(), a, text);
}

static void
answered_fini(struct answered *a)
{
	buf_fini(&a->text);
}

static bool
has_line(struct answered *a, const char *line)
{
	return strcasestr(buf_str(&a->text), line) != NULL;
}

/* Every error is a problem document that repeats its status. */
static void
check_problem(struct answered *a)
{
	struct cJSON *tree = payload_parse(span_of(a->body), NULL);

	ck_assert(has_line(a, "Content-Type: application/problem+json\r\n"));
	ck_assert_ptr_nonnull(tree);
	ck_assert_int_eq(payload_int(payload_member(tree, "status"), 0),
			 a->status);
	ck_assert_str_ne(payload_string(payload_member(tree, "detail"), ""),
			 "");
	payload_free(&tree);
}

/* ---- the matrix ---- */

enum credential { NONE, WRONG, NEARLY, OTHER_SCHEME, RIGHT, CREDENTIALS };

static const char *
credential_line(enum credential c, char out[256])
{
	char other[sizeof(token)];

	snprintf(other, sizeof(other), "%s", token);
	other[63] = other[63] == '0' ? '1' : '0';
	switch (c) {
	case NONE:
		return "";
	case WRONG:
		return "Authorization: Bearer 0123456789abcdef\r\n";
	case NEARLY:
		snprintf(out, 256, "Authorization: Bearer %s\r\n", other);
		return out;
	case OTHER_SCHEME:
		snprintf(out, 256, "Authorization: Basic %s\r\n", token);
		return out;
	case RIGHT:
	case CREDENTIALS:
		snprintf(out, 256, "Authorization: Bearer %s\r\n", token);
		return out;
	}
	return "";
}

START_TEST(test_matrix)
{
	const struct answer_route *route = answer_route((size_t)_i);
	char line[256];

	for (enum credential c = NONE; c < CREDENTIALS; c++) {
		struct answered a CLEANUP(answered_fini) = { 0 };
		bool open = route->access == ANSWER_OPEN || c == RIGHT;

		ask_route(&a, route, "127.0.0.1", credential_line(c, line));
		ck_assert_msg(a.status == (open ? 200 : 401),
			      "%s %s with credential %d: %d",
			      method_of(route), route->path, (int)c,
			      a.status);
		if (open)
			continue;
		check_problem(&a);
		ck_assert(has_line(&a, "WWW-Authenticate: Bearer"));
		ck_assert_ptr_null(strstr(buf_str(&a.text), token));
	}
}
END_TEST

START_TEST(test_methods)
{
	static const char *const refused[] = { "POST",	"PUT",	   "DELETE",
					       "PATCH", "OPTIONS", "BREW",
					       "GET",	"HEAD" };
	const struct answer_route *route = answer_route((size_t)_i);
	bool order = route->method == ANSWER_POST;
	struct answered head CLEANUP(answered_fini) = { 0 };
	char line[256];

	credential_line(RIGHT, line);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct answered a CLEANUP(answered_fini) = { 0 };

		if (order ? i == 0 : i >= 6)
			continue;
		request(&a, refused[i], route->path, "localhost", line);
		ck_assert_int_eq(a.status, 405);
		ck_assert(has_line(&a, order ? "\r\nAllow: POST\r\n" :
					       "\r\nAllow: GET, HEAD\r\n"));
		if (strcmp(refused[i], "HEAD") != 0)
			check_problem(&a);
	}
	if (order)
		return;
	request(&head, "HEAD", route->path, "localhost", line);
	ck_assert_int_eq(head.status, 200);
	ck_assert_str_eq(head.body, "");
}
END_TEST

START_TEST(test_unknown_path)
{
	static const char *const paths[] = { "/status/", "/STATUS", "/x", "//",
					     "/healthz/../status" };
	char line[256];

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct answered a CLEANUP(answered_fini) = { 0 };

		request(&a, "GET", paths[i], "localhost",
			credential_line(RIGHT, line));
		ck_assert_int_eq(a.status, 404);
		check_problem(&a);
	}
}
END_TEST

/* DNS rebinding: a name that is not ours, whatever it resolves to. */
START_TEST(test_hosts)
{
	static const struct {
		const char *host;
		int status;
	} rows[] = {
		{ "localhost", 200 },
		{ "LOCALHOST:99", 200 },
		{ "127.0.0.1:8081", 200 },
		{ "[::1]:8081", 200 },
		{ "192.0.2.7", 200 },
		{ "evil.example", 421 },
		{ "evil.example:80", 421 },
		{ "localhost.evil.example", 421 },
		{ "127.0.0.1.evil.example", 421 },
		{ "2130706433", 421 },
		{ "[::1", 421 },
		{ "", 421 },
	};
	char line[256];

	for (size_t r = 0; r < answer_route_count(); r++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct answered a CLEANUP(answered_fini) = { 0 };

			ask_route(&a, answer_route(r), rows[i].host,
				  credential_line(RIGHT, line));
			ck_assert_msg(a.status == rows[i].status,
				      "Host `%s': %d", rows[i].host, a.status);
		}
	}
}
END_TEST

/* ---- single routes ---- */

START_TEST(test_ready)
{
	struct answered a CLEANUP(answered_fini) = { 0 };

	why_not = "the journal cannot be written";
	request(&a, "GET", "/readyz", "localhost", "");
	ck_assert_int_eq(a.status, 503);
	check_problem(&a);
	ck_assert_ptr_nonnull(strstr(a.body, why_not));
}
END_TEST

START_TEST(test_bodies)
{
	struct answered metrics CLEANUP(answered_fini) = { 0 };
	struct answered state CLEANUP(answered_fini) = { 0 };
	char line[256];

	credential_line(RIGHT, line);
	request(&metrics, "GET", "/metrics", "localhost", line);
	ck_assert(has_line(&metrics, "text/plain; version=0.0.4"));
	ck_assert_ptr_nonnull(strstr(
		metrics.body, "# TYPE matapalo_exchanges_answered_total "));
	request(&state, "GET", "/status?x=1", "localhost", line);
	ck_assert(has_line(&state, "Content-Type: application/json\r\n"));
	ck_assert_str_eq(state.body, "{\"version\":\"test\"}\n");
}
END_TEST

static void
check_order(const char *path, const char *fields, const char *body,
	    int status, const char *says)
{
	struct answered a CLEANUP(answered_fini) = { 0 };
	char line[1024], token_line[256];

	snprintf(line, sizeof(line), "%s%s",
		 credential_line(RIGHT, token_line), fields);
	post(&a, path, line, body);
	ck_assert_msg(a.status == status && strstr(a.body, says),
		      "POST %s %s: %d %s", path, body, a.status, a.body);
	if (status != 200)
		check_problem(&a);
}

START_TEST(test_orders)
{
	static const struct {
		const char *path, *body;
		int status;
		const char *says;
	} rows[] = {
		{ "/promote", "{\"rule\":\"a\",\"to\":\"25%\"}", 200,
		  "{\"verb\":\"promote\",\"rule\":\"a\",\"to\":\"25%\","
		  "\"forces\":false}" },
		{ "/rollback", "{\"rule\":\"a\",\"force\":true}", 200,
		  "\"forces\":true" },
		{ "/kill-switch", "{\"all\":true}", 200,
		  "{\"verb\":\"kill\",\"rule\":null" },
		{ "/kill-switch", "{\"rule\":\"a\",\"release\":true}", 200,
		  "\"verb\":\"release\"" },
		{ "/promote", "{\"rule\":\"absent\"}", 404, "no rule" },
		{ "/promote", "{}", 400, "which" },
		{ "/promote", "{\"all\":true}", 400, "kill-switch" },
		{ "/kill-switch", "{}", 400, "which" },
		{ "/kill-switch", "{\"rule\":\"a\",\"all\":true}", 400,
		  "both" },
		{ "/resume", "{\"rule\":\"a\",\"release\":true}", 400,
		  "kill-switch" },
		{ "/promote", "{\"rule\":7}", 400, "string" },
		{ "/rollback", "{\"rule\":\"a\",\"force\":\"yes\"}", 400,
		  "true or false" },
		{ "/rollback", "{\"rule\":\"a\",\"forse\":true}", 400,
		  "unknown" },
		{ "/hold", "[]", 400, "object" },
		{ "/hold", "{", 400, "" },
		{ "/hold", "", 400, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_order(rows[i].path, "", rows[i].body, rows[i].status,
			    rows[i].says);
}
END_TEST

/* No page of another site, no form, no flood. */
START_TEST(test_orders_from_elsewhere)
{
	struct answered a CLEANUP(answered_fini) = { 0 };
	struct answered b CLEANUP(answered_fini) = { 0 };
	struct buf large CLEANUP(buf_fini) = { 0 };
	char line[256], text[REQUEST_MAX];
	const char *body = "{\"rule\":\"a\"}";

	check_order("/hold", "Origin: http://evil.example\r\n", body, 403,
		    "page");
	check_order("/hold", "Origin: null\r\n", body, 403, "page");
	check_order("/hold", "Origin: http://127.0.0.1\r\n", body, 200,
		    "hold");
	snprintf(text, sizeof(text),
		 "POST /hold HTTP/1.1\r\nHost: localhost\r\n%s"
		 "Content-Type: text/plain\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n%s",
		 credential_line(RIGHT, line), strlen(body), body);
	exchange(connect_tcp(), &a, text);
	ck_assert_int_eq(a.status, 415);
	buf_printf(&large, "POST /hold HTTP/1.1\r\nHost: localhost\r\n%s"
		   "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		   "Connection: close\r\n\r\n%*s", line,
		   2 * ANSWER_BODY_MAX, (int)(2 * ANSWER_BODY_MAX), body);
	exchange(connect_tcp(), &b, buf_str(&large));
	ck_assert_int_eq(b.status, 413);
}
END_TEST

/* The page's script runs only with the nonce of this very answer. */
START_TEST(test_board)
{
	struct answered a CLEANUP(answered_fini) = { 0 };
	struct answered b CLEANUP(answered_fini) = { 0 };
	char nonce[33] = "", tag[80];
	const char *at;

	request(&a, "GET", "/", "localhost", "");
	at = strstr(buf_str(&a.text), "script-src 'nonce-");
	ck_assert_ptr_nonnull(at);
	snprintf(nonce, sizeof(nonce), "%s", at + 18);
	snprintf(tag, sizeof(tag), "<script nonce=\"%s\">", nonce);
	ck_assert_ptr_nonnull(strstr(a.body, tag));
	ck_assert_ptr_null(strstr(a.body, "{{nonce}}"));
	ck_assert(has_line(&a, "default-src 'none'"));
	ck_assert(has_line(&a, "X-Content-Type-Options: nosniff"));
	ck_assert(has_line(&a, "Cache-Control: no-store"));
	ck_assert_ptr_null(strstr(a.body, "innerHTML"));
	request(&b, "GET", "/", "localhost", "");
	ck_assert_ptr_null(strstr(b.body, nonce));
}
END_TEST

/* ---- the listener ---- */

START_TEST(test_token_file)
{
	struct answered a CLEANUP(answered_fini) = { 0 };
	struct error err = { 0 };
	struct stat st;
	char line[256];

	ck_assert_int_eq(stat(token_path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_eq(strlen(token), 64);
	console_admin_stop(&admin);
	admin = console_admin_start("127.0.0.1:0", token_path, &source, &err);
	ck_assert_ptr_nonnull(admin);
	/* The token outlives the process. */
	request(&a, "GET", "/status", "localhost",
		credential_line(RIGHT, line));
	ck_assert_int_eq(a.status, 200);
}
END_TEST

START_TEST(test_unix_socket)
{
	char address[SCRATCH_PATH + 8], path[SCRATCH_PATH];
	struct answered a CLEANUP(answered_fini) = { 0 };
	struct stat st;

	console_admin_stop(&admin);
	snprintf(address, sizeof(address), "unix:%s",
		 scratch_path(path, dir, "a.sock"));
	admin = console_admin_start(address, token_path, &source, NULL);
	ck_assert_ptr_nonnull(admin);
	ck_assert_str_eq(console_admin_address(admin), address);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	exchange(connect_unix(), &a,
		 "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
		 "Connection: close\r\n\r\n");
	ck_assert_int_eq(a.status, 200);
	console_admin_stop(&admin);
	ck_assert_int_ne(access(path, F_OK), 0);
	/* What a crash leaves behind does not stand in the way. */
	admin = console_admin_start(address, token_path, &source, NULL);
	ck_assert_ptr_nonnull(admin);
}
END_TEST

START_TEST(test_address_in_use)
{
	struct error err = { 0 };
	struct console_admin *second;

	second = console_admin_start(console_admin_address(admin), token_path,
				     &source, &err);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(err.text, "admin: cannot listen on "));
	ck_assert_ptr_nonnull(strstr(err.text, strerror(EADDRINUSE)));
}
END_TEST

START_TEST(test_bad_token_file)
{
	struct error err = { 0 };
	char path[SCRATCH_PATH];

	scratch_write(scratch_path(path, dir, "bad"), "short\n");
	ck_assert_ptr_null(
		console_admin_start("127.0.0.1:0", path, &source, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "admin token: "));
}
END_TEST

/* Heads larger than the connection's memory end the connection, not us. */
START_TEST(test_large_head)
{
	static char huge[100000];
	struct answered a CLEANUP(answered_fini) = { 0 };
	int fd = connect_tcp();
	char chunk[512];

	memset(huge, 'a', sizeof(huge) - 1);
	send(fd, "GET /", 5, MSG_NOSIGNAL);
	send(fd, huge, sizeof(huge) - 1, MSG_NOSIGNAL);
	while (recv(fd, chunk, sizeof(chunk), 0) > 0)
		;
	close(fd);
	request(&a, "GET", "/healthz", "localhost", "");
	ck_assert_int_eq(a.status, 200);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("admin");
	TCase *tc = tcase_create("admin");
	SRunner *runner;
	int failed, routes = (int)answer_route_count();

	tcase_add_checked_fixture(tc, start, stop);
	tcase_add_loop_test(tc, test_matrix, 0, routes);
	tcase_add_loop_test(tc, test_methods, 0, routes);
	tcase_add_test(tc, test_unknown_path);
	tcase_add_test(tc, test_hosts);
	tcase_add_test(tc, test_ready);
	tcase_add_test(tc, test_bodies);
	tcase_add_test(tc, test_board);
	tcase_add_test(tc, test_orders);
	tcase_add_test(tc, test_orders_from_elsewhere);
	tcase_add_test(tc, test_token_file);
	tcase_add_test(tc, test_unix_socket);
	tcase_add_test(tc, test_address_in_use);
	tcase_add_test(tc, test_bad_token_file);
	tcase_add_test(tc, test_large_head);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
