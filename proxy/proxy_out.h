/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY header that a connection to a target begins with. */
#ifndef PROXY_PROXY_OUT_H
#define PROXY_PROXY_OUT_H

#include "base/attr.h"
#include "proxy/io.h"

struct exchange;

/* proxy_out_send names the exchange's client on its new upstream connection,
 * before TLS. IO_OK, at once where the target wants no header, or IO_BROKEN:
 * nothing of the request has left. */
MUST_CHECK enum io_result proxy_out_send(struct exchange *ex);

#endif
