/* SPDX-License-Identifier: Apache-2.0 */
/* Interned names: event types and sources as small numbers. */
#include <stdlib.h>

#include "journal/internal.h"

static struct name_slot *
slot_of_text(struct name_cache *c, struct span text)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < text.len; i++)
		h = (h ^ (uint8_t)text.at[i]) * 16777619u;
	return &c->at[(h ^ (h >> 16)) % JOURNAL_NAME_SLOTS];
}

/* Without memory the slot stays empty: slower, never wrong. */
static void
slot_set(struct name_slot *slot, struct span text, int64_t id)
{
	char *copy = malloc(text.len + 1);

	free(slot->text);
	*slot = (struct name_slot){0};
	if (!copy)
		return;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	*slot = (struct name_slot){ copy, text.len, id };
}

void
journal_names_clear(struct name_cache *c)
{
	size_t i;

	for (i = 0; i < JOURNAL_NAME_SLOTS; i++)
		free(c->at[i].text);
	*c = (struct name_cache){0};
}

static int64_t
name_find(struct journal_tx *tx, struct span text)
{
	sqlite3_stmt *s = tx->j->stmts[STMT_NAME_FIND];
	int64_t id = 0;
	int rc;

	journal_bind_span(tx, s, 1, text);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		id = sqlite3_column_int64(s, 0);
	else if (rc != SQLITE_DONE)
		journal_tx_fail(tx, "find a name");
	sqlite3_reset(s);
	return id;
}

static int64_t
name_insert(struct journal_tx *tx, struct span text)
{
	journal_bind_span(tx, tx->j->stmts[STMT_NAME_INSERT], 1, text);
	journal_tx_run(tx, STMT_NAME_INSERT, "store a name");
	return tx->failed ? 0 : sqlite3_last_insert_rowid(tx->j->db);
}

int64_t
journal_name_id(struct journal_tx *tx, struct span text)
{
	struct name_slot *slot = slot_of_text(&tx->j->names, text);
	int64_t id;

	if (slot->text &&
	    span_equal((struct span){ slot->text, slot->len }, text))
		return slot->id;
	id = name_find(tx, text);
	if (!id && !tx->failed)
		id = name_insert(tx, text);
	if (id)
		slot_set(slot, text, id);
	return id;
}

int
journal_name_text(struct name_cache *c, sqlite3_stmt *find, int64_t id,
		  struct span *text)
{
	struct name_slot *slot = &c->at[(uint64_t)id % JOURNAL_NAME_SLOTS];

	if (!slot->text || slot->id != id) {
		sqlite3_bind_int64(find, 1, id);
		if (sqlite3_step(find) == SQLITE_ROW)
			slot_set(slot, journal_column_span(find, 0), id);
		sqlite3_reset(find);
	}
	if (!slot->text || slot->id != id)
		return -1;
	*text = (struct span){ slot->text, slot->len };
	return 0;
}
