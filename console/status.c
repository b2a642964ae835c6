/* SPDX-License-Identifier: Apache-2.0 */
/* /status as a board for a terminal. */
#include "console/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "console/table.h"
#include "payload/payload.h"

static int64_t
number_at(const struct cJSON *p, const char *pointer)
{
	return payload_int(payload_at(p, pointer), 0);
}

static const char *
string_at(const struct cJSON *p, const char *pointer)
{
	return payload_string(payload_at(p, pointer), "");
}

/* The element of an array whose member `key` is value; NULL if none. */
static const struct cJSON *
element(const struct cJSON *array, const char *key, const char *value)
{
	const struct cJSON *at = array ? payload_first(array) : NULL;

	for (; at; at = payload_next(at))
		if (!strcmp(payload_string(payload_member(at, key), ""), value))
			return at;
	return NULL;
}

static void
write_process(const struct cJSON *s, struct buf *out)
{
	int64_t up = number_at(s, "/uptime_s");
	const struct cJSON *listens = payload_at(s, "/listen");
	const struct cJSON *at = listens ? payload_first(listens) : NULL;

	buf_printf(out,
		   "matapalo %s, process %" PRId64 ", up %" PRId64
		   "h %02" PRId64 "m %02" PRId64 "s, %s\n",
		   string_at(s, "/version"), number_at(s, "/pid"), up / 3600,
		   up / 60 % 60, up % 60,
		   payload_bool(payload_at(s, "/ready"), true) ? "ready"
							       : "NOT READY");
	for (; at; at = payload_next(at))
		buf_printf(out, "listen   %s\n", payload_string(at, ""));
	buf_printf(out, "journal  sequence %" PRId64 ", %s\n",
		   number_at(s, "/journal/last_sequence"),
		   payload_bool(payload_at(s, "/journal/writable"), true)
			   ? "writable"
			   : "CANNOT BE WRITTEN");
	if (*string_at(s, "/warning"))
		buf_printf(out, "WARNING  %s: %s\n", string_at(s, "/warning"),
			   string_at(s, "/journal/held_by"));
	if (*string_at(s, "/rules/path"))
		buf_printf(out, "rules    %s, loaded %s\n",
			   string_at(s, "/rules/path"),
			   string_at(s, "/rules/loaded_at"));
	if (payload_bool(payload_at(s, "/rules/all_killed"), false))
		buf_adds(out, "rules    KILL-SWITCH: everything is on the "
			 "legacy\n");
	if (*string_at(s, "/rules/error"))
		buf_printf(out, "rules    REFUSED, the old ones stay: %s\n",
			   string_at(s, "/rules/error"));
}

/* "99.91 % of 1000, at least 99.50 %" or "". */
static void
match_cell(struct table *t, const struct cJSON *verdict)
{
	int64_t samples = number_at(verdict, "/samples");
	double rate, bound;

	if (!verdict) {
		table_cell(t, "%s", "");
		return;
	}
	if (!samples) {
		table_cell(t, "no samples");
		return;
	}
	rate = payload_number(payload_at(verdict, "/match_rate"), 0);
	bound = payload_number(payload_at(verdict, "/lower_bound"), 0);
	table_cell(t, "%.2f %% of %" PRId64 ", at least %.2f %%", 100 * rate,
		   samples, 100 * bound);
}

/* "canary 25%, held, by operator". */
static void
stage_cell(struct table *t, const struct cJSON *rule)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	const char *by = string_at(rule, "/moved_by");

	buf_adds(&text, string_at(rule, "/stage"));
	if (!strcmp(buf_str(&text), "canary"))
		buf_printf(&text, " %g%%", 100 * payload_number(payload_at(
						   rule, "/share"), 0));
	if (payload_bool(payload_at(rule, "/killed"), false))
		buf_adds(&text, ", KILLED");
	if (payload_bool(payload_at(rule, "/held"), false))
		buf_adds(&text, ", held");
	if (*by)
		buf_printf(&text, ", by %s", by);
	table_cell(t, "%s", buf_str(&text));
}

