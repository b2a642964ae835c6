/* SPDX-License-Identifier: Apache-2.0 */
/* A flat copy of an exchange on its way to the journal. */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include "bus/record.h"
#include "proxy/worker.h"

struct exchange;

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
};

#endif
