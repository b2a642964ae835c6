/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd as an origin: tells method, target and body of each request.
 * One thread. Without a port it prints its version. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

/* Lives as long as a request. */
struct echo {
	struct buf target, body;
	int begun;
};

static void
add_hex(struct buf *out, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%02x", (unsigned char)data[i]);
}

/* The target as it was on the wire, before it is decoded. */
static void *
begin(void *arg, const char *target, struct MHD_Connection *connection)
{
	struct echo *e = calloc(1, sizeof(*e));

	(void)arg;
	(void)connection;
	if (!e)
		abort();
	add_hex(&e->target, target, strlen(target));
	return e;
}

static enum MHD_Result
tell(struct echo *e, const char *method, struct MHD_Connection *connection)
{
	struct buf line = { 0 };
	struct MHD_Response *answer;
	enum MHD_Result result;

	add_hex(&line, method, strlen(method));
	buf_printf(&line, " %s %s\n", buf_str(&e->target),
		   e->body.len ? buf_str(&e->body) : "-");
	if (write(STDOUT_FILENO, line.data, line.len) != (ssize_t)line.len)
		abort();
	answer = MHD_create_response_from_buffer(line.len, line.data,
						 MHD_RESPMEM_MUST_COPY);
	result = MHD_queue_response(connection, MHD_HTTP_OK, answer);
	MHD_destroy_response(answer);
	buf_fini(&line);
	return result;
}

static enum MHD_Result
serve(void *arg, struct MHD_Connection *connection, const char *url,
      const char *method, const char *protocol, const char *data, size_t *n,
      void **request)
{
	struct echo *e = *request;

	(void)arg;
	(void)url;
	(void)protocol;
	if (!e->begun) {
		e->begun = 1;
		return MHD_YES;
	}
	if (*n) {
		add_hex(&e->body, data, *n);
		*n = 0;
		return MHD_YES;
	}
	return tell(e, method, connection);
}

static void
end(void *arg, struct MHD_Connection *connection, void **request,
    enum MHD_RequestTerminationCode why)
{
	struct echo *e = *request;

	(void)arg;
	(void)connection;
	(void)why;
	if (!e)
		return;
	buf_fini(&e->target);
	buf_fini(&e->body);
	free(e);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct MHD_Daemon *d;

	if (argc < 2) {
		printf("libmicrohttpd/%s\n", MHD_get_version());
		return EXIT_SUCCESS;
	}
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons((uint16_t)atoi(argv[1]));
	signal(SIGPIPE, SIG_IGN);
	d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
			     serve, NULL, MHD_OPTION_SOCK_ADDR, &at,
			     MHD_OPTION_URI_LOG_CALLBACK, begin, NULL,
			     MHD_OPTION_NOTIFY_COMPLETED, end, NULL,
			     MHD_OPTION_CONNECTION_TIMEOUT, 60u,
			     MHD_OPTION_END);
	if (!d) {
		fprintf(stderr, "port %s: %s\n", argv[1], strerror(errno));
		return EXIT_FAILURE;
	}
	for (;;)
		pause();
}
