/* SPDX-License-Identifier: Apache-2.0 */
/* Small files: read whole, replaced whole; and directories. */
#include "console/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 4096

static int
read_all(int fd, size_t limit_bytes, struct buf *out)
{
	const size_t start = out->len;

	for (;;) {
		char *room = buf_reserve(out, CHUNK_BYTES);
		ssize_t n;

		if (!room) {
			errno = ENOMEM;
			return -1;
		}
		n = read(fd, room, CHUNK_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		out->len += (size_t)n;
		if (out->len - start > limit_bytes) {
			errno = EFBIG;
			return -1;
		}
	}
}

int
file_read(const char *path, size_t limit_bytes, struct buf *out,
	  struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : read_all(fd, limit_bytes, out);

	if (result)
		error_set(err, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return result;
}

static int
write_all(int fd, struct span text)
{
	while (text.len) {
		ssize_t n = write(fd, text.at, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text.at += n;
		text.len -= (size_t)n;
	}
	return 0;
}

int
file_replace(const char *path, struct span text, struct error *err)
{
	char temporary[4096];
	int fd, result;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >=
	    (int)sizeof(temporary))
		return error_set(err, "%s: the path is too long", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, "%s: %s", temporary, strerror(errno));
	result = write_all(fd, text);
	if (close(fd) || result || rename(temporary, path)) {
		error_set(err, "%s: %s", path, strerror(errno));
		unlink(temporary);
		return -1;
	}
	return 0;
}

static int
sync_parent(const char *path)
{
	char copy[4096];
	int fd, rc;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? -1 : fsync(fd);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* One that is there may be new all the same: a crash came in between. Its
 * parent may well be nobody's business, though. */
int
directory_make(const char *path, struct error *err)
{
	if (mkdir(path, 0700) < 0) {
		if (errno != EEXIST)
			return error_set(err, "%s: cannot be made: %s", path,
					 strerror(errno));
		(void)sync_parent(path);
		return 0;
	}
	if (sync_parent(path) < 0)
		return error_set(err, "%s: its parent directory cannot be "
				 "made durable: %s", path, strerror(errno));
	return 0;
}
