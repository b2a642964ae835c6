/* SPDX-License-Identifier: Apache-2.0 */
/* A buffered HTTP/1.1 message reader over a blocking socket. */
#include "tests/tools/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

void
stream_init(struct stream *s, int fd, int tap)
{
	s->fd = fd;
	s->tap = tap;
	s->at = s->len = 0;
}

int
stream_write(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Adds what the socket has; false at the end, on an error, or when full. */
static bool
fill(struct stream *s)
{
	ssize_t n;

	if (s->at > 0) {
		memmove(s->data, s->data + s->at, s->len - s->at);
		s->len -= s->at;
		s->at = 0;
	}
	if (s->len == sizeof(s->data))
		return false;
	do
		n = recv(s->fd, s->data + s->len, sizeof(s->data) - s->len, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	if (s->tap >= 0 &&
	    write(s->tap, s->data + s->len, (size_t)n) != n)
		abort();	/* a recording with holes proves nothing */
	s->len += (size_t)n;
	return true;
}

/* Reads up to and including `mark`; lends the bytes, *n without the mark. */
static const char *
read_until(struct stream *s, const char *mark, size_t *n)
{
	size_t mark_len = strlen(mark);

	for (;;) {
		const char *from = s->data + s->at;
		const char *hit = memmem(from, s->len - s->at, mark, mark_len);

		if (hit) {
			*n = (size_t)(hit - from);
			s->at += *n + mark_len;
			return from;
		}
		if (!fill(s))
			return NULL;
	}
}

char *
stream_head(struct stream *s)
{
	size_t n;
	const char *at = read_until(s, "\r\n\r\n", &n);

	return at ? strndup(at, n) : NULL;
}

const char *
stream_header(const char *head, const char *name, size_t *len)
{
	size_t n = strlen(name);
	const char *line = head;

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		line += n + 1;
		line += strspn(line, " \t");
		*len = strcspn(line, "\r");
		return line;
	}
	return NULL;
}

bool
stream_header_has(const char *head, const char *name, const char *token)
{
	size_t len, n = strlen(token);
	const char *at = stream_header(head, name, &len);

	for (; at && len >= n; at++, len--)
		if (strncasecmp(at, token, n) == 0)
			return true;
	return false;
}

static uint32_t
crc32_add(uint32_t crc, const char *data, size_t n)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
	};

	crc = ~crc;
	while (n-- > 0) {
		crc ^= (uint8_t)*data++;
		crc = nibble[crc & 15] ^ crc >> 4;
		crc = nibble[crc & 15] ^ crc >> 4;
	}
	return ~crc;
}

static void
body_add(struct stream_body *b, const char *data, size_t n)
{
	size_t room = sizeof(b->first) - b->kept;
	size_t keep = n < room ? n : room;

	memcpy(b->first + b->kept, data, keep);
	b->kept += keep;
	b->crc = crc32_add(b->crc, data, n);
	b->bytes += n;
}

int
stream_body_length(struct stream *s, uint64_t n, struct stream_body *b)
{
	while (n > 0) {
		size_t have = s->len - s->at;

		if (have == 0) {
			if (!fill(s))
				return -1;
			continue;
		}
		if (have > n)
			have = (size_t)n;
		body_add(b, s->data + s->at, have);
		s->at += have;
		n -= have;
	}
	return 0;
}

static int
skip_trailers(struct stream *s)
{
	size_t n;

	do
		if (!read_until(s, "\r\n", &n))
			return -1;
	while (n > 0);
	return 0;
}

int
stream_body_chunked(struct stream *s, struct stream_body *b)
{
	for (;;) {
		size_t n;
		const char *line = read_until(s, "\r\n", &n);
		uint64_t size = line ? strtoull(line, NULL, 16) : 0;

		if (!line)
			return -1;
		if (size == 0)
			return skip_trailers(s);
		if (stream_body_length(s, size, b) < 0 ||
		    !read_until(s, "\r\n", &n) || n != 0)
			return -1;
	}
}

int
stream_body_to_end(struct stream *s, struct stream_body *b)
{
	do {
		body_add(b, s->data + s->at, s->len - s->at);
		s->at = s->len;
	} while (fill(s));
	return 0;
}

int
stream_body_framed(struct stream *s, const char *head, struct stream_body *b)
{
	size_t len;
	const char *length = stream_header(head, "Content-Length", &len);

	if (stream_header_has(head, "Transfer-Encoding", "chunked"))
		return stream_body_chunked(s, b);
	if (length)
		return stream_body_length(s, strtoull(length, NULL, 10), b);
	return 0;
}
