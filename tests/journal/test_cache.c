/* SPDX-License-Identifier: Apache-2.0 */
/* A growing journal does not fill the machine's memory with its past. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/journal/fixture.h"

#define MIB ((size_t)1 << 20)
#define EVENTS 32
#define KEPT (4 * MIB)
/* The step in which it drops, and what the log holds at most. */
#define SLACK (12 * MIB)
#define LIMIT (40 * MIB)

static char data[MIB + 1];

/* How much of the file's first `size` bytes the kernel holds. */
static size_t
resident_bytes(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	size_t pages = (size + page - 1) / page;
	unsigned char *is = calloc(pages, 1);
	int fd = open(fixture_path, O_RDONLY | O_CLOEXEC);
	void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	ck_assert(is && fd >= 0 && at != MAP_FAILED);
	ck_assert_int_eq(mincore(at, size, is), 0);
	for (size_t i = 0; i < pages; i++)
		n += (is[i] & 1) * page;
	munmap(at, size);
	close(fd);
	free(is);
	return n;
}

static void
fill(struct journal *j)
{
	memset(data, 'x', MIB);
	for (int i = 0; i < EVENTS; i++)
		ck_assert_int_eq(append_event(j, "a.v1", "s", data), i + 1);
}

START_TEST(old_part_is_forgotten)
{
	struct journal_options o = { .path = fixture_path,
				     .cache_bytes = (int64_t)KEPT };
	struct journal *j = journal_open(&o, NULL);
	uint64_t until = clock_mono_ms() + 10000;
	struct statfs fs;
	struct stat st;

	ck_assert_ptr_nonnull(j);
	fill(j);
	ck_assert_int_eq(stat(fixture_path, &st), 0);
	ck_assert_int_eq(statfs(fixture_path, &fs), 0);
	ck_assert_uint_gt((size_t)st.st_size, KEPT + SLACK);
	/* The drop follows the acknowledgement; tmpfs keeps everything. */
	while (fs.f_type != TMPFS_MAGIC &&
	       resident_bytes((size_t)st.st_size) > KEPT + SLACK)
		ck_assert_uint_lt(clock_mono_ms(), until);
	journal_close(&j);
}
END_TEST

/* Retention frees pages, and new events are written there. */
START_TEST(a_file_that_does_not_grow_is_forgotten)
{
	struct journal_options o = {
		.path = fixture_path, .cache_bytes = (int64_t)KEPT,
		.retention = { .bytes = (int64_t)(LIMIT) } };
	struct journal *j = journal_open(&o, NULL);
	struct statfs fs;
	struct stat st;
	int n = 0;

	ck_assert_ptr_nonnull(j);
	ck_assert_int_eq(statfs(fixture_dir, &fs), 0);
	memset(data, 'x', MIB);
	do {
		ck_assert_int_eq(append_event(j, "a.v1", "s", data), ++n);
		ck_assert_int_eq(stat(fixture_path, &st), 0);
		ck_assert_int_lt(n, 300);
	} while (n < 80 || (fs.f_type != TMPFS_MAGIC &&
			    resident_bytes((size_t)st.st_size) > LIMIT / 2));
	ck_assert_uint_lt((size_t)st.st_size, 2 * LIMIT);
	journal_close(&j);
}
END_TEST

static bool
check_row(void *arg, const struct journal_row *row)
{
	++*(int *)arg;
	return row->data.len == MIB;
}

START_TEST(what_was_forgotten_is_read_from_the_disk)
{
	struct journal_options o = { .path = fixture_path,
				     .cache_bytes = (int64_t)KEPT };
	struct journal *j = journal_open(&o, NULL);
	struct journal_reader *r;
	int64_t scanned;
	int n = 0;

	ck_assert_ptr_nonnull(j);
	fill(j);
	r = fixture_reader();
	ck_assert_int_eq(journal_read(r, 0, NULL, EVENTS, EVENTS, check_row,
				      &n, &scanned), EVENTS);
	journal_reader_close(&r);
	journal_close(&j);
}
END_TEST

TCase *
case_cache(void)
{
	TCase *c = tcase_create("cache");

	tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, old_part_is_forgotten);
	tcase_add_test(c, a_file_that_does_not_grow_is_forgotten);
	tcase_add_test(c, what_was_forgotten_is_read_from_the_disk);
	return c;
}
