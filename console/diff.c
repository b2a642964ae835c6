/* SPDX-License-Identifier: Apache-2.0 */
/* The command `diff`: what shadows found, by rule and endpoint.
 *
 * It reads the journal's file itself, so that it works with and without a
 * running process and costs that process nothing. */
#include "console/diff.h"

#include <stdio.h>
#include <string.h>

#include "console/command.h"
#include "console/diff_why.h"
#include "console/file.h"
#include "console/reading.h"

struct diff {
	const struct command_call *call;
	struct diff_filter filter;
	struct journal_reader *reader;
	struct shadow_tally *tally;
	struct shadow_noise *noise;
	struct cJSON *report;
	struct buf out;
};

static void
diff_fini(struct diff *d)
{
	journal_reader_close(&d->reader);
	shadow_tally_free(&d->tally);
	shadow_noise_free(&d->noise);
	payload_free(&d->report);
	buf_fini(&d->out);
}

/* ---- what was asked for ---- */

static const char *
text(const struct cJSON *object, const char *name)
{
	return payload_string(payload_member(object, name), "");
}

bool
diff_takes_rule(const struct diff_filter *f, const struct cJSON *rule)
{
	return !f->rule || strcmp(text(rule, "rule"), f->rule) == 0;
}

bool
diff_takes_endpoint(const struct diff_filter *f, const struct cJSON *endpoint)
{
	return !f->path || strstr(text(endpoint, "endpoint"), f->path);
}

/* ---- JSON: the report, less what was not asked for ---- */

static void
copy_member(const struct cJSON *member, struct json *j)
{
	struct buf value = { 0 };

	payload_write(member, &value);
	json_key_span(j, span_of(payload_name(member)));
	json_raw(j, buf_span(&value));
	j->out->failed |= value.failed;
	buf_fini(&value);
}

static void
write_endpoints(const struct cJSON *list, const struct diff_filter *f,
		struct json *j)
{
	json_key(j, "endpoints");
	json_array_begin(j);
	for (const struct cJSON *e = payload_first(list); e;
	     e = payload_next(e)) {
		struct buf value = { 0 };

		if (!diff_takes_endpoint(f, e))
			continue;
		payload_write(e, &value);
		json_raw(j, buf_span(&value));
		buf_fini(&value);
	}
	json_array_end(j);
}

static void
write_rule(const struct cJSON *rule, const struct diff_filter *f,
	   struct json *j)
{
	json_object_begin(j);
	for (const struct cJSON *m = payload_first(rule); m;
	     m = payload_next(m))
		if (strcmp(payload_name(m), "endpoints") == 0)
			write_endpoints(m, f, j);
		else
			copy_member(m, j);
	json_object_end(j);
}

static void
write_json(const struct diff *d, struct buf *out)
{
	const struct cJSON *rules = payload_member(d->report, "rules");
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	copy_member(payload_member(d->report, "schema"), &j);
	copy_member(payload_member(d->report, "sequence"), &j);
	json_key(&j, "rules");
	json_array_begin(&j);
	for (const struct cJSON *r = payload_first(rules); r;
	     r = payload_next(r))
		if (diff_takes_rule(&d->filter, r))
			write_rule(r, &d->filter, &j);
	json_array_end(&j);
	json_key(&j, "noise");
	shadow_noise_report(d->noise, &j);
	json_object_end(&j);
	buf_addc(out, '\n');
}

/* ---- the command ---- */

static int
read_report(struct diff *d, struct error *err)
{
	struct buf json CLEANUP(buf_fini) = { 0 };
	struct json j;

	d->tally = shadow_tally_new();
	d->noise = shadow_noise_new();
	if (!d->tally || !d->noise)
		return error_set(err, "no memory");
	if (shadow_report_read(d->reader, d->tally, err) ||
	    shadow_report_noise(d->reader, d->noise, err))
		return -1;
	json_init(&j, &json);
	shadow_tally_report(d->tally, &j);
	d->report = payload_parse(buf_span(&json), err);
	return d->report ? 0 : -1;
}

static int
show_example(struct diff *d, const char *exchange)
{
	struct shadow_case c CLEANUP(shadow_case_fini) = { 0 };
	struct error err = { 0 };

	if (shadow_case_find(d->reader, exchange, &c, &err)) {
		error_context(&err, "diff");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	diff_write_case(&c, &d->out);
	return command_print(&d->out);
}

static int
write_page(struct diff *d, const char *path)
{
	struct error err = { 0 };

	diff_write_html(d->report, &d->filter, d->reader, &d->out);
	if (d->out.failed)
		error_set(&err, "no memory for the page");
	else if (file_replace(path, buf_span(&d->out), &err) == 0)
		return COMMAND_OK;
	error_context(&err, "diff");
	return command_fail(COMMAND_FAILED, NULL, &err);
}

static void
write_tables(struct diff *d)
{
	diff_write_table(d->report, &d->filter, &d->out);
	diff_write_noise(d->noise, &d->filter, &d->out);
}

static int
show(struct diff *d)
{
	const char *html = d->call->values[OPTION_HTML];
	const char *example = d->call->values[OPTION_EXAMPLE];
	const char *replayed = d->call->values[OPTION_REPLAY];
	struct error err = { 0 };

	if (example)
		return show_example(d, example);
	if (replayed)
		return diff_replay(d->call, d->reader, &d->out);
	if (read_report(d, &err)) {
		error_context(&err, "diff");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	if (d->call->values[OPTION_WHY])
		return diff_why(d->call, d->reader, d->report, &d->out);
	if (html)
		return write_page(d, html);
	if (d->call->values[OPTION_JSON])
		write_json(d, &d->out);
	else
		write_tables(d);
	return command_print(&d->out);
}

/* Each of them is all that is printed. */
static int
check_options(const struct command_call *call, struct error *err)
{
	static const enum command_option alone[] = {
		OPTION_HTML, OPTION_EXAMPLE, OPTION_WHY, OPTION_REPLAY,
		OPTION_JSON,
	};
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(alone); i++) {
		const char *name = command_option_row(alone[i])->name;

		if (!call->values[alone[i]])
			continue;
		if (first)
			return error_set(err, "%s and %s: one at a time",
					 first, name);
		first = name;
	}
	if (call->values[OPTION_TARGET] && !call->values[OPTION_REPLAY])
		return error_set(err, "--target is for --replay");
	return 0;
}

int
command_diff(const struct command_call *call)
{
	struct diff d CLEANUP(diff_fini) = {
		.call = call,
		.filter = { call->values[OPTION_RULE],
			    call->values[OPTION_PATH] },
	};
	struct error err = { 0 };

	if (check_options(call, &err) == 0)
		d.reader = reading_open(call, &err);
	if (d.reader)
		return show(&d);
	error_context(&err, "diff");
	return command_fail(COMMAND_USAGE, NULL, &err);
}
