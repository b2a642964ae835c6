/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the listeners: certificates that can be replaced while running. */
#ifndef PROXY_TLS_SERVER_H
#define PROXY_TLS_SERVER_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"
#include "console/console.h"
#include "proxy/io.h"

struct worker;

/* Made before the workers run, freed after them; each connection holds the
 * certificates that it began with. */
struct tls_server;

/* tls_server_new reads the files that the settings name; the settings outlive
 * it. NULL with err. */
MUST_CHECK struct tls_server *
tls_server_new(const struct console_settings *s, struct error *err);
void tls_server_free(struct tls_server **s);
/* tls_server_reload reads the files again; new connections get what is in
 * them. Files that cannot be used leave the old ones in force, and the log
 * says why. Main thread. */
void tls_server_reload(struct tls_server *s);
/* tls_server_save_tickets and tls_server_take_tickets pass the keys of session
 * tickets through a hand-over's socket, so that sessions are resumed by the
 * new process; see tls_tickets.h. A process that gets none makes its own. */
size_t tls_server_save_tickets(struct tls_server *s, char *to);
void tls_server_take_tickets(struct tls_server *s, int socket);
/* tls_server_watch returns an inotify descriptor for the files' folders
 * (-1: none); tls_server_drain empties it. */
int tls_server_watch(const struct tls_server *s);
void tls_server_drain(int fd);

/* tls_server_handshake begins TLS on an accepted socket, or goes on with it:
 * IO_OK when requests may come. What fails is counted and logged with the
 * client's address; a plain HTTP request gets an answer that says so. */
enum io_result tls_server_handshake(struct tls_server *s, struct worker *w,
				    struct io *io, const char *address);

/* tls_server_peer_parts takes apart what tls_peer says of a client: both lent,
 * both empty without a certificate. */
void tls_server_peer_parts(const struct io *io, struct span *hash,
			   struct span *subject);

#endif
