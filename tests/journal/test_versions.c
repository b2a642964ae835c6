/* SPDX-License-Identifier: Apache-2.0 */
/* journal/schema.c: a file of each released version, kept as SQL in
 * tests/journal/versions, is brought up to date and has all it had. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal/verify.h"
#include "tests/journal/fixture.h"

#define NOBODY 65534

static void
load_version(int version)
{
	const char *top = getenv("TOP_SRCDIR");
	static char sql[65536];
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/journal/versions/%d.sql",
		 top ? top : "..", version);
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s: keep a file of each version", path);
	n = fread(sql, 1, sizeof(sql) - 1, f);
	fclose(f);
	ck_assert_uint_lt(n, sizeof(sql) - 1);
	sql[n] = '\0';
	sql_exec(sql);
}

static int
newest_version(void)
{
	struct journal *j = fixture_open();

	journal_close(&j);
	return atoi(sql_text("PRAGMA user_version"));
}

static void
no_fault(void *arg, const struct journal_finding *f)
{
	(void)arg;
	ck_abort_msg("%s %lld-%lld %s", journal_fault_name(f->fault),
		     (long long)f->first, (long long)f->last, f->text);
}

static void
check_brought_up(int version)
{
	struct journal_report report;
	struct error err = {0};
	struct seen seen = {0};
	struct journal_reader *r;
	struct journal *j;

	j = fixture_open();
	ck_assert_int_eq(append_event(j, "new.v1", "", NULL), 5);
	journal_close(&j);
	ck_assert_int_eq(journal_verify(fixture_path, JOURNAL_VERIFY_ALL,
					no_fault, NULL, &report, &err), 0);
	ck_assert_int_eq(report.events, 5);
	r = fixture_reader();
	ck_assert_int_eq(journal_read(r, 0, NULL, 100, 100, seen_row, &seen,
				      NULL), 5);
	journal_reader_close(&r);
	ck_assert_str_eq(sql_text("SELECT reason FROM dead_letters"),
			 "poison");
	ck_assert_str_eq(sql_text("SELECT retrying FROM groups"), "1");
	ck_assert_str_eq(sql_text("SELECT count(*) FROM exchanges"), "3");
	ck_assert_str_eq(sql_text("SELECT count(*) FROM gaps"), "0");
	printf("version %d: fine\n", version);
}

static void
start_over(void)
{
	fixture_teardown();
	fixture_setup();
}

START_TEST(each_version_comes_up)
{
	int newest = newest_version(), version;
	struct error err = {0};

	for (version = 1; version <= newest; version++) {
		start_over();
		load_version(version);
		err = (struct error){0};
		if (version < newest) {
			ck_assert_ptr_null(journal_reader_open(fixture_path,
							       &err));
			ck_assert_msg(strstr(err.text, "older matapalo"),
				      "%s", err.text);
		}
		check_brought_up(version);
	}
}
END_TEST

/* Half a migration is none: the file stays what it was. */
START_TEST(a_failed_migration_changes_nothing)
{
	struct journal_options o = { .path = fixture_path };
	struct error err = {0};

	load_version(1);
	sql_exec("CREATE TABLE hold(stranger)");
	ck_assert_ptr_null(journal_open(&o, &err));
	ck_assert_msg(strstr(err.text, "it is unchanged"), "%s", err.text);
	ck_assert_str_eq(sql_text("SELECT count(*) FROM sqlite_master"
				  " WHERE name IN ('removed', 'gaps')"), "0");
	sql_exec("DROP TABLE hold");
	check_brought_up(1);
}
END_TEST

static int
as_nobody(const char *words)
{
	struct journal_options o = { .path = fixture_path };
	struct error err = {0};

	if (geteuid() == 0 && setuid(NOBODY) < 0)
		return 2;
	if (journal_open(&o, &err))
		return 1;
	if (strstr(err.text, words))
		return 0;
	fprintf(stderr, "%s\n", err.text);
	return 1;
}

static void
refused_to_nobody(const char *words)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(as_nobody(words));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

START_TEST(refuses_what_it_may_not_write)
{
	struct journal *j = fixture_open();
	char lock[128];

	append_event(j, "a.v1", "", NULL);
	journal_close(&j);
	snprintf(lock, sizeof(lock), "%s.lock", fixture_path);
	ck_assert_int_eq(chmod(fixture_path, 0444), 0);
	ck_assert_int_eq(chmod(lock, 0666), 0);
	ck_assert_int_eq(chmod(fixture_dir, 0777), 0);
	refused_to_nobody("may not be written; run as the user who owns it");
	ck_assert_int_eq(unlink(lock), 0);
	ck_assert_int_eq(chmod(fixture_dir, 0555), 0);
	refused_to_nobody("check that the data directory exists and may be "
			  "written");
	ck_assert_int_eq(chmod(fixture_dir, 0755), 0);
}
END_TEST

TCase *
case_versions(void)
{
	TCase *t = tcase_create("versions");

	tcase_add_checked_fixture(t, fixture_setup, fixture_teardown);
	tcase_add_test(t, each_version_comes_up);
	tcase_add_test(t, a_failed_migration_changes_nothing);
	tcase_add_test(t, refuses_what_it_may_not_write);
	return t;
}
