/* SPDX-License-Identifier: Apache-2.0 */
/* Cookies, query parameters and JSON pointers: a line of secrets' name, then
 * where it is looked for. What was found is not in what is kept. */
#include <string.h>

#include "base/buf.h"
#include "base/invariant.h"
#include "base/message.h"
#include "base/redact.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

static const struct digest_key key = { { 1 } };

static void
check_target(const struct redact *r, struct span name, struct span target)
{
	struct buf out = { 0 }, twice = { 0 };
	struct span value;

	redact_target(r, &key, target, &out);
	redact_target(r, &key, buf_span(&out), &twice);
	INVARIANT(!out.failed && !twice.failed);
	if (name.len && message_query_param(target, name, &value))
		INVARIANT(value.len == 0 ||
			  (value.at >= target.at && value.at + value.len <=
			   target.at + target.len));
	buf_fini(&out);
	buf_fini(&twice);
}

static void
check_cookies(struct span name, struct span value)
{
	struct message_field f = { SPAN_LITERAL("Cookie"), value };
	struct buf out = { 0 };
	struct span found;

	if (message_cookie((struct message_fields){ &f, 1 }, name, &found))
		INVARIANT(found.at >= value.at || found.len == 0);
	redact_cookies(&key, value, &out);
	buf_clear(&out);
	redact_set_cookie(&key, value, &out);
	buf_fini(&out);
}

static void
check_json(const char *pointer, struct span text)
{
	struct cJSON *p = payload_parse(text, NULL), *after;
	struct buf out = { 0 };

	if (payload_redact(text, &pointer, 1, &key, &out) == 0) {
		after = payload_parse(buf_span(&out), NULL);
		INVARIANT(after);
		payload_free(&after);
	} else {
		INVARIANT(!p && out.len == 0);
	}
	if (p)
		(void)payload_at(p, pointer);
	payload_free(&p);
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *names[1];
	const char *mark = size ? memchr(text, '\n', size) : NULL;
	struct redact r = { .query = names, .query_count = 1 };
	static char name[256];
	struct span rest;
	size_t n = mark ? (size_t)(mark - text) : 0;

	if (!mark || n >= sizeof(name))
		return 0;
	digest_start();
	memcpy(name, text, n);
	name[n] = '\0';
	names[0] = name;
	rest = (struct span){ mark + 1, size - n - 1 };
	check_target(&r, (struct span){ name, n }, rest);
	check_cookies((struct span){ name, n }, rest);
	check_json(name, rest);
	return 0;
}
