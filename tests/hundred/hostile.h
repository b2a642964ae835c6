/* SPDX-License-Identifier: Apache-2.0 */
/* Texts made to be expensive. */
#ifndef TESTS_HUNDRED_HOSTILE_H
#define TESTS_HUNDRED_HOSTILE_H

#include <stddef.h>

#include "base/buf.h"

/* Of two answers: equal but for what makes them expensive to compare. */
enum hostile_side { HOSTILE_LEFT, HOSTILE_RIGHT };

struct hostile {
	const char *name, *type, *coding;	/* coding "": none */
	void (*write)(struct buf *out, enum hostile_side side);
};

extern const struct hostile hostile_bodies[];
extern const size_t hostile_body_count;
extern const struct hostile hostile_rules[];
extern const size_t hostile_rules_count;

/* An ordinary JSON document, and ordinary rules, of so many bytes. */
void hostile_plain(struct buf *out, size_t size);
void hostile_plain_rules(struct buf *out, size_t size);

#endif
