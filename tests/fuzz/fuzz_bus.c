/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that are nearly right, made member by member, for fuzz_frame.c.
 * FUZZ_FRAMES says how many, FUZZ_SEED which. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "tests/fuzz/fuzz.h"

#define FRAMES "5000"
#define LINES_MOST 10
#define INPUT_MAX (1u << 20)
#define LONG_TEXT 70000
#define DEEP 3000
#define WANTED_ALWAYS 3	/* without these little happens */

static struct {
	uint64_t random;
	size_t len;
	uint8_t at[INPUT_MAX];
} input;

static uint32_t
below(uint32_t n)
{
	input.random ^= input.random << 13;
	input.random ^= input.random >> 7;
	input.random ^= input.random << 17;
	return (uint32_t)(input.random >> 32) % n;
}

static void
put(const char *text)
{
	size_t n = strlen(text);

	if (n > INPUT_MAX - input.len)
		n = INPUT_MAX - input.len;
	memcpy(input.at + input.len, text, n);
	input.len += n;
}

static void
put_times(const char *text, unsigned n)
{
	while (n--)
		put(text);
}

/* ---- what a request may have ---- */

#define COUNTS "0", "1", "5", "100"
#define LISTS "[1]", "[1,2,3]", "[[1,9]]", "[2,[3,7],2]", "[[9,1]]", "[]"
#define IDS "\"018f0000-0000-7000-8000-000000000001\"",                       \
	    "\"018f0000-0000-7000-8000-000000000002\"", "\"018f\""

static const struct member {
	const char *name;
	const char *values[8];
} members[] = {
	{ "group", { "\"g\"", "\"g2\"", "\"g-own\"", "\"h\"" } },
	{ "consumer", { "\"c\"", "\"d\"" } },
	{ "token", { "\"the-token-of-the-fuzzer\"",
		     "\"the-token-of-the-fuzzer\"",
		     "\"the-token-of-the-fuzzer\"",
		     "\"the-token-of-the-fuzzes\"" } },
	{ "max", { COUNTS } },
	{ "wait_ms", { "0", "1", "30000" } },
	{ "request", { "\"r\"", "\"r2\"" } },
	{ "acks", { LISTS } },
	{ "naks", { LISTS } },
	{ "sequence", { "1", "2", "3", "9", "40" } },
	{ "sequences", { LISTS } },
	{ "delay_ms", { COUNTS } },
	{ "reason", { "\"why\"", "\"\"" } },
	{ "filter", { "{}", "{\"type\":\"a.*\"}", "{\"shadow\":true}",
		      "{\"type\":\"a.*,!a.c.**\",\"subject\":\"s/*\"}",
		      "{\"reason\":\"why\",\"since\":\"2026-01-05T10:00:00Z\"}",
		      "{\"until\":\"2099-01-05T10:00:00Z\"}" } },
	{ "start", { "\"oldest\"", "\"newest\"", "1",
		     "\"2026-01-05T10:00:00Z\"" } },
	{ "lease_ms", { "10", "30000", "86400000" } },
	{ "max_in_flight", { "1", "1000" } },
	{ "max_attempts", { "1", "5" } },
	{ "backoff_ms", { "[]", "[1,2]", "[1000]" } },
	{ "rate", { "0", "1000", "1000000" } },
	{ "speed", { "1", "100" } },
	{ "update", { "true", "false" } },
	{ "id", { "1", "2", "9", IDS } },
	{ "type", { "\"a.b.v1\"", "\"a.c.v1\"" } },
	{ "subject", { "\"s/1\"", "\"s/2\"" } },
	{ "partitionkey", { "\"k\"", "\"l\"" } },
	{ "data", { "{\"n\":1}", "[1,{\"a\":[]}]", "null", "\"text\"" } },
	{ "events", { "[]", "[{\"type\":\"a.b.v1\"}]",
		      "[{\"type\":\"a.b.v1\",\"data\":1},{\"type\":1}]",
		      "[{\"type\":\"a.b.v1\",\"data\":{\"n\":[1]}},"
		      "{\"data\":\"t\",\"type\":\"a.b.v1\","
		      "\"datacontenttype\":\"text/xml\"}]",
		      "[{\"type\":\"a.c.v1\",\"subject\":\"s\",\"id\":7}]",
		      "[{\"type\":\"a.b.v1\",\"id\":"
		      "\"018f0000-0000-7000-8000-000000000001\"},{\"id\":"
		      "\"018f0000-0000-7000-8000-000000000001\",\"type\":"
		      "\"a.c.v1\"},{\"type\":\"a.c.v1\"}]",
		      "[1,[],{}]" } },
	{ "each", { "true", "true", "false", "1" } },
	{ "correlationid", { IDS } },
	{ "causationid", { IDS } },
	{ "status", { "200", "100", "599" } },
	{ "headers", { "{}", "{\"x\":[\"a\",\"b\"]}", "{\"x\":1}" } },
	{ "json", { "{\"a\":1}", "[]" } },
	{ "body", { "\"text\"" } },
	{ "body_base64", { "\"aGk=\"", "\"=\"" } },
	{ "after", { COUNTS } },
	{ "to", { "\"oldest\"", "\"newest\"", "1", "7",
		  "\"2026-01-05T10:00:00Z\"" } },
	{ "from", { "\"oldest\"", "\"newest\"", "1", "7" } },
	{ "since", { "\"2026-01-05T10:00:00Z\"" } },
	{ "until", { "\"2026-01-05T10:00:00Z\"" } },
	{ "force", { "true", "false" } },
	{ "all", { "true", "false" } },
	{ "name", { "\"h\"", "\"h2\"" } },
	{ "client", { "\"f\"" } },
};

