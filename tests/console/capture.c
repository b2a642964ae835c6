/* SPDX-License-Identifier: Apache-2.0 */
/* A command run inside the test, its output caught. */
#include "tests/console/capture.h"

#include <check.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "console/console.h"
#include "console/file.h"
#include "tests/console/scratch.h"

#define WORDS_MAX 32

/* Points a descriptor at a file; returns a copy of the old one. */
static int
divert(int fd, const char *path)
{
	int old = dup(fd), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(old, 0);
	ck_assert_int_ge(file, 0);
	dup2(file, fd);
	close(file);
	return old;
}

static void
restore(int fd, int old, const char *path, struct buf *text)
{
	dup2(old, fd);
	close(old);
	ck_assert_int_eq(file_read(path, 1 << 20, text, NULL), 0);
}

static int
run_nothing(const struct console_settings *s)
{
	printf("run data=%s\n", s->data);
	return 0;
}

static const struct console_program program = { .run = run_nothing };

void
capture_run(struct capture_output *o, const char *const *words)
{
	char dir[SCRATCH_PATH], out[SCRATCH_PATH], err[SCRATCH_PATH];
	char *argv[WORDS_MAX + 1] = { NULL };
	int argc = 0, old_out, old_err;

	for (; words[argc] && argc < WORDS_MAX; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	scratch_make(dir);
	scratch_path(out, dir, "out");
	scratch_path(err, dir, "err");
	fflush(stdout);
	old_out = divert(1, out);
	old_err = divert(2, err);
	o->status = console_main(argc, argv, &program);
	fflush(stdout);
	restore(1, old_out, out, &o->out);
	restore(2, old_err, err, &o->err);
	scratch_remove(dir);
}

void
capture_output_fini(struct capture_output *o)
{
	buf_fini(&o->out);
	buf_fini(&o->err);
}
