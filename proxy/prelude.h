/* SPDX-License-Identifier: Apache-2.0 */
/* What a client connection begins with before HTTP. */
#ifndef PROXY_PRELUDE_H
#define PROXY_PRELUDE_H

#include "proxy/io.h"

struct client;

/* prelude_proxy_header takes the PROXY header off the connection. IO_OK: the
 * client's address is set; IO_WAIT: again when the socket is readable; else
 * the connection is of no use. */
enum io_result prelude_proxy_header(struct client *c);

#endif