#define SETTINGS "filter start lease_ms max_in_flight max_attempts "          \
		 "backoff_ms rate "
#define EVENT "subject partitionkey data id correlationid causationid "

static const struct {
	const char *name, *members;
} ops[] = {
	{ "hello", "client " },
	{ "fetch", "group consumer max wait_ms request acks naks update "
		   SETTINGS },
	{ "fetch", "group consumer max " },
	{ "ack", "group consumer sequence sequences " },
	{ "nak", "group consumer sequence sequences delay_ms reason " },
	{ "term", "group consumer sequence sequences reason " },
	{ "touch", "group consumer sequence sequences " },
	{ "reply", "correlationid causationid status headers json body "
		   "body_base64 " },
	{ "publish", "type " EVENT },
	{ "publish", "events each id " },
	{ "read", "after max wait_ms filter request " },
	{ "groups", "group " },
	{ "group_create", "group " SETTINGS },
	{ "group_set", "group " SETTINGS },
	{ "group_seek", "group to force " },
	{ "group_reset", "group force " },
	{ "group_pause", "group " },
	{ "group_resume", "group " },
	{ "group_delete", "group force " },
	{ "hold_add", "name from to since until type reason " },
	{ "hold_remove", "name " },
	{ "dlq_list", "group filter max after " },
	{ "dlq_show", "group id " },
	{ "dlq_redrive", "group id filter all rate wait_ms request " },
	{ "dlq_purge", "group id filter all wait_ms request " },
	{ "replay", "group from to filter rate speed request wait_ms " },
	{ "jobs", "group id wait_ms " },
	{ "job_cancel", "group id " },
};

