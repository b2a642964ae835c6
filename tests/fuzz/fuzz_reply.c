/* SPDX-License-Identifier: Apache-2.0 */
/* Replies on the bus: refused with words, or an answer whose parts are in
 * their bounds. */
#include "base/invariant.h"
#include "bus/server.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	struct cJSON *in = payload_parse(text, NULL);
	struct error err = { 0 };
	struct bus_reply *r;
	size_t i;

	if (!in)
		return 0;
	r = reply_parse(in, &err);
	INVARIANT(r || (err.set && err.text[0]));
	if (r) {
		INVARIANT(r->status >= 100 && r->status <= 599);
		for (i = 0; i < r->field_count; i++)
			INVARIANT(r->fields[i].name.len > 0);
	}
	bus_reply_free(&r);
	payload_free(&in);
	return 0;
}
