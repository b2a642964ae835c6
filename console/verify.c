/* SPDX-License-Identifier: Apache-2.0 */
/* The command `verify`: is every event there, and as it was written? */
#include "console/verify.h"

#include <inttypes.h>
#include <stdio.h>

#include "console/command.h"

/* ---- findings ---- */

void
verify_begin(struct verify_output *o)
{
	if (!o->as_json)
		return;
	json_init(&o->json, &o->out);
	json_object_begin(&o->json);
	json_key(&o->json, "faults");
	json_array_begin(&o->json);
}

static void
finding_json(struct json *j, const struct journal_finding *f)
{
	json_object_begin(j);
	json_key(j, "fault");
	json_str(j, journal_fault_name(f->fault));
	if (f->first) {
		json_key(j, "first");
		json_i64(j, f->first);
		json_key(j, "last");
		json_i64(j, f->last);
	}
	json_key(j, "meaning");
	json_str(j, journal_fault_sentence(f->fault));
	if (*f->text) {
		json_key(j, "detail");
		json_str(j, f->text);
	}
	json_object_end(j);
}

static void
finding_text(struct buf *out, const struct journal_finding *f)
{
	buf_printf(out, "FAULT %s", journal_fault_name(f->fault));
	if (f->first && f->first == f->last)
		buf_printf(out, ", event %" PRId64, f->first);
	else if (f->first)
		buf_printf(out, ", events %" PRId64 " to %" PRId64, f->first,
			   f->last);
	buf_printf(out, ": %s%s%s\n", journal_fault_sentence(f->fault),
		   *f->text ? " " : "", f->text);
}

void
verify_finding(void *arg, const struct journal_finding *f)
{
	struct verify_output *o = arg;

	if (o->as_json)
		finding_json(&o->json, f);
	else
		finding_text(&o->out, f);
}

/* ---- the sum ---- */

static void
end_json(struct verify_output *o, const struct journal_report *r)
{
	struct json *j = &o->json;

	json_array_end(j);
	json_member_i64(j, "fault_count", (int64_t)r->faults);
	json_member_i64(j, "first", r->first);
	json_member_i64(j, "last", r->last);
	json_member_i64(j, "events", r->events);
	json_member_i64(j, "removed", r->removed);
	json_member_i64(j, "acknowledged", r->mark);
	json_member_i64(j, "groups", r->groups);
	json_member_i64(j, "holds", r->holds);
	json_key(j, "structure_checked");
	json_bool(j, o->depth == JOURNAL_VERIFY_ALL);
	json_object_end(j);
	buf_addc(&o->out, '\n');
}

void
verify_end(struct verify_output *o, const struct journal_report *r)
{
	if (o->as_json) {
		end_json(o, r);
		return;
	}
	buf_printf(&o->out, "%s: events %" PRId64 " to %" PRId64 ", %" PRId64
		   " whole, %" PRId64 " noted as deleted or lost, %" PRId64
		   " groups, %" PRId64 " holds\n", o->path, r->first, r->last,
		   r->events, r->removed, r->groups, r->holds);
	if (o->depth == JOURNAL_VERIFY_EVENTS)
		buf_adds(&o->out, "a process writes to it: the structure of "
			 "the file was not checked (--full)\n");
	if (r->faults)
		buf_printf(&o->out, "%" PRIu64 " faults\n", r->faults);
	else
		buf_adds(&o->out, "no fault\n");
}

void
verify_output_fini(struct verify_output *o)
{
	buf_fini(&o->out);
}

/* ---- the command ---- */

static int
verify(const struct command_call *call, struct verify_output *o)
{
	struct journal_report report;
	struct error err = { 0 };

	if (call->values[OPTION_FULL] || !journal_in_use(o->path))
		o->depth = JOURNAL_VERIFY_ALL;
	verify_begin(o);
	if (journal_verify(o->path, o->depth, verify_finding, o, &report,
			   &err) < 0) {
		error_context(&err, "verify");
		return command_fail(COMMAND_USAGE, NULL, &err);
	}
	verify_end(o, &report);
	if (command_print(&o->out))
		return COMMAND_FAILED;
	return report.faults ? COMMAND_FAILED : COMMAND_OK;
}

int
command_verify(const struct command_call *call)
{
	struct verify_output o CLEANUP(verify_output_fini) = {
		.as_json = call->values[OPTION_JSON] != NULL,
	};
	struct buf path CLEANUP(buf_fini) = { 0 };

	if (call->values[OPTION_FILE])
		buf_adds(&path, call->values[OPTION_FILE]);
	else
		buf_printf(&path, "%s/journal.db", command_data(call));
	o.path = buf_str(&path);
	return verify(call, &o);
}
