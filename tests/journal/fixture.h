/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal's tests share: a directory of their own and items that
 * can be awaited. */
#ifndef TESTS_JOURNAL_FIXTURE_H
#define TESTS_JOURNAL_FIXTURE_H

#include <check.h>
#include <pthread.h>

#include "journal/journal.h"

/* Per test (checked fixture): a fresh directory and a path in it. */
extern char fixture_dir[64];
extern char fixture_path[96];
void fixture_setup(void);
void fixture_teardown(void);

struct journal *fixture_open(void);
struct journal_reader *fixture_reader(void);

/* An item that appends one event and notes what became of it. */
struct probe {
	struct journal_item item;	/* first */
	struct journal_event event;
	int (*extra)(struct journal_tx *tx);	/* after the append */
	bool skip_append;
	int64_t sequence;
	enum journal_status status;
	int done;			/* how often; under the lock */
};
void probe_init(struct probe *p, const char *type);
/* probe_run posts it urgently and waits for it. */
enum journal_status probe_run(struct journal *j, struct probe *p);
void probe_await(struct probe *p);
/* append_event appends one event urgently; its sequence or -1. */
int64_t append_event(struct journal *j, const char *type, const char *subject,
		     const char *data);

/* sql_text runs one statement on a fresh connection and returns its first
 * column as text (static buffer). */
const char *sql_text(const char *sql);
void sql_exec(const char *sql);

/* Rows as read: sequences in order, and the last row's texts. */
struct seen {
	size_t count, stop_after;
	int64_t sequence[4096];
	char type[128], subject[128], correlation[64], data[512];
	char extensions[128], partition_key[64], source[64];
	struct id id;
	int64_t time_us;
	bool shadow;
};
bool seen_row(void *seen, const struct journal_row *row);

TCase *case_open(void);
TCase *case_append(void);
TCase *case_cache(void);
TCase *case_read(void);
TCase *case_lists(void);
TCase *case_queue(void);
TCase *case_writer(void);
TCase *case_crash(void);
TCase *case_faults(void);
TCase *case_flips(void);
TCase *case_retain(void);
TCase *case_verify(void);
TCase *case_versions(void);
TCase *case_recovery(void);

#endif
