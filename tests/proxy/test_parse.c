/* SPDX-License-Identifier: Apache-2.0 */
/* proxy/parse.c and check.c: one verdict a request, however it is cut. */
#include "proxy/parse.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define CRLF "\r\n"
#define H CRLF "Host: a.example"
#define E CRLF CRLF

struct row {
	enum problem expected;
	const char *text;
	size_t len;
};

static const struct row rows[] = {
#define CASE(problem, ...) \
	{ PROBLEM_##problem, __VA_ARGS__, sizeof(__VA_ARGS__) - 1 },
#include "tests/proxy/requests.def"
#undef CASE
};

/* Feeds the text in pieces of `step` bytes, as a slow client would. */
static enum problem
verdict(const struct row *row, size_t step)
{
	static char first[8192];
	struct arena arena;
	struct parse p;
	enum parse_result r = PARSE_MORE;
	enum problem why = PROBLEM_BAD_REQUEST;
	size_t at = 0, used;

	arena_init(&arena, first, sizeof(first), 65536);
	parse_init_request(&p, &arena);
	while (r == PARSE_MORE && at < row->len) {
		size_t n = row->len - at < step ? row->len - at : step;

		r = parse_head(&p, row->text + at, n, &used);
		at += used;
	}
	if (r == PARSE_HEAD && parse_check_request(&p, &why) == 0)
		why = PROBLEM_NONE;
	if (p.unknown_method)
		why = PROBLEM_UNKNOWN_METHOD;
	arena_fini(&arena);
	return why;
}

START_TEST(one_verdict_however_it_is_cut)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100000 };
	const struct row *row = &rows[_i];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		ck_assert_msg(verdict(row, steps[i]) == row->expected,
			      "step %zu, expected %d, got %d:\n%s", steps[i],
			      row->expected, verdict(row, steps[i]),
			      row->text);
}
END_TEST

START_TEST(chunks_are_gathered_in_place)
{
	static const char head[] = "POST / HTTP/1.1" H CRLF
				   "Transfer-Encoding: chunked" E;
	char body[] = "3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\nT: x\r\n\r\nNEXT";
	static char first[8192];
	struct arena arena;
	struct parse p;
	size_t used, len;

	arena_init(&arena, first, sizeof(first), 65536);
	parse_init_request(&p, &arena);
	ck_assert_int_eq(parse_head(&p, head, sizeof(head) - 1, &used),
			 PARSE_HEAD);
	ck_assert_int_eq(parse_request_framing(&p), PARSE_CHUNKED);
	ck_assert_int_eq(parse_chunked(&p, body, sizeof(body) - 1, &used,
				       &len), PARSE_DONE);
	ck_assert_uint_eq(len, 8);
	ck_assert_int_eq(memcmp(body, "abcdefgh", 8), 0);
	ck_assert_str_eq(body + used, "NEXT");
	arena_fini(&arena);
}
END_TEST

/* Reads the body behind `head` in pieces of `step` bytes, each in the same
 * buffer, as a connection does. */
static enum parse_result
read_body(struct parse *p, const char *body, size_t step)
{
	enum parse_result r = PARSE_MORE;
	size_t at = 0, used, len, left = strlen(body);
	char piece[256];

	while (r == PARSE_MORE && left > 0) {
		size_t n = left < step ? left : step;

		memset(piece, '#', sizeof(piece));
		memcpy(piece, body + at, n);
		r = parse_chunked(p, piece, n, &used, &len);
		at += used;
		left -= used;
	}
	return r;
}

static const char chunked_head[] = "POST / HTTP/1.1" H CRLF
				   "Connection: X-Mine" CRLF
				   "Transfer-Encoding: chunked" E;

static void
parse_chunked_head(struct parse *p, struct arena *arena)
{
	size_t used;

	parse_init_request(p, arena);
	ck_assert_int_eq(parse_head(p, chunked_head, sizeof(chunked_head) - 1,
				    &used), PARSE_HEAD);
}

