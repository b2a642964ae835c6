/* SPDX-License-Identifier: Apache-2.0 */
/* console/file.c: a new directory is on disk before anything in it is. */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "console/file.h"
#include "tests/console/scratch.h"

static struct stat synced;
static int syncs;

/* In place of the C library's: which file was it? */
int
fsync(int fd)
{
	syncs++;
	fstat(fd, &synced);
	return (int)syscall(SYS_fsync, fd);
}

static void
expect_synced(const char *dir)
{
	struct stat st;

	ck_assert_int_eq(syncs, 1);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_ino, synced.st_ino);
	syncs = 0;
}

START_TEST(a_new_directory_is_durable)
{
	char dir[SCRATCH_PATH], path[SCRATCH_PATH];
	struct error err = { 0 };
	struct stat st;

	scratch_make(dir);
	scratch_path(path, dir, "data");
	ck_assert_int_eq(directory_make(path, &err), 0);
	expect_synced(dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	/* A crash may have come between the two. */
	ck_assert_int_eq(directory_make(path, &err), 0);
	expect_synced(dir);
	ck_assert_int_eq(rmdir(path), 0);
	scratch_remove(dir);
}
END_TEST

START_TEST(what_cannot_be_made_is_named)
{
	struct error err = { 0 };

	ck_assert_int_eq(directory_make("/dev/null/data", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "/dev/null/data: cannot"));
	ck_assert_int_eq(syncs, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("file");
	TCase *tc = tcase_create("file");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, a_new_directory_is_durable);
	tcase_add_test(tc, what_cannot_be_made_is_named);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
