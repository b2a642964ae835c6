/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener: method, path, Host and Authorization, a line each, and
 * the body of an order behind them.
 * Nobody without the token gets what the token is for. */
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "console/answer.h"
#include "tests/fuzz/fuzz.h"

static bool
ready(void *arg, const char **why_not)
{
	(void)arg;
	(void)why_not;
	return true;
}

static void
status(void *arg, struct json *out)
{
	(void)arg;
	json_object_begin(out);
	json_object_end(out);
}

static int
order(void *arg, const struct console_order *o, struct json *out,
      struct error *err)
{
	(void)arg;
	(void)err;
	INVARIANT(o->rule || o->verb == CONSOLE_KILL ||
		  o->verb == CONSOLE_RELEASE);
	json_object_begin(out);
	json_object_end(out);
	return 200;
}

static bool
needs_token(const char *path)
{
	size_t i;

	for (i = 0; i < answer_route_count(); i++)
		if (strcmp(answer_route(i)->path, path) == 0)
			return answer_route(i)->access == ANSWER_TOKEN;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct console_source source = { NULL, ready, status,
						      NULL, order };
	static const struct answer_server server = {
		"0123456789abcdef", "admin.example", &source };
	char *text = malloc(size + 1), *rest = text;
	struct answer_request req = { .method = "GET", .path = "/",
				      .content_type = "application/json" };
	struct answer out = { 0 };

	INVARIANT(text);
	memcpy(text, data, size);
	text[size] = '\0';
	req.method = strsep(&rest, "\n");
	req.path = rest ? strsep(&rest, "\n") : "/";
	req.host = rest ? strsep(&rest, "\n") : NULL;
	req.authorization = rest ? strsep(&rest, "\n") : NULL;
	req.body = span_of(rest);
	answer_make(&out, &req, &server);
	INVARIANT(out.status >= 200 && out.status <= 599);
	if (out.status == 200 && needs_token(req.path))
		INVARIANT(req.authorization &&
			  strstr(req.authorization, server.token));
	answer_fini(&out);
	free(text);
	return 0;
}
