/* SPDX-License-Identifier: Apache-2.0 */
/* Events: whatever stood in a message's lines and body, what is kept of it
 * is one JSON value without control bytes. Lines of "name:value", an empty
 * line, the body. */
#include <string.h>

#include "base/invariant.h"
#include "bus/encode.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

#define FIELDS_MAX 64

static const struct digest_key key = { { 1 } };
static const char *const secrets[] = { "password", "token" };
static const char *const pointers[] = { "/card", "/items/*/secret" };
static const struct redact redact = { .query = secrets, .query_count = 2,
				      .json = pointers, .json_count = 2 };

static size_t
split(struct span *text, struct message_field *fields)
{
	size_t n = 0;

	while (text->len && n < FIELDS_MAX) {
		const char *end = memchr(text->at, '\n', text->len);
		size_t len = end ? (size_t)(end - text->at) : text->len;
		const char *colon = memchr(text->at, ':', len);
		size_t name = colon ? (size_t)(colon - text->at) : len;

		fields[n].name = (struct span){ text->at, name };
		fields[n].value = (struct span){ text->at + name,
						 len - name };
		text->at += len + (end != NULL);
		text->len -= len + (end != NULL);
		if (len == 0)
			break;
		n++;
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	struct message_field fields[FIELDS_MAX];
	struct message_fields f = { fields, split(&text, fields) };
	struct bus_body body = { .bytes = text, .true_bytes = text.len };
	struct buf out = { 0 }, work = { 0 };
	struct encode_secrets how = { &redact, &key, &work };
	struct error err = { 0 };
	struct json j;
	size_t i, head = size - text.len;

	if (memchr(data, '\0', head))	/* no parser lets it through */
		return 0;
	digest_start();
	json_init(&j, &out);
	json_object_begin(&j);
	json_key(&j, "headers");
	encode_headers(&j, &how, f);
	encode_body(&j, &how, f, &body, ENCODE_BODY_AND_JSON);
	json_object_end(&j);
	INVARIANT(!out.failed);
	INVARIANT(payload_check(buf_span(&out), 1000, &err) == 0);
	for (i = 0; i < out.len; i++)
		INVARIANT((unsigned char)out.data[i] >= 0x20 ||
			  memchr("\n\r\t", out.data[i], 3));
	buf_fini(&out);
	buf_fini(&work);
	return 0;
}
