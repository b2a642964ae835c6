/* SPDX-License-Identifier: Apache-2.0 */
/* The dialer of a client, which is made anew when nng gives it up.
 *
 * nng dials again by itself after most failures, but not when the other side
 * goes away in the middle of the handshake (NNG_ECLOSED): its dialer then
 * rests for ever. */
#ifndef BUS_DIAL_H
#define BUS_DIAL_H

#include <nng/nng.h>

#include "base/attr.h"
#include "base/error.h"
#include "bus/secure.h"

struct dial;

/* dial_open connects the socket to url; both are lent until dial_free. files
 * are for tls+tcp://, lent for the call. Blocks until there is a connection,
 * or for timeout_ms. NULL with err. */
MUST_CHECK struct dial *dial_open(nng_socket socket, const char *url,
				  const struct secure_files *files,
				  unsigned timeout_ms, struct error *err);
/* dial_again replaces the dialer if there is no connection; it does not wait
 * for one. Any thread, also nng's. */
void dial_again(struct dial *d);
/* dial_free: only once the socket is closed. NULL is allowed. */
void dial_free(struct dial **d);

#endif
