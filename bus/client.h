/* SPDX-License-Identifier: Apache-2.0 */
/* The bus protocol from the consumer's side; what lib/ is made on. */
#ifndef BUS_CLIENT_H
#define BUS_CLIENT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "bus/secure.h"

struct bus_client;

/* bus_client_open dials url (blocks until connected or timeout_ms). files are
 * for tls+tcp://, lent for the call; else NULL will do. */
MUST_CHECK struct bus_client *
bus_client_open(const char *url, const struct secure_files *files,
		unsigned timeout_ms, struct error *err);
/* bus_client_set_token: what goes with each request from now on; copies. NULL:
 * none. -1 with err without memory. Any thread. */
MUST_CHECK int bus_client_set_token(struct bus_client *c, const char *token,
				    struct error *err);
void bus_client_close(struct bus_client **c);
/* bus_client_call sends one request frame (JSON text) and returns the answer
 * frame in `answer`; blocks up to timeout_ms. -1 with err on transport
 * errors and when the answer says "ok": false. Any thread, several at a
 * time. */
MUST_CHECK int bus_client_call(struct bus_client *c, struct span request,
			       unsigned timeout_ms, struct buf *answer,
			       struct error *err);

/* bus_call_start begins a call and does not wait: over(arg) tells, from
 * another thread and before or after this returns, that bus_call_end will not
 * block. Each call that was started is ended once, or given up, before the
 * client is closed. NULL with err. */
struct bus_call;
MUST_CHECK struct bus_call *bus_call_start(struct bus_client *c,
					   struct span request,
					   unsigned timeout_ms,
					   void (*over)(void *arg), void *arg,
					   struct error *err);
/* bus_call_end is the rest of bus_client_call, and frees. */
MUST_CHECK int bus_call_end(struct bus_call **call, struct buf *answer,
			    struct error *err);
/* bus_call_give_up ends it without its answer; over may or may not be called
 * before this returns, and is not after. NULL is allowed. */
void bus_call_give_up(struct bus_call **call);

#endif
