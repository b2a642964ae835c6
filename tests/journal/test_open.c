/* SPDX-License-Identifier: Apache-2.0 */
/* journal/open.c and schema.c: who may open which file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/journal/fixture.h"

static void
refused(const char *words)
{
	struct journal_options o = { .path = fixture_path };
	struct error err = {0};

	ck_assert_ptr_null(journal_open(&o, &err));
	ck_assert_msg(strstr(err.text, words), "%s", err.text);
	ck_assert_msg(strstr(err.text, fixture_path), "%s", err.text);
}

START_TEST(creates_a_private_file)
{
	struct journal *j = fixture_open();
	struct stat st;
	char wal[128];

	ck_assert_str_eq(journal_path(j), fixture_path);
	ck_assert(journal_is_writable(j));
	ck_assert_int_eq(journal_last_sequence(j), 0);
	append_event(j, "a.v1", "", NULL);
	ck_assert_int_eq(stat(fixture_path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	snprintf(wal, sizeof(wal), "%s-wal", fixture_path);
	ck_assert_int_eq(stat(wal, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	journal_close(&j);
	ck_assert_ptr_null(j);
	journal_close(&j);
	ck_assert_str_eq(sql_text("PRAGMA page_size"), "16384");
	ck_assert_str_eq(sql_text("PRAGMA journal_mode"), "wal");
	ck_assert_int_ge(atoi(sql_text("PRAGMA user_version")), 1);
}
END_TEST

START_TEST(keeps_events_over_a_restart)
{
	struct journal *j = fixture_open();

	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 1);
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 2);
	journal_close(&j);
	j = fixture_open();
	ck_assert_int_eq(journal_last_sequence(j), 2);
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 3);
	journal_close(&j);
}
END_TEST

START_TEST(gives_no_number_twice)
{
	struct journal *j = fixture_open();

	append_event(j, "a.v1", "", NULL);
	append_event(j, "a.v1", "", NULL);
	journal_close(&j);
	sql_exec("DELETE FROM event");
	j = fixture_open();
	ck_assert_int_eq(append_event(j, "a.v1", "", NULL), 3);
	journal_close(&j);
}
END_TEST

START_TEST(refuses_a_second_opener)
{
	struct journal *j = fixture_open();
	char words[64];

	snprintf(words, sizeof(words), "in use by another matapalo (process "
		 "%ld)", (long)getpid());
	refused(words);
	journal_close(&j);
	j = fixture_open();
	journal_close(&j);
}
END_TEST

START_TEST(refuses_a_newer_file)
{
	struct journal *j = fixture_open();
	struct error err = {0};
	char words[128];

	journal_close(&j);
	snprintf(words, sizeof(words), "written by a newer matapalo (file "
		 "version 99, this program knows up to %s)",
		 sql_text("PRAGMA user_version"));
	sql_exec("PRAGMA user_version = 99");
	refused(words);
	ck_assert_ptr_null(journal_reader_open(fixture_path, &err));
	ck_assert_msg(strstr(err.text, "newer matapalo"), "%s", err.text);
	ck_assert_str_eq(sql_text("PRAGMA user_version"), "99");
}
END_TEST

START_TEST(refuses_other_files)
{
	FILE *f;

	sql_exec("CREATE TABLE t(a)");
	refused("not a journal");
	ck_assert_str_eq(sql_text("PRAGMA journal_mode"), "delete");
	f = fopen(fixture_path, "w");
	fputs("This is a letter to my aunt, and no database at all.", f);
	fclose(f);
	refused("file is not a database");
}
END_TEST

START_TEST(refuses_a_missing_directory)
{
	struct journal_options o = { .path = "no-such-dir/journal.db" };
	struct error err = {0};

	ck_assert_ptr_null(journal_open(&o, &err));
	ck_assert_msg(strstr(err.text, "No such file"), "%s", err.text);
	ck_assert_ptr_null(journal_reader_open(o.path, NULL));
}
END_TEST

TCase *
case_open(void)
{
	TCase *t = tcase_create("open");

	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, creates_a_private_file);
	tcase_add_test(t, keeps_events_over_a_restart);
	tcase_add_test(t, gives_no_number_twice);
	tcase_add_test(t, refuses_a_second_opener);
	tcase_add_test(t, refuses_a_newer_file);
	tcase_add_test(t, refuses_other_files);
	tcase_add_test(t, refuses_a_missing_directory);
	return t;
}
