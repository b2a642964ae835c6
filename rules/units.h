/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, percentages and sizes as people write them. */
#ifndef RULES_UNITS_H
#define RULES_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "rules/rules.h"

#define UNITS_DURATION_MAX_MS (24u * 3600u * 1000u)
#define UNITS_SIZE_MAX_BYTES ((size_t)16 << 20)

/* Each returns NULL and fills the value, or what is wrong with the text, to
 * be read behind it: `"10x" is not a duration such as ...`. Any thread. */
/* units_duration: "none" is 0. */
const char *units_duration(const char *s, unsigned *ms);
const char *units_percent(const char *s, uint32_t *ppm);
const char *units_size(const char *s, size_t *bytes);
/* units_statuses: "none" is the empty set. */
const char *units_statuses(const char *s, struct rules_statuses *out);

#endif
