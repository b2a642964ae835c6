/* SPDX-License-Identifier: Apache-2.0 */
/* The reference adapter: one CloudEvent a line, on the standard output or
 * appended to a file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/buf.h"
#include "base/json.h"

/* A reader that takes nothing for so long counts as gone for now. */
#define STALL_MS 5000

extern const struct adapter_ops adapter_stdout;

struct lines {
	int fd;
	bool is_file;		/* ours to close and to fsync */
	size_t event_bytes;	/* larger ones go without their data */
	bool torn;		/* the last byte written ended no line */
	struct buf pending;
};

static const char *
setting_of(const struct adapter_config *c, const char *key)
{
	for (size_t i = 0; i < c->setting_count; i++)
		if (strcmp(c->settings[i].key, key) == 0)
			return c->settings[i].value;
	return NULL;
}

static int
check_data(const struct adapter_config *c, const struct adapter_setting *s,
	   struct error *err)
{
	if (s->value && (strcmp(s->value, "inline") == 0 ||
			 strcmp(s->value, "reference") == 0))
		return 0;
	return error_set(err, "adapter %s (stdout): \"data\" is \"inline\" "
			 "or \"reference\"", c->name);
}

static int
stdout_check(const struct adapter_config *c, struct error *err)
{
	for (size_t i = 0; i < c->setting_count; i++) {
		const struct adapter_setting *s = &c->settings[i];

		if (strcmp(s->key, "data") == 0) {
			if (check_data(c, s, err) < 0)
				return -1;
			continue;
		}
		if (strcmp(s->key, "file") != 0)
			return error_set(err, "adapter %s (stdout) has no "
					 "setting \"%s\"; it knows: file, data",
					 c->name, s->key);
		if (!s->value || !*s->value)
			return error_set(err, "adapter %s (stdout): \"file\" "
					 "is empty: name a file, or leave it "
					 "out for the standard output",
					 c->name);
	}
	return 0;
}

/* A file that a crash left in mid-line gets its line ended first. */
static bool
ends_in_mid_line(int fd)
{
	struct stat st;
	char last = '\n';

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	return pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

static void *
stdout_open(const struct adapter_config *c, struct error *err)
{
	const char *file = setting_of(c, "file");
	const char *data = setting_of(c, "data");
	struct lines *l = calloc(1, sizeof(*l));

	if (!l) {
		error_set(err, "no memory");
		return NULL;
	}
	l->event_bytes = data && strcmp(data, "reference") == 0
				 ? BUS_EVENT_BYTES
				 : BUS_EVENT_ANY;
	l->fd = STDOUT_FILENO;
	if (!file)
		return l;
	l->is_file = true;
	l->fd = open(file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (l->fd < 0) {
		error_set(err, "cannot append to %s: %s", file,
			  strerror(errno));
		free(l);
		return NULL;
	}
	l->torn = ends_in_mid_line(l->fd);
	return l;
}

static int
wait_writable(int fd, struct error *err)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n = poll(&p, 1, STALL_MS);

	if (n == 0)
		return error_set(err, "the reader took nothing for %d ms",
				 STALL_MS);
	if (n < 0 && errno != EINTR)
		return error_set(err, "cannot write: %s", strerror(errno));
	return 0;
}

/* At most PIPE_BUF at a time: after poll, that much cannot block on a pipe,
 * so that a reader that hangs cannot hold the thread. */
static int
write_all(struct lines *l, const char *at, size_t n, struct error *err)
{
	while (n > 0) {
		size_t part = l->is_file || n < PIPE_BUF ? n : PIPE_BUF;
		ssize_t w;

		if (wait_writable(l->fd, err) != 0)
			return -1;
		w = write(l->fd, at, part);
		if (w < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (w < 0 && errno == EPIPE)
			return error_set(err, "the reader has closed the "
					 "pipe");
		if (w < 0)
			return error_set(err, "cannot write: %s",
					 strerror(errno));
		l->torn = at[w - 1] != '\n';
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

/* What could not be written is forgotten: the host delivers it again, on a
 * line of its own. */
static int
drain(struct lines *l, struct error *err)
{
	int r = 0;

	if (l->pending.len && l->torn)
		r = write_all(l, "\n", 1, err);
	if (r == 0)
		r = write_all(l, l->pending.data, l->pending.len, err);
	buf_clear(&l->pending);
	return r;
}

static enum adapter_verdict
stdout_deliver(void *self, const struct bus_event *e, struct error *err)
{
	struct lines *l = self;
	struct json j;

	json_init(&j, &l->pending);
	bus_write_cloudevent_within(&j, &e->row, l->event_bytes);
	buf_addc(&l->pending, '\n');
	if (l->pending.failed) {
		error_set(err, "no memory for a line");
		return ADAPTER_RETRY;
	}
	return ADAPTER_OK;
}

static int
stdout_flush(void *self, struct error *err)
{
	struct lines *l = self;

	if (l->pending.failed) {
		buf_clear(&l->pending);
		return error_set(err, "no memory for a batch");
	}
	if (drain(l, err) != 0)
		return -1;
	/* A special file (a pipe, /dev/null) has nothing to sync. */
	if (l->is_file && fsync(l->fd) != 0 && errno != EINVAL)
		return error_set(err, "fsync: %s", strerror(errno));
	return 0;
}

static void
stdout_close(void *self)
{
	struct lines *l = self;

	if (l->is_file)
		close(l->fd);
	buf_fini(&l->pending);
	free(l);
}

const struct adapter_ops adapter_stdout = {
	.kind = "stdout",
	.help = "One CloudEvent a line on the standard output; \"file\" "
		"appends to a file instead.",
	.check = stdout_check,
	.open = stdout_open,
	.deliver = stdout_deliver,
	.flush = stdout_flush,
	.close = stdout_close,
};
