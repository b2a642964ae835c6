/* SPDX-License-Identifier: Apache-2.0 */
/* A flat copy of an exchange on its way to the journal. */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bus/record.h"
#include "proxy/mail.h"

struct exchange;
struct worker;

/* One malloc: the record, its field tables and all bytes. Freed on the
 * writer's thread, or, when an exchange waits for it (ex not NULL), by the
 * worker once it has its mail. */
struct record_box {
	struct bus_record record;
	struct mail mail;
	struct worker *worker;
	struct exchange *ex;
	enum journal_status status;
	char *heap[2];			/* captured bodies, taken over */
	struct record_box *next;	/* in the worker's spare boxes */
	bool pooled;
};

/* Boxes of the usual size go back to their worker, which alone takes them:
 * from any thread to `back`, from there all at once to `spare`. */
struct record_pool {
	_Atomic(struct record_box *) back;
	struct record_box *spare;
	atomic_uint total;
};

/* record_pool_fini frees the spare boxes; after the journal was closed. */
void record_pool_fini(struct record_pool *p);

#endif