static void
write_rules(const struct cJSON *s, struct buf *out)
{
	static const char *const heads[] = {
		"<RULE",   "<STAGE", "<TARGET", ">REQUESTS", ">LEGACY",
		">TARGET", ">OWN",   ">ERRORS", "<MATCH",
	};
	static const char *const numbers[] = {
		"/requests",	      "/answered/legacy", "/answered/target",
		"/answered/matapalo", "/errors",
	};
	struct table t CLEANUP(table_fini) = { 0 };
	const struct cJSON *list = payload_at(s, "/rules/list");
	const struct cJSON *verdicts = payload_at(s, "/shadow/rules");

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (list = list ? payload_first(list) : NULL; list;
	     list = payload_next(list)) {
		table_cell(&t, "%s", string_at(list, "/name"));
		stage_cell(&t, list);
		table_cell(&t, "%s", string_at(list, "/target"));
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
			table_cell(&t, "%" PRId64, number_at(list, numbers[i]));
		match_cell(&t,
			   element(verdicts, "rule", string_at(list, "/name")));
	}
	buf_addc(out, '\n');
	table_write(&t, out);
}

/* What each ramp waits for, and whether a migrated rule could go back. */
static void
write_ramps(const struct cJSON *s, struct buf *out)
{
	const struct cJSON *rule = payload_at(s, "/rules/list");

	for (rule = rule ? payload_first(rule) : NULL; rule;
	     rule = payload_next(rule)) {
		const char *name = string_at(rule, "/name");
		const char *why = string_at(rule, "/ramp/waits_for");
		const struct cJSON *back = payload_at(rule, "/rollback");

		if (*why)
			buf_printf(out, "ramp of %s: %s\n", name, why);
		if (!payload_is_object(back))
			continue;
		buf_printf(out, "rollback of %s: %s; %s answers the same for "
			   "at least %.2f %% of %" PRId64 " pairs\n", name,
			   payload_bool(payload_member(back, "ready"), false) ?
				   "ready" : "NOT READY",
			   string_at(back, "/candidate"),
			   100 * payload_number(payload_member(
						back, "lower_bound"), 0),
			   number_at(back, "/pairs"));
	}
}

void
status_write_groups(const struct cJSON *groups, struct buf *out)
{
	static const char *const heads[] = {
		"<GROUP",    ">LAG",  ">SECONDS",   ">IN FLIGHT",
		">RETRYING", ">DEAD", ">CONSUMERS", "<STATE",
	};
	struct table t CLEANUP(table_fini) = { 0 };
	const struct cJSON *list = groups ? payload_first(groups) : NULL;

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (; list; list = payload_next(list)) {
		table_cell(&t, "%s", string_at(list, "/name"));
		table_cell(&t, "%" PRId64, number_at(list, "/lag_events"));
		table_cell(&t, "%.1f",
			   payload_number(payload_at(list, "/lag_seconds"), 0));
		table_cell(&t, "%" PRId64, number_at(list, "/in_flight"));
		table_cell(&t, "%" PRId64, number_at(list, "/retrying"));
		table_cell(&t, "%" PRId64, number_at(list, "/dead"));
		table_cell(&t, "%" PRId64, number_at(list, "/consumers"));
		table_cell(&t, "%s",
			   payload_bool(payload_at(list, "/paused"), false)
				   ? "paused"
				   : "");
	}
	table_write(&t, out);
}

