/* SPDX-License-Identifier: Apache-2.0 */
/* A journal in a directory of its own, and events in it. */
#ifndef TESTS_BUS_FIXTURE_H
#define TESTS_BUS_FIXTURE_H

#include "journal/journal.h"

struct fixture {
	char dir[64];
	char path[96];
	struct journal *journal;
};

void fixture_open(struct fixture *f);
/* fixture_reopen closes and opens the journal: a restart. */
void fixture_reopen(struct fixture *f);
void fixture_close(struct fixture *f);
/* fixture_append waits for the commit and returns the sequence. key and
 * correlation may be NULL; with a correlation it is a command. */
int64_t fixture_append(struct fixture *f, const char *type,
		       const char *subject, const char *key,
		       const char *correlation);
/* fixture_append_many: n events of the type, one transaction or few;
 * subjects "0", "1", ..., keys "k0" to "k(keys-1)" in turn, none for 0. */
void fixture_append_many(struct fixture *f, const char *type, int n, int keys);
/* fixture_await polls until condition(arg) or fails the test after 10 s. */
void fixture_await(bool (*condition)(void *arg), void *arg,
		   const char *what);
/* fixture_contains: are the bytes in any file of the directory? */
bool fixture_contains(const struct fixture *f, const char *bytes);

#endif
