/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange as an item of the journal: encoded on the writer's thread. */
#include "bus/record.h"

#include "base/counter.h"
#include "bus/encode.h"

static int
record_apply(struct journal_item *item, struct journal_tx *tx)
{
	const struct bus_record *r = (const struct bus_record *)item;
	struct encode_scratch *s = encode_scratch();
	char correlation[ID_TEXT_SIZE];
	struct journal_event e;
	int64_t sequence;

	if (!s || encode_record(s, r, &e) < 0)
		return -1;
	e.correlation = span_of(id_text(&r->exchange_id, correlation));
	return journal_tx_append(tx, &e, &sequence);
}

static void
record_done(struct journal_item *item, enum journal_status status)
{
	struct bus_record *r = (struct bus_record *)item;

	if (r->kind == BUS_RECORD_EXCHANGE)
		counter_inc(status == JOURNAL_COMMITTED
				    ? COUNTER_RECORDED
				    : COUNTER_DROPPED_JOURNAL);
	if (r->committed)
		r->committed(r, status);
	r->release(r);
}

void
bus_record_init(struct bus_record *r, enum bus_record_kind kind,
		const struct bus_source *source)
{
	static const struct journal_item_ops ops = { .apply = record_apply,
						     .done = record_done };

	*r = (struct bus_record){ .item.ops = &ops, .kind = kind,
				  .source = source };
}
