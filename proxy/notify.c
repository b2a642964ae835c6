/* SPDX-License-Identifier: Apache-2.0 */
/* One datagram a message, as sd_notify(3) documents it. */
#include "proxy/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static void
notify(const char *text)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, len);
	if (sun.sun_path[0] == '@')	/* abstract */
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		   (const struct sockaddr *)&sun,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) <
	    0)
		log_warn("run.notify", "the service manager cannot be told");
	close(fd);
}

void
notify_ready(void)
{
	notify("READY=1\nSTATUS=serving");
}

void
notify_reloading(void)
{
	char text[96];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)clock_mono_us());
	notify(text);
}

void
notify_stopping(void)
{
	notify("STOPPING=1\nSTATUS=finishing accepted requests");
}

void
notify_successor(int pid)
{
	char text[64];

	snprintf(text, sizeof(text), "MAINPID=%d", pid);
	notify(text);
}
