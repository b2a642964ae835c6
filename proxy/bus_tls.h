/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the bus's TLS, before nng takes them: it would use a key that
 * is another certificate's, and refuse every client. */
#ifndef PROXY_BUS_TLS_H
#define PROXY_BUS_TLS_H

#include "base/attr.h"
#include "base/error.h"
#include "bus/bus.h"
#include "console/console.h"

/* bus_tls_check: can the files be read, and is the key the certificate's?
 * 0 also without a certificate. Main thread; blocks. */
MUST_CHECK int bus_tls_check(const struct console_settings *s,
			     struct error *err);
/* bus_tls_files lends the settings' texts. */
struct secure_files bus_tls_files(const struct console_settings *s);

#endif
