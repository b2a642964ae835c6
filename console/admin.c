/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener: libmicrohttpd around answer.c, on a thread of its own,
 * so that nothing an operator asks can slow a client's request. */
#include "console/console.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/invariant.h"
#include "base/log.h"
#include "console/answer.h"
#include "console/listen.h"

#define ADMIN_MAGIC 0x61646d6eu
#define CONNECTIONS_MAX 64u
#define IDLE_SECONDS 15u
#define CONNECTION_BYTES ((size_t)32 * 1024)
#define TOKEN_SIZE (2 * DIGEST_KEY_BYTES + 1)

/* A page may run its own script and talk to this listener, nothing else. */
#define PAGE_POLICY                                                            \
	"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "    \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; "            \
	"frame-ancestors 'none'"

struct console_admin {
	uint32_t magic;
	struct MHD_Daemon *daemon;
	struct listen_socket socket;
	struct console_source source;
	char token[TOKEN_SIZE];
};

static void
add_header(struct MHD_Response *r, const char *name, const char *value)
{
	/* Without memory the header is missing; the answer still stands. */
	if (value && MHD_add_response_header(r, name, value) != MHD_YES)
		log_warn("admin.header", "no memory for header %s", name);
}

static void
add_headers(struct MHD_Response *r, const struct answer *a)
{
	char policy[512];

	add_header(r, "Content-Type", a->type);
	add_header(r, "Allow", a->allow);
	add_header(r, "WWW-Authenticate", a->challenge);
	add_header(r, "Cache-Control", "no-store");
	add_header(r, "X-Content-Type-Options", "nosniff");
	add_header(r, "Referrer-Policy", "no-referrer");
	add_header(r, "X-Frame-Options", "DENY");
	if (!*a->nonce)
		return;
	snprintf(policy, sizeof(policy), PAGE_POLICY, a->nonce, a->nonce);
	add_header(r, "Content-Security-Policy", policy);
}

static enum MHD_Result
send_answer(struct MHD_Connection *connection, struct answer *a)
{
	struct MHD_Response *r;
	enum MHD_Result result;
	size_t len;
	char *body = buf_steal(&a->body, &len);

	r = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(body);
		return MHD_NO;
	}
	add_headers(r, a);
	result = MHD_queue_response(connection, (unsigned)a->status, r);
	MHD_destroy_response(r);
	return result;
}

static const char *
field(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* The body of an order, which comes in pieces. */
struct upload {
	struct buf body;
};

static struct upload *
upload_new(void)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (u)
		u->body.limit_bytes = ANSWER_BODY_MAX;
	return u;
}

static void
upload_free(void *arg, struct MHD_Connection *connection, void **state,
	    enum MHD_RequestTerminationCode code)
{
	struct upload *u = *state;

	(void)arg;
	(void)connection;
	(void)code;
	if (!u)
		return;
	*state = NULL;
	buf_fini(&u->body);
	free(u);
}

static enum MHD_Result
answer(struct MHD_Connection *connection, const struct answer_request *req,
       const struct answer_server *server, const struct upload *u)
{
	struct answer out = { 0 };
	enum MHD_Result result;

	if (u && u->body.failed)
		answer_refuse(&out, 413, "Content Too Large",
			       "an order has at most 16 KiB");
	else
		answer_make(&out, req, server);
	result = send_answer(connection, &out);
	answer_fini(&out);
	return result;
}

/* Called with the head, then for each piece of a body, then at its end. What
 * is refused without the body is answered at the head. */
