/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch directory for the tests of the console. */
#include "tests/console/scratch.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *
scratch_make(char out[SCRATCH_PATH])
{
	const char *base = getenv("TMPDIR");

	snprintf(out, SCRATCH_PATH, "%s/matapalo-console-XXXXXX",
		 base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(out));
	return out;
}

void
scratch_remove(const char *dir)
{
	char path[SCRATCH_PATH];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlink(scratch_path(path, dir, e->d_name));
	if (d)
		closedir(d);
	rmdir(dir);
}

const char *
scratch_path(char out[SCRATCH_PATH], const char *dir, const char *name)
{
	ck_assert_int_lt(snprintf(out, SCRATCH_PATH, "%s/%s", dir, name),
			 SCRATCH_PATH);
	return out;
}

void
scratch_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}
