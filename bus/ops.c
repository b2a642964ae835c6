/* SPDX-License-Identifier: Apache-2.0 */
/* From a frame to its operation; what all operations share. */
#include <stdarg.h>
#include <stdio.h>

#include "base/counter.h"
#include "bus/server.h"
#include "config.h"
#include "payload/payload.h"

#define FRAME_DEPTH_MAX 500

static const struct op {
	const char *name, *sentence;
	enum access_right right;
	enum access_scope scope;
	enum call_result (*run)(struct call *c, const struct cJSON *in);
} ops[] = {
#define OP(name, right, scope, sentence)                                      \
	{ #name, sentence, ACCESS_##right, ACCESS_##scope, op_##name },
#include "bus/ops.def"
#undef OP
};

/* ---- answers ---- */

void
call_begin(struct call *c)
{
	server_lend_buffer(c);
	buf_clear(&c->out);
	json_init(&c->json, &c->out);
	json_object_begin(&c->json);
	json_key(&c->json, "ok");
	json_bool(&c->json, true);
}

void
call_end(struct call *c)
{
	json_object_end(&c->json);
}

enum call_result
call_error(struct call *c, const char *code, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	counter_inc(COUNTER_BUS_BAD_REQUESTS);
	buf_clear(&c->out);
	json_init(&c->json, &c->out);
	json_object_begin(&c->json);
	json_key(&c->json, "ok");
	json_bool(&c->json, false);
	json_key(&c->json, "error");
	json_object_begin(&c->json);
	json_key(&c->json, "code");
	json_str(&c->json, code);
	json_key(&c->json, "message");
	json_str(&c->json, text);
	json_object_end(&c->json);
	json_object_end(&c->json);
	return CALL_ANSWERED;
}

/* ---- members of requests ---- */

int
read_text(const struct cJSON *in, const char *name, const char *fallback,
	  char *out, size_t size, struct error *err)
{
	const struct cJSON *m = payload_member(in, name);
	const char *text = payload_string(m, m ? NULL : fallback);

	if (!text && m)
		return error_set(err, "%s must be a string", name);
	if (!text)
		return error_set(err, "%s is missing", name);
	if (strlen(text) >= size)
		return error_set(err, "%s is longer than %zu characters", name,
				 size - 1);
	memset(out, 0, size);
	memcpy(out, text, strlen(text));
	return 0;
}

int
read_count(const struct cJSON *in, const char *name, int64_t fallback,
	   int64_t most, int64_t *out, struct error *err)
{
	const struct cJSON *m = payload_member(in, name);

	*out = payload_int(m, m ? -1 : fallback);
	if (*out < 0)
		return error_set(err, "%s must be a number that is not "
				 "negative", name);
	if (*out > most)
		*out = most;
	return 0;
}

int
read_event_bytes(struct call *c, const struct cJSON *in, struct error *err)
{
	const size_t fallback = c->server->event_bytes;
	int64_t most = fallback < INT64_MAX ? (int64_t)fallback : 0, bytes;

	if (read_count(in, "event_bytes", most, INT64_MAX, &bytes, err) < 0)
		return -1;
	c->event_bytes = bytes ? (size_t)bytes : BUS_EVENT_ANY;
	return 0;
}

/* ---- dispatch ---- */

static const struct op *
find_op(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

/* Who has no token is not even told what there is. */
static enum call_result
run_op(struct call *c, const struct cJSON *in)
{
	const char *name = payload_string(payload_member(in, "op"), NULL);
	const struct op *op = find_op(name);
	enum call_result result = CALL_ANSWERED;

	if (call_admit(c, in, op ? op->right : ACCESS_ANY,
		       op ? op->scope : ACCESS_NONE, &result) !=
	    ACCESS_GRANTED)
		return result;
	if (op)
		return op->run(c, in);
	if (!name)
		return call_error(c, "bad_request", "the request has no member "
				  "\"op\" with a string");
	return call_error(c, "unknown_op", "there is no operation \"%.40s\"; "
			  "\"hello\" lists them", name);
}

/* The data of events that are published goes past the tree; of other
 * operations a member of that name is nothing special. */
static struct cJSON *
parse_frame(struct call *c, struct span frame, struct error *err)
{
	size_t lifted;
	struct cJSON *in = payload_parse_lifted(frame, FRAME_DEPTH_MAX, "data",
						&lifted, err);
	const char *op = payload_string(payload_member(in, "op"), "");

	c->lifted = lifted ? frame : (struct span){ "", 0 };
	if (!in || !lifted || strcmp(op, "publish") == 0)
		return in;
	payload_free(&in);
	return payload_parse(frame, err);
}

enum call_result
call_run(struct call *c, struct span frame)
{
	struct error err = { 0 };
	enum call_result result;
	struct cJSON *in;

	buf_clear(&c->out);
	c->group[0] = c->consumer[0] = c->request[0] = '\0';
	in = parse_frame(c, frame, &err);
	if (!in)
		return call_error(c, "bad_frame", "line %d column %d: %s",
				  err.line, err.column, err.text);
	if (payload_is_object(in))
		result = run_op(c, in);
	else
		result = call_error(c, "bad_frame",
				    "a request is a JSON object");
	payload_free(&in);
	return result;
}

/* ---- the small ones ---- */

static void
write_ops(struct json *j)
{
	json_key(j, "ops");
	json_object_begin(j);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		json_key(j, ops[i].name);
		json_str(j, ops[i].sentence);
	}
	json_object_end(j);
}

enum call_result
op_hello(struct call *c, const struct cJSON *in)
{
	(void)in;
	call_begin(c);
	json_key(&c->json, "server");
	json_str(&c->json, "matapalo");
	json_key(&c->json, "version");
	json_str(&c->json, PACKAGE_VERSION);
	json_key(&c->json, "protocol");
	json_u64(&c->json, 1);
	json_key(&c->json, "source");
	json_str(&c->json, c->server->bus->source->source);
	json_key(&c->json, "last");
	json_i64(&c->json, journal_last_sequence(c->server->bus->journal));
	json_key(&c->json, "frame_bytes_max");
	json_u64(&c->json, SERVER_FRAME_MAX);
	json_key(&c->json, "event_bytes");
	json_u64(&c->json, c->server->event_bytes == BUS_EVENT_ANY
				   ? 0
				   : c->server->event_bytes);
	json_key(&c->json, "wait_ms_max");
	json_u64(&c->json, SERVER_WAIT_MAX_MS);
	json_key(&c->json, "batch_max");
	json_u64(&c->json, SERVER_BATCH_MAX);
	write_ops(&c->json);
	call_end(c);
	return CALL_ANSWERED;
}
