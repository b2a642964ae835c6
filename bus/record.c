/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange as an item of the journal: encoded on the writer's thread. */
#include "bus/record.h"

#include "base/counter.h"
#include "bus/emit.h"
#include "bus/encode.h"
#include "journal/operation.h"

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

/* ---- a command whose answer is kept ---- */

/* The one place where it is decided whose a key is: on the one thread that
 * writes, in the transaction that makes it so. */
static int
find_key(struct bus_operation *o, struct journal_tx *tx)
{
	struct journal_operation older;
	int found;

	o->found = BUS_FOUND_NONE;
	if (!o->key[0])
		return 0;
	found = journal_tx_operation_by_key(tx, o->key, &older);
	if (found <= 0)
		return found;
	if (older.state == JOURNAL_OPERATION_DONE &&
	    older.expires_us <= journal_tx_time_us(tx)) {
		journal_tx_operation_expire(tx, &older.id);
		return 0;
	}
	o->id = older.id;
	if (strcmp(older.fingerprint, o->fingerprint) != 0)
		o->found = BUS_FOUND_OTHER;
	else if (older.state == JOURNAL_OPERATION_DONE)
		o->found = BUS_FOUND_DONE;
	else
		o->found = BUS_FOUND_PENDING;
	return 0;
}

static void
put_operation(const struct bus_record *r, int64_t sequence,
	      struct journal_tx *tx)
{
	const struct bus_operation *b = r->operation;
	struct journal_operation o = { .id = b->id, .exchange = r->exchange_id,
				       .created_us = journal_tx_time_us(tx),
				       .sequence = sequence,
				       .keep_us = b->keep_us,
				       .when_done = b->when_done |
					(b->tells ? BUS_OPERATION_TELLS : 0),
				       .rule = r->rule };

	memcpy(o.caller, b->caller, sizeof(o.caller));
	memcpy(o.key, b->key, sizeof(o.key));
	memcpy(o.fingerprint, b->fingerprint, sizeof(o.fingerprint));
	journal_tx_operation_put(tx, &o);
}

static int
append_kept(struct bus_record *r, const struct journal_event *e,
	    struct journal_tx *tx)
{
	int64_t sequence = 0;

	if (find_key(r->operation, tx) < 0)
		return -1;
	if (r->operation->found != BUS_FOUND_NONE)
		return 0;
	if (journal_tx_append(tx, e, &sequence) < 0)
		return -1;
	put_operation(r, sequence, tx);
	return 0;
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
	if (r->operation)
		return append_kept(r, &e, tx);
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
