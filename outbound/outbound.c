/* SPDX-License-Identifier: Apache-2.0 */
/* Many HTTP requests at once from one thread, each bounded in time and
 * size. Built on libcurl's multi interface. */
#include "outbound/outbound.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "outbound/call.h"

#define OUTBOUND_MAGIC 0x0b0d0001u

struct outbound {
	uint32_t magic;
	CURLM *multi;
	unsigned max_parallel;
	size_t active;
	struct outbound_call *calls;
};

/* libcurl wants this once a process, before its first handle. */
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void
start_curl(void)
{
	INVARIANT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

struct outbound *
outbound_open(unsigned max_parallel, struct error *err)
{
	struct outbound *o;

	pthread_once(&curl_once, start_curl);
	o = calloc(1, sizeof(*o));
	if (o)
		o->multi = curl_multi_init();
	if (!o || !o->multi) {
		free(o);
		error_set(err, "no memory for an HTTP client");
		return NULL;
	}
	MAGIC_SET(o, OUTBOUND_MAGIC);
	o->max_parallel = max_parallel ? max_parallel : 1;
	curl_multi_setopt(o->multi, CURLMOPT_MAXCONNECTS,
			  (long)o->max_parallel);
	return o;
}

static void
list_add(struct outbound *o, struct outbound_call *c)
{
	c->next = o->calls;
	if (c->next)
		c->next->prev = c;
	o->calls = c;
	o->active++;
}

static void
list_remove(struct outbound *o, struct outbound_call *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		o->calls = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->prev = c->next = NULL;
	o->active--;
}

int
outbound_start(struct outbound *o, const struct outbound_request *req,
	       void (*done)(void *arg, struct outbound_answer *a), void *arg,
	       struct error *err)
{
	struct outbound_call *c;

	MAGIC_CHECK(o, OUTBOUND_MAGIC);
	if (o->active >= o->max_parallel)
		return error_set(err, "%u requests are under way, the limit: "
				 "outbound_run first", o->max_parallel);
	c = outbound_call_new(req, err);
	if (!c)
		return -1;
	c->done = done;
	c->arg = arg;
	if (curl_multi_add_handle(o->multi, c->easy) != CURLM_OK) {
		outbound_call_free(&c);
		return error_set(err, "no memory for a request");
	}
	list_add(o, c);
	return 0;
}

/* Returns how many ended. Each is off the multi handle before its owner
 * hears of it, so that done may start others. */
static size_t
reap(struct outbound *o)
{
	CURLMsg *m;
	size_t ended = 0;
	int left;

	while ((m = curl_multi_info_read(o->multi, &left))) {
		CURL *easy = m->easy_handle;
		CURLcode result = m->data.result;
		char *owner = NULL;
		struct outbound_call *c;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &owner);
		c = (struct outbound_call *)(void *)owner;
		curl_multi_remove_handle(o->multi, easy);
		list_remove(o, c);
		outbound_call_finish(c, result);
		outbound_call_free(&c);
		ended++;
	}
	return ended;
}

size_t
outbound_run(struct outbound *o, unsigned wait_ms)
{
	int running;

	MAGIC_CHECK(o, OUTBOUND_MAGIC);
	if (o->active == 0)
		return 0;
	curl_multi_perform(o->multi, &running);
	if (reap(o) > 0 || wait_ms == 0)
		return o->active;
	curl_multi_poll(o->multi, NULL, 0, (int)wait_ms, NULL);
	curl_multi_perform(o->multi, &running);
	reap(o);
	return o->active;
}

size_t
outbound_active(const struct outbound *o)
{
	return o->active;
}

void
outbound_close(struct outbound **op)
{
	struct outbound *o = *op;

	*op = NULL;
	if (!o)
		return;
	MAGIC_CHECK(o, OUTBOUND_MAGIC);
	while (o->calls) {
		struct outbound_call *c = o->calls;

		curl_multi_remove_handle(o->multi, c->easy);
		list_remove(o, c);
		outbound_call_free(&c);
	}
	curl_multi_cleanup(o->multi);
	MAGIC_CLEAR(o);
	free(o);
}
