/* SPDX-License-Identifier: Apache-2.0 */
/* Rules files: a set or an error with text, never a crash. */
#include "base/invariant.h"
#include "rules/rules.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { 0 };
	struct rules *r = rules_load_text("fuzz.json", (const char *)data,
					  size, &err);

	INVARIANT(r || (err.set && err.text[0]));
	rules_unref(&r);
	return 0;
}
