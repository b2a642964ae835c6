/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the test tools: this machine only, never another address. */
#ifndef TESTS_TOOLS_LOOPBACK_H
#define TESTS_TOOLS_LOOPBACK_H

#include <netinet/in.h>

/* loopback_parse accepts "127.x.y.z:PORT" and "localhost:PORT"; -1 with a
 * message on stderr for everything else. */
int loopback_parse(const char *text, struct sockaddr_in *out);
/* loopback_listen binds 127.0.0.1:port (0: the kernel chooses, *port tells)
 * and returns the socket, or -1 with errno. */
int loopback_listen(unsigned short *port);
/* loopback_connect returns a connected socket whose reads and writes give up
 * after timeout_ms, or -1 with errno. */
int loopback_connect(const struct sockaddr_in *to, unsigned timeout_ms);

#endif
