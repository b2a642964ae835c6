/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of the outbound client: set up, collect, hand over. */
#include "outbound/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "outbound/fields.h"

#define FIELDS_LIMIT_BYTES (64u * 1024)
#define TIMEOUT_DEFAULT_MS 30000u
#define USER_AGENT "matapalo"

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct outbound_call *c = arg;
	size_t bytes = size * n;

	if (bytes > c->max_body_bytes - c->answer.body.len) {
		c->too_long = true;
		return 0;
	}
	buf_add(&c->answer.body, data, bytes);
	return c->answer.body.failed ? 0 : bytes;
}

/* libcurl shows the lines of interim answers (1xx), of the final one and of
 * its trailers through the same door; only the final head is kept. */
static size_t
on_field(char *data, size_t size, size_t n, void *arg)
{
	struct outbound_call *c = arg;
	size_t bytes = size * n;

	if (bytes >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		buf_clear(&c->answer.fields_text);
		c->head_done = false;
		return bytes;
	}
	if (bytes <= 2)
		c->head_done = true;
	if (!c->head_done)
		buf_add(&c->answer.fields_text, data, bytes);
	if (!c->answer.fields_text.failed)
		return bytes;
	c->too_long = true;
	return 0;
}

static int
check_request(const struct outbound_request *req, struct error *err)
{
	for (const char *p = req->url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 127 || *p == '#')
			return error_set(err, "a space, control character or "
					 "# in a URL: percent-encode it");
	if (!req->method.len || memchr(req->method.at, ' ', req->method.len) ||
	    memchr(req->method.at, '\r', req->method.len) ||
	    memchr(req->method.at, '\n', req->method.len))
		return error_set(err, "not a method");
	if (span_is(req->method, "CONNECT"))
		return error_set(err, "CONNECT is a tunnel, not a request");
	return 0;
}

/* A stale kept-alive connection makes libcurl send again by itself; what is
 * not idempotent (RFC 9110 9.2.2) gets a new connection instead. */
static bool
is_idempotent(struct span method)
{
	return span_is(method, "GET") || span_is(method, "HEAD") ||
	       span_is(method, "OPTIONS") || span_is(method, "PUT") ||
	       span_is(method, "DELETE");
}

static bool
always_has_content(struct span method)
{
	return span_is(method, "POST") || span_is(method, "PUT") ||
	       span_is(method, "PATCH");
}

/* The setters' results are or-ed: each fails only without memory or on a
 * library that was built without HTTP. */
static int
set_method(struct outbound_call *c, const struct outbound_request *req)
{
	int bad = 0;

	if (span_is(req->method, "HEAD")) {
		/* Content of a HEAD has no meaning (RFC 9110 9.3.2). */
		return curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
	}
	if (req->body.len || always_has_content(req->method)) {
		bad |= curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE,
					(curl_off_t)req->body.len);
		bad |= curl_easy_setopt(c->easy, CURLOPT_COPYPOSTFIELDS,
					req->body.len ? req->body.at : "");
	}
	bad |= curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, c->method);
	bad |= curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT,
				is_idempotent(req->method) ? 0L : 1L);
	return bad;
}

static int
set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	return curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
				(long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* Nothing of the environment, no redirect, no user name of the URL: a
 * request goes where the operator's file says, or nowhere. */
static int
set_boundaries(CURL *easy, unsigned timeout_ms)
{
	int bad = set_protocols(easy);
	long ms = (long)(timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS);

	bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	bad |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(easy, CURLOPT_NETRC,
				(long)CURL_NETRC_IGNORED);
	bad |= curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
				(long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms);
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
	return bad;
}

static int
set_callbacks(struct outbound_call *c)
{
	int bad = 0;

	bad |= curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
	bad |= curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	bad |= curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_field);
	bad |= curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
	bad |= curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->why);
	bad |= curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
	return bad;
}

/* Where the connection goes, whatever the URL says. */
static int
set_place(struct outbound_call *c, const struct outbound_request *req)
{
	char text[300];
	int bad = curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH,
				   req->unix_path);

	bad |= curl_easy_setopt(c->easy, CURLOPT_HAPROXYPROTOCOL,
				req->proxy_header ? 1L : 0L);
	if (req->fresh) {
		bad |= curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
		bad |= curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
	}
	if (!req->connect_to)
		return bad;
	snprintf(text, sizeof(text), "::%s", req->connect_to);
	c->connect_to = curl_slist_append(NULL, text);
	return bad | !c->connect_to |
	       (int)curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO,
				     c->connect_to);
}

static int
set_up(struct outbound_call *c, const struct outbound_request *req,
       struct error *err)
{
	int bad = 0;

	if (outbound_fields_build(req, &c->lines, err) != 0)
		return -1;
	bad |= curl_easy_setopt(c->easy, CURLOPT_URL, req->url);
	bad |= curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->lines);
	if (!message_find(req->fields, "User-Agent"))
		bad |= curl_easy_setopt(c->easy, CURLOPT_USERAGENT,
					USER_AGENT);
	bad |= set_boundaries(c->easy, req->timeout_ms);
	bad |= set_callbacks(c);
	bad |= set_method(c, req);
	bad |= set_place(c, req);
	if (bad)
		return error_set(err, "libcurl refused a setting: is it built "
				 "with HTTP and Unix sockets?");
	return req->tls ? outbound_tls_set(c, req, err) : 0;
}

struct outbound_call *
outbound_call_new(const struct outbound_request *req, struct error *err)
{
	struct outbound_call *c;

	if (check_request(req, err) != 0)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c) {
		error_set(err, "no memory for a request");
		return NULL;
	}
	c->max_body_bytes = req->max_body_bytes;
	c->answer.tag = req->tag;
	c->answer.fields_text.limit_bytes = FIELDS_LIMIT_BYTES;
	c->easy = curl_easy_init();
	c->method = strndup(req->method.at, req->method.len);
	if (!c->easy || !c->method)
		error_set(err, "no memory for a request");
	else if (set_up(c, req, err) == 0)
		return c;
	outbound_call_free(&c);
	return NULL;
}

static void
set_failure(struct outbound_call *c, CURLcode result)
{
	struct outbound_answer *a = &c->answer;

	a->status = 0;
	if (c->too_long)
		error_set(&a->error, "the answer is longer than %zu bytes",
			  c->answer.fields_text.failed
				  ? (size_t)FIELDS_LIMIT_BYTES
				  : c->max_body_bytes);
	else
		error_set(&a->error, "no answer: %s",
			  c->why[0] ? c->why : curl_easy_strerror(result));
}

void
outbound_call_finish(struct outbound_call *c, CURLcode result)
{
	curl_off_t total = 0;
	long status = 0;

	curl_easy_getinfo(c->easy, CURLINFO_TOTAL_TIME_T, &total);
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	c->answer.total_us = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
	c->answer.status = (int)status;
	if (result != CURLE_OK || status < 200)
		set_failure(c, result);
	else if (outbound_fields_parse(&c->answer) != 0)
		set_failure(c, CURLE_OUT_OF_MEMORY);
	c->done(c->arg, &c->answer);
}

void
outbound_call_free(struct outbound_call **cp)
{
	struct outbound_call *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->lines);
	curl_slist_free_all(c->connect_to);
	buf_fini(&c->answer.body);
	buf_fini(&c->answer.fields_text);
	free(c->answer.fields);
	free(c->method);
	free(c);
}
