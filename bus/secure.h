/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of tls+tcp:// addresses, by the engine that nng was built with. Any
 * thread. */
#ifndef BUS_SECURE_H
#define BUS_SECURE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"

/* Files of PEM, lent for the call. */
struct secure_files {
	const char *certificate;	/* ours, with its chain; or NULL */
	const char *key;	/* NULL: it is in the certificate's file */
	const char *ca;		/* who signs the other side's; or NULL */
	const char *name;	/* of the server; NULL: the url's host */
};

struct nng_tls_config;

/* secure_url: is this an address with TLS? */
bool secure_url(const char *url);
/* secure_server: with a ca, a client without a certificate of it is not let
 * in. NULL with err. Blocks for the files. */
MUST_CHECK struct nng_tls_config *
secure_server(const struct secure_files *files, struct error *err);
/* secure_client: the server's certificate is always checked, so the ca is
 * needed. NULL with err. Blocks for the files. */
MUST_CHECK struct nng_tls_config *
secure_client(const struct secure_files *files, const char *url,
	      struct error *err);
/* secure_free takes NULL. Connections that use the configuration keep it. */
void secure_free(struct nng_tls_config **config);

#endif
