/* SPDX-License-Identifier: Apache-2.0 */
/* A hashed timing wheel; a timer sits in the slot of an earlier deadline
 * until that slot comes up and is then moved on. */
#include "proxy/timer.h"

#include <stddef.h>

#include "base/invariant.h"

static void
slot_mark(struct timer_wheel *w, unsigned slot)
{
	uint64_t bit = UINT64_C(1) << (slot % 64);

	if (w->slots[slot])
		w->used[slot / 64] |= bit;
	else
		w->used[slot / 64] &= ~bit;
}

static void
slot_insert(struct timer_wheel *w, struct timer *t)
{
	uint64_t tick = t->deadline_ms / TIMER_TICK_MS + 1;
	unsigned slot;

	if (tick <= w->tick)
		tick = w->tick + 1;
	if (tick >= w->tick + TIMER_SLOTS)
		tick = w->tick + TIMER_SLOTS - 1;
	t->slot_tick = tick;
	slot = (unsigned)(tick % TIMER_SLOTS);
	t->next = w->slots[slot];
	t->prev = &w->slots[slot];
	if (t->next)
		t->next->prev = &t->next;
	w->slots[slot] = t;
	slot_mark(w, slot);
	w->armed++;
}

static void
slot_remove(struct timer_wheel *w, struct timer *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->prev = NULL;
	slot_mark(w, (unsigned)(t->slot_tick % TIMER_SLOTS));
	w->armed--;
}

void
timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
	*w = (struct timer_wheel){ .tick = now_ms / TIMER_TICK_MS };
}

void
timer_set(struct timer_wheel *w, struct timer *t, uint64_t deadline_ms)
{
	INVARIANT(t->fire);
	t->deadline_ms = deadline_ms;
	if (t->prev) {
		if (deadline_ms / TIMER_TICK_MS + 1 >= t->slot_tick)
			return;
		slot_remove(w, t);
	}
	slot_insert(w, t);
}

void
timer_cancel(struct timer_wheel *w, struct timer *t)
{
	if (t->prev)
		slot_remove(w, t);
}

static void
slot_run(struct timer_wheel *w, unsigned slot, uint64_t now_ms)
{
	struct timer *t;

	/* What is not due yet moves to another slot: inserting never hits
	 * the current one, so the list only shrinks. */
	while ((t = w->slots[slot]) != NULL) {
		slot_remove(w, t);
		if (t->deadline_ms > now_ms)
			slot_insert(w, t);
		else
			t->fire(t);
	}
}

void
timer_run(struct timer_wheel *w, uint64_t now_ms)
{
	uint64_t now_tick = now_ms / TIMER_TICK_MS;

	if (now_tick > w->tick + TIMER_SLOTS)
		w->tick = now_tick - TIMER_SLOTS;
	while (w->tick < now_tick) {
		w->tick++;
		slot_run(w, (unsigned)(w->tick % TIMER_SLOTS), now_ms);
	}
}

int
timer_wait_ms(const struct timer_wheel *w, uint64_t now_ms)
{
	uint64_t i, due, used;
	unsigned slot;

	if (!w->armed)
		return -1;
	for (i = 1; i < TIMER_SLOTS; i += 64 - slot % 64) {
		slot = (unsigned)((w->tick + i) % TIMER_SLOTS);
		used = w->used[slot / 64] >> (slot % 64);
		if (used) {
			i += (unsigned)__builtin_ctzll(used);
			break;
		}
	}
	due = (w->tick + i) * TIMER_TICK_MS;
	return due > now_ms ? (int)(due - now_ms) : 0;
}
