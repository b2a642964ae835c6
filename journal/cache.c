/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds what the kernel keeps of a growing file in memory. The newest part,
 * which consumers read, stays; the rest would push out what others need, and
 * memory that is used again costs less than memory that was never touched
 * (docs/decisions/0014-recording.md). */
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

void
journal_cache_drop(struct journal *j)
{
	struct stat file;
	int64_t end;
	int fd;

	if (stat(j->path, &file) < 0)
		return;
	end = (int64_t)file.st_size - j->cache_bytes;
	if (end < j->dropped_bytes + STEP_BYTES)
		return;
	fd = find_descriptor(&file);
	if (fd >= 0)
		(void)posix_fadvise(fd, j->dropped_bytes,
				    end - j->dropped_bytes,
				    POSIX_FADV_DONTNEED);
	j->dropped_bytes = end;
}
