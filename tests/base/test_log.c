/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of base/log.c: stderr is caught in a file. */
#include "tests/base/suites.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

#define LINE_MAX_BYTES 16384

static char line[3 * LINE_MAX_BYTES];
static int caught = -1, real_stderr = -1;

static void
catch_stderr(void)
{
	char name[] = "/tmp/matapalo-log-XXXXXX";

	caught = mkstemp(name);
	ck_assert_int_ge(caught, 0);
	unlink(name);
	real_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(caught, STDERR_FILENO), 0);
}

static void
release_stderr(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(caught);
}

/* What was logged since the last call. */
static const char *
logged(void)
{
	ssize_t n = pread(caught, line, sizeof(line) - 1, 0);

	ck_assert_int_ge(n, 0);
	line[n] = '\0';
	ck_assert_int_eq(ftruncate(caught, 0), 0);
	lseek(caught, 0, SEEK_SET);
	return line;
}

/* One line, ended by "}\n, without a raw control byte, valid UTF-8. */
static void
assert_well_formed(const char *s)
{
	size_t n = strlen(s);
	int controls = 0;

	ck_assert_uint_le(n, LINE_MAX_BYTES);
	ck_assert_uint_gt(n, 3);
	ck_assert_int_eq(strncmp(s, "{\"time\":\"", 9), 0);
	ck_assert_str_eq(s + n - 3, "\"}\n");
	ck_assert(json_is_utf8((struct span){ s, n }));
	for (size_t i = 0; i < n - 1; i++)
		controls += (unsigned char)s[i] < 0x20 || s[i] == 0x7f;
	ck_assert_int_eq(controls, 0);
}

START_TEST(writes_one_object)
{
	const char *s;

	errno = EBADF;
	log_line(LOG_LEVEL_WARN, "rules.reload-failed", "0189-x", "%s: \"%d\"",
		 "a", 3);
	ck_assert_int_eq(errno, EBADF);
	s = logged();
	assert_well_formed(s);
	ck_assert_ptr_nonnull(strstr(s,
		"Z\",\"level\":\"warn\",\"id\":\"rules.reload-failed\","
		"\"exchange\":\"0189-x\",\"msg\":\"a: \\\"3\\\"\"}\n"));
	log_info("a.b", "no exchange");
	ck_assert_ptr_nonnull(strstr(logged(),
		"\"id\":\"a.b\",\"msg\":\"no exchange\"}\n"));
}
END_TEST

START_TEST(keeps_errno_when_nobody_reads)
{
	close(STDERR_FILENO);	/* release_stderr opens it again */
	errno = ENOENT;
	log_error("a.b", "lost");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(obeys_the_level)
{
	log_debug("a.b", "quiet by default");
	ck_assert_str_eq(logged(), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("a.b", "now");
	ck_assert_str_ne(logged(), "");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("a.b", "quiet");
	ck_assert_str_eq(logged(), "");
	log_error("a.b", "always");
	ck_assert_str_ne(logged(), "");
}
END_TEST

START_TEST(cannot_be_forged)
{
	log_error("a.b", "%s", "x\n{\"level\":\"info\"}\r\x1b[2J\xc2\x9b\xff");
	assert_well_formed(logged());
	ck_assert_ptr_nonnull(strstr(line,
		"x\\n{\\\"level\\\":\\\"info\\\"}\\r\\u001b[2J\\u009b"
		"\xef\xbf\xbd"));
}
END_TEST

START_TEST(long_lines_are_cut)
{
	static const char *const fills[] = { "x", "\x01", "\xe2\x82\xac", "\"",
					     "\xff" };
	static char text[40000];

	for (size_t i = 0; i < ARRAY_SIZE(fills); i++)
		for (size_t n = 2600; n < sizeof(text) - 4; n += 1733) {
			size_t w = strlen(fills[i]);

			for (size_t k = 0; k < n; k += w)
				memcpy(text + k, fills[i], w + 1);
			log_error("a.b", "%s", text);
			assert_well_formed(logged());
		}
	ck_assert_ptr_nonnull(strstr(line, " [cut]\"}\n"));
}
END_TEST

START_TEST(long_names_are_cut)
{
	char name[5000];

	memset(name, '\x02', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_line(LOG_LEVEL_ERROR, name, name, "short");
	assert_well_formed(logged());
	ck_assert_ptr_nonnull(strstr(line, "\"msg\":\"short\"}\n"));
}
END_TEST

START_TEST(parses_levels)
{
	ck_assert_int_eq(log_level_parse("error"), LOG_LEVEL_ERROR);
	ck_assert_int_eq(log_level_parse("warn"), LOG_LEVEL_WARN);
	ck_assert_int_eq(log_level_parse("info"), LOG_LEVEL_INFO);
	ck_assert_int_eq(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	ck_assert_int_eq(log_level_parse("Debug"), -1);
	ck_assert_int_eq(log_level_parse(""), -1);
	ck_assert_int_eq(log_level_parse(NULL), -1);
}
END_TEST

TCase *
log_tests(void)
{
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, catch_stderr, release_stderr);
	tcase_add_test(tc, writes_one_object);
	tcase_add_test(tc, keeps_errno_when_nobody_reads);
	tcase_add_test(tc, obeys_the_level);
	tcase_add_test(tc, cannot_be_forged);
	tcase_add_test(tc, long_lines_are_cut);
	tcase_add_test(tc, long_names_are_cut);
	tcase_add_test(tc, parses_levels);
	tcase_set_timeout(tc, 60);
	return tc;
}
