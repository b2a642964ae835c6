/* SPDX-License-Identifier: Apache-2.0 */
/* What the test origin does for each path: well-behaved and not. */
#include "tests/tools/origin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATTERN 251	/* a prime: no chunk or page size divides it */

static void
wait_ms(unsigned long ms)
{
	struct timespec ts = { .tv_sec = (time_t)(ms / 1000),
			       .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static enum origin_after
after(int result)
{
	return result < 0 ? ORIGIN_CLOSE : ORIGIN_KEEP;
}

static int
send_text(struct origin_request *r, const char *text)
{
	return stream_write(r->fd, text, strlen(text));
}

static bool
is_head(const struct origin_request *r)
{
	return strcmp(r->method, "HEAD") == 0;
}

/* Status line and header lines; fields end in CRLF each, or are "". */
static int
send_head(struct origin_request *r, unsigned long status, const char *fields)
{
	char head[1024];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %lu Scripted\r\n"
		 "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
		 "Origin-Name: %s\r\n%s\r\n", status, r->name, fields);
	return send_text(r, head);
}

static int
send_length(struct origin_request *r, unsigned long status,
	    unsigned long length)
{
	char fields[96];

	snprintf(fields, sizeof(fields),
		 "Content-Type: application/octet-stream\r\n"
		 "Content-Length: %lu\r\n", length);
	return send_head(r, status, fields);
}

static int
send_answer(struct origin_request *r, unsigned long status, const char *type,
	    const char *body, size_t n)
{
	char fields[160];

	snprintf(fields, sizeof(fields),
		 "Content-Type: %s\r\nContent-Length: %zu\r\n", type, n);
	if (send_head(r, status, fields) < 0)
		return -1;
	return is_head(r) ? 0 : stream_write(r->fd, body, n);
}

/* Bytes `from` up to `to` of the endless pattern 0 1 2 .. 250 0 1 .. */
static int
send_pattern(struct origin_request *r, unsigned long from, unsigned long to)
{
	unsigned char block[PATTERN * 64];

	while (from < to) {
		unsigned long n = to - from;

		if (n > sizeof(block))
			n = sizeof(block);
		for (unsigned long i = 0; i < n; i++)
			block[i] = (unsigned char)((from + i) % PATTERN);
		if (stream_write(r->fd, block, n) < 0)
			return -1;
		from += n;
	}
	return 0;
}

static void
print_json(FILE *f, const char *s, size_t n)
{
	fputc('"', f);
	for (; n > 0; s++, n--) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void
print_headers(FILE *f, const char *head)
{
	const char *line = strstr(head, "\r\n");
	const char *comma = "";

	for (; line; line = strstr(line, "\r\n")) {
		size_t name, value;

		line += 2;
		name = strcspn(line, ":\r");
		fprintf(f, "%s[", comma);
		print_json(f, line, name);
		line += name + (line[name] == ':');
		line += strspn(line, " \t");
		value = strcspn(line, "\r");
		fputs(", ", f);
		print_json(f, line, value);
		fputc(']', f);
		comma = ", ";
	}
}

static enum origin_after
script_echo(struct origin_request *r)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int result;

	if (!f)
		return ORIGIN_CLOSE;
	fputs("{\"method\": ", f);
	print_json(f, r->method, strlen(r->method));
	fputs(", \"target\": ", f);
	print_json(f, r->target, strlen(r->target));
	fprintf(f, ", \"origin\": \"%s\", \"body_bytes\": %llu, "
		   "\"body_crc32\": %lu, \"body\": ", r->name,
		(unsigned long long)r->body.bytes, (unsigned long)r->body.crc);
	print_json(f, r->body.first, r->body.kept);
	fputs(", \"headers\": [", f);
	print_headers(f, r->head);
	fputs("]}\n", f);
	fclose(f);
	result = send_answer(r, 200, "application/json", text, n);
	free(text);
	return after(result);
}

/* The load driver looks for its own number in the answer. */
static enum origin_after
script_number(struct origin_request *r)
{
	return after(send_answer(r, 200, "text/plain", r->target,
				 strlen(r->target)));
}

static enum origin_after
script_bytes(struct origin_request *r)
{
	if (send_length(r, 200, r->argument) < 0)
		return ORIGIN_CLOSE;
	return is_head(r) ? ORIGIN_KEEP
			  : after(send_pattern(r, 0, r->argument));
}

static enum origin_after
script_chunked(struct origin_request *r)
{
	unsigned long at = 0, n;
	char line[32];

	if (send_head(r, 200, "Transfer-Encoding: chunked\r\n") < 0)
		return ORIGIN_CLOSE;
	if (is_head(r))
		return ORIGIN_KEEP;
	for (; at < r->argument; at += n) {
		n = r->argument - at < 8000 ? r->argument - at : 8000;
		snprintf(line, sizeof(line), "%lx\r\n", n);
		if (send_text(r, line) < 0 || send_pattern(r, at, at + n) < 0 ||
		    send_text(r, "\r\n") < 0)
			return ORIGIN_CLOSE;
	}
	return after(send_text(r, "0\r\n\r\n"));
}

static enum origin_after
script_until_close(struct origin_request *r)
{
	if (send_head(r, 200, "Connection: close\r\n") == 0)
		send_pattern(r, 0, r->argument);
	return ORIGIN_CLOSE;
}

static enum origin_after
script_http10(struct origin_request *r)
{
	send_text(r, "HTTP/1.0 200 Old\r\nContent-Type: text/plain\r\n\r\nold");
	return ORIGIN_CLOSE;
}

static enum origin_after
script_slow_head(struct origin_request *r)
{
	wait_ms(r->argument);
	return after(send_answer(r, 200, "text/plain", "slow", 4));
}

static enum origin_after
script_slow_body(struct origin_request *r)
{
	if (send_length(r, 200, 2000) < 0 || send_pattern(r, 0, 1000) < 0)
		return ORIGIN_CLOSE;
	wait_ms(r->argument);
	return after(send_pattern(r, 1000, 2000));
}

static enum origin_after
script_close(struct origin_request *r)
{
	(void)r;
	return ORIGIN_CLOSE;
}

static enum origin_after
script_reset(struct origin_request *r)
{
	(void)r;
	return ORIGIN_RESET;
}

static enum origin_after
script_close_mid(struct origin_request *r)
{
	if (send_length(r, 200, r->argument) == 0)
		send_pattern(r, 0, r->argument / 2);
	return ORIGIN_CLOSE;
}

static enum origin_after
script_cut_chunk(struct origin_request *r)
{
	send_head(r, 200, "Transfer-Encoding: chunked\r\n");
	send_text(r, "5\r\nhello\r\n");
	return ORIGIN_CLOSE;
}

static enum origin_after
script_status(struct origin_request *r)
{
	unsigned long status = r->argument;

	if (status == 204 || status == 304)
		return after(send_head(r, status, "ETag: \"x\"\r\n"));
	return after(send_answer(r, status, "text/plain", "status", 6));
}

/* RFC 9110 8.6: a length that no body follows, and then one that does. */
static enum origin_after
script_head_lie(struct origin_request *r)
{
	if (send_length(r, 200, 5) < 0)
		return ORIGIN_CLOSE;
	return after(send_text(r, "LIARS"));
}

static enum origin_after
script_extra(struct origin_request *r)
{
	if (send_answer(r, 200, "text/plain", "right", 5) < 0)
		return ORIGIN_CLOSE;
	return after(send_text(r, "HTTP/1.1 200 Smuggled\r\n"
				  "Content-Length: 5\r\n\r\nwrong"));
}

static enum origin_after
script_two_lengths(struct origin_request *r)
{
	send_head(r, 200, "Content-Length: 5\r\nContent-Length: 6\r\n");
	send_text(r, "hello!");
	return ORIGIN_CLOSE;
}

static enum origin_after
script_garbage(struct origin_request *r)
{
	send_text(r, "SSH-2.0-NotHTTP\r\n\r\n");
	return ORIGIN_CLOSE;
}

static enum origin_after
script_hop(struct origin_request *r)
{
	if (send_head(r, 200, "Connection: X-Private\r\nX-Private: 1\r\n"
			      "Keep-Alive: timeout=9\r\nX-Public: 2\r\n"
			      "Content-Length: 3\r\n") < 0)
		return ORIGIN_CLOSE;
	return after(is_head(r) ? 0 : send_text(r, "hop"));
}

static enum origin_after
script_hints(struct origin_request *r)
{
	if (send_text(r, "HTTP/1.1 103 Early Hints\r\n"
			 "Link: </a.css>; rel=preload\r\n\r\n") < 0)
		return ORIGIN_CLOSE;
	return after(send_answer(r, 200, "text/plain", "hinted", 6));
}

static enum origin_after
script_early(struct origin_request *r)
{
	send_answer(r, 413, "text/plain", "no", 2);
	wait_ms(50);	/* a reset must not overtake the answer */
	return ORIGIN_CLOSE;
}

static enum origin_after
script_big_head(struct origin_request *r)
{
	char line[128];

	send_text(r, "HTTP/1.1 200 Big\r\nContent-Length: 3\r\n");
	for (unsigned long i = 0; i < r->argument; i++) {
		snprintf(line, sizeof(line), "X-Filler-%05lu: %064lu\r\n", i,
			 i);
		if (send_text(r, line) < 0)
			return ORIGIN_CLOSE;
	}
	return after(send_text(r, "\r\nbig"));
}

static enum origin_after
script_count(struct origin_request *r)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%lu", origin_requests());

	return after(send_answer(r, 200, "text/plain", text, (size_t)n));
}

