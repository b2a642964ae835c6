/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a match rate is. */
#ifndef SHADOW_WILSON_H
#define SHADOW_WILSON_H

#include <stdint.h>

/* shadow_wilson_lower: the lower end of the 95 % Wilson score interval of
 * hits out of samples, in [0, 1]; 0 without samples. */
double shadow_wilson_lower(uint64_t hits, uint64_t samples);

#endif
