/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a match rate is. */
#include "shadow/wilson.h"

#include "base/wilson.h"

double
shadow_wilson_lower(uint64_t hits, uint64_t samples)
{
	return wilson_lower(hits, samples);
}
