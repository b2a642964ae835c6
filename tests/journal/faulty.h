/* SPDX-License-Identifier: Apache-2.0 */
/* A file system that fails on order: a shim over SQLite's own. */
#ifndef TESTS_JOURNAL_FAULTY_H
#define TESTS_JOURNAL_FAULTY_H

enum faulty_kind {
	FAULTY_WRITE_EIO,
	FAULTY_WRITE_FULL,
	FAULTY_WRITE_TORN,	/* half the bytes, then EIO */
	FAULTY_SYNC,
	FAULTY_TRUNCATE,
	FAULTY_KINDS
};

/* faulty_install makes the shim the default of this process. */
void faulty_install(void);
/* faulty_arm: the first-th matching call from now on fails, and the `more`
 * that follow it. faulty_disarm returns how many failed. */
void faulty_arm(enum faulty_kind kind, int first, int more);
int faulty_disarm(void);

#endif