static enum MHD_Result
handle(void *arg, struct MHD_Connection *connection, const char *url,
       const char *method, const char *version, const char *upload_data,
       size_t *upload_size, void **state)
{
	struct console_admin *a = arg;
	struct upload *u = *state;
	struct answer_request req = {
		.method = method,
		.path = url,
		.host = field(connection, "Host"),
		.authorization = field(connection, "Authorization"),
		.content_type = field(connection, "Content-Type"),
		.origin = field(connection, "Origin"),
	};
	const struct answer_server server = {
		.token = a->token,
		.bound_host = a->socket.host,
		.source = &a->source,
	};

	(void)version;
	MAGIC_CHECK(a, ADMIN_MAGIC);
	if (!u && answer_wants_body(&req, &server)) {
		*state = upload_new();
		return *state ? MHD_YES : MHD_NO;
	}
	if (u && *upload_size) {
		buf_add(&u->body, upload_data, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (u)
		req.body = buf_span(&u->body);
	return answer(connection, &req, &server, u);
}

/* ---- the token ---- */

static int
load_token(struct console_admin *a, const char *path, struct error *err)
{
	struct digest_key key;
	struct stat st;

	if (digest_key_load(&key, path, err))
		return -1;
	for (size_t i = 0; i < DIGEST_KEY_BYTES; i++)
		snprintf(a->token + 2 * i, 3, "%02x", key.bytes[i]);
	explicit_bzero(&key, sizeof(key));
	if (!stat(path, &st) && st.st_mode & 077)
		log_warn("admin.token-mode",
			 "%s may be read by others: chmod 600 it", path);
	return 0;
}

/* ---- lifecycle ---- */

static void
log_daemon(void *arg, const char *fmt, va_list ap)
{
	char text[256];

	(void)arg;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	log_debug("admin.http", "%s", text);
}

static int
start_daemon(struct console_admin *a, struct error *err)
{
	a->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO |
			MHD_USE_ERROR_LOG,
		0, NULL, NULL, handle, a, MHD_OPTION_EXTERNAL_LOGGER,
		log_daemon, NULL, MHD_OPTION_NOTIFY_COMPLETED, upload_free,
		NULL, MHD_OPTION_LISTEN_SOCKET, a->socket.fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (a->daemon)
		return 0;
	return error_set(err, "cannot serve the admin listener: %s",
			 errno ? strerror(errno) : "libmicrohttpd refused");
}

static int
bind_address(struct console_admin *a, const char *address,
	     const char *token_file, struct error *err)
{
	if (load_token(a, token_file, err))
		return error_context(err, "admin token");
	if (listen_open(&a->socket, address, err))
		return error_context(err, "admin");
	if (!a->socket.loopback)
		log_warn("admin.remote",
			 "the admin listener on %s can be reached from other "
			 "machines, without encryption: a loopback address is "
			 "safer",
			 a->socket.address);
	return 0;
}

struct console_admin *
console_admin_open(const char *address, const char *token_file,
		   struct error *err)
{
	struct console_admin *a = calloc(1, sizeof(*a));

	if (!a) {
		error_set(err, "no memory for the admin listener");
		return NULL;
	}
	MAGIC_SET(a, ADMIN_MAGIC);
	if (!bind_address(a, address, token_file, err))
		return a;
	free(a);
	return NULL;
}

int
console_admin_serve(struct console_admin *a,
		    const struct console_source *source, struct error *err)
{
	MAGIC_CHECK(a, ADMIN_MAGIC);
	a->source = *source;
	return start_daemon(a, err);
}

struct console_admin *
console_admin_start(const char *address, const char *token_file,
		    const struct console_source *source, struct error *err)
{
	struct console_admin *a = console_admin_open(address, token_file, err);

	if (a && console_admin_serve(a, source, err))
		console_admin_stop(&a);
	return a;
}

const char *
console_admin_address(const struct console_admin *a)
{
	MAGIC_CHECK(a, ADMIN_MAGIC);
	return a->socket.address;
}

void
console_admin_stop(struct console_admin **a)
{
	struct console_admin *old = *a;

	if (!old)
		return;
	MAGIC_CHECK(old, ADMIN_MAGIC);
	*a = NULL;
	/* Closes the socket, too, and joins the thread. */
	if (old->daemon)
		MHD_stop_daemon(old->daemon);
	else
		close(old->socket.fd);
	listen_remove(&old->socket);
	explicit_bzero(old->token, sizeof(old->token));
	MAGIC_CLEAR(old);
	free(old);
}
