/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the broker that is measured: bench/bus and
 * bench/jetstream are the same driver over two of these. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_EVENT_BYTES 1024
/* An event's data begins so; the figures are monotonic microseconds. */
#define WIRE_STAMP "{\"at\":"
#define WIRE_STAMP_DIGITS 16
/* Events that a consumer may hold, or a publisher may have on their way. */
#define WIRE_IN_FLIGHT 10000

enum wire_acks { WIRE_NO_ACKS, WIRE_ACKS };
enum wire_start { WIRE_OLDEST, WIRE_NEWEST };

struct wire;
typedef void wire_event_fn(void *arg, uint64_t stamp_us);

/* Everything here ends the program when it fails. */
struct wire *wire_open(const char *url);
void wire_close(struct wire **w);
/* wire_join makes the connection the consumer of a new group; without acks it
 * reads as the broker does that best. */
void wire_join(struct wire *w, const char *group, enum wire_start start,
	       enum wire_acks acks);
/* wire_publish returns when the events are stored, or, where a broker can
 * take more meanwhile, at once: then wire_settle is when they are. */
void wire_publish(struct wire *w, size_t n, uint64_t stamp_us);
void wire_settle(struct wire *w);
/* wire_fetch returns how many events came; those of the fetch before are
 * acknowledged. fn may be NULL. */
size_t wire_fetch(struct wire *w, size_t max, unsigned wait_ms,
		  wire_event_fn *fn, void *arg);

/* For the brokers: an event's data, and ends the program. */
const char *wire_body(char body[WIRE_EVENT_BYTES + 1], uint64_t stamp_us);
void wire_fail(const char *what, const char *why);

#endif
