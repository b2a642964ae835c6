/* SPDX-License-Identifier: Apache-2.0 */
/* A service behind the bus: takes commands, answers each to its caller.
 *
 *     cc service.c $(pkg-config --cflags --libs libmatapalo) -o service
 *     ./service URL GROUP TYPE [COMMANDS]
 *
 * Reply first, acknowledge then: if the service dies in between, the command
 * comes again, so its order's number is taken from the event.
 *
 * Of the environment: BUS_TOKEN where the bus asks for one; and for a URL
 * tls+tcp:// BUS_CA, BUS_CERTIFICATE with BUS_KEY, BUS_NAME. */
#include <stdio.h>
#include <stdlib.h>

#include <matapalo.h>

#define LEASE_RENEWAL_MS 5000

static enum matapalo_code
answer(struct matapalo_consumer *c, const struct matapalo_event *e,
       struct matapalo_error *err)
{
	const char *id = matapalo_event_attribute(e, "id");
	const char *sku = matapalo_event_string(e, "/data/request/json/sku");
	char reply[512];

	if (!sku)
		return matapalo_reply(c, e, "{\"status\": 422, \"json\": "
				      "{\"title\": \"sku is missing\"}}",
				      NULL, err);
	snprintf(reply, sizeof(reply),
		 "{\"status\": 201, \"headers\": {\"location\": "
		 "\"/orders/%s\"}, \"json\": {\"order\": \"%s\"}}", id, id);
	return matapalo_reply(c, e, reply, NULL, err);
}

static void
serve(struct matapalo_consumer *c, const struct matapalo_event *e)
{
	int64_t sequence = matapalo_event_sequence(e);
	enum matapalo_code code = MATAPALO_OK;
	struct matapalo_error err;

	if (matapalo_event_flags(e) & MATAPALO_COMMAND)
		code = answer(c, e, &err);
	if (code == MATAPALO_OK)
		(void)matapalo_ack(c, sequence);
	else if (code == MATAPALO_REFUSED || code == MATAPALO_USAGE)
		(void)matapalo_term(c, sequence, err.text, NULL);
	else
		(void)matapalo_nak(c, sequence, 1000, err.text);
}

static enum matapalo_code
serve_some(struct matapalo_consumer *c, size_t commands,
	   struct matapalo_error *err)
{
	enum matapalo_code code;

	for (size_t seen = 0; commands == 0 || seen < commands;) {
		struct matapalo_batch *b;

		code = matapalo_fetch(c, 10, 30000, &b, err);
		if (code == MATAPALO_UNREACHABLE || code == MATAPALO_BUSY)
			continue;
		if (code != MATAPALO_OK)
			return code;
		for (size_t i = 0; i < matapalo_batch_count(b); i++, seen++)
			serve(c, matapalo_batch_event(b, i));
		matapalo_batch_free(&b);
	}
	return matapalo_flush(c, err);
}

int
main(int argc, char **argv)
{
	struct matapalo_consumer_options o = MATAPALO_CONSUMER_OPTIONS;
	struct matapalo_consumer *c;
	struct matapalo_error err;
	enum matapalo_code code;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: %s URL GROUP TYPE [COMMANDS]\n",
			argv[0]);
		return 2;
	}
	o.url = argv[1];
	o.group = argv[2];
	o.type = argv[3];
	o.token = getenv("BUS_TOKEN");
	o.ca = getenv("BUS_CA");
	o.certificate = getenv("BUS_CERTIFICATE");
	o.key = getenv("BUS_KEY");
	o.server_name = getenv("BUS_NAME");
	o.touch_ms = LEASE_RENEWAL_MS;
	code = matapalo_consumer_open(&o, &c, &err);
	if (code == MATAPALO_OK)
		code = serve_some(c, argc == 5 ? strtoul(argv[4], NULL, 10)
					       : 0, &err);
	if (code != MATAPALO_OK)
		fprintf(stderr, "%s: %s\n", matapalo_code_name(code),
			err.text);
	matapalo_consumer_close(&c);
	return code == MATAPALO_OK ? 0 : 1;
}
