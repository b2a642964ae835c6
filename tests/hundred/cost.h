/* SPDX-License-Identifier: Apache-2.0 */
/* What a piece of work costs: processor time and memory, in a process of its
 * own. */
#ifndef TESTS_HUNDRED_COST_H
#define TESTS_HUNDRED_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cost {
	uint64_t cpu_us;
	size_t peak_bytes;	/* beyond what there was before */
};

struct cost cost_of(void (*fn)(const void *arg), const void *arg);
/* cost_memory_is_real: false where a sanitizer keeps books of its own. */
bool cost_memory_is_real(void);

#endif
