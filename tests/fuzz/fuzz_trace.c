/* SPDX-License-Identifier: Apache-2.0 */
/* traceparent: what a copy is sent is valid, and valid parents go on. */
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "shadow/trace.h"
#include "tests/fuzz/fuzz.h"

#define HEX "0123456789abcdef"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *parent = malloc(size + 1), out[SHADOW_TRACEPARENT_SIZE];

	INVARIANT(parent);
	memcpy(parent, data, size);
	parent[size] = '\0';
	if (shadow_trace_child(parent, out))
		INVARIANT(strncmp(parent + 2, out + 2, 34) == 0);
	INVARIANT(strlen(out) == sizeof(out) - 1);
	INVARIANT(memcmp(out, "00-", 3) == 0);
	INVARIANT(strspn(out + 3, HEX) == 32 && out[35] == '-');
	INVARIANT(strspn(out + 36, HEX) == 16 && out[52] == '-');
	INVARIANT(strspn(out + 53, HEX) == 2);
	free(parent);
	return 0;
}
