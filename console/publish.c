/* SPDX-License-Identifier: Apache-2.0 */
/* The command `publish`: one event, from a shell.
 *
 * Below `consume --exec` it follows from the event that the handler was given:
 * the environment says which. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/json.h"
#include "console/command.h"
#include "console/wire.h"
#include "payload/payload.h"

#define READ_BYTES 65536u
#define DATA_BYTES_MAX ((size_t)8 << 20)
#define DEPTH_MAX 1000

static int
read_input(struct buf *data, struct error *err)
{
	ssize_t n = 1;

	while (n > 0 && data->len < DATA_BYTES_MAX) {
		char *to = buf_reserve(data, READ_BYTES);

		if (!to)
			return error_set(err, "no memory for the data");
		n = read(STDIN_FILENO, to, READ_BYTES);
		if (n < 0 && errno != EINTR)
			return error_set(err, "standard input: %s",
					 strerror(errno));
		data->len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	return 0;
}

/* White space alone is no data. */
static int
read_data(const struct command_call *call, struct buf *data,
	  struct error *err)
{
	struct error bad = { 0 };

	if (call->values[OPTION_PUBLISH_BODY])
		buf_adds(data, call->values[OPTION_PUBLISH_BODY]);
	else if (read_input(data, err))
		return -1;
	while (data->len && strchr(" \t\r\n", data->data[data->len - 1]))
		data->len--;
	if (data->len && payload_check(buf_span(data), DEPTH_MAX, &bad))
		return error_set(err, "the data is not JSON: %s", bad.text);
	return 0;
}

static void
put(struct json *j, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	json_key_span(j, span_of(name));
	json_str(j, text);
}

/* The id is made here: a request that is sent twice is one event. */
static void
write_request(const struct command_call *call, const struct buf *data,
	      struct buf *out)
{
	const char *cause = getenv("CE_ID");
	const char *correlation = getenv("CE_CORRELATIONID");
	const char *id = call->values[OPTION_PUBLISH_ID];
	struct id own = id_make();
	char text[ID_TEXT_SIZE];
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	put(&j, "op", "publish");
	put(&j, "type", call->args[0]);
	put(&j, "id", id ? id : id_text(&own, text));
	put(&j, "subject", call->values[OPTION_PUBLISH_SUBJECT]);
	put(&j, "partitionkey", call->values[OPTION_PUBLISH_KEY]);
	put(&j, "correlationid",
	    correlation && *correlation ? correlation : cause);
	put(&j, "causationid", cause);
	put(&j, "traceparent", getenv("CE_TRACEPARENT"));
	if (getenv("CE_TRACEPARENT"))
		put(&j, "tracestate", getenv("CE_TRACESTATE"));
	if (data->len) {
		json_key(&j, "data");
		json_raw(&j, buf_span(data));
	}
	json_object_end(&j);
}

static int
publish(const struct command_call *call, struct wire *w, int64_t *sequence,
	struct error *err)
{
	struct buf data CLEANUP(buf_fini) = { 0 };
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *answer CLEANUP(payload_free) = NULL;

	if (read_data(call, &data, err))
		return -1;
	write_request(call, &data, &request);
	if (request.failed)
		return error_set(err, "no memory for the event");
	if (wire_find_url(w, call, err) || wire_connect(w, err) ||
	    wire_ask(w, buf_span(&request), 0, &answer, err))
		return -1;
	*sequence = payload_int(payload_member(answer, "sequence"), 0);
	return 0;
}

int
command_publish(const struct command_call *call)
{
	struct wire w CLEANUP(wire_close) = { 0 };
	struct error err = { 0 };
	int64_t sequence = 0;

	if (publish(call, &w, &sequence, &err)) {
		error_context(&err, "publish");
		return command_fail(COMMAND_FAILED, NULL, &err);
	}
	/* A handler's output is its reply. */
	if (!getenv("CE_ID"))
		printf("%lld\n", (long long)sequence);
	return COMMAND_OK;
}
