/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: formatted whole, then written to stderr by one write. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#define LINE_MAX_BYTES 16384u
#define NAME_MAX_BYTES 256u
#define CUT_MARK " [cut]"

static _Atomic int level_now = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

int
log_level_parse(const char *s)
{
	for (size_t i = 0; s && i < ARRAY_SIZE(level_names); i++)
		if (strcmp(s, level_names[i]) == 0)
			return (int)i;
	return -1;
}

static void
write_all(const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		at += n;
		len -= (size_t)n;
	}
}

/* The first `max` bytes, without cutting a UTF-8 sequence in two. */
static struct span
cut(struct span s, size_t max)
{
	if (s.len <= max)
		return s;
	s.len = max;
	while (s.len > 0 && ((unsigned char)s.at[s.len] & 0xc0) == 0x80)
		s.len--;
	return s;
}

static void
build(struct buf *line, enum log_level level, const char *id,
      const char *exchange, struct span msg)
{
	char time[CLOCK_RFC3339_SIZE];
	struct json j;

	buf_clear(line);
	json_init(&j, line);
	json_object_begin(&j);
	json_key(&j, "time");
	json_str(&j, clock_rfc3339(clock_wall_us(), time));
	json_key(&j, "level");
	json_str(&j, level_names[level]);
	json_key(&j, "id");
	json_span(&j, cut(span_of(id), NAME_MAX_BYTES));
	if (exchange) {
		json_key(&j, "exchange");
		json_span(&j, cut(span_of(exchange), NAME_MAX_BYTES));
	}
	json_key(&j, "msg");
	json_span(&j, msg);
	json_object_end(&j);
	buf_addc(line, '\n');
}

/* Escaping makes a text up to six times longer: one that does not fit is
 * halved until it does. text has room for the mark behind len. */
static void
write_line(enum log_level level, const char *id, const char *exchange,
	   char *text, size_t len)
{
	static const char no_memory[] =
		"{\"level\":\"error\",\"id\":\"log.no-memory\","
		"\"msg\":\"a log line was lost for lack of memory\"}\n";
	struct buf line = {0};

	build(&line, level, id, exchange, (struct span){ text, len });
	while (line.len > LINE_MAX_BYTES && len > 0) {
		len = cut((struct span){ text, len }, len / 2).len;
		memcpy(text + len, CUT_MARK, sizeof(CUT_MARK));
		build(&line, level, id, exchange,
		      (struct span){ text, len + strlen(CUT_MARK) });
	}
	if (line.failed)
		write_all(no_memory, sizeof(no_memory) - 1);
	else
		write_all(line.data, line.len);
	buf_fini(&line);
}

void
log_line(enum log_level level, const char *id, const char *exchange,
	 const char *fmt, ...)
{
	char text[LINE_MAX_BYTES + sizeof(CUT_MARK)];
	int saved = errno;
	va_list ap;
	int n;

	if ((int)level > atomic_load_explicit(&level_now, memory_order_relaxed))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, LINE_MAX_BYTES, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = snprintf(text, sizeof(text), "(message not printable)");
	if ((size_t)n >= LINE_MAX_BYTES)
		n = (int)LINE_MAX_BYTES - 1;
	write_line(level, id, exchange, text, (size_t)n);
	errno = saved;
}
