/* SPDX-License-Identifier: Apache-2.0 */
/* Proof that a journal is whole: read-only, also while it is written. */
#ifndef JOURNAL_VERIFY_H
#define JOURNAL_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

enum journal_fault {
#define FAULT(sym, name, sentence) JOURNAL_FAULT_##sym,
#include "journal/faults.def"
#undef FAULT
	JOURNAL_FAULT_COUNT
};
const char *journal_fault_name(enum journal_fault f);
const char *journal_fault_sentence(enum journal_fault f);

/* first and last: the events concerned; 0: none in particular. */
struct journal_finding {
	enum journal_fault fault;
	int64_t first, last;
	const char *text;	/* SQLite's words, a group's name, or "" */
};

enum journal_depth {
	JOURNAL_VERIFY_EVENTS,	/* short transactions: any load bears it */
	JOURNAL_VERIFY_ALL	/* with integrity_check, one long transaction */
};

struct journal_report {
	int64_t first, last;	/* sequences met; 0: none */
	int64_t events;		/* whole */
	int64_t removed;	/* numbers noted as deleted or lost */
	int64_t mark;		/* newest acknowledged, as noted elsewhere */
	int64_t groups, holds;
	uint64_t faults;
};

/* journal_verify calls fn for each fault. 0: done, see report->faults; -1
 * with err: it cannot be opened as a journal. */
MUST_CHECK int journal_verify(const char *path, enum journal_depth depth,
			      void (*fn)(void *arg,
					 const struct journal_finding *f),
			      void *arg, struct journal_report *report,
			      struct error *err);
/* journal_in_use is true while a process writes to it. */
bool journal_in_use(const char *path);

#endif
