/* SPDX-License-Identifier: Apache-2.0 */
/* The bus protocol as the commands speak it: requests in, answers out. */
#include "console/wire.h"

#include <stdlib.h>
#include <string.h>

#include "console/file.h"
#include "payload/payload.h"

#define CONNECT_MS 3000u
#define TOKEN_BYTES_MAX 4096u
#define CALL_MS 5000u /* beyond what a long poll waits */

/* ---- the connection ---- */

/* An option of the call, or its variable; an empty one is none. */
static const char *
option(const struct command_call *call, enum command_option o,
       const char *variable)
{
	const char *value = call->values[o] ? call->values[o]
					    : getenv(variable);

	return value && *value ? value : NULL;
}

int
wire_find_url(struct wire *w, const struct command_call *call,
	      struct error *err)
{
	w->token_file = option(call, OPTION_BUS_TOKEN_FILE,
			       "MATAPALO_BUS_TOKEN_FILE");
	w->files.ca = option(call, OPTION_BUS_CA, "MATAPALO_BUS_CA");
	w->files.certificate = option(call, OPTION_BUS_CERTIFICATE,
				      "MATAPALO_BUS_CERTIFICATE");
	w->files.key = option(call, OPTION_BUS_KEY, "MATAPALO_BUS_KEY");
	w->files.name = option(call, OPTION_BUS_NAME, "MATAPALO_BUS_NAME");
	w->url = option(call, OPTION_BUS, "MATAPALO_BUS_URL");
	if (w->url)
		return 0;
	if (runfile_read(&w->run, command_data(call), err))
		return -1;
	w->url = w->run.bus;
	return w->url ? 0 : error_set(err, "run.json names no bus");
}

int
wire_read_token(const struct wire *w, struct buf *text, const char **token,
		struct error *err)
{
	*token = NULL;
	if (!w->token_file || !*w->token_file)
		return 0;
	if (file_read(w->token_file, TOKEN_BYTES_MAX, text, err))
		return error_context(err, "the token for the bus");
	if (!*buf_str(text))
		return error_set(err, "the token for the bus: %s is empty",
				 w->token_file);
	text->data[strcspn(buf_str(text), " \t\r\n")] = '\0';
	*token = text->data;
	return 0;
}

void
wire_wipe(struct buf *text)
{
	if (text->data)
		explicit_bzero(text->data, text->cap);
	buf_fini(text);
}

static int
use_token(struct wire *w, struct error *err)
{
	struct buf text CLEANUP(wire_wipe) = { 0 };
	const char *token;

	if (wire_read_token(w, &text, &token, err))
		return -1;
	return token ? bus_client_set_token(w->client, token, err) : 0;
}

int
wire_connect(struct wire *w, struct error *err)
{
	w->refused = false;
	if (w->client)
		return 0;
	w->client = bus_client_open(w->url, &w->files, CONNECT_MS, err);
	if (w->client && use_token(w, err))
		wire_disconnect(w);
	return w->client ? 0 : -1;
}

void
wire_disconnect(struct wire *w)
{
	bus_client_close(&w->client);
}

void
wire_close(struct wire *w)
{
	wire_disconnect(w);
	runfile_fini(&w->run);
	buf_fini(&w->request);
	buf_fini(&w->answer);
}

/* ---- requests ---- */

/* Without an answer it was the connection, and some answers say "not now":
 * both are worth another try. */
static bool
is_final(const struct buf *answer)
{
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	const char *code;

	if (!answer->len)
		return false;
	tree = payload_parse(buf_span(answer), NULL);
	code = payload_string(payload_at(tree, "/error/code"), "");
	return strcmp(code, "unavailable") && strcmp(code, "no_memory");
}

static int
send(struct wire *w, unsigned wait_ms, struct error *err)
{
	buf_clear(&w->answer);
	w->refused = false;
	if (w->request.failed)
		return error_set(err, "no memory for a request to the bus");
	if (!bus_client_call(w->client, buf_span(&w->request),
			     CALL_MS + wait_ms, &w->answer, err))
		return 0;
	w->refused = is_final(&w->answer);
	return -1;
}

static int
parse(struct wire *w, struct cJSON **tree, struct error *err)
{
	*tree = payload_parse(buf_span(&w->answer), err);
	return *tree ? 0 : error_context(err, "the answer of the bus");
}

int
wire_ask(struct wire *w, struct span request, unsigned wait_ms,
	 struct cJSON **answer, struct error *err)
{
	buf_clear(&w->request);
	buf_add(&w->request, request.at, request.len);
	if (send(w, wait_ms, err))
		return -1;
	return parse(w, answer, err);
}
