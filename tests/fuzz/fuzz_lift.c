/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing around values that are only passed on: the tree and what was lifted
 * out of it are together what the whole tree would have been. */
#include "base/invariant.h"
#include "base/json.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

#define NAME "data"
#define DEPTH_MAX 500

static void write_value(const struct cJSON *p, struct span text,
			unsigned depth, struct buf *out);

static void
write_name(const struct cJSON *m, struct buf *out)
{
	struct json j;

	json_init(&j, out);
	json_str(&j, payload_name(m));
	buf_addc(out, ':');
}

/* text is empty where nothing was lifted. */
static void
write_member(const struct cJSON *m, struct span text, unsigned depth,
	     struct buf *out)
{
	struct span lifted = { "", 0 };

	write_name(m, out);
	if (text.len > 0 && (depth == 1 || depth == 3) &&
	    span_is(span_of(payload_name(m)), NAME))
		lifted = payload_lifted(m, text);
	if (lifted.len > 0)
		buf_add(out, lifted.at, lifted.len);
	else
		write_value(m, text, depth, out);
}

static void
write_value(const struct cJSON *p, struct span text, unsigned depth,
	    struct buf *out)
{
	bool object = payload_is_object(p);

	if (!object && !payload_is_array(p)) {
		payload_write(p, out);
		return;
	}
	buf_addc(out, object ? '{' : '[');
	for (const struct cJSON *i = payload_first(p); i;
	     i = payload_next(i)) {
		if (i != payload_first(p))
			buf_addc(out, ',');
		if (object)
			write_member(i, text, depth + 1, out);
		else
			write_value(i, text, depth + 1, out);
	}
	buf_addc(out, object ? '}' : ']');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size }, none = { "", 0 };
	struct cJSON *whole, *around;
	struct error whole_err = { 0 }, err = { 0 };
	struct buf a = { 0 }, b = { 0 };
	size_t count;

	around = payload_parse_lifted(text, DEPTH_MAX, NAME, &count, &err);
	if (payload_check(text, DEPTH_MAX, &whole_err) < 0) {
		INVARIANT(!around && err.line == whole_err.line &&
			  err.column == whole_err.column &&
			  strcmp(err.text, whole_err.text) == 0);
		return 0;
	}
	whole = payload_parse(text, NULL);
	INVARIANT(whole && around);
	payload_write(whole, &a);
	write_value(around, count ? text : none, 0, &b);
	INVARIANT(span_equal(buf_span(&a), buf_span(&b)));
	payload_free(&whole);
	payload_free(&around);
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
