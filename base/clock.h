/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time for deadlines, wall time for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_RFC3339_SIZE 32	/* "2026-01-02T03:04:05.123456Z" and NUL */

/* Monotonic: never jumps, no meaning outside the process. Any thread. */
static inline uint64_t
clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static inline uint64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000u;
}

/* clock_boot_us is monotonic as well, counts while the machine sleeps, and is
 * the same for all processes until the next boot. Any thread. */
static inline int64_t
clock_boot_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Wall time in microseconds since the epoch (UTC). Any thread. */
static inline int64_t
clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* clock_rfc3339 writes wall_us in UTC with six decimals and returns out,
 * which holds at least CLOCK_RFC3339_SIZE bytes. */
const char *clock_rfc3339(int64_t wall_us, char *out);
/* clock_http_date writes an IMF-fixdate (RFC 9110 5.6.7); out >= 30. */
const char *clock_http_date(int64_t wall_us, char *out);
/* clock_parse_rfc3339 returns 0 and fills wall_us, -1 on bad input. */
int clock_parse_rfc3339(const char *s, int64_t *wall_us);

#endif
