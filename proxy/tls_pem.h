/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from PEM texts. Not for workers: parsing takes long. */
#ifndef PROXY_TLS_PEM_H
#define PROXY_TLS_PEM_H

#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/span.h"

/* tls_pem_key returns the first private key, NULL when there is none (err
 * unset) or it cannot be read (err set). A passphrase is never asked for. */
MUST_CHECK EVP_PKEY *tls_pem_key(struct span text, struct error *err);
/* tls_pem_certificates returns all of them, in order; NULL with err when
 * there is none or one is broken. */
MUST_CHECK STACK_OF(X509) *tls_pem_certificates(struct span text,
						struct error *err);
void tls_pem_certificates_free(STACK_OF(X509) *list);
/* tls_pem_use gives the context a certificate (the first), its chain (the
 * others) and its key. */
MUST_CHECK int tls_pem_use(SSL_CTX *ctx, STACK_OF(X509) *list, EVP_PKEY *key,
			   struct error *err);
/* tls_pem_trust adds certificates to what is trusted. */
MUST_CHECK int tls_pem_trust(X509_STORE *store, struct span text,
			     struct error *err);
/* tls_pem_revoke adds revocation lists (all in the text, at least one), and
 * asks for one of each authority of a chain. */
MUST_CHECK int tls_pem_revoke(X509_STORE *store, struct span text,
			      struct error *err);
/* tls_pem_words: why OpenSSL's last call failed; empties its queue. */
const char *tls_pem_words(void);

#endif
