/* SPDX-License-Identifier: Apache-2.0 */
/* An OCSP response that goes along with a certificate (RFC 6066 8). */
#ifndef PROXY_TLS_STAPLE_H
#define PROXY_TLS_STAPLE_H

#include <openssl/ssl.h>
#include <time.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/span.h"

struct tls_staple {
	unsigned char *data;		/* DER; NULL: there is none */
	int len;
	time_t until;			/* may be shown before then */
};

/* tls_staple_read takes a response (DER) for the first certificate of the
 * chain. -1 with err: it is about another, old, signed by somebody else, or
 * says anything but "good". */
MUST_CHECK int tls_staple_read(struct tls_staple *s, struct span der,
			       STACK_OF(X509) *chain, struct error *err);
void tls_staple_fini(struct tls_staple *s);
/* tls_staple_show is an answer to a client's status request, for OpenSSL's
 * callback. */
int tls_staple_show(const struct tls_staple *s, SSL *ssl);

#endif
