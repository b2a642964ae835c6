/* SPDX-License-Identifier: Apache-2.0 */
/* Where rules are beyond what the file says: what an operator or a ramp has
 * moved, kept over restarts. */
#ifndef PROXY_PROMOTION_H
#define PROXY_PROMOTION_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/json.h"
#include "rules/rules.h"

struct console_order;
struct promotion;
struct run;

/* promotion_new knows of nothing yet; promotion_open reads what the journal
 * has kept and moves the rules in force. Main thread, before any worker. */
MUST_CHECK struct promotion *promotion_new(struct run *r);
MUST_CHECK int promotion_open(struct promotion *p, struct error *err);
void promotion_free(struct promotion **p);
/* promotion_start begins to look after ramps, promotion_stop ends that and
 * saves what is known; before the journal is closed. */
MUST_CHECK int promotion_start(struct promotion *p, struct error *err);
void promotion_stop(struct promotion *p);

/* Around the swap of rule sets: promotion_carry puts on the new set what
 * still holds there, and nobody can order anything until promotion_settle,
 * which says whether the set came in force. Main thread. */
enum promotion_swap { PROMOTION_SWAPPED, PROMOTION_KEPT };
void promotion_carry(struct promotion *p, struct rules *fresh);
void promotion_settle(struct promotion *p, enum promotion_swap how);

/* promotion_order is console_source's `order`. One thread. */
int promotion_order(struct promotion *p, const struct console_order *o,
		    struct json *out, struct error *err);

/* promotion_status_rule writes members of the rule's object; any thread. */
void promotion_status_rule(struct promotion *p, const struct rules_rule *rule,
			   struct json *out);
/* promotion_warns: a sentence while the kill-switch is on, or NULL. */
const char *promotion_warns(struct promotion *p);
bool promotion_all_killed(struct promotion *p);

#endif
