/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of the outbound client: set up, collect, hand over. */
#ifndef OUTBOUND_CALL_H
#define OUTBOUND_CALL_H

#include <curl/curl.h>

#include "outbound/outbound.h"

/* Belongs to one struct outbound; used on its thread only. */
struct outbound_call {
	struct outbound_call *prev, *next;	/* the client's list */
	CURL *easy;
	struct curl_slist *lines;	/* header lines to send */
	struct curl_slist *connect_to;
	char *method;
	size_t max_body_bytes;
	bool head_done;			/* what follows are trailers */
	bool too_long;
	char why[CURL_ERROR_SIZE];
	struct outbound_answer answer;
	void (*done)(void *arg, struct outbound_answer *a);
	void *arg;
};

/* outbound_call_new copies what it needs of req; NULL with err. */
MUST_CHECK struct outbound_call *
outbound_call_new(const struct outbound_request *req, struct error *err);
/* outbound_call_finish turns libcurl's result into the answer and lends it
 * to done. */
void outbound_call_finish(struct outbound_call *c, CURLcode result);
/* outbound_tls_set makes the call use req->tls; 0, or -1 with err. */
MUST_CHECK int outbound_tls_set(struct outbound_call *c,
				const struct outbound_request *req,
				struct error *err);
void outbound_call_free(struct outbound_call **c);

#endif
