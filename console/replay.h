/* SPDX-License-Identifier: Apache-2.0 */
/* Where a replay to standard output gets its events: the journal's file, or a
 * process over the bus. */
#ifndef CONSOLE_REPLAY_H
#define CONSOLE_REPLAY_H

#include "console/command.h"
#include "console/wire.h"
#include "journal/journal.h"

#define REPLAY_BATCH 500

struct replay_line {
	size_t at, len;		/* in the batch's text, with its line end */
	int64_t sequence, time_us;
};

/* Zero-initialise; replay_source_close frees. One thread. */
struct replay_source {
	struct journal_reader *reader;	/* NULL: over the bus */
	struct wire wire;
	struct journal_filter filter;
	int64_t since_us, until_us;	/* 0: any */
	int64_t after, upto;		/* sequences; after moves on */

	struct replay_line lines[REPLAY_BATCH];
	size_t count;
	struct buf text;
};

/* replay_source_open takes --bus or the file in --data. */
MUST_CHECK int replay_source_open(struct replay_source *s,
				  const struct command_call *call,
				  struct error *err);
void replay_source_close(struct replay_source *s);
/* replay_source_last: the newest sequence there is. */
MUST_CHECK int replay_source_last(struct replay_source *s, int64_t *last,
				  struct error *err);
/* replay_source_next reads the next lines; 0 of them and after == upto is the
 * end. */
MUST_CHECK int replay_source_next(struct replay_source *s, struct error *err);

#endif
