/* SPDX-License-Identifier: Apache-2.0 */
/* Costs, as the kernel counts them. */
#include "tests/hundred/cost.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

bool
cost_memory_is_real(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return false;
#else
	return true;
#endif
}

/* In bytes; a row is given in kB. */
static size_t
status_row(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = strlen(name), kib = 0;
	char line[256];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			kib = strtoul(line + n + 1, NULL, 10);
	fclose(f);
	return kib * 1024;
}

/* proc(5): 5 sets the peak back to what there is now. */
static void
reset_peak(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "we");

	ck_assert_ptr_nonnull(f);
	fputs("5", f);
	fclose(f);
}

static uint64_t
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct cost
measure(void (*fn)(const void *arg), const void *arg)
{
	size_t before, peak;
	struct cost c;

	reset_peak();
	before = status_row("VmRSS");
	c.cpu_us = cpu_us();
	fn(arg);
	c.cpu_us = cpu_us() - c.cpu_us;
	peak = status_row("VmHWM");
	c.peak_bytes = peak > before ? peak - before : 0;
	return c;
}

struct cost
cost_of(void (*fn)(const void *arg), const void *arg)
{
	int fds[2], status;
	struct cost c;
	pid_t child;

	ck_assert_int_eq(pipe(fds), 0);
	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		c = measure(fn, arg);
		_exit(write(fds[1], &c, sizeof(c)) != sizeof(c));
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &c, sizeof(c)), sizeof(c));
	close(fds[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	return c;
}