/* What no member wants, or only one at its edge. */
static const char *const odd[] = {
	"null", "true", "-1", "-0", "0.5", "1e999", "-1e308", "1e-400",
	"9223372036854775807", "9223372036854775808", "18446744073709551616",
	"4294967296", "2147483648", "\"\"", "\"\\u0000\"", "\"a\\u0000b\"",
	"\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\xff\xfe\"", "\"\xc0\x80\"",
	"\"\xed\xa0\x80\"", "\"\x01\"", "\"\\", "[", "{", "[[]]", "{\"\":{}}",
	"[1,", "{\"a\":1,\"a\":2}", "\"%s%n\"", "\"../../x\"", "\"*\"",
	"\"**,!*\"", "\"\\\\\"", "NaN", "Infinity", "01", "+1", "'x'",
	"[-1]", "[0]", "[[0,9223372036854775807]]", "[[1]]", "[[1,2,3]]",
	"[\"1\"]", "[1.5]", "\"9999-99-99T99:99:99Z\"",
	"\"2026-01-05T10:00:00+14:00\"",
	"\"ffffffff-ffff-ffff-ffff-ffffffffffff\"",
};

/* ---- one frame ---- */

static const char *
any_value(const struct member *m)
{
	size_t n = 0;

	while (n < ARRAY_SIZE(m->values) && m->values[n])
		n++;
	return m->values[below((uint32_t)n)];
}

static void
put_odd(void)
{
	switch (below(300)) {
	case 0:
		put("\"");
		put_times("x", LONG_TEXT);
		put("\"");
		break;
	case 1:
		put_times("[", DEEP);
		put_times("]", DEEP);
		break;
	case 2:
		put("[");
		put_times("[1,2],", LONG_TEXT / 20);
		put("3]");
		break;
	default:
		put(odd[below(ARRAY_SIZE(odd))]);
		break;
	}
}

static void
put_member(const struct member *m)
{
	put(",\"");
	put(m->name);
	put("\":");
	if (below(16) == 0)
		put_odd();
	else
		put(any_value(m));
}

static bool
knows(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (; *list; list += strcspn(list, " ") + 1)
		if (strncmp(list, name, n) == 0 && list[n] == ' ')
			return true;
	return false;
}

/* Bytes of the frame that is there since `from`. */
static void
spoil(size_t from)
{
	size_t n = input.len - from;

	if (n < 2)
		return;
	if (below(2))
		input.at[from + below((uint32_t)n)] = (uint8_t)below(256);
	else
		input.len -= below((uint32_t)n);
}

static void
put_frame(void)
{
	size_t from = input.len;
	uint32_t op = below(ARRAY_SIZE(ops));

	if (below(6) == 0)
		put("2");
	put("{\"op\":\"");
	put(ops[op].name);
	put("\"");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *name = members[i].name;
		bool wanted = i < WANTED_ALWAYS ||
			      knows(ops[op].members, name);

		if (wanted ? below(i < WANTED_ALWAYS ? 16 : 3) != 0
			   : below(200) == 0)
			put_member(&members[i]);
	}
	put("}");
	if (below(24) == 0)
		spoil(from);
}

/* ---- all of them ---- */

static void
show(int number)
{
	ssize_t n = write(STDERR_FILENO, "\nthe input was:\n", 16);

	n = write(STDERR_FILENO, input.at, input.len);
	(void)n;
	signal(number, SIG_DFL);
	raise(number);
}

static uint64_t
number_of(const char *name, const char *fallback)
{
	const char *text = getenv(name);

	return strtoull(text ? text : fallback, NULL, 10);
}

int
main(void)
{
	uint64_t frames = number_of("FUZZ_FRAMES", FRAMES), made = 0;
	uint64_t seed = number_of("FUZZ_SEED", "1");

	input.random = seed ? seed : 1;
	signal(SIGABRT, show);
	while (made < frames) {
		uint32_t lines = 1 + below(LINES_MOST);

		input.len = 0;
		if (below(3) == 0)
			put("T");
		for (uint32_t i = 0; i < lines; i++, made++) {
			put_frame();
			put("\n");
		}
		(void)LLVMFuzzerTestOneInput(input.at, input.len);
		if (made / 100000 != (made - lines) / 100000)
			printf("%llu frames\n", (unsigned long long)made);
		fflush(stdout);
	}
	printf("%llu frames, FUZZ_SEED=%llu\n", (unsigned long long)made,
	       (unsigned long long)seed);
	return EXIT_SUCCESS;
}