START_TEST(trailers_that_may_go_on_are_kept)
{
	static const struct {
		const char *body, *kept;
	} cases[] = {
		{ "0\r\n\r\n", "" },
		{ "1\r\na\r\n0\r\nA: b\r\n\r\n", "A: b\r\n" },
		{ "0\r\nA:  b c \t\r\nD:\r\nE: f\r\n\r\n",
		  "A: b c\r\nD:\r\nE: f\r\n" },
		{ "0\r\nHost: x\r\nA: b\r\nX-Mine: 1\r\nTE: x\r\n\r\n",
		  "A: b\r\n" },
		{ "0\r\nx-forwarded-for: 1\r\nIF-X: 1\r\nB: c\r\n"
		  "Via: 1\r\nMatapalo-Any: 1\r\n\r\n", "B: c\r\n" },
	};
	static char first[8192];
	size_t i, step;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		for (step = 1; step < 60; step++) {
			struct arena arena;
			struct parse p;
			struct span kept;

			arena_init(&arena, first, sizeof(first), 65536);
			parse_chunked_head(&p, &arena);
			ck_assert_int_eq(read_body(&p, cases[i].body, step),
					 PARSE_DONE);
			kept = parse_trailers(&p);
			ck_assert_msg(span_is(kept, cases[i].kept),
				      "row %zu step %zu: %.*s", i, step,
				      (int)kept.len, kept.at);
			arena_fini(&arena);
		}
}
END_TEST

START_TEST(bad_trailers_are_refused)
{
	static const char *const bad[] = {
		"0\r\nA: b\r\n c\r\n\r\n", "0\r\nA: b\r\n\tc\r\n\r\n",
		"0\r\nA : b\r\n\r\n", "0\r\n: b\r\n\r\n",
		"0\r\nA: b\rc\r\n\r\n", "0\r\nA: \x01\r\n\r\n",
		"0\r\n A: b\r\n\r\n",
	};
	static char first[8192];
	size_t step;

	for (step = 1; step < 20; step++) {
		struct arena arena;
		struct parse p;

		arena_init(&arena, first, sizeof(first), 65536);
		parse_chunked_head(&p, &arena);
		ck_assert_msg(read_body(&p, bad[_i], step) == PARSE_BAD,
			      "taken in steps of %zu: %s", step, bad[_i]);
		arena_fini(&arena);
	}
}
END_TEST

/* As many lines as said, each of eight bytes. */
static const char *
many_trailers(char *body, size_t lines)
{
	size_t i;

	memcpy(body, "0\r\n", 3);
	for (i = 0; i < lines; i++)
		memcpy(body + 3 + 9 * i, "Host: x\r\n", 9);
	memcpy(body + 3 + 9 * lines, "\r\n", 3);
	return body;
}

START_TEST(trailers_are_bounded)
{
	static const unsigned lines[] = { PARSE_TRAILERS_MAX,
					  PARSE_TRAILERS_MAX + 1 };
	static char first[8192], body[20000];
	struct arena arena;
	struct parse p;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		arena_init(&arena, first, sizeof(first), 65536);
		parse_chunked_head(&p, &arena);
		ck_assert_int_eq(read_body(&p, many_trailers(body, lines[i]),
					   100), i ? PARSE_BAD : PARSE_DONE);
		ck_assert_int_eq(p.overflow, i != 0);
		arena_fini(&arena);
	}
	memset(body, 'y', sizeof(body));
	memcpy(body, "0\r\nA: ", 6);
	body[PARSE_TRAILER_BYTES_MAX + 100] = 0;
	arena_init(&arena, first, sizeof(first), 65536);
	parse_chunked_head(&p, &arena);
	ck_assert_int_eq(read_body(&p, body, 100), PARSE_BAD);
	ck_assert(p.overflow);
	arena_fini(&arena);
}
END_TEST

