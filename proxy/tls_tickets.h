/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of session tickets: shared by all workers, replaced as they age. */
#ifndef PROXY_TLS_TICKETS_H
#define PROXY_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

#define TLS_TICKET_LIFETIME_S 7200u
#define TLS_TICKETS_BYTES 192u

struct tls_tickets;

MUST_CHECK struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets **t);
/* tls_tickets_use makes a context seal and open its tickets with them; they
 * outlive it. */
MUST_CHECK int tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx);
/* tls_tickets_rotate replaces the key that seals; the one before still opens
 * tickets. Done by itself every TLS_TICKET_LIFETIME_S. Any thread. */
void tls_tickets_rotate(struct tls_tickets *t);
/* tls_tickets_age: as if so much time had passed. */
void tls_tickets_age(struct tls_tickets *t, uint64_t by_ms);
/* tls_tickets_save gives all keys for another process of this machine, which
 * takes them with tls_tickets_restore; the caller cleanses what lies between.
 * -1: they are of another version. */
size_t tls_tickets_save(struct tls_tickets *t, char to[TLS_TICKETS_BYTES]);
MUST_CHECK int tls_tickets_restore(struct tls_tickets *t, struct span from);

#endif
