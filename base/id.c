/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDv7 (RFC 9562 5.7): 48 bits of milliseconds, a 12 bit counter that keeps
 * the order within a millisecond (6.2 method 1), 62 random bits. */
#include "base/id.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/invariant.h"

#define POOL_BYTES 4096
#define COUNTER_MAX 0xfffu
/* A new millisecond starts below half, which leaves room to count up. */
#define COUNTER_SEED_MASK 0x7ffu

/* One system call buys random bytes for hundreds of ids. */
static _Thread_local struct {
	uint64_t last_ms;
	unsigned counter;
	size_t left;
	uint8_t pool[POOL_BYTES];
} own;

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A child of fork must not hand out its parent's random bytes again. */
static void
forget_pool(void)
{
	own.left = 0;
}

static void
watch_fork(void)
{
	INVARIANT(pthread_atfork(NULL, NULL, forget_pool) == 0);
}

static void
kernel_random(uint8_t *at, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		INVARIANT(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

void
id_random(void *out, size_t n)
{
	if (n > POOL_BYTES / 4) {
		kernel_random(out, n);
		return;
	}
	if (UNLIKELY(own.left < n)) {
		pthread_once(&once, watch_fork);
		kernel_random(own.pool, sizeof(own.pool));
		own.left = sizeof(own.pool);
	}
	own.left -= n;
	memcpy(out, own.pool + own.left, n);
}

static unsigned
counter_seed(void)
{
	uint16_t seed;

	id_random(&seed, sizeof(seed));
	return seed & COUNTER_SEED_MASK;
}

/* Moves to the next (millisecond, counter) pair; never back, whatever the
 * wall clock does. A full counter borrows from the future. */
static void
advance(void)
{
	uint64_t now_ms = (uint64_t)(clock_wall_us() / 1000);

	if (now_ms > own.last_ms) {
		own.last_ms = now_ms;
		own.counter = counter_seed();
	} else if (own.counter < COUNTER_MAX) {
		own.counter++;
	} else {
		own.last_ms++;
		own.counter = counter_seed();
	}
}

struct id
id_make(void)
{
	struct id id;

	advance();
	for (int i = 0; i < 6; i++)
		id.bytes[i] = (uint8_t)(own.last_ms >> (40 - 8 * i));
	id.bytes[6] = (uint8_t)(0x70 | own.counter >> 8);
	id.bytes[7] = (uint8_t)own.counter;
	id_random(id.bytes + 8, 8);
	id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
	return id;
}

static bool
dash_at(int i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

const char *
id_text(const struct id *id, char out[ID_TEXT_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = id->bytes;
	char *at = out;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[b[i] >> 4];
		*at++ = hex[b[i] & 15];
	}
	*at = '\0';
	return out;
}

int
id_parse(const char *s, size_t len, struct id *id)
{
	struct id made;
	int at = 0;

	if (len != ID_TEXT_SIZE - 1)
		return -1;
	for (int i = 0; i < ID_TEXT_SIZE - 1; i += 2) {
		int hi, lo;

		if (dash_at(i) && s[i++] != '-')
			return -1;
		hi = hex_value(s[i]);
		lo = hex_value(s[i + 1]);
		if (hi < 0 || lo < 0)
			return -1;
		made.bytes[at++] = (uint8_t)(hi << 4 | lo);
	}
	*id = made;
	return 0;
}

bool
id_equal(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
