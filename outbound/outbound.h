/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests off the live path (shadow candidates, later web hooks).
 * Sole home of libcurl. */
#ifndef OUTBOUND_OUTBOUND_H
#define OUTBOUND_OUTBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/message.h"

/* One client per thread; keeps connections alive between calls. */
struct outbound;

/* How an https service is verified, and who we are to it. Texts are PEM,
 * copied by outbound_start; empty: the system's authorities, no
 * certificate. */
enum outbound_tls_version { OUTBOUND_TLS_1_2, OUTBOUND_TLS_1_3 };
struct outbound_tls {
	bool verify;
	enum outbound_tls_version min_version;
	const char *server_name;	/* NULL: the URL's host */
	struct span ca, certificate, key;
	const char *crl_path;		/* a file, or NULL */
};

struct outbound_request {
	const char *url;
	const char *connect_to;		/* "ADDRESS:PORT" instead of the URL's
					 * host, which TLS still asks for */
	const struct outbound_tls *tls;	/* NULL: verified, system's */
	bool fresh;			/* on a connection of its own */
	bool proxy_header;		/* begin it with a PROXY header, which
					 * names us: the request is ours */
	const char *unix_path;		/* connect here instead, or NULL */
	struct span method;
	struct message_fields fields;	/* sent as they are, but framing,
					 * hop-by-hop and Host are libcurl's */
	const char *host;		/* Host to send, NULL: from url */
	struct span body;
	unsigned timeout_ms;		/* of the whole call; 0: 30 s */
	size_t max_body_bytes;		/* a longer answer is an error */
	void *tag;			/* the caller's */
};
struct outbound_answer {
	int status;			/* 0: failed, see error */
	struct buf body;
	struct buf fields_text;		/* raw header lines */
	struct message_field *fields;
	size_t field_count;
	uint32_t total_us;
	struct error error;
	void *tag;
};

MUST_CHECK struct outbound *outbound_open(unsigned max_parallel,
					  struct error *err);
/* outbound_close drops what is under way without calling done. */
void outbound_close(struct outbound **o);
/* outbound_start begins a request (copies everything it needs); done is
 * called from outbound_run on the same thread; the answer is lent for the
 * call and may start others. Redirects are never followed. -1 with err when
 * the request cannot be sent as given, or max_parallel are under way. */
MUST_CHECK int outbound_start(struct outbound *o,
			      const struct outbound_request *req,
			      void (*done)(void *arg,
					   struct outbound_answer *a),
			      void *arg, struct error *err);
/* outbound_run drives what was started, up to wait_ms; returns how many are
 * still under way. */
size_t outbound_run(struct outbound *o, unsigned wait_ms);
size_t outbound_active(const struct outbound *o);

#endif