static const struct origin_script scripts[] = {
	{ "/bytes/", script_bytes, "N bytes, Content-Length", false },
	{ "/chunked/", script_chunked, "N bytes in chunks of 8000", false },
	{ "/until-close/", script_until_close, "N bytes, then close", false },
	{ "/http10", script_http10, "an HTTP/1.0 answer", false },
	{ "/slow-head/", script_slow_head, "answers after N ms", false },
	{ "/slow-body/", script_slow_body, "pauses N ms in the body", false },
	{ "/close-before", script_close, "closes without answer", false },
	{ "/close-mid/", script_close_mid, "closes after N/2 of N", false },
	{ "/cut-chunk", script_cut_chunk, "no last chunk", false },
	{ "/reset", script_reset, "resets without answer", false },
	{ "/status/", script_status, "answers with status N", false },
	{ "/head-lie", script_head_lie, "a body even to HEAD", false },
	{ "/extra", script_extra, "bytes after the answer", false },
	{ "/two-lengths", script_two_lengths, "differing lengths", false },
	{ "/garbage", script_garbage, "not HTTP", false },
	{ "/hop", script_hop, "hop-by-hop fields", false },
	{ "/hints", script_hints, "103, then 200", false },
	{ "/early", script_early, "413 before reading the body", true },
	{ "/big-head/", script_big_head, "N header lines", false },
	{ "/count", script_count, "requests so far", false },
	{ "/x?", script_number, "the target as text", false },
	{ "/orders?", script_number, "the target as text", false },
	{ "/", script_echo, "the request as JSON", false }
};

const struct origin_script *
origin_script_find(const char *target)
{
	const struct origin_script *s = scripts;

	for (; strcmp(s->path, "/") != 0; s++)
		if (strncmp(target, s->path, strlen(s->path)) == 0)
			return s;
	return s;
}

void
origin_script_list(void)
{
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		printf("  %-15s %s\n", scripts[i].path, scripts[i].help);
}
