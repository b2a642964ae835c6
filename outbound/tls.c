/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of an outbound call: the same files and names as on the live path. */
#include <stdio.h>
#include <string.h>

#include "outbound/call.h"

static int
set_blob(CURL *easy, CURLoption option, struct span text)
{
	struct curl_blob blob = { .data = (void *)text.at, .len = text.len,
				  .flags = CURL_BLOB_COPY };

	return text.len ? (int)curl_easy_setopt(easy, option, &blob) : 0;
}

/* libcurl verifies the name that stands in the URL: the URL gets the name
 * and the connection goes where the URL led before. */
static int
rename_url(struct outbound_call *c, CURLU *u, const char *name)
{
	char *host = NULL, *port = NULL, *url = NULL, to[512], literal[300];
	int bad;

	snprintf(literal, sizeof(literal), strchr(name, ':') ? "[%s]" : "%s",
		 name);
	bad = (int)curl_url_get(u, CURLUPART_HOST, &host, 0) |
	      (int)curl_url_get(u, CURLUPART_PORT, &port,
				CURLU_DEFAULT_PORT) |
	      (int)curl_url_set(u, CURLUPART_HOST, literal, 0) |
	      (int)curl_url_get(u, CURLUPART_URL, &url, 0);
	if (!bad) {
		snprintf(to, sizeof(to), "::%s:%s", host, port);
		curl_slist_free_all(c->connect_to);
		c->connect_to = curl_slist_append(NULL, to);
		bad = !c->connect_to ||
		      curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO,
				       c->connect_to) ||
		      curl_easy_setopt(c->easy, CURLOPT_URL, url);
	}
	curl_free(host);
	curl_free(port);
	curl_free(url);
	return bad;
}

static int
set_name(struct outbound_call *c, const struct outbound_request *req)
{
	CURLU *u;
	int bad;

	if (!req->tls->server_name)
		return 0;
	u = curl_url();
	bad = !u || curl_url_set(u, CURLUPART_URL, req->url,
				 CURLU_PATH_AS_IS) ||
	      rename_url(c, u, req->tls->server_name);
	curl_url_cleanup(u);
	return bad;
}

int
outbound_tls_set(struct outbound_call *c, const struct outbound_request *req,
		 struct error *err)
{
	const struct outbound_tls *t = req->tls;
	long oldest = t->min_version == OUTBOUND_TLS_1_3 ?
			      CURL_SSLVERSION_TLSv1_3 :
			      CURL_SSLVERSION_TLSv1_2;
	int bad = 0;

	bad |= curl_easy_setopt(c->easy, CURLOPT_SSLVERSION, oldest);
	bad |= curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER,
				t->verify ? 1L : 0L);
	bad |= curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST,
				t->verify ? 2L : 0L);
	bad |= set_blob(c->easy, CURLOPT_CAINFO_BLOB, t->ca);
	bad |= set_blob(c->easy, CURLOPT_SSLCERT_BLOB, t->certificate);
	bad |= set_blob(c->easy, CURLOPT_SSLKEY_BLOB, t->key);
	if (t->crl_path)
		bad |= curl_easy_setopt(c->easy, CURLOPT_CRLFILE,
					t->crl_path);
	bad |= set_name(c, req);
	return bad ? error_set(err, "libcurl refused a TLS setting: is it "
			       "built with OpenSSL?") : 0;
}
