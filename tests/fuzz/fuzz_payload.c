/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads: what parses is equal to itself and to its own rewriting. */
#include "base/invariant.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct payload_compare how = { 0 };
	struct span text = { (const char *)data, size };
	struct cJSON *p = payload_parse(text, NULL), *again;
	struct buf out = { 0 };

	if (!p)
		return 0;
	INVARIANT(payload_compare_json(p, p, &how, 0, NULL, NULL) == 0);
	payload_write(p, &out);
	again = payload_parse(buf_span(&out), NULL);
	INVARIANT(again);
	INVARIANT(payload_compare_json(p, again, &how, 0, NULL, NULL) == 0);
	payload_free(&again);
	payload_free(&p);
	buf_fini(&out);
	return 0;
}
