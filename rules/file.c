/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the files that a rules file names, once, at its load. */
#include "rules/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT_BYTES ((size_t)2 << 20)

static const char *
resolve_path(struct rules_load *l, const char *path)
{
	const char *file = l->rules->path;
	const char *slash = file ? strrchr(file, '/') : NULL;
	char full[4096];

	if (*path == '/' || !slash)
		return load_copy(l, path);
	snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - file), file,
		 path);
	return load_copy(l, full);
}

static int
read_into(int fd, char *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, to + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	return have == size ? 0 : -1;
}

static int
read_text(struct rules_load *l, const struct rules_node *at, int fd,
	  struct rules_file *out)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return load_fail(l, at, "%s is not a regular file", out->path);
	if ((size_t)st.st_size > FILE_LIMIT_BYTES)
		return load_fail(l, at, "%s is larger than %zu MiB", out->path,
				 FILE_LIMIT_BYTES >> 20);
	text = load_alloc(l, (size_t)st.st_size + 1, 1);
	if (!text)
		return -1;
	if (read_into(fd, text, (size_t)st.st_size))
		return load_fail(l, at, "%s cannot be read: %s", out->path,
				 strerror(errno));
	out->text = (struct span){ text, (size_t)st.st_size };
	return 0;
}

int
file_load(struct rules_load *l, const struct rules_node *at,
	  struct rules_file *out)
{
	int fd, result;

	out->path = resolve_path(l, json_string_value(at->value));
	if (!out->path)
		return -1;
	out->line = rules_position_of(l->text, at).line;
	fd = open(out->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return load_fail(l, at, "%s cannot be opened: %s", out->path,
				 strerror(errno));
	result = read_text(l, at, fd, out);
	close(fd);
	return result;
}
