/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields of the outbound client: what is sent, what came back. */
#ifndef OUTBOUND_FIELDS_H
#define OUTBOUND_FIELDS_H

#include <curl/curl.h>

#include "outbound/outbound.h"

/* outbound_fields_build adds the lines that libcurl shall send, without
 * framing and hop-by-hop fields. 0, or -1 with err; *lines is the caller's
 * either way (curl_slist_free_all). */
MUST_CHECK int outbound_fields_build(const struct outbound_request *req,
				     struct curl_slist **lines,
				     struct error *err);
/* outbound_fields_parse points a->fields into a->fields_text. 0, or -1 without
 * memory. */
MUST_CHECK int outbound_fields_parse(struct outbound_answer *a);

#endif
