/* SPDX-License-Identifier: Apache-2.0 */
/* The bus protocol from the consumer's side; what lib/ is made on. */
#ifndef BUS_CLIENT_H
#define BUS_CLIENT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"

struct bus_client;

/* bus_client_open dials url (blocks until connected or timeout_ms). */
MUST_CHECK struct bus_client *bus_client_open(const char *url,
					      unsigned timeout_ms,
					      struct error *err);
/* bus_client_set_token: what goes with each request from now on; copies. NULL:
 * none. -1 with err without memory. */
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
/* bus_client_send and bus_client_receive are its two halves: each ticket of a
 * send that returned 0 is received exactly once, before the close. */
MUST_CHECK int bus_client_send(struct bus_client *c, struct span request,
			       unsigned timeout_ms, uint32_t *ticket,
			       struct error *err);
MUST_CHECK int bus_client_receive(struct bus_client *c, uint32_t ticket,
				  unsigned timeout_ms, struct buf *answer,
				  struct error *err);

#endif
