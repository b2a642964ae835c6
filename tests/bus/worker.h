/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer process that can be killed. */
#ifndef TESTS_BUS_WORKER_H
#define TESTS_BUS_WORKER_H

#define WORKER_BATCH 32
#define WORKER_DIES_EACH 100	/* events, on their first attempt */
#define WORKER_REFUSES 1000	/* always */
#define WORKER_KILLED_BY 3333	/* always */

/* DIES: by SIGKILL between processing and answer. HANGS: by SIGSTOP, so that
 * its connection stays. */
enum worker_mode { WORKER_WORKS, WORKER_DIES, WORKER_HANGS, WORKER_POISONED };

/* worker_main runs until the bus is gone: argv is {"worker", URL, GROUP, LOG,
 * microseconds of work an event, mode}. */
int worker_main(char **argv);

#endif
