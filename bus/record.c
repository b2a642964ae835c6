/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange as an item of the journal: encoded on the writer's thread. */
#include "bus/record.h"

#include "base/counter.h"
#include "bus/emit.h"
#include "bus/encode.h"

/* What can fail comes before the first write. */
static int
append_all(struct bus_record *r, const struct journal_event *e,
	   struct journal_tx *tx)
{
	struct emit_made made = { 0 };
	int result = emit_make(r, e->data, &made);

	if (result == 0)
		result = journal_tx_append(tx, e, NULL);
	if (result == 0)
		result = emit_append(&made, e, tx);
	r->emitted = made.count;
	emit_made_fini(&made);
	return result;
}

static int
record_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct bus_record *r = (struct bus_record *)item;
	struct encode_scratch *s = encode_scratch();
	char correlation[ID_TEXT_SIZE];
	struct journal_event e;

	if (!s || encode_record(s, r, &e) < 0)
		return -1;
	e.correlation = span_of(id_text(&r->exchange_id, correlation));
	return r->emits ? append_all(r, &e, tx)
			: journal_tx_append(tx, &e, NULL);
}

static void
record_done(struct journal_item *item, enum journal_status status)
{
	struct bus_record *r = (struct bus_record *)item;

	if (r->kind == BUS_RECORD_EXCHANGE)
		counter_inc(status == JOURNAL_COMMITTED
				    ? COUNTER_RECORDED
				    : COUNTER_DROPPED_JOURNAL);
	if (r->emitted && status == JOURNAL_COMMITTED)
		counter_add(COUNTER_EMITTED, (int64_t)r->emitted);
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
