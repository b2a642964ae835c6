/* SPDX-License-Identifier: Apache-2.0 */
/* Events that follow from the one at a handler: published for it, with its
 * correlation id, itself as the cause, and its trace. */
#include <stdlib.h>

#include "console/consume.h"
#include "payload/payload.h"

#define CONNECT_MS 3000u
#define CALL_MS 5000u
#define LIST_MAX 100

static int
connect_publisher(struct consume *c, struct error *err)
{
	struct matapalo_publisher_options o = MATAPALO_PUBLISHER_OPTIONS;
	struct buf text CLEANUP(wire_wipe) = { 0 };
	struct matapalo_error why;

	if (c->publisher)
		return 0;
	if (wire_read_token(&c->wire, &text, &o.token, err))
		return -1;
	o.url = c->wire.url;
	o.ca = c->wire.files.ca;
	o.certificate = c->wire.files.certificate;
	o.key = c->wire.files.key;
	o.server_name = c->wire.files.name;
	o.connect_ms = CONNECT_MS;
	o.call_ms = CALL_MS;
	if (matapalo_publisher_open(&o, &c->publisher, &why))
		return error_set(err, "publish: %s", why.text);
	return 0;
}

static const char *
text_of(const struct cJSON *item, const char *name)
{
	return payload_string(payload_member(item, name), NULL);
}

static int
publish(struct consume *c, const struct matapalo_event *e,
	const struct cJSON *item, struct error *err)
{
	struct buf data CLEANUP(buf_fini) = { 0 };
	const struct cJSON *m = payload_member(item, "data");
	struct matapalo_message message = {
		.type = text_of(item, "type"),
		.id = text_of(item, "id"),
		.subject = text_of(item, "subject"),
		.partitionkey = text_of(item, "partitionkey"),
		.cause = e,
	};
	struct matapalo_error why;

	if (m)
		payload_write(m, &data);
	if (data.failed)
		return error_set(err, "publish: no memory");
	message.data = m ? buf_str(&data) : NULL;
	if (!matapalo_publish(c->publisher, &message, NULL, &why))
		return 0;
	/* A new token, or a new connection. */
	matapalo_publisher_close(&c->publisher);
	return error_set(err, "publish: %s", why.text);
}

int
consume_publish(struct consume *c, const struct matapalo_event *e,
		const struct cJSON *list, struct error *err)
{
	size_t n = 0;

	if (!payload_is_array(list))
		return error_set(err, "the handler's verdict: publish is a "
				 "list of events");
	for (const struct cJSON *i = payload_first(list); i;
	     i = payload_next(i)) {
		if (n++ == LIST_MAX)
			return error_set(err, "the handler's verdict: publish "
					 "has more than %d events", LIST_MAX);
		if (connect_publisher(c, err) || publish(c, e, i, err))
			return -1;
	}
	return 0;
}

static void
export_one(const char *name, const char *value)
{
	if (value)
		(void)setenv(name, value, 1);
}

void
consume_export(const struct consume *c)
{
	export_one("MATAPALO_BUS_URL", c->wire.url);
	export_one("MATAPALO_BUS_TOKEN_FILE", c->wire.token_file);
	export_one("MATAPALO_BUS_CA", c->wire.files.ca);
	export_one("MATAPALO_BUS_CERTIFICATE", c->wire.files.certificate);
	export_one("MATAPALO_BUS_KEY", c->wire.files.key);
	export_one("MATAPALO_BUS_NAME", c->wire.files.name);
}
