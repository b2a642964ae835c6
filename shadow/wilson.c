/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a match rate is: E. B. Wilson's score interval (1927), which
 * stays honest for few samples and for rates near 1. */
#include "shadow/wilson.h"

#include <math.h>

#define Z_95 1.959963984540054

double
shadow_wilson_lower(uint64_t hits, uint64_t samples)
{
	double n = (double)samples, z2 = Z_95 * Z_95, p, half, lower;

	if (samples == 0)
		return 0;
	p = (double)hits / n;
	half = Z_95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
	lower = (p + z2 / (2 * n) - half) / (1 + z2 / n);
	return lower < 0 ? 0 : lower;
}
