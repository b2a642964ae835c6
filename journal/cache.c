/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds what the kernel keeps of the file in memory. The newest part of one
 * that grows, which consumers read, stays; the rest would push out what others
 * need, and memory that is used again costs less than memory that was never
 * touched (docs/decisions/0014-recording.md). */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "journal/internal.h"

#define STEP_BYTES ((int64_t)4 << 20)

static bool
is_file(int fd, const struct stat *file)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == file->st_dev &&
	       st.st_ino == file->st_ino;
}

/* SQLite's descriptor, or a reader's. One of our own could never be closed:
 * that would drop every lock that this process has on the file. */
static int
find_descriptor(const struct stat *file)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (fd > 0 && fd != dirfd(dir) && is_file(fd, file))
			found = fd;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* What retention has freed is written to again, anywhere: the file does not
 * grow then, and would come to lie in memory as a whole. */
static void
count_rewritten(struct journal *j, int64_t grown)
{
	int64_t written = j->wal_bytes - j->wal_seen;

	if (written < 0)	/* the log has started over */
		written = j->wal_bytes;
	j->wal_seen = j->wal_bytes;
	j->rewritten_bytes += written - grown;
	if (j->rewritten_bytes < 0)
		j->rewritten_bytes = 0;
}

static void
drop(struct journal *j, const struct stat *file, int64_t from, int64_t end)
{
	int fd = find_descriptor(file);

	if (fd >= 0)
		(void)posix_fadvise(fd, from, end - from,
				    POSIX_FADV_DONTNEED);
	j->dropped_bytes = end;
}

void
journal_cache_drop(struct journal *j)
{
	struct stat file;
	int64_t end;

	if (stat(j->path, &file) < 0)
		return;
	end = (int64_t)file.st_size - j->cache_bytes;
	count_rewritten(j, (int64_t)file.st_size - j->file_seen);
	j->file_seen = (int64_t)file.st_size;
	if (end > 0 && j->rewritten_bytes >= j->cache_bytes) {
		j->rewritten_bytes = 0;
		drop(j, &file, 0, end);
	} else if (end >= j->dropped_bytes + STEP_BYTES) {
		drop(j, &file, j->dropped_bytes, end);
	}
}
