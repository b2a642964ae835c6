/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of one worker: a wheel where moving a deadline later is one
 * store. */
#ifndef PROXY_TIMER_H
#define PROXY_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_SLOTS 512u
#define TIMER_TICK_MS 32u

struct timer {
	struct timer *next, **prev;	/* in its slot; prev NULL: not armed */
	uint64_t deadline_ms;		/* monotonic */
	uint64_t slot_tick;
	void (*fire)(struct timer *t);
};

struct timer_wheel {
	struct timer *slots[TIMER_SLOTS];
	uint64_t used[TIMER_SLOTS / 64];
	uint64_t tick;			/* everything before is done */
	unsigned armed;
};

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms);
/* timer_set arms or moves; later deadlines cost one store. */
void timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline_ms);
void timer_cancel(struct timer_wheel *w, struct timer *t);
/* timer_run fires what is due. A fire function may arm, cancel and free. */
void timer_run(struct timer_wheel *w, uint64_t now_ms);
/* timer_wait_ms: how long epoll may sleep; -1 without timers. */
int timer_wait_ms(const struct timer_wheel *w, uint64_t now_ms);

#endif
