/* SPDX-License-Identifier: Apache-2.0 */
/* Reports a broken invariant and stops. */
#include "base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

void
invariant_failed(const char *file, int line, const char *expr)
{
	fprintf(stderr, "matapalo: %s:%d: invariant failed: %s\n", file, line,
		expr);
	abort();
}
