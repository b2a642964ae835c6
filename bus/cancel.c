/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's second thoughts: that no consumer will be given the command, and
 * what its operation says from then on, are one transaction. */
#include <stdlib.h>

#include "base/counter.h"
#include "bus/internal.h"
#include "bus/operations.h"

struct cancel {
	struct journal_item item;
	struct bus *bus;
	struct id exchange;
	struct journal_operation operation;
	struct taken_back *mark;
	enum bus_cancelled result;
	bus_cancelled_fn *done;
	void *arg;
};

static enum bus_cancelled
try(struct cancel *c, struct journal_tx *tx)
{
	int found = journal_tx_operation_pending(tx, &c->exchange,
						 &c->operation);

	if (found < 0)
		return BUS_CANCEL_FAILED;
	/* What an earlier process has given is not known any more. */
	if (found == 0 ||
	    !operations_is_own(c->bus->operations, &c->operation) ||
	    !commands_cancel(c->bus->commands, &c->exchange))
		return BUS_CANCEL_TOO_LATE;
	if (ended_finish(c->bus, tx, &c->operation, ENDED_CANCELLED) < 0)
		return BUS_CANCEL_FAILED;
	taken_back_mark(c->mark, tx);
	return BUS_CANCELLED;
}

static int
cancel_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct cancel *c = (struct cancel *)item;

	c->result = try(c, tx);
	return 0;
}

static void
cancel_done(struct journal_item *item, enum journal_status status)
{
	struct cancel *c = (struct cancel *)item;

	if (status != JOURNAL_COMMITTED)
		c->result = BUS_CANCEL_FAILED;
	if (c->result == BUS_CANCELLED) {
		counter_inc(COUNTER_OPERATIONS_CANCELLED);
		taken_back_marked(c->bus, c->mark);
		operations_finished(c->bus->operations, &c->operation.id);
	} else {
		taken_back_free(&c->mark);
	}
	c->done(c->arg, c->result);
	free(c);
}

bool
bus_cancel(struct bus *bus, const struct id *exchange_id,
	   bus_cancelled_fn *done, void *arg)
{
	static const struct journal_item_ops ops = { .apply = cancel_apply,
						     .done = cancel_done };
	struct cancel *c = calloc(1, sizeof(*c));

	if (c)
		c->mark = taken_back_new(exchange_id, NULL, NULL);
	if (!c || !c->mark) {
		free(c);
		return false;
	}
	c->item.ops = &ops;
	c->item.urgent = true;
	c->bus = bus;
	c->exchange = *exchange_id;
	c->done = done;
	c->arg = arg;
	journal_post(bus->journal, &c->item);
	return true;
}
