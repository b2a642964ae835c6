/* SPDX-License-Identifier: Apache-2.0 */
/* The command `status`: asks the admin listener of a running process. */
#include "console/ask.h"
#include "console/command.h"
#include "console/status.h"
#include "payload/payload.h"

static int
print(const struct command_call *call, const struct ask_reply *r,
      struct error *err)
{
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	struct buf out CLEANUP(buf_fini) = { 0 };

	if (r->status != 200)
		return error_set(err, "the admin listener answered with "
				 "status %d", r->status);
	tree = payload_parse(buf_span(&r->body), err);
	if (!tree)
		return error_context(err, "the answer of the admin listener");
	if (call->values[OPTION_JSON])
		buf_add(&out, r->body.data, r->body.len);
	else
		status_write_board(tree, &out);
	return command_print(&out);
}

int
command_status(const struct command_call *call)
{
	const struct ask what = {
		.path = "/status",
		.token_file = call->values[OPTION_TOKEN_FILE],
	};
	struct ask_reply r CLEANUP(ask_reply_fini) = { 0 };
	struct error err = { 0 };
	int result = -1;

	if (!ask(call, &what, &r, &err))
		result = print(call, &r, &err);
	if (result >= 0)
		return result;
	error_context(&err, "status");
	return command_fail(COMMAND_FAILED, NULL, &err);
}
