/* SPDX-License-Identifier: Apache-2.0 */
/* One request and one answer, and what it means when it is no. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/internal.h"

static void
set_error(struct matapalo_error *err, enum matapalo_code code,
	  const char *name, const char *fmt, va_list ap)
{
	if (!err)
		return;
	err->code = code;
	snprintf(err->name, sizeof(err->name), "%s", name);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

enum matapalo_code
fail(struct matapalo_error *err, enum matapalo_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_error(err, code, "", fmt, ap);
	va_end(ap);
	return code;
}

enum matapalo_code
link_refusal(const char *name, struct matapalo_error *err, const char *fmt,
	     ...)
{
	enum matapalo_code code = MATAPALO_REFUSED;
	va_list ap;

	if (!strcmp(name, "unavailable") || !strcmp(name, "no_memory"))
		code = MATAPALO_BUSY;
	va_start(ap, fmt);
	set_error(err, code, name, fmt, ap);
	va_end(ap);
	return code;
}

enum matapalo_code
link_set_token(struct link *l, const char *token, struct matapalo_error *err)
{
	struct error failed = { 0 };

	if (bus_client_set_token(l->client, token, &failed))
		return fail(err, MATAPALO_NO_MEMORY, "%s", failed.text);
	return MATAPALO_OK;
}

enum matapalo_code
link_open(struct link *l, const struct link_options *o,
	  struct matapalo_error *err)
{
	struct error failed = { 0 };

	if (!o->url || !*o->url)
		return fail(err, MATAPALO_USAGE, "options: url is missing");
	if (secure_url(o->url) && !o->files.ca)
		return fail(err, MATAPALO_USAGE, "options: %s needs ca, the "
			    "file of the CA that signed the bus's "
			    "certificate", o->url);
	l->call_ms = o->call_ms ? o->call_ms : LIB_CALL_MS;
	l->client = bus_client_open(o->url, &o->files,
				    o->connect_ms ? o->connect_ms
						  : LIB_CONNECT_MS, &failed);
	if (!l->client)
		return fail(err, MATAPALO_UNREACHABLE, "%s", failed.text);
	return link_set_token(l, o->token, err);
}

void
link_close(struct link *l)
{
	bus_client_close(&l->client);
}

void
link_text(struct json *j, const char *key, const char *value)
{
	if (!value)
		return;
	json_key(j, key);
	json_str(j, value);
}

void
link_number(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}

void
link_begin(struct json *j, struct buf *request, const char *op)
{
	json_init(j, request);
	json_object_begin(j);
	link_text(j, "op", op);
}

static enum matapalo_code
refusal(const struct cJSON *tree, struct matapalo_error *err)
{
	const char *name = payload_string(payload_at(tree, "/error/code"),
					  NULL);

	if (!name)
		return fail(err, MATAPALO_PROTOCOL, "the answer is not one "
			    "of a matapalo bus: is the url right?");
	return link_refusal(name, err, "the bus refuses: %s (%s)",
			    payload_string(payload_at(tree, "/error/message"),
					   ""), name);
}

enum matapalo_code
link_answer(const struct buf *answer, int rc, const struct error *failed,
	    struct cJSON **tree, struct matapalo_error *err)
{
	enum matapalo_code code;

	*tree = NULL;
	if (rc && !answer->len)
		return fail(err, MATAPALO_UNREACHABLE, "%s", failed->text);
	*tree = payload_parse(buf_span(answer), NULL);
	if (!rc && *tree)
		return MATAPALO_OK;
	code = refusal(*tree, err);
	payload_free(tree);
	return code;
}

enum matapalo_code
link_end(struct json *j, struct matapalo_error *err)
{
	json_object_end(j);
	if (j->out->failed)
		return fail(err, MATAPALO_NO_MEMORY, "no memory for a "
			    "request");
	return MATAPALO_OK;
}

enum matapalo_code
link_call(struct link *l, struct json *j, unsigned wait_ms,
	  struct cJSON **tree, struct matapalo_error *err)
{
	struct buf answer CLEANUP(buf_fini) = { 0 };
	struct error failed = { 0 };
	enum matapalo_code code = link_end(j, err);
	int rc;

	*tree = NULL;
	if (code)
		return code;
	rc = bus_client_call(l->client, buf_span(j->out),
			     l->call_ms + wait_ms, &answer, &failed);
	return link_answer(&answer, rc, &failed, tree, err);
}

const char *
matapalo_code_name(enum matapalo_code code)
{
	switch (code) {
	case MATAPALO_OK:
		return "ok";
	case MATAPALO_USAGE:
		return "usage";
	case MATAPALO_NO_MEMORY:
		return "no memory";
	case MATAPALO_UNREACHABLE:
		return "unreachable";
	case MATAPALO_BUSY:
		return "busy";
	case MATAPALO_REFUSED:
		return "refused";
	case MATAPALO_PROTOCOL:
		return "protocol";
	case MATAPALO_CANCELLED:
		return "cancelled";
	}
	return "unknown";
}
