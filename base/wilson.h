/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a rate is. */
#ifndef BASE_WILSON_H
#define BASE_WILSON_H

#include <stdint.h>

/* The ends of the 95 % Wilson score interval of hits out of samples, in
 * [0, 1]; 0 and 1 without samples. Any thread. */
double wilson_lower(uint64_t hits, uint64_t samples);
double wilson_upper(uint64_t hits, uint64_t samples);
/* wilson_lower_by: of the interval of z standard deviations. */
double wilson_lower_by(double z, uint64_t hits, uint64_t samples);

#endif
