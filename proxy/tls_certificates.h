/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of the listeners, chosen by the name a client asks for. */
#ifndef PROXY_TLS_CERTIFICATES_H
#define PROXY_TLS_CERTIFICATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "console/console.h"
#include "proxy/tls_review.h"
#include "proxy/tls_tickets.h"

/* What a connection needs of one set of files. Immutable and counted. */
struct tls_certificates;

/* tls_certificates_load reads the files that the settings name. NULL with
 * err, which names the file. Blocks: not on a worker. `tickets` outlive it. */
MUST_CHECK struct tls_certificates *
tls_certificates_load(const struct console_settings *s,
		      struct tls_tickets *tickets, struct error *err);
struct tls_certificates *tls_certificates_ref(struct tls_certificates *c);
void tls_certificates_unref(struct tls_certificates **c);
/* tls_certificates_same: the files' contents are those of the other. */
bool tls_certificates_same(const struct tls_certificates *a,
			   const struct tls_certificates *b);
/* tls_certificates_review tells what an operator should know: files that
 * others may read, certificates that end soon, OCSP responses left out. */
void tls_certificates_review(const struct tls_certificates *c,
			     const struct tls_review *r);
/* tls_certificates_accept makes OpenSSL's side of a client's connection. */
SSL *tls_certificates_accept(const struct tls_certificates *c);

#endif
