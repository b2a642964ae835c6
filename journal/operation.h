/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: commands whose answer is kept, for a status resource or for an
 * idempotency key. One row each, from the command's own transaction on. */
#ifndef JOURNAL_OPERATION_H
#define JOURNAL_OPERATION_H

#include "base/digest.h"
#include "journal/journal.h"

#define JOURNAL_OPERATION_CALLER_SIZE 256

enum journal_operation_state {
	JOURNAL_OPERATION_PENDING,	/* no answer yet; never deleted */
	JOURNAL_OPERATION_DONE,		/* final: it has its answer */
	JOURNAL_OPERATION_EXPIRED	/* that has been deleted again */
};

struct journal_operation {
	struct id id;			/* random, whole */
	struct id exchange;		/* the command's correlation */
	enum journal_operation_state state;
	int64_t created_us, expires_us;	/* journal_time_us; 0: never so far */
	int64_t sequence;		/* of the command; 0: not known */
	struct id command;		/* its event; by _pending only, */
	bool has_command;		/* while it is in the journal */
	int64_t died_us;		/* PENDING: since then the command is
					 * a dead letter or deleted; or 0 */
	int64_t keep_us;		/* from the answer to its end */
	int when_done;			/* the owner's own */
	char caller[JOURNAL_OPERATION_CALLER_SIZE];	/* or "": any */
	/* Digests in hex, or "". */
	char key[DIGEST_HEX_SIZE];	/* one operation a key */
	char fingerprint[DIGEST_HEX_SIZE];
	struct span rule;		/* "" when found by key */
	struct span answer;		/* likewise; lent for the call */
};

/* ---- inside apply only ---- */

/* journal_tx_operation_by_key finds who has the key: 1, 0 (nobody) or -1.
 * Without rule and answer. */
int journal_tx_operation_by_key(struct journal_tx *tx, const char *key,
				struct journal_operation *out);
/* journal_tx_operation_pending finds the one that waits for the answer to
 * this exchange's command, and which event that is: 1, 0 or -1. Without
 * rule. */
int journal_tx_operation_pending(struct journal_tx *tx,
				 const struct id *exchange,
				 struct journal_operation *out);
void journal_tx_operation_put(struct journal_tx *tx,
			      const struct journal_operation *o);
/* journal_tx_operation_finish: from PENDING to DONE, and only from there. */
void journal_tx_operation_finish(struct journal_tx *tx, const struct id *id,
				 struct span answer, int64_t expires_us);
/* journal_tx_operation_rule writes the rule's name, "" when there is none. */
void journal_tx_operation_rule(struct journal_tx *tx, const struct id *id,
			       char *out, size_t size);
/* journal_tx_operation_expire: from DONE to EXPIRED; its key is free. */
void journal_tx_operation_expire(struct journal_tx *tx, const struct id *id);
/* journal_tx_operation_given_up finds one whose command died `keep` ago: 1, 0
 * or -1. Without rule. */
int journal_tx_operation_given_up(struct journal_tx *tx, int64_t now_us,
				  struct journal_operation *out);
/* journal_tx_operations_sweep expires what is due and forgets what has been
 * expired for as long as it was kept, some of each. Returns how many
 * expired. */
int journal_tx_operations_sweep(struct journal_tx *tx, int64_t now_us);

/* ---- reading ---- */

/* journal_read_operation lends it to fn; 1, 0 (none) or -1. */
int journal_read_operation(struct journal_reader *r, const struct id *id,
			   void (*fn)(void *arg,
				      const struct journal_operation *o),
			   void *arg);
/* journal_read_operations_due: when the sweep has work; 0: never
 * as it is. -1 on failure. */
int journal_read_operations_due(struct journal_reader *r, int64_t *due_us);

#endif
