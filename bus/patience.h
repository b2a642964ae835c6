/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of nng that may never return, with an end to our patience. */
#ifndef BUS_PATIENCE_H
#define BUS_PATIENCE_H

#include <stdbool.h>

#include <nng/nng.h>

#include "base/attr.h"

/* patience_open opens a socket with one of nng's functions. nng's codes;
 * NNG_ENOMEM when it does not come back. Blocks for a few seconds at most. */
MUST_CHECK int patience_open(int (*open)(nng_socket *), nng_socket *out);

/* patience_close closes a socket, or gives it up after two seconds: then it
 * returns false, and what is open stays so until the process ends. */
bool patience_close(nng_socket socket);

#endif