static void
write_adapters(const struct cJSON *s, struct buf *out)
{
	static const char *const heads[] = {
		"<ADAPTER", "<KIND",	 "<STATE",     ">DELIVERED",
		">RETRIED", ">POISONED", "<LAST ERROR",
	};
	struct table t CLEANUP(table_fini) = { 0 };
	const struct cJSON *list = payload_at(s, "/adapters");

	list = list ? payload_first(list) : NULL;
	if (!list)
		return;
	table_init(&t, heads, ARRAY_SIZE(heads));
	for (; list; list = payload_next(list)) {
		table_cell(&t, "%s", string_at(list, "/name"));
		table_cell(&t, "%s", string_at(list, "/kind"));
		table_cell(&t, "%s", string_at(list, "/state"));
		table_cell(&t, "%" PRId64, number_at(list, "/delivered"));
		table_cell(&t, "%" PRId64, number_at(list, "/retried"));
		table_cell(&t, "%" PRId64, number_at(list, "/poisoned"));
		table_cell(&t, "%s", string_at(list, "/last_error"));
	}
	buf_addc(out, '\n');
	table_write(&t, out);
}

/* What the candidates of the shadow answered otherwise. */
static void
write_differences(const struct cJSON *s, struct buf *out)
{
	static const char *const heads[] = { "<DIFFERENCES OF", "<AT", "<KIND",
					     ">TIMES", "<NEWEST EXCHANGE" };
	struct table t CLEANUP(table_fini) = { 0 };
	const struct cJSON *rule = payload_at(s, "/shadow/rules"), *d;

	table_init(&t, heads, ARRAY_SIZE(heads));
	for (rule = rule ? payload_first(rule) : NULL; rule;
	     rule = payload_next(rule)) {
		d = payload_at(rule, "/newest_differences/0");
		for (; d; d = payload_next(d)) {
			table_cell(&t, "%s", string_at(rule, "/rule"));
			table_cell(&t, "%s", string_at(d, "/pointer"));
			table_cell(&t, "%s", string_at(d, "/kind"));
			table_cell(&t, "%" PRId64, number_at(d, "/count"));
			table_cell(&t, "%s", string_at(d, "/correlationid"));
		}
	}
	if (!t.cells)
		return;
	buf_addc(out, '\n');
	table_write(&t, out);
}

static bool
begins_with(const char *s, const char *start)
{
	return !strncmp(s, start, strlen(start));
}

/* answered = recorded + dropped, and what is still on its way. */
static void
write_law(const struct cJSON *s, struct buf *out)
{
	const struct cJSON *counters = payload_at(s, "/counters"), *c;
	int64_t answered = 0, recorded = 0, dropped = 0;

	if (!counters)
		return;
	for (c = payload_first(counters); c; c = payload_next(c)) {
		const char *name = payload_name(c);
		int64_t n = payload_int(c, 0);

		if (begins_with(name, "matapalo_exchanges_dropped_total"))
			dropped += n;
		else if (!strcmp(name, "matapalo_exchanges_answered_total"))
			answered = n;
		else if (!strcmp(name, "matapalo_exchanges_recorded_total"))
			recorded = n;
	}
	buf_printf(out,
		   "\nexchanges  %" PRId64 " answered = %" PRId64
		   " recorded + %" PRId64 " dropped",
		   answered, recorded, dropped);
	if (answered != recorded + dropped)
		buf_printf(out, " + %" PRId64 " on the way",
			   answered - recorded - dropped);
	buf_addc(out, '\n');
}

static void
write_counters(const struct cJSON *s, struct buf *out)
{
	const struct cJSON *counters = payload_at(s, "/counters");
	const struct cJSON *c = counters ? payload_first(counters) : NULL;

	for (; c; c = payload_next(c))
		if (payload_int(c, 0))
			buf_printf(out, "  %12" PRId64 "  %s\n",
				   payload_int(c, 0), payload_name(c));
}

void
status_write_board(const struct cJSON *status, struct buf *out)
{
	write_process(status, out);
	write_rules(status, out);
	write_ramps(status, out);
	if (payload_at(status, "/bus/groups/0")) {
		buf_addc(out, '\n');
		status_write_groups(payload_at(status, "/bus/groups"), out);
	}
	write_adapters(status, out);
	write_differences(status, out);
	write_law(status, out);
	write_counters(status, out);
}
