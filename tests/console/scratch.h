/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch directory for the tests of the console. */
#ifndef TESTS_CONSOLE_SCRATCH_H
#define TESTS_CONSOLE_SCRATCH_H

#define SCRATCH_PATH 512

/* scratch_make creates an empty directory below TMPDIR and returns it;
 * scratch_remove takes it away with the files in it. */
const char *scratch_make(char out[SCRATCH_PATH]);
void scratch_remove(const char *dir);
/* scratch_path returns "dir/name" in out. */
const char *scratch_path(char out[SCRATCH_PATH], const char *dir,
			 const char *name);
void scratch_write(const char *path, const char *text);

#endif
