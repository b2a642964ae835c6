/* SPDX-License-Identifier: Apache-2.0 */
/* A buffered HTTP/1.1 message reader over a blocking socket. */
#ifndef TESTS_TOOLS_STREAM_H
#define TESTS_TOOLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STREAM_SIZE 131072

/* One thread at a time. `tap` receives every byte that was read, before
 * anything looks at it; -1 for none. */
struct stream {
	int fd, tap;
	size_t at, len;
	char data[STREAM_SIZE];
};

/* What became of a body: its length, its CRC-32 and its first bytes. */
struct stream_body {
	uint64_t bytes;
	uint32_t crc;
	size_t kept;
	char first[4096];
};

void stream_init(struct stream *s, int fd, int tap);
/* stream_head returns a NUL-terminated message head (without the empty
 * line), the caller frees it; NULL at the end or on an error. */
char *stream_head(struct stream *s);
/* stream_header lends the value of a header line of head (up to CR), or
 * NULL; *len its length. */
const char *stream_header(const char *head, const char *name, size_t *len);
bool stream_header_has(const char *head, const char *name,
		       const char *token);
/* The three framings; 0, or -1 when the body was cut short. */
int stream_body_length(struct stream *s, uint64_t n, struct stream_body *b);
int stream_body_chunked(struct stream *s, struct stream_body *b);
int stream_body_to_end(struct stream *s, struct stream_body *b);
/* stream_body_framed reads what Content-Length or chunked announce. */
int stream_body_framed(struct stream *s, const char *head,
		       struct stream_body *b);
/* stream_write sends all n bytes; 0 or -1. */
int stream_write(int fd, const void *data, size_t n);

#endif
