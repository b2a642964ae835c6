/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a rate is: E. B. Wilson's score interval (1927), which stays
 * honest for few samples and for rates near 0 and 1. */
#include "base/wilson.h"

#include <math.h>

#define Z_95 1.959963984540054

double
wilson_lower_by(double z, uint64_t hits, uint64_t samples)
{
	double n = (double)samples, z2 = z * z, p, half, lower;

	if (samples == 0)
		return 0;
	p = (double)hits / n;
	half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
	lower = (p + z2 / (2 * n) - half) / (1 + z2 / n);
	return lower < 0 ? 0 : lower;
}

double
wilson_lower(uint64_t hits, uint64_t samples)
{
	return wilson_lower_by(Z_95, hits, samples);
}

double
wilson_upper(uint64_t hits, uint64_t samples)
{
	return samples ? 1 - wilson_lower(samples - hits, samples) : 1;
}