START_TEST(bad_chunks_are_refused)
{
	static const char *const bad[] = {
		"x\r\n", "-1\r\n", "3 \r\nabc\r\n", "3\nabc\r\n",
		"3\r\nabcd\r\n", "3\r\nabc\n0\r\n\r\n",
		"fffffffffffffffff\r\n", "0x3\r\nabc\r\n", "\r\n",
		"3;a=\"\x01\"\r\nabc\r\n", "0\r\nA : b\r\n\r\n",
	};
	static const char head[] = "POST / HTTP/1.1" H CRLF
				   "Transfer-Encoding: chunked" E;
	static char first[8192];
	struct arena arena;
	struct parse p;
	char text[64];
	size_t used, len;

	snprintf(text, sizeof(text), "%s", bad[_i]);
	arena_init(&arena, first, sizeof(first), 65536);
	parse_init_request(&p, &arena);
	ck_assert_int_eq(parse_head(&p, head, sizeof(head) - 1, &used),
			 PARSE_HEAD);
	ck_assert_int_eq(parse_chunked(&p, text, strlen(text), &used, &len),
			 PARSE_BAD);
	arena_fini(&arena);
}
END_TEST

/* Lines of an answer go on as they came, so they must end as lines do. */
START_TEST(answers_with_odd_lines_are_refused)
{
	static const char *const bad[] = {
		"HTTP/1.1 200 OK\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n\n",
		"HTTP/1.1 200 OK\r\nA: b\n\n",
		"HTTP/1.1 200 OK\r\n\n",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
	};
	static char first[8192];
	struct arena arena;
	struct parse p;
	size_t used;

	arena_init(&arena, first, sizeof(first), 65536);
	parse_init_response(&p, &arena);
	ck_assert_msg(parse_head(&p, bad[_i], strlen(bad[_i]), &used) !=
			      PARSE_HEAD || parse_check_response(&p),
		      "taken: %s", bad[_i]);
	arena_fini(&arena);
}
END_TEST

START_TEST(good_answers_are_taken)
{
	static const char *const good[] = {
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 \r\nA:b\r\nEmpty:\r\n\r\n",
		"HTTP/1.1 200\r\nA:  b \r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n",
	};
	static char first[8192];
	struct arena arena;
	struct parse p;
	size_t used;

	arena_init(&arena, first, sizeof(first), 65536);
	parse_init_response(&p, &arena);
	ck_assert_int_eq(parse_head(&p, good[_i], strlen(good[_i]), &used),
			 PARSE_HEAD);
	ck_assert_int_eq(parse_check_response(&p), 0);
	arena_fini(&arena);
}
END_TEST

START_TEST(hop_by_hop_fields_end_here)
{
	static const struct message_field f[] = {
		{ SPAN_LITERAL("Connection"), SPAN_LITERAL("close, X-Mine") },
		{ SPAN_LITERAL("X-Mine"), SPAN_LITERAL("1") },
		{ SPAN_LITERAL("X-Other"), SPAN_LITERAL("2") },
	};
	struct message_fields all = { f, ARRAY_SIZE(f) };

	ck_assert(parse_is_hop_by_hop(all, f[0].name, true));
	ck_assert(parse_is_hop_by_hop(all, f[1].name, true));
	ck_assert(!parse_is_hop_by_hop(all, f[2].name, true));
	ck_assert(parse_is_hop_by_hop(all, span_of("keep-alive"), false));
	ck_assert(parse_is_hop_by_hop(all, span_of("TE"), false));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("parse");
	TCase *t = tcase_create("parse");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, one_verdict_however_it_is_cut, 0,
			    ARRAY_SIZE(rows));
	tcase_add_test(t, chunks_are_gathered_in_place);
	tcase_add_test(t, trailers_that_may_go_on_are_kept);
	tcase_add_loop_test(t, bad_trailers_are_refused, 0, 7);
	tcase_add_test(t, trailers_are_bounded);
	tcase_add_loop_test(t, bad_chunks_are_refused, 0, 11);
	tcase_add_loop_test(t, answers_with_odd_lines_are_refused, 0, 8);
	tcase_add_loop_test(t, good_answers_are_taken, 0, 4);
	tcase_add_test(t, hop_by_hop_fields_end_here);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
