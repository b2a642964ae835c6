/* SPDX-License-Identifier: Apache-2.0 */
/* The values of all elements of an array at one place: a column. */
#ifndef SHADOW_COLUMNS_H
#define SHADOW_COLUMNS_H

#include <stdbool.h>

#include "payload/payload.h"

/* shadow_columns_agree: have both the same values, each as often, at the
 * folded pointer, in whatever order? Any thread. */
bool shadow_columns_agree(const struct cJSON *a, const struct cJSON *b,
			  const char *folded);

#endif
